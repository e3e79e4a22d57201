// Host-execution shim: lets the project's .cu files be compiled by a plain C++17 compiler
// (g++ -x c++ -I<this dir>) and EXECUTED on the CPU, one user-level fiber per CUDA thread.
// It is a functional emulator for tests. It says nothing about GPU speed.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define SITEWISE_HOSTEXEC 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
// __shared__ and __constant__ are left undefined on purpose: kernels must use SITEWISE_SHARED / kernel
// arguments, so that the shim can bound-check and poison every shared array.

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct double3 {
    double x, y, z;
};
static const int warpSize = 32;

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDevicePointer = 17,
    cudaErrorNoDevice = 100,
    cudaErrorLaunchFailure = 719
};
enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

namespace hostexec {
struct Stream;
struct Lane {  // what a kernel can see of "its" thread
    uint3 thread, block;
    unsigned linear, lane;  // index in the block, index in the warp
};
extern Lane* self;
extern dim3 grid_dim, block_dim;

enum class WarpOp : std::uint8_t { sync, shfl, ballot };
void block_barrier(int kind_id, const char* file, int line);
std::uint64_t warp_op(WarpOp op,
                      unsigned mask,
                      std::uint64_t value,
                      unsigned src,
                      const char* file,
                      int line);
void* shared_array(const void* key, std::size_t bytes);
void* dynamic_shared();
void atomic_point(const void* address);  // possible preemption around an atomic operation
struct Kernel {                          // what a launch runs, and the same for the recorder
    const char* name;
    std::function<void()> body;
    const void* function;
    std::vector<std::string> arguments;  // the bytes of each
};
void launch(dim3 grid, dim3 block, std::size_t shmem, Stream* stream, Kernel kernel);
void check_pointer_argument(const void* p, int index, const char* name);

struct Options {             // also read from the environment: HOSTEXEC_SEED, HOSTEXEC_ASYNC
    std::uint64_t seed = 0;  // 0: ascending thread order, 1: descending, else random
    bool async = false;      // queue stream work until a synchronisation asks for it
};
Options& options();
struct Stats {
    std::uint64_t launches, blocks, switches, barriers, warp_ops, atomics;
};
Stats& stats();

template <class T, class Tag>
T& shared() {
    static char key;  // one per (type, tag, enclosing instantiation)
    return *static_cast<T*>(shared_array(&key, sizeof(T)));
}
template <class T>
std::uint64_t to_bits(T v) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "shuffle type");
    std::uint64_t b = 0;
    std::memcpy(&b, &v, sizeof v);
    return b;
}
template <class T>
T from_bits(std::uint64_t b) {
    T v;
    std::memcpy(&v, &b, sizeof v);
    return v;
}

template <class T, class F>
T atomic_rmw(T* p, F f) {
    using I = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomic type");
    atomic_point(p);
    I* ip = reinterpret_cast<I*>(p);
    I old = __atomic_load_n(ip, __ATOMIC_RELAXED), want;
    do {
        want = static_cast<I>(to_bits(f(from_bits<T>(old))));
    } while (!__atomic_compare_exchange_n(ip, &old, want, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return from_bits<T>(old);
}
template <class... P, class Tuple, std::size_t... I>
void check_args(const Tuple& t, const char* name, std::index_sequence<I...>) {
    auto one = [&](auto v, int i) {
        if constexpr (std::is_pointer_v<decltype(v)>) check_pointer_argument(v, i, name);
    };
    (one(std::get<I>(t), static_cast<int>(I)), ...);
}
template <class... P, class... A>
void launch_kernel(const char* name, void (*k)(P...), dim3 g, dim3 b, std::size_t sh, Stream* s, A&&... a) {
    std::tuple<std::decay_t<P>...> args(static_cast<std::decay_t<P>>(std::forward<A>(a))...);
    check_args(args, name, std::index_sequence_for<P...>{});
    Kernel kernel{name, [k, args] { std::apply(k, args); }, reinterpret_cast<const void*>(k), {}};
    std::apply(
        [&](const auto&... a) {
            (kernel.arguments.emplace_back(reinterpret_cast<const char*>(&a), sizeof a), ...);
        },
        args);
    launch(g, b, sh, s, std::move(kernel));
}
}  // namespace hostexec

#define threadIdx (::hostexec::self->thread)
#define blockIdx (::hostexec::self->block)
#define blockDim (::hostexec::block_dim)
#define gridDim (::hostexec::grid_dim)

#define HX_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
inline void __syncthreads(HX_HERE) {
    hostexec::block_barrier(0, file, line);
}
inline void __syncwarp(unsigned m = 0xffffffffu, HX_HERE) {
    hostexec::warp_op(hostexec::WarpOp::sync, m, 0, 0, file, line);
}
inline unsigned __ballot_sync(unsigned m, int pred, HX_HERE) {
    return static_cast<unsigned>(hostexec::warp_op(hostexec::WarpOp::ballot, m, pred != 0, 0, file, line));
}
inline int __any_sync(unsigned m, int p, HX_HERE) {
    return __ballot_sync(m, p, file, line) != 0;
}
inline int __all_sync(unsigned m, int p, HX_HERE) {
    return __ballot_sync(m, !p, file, line) == 0;
}
template <class T>
T __shfl_sync(unsigned m, T v, int src, int width = 32, HX_HERE) {
    const unsigned l = hostexec::self->lane, w = static_cast<unsigned>(width);
    return hostexec::from_bits<T>(hostexec::warp_op(hostexec::WarpOp::shfl, m, hostexec::to_bits(v),
                                                    (l & ~(w - 1)) | (static_cast<unsigned>(src) & (w - 1)),
                                                    file, line));
}
template <class T>
T __shfl_xor_sync(unsigned m, T v, int x, int width = 32, HX_HERE) {
    const unsigned l = hostexec::self->lane, w = static_cast<unsigned>(width);
    unsigned s = l ^ static_cast<unsigned>(x);
    if ((s & ~(w - 1)) > (l & ~(w - 1))) s = l;
    return hostexec::from_bits<T>(
        hostexec::warp_op(hostexec::WarpOp::shfl, m, hostexec::to_bits(v), s, file, line));
}
template <class T>
T __shfl_down_sync(unsigned m, T v, unsigned d, int width = 32, HX_HERE) {
    const unsigned l = hostexec::self->lane, w = static_cast<unsigned>(width);
    return hostexec::from_bits<T>(hostexec::warp_op(hostexec::WarpOp::shfl, m, hostexec::to_bits(v),
                                                    (l & (w - 1)) + d < w ? l + d : l, file, line));
}
template <class T>
T __shfl_up_sync(unsigned m, T v, unsigned d, int width = 32, HX_HERE) {
    const unsigned l = hostexec::self->lane, w = static_cast<unsigned>(width);
    return hostexec::from_bits<T>(hostexec::warp_op(hostexec::WarpOp::shfl, m, hostexec::to_bits(v),
                                                    (l & (w - 1)) >= d ? l - d : l, file, line));
}
template <class T>
T atomicAdd(T* p, T v) {
    return hostexec::atomic_rmw(p, [v](T o) { return static_cast<T>(o + v); });
}
template <class T>
T atomicMax(T* p, T v) {
    return hostexec::atomic_rmw(p, [v](T o) { return o < v ? v : o; });
}
template <class T>
T atomicMin(T* p, T v) {
    return hostexec::atomic_rmw(p, [v](T o) { return v < o ? v : o; });
}
template <class T>
T atomicExch(T* p, T v) {
    return hostexec::atomic_rmw(p, [v](T) { return v; });
}
template <class T>
T atomicCAS(T* p, T c, T v) {
    return hostexec::atomic_rmw(p, [c, v](T o) { return o == c ? v : o; });
}
inline void __threadfence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
template <class T>
T __ldg(const T* p) {
    return *p;
}
inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}
inline float rsqrtf(float x) {
    return 1.0f / std::sqrt(x);
}
inline double rsqrt(double x) {
    return 1.0 / std::sqrt(x);
}

// ---- runtime API subset -----------------------------------------------------------------------
using cudaStream_t = hostexec::Stream*;
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaMalloc(void**, std::size_t);
template <class T>
cudaError_t cudaMalloc(T** p, std::size_t n) {
    return cudaMalloc(reinterpret_cast<void**>(p), n);
}
cudaError_t cudaFree(void*);
cudaError_t cudaMemcpy(void*, const void*, std::size_t, cudaMemcpyKind);
cudaError_t cudaMemcpyAsync(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t = nullptr);
cudaError_t cudaMemset(void*, int, std::size_t);
cudaError_t cudaMemsetAsync(void*, int, std::size_t, cudaStream_t = nullptr);
cudaError_t cudaStreamCreate(cudaStream_t*);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t);
cudaError_t hx_set_max_dynamic_shared(std::size_t bytes);
template <class F>
cudaError_t cudaFuncSetAttribute(F, cudaFuncAttribute, int v) {
    return hx_set_max_dynamic_shared(static_cast<std::size_t>(v));
}
