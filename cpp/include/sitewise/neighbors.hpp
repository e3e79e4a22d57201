#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "sitewise/device.hpp"
#include "sitewise/types.hpp"

namespace sitewise {

/// A full neighbour list in compressed rows, without ownership. An MD code passes its own list, ghost atoms
/// included, in this form: centres are the atoms that it owns, with indices 0 to centers - 1; ghosts have the
/// indices after them and no rows.
struct NeighborView {
    std::size_t centers = 0;             ///< number of rows
    const std::size_t* first = nullptr;  ///< [centers + 1], row i is [first[i], first[i + 1])
    const int* index = nullptr;          ///< neighbour j of each entry
    const double* vectors = nullptr;     ///< [entries][3], r_ij = r_j + S.cell - r_i, Angstrom
};

/// A full neighbour list: every pair is in the rows of both atoms, and a periodic image of an atom is a
/// neighbour of that atom like any other.
struct NeighborList {
    std::vector<std::size_t> first;          ///< [n + 1]
    std::vector<int> index;                  ///< [entries]
    std::vector<double> vectors;             ///< [entries][3], r_ij = r_j + S.cell - r_i, Angstrom
    std::vector<std::array<int, 3>> shifts;  ///< [entries], S in lattice vectors

    std::size_t centers() const { return first.empty() ? 0 : first.size() - 1; }
    NeighborView view() const { return {centers(), first.data(), index.data(), vectors.data()}; }
};

/// Find all pairs with |r_ij| < cutoff (Angstrom), by a cell list in O(N). Any cell is accepted: triclinic,
/// thin, far smaller than the cutoff, periodic along any subset of its vectors. The cell vectors along
/// non-periodic directions may be zero. Ghosts have no rows. The order of the entries does not depend on the
/// number of threads.
///
/// Throws Error for a cutoff that is not positive and finite, NaN or infinite positions or cell, a periodic
/// cell without volume, and atoms closer than 1e-6 Angstrom.
NeighborList build_neighbors(const Atoms& atoms, double cutoff);

/// The same on a device. Throws Error also if there is no such device.
NeighborList build_neighbors(const Atoms& atoms, double cutoff, Device device);

/// The atoms of a structure in the order of its bins, in which neighbours are close in memory. An atom has a
/// place in this order; the atoms that are no ghosts have a number each, which counts them in it.
struct CellOrder {
    std::vector<int> atoms;  ///< at each place
    std::size_t ghosts = 0;
    std::vector<int> centers;  ///< the place of each number, if there are ghosts

    std::size_t count() const { return atoms.size() - ghosts; }  ///< of the numbers
    std::size_t place(std::size_t number) const {
        return ghosts > 0 ? static_cast<std::size_t>(centers[number]) : number;
    }
    std::size_t atom(std::size_t place) const { return static_cast<std::size_t>(atoms[place]); }
};

/// A neighbour list for atoms that move little from call to call, as in molecular dynamics (L. Verlet, Phys.
/// Rev. 159, 98 (1967)). It reaches `skin` beyond the cutoff. It is rebuilt only if a pair that it lacks may
/// have come within the cutoff. Movement with a homogeneous strain of the cell counts as strain, not as
/// movement. Only one thread at a time may use it.
class VerletList {
public:
    /// Lengths in Angstrom. Throws Error for a cutoff that is not positive and finite, and for a skin that is
    /// negative or not finite.
    VerletList(double cutoff, double skin);

    /// Return the list of these atoms, with up-to-date vectors; pairs beyond the cutoff may be among them. It
    /// is valid until the next call. Throws Error as build_neighbors does if the list is rebuilt, and for
    /// positions that are not finite.
    NeighborView update(const Atoms& atoms);

    double cutoff() const { return cutoff_; }
    double skin() const { return skin_; }
    std::size_t builds() const { return builds_; }  ///< number of times the list was built
    std::size_t bytes() const;                      ///< of memory that it holds

private:
    friend class VerletRows;
    struct Part;
    bool valid(const Atoms& atoms) const;
    void build(const Atoms& atoms);
    void sort_rows();
    void refresh(const Atoms& atoms);
    std::vector<std::array<double, 3>> translations(const Atoms& atoms) const;  // of shifts_, Angstrom

    double cutoff_, skin_;
    std::size_t builds_ = 0;
    CellOrder order_;                         // when the list was built
    std::vector<std::size_t> first_;          // of the rows in this order
    std::vector<int> index_, image_;          // of each entry, the place of the neighbour and that in shifts_
    NeighborList list_;                       // in the order of the atoms, only if update() was called
    std::vector<std::array<int, 3>> shifts_;  // that occur
    std::vector<double> positions_;           // when the list was built
    std::array<std::array<double, 3>, 3> cell_{};
    std::array<bool, 3> periodic_{};
};

}  // namespace sitewise
