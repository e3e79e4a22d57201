#pragma once

#define SITEWISE_PRAGMA(text) _Pragma(#text)

/// SITEWISE_HOST_DEVICE precedes a function for the processor and the device. SITEWISE_UNROLL precedes a loop
/// of at most 16 passes that is unrolled on the device, and SITEWISE_UNROLL_BY(n) a loop that is unrolled n
/// times.
#ifdef __CUDACC__
#define SITEWISE_HOST_DEVICE __host__ __device__
#define SITEWISE_UNROLL SITEWISE_PRAGMA(unroll)
#define SITEWISE_UNROLL_BY(n) SITEWISE_PRAGMA(unroll n)
#else
#define SITEWISE_HOST_DEVICE
#define SITEWISE_UNROLL SITEWISE_PRAGMA(GCC unroll 16)
#define SITEWISE_UNROLL_BY(n) SITEWISE_PRAGMA(GCC unroll n)
#endif
