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
    /// The number of atoms at the end that are copies of others, which MD codes make of periodic images and
    /// of atoms of other ranks. Ghosts are in environments, but have none of their own. Neighbour lists and
    /// the energies of one structure allow them; all else throws Error.
    std::size_t ghosts = 0;

    std::size_t centers() const { return size - ghosts; }  ///< the atoms before the ghosts
};

}  // namespace sitewise
