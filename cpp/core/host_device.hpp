#pragma once

/// Before a function that runs on the processor and on the device, and before a loop of at most 16 passes
/// that is written out there.
#ifdef __CUDACC__
#define SITEWISE_HOST_DEVICE __host__ __device__
#define SITEWISE_UNROLL _Pragma("unroll")
#else
#define SITEWISE_HOST_DEVICE
#define SITEWISE_UNROLL _Pragma("GCC unroll 16")
#endif
