#pragma once

#define SITEWISE_PRAGMA(text) _Pragma(#text)

/// SITEWISE_HOST_DEVICE before a function that runs on the processor and on the device; SITEWISE_UNROLL
/// before a loop of at most 16 passes that is written out there, SITEWISE_UNROLL_BY(n) before one written out
/// n times.
#ifdef __CUDACC__
#define SITEWISE_HOST_DEVICE __host__ __device__
#define SITEWISE_UNROLL SITEWISE_PRAGMA(unroll)
#define SITEWISE_UNROLL_BY(n) SITEWISE_PRAGMA(unroll n)
#else
#define SITEWISE_HOST_DEVICE
#define SITEWISE_UNROLL SITEWISE_PRAGMA(GCC unroll 16)
#define SITEWISE_UNROLL_BY(n) SITEWISE_PRAGMA(GCC unroll n)
#endif
