#include "columns.cuh"
#include "scaling.hpp"

namespace sitewise::cuda {
namespace {

constexpr int threads = 128;

// Column and row of a thread
struct Place {
    int b, f;
    std::size_t at;
    __device__ explicit Place(int ld)
        : b(static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x)),
          f(static_cast<int>(blockIdx.y)),
          at(static_cast<std::size_t>(blockIdx.y) * ld + b) {}
};

dim3 grid_for(int ld, int rows) {
    return dim3((ld + threads - 1) / threads, rows);
}

template <class Real>
__global__ void __launch_bounds__(threads) scale(ScalingView s, int n, int ld, const Real* G, Real* x) {
    const Place p(ld);
    if (p.b >= ld) return;
    x[p.at] =
        p.b < n ? static_cast<Real>(core::scaled(G[p.at], s.factor[p.f], s.origin[p.f], s.offset)) : Real(0);
}

template <class Real>
__global__ void __launch_bounds__(threads)
    multiply(ScalingView s, double unit, int n, int ld, const Real* in, bool add, Real* out) {
    const Place p(ld);
    if (p.b >= ld) return;
    const double value = p.b < n ? in[p.at] * (s.factor[p.f] * unit) : 0.0;
    out[p.at] = static_cast<Real>(add ? out[p.at] + value : value);
}

template <class Real>
__global__ void __launch_bounds__(threads) count_outside(ScalingView s,
                                                         List<Real> list,
                                                         const int* species,
                                                         Centers centers,
                                                         const Real* G,
                                                         int* outside) {
    const int b = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (b >= centers.n) return;
    int count = 0;
    for (int f = 0; f < s.functions; ++f)
        count += core::outside(G[static_cast<std::size_t>(f) * centers.ld + b], s.least[f], s.most[f]);
    const int i = centers.atoms[b];
    if (s.closest) {
        const std::size_t n = list.entries;
        for (int e = list.first[i]; e < list.first[i + 1]; ++e)
            count += core::closer(list.vectors[e], list.vectors[n + e], list.vectors[2 * n + e],
                                  s.closest[species[list.index[e]]]);
    }
    outside[i] = count;
}

template <class Real>
__global__ void __launch_bounds__(threads)
    to_energies(Centers centers, const Real* e, double conversion, double shift, double* energies) {
    const int b = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (b < centers.n) energies[centers.atoms[b]] = e[b] / conversion + shift;
}

template <class Real>
__global__ void __launch_bounds__(threads)
    spread(Centers centers, const int* structure, const double* values, double unit, Real* columns) {
    const int b = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (b >= centers.ld) return;
    columns[b] = b < centers.n ? static_cast<Real>(values[structure[centers.atoms[b]]] * unit) : Real(0);
}

template <class Real>
__global__ void __launch_bounds__(threads)
    to_rows(Centers centers, int functions, int width, const Real* columns, double* rows) {
    const Place p(centers.ld);
    if (p.b >= centers.n) return;
    const double value = p.f < functions ? static_cast<double>(columns[p.at]) : nan("");
    rows[static_cast<std::size_t>(centers.atoms[p.b]) * width + p.f] = value;
}

template <class Real>
__global__ void __launch_bounds__(threads)
    to_columns(Centers centers, int width, const double* rows, Real* columns) {
    const Place p(centers.ld);
    if (p.b >= centers.ld) return;
    const double value =
        p.b < centers.n ? rows[static_cast<std::size_t>(centers.atoms[p.b]) * width + p.f] : 0.0;
    columns[p.at] = static_cast<Real>(value);
}

}  // namespace

template <class Real>
void launch_scale(const ScalingView& scaling, int n, int ld, const Real* G, Real* x, cudaStream_t stream) {
    SITEWISE_LAUNCH(scale<Real>, grid_for(ld, scaling.functions), dim3(threads), 0, stream, scaling, n, ld, G,
                    x);
}

template <class Real>
void launch_multiply(const ScalingView& scaling,
                     double unit,
                     int n,
                     int ld,
                     const Real* in,
                     bool add,
                     Real* out,
                     cudaStream_t stream) {
    SITEWISE_LAUNCH(multiply<Real>, grid_for(ld, scaling.functions), dim3(threads), 0, stream, scaling, unit,
                    n, ld, in, add, out);
}

template <class Real>
void launch_extrapolations(const ScalingView& scaling,
                           const List<Real>& list,
                           const int* species,
                           const Centers& centers,
                           const Real* G,
                           int* outside,
                           cudaStream_t stream) {
    SITEWISE_LAUNCH(count_outside<Real>, grid_for(centers.n, 1), dim3(threads), 0, stream, scaling, list,
                    species, centers, G, outside);
}

template <class Real>
void launch_energies(const Centers& centers,
                     const Real* e,
                     double conversion,
                     double shift,
                     double* energies,
                     cudaStream_t stream) {
    SITEWISE_LAUNCH(to_energies<Real>, grid_for(centers.n, 1), dim3(threads), 0, stream, centers, e,
                    conversion, shift, energies);
}

template <class Real>
void launch_spread(const Centers& centers,
                   const int* structure,
                   const double* values,
                   double unit,
                   Real* columns,
                   cudaStream_t stream) {
    SITEWISE_LAUNCH(spread<Real>, grid_for(centers.ld, 1), dim3(threads), 0, stream, centers, structure,
                    values, unit, columns);
}

template <class Real>
void launch_to_rows(const Centers& centers,
                    int functions,
                    int width,
                    const Real* columns,
                    double* rows,
                    cudaStream_t stream) {
    SITEWISE_LAUNCH(to_rows<Real>, grid_for(centers.n, width), dim3(threads), 0, stream, centers, functions,
                    width, columns, rows);
}

template <class Real>
void launch_to_columns(const Centers& centers,
                       int functions,
                       int width,
                       const double* rows,
                       Real* columns,
                       cudaStream_t stream) {
    SITEWISE_LAUNCH(to_columns<Real>, grid_for(centers.ld, functions), dim3(threads), 0, stream, centers,
                    width, rows, columns);
}

#define SITEWISE_COLUMNS(Real)                                                                             \
    template void launch_scale(const ScalingView&, int, int, const Real*, Real*, cudaStream_t);            \
    template void launch_multiply(const ScalingView&, double, int, int, const Real*, bool, Real*,          \
                                  cudaStream_t);                                                           \
    template void launch_extrapolations(const ScalingView&, const List<Real>&, const int*, const Centers&, \
                                        const Real*, int*, cudaStream_t);                                  \
    template void launch_energies(const Centers&, const Real*, double, double, double*, cudaStream_t);     \
    template void launch_spread(const Centers&, const int*, const double*, double, Real*, cudaStream_t);   \
    template void launch_to_rows(const Centers&, int, int, const Real*, double*, cudaStream_t);            \
    template void launch_to_columns(const Centers&, int, int, const double*, Real*, cudaStream_t);
SITEWISE_COLUMNS(float)
SITEWISE_COLUMNS(double)

}  // namespace sitewise::cuda
