#pragma once

#include "memory.cuh"

namespace sitewise::cuda {

/// Turns counts [n] into places [n + 1], in place. A place is the sum of the counts before it. `scratch`
/// grows as needed.
void launch_scan(int* values, std::size_t n, Buffer<int>& scratch, cudaStream_t stream);

}  // namespace sitewise::cuda
