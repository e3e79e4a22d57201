#pragma once

// The three operators of the symmetry functions (sitewise/symmetry.hpp) for all atoms of one element. Each
// atom has a warp, which tabulates its neighbours in shared memory.

#include "neighbors.cuh"
#include "plan.cuh"

namespace sitewise::cuda {

/// The atoms of one element, which are columns of matrices [.][ld].
struct Centers {
    const int* atoms;  // [n], their rows of the list
    int n, ld;
};

/// Sets G [outputs][ld] of the atoms; columns from n on are 0. species has all atoms of the list.
template <class Real>
void launch_evaluate(const DevicePlan<Real>& plan,
                     const List<Real>& list,
                     const int* species,
                     const Centers& centers,
                     Real* G,
                     cudaStream_t stream);

/// Sets gradient [3][entries] = d(u.G)/dr_ij in the rows of the atoms, from u [outputs][ld].
template <class Real>
void launch_vjp(const DevicePlan<Real>& plan,
                const List<Real>& list,
                const int* species,
                const Centers& centers,
                const Real* u,
                Real* gradient,
                cudaStream_t stream);

/// dG [outputs][ld] = sum over neighbours of dG/dr_ij . v_ij, with v [3][entries].
template <class Real>
void launch_jvp(const DevicePlan<Real>& plan,
                const List<Real>& list,
                const int* species,
                const Centers& centers,
                const Real* v,
                Real* dG,
                cudaStream_t stream);

}  // namespace sitewise::cuda
