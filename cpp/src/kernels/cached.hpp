#pragma once

// Products with the derivatives that training keeps.

#include <cstddef>

namespace sitewise::SITEWISE_ISA {
namespace {

using std::size_t;

// Four rows at a time, so that y, or w, is loaded once for them.
void pull(size_t count, size_t width, const int* f, const float* D, const double* u, double* y) {
    size_t q = 0;
    for (; q + 4 <= count; q += 4) {
        const double a = u[f[q]], b = u[f[q + 1]], c = u[f[q + 2]], d = u[f[q + 3]];
        const float *A = D + q * width, *B = A + width, *C = B + width, *E = C + width;
#pragma omp simd
        for (size_t k = 0; k < width; ++k) y[k] += (a * A[k] + b * B[k]) + (c * C[k] + d * E[k]);
    }
    for (; q < count; ++q) {
        const double a = u[f[q]];
        const float* A = D + q * width;
#pragma omp simd
        for (size_t k = 0; k < width; ++k) y[k] += a * A[k];
    }
}

void push(size_t count, size_t width, const int* f, const float* D, const double* w, double* t) {
    size_t q = 0;
    for (; q + 4 <= count; q += 4) {
        const float *A = D + q * width, *B = A + width, *C = B + width, *E = C + width;
        double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
#pragma omp simd reduction(+ : a, b, c, d)
        for (size_t k = 0; k < width; ++k) {
            a += A[k] * w[k];
            b += B[k] * w[k];
            c += C[k] * w[k];
            d += E[k] * w[k];
        }
        t[f[q]] += a;
        t[f[q + 1]] += b;
        t[f[q + 2]] += c;
        t[f[q + 3]] += d;
    }
    for (; q < count; ++q) {
        const float* A = D + q * width;
        double a = 0.0;
#pragma omp simd reduction(+ : a)
        for (size_t k = 0; k < width; ++k) a += A[k] * w[k];
        t[f[q]] += a;
    }
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
