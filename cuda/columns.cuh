#pragma once

// The steps between symmetry functions and networks, on matrices [functions][ld] whose columns are the atoms
// of one element.

#include "symmetry.cuh"

namespace sitewise::cuda {

/// The scaling of the functions of one element, see sitewise/scaling.hpp; arrays [functions] on the device,
/// and its closest distances to each element [elements], null if unknown.
struct ScalingView {
    const double *factor, *origin, *least, *most, *closest;
    double offset;
    int functions;
};

/// Computes network inputs x from G; columns from n on are 0.
template <class Real>
void launch_scale(const ScalingView& scaling, int n, int ld, const Real* G, Real* x, cudaStream_t stream);

/// Sets out to factor * unit * in, or adds it; columns from n on are set to 0. This turns dE/dx into dE/dG,
/// and a change of G into one of x.
template <class Real>
void launch_multiply(const ScalingView& scaling,
                     double unit,
                     int n,
                     int ld,
                     const Real* in,
                     bool add,
                     Real* out,
                     cudaStream_t stream);

/// Sets outside [atoms] to the number of each atom's functions outside the training range and of its
/// neighbours that are closer than in the training set.
template <class Real>
void launch_extrapolations(const ScalingView& scaling,
                           const List<Real>& list,
                           const int* species,
                           const Centers& centers,
                           const Real* G,
                           int* outside,
                           cudaStream_t stream);

/// energies [atoms] = e / conversion + shift, from the columns e [ld].
template <class Real>
void launch_energies(const Centers& centers,
                     const Real* e,
                     double conversion,
                     double shift,
                     double* energies,
                     cudaStream_t stream);

/// columns [ld] = unit * value of each atom's structure, 0 from n on. structure is [atoms of the batch].
template <class Real>
void launch_spread(const Centers& centers,
                   const int* structure,
                   const double* values,
                   double unit,
                   Real* columns,
                   cudaStream_t stream);

/// Copy columns to and from doubles [atoms][width], row by row. Rows end with NaN after the last function.
template <class Real>
void launch_to_rows(const Centers& centers,
                    int functions,
                    int width,
                    const Real* columns,
                    double* rows,
                    cudaStream_t stream);
template <class Real>
void launch_to_columns(const Centers& centers,
                       int functions,
                       int width,
                       const double* rows,
                       Real* columns,
                       cudaStream_t stream);

}  // namespace sitewise::cuda
