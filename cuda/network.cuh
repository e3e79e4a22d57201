#pragma once

#include <cstddef>

#include "plan.hpp"
#include "portable.cuh"

namespace sitewise::cuda {

// The network of one element for `n` of its atoms, in tiles of 32. Arrays of atoms are [node][ld], with ld a
// multiple of 32 and zeros in x, a and t behind the last atom. Of the view, the layers are in the memory of
// the host, at most 32 of them (Error above that), and W and b in that of the device. Launches only: nothing
// is allocated, and the stream is not waited for.

/// Doubles of scratch memory that both functions need for n atoms.
template <class Real>
std::size_t network_scratch(const NetworkView<Real>& net, int n);

/// energies [ld] and, unless null, dedx [inputs][ld] of x [inputs][ld].
template <class Real>
void launch_network(const NetworkView<Real>& net,
                    int n,
                    std::size_t ld,
                    const Real* x,
                    Real* energies,
                    Real* dedx,
                    double* scratch,
                    cudaStream_t stream);

/// gradient [weights] += d/dw of the sum over atoms of a e + t . de/dx, see Network::weight_gradient; a [ld],
/// t [inputs][ld] or null. Sums over atoms are in double precision and in an order that depends on n alone.
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

}  // namespace sitewise::cuda
