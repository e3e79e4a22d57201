#include "scan.cuh"
#include "warp.cuh"

namespace sitewise::cuda {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / warp_size;

// The sum of the values of the lanes up to this one
__device__ int inclusive(int value) {
    const int lane = lane_index();
    for (int step = 1; step < warp_size; step *= 2) {
        const int before = __shfl_up_sync(all_lanes, value, step);
        if (lane >= step) value += before;
    }
    return value;
}

// Each block replaces a value by the sum of the values before it in the block, and writes its total.
__global__ void __launch_bounds__(threads) scan_blocks(int* values, int n, int* totals) {
    SITEWISE_SHARED(int, of_warp, warps);
    const int i = static_cast<int>(blockIdx.x) * threads + static_cast<int>(threadIdx.x);
    const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_size;
    const int value = i < n ? values[i] : 0, sum = inclusive(value);
    if (lane == warp_size - 1) of_warp[warp] = sum;
    __syncthreads();
    int before = 0, total = 0;
    for (int w = 0; w < warps; ++w) {
        before += w < warp ? of_warp[w] : 0;
        total += of_warp[w];
    }
    if (i < n) values[i] = before + sum - value;
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
}

__global__ void __launch_bounds__(threads) add_totals(int* values, int n, const int* totals) {
    const int i = static_cast<int>(blockIdx.x) * threads + static_cast<int>(threadIdx.x);
    if (i < n) values[i] += totals[blockIdx.x];
}

// Turns values [n] into sums [n]. Totals of all levels are in scratch.
void scan(int* values, int n, int* scratch, cudaStream_t stream) {
    const int blocks = (n + threads - 1) / threads;
    SITEWISE_LAUNCH(scan_blocks, dim3(blocks), dim3(threads), 0, stream, values, n, scratch);
    if (blocks == 1) return;
    scan(scratch, blocks, scratch + blocks, stream);
    SITEWISE_LAUNCH(add_totals, dim3(blocks), dim3(threads), 0, stream, values, n, scratch);
}

}  // namespace

void launch_scan(int* values, std::size_t n, Buffer<int>& scratch, cudaStream_t stream) {
    // one more value, which is 0, becomes the sum of all
    check(cudaMemsetAsync(values + n, 0, sizeof(int), stream));
    std::size_t size = 1;
    for (std::size_t level = n + 1; level > 1; level = (level + threads - 1) / threads)
        size += (level + threads - 1) / threads;
    scan(values, static_cast<int>(n + 1), scratch.reserve(size), stream);
}

}  // namespace sitewise::cuda
