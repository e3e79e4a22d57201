#pragma once

// From dE/dr_ij of all pairs to forces, virials and sums over structures, and from directions of atoms to
// those of pairs. Everything is gathered in a fixed order: no atomic operation, the same result in every run.

#include "neighbors.cuh"

namespace sitewise::cuda {

/// forces [atoms][3] = -dE/dr, and unless null virials [atoms][3][3]: r_ij (x) dE_i/dr_ij belongs to atom j.
/// Rows exist for the first `centers` atoms.
template <class Real>
void launch_forces(const List<Real>& list,
                   int atoms,
                   int centers,
                   const Real* gradient,
                   double* forces,
                   double* virials,
                   cudaStream_t stream);

/// sums [ranges][width] of the rows [first[q], first[q + 1]) of values [.][width].
void launch_sums(int ranges,
                 const int* first,
                 int width,
                 const double* values,
                 double* sums,
                 cudaStream_t stream);

/// directions [3][entries] of r_ij: v_i - v_j + strain r_ij, v [atoms][3] and strain [structures][3][3] or
/// null, structure [atoms].
template <class Real>
void launch_directions(const List<Real>& list,
                       int atoms,
                       const double* v,
                       const int* structure,
                       const double* strain,
                       Real* directions,
                       cudaStream_t stream);

}  // namespace sitewise::cuda
