#pragma once

// Operations of a warp. All of its 32 threads must take part.

#include "portable.cuh"

namespace sitewise::cuda {

constexpr int warp_size = 32;
constexpr unsigned all_lanes = 0xffffffffu;

__device__ inline int lane_index() {
    return static_cast<int>(threadIdx.x) % warp_size;
}
/// The warp's number in the grid.
__device__ inline int warp_index() {
    return static_cast<int>(blockIdx.x * (blockDim.x / warp_size) + threadIdx.x / warp_size);
}

/// The sum over the lanes in a fixed order, in every lane.
template <class T>
__device__ T warp_sum(T value) {
    for (int step = warp_size / 2; step > 0; step /= 2) value += __shfl_xor_sync(all_lanes, value, step);
    return value;
}

/// The sum over the lanes from this one up to `end`, which is the same for all of these lanes.
template <class T>
__device__ T warp_sum_until(T value, int end) {
    for (int step = 1; step < warp_size; step *= 2) {
        const T next = __shfl_down_sync(all_lanes, value, step);
        if (lane_index() + step < end) value += next;
    }
    return value;
}

/// The first lane in the mask after this one, `otherwise` if there is none.
__device__ inline int first_lane_after(unsigned mask, int otherwise) {
    const unsigned after = mask & ~((2u << lane_index()) - 1u);
    return after ? __ffs(static_cast<int>(after)) - 1 : otherwise;
}

/// The number of lanes in the mask before this one.
__device__ inline int lanes_before(unsigned mask) {
    return __popc(mask & ((1u << lane_index()) - 1u));
}

}  // namespace sitewise::cuda
