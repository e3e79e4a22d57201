#pragma once

#include "memory.cuh"

namespace sitewise::cuda {

/// Turns counts [n] into places [n + 1]: the sums of those before, the last one of all. In place; `scratch`
/// grows as needed.
void launch_scan(int* values, std::size_t n, Buffer<int>& scratch, cudaStream_t stream);

}  // namespace sitewise::cuda
