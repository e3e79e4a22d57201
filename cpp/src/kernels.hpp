#pragma once

#include <cstddef>
#include <cstdint>

#include "plan.hpp"

namespace sitewise {

/// The operators on one environment and on a batch of atoms, in one precision. Vectors and gradients
/// [given][3] are of the neighbours in the order in which they were given.
template <class Real>
struct Operators {
    void (*load)(const ElementPlan<Real>& plan,
                 int size,
                 const int* neighbors,
                 const int* species,
                 const double* vectors,
                 Tables<Real>& tables,
                 const PairScratch<Real>& scratch);
    void (*evaluate)(const ElementPlan<Real>&, const Tables<Real>&, const PairScratch<Real>&, Real* G);
    void (*vjp)(const ElementPlan<Real>&,
                const Tables<Real>&,
                const PairScratch<Real>&,
                const Real* u,
                double* gradient);
    void (*jvp)(const ElementPlan<Real>&,
                const Tables<Real>&,
                const PairScratch<Real>&,
                const double* v,
                Real* dG);
    /// energies [batch_size], dedx [n][batch_size] or null, of x [n][batch_size]; scratch [3
    /// nodes][batch_size]
    void (*network)(const NetworkView<Real>&, const Real* x, Real* energies, Real* dedx, Real* scratch);
    /// f and f' of n values; up to a vector more are read and written
    void (*activate)(Activation activation, int n, const Real* z, Real* value, Real* slope);
};

/// Atoms [first, first + count) of sorted ones, moved by whole cells, Angstrom.
struct AtomRange {
    std::int32_t first, count;
    double shift[3];
};

/// What takes the time, built once for each instruction set and chosen when the library is first used. The
/// kernels know arrays alone: no container or other template of the standard library may be compiled for an
/// instruction set, as the linker would keep one copy of it for all.
struct Kernels {
    const char* name;
    int lanes;  ///< doubles of a vector
    Operators<double> float64;
    Operators<float> float32;

    /// Of the atoms of n_ranges ranges those nearer to p [3] than the square root of cutoff2: their numbers,
    /// and their vectors from p, x, y and z apart. ends[q] is how many there are up to range q, the last of
    /// them is returned; up to 8 values behind the arrays are read, and overwritten in the outputs.
    std::size_t (*within)(std::size_t n_ranges,
                          const AtomRange* ranges,
                          const double* const* sorted,
                          const double* p,
                          double cutoff2,
                          std::size_t* ends,
                          std::int32_t* number,
                          double* const* vectors);

    /// Layer by layer what weight_gradient needs of atoms in `blocks` blocks of batch_size, x [block][n][.],
    /// into trace [block][4][nodes][.]: values, slopes, dE/dz and dE/dh scale^2 f''; the last value is the
    /// energy. Without dedx [block][n][.] the last two are left out.
    void (
        *trace)(const NetworkView<double>&, std::size_t blocks, const double* x, double* trace, double* dedx);
    /// gradient [weights] += d/dw of the sum over atoms of a e + t . de/dx, a [block][.], t [block][n][.] or
    /// null; scratch [block][2][nodes][.]. Atoms that fill up a block have a = 0 and t = 0.
    void (*weight_gradient)(const NetworkView<double>&,
                            std::size_t blocks,
                            const double* x,
                            const double* trace,
                            const double* a,
                            const double* t,
                            double* scratch,
                            double* gradient);

    /// Cached derivatives D [count][width] of the functions f[count]: y = sum of u[f] D_f
    void (*cached_vjp)(std::size_t count,
                       std::size_t width,
                       const int* f,
                       const float* D,
                       const double* u,
                       double* y);
    /// t[f] += D_f . w
    void (*cached_jvp)(std::size_t count,
                       std::size_t width,
                       const int* f,
                       const float* D,
                       const double* w,
                       double* t);
};

/// The kernels of the best instruction set that this machine has, or of the one that the environment variable
/// SITEWISE_ISA names (baseline, avx2, avx512). Throws Error where that is unknown or not there.
const Kernels& kernels();

template <class Real>
const Operators<Real>& operators();
template <>
inline const Operators<double>& operators<double>() {
    return kernels().float64;
}
template <>
inline const Operators<float>& operators<float>() {
    return kernels().float32;
}

}  // namespace sitewise
