#pragma once

#include <cstddef>

#include "sitewise/neighbors.hpp"

namespace sitewise {

/// The neighbours of one atom in a list.
struct RowView {
    std::size_t size = 0;
    const int* index = nullptr;       ///< [size]
    const double* vectors = nullptr;  ///< [size][3], r_ij
};

inline RowView row_of(const NeighborView& list, std::size_t atom) {
    const std::size_t first = list.first[atom], size = list.first[atom + 1] - first;
    if (size == 0) return {};  // the list may have no arrays
    return {size, list.index + first, list.vectors + 3 * first};
}

/// forces [.][3] += -dA/dr for a quantity A of the vectors of atom i, with g [row.size][3] = dA/dr_ij.
inline void scatter_forces(std::size_t i, const RowView& row, const double* g, double* forces) {
    double own[3] = {};
    for (std::size_t k = 0; k < row.size; ++k) {
        double* fj = forces + 3 * static_cast<std::size_t>(row.index[k]);
        for (int a = 0; a < 3; ++a) {
            own[a] += g[3 * k + a];
            fj[a] -= g[3 * k + a];
        }
    }
    for (int a = 0; a < 3; ++a) forces[3 * i + a] += own[a];
}

inline void add_outer(const double* r, const double* g, double* virial) {
    for (int a = 0; a < 3; ++a)
        for (int c = 0; c < 3; ++c) virial[3 * a + c] += r[a] * g[c];
}

/// virial [3][3] += sum of r_ij (x) g_ij
inline void add_virial(const RowView& row, const double* g, double* virial) {
    for (std::size_t k = 0; k < row.size; ++k) add_outer(row.vectors + 3 * k, g + 3 * k, virial);
}

/// virials [.][3][3] += r_ij (x) g_ij, which belongs to atom j
inline void scatter_virials(const RowView& row, const double* g, double* virials) {
    for (std::size_t k = 0; k < row.size; ++k)
        add_outer(row.vectors + 3 * k, g + 3 * k, virials + 9 * static_cast<std::size_t>(row.index[k]));
}

}  // namespace sitewise
