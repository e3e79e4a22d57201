#pragma once

// What stands between symmetry functions and networks: matrices [functions][ld] whose columns are the atoms
// of one element.

#include "symmetry.cuh"

namespace sitewise::cuda {

/// The scaling of the functions of one element, see sitewise/scaling.hpp; arrays [functions] on the device.
struct ScalingView {
    const double *factor, *origin, *least, *most;
    double offset;
    int functions;
};

/// Network inputs x of G, 0 in columns from n on.
template <class Real>
void launch_scale(const ScalingView& scaling, int n, int ld, const Real* G, Real* x, cudaStream_t stream);

/// out = factor * unit * in, added to or set, and set to 0 in columns from n on: dE/dG of dE/dx, and the
/// change of x of that of G.
template <class Real>
void launch_multiply(const ScalingView& scaling,
                     double unit,
                     int n,
                     int ld,
                     const Real* in,
                     bool add,
                     Real* out,
                     cudaStream_t stream);

/// outside [atoms]: how many functions of each atom are outside the training range.
template <class Real>
void launch_extrapolations(const ScalingView& scaling,
                           const Centers& centers,
                           const Real* G,
                           int* outside,
                           cudaStream_t stream);

/// energies [atoms] = e / conversion + shift of the columns e [ld].
template <class Real>
void launch_energies(const Centers& centers,
                     const Real* e,
                     double conversion,
                     double shift,
                     double* energies,
                     cudaStream_t stream);

/// columns [ld] = unit * value of the structure of each atom, 0 from n on; structure [atoms of the batch].
template <class Real>
void launch_spread(const Centers& centers,
                   const int* structure,
                   const double* values,
                   double unit,
                   Real* columns,
                   cudaStream_t stream);

/// Columns of doubles [atoms][width], row by row: the way out, NaN behind the last function, and in.
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
