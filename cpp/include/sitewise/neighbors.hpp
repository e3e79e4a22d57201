#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "sitewise/types.hpp"

namespace sitewise {

/// A full neighbour list in compressed rows, without ownership. An MD code that keeps its own list,
/// ghost atoms included, hands it over in this form.
struct NeighborView {
    std::size_t centers = 0;             ///< number of rows
    const std::size_t* first = nullptr;  ///< [centers + 1], row i is [first[i], first[i + 1])
    const int* index = nullptr;          ///< neighbour j of each entry
    const double* vectors = nullptr;     ///< [entries][3], r_ij = r_j + S.cell - r_i, Angstrom
};

/// A full neighbour list: every pair stands in the rows of both atoms, and a periodic image of an atom
/// is a neighbour of that atom like any other.
struct NeighborList {
    std::vector<std::size_t> first;          ///< [n + 1]
    std::vector<int> index;                  ///< [entries]
    std::vector<double> vectors;             ///< [entries][3], r_ij = r_j + S.cell - r_i, Angstrom
    std::vector<std::array<int, 3>> shifts;  ///< [entries], S in lattice vectors

    std::size_t centers() const { return first.empty() ? 0 : first.size() - 1; }
    NeighborView view() const { return {centers(), first.data(), index.data(), vectors.data()}; }
};

/// All pairs with |r_ij| < cutoff (Angstrom), by a cell list in O(N). Any cell is accepted: triclinic,
/// thin, far smaller than the cutoff, periodic along any subset of its vectors; the cell vectors along
/// non-periodic directions may be zero. The order of the entries does not depend on the number of threads.
///
/// Throws Error for a cutoff that is not positive and finite, NaN or infinite positions or cell, a
/// periodic cell without volume, and atoms closer than 1e-6 Angstrom.
NeighborList build_neighbors(const Atoms& atoms, double cutoff);

}  // namespace sitewise
