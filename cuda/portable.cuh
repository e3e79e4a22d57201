#pragma once

// The only header that depends on the compiler of a .cu file: nvcc, or the host's compiler with a fiber for
// each CUDA thread (tests/cuda/hostexec). Kernels use the macros below for static shared arrays, dynamic
// shared memory and launches, and include no other header of CUDA.

#include <cstddef>
#include <string>
#include <utility>

#ifdef __CUDACC__
#include <cuda_runtime.h>

/// T name[n] of the block
#define SITEWISE_SHARED(T, name, n) __shared__ T name[n]
/// T* name, the dynamic shared memory that the launch asked for
#define SITEWISE_DYNAMIC_SHARED(T, name)                               \
    extern __shared__ __align__(16) unsigned char sitewise_dynamic_[]; \
    T* name = reinterpret_cast<T*>(sitewise_dynamic_)

namespace sitewise::cuda {
template <class... P, class... A>
void launch(const char*,
            void (*kernel)(P...),
            dim3 grid,
            dim3 block,
            std::size_t shared,
            cudaStream_t s,
            A&&... a) {
    kernel<<<grid, block, shared, s>>>(static_cast<P>(std::forward<A>(a))...);
}

/// For the first device.
inline std::string device_name() {
    cudaDeviceProp properties;
    const cudaError_t code = cudaGetDeviceProperties(&properties, 0);
    return code == cudaSuccess ? properties.name : cudaGetErrorString(code);
}
/// The bytes of shared memory that a block may have on the first device.
inline std::size_t most_shared() {
    int bytes = 48 * 1024;
    cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0);
    return static_cast<std::size_t>(bytes);
}
}  // namespace sitewise::cuda

#else
#include "hostexec.hpp"

#define SITEWISE_SHARED(T, name, n) \
    struct name##_tag;              \
    T(&name)[n] = ::hostexec::shared<T[n], name##_tag>()
#define SITEWISE_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::hostexec::dynamic_shared())

namespace sitewise::cuda {
template <class... P, class... A>
void launch(const char* name,
            void (*kernel)(P...),
            dim3 grid,
            dim3 block,
            std::size_t shared,
            cudaStream_t s,
            A&&... a) {
    ::hostexec::launch_kernel(name, kernel, grid, block, shared, s, std::forward<A>(a)...);
}

inline std::string device_name() {
    return "executed on the processor, for tests";
}
inline std::size_t most_shared() {
    return 99 * 1024;  // as on devices of sm_86, which have the least since sm_80
}
}  // namespace sitewise::cuda
#endif

/// kernel<<<grid, block, shared, stream>>>(arguments...)
#define SITEWISE_LAUNCH(kernel, grid, block, shared, stream, ...) \
    ::sitewise::cuda::launch(#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)
