#pragma once

#include <array>
#include <cstddef>

namespace sitewise {

/// A view of one structure; the pointers must outlive the call that receives it.
struct Atoms {
    std::size_t size = 0;
    const int* species = nullptr;                 ///< [size], index into the elements of the potential
    const double* positions = nullptr;            ///< [size][3], Angstrom; atoms may lie outside the cell
    std::array<std::array<double, 3>, 3> cell{};  ///< rows are the lattice vectors, Angstrom
    std::array<bool, 3> periodic{};               ///< along each lattice vector
};

}  // namespace sitewise
