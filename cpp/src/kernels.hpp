#pragma once

#include <cstddef>
#include <cstdint>

#include "plan.hpp"

namespace sitewise {

/// The operators on one environment and on a batch of atoms, in one precision. Vectors and gradients are
/// [given][3], with the neighbours in the order of the caller's list.
template <class Real>
struct Operators {
    void (*load)(const ElementPlan<Real>& plan,
                 int size,
                 const int* neighbors,
                 const int* species,
                 const double* vectors,
                 Tables<Real>& tables,
                 const PairScratch<Real>& scratch);
    /// What is computed from moments: the nodes of one atom behind the inputs, which load() leaves out
    void (*contract)(const ElementPlan<Real>&, const Tables<Real>&);
    /// Of up to batch_size atoms the nodes that are outputs, from nodes [atoms][.] with the inputs. Leaves
    /// values [nodes][batch_size] for contract_atoms_back.
    void (*contract_atoms)(const Polynomials<Real>&, int atoms, Real* const* nodes, Real* values);
    /// bar [atoms][inputs] = dE/d(input) from u [atoms][outputs] = dE/dG; scratch as values
    void (*contract_atoms_back)(const Polynomials<Real>&,
                                int atoms,
                                const Real* values,
                                const Real* u,
                                int outputs,
                                Real* scratch,
                                Real* bar);
    void (*evaluate)(const ElementPlan<Real>&, const Tables<Real>&, const PairScratch<Real>&, Real* G);
    /// As vjp, with `bar` of the atom
    void (*gradient)(const ElementPlan<Real>&,
                     const Tables<Real>&,
                     const PairScratch<Real>&,
                     const Real* u,
                     const Real* bar,
                     double* gradient);
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
    /// Sets energies [batch_size] and, unless null, dedx [n][batch_size] for inputs x [n][batch_size].
    /// scratch is [3 nodes][batch_size].
    void (*network)(const NetworkView<Real>&, const Real* x, Real* energies, Real* dedx, Real* scratch);
    /// After network() with dedx: the changes [count][batch_size] of the energies with deviations of the
    /// weights [count][weights], to first order, from what network() has left in scratch.
    void (*network_changes)(const NetworkView<Real>&,
                            const Real* x,
                            const Real* scratch,
                            int count,
                            const Real* deviations,
                            Real* changes);
    /// Computes f and f' of n values. Reads and writes up to a vector beyond the end.
    void (*activate)(Activation activation, int n, const Real* z, Real* value, Real* slope);
};

/// The sorted atoms [first, first + count), shifted by whole cells, Angstrom.
struct AtomRange {
    std::int32_t first, count;
    double shift[3];
};

/// The loops that take most of the time. They are compiled once per instruction set; the library chooses one
/// when it is first used. Kernels use plain arrays only: a template of the standard library must not be
/// compiled for an instruction set, because the linker would keep one copy of it for all.
struct Kernels {
    const char* name;
    int lanes;  ///< doubles of a vector
    Operators<double> float64;
    Operators<float> float32;

    /// Finds the atoms of n_ranges ranges that are nearer to p [3] than the square root of cutoff2. Sets
    /// their numbers and their vectors from p, with x, y and z in separate arrays. ends[q] counts them up to
    /// range q; returns their total number. Reads, and in outputs overwrites, up to 8 values behind the
    /// arrays.
    std::size_t (*within)(std::size_t n_ranges,
                          const AtomRange* ranges,
                          const double* const* sorted,
                          const double* p,
                          double cutoff2,
                          std::size_t* ends,
                          std::int32_t* number,
                          double* const* vectors);

    /// Writes to trace [block][4][nodes][.] what weight_gradient needs of each layer: values, slopes, dE/dz
    /// and dE/dh scale^2 f''. The last value is the energy. Atoms are in `blocks` blocks of batch_size, with
    /// inputs x [block][n][.]. If dedx [block][n][.] is null, dE/dz and the curvature are not written.
    void (
        *trace)(const NetworkView<double>&, std::size_t blocks, const double* x, double* trace, double* dedx);
    /// gradient [weights] += d/dw of the sum over atoms of a e + t . de/dx, with a [block][.], t
    /// [block][n][.] or null, and scratch [block][2][nodes][.]. Padding atoms of a block must have a = 0 and
    /// t = 0.
    void (*weight_gradient)(const NetworkView<double>&,
                            std::size_t blocks,
                            const double* x,
                            const double* trace,
                            const double* a,
                            const double* t,
                            double* scratch,
                            double* gradient);

    /// y = sum of u[f] D_f, with cached derivatives D [count][width] of the functions f[count].
    void (*cached_vjp)(std::size_t count,
                       std::size_t width,
                       const int* f,
                       const float* D,
                       const double* u,
                       double* y);
    /// t[f] += D_f . w, with the same D.
    void (*cached_jvp)(std::size_t count,
                       std::size_t width,
                       const int* f,
                       const float* D,
                       const double* w,
                       double* t);
};

/// The kernels for the best instruction set of this machine, or for the one that the environment variable
/// SITEWISE_ISA names (baseline, avx2, avx512). Throws Error if it is unknown or the machine does not have
/// it.
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
