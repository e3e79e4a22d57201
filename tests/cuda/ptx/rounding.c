// What numpy lacks: fused multiply-add, and other roundings than to nearest.

#include <fenv.h>
#include <math.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define ANY_PROCESSOR __attribute__((target_clones("fma", "default")))
#else
#define ANY_PROCESSOR
#endif

ANY_PROCESSOR void fma_double(long n, const double* a, const double* b, const double* c, double* out) {
    for (long i = 0; i < n; ++i) out[i] = fma(a[i], b[i], c[i]);
}

ANY_PROCESSOR void fma_float(long n, const float* a, const float* b, const float* c, float* out) {
    for (long i = 0; i < n; ++i) out[i] = fmaf(a[i], b[i], c[i]);
}

// toward minus infinity, by which nvcc's expf finds an integer
void fma_float_down(long n, const float* a, const float* b, const float* c, float* out) {
    fesetround(FE_DOWNWARD);
    for (long i = 0; i < n; ++i) out[i] = fmaf(a[i], b[i], c[i]);
    fesetround(FE_TONEAREST);
}

void add_float_to_zero(long n, const float* a, const float* b, float* out) {
    fesetround(FE_TOWARDZERO);
    for (long i = 0; i < n; ++i) out[i] = a[i] + b[i];
    fesetround(FE_TONEAREST);
}
