#pragma once

#include <cstddef>

#include "plan.hpp"
#include "portable.cuh"

namespace sitewise::cuda {

// Evaluates the network of one element for `n` of its atoms, in tiles of 32. Arrays of atoms are [node][ld],
// where ld is a multiple of 32; x, a and t are zero after the last atom. The layers of the view are in host
// memory, and their W and b on the device. More than 32 layers throw Error. The functions only launch
// kernels; they do not allocate memory or wait for the stream.

/// The doubles of scratch memory that both functions need for n atoms.
template <class Real>
std::size_t network_scratch(const NetworkView<Real>& net, int n);

/// Computes energies [ld] and, unless null, dedx [inputs][ld] from x [inputs][ld].
template <class Real>
void launch_network(const NetworkView<Real>& net,
                    int n,
                    std::size_t ld,
                    const Real* x,
                    Real* energies,
                    Real* dedx,
                    double* scratch,
                    cudaStream_t stream);

/// gradient [weights] += d/dw of the sum over atoms of a e + t . de/dx, with a [ld] and t [inputs][ld] or
/// null; see Network::weight_gradient. Sums over atoms are in double precision, and their order depends only
/// on n.
template <class Real>
void launch_weight_gradient(const NetworkView<Real>& net,
                            int n,
                            std::size_t ld,
                            const Real* x,
                            const Real* a,
                            const Real* t,
                            double* gradient,
                            double* scratch,
                            cudaStream_t stream);

/// The doubles of scratch memory that launch_gradient_rows needs.
template <class Real>
std::size_t rows_scratch(const NetworkView<Real>& net);

/// Sets the first weights of each of gradients [rows][stride] to the same derivative, summed over the row's
/// atoms alone: those of the tiles of 32 from first_tile [rows + 1] on. Rows without tiles are left as they
/// are.
template <class Real>
void launch_gradient_rows(const NetworkView<Real>& net,
                          int rows,
                          const int* first_tile,
                          std::size_t ld,
                          const Real* x,
                          const Real* a,
                          const Real* t,
                          double* gradients,
                          std::size_t stride,
                          double* scratch,
                          cudaStream_t stream);

}  // namespace sitewise::cuda
