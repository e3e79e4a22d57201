#include "forces.cuh"
#include "warp.cuh"

namespace sitewise::cuda {
namespace {

constexpr int threads = 128;

// A warp for each atom
template <class Real>
__global__ void __launch_bounds__(threads)
    gather(List<Real> list, int atoms, int centers, const Real* gradient, double* forces, double* virials) {
    const int i = warp_index(), lane = lane_index();
    if (i >= atoms) return;
    const std::size_t n = list.entries;
    double force[3] = {}, virial[9] = {};
    for (int e = i < centers ? list.first[i] + lane : 0; i < centers && e < list.first[i + 1]; e += warp_size)
        for (int a = 0; a < 3; ++a) force[a] += gradient[a * n + e];
    for (int q = list.incoming_first[i] + lane; q < list.incoming_first[i + 1]; q += warp_size) {
        const int e = list.incoming[q];
        for (int a = 0; a < 3; ++a) {
            const double g = gradient[a * n + e];
            force[a] -= g;
            for (int c = 0; c < 3; ++c) virial[3 * c + a] += list.vectors[c * n + e] * g;
        }
    }
    for (double& f : force) f = warp_sum(f);
    for (double& w : virial) w = warp_sum(w);
    if (lane > 0) return;
    for (int a = 0; a < 3; ++a) forces[3 * static_cast<std::size_t>(i) + a] = force[a];
    for (int a = 0; virials && a < 9; ++a) virials[9 * static_cast<std::size_t>(i) + a] = virial[a];
}

// A block for each sum
__global__ void __launch_bounds__(threads)
    sum_ranges(const int* first, int width, const double* values, double* sums) {
    SITEWISE_SHARED(double, part, threads);
    const int t = static_cast<int>(threadIdx.x);
    double total = 0.0;
    for (int i = first[blockIdx.x] + t; i < first[blockIdx.x + 1]; i += threads)
        total += values[static_cast<std::size_t>(i) * width + blockIdx.y];
    part[t] = total;
    for (int half = threads / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) part[t] += part[t + half];
    }
    if (t == 0) sums[static_cast<std::size_t>(blockIdx.x) * width + blockIdx.y] = part[0];
}

template <class Real>
__global__ void __launch_bounds__(threads) to_directions(List<Real> list,
                                                         int atoms,
                                                         const double* v,
                                                         const int* structure,
                                                         const double* strain,
                                                         Real* directions) {
    const int i = warp_index();
    if (i >= atoms) return;
    const std::size_t n = list.entries;
    const double* vi = v + 3 * static_cast<std::size_t>(i);
    for (int e = list.first[i] + lane_index(); e < list.first[i + 1]; e += warp_size) {
        const double* vj = v + 3 * static_cast<std::size_t>(list.index[e]);
        for (int a = 0; a < 3; ++a) {
            double d = vi[a] - vj[a];
            for (int c = 0; strain && c < 3; ++c)
                d += strain[9 * structure[i] + 3 * a + c] * list.vectors[c * n + e];
            directions[a * n + e] = static_cast<Real>(d);
        }
    }
}

}  // namespace

template <class Real>
void launch_forces(const List<Real>& list,
                   int atoms,
                   int centers,
                   const Real* gradient,
                   double* forces,
                   double* virials,
                   cudaStream_t stream) {
    SITEWISE_LAUNCH(gather<Real>, blocks_for(static_cast<std::size_t>(atoms) * warp_size, threads),
                    dim3(threads), 0, stream, list, atoms, centers, gradient, forces, virials);
}

void launch_sums(int ranges,
                 const int* first,
                 int width,
                 const double* values,
                 double* sums,
                 cudaStream_t stream) {
    if (ranges == 0) return;
    SITEWISE_LAUNCH(sum_ranges, dim3(ranges, width), dim3(threads), 0, stream, first, width, values, sums);
}

template <class Real>
void launch_directions(const List<Real>& list,
                       int atoms,
                       const double* v,
                       const int* structure,
                       const double* strain,
                       Real* directions,
                       cudaStream_t stream) {
    SITEWISE_LAUNCH(to_directions<Real>, blocks_for(static_cast<std::size_t>(atoms) * warp_size, threads),
                    dim3(threads), 0, stream, list, atoms, v, structure, strain, directions);
}

#define SITEWISE_FORCES(Real)                                                                                \
    template void launch_forces(const List<Real>&, int, int, const Real*, double*, double*, cudaStream_t);   \
    template void launch_directions(const List<Real>&, int, const double*, const int*, const double*, Real*, \
                                    cudaStream_t);
SITEWISE_FORCES(float)
SITEWISE_FORCES(double)

}  // namespace sitewise::cuda
