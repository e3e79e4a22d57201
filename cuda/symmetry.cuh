#pragma once

// The three operators of the symmetry functions (sitewise/symmetry.hpp) for all atoms of one element: one
// warp for each atom, whose neighbours are tabulated in shared memory.

#include "neighbors.cuh"
#include "plan.cuh"

namespace sitewise::cuda {

/// The atoms of one element, columns of matrices [.][ld].
struct Centers {
    const int* atoms;  // [n], which rows of the list are theirs
    int n, ld;
};

/// G [outputs][ld] of the atoms, 0 in columns from n on; species [atoms that the list names].
template <class Real>
void launch_evaluate(const DevicePlan<Real>& plan,
                     const List<Real>& list,
                     const int* species,
                     const Centers& centers,
                     Real* G,
                     cudaStream_t stream);

/// gradient [3][entries]: in the rows of the atoms d(u.G)/dr_ij, from u [outputs][ld].
template <class Real>
void launch_vjp(const DevicePlan<Real>& plan,
                const List<Real>& list,
                const int* species,
                const Centers& centers,
                const Real* u,
                Real* gradient,
                cudaStream_t stream);

/// dG [outputs][ld] = sum over neighbours of dG/dr_ij . v_ij, v [3][entries].
template <class Real>
void launch_jvp(const DevicePlan<Real>& plan,
                const List<Real>& list,
                const int* species,
                const Centers& centers,
                const Real* v,
                Real* dG,
                cudaStream_t stream);

}  // namespace sitewise::cuda
