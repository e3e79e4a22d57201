#pragma once

// Products with the derivatives that training caches.

#include <cstddef>

#include "simd.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

using std::size_t;

constexpr size_t prefetch_distance =
    12288;  // bytes ahead: the derivatives of all atoms are read one after the other

// Calls work<rows>(first row) for blocks of 8 rows and for the rest.
template <int rows, class Work>
SITEWISE_INLINE void row_blocks(size_t count, size_t q, Work work) {
    for (; q + rows <= count; q += rows) work(Count<rows>{}, q);
    if constexpr (rows > 1) row_blocks<rows / 2>(count, q, work);
}

void cached_vjp(size_t count, size_t width, const int* f, const float* D, const double* u, double* y) {
    using V = Vector<double>;
    for (size_t k = 0; count == 0 && k < width; ++k) y[k] = 0.0;
    row_blocks<8>(
        count, 0, [&](auto rows, size_t q) __attribute__((always_inline)) {
            constexpr int n = decltype(rows)::value;
            const float* A = D + q * width;
            V a[n];
            for (int r = 0; r < n; ++r) a[r] = broadcast(u[f[q + r]]);
            for (size_t k = 0; k < width; k += lanes<double>) {
                V sum = q ? load(y + k) : V{};
                for (int r = 0; r < n; ++r) {
                    const float* row = A + r * width + k;
                    __builtin_prefetch(reinterpret_cast<const char*>(row) + prefetch_distance);
                    sum += a[r] * widen(row);
                }
                store(y + k, sum);
            }
        });
}

void cached_jvp(size_t count, size_t width, const int* f, const float* D, const double* w, double* t) {
    using V = Vector<double>;
    row_blocks<8>(
        count, 0, [&](auto rows, size_t q) __attribute__((always_inline)) {
            constexpr int n = decltype(rows)::value;
            const float* A = D + q * width;
            V total[n] = {};
            for (size_t k = 0; k < width; k += lanes<double>) {
                const V x = load(w + k);
                for (int r = 0; r < n; ++r) total[r] += x * widen(A + r * width + k);
            }
            double s[n];
            if constexpr (n % 4 == 0)
                for (int r = 0; r < n; r += 4)
                    sums<double>(total[r], total[r + 1], total[r + 2], total[r + 3], s + r);
            else
                for (int r = 0; r < n; ++r) s[r] = sum<double>(total[r]);
            for (int r = 0; r < n; ++r) t[f[q + r]] += s[r];
        });
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
