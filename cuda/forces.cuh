#pragma once

// Turns dE/dr_ij of all pairs into forces, virials and sums over structures, and directions of atoms into
// those of pairs. All sums are gathered in a fixed order without atomic operations, so every run gives the
// same result.

#include "neighbors.cuh"

namespace sitewise::cuda {

/// Sets forces [atoms][3] = -dE/dr and, unless null, virials [atoms][3][3]; atom j gets r_ij (x) dE_i/dr_ij.
/// The list has rows for the first `centers` atoms.
template <class Real>
void launch_forces(const List<Real>& list,
                   int atoms,
                   int centers,
                   const Real* gradient,
                   double* forces,
                   double* virials,
                   cudaStream_t stream);

/// sums [ranges][width] = sums of the rows [first[q], first[q + 1]) of values [.][width].
void launch_sums(int ranges,
                 const int* first,
                 int width,
                 const double* values,
                 double* sums,
                 cudaStream_t stream);

/// directions [3][entries] = v_i - v_j + strain r_ij, with v [atoms][3], strain [structures][3][3] or null,
/// and structure [atoms].
template <class Real>
void launch_directions(const List<Real>& list,
                       int atoms,
                       const double* v,
                       const int* structure,
                       const double* strain,
                       Real* directions,
                       cudaStream_t stream);

}  // namespace sitewise::cuda
