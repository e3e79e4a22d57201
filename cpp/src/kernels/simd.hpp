#pragma once

// Vectors of the width of the instruction set that this file is compiled for, and the operations that the
// compiler's vector types lack. Everything is always inlined, see core/math.hpp.

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "math.hpp"

namespace sitewise::SITEWISE_ISA {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class Real>
struct VectorOf;
template <>
struct VectorOf<double> {
    typedef double type __attribute__((vector_size(vector_bytes)));
    typedef double unaligned __attribute__((vector_size(vector_bytes), aligned(8)));
    typedef std::int64_t bits __attribute__((vector_size(vector_bytes)));
};
template <>
struct VectorOf<float> {
    typedef float type __attribute__((vector_size(vector_bytes)));
    typedef float unaligned __attribute__((vector_size(vector_bytes), aligned(4)));
    typedef std::int32_t bits __attribute__((vector_size(vector_bytes)));
};
template <class Real>
using Vector = typename VectorOf<Real>::type;
template <class Real>
using Bits = typename VectorOf<Real>::bits;
template <class Real>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(Real));

// Not by memcpy, after which the compiler would believe that any variable may have changed.
template <class Real>
SITEWISE_INLINE Vector<Real> load(const Real* p) {
    return *reinterpret_cast<const typename VectorOf<Real>::unaligned*>(p);
}

template <class Real>
SITEWISE_INLINE void store(Real* p, Vector<Real> v) {
    *reinterpret_cast<typename VectorOf<Real>::unaligned*>(p) = v;
}

template <class Real>
SITEWISE_INLINE Vector<Real> broadcast(Real x) {
    return x - Vector<Real>{};
}

/// p[i[0]], p[i[1]], ...
template <class Real>
SITEWISE_INLINE Vector<Real> gather(const Real* p, const std::int32_t* i) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8)
        return (Vector<Real>)_mm512_i32gather_pd(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(i)), p,
                                                 8);
    else
        return (Vector<Real>)_mm512_i32gather_ps(_mm512_loadu_si512(i), p, 4);
#else
    Vector<Real> v{};
    for (int l = 0; l < lanes<Real>; ++l) v[l] = p[i[l]];
    return v;
#endif
}

template <class Real>
SITEWISE_INLINE Real sum(Vector<Real> v) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8)
        return _mm512_reduce_add_pd((__m512d)v);
    else
        return _mm512_reduce_add_ps((__m512)v);
#else
    Real total = v[0];
    for (int l = 1; l < lanes<Real>; ++l) total += v[l];
    return total;
#endif
}

/// The sums of four vectors
template <class Real>
SITEWISE_INLINE void sums(Vector<Real> a, Vector<Real> b, Vector<Real> c, Vector<Real> d, Real* out) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8) {
        // pairs of lanes, then the four quarters
        const auto add = [](__m512d u, __m512d v) __attribute__((always_inline)) {
            const __m512d w = _mm512_add_pd(_mm512_unpacklo_pd(u, v), _mm512_unpackhi_pd(u, v));
            const __m256d half = _mm256_add_pd(_mm512_castpd512_pd256(w), _mm512_extractf64x4_pd(w, 1));
            return _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
        };
        _mm_storeu_pd(out, add((__m512d)a, (__m512d)b));
        _mm_storeu_pd(out + 2, add((__m512d)c, (__m512d)d));
        return;
    }
#endif
    out[0] = sum<Real>(a);
    out[1] = sum<Real>(b);
    out[2] = sum<Real>(c);
    out[3] = sum<Real>(d);
}

/// Bit l is set where v[l] < limit.
template <class Real>
SITEWISE_INLINE std::uint32_t below(Vector<Real> v, Real limit) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8)
        return _mm512_cmp_pd_mask((__m512d)v, _mm512_set1_pd(limit), _CMP_LT_OQ);
    else
        return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(limit), _CMP_LT_OQ);
#elif defined(__AVX2__)
    const Bits<Real> inside = v < limit;
    if constexpr (sizeof(Real) == 8)
        return static_cast<std::uint32_t>(_mm256_movemask_pd((__m256d)inside));
    else
        return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)inside));
#else
    std::uint32_t bits = 0;
    for (int l = 0; l < lanes<Real>; ++l) bits |= static_cast<std::uint32_t>(v[l] < limit) << l;
    return bits;
#endif
}

/// The lanes whose bits are set, to the front of p; the rest of a whole vector behind them is overwritten.
template <class Real>
SITEWISE_INLINE void compress(Real* p, std::uint32_t bits, Vector<Real> v) {
#if defined(__AVX512F__)
    // Compressed in the register: a store of all lanes is much faster than a compressing store.
    if constexpr (sizeof(Real) == 8)
        _mm512_storeu_pd(p, _mm512_maskz_compress_pd(static_cast<__mmask8>(bits), (__m512d)v));
    else
        _mm512_storeu_ps(p, _mm512_maskz_compress_ps(static_cast<__mmask16>(bits), (__m512)v));
#else
    for (int l = 0, n = 0; l < lanes<Real>; ++l) {
        p[n] = v[l];
        n += (bits >> l) & 1;
    }
#endif
}

/// The same of the numbers first, first + 1, ... of as many lanes as those of Real
template <class Real>
SITEWISE_INLINE void compress_numbers(std::int32_t* p, std::uint32_t bits, std::int32_t first) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8) {
        const __m256i n =
            _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                            _mm256_maskz_compress_epi32(static_cast<__mmask8>(bits), n));
    } else {
        const __m512i n =
            _mm512_add_epi32(_mm512_set1_epi32(first),
                             _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
        _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(static_cast<__mmask16>(bits), n));
    }
#else
    for (int l = 0, n = 0; l < lanes<Real>; ++l) {
        p[n] = first + l;
        n += (bits >> l) & 1;
    }
#endif
}

template <class Real>
SITEWISE_INLINE void fill_numbers(std::int32_t* p, std::int32_t number) {
    for (int l = 0; l < lanes<Real>; ++l) p[l] = number;
}

/// The opposite of compress: the values from p on in the lanes whose bits are set, 0 in the others
template <class Real>
SITEWISE_INLINE Vector<Real> expand(const Real* p, std::uint32_t bits) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8)
        return (Vector<Real>)_mm512_maskz_expand_pd(static_cast<__mmask8>(bits), _mm512_loadu_pd(p));
    else
        return (Vector<Real>)_mm512_maskz_expand_ps(static_cast<__mmask16>(bits), _mm512_loadu_ps(p));
#else
    Vector<Real> v{};
    for (int l = 0, n = 0; l < lanes<Real>; ++l) {
        const Real keep = (bits >> l) & 1;
        v[l] = keep * p[n];
        n += (bits >> l) & 1;
    }
    return v;
#endif
}

}  // namespace sitewise::SITEWISE_ISA

namespace sitewise::core {

using namespace sitewise::SITEWISE_ISA;

/// exp by reduction to |r| <= ln(2)/2 and a polynomial, relative error 1e-15 (2e-7 in single precision);
/// below the smallest normal number it is that number or 0.
template <class Real>
SITEWISE_INLINE Vector<Real> exponential(Vector<Real> x) {
    constexpr bool single = sizeof(Real) == 4;
    constexpr double c[] = {0.999999999999999997,    1.0,
                            0.50000000000000184,     0.166666666666666808,
                            0.0416666666664879525,   0.00833333333331958962,
                            0.00138888889523528629,  0.000198412698900764028,
                            0.000024801485441561313, 2.75572408872298686e-6,
                            2.76326547225277919e-7,  2.51100492048186598e-8};
    constexpr float cf[] = {1.0f,          1.00000004f,    0.500000005f,  0.166664154f,
                            0.0416663528f, 0.00837513478f, 0.00139411189f};
    constexpr Real lowest = single ? Real(-87) : Real(-708), highest = single ? Real(88) : Real(709);
    constexpr Real magic = single ? Real(12582912) : Real(6755399441055744);  // 1.5 2^23, 1.5 2^52
    constexpr Real ln2_high = single ? Real(0.693359375) : Real(6.93147180369123816490e-01);
    constexpr Real ln2_low = single ? Real(-2.12194440e-4) : Real(1.90821492927058770002e-10);
    const Vector<Real> y = x < lowest ? broadcast(lowest) : (x > highest ? broadcast(highest) : x);
    const Vector<Real> shifted = y * Real(1.4426950408889634) + magic, n = shifted - magic;
    const Vector<Real> r = (y - n * ln2_high) - n * ln2_low;
    Vector<Real> p;
    if constexpr (single)
        p = horner(cf, r);
    else
        p = horner(c, r);
    constexpr int mantissa = single ? 23 : 52, bias = single ? 127 : 1023;
    Bits<Real> scale;  // 2^n: the low bits of `shifted` are n
    std::memcpy(&scale, &shifted, sizeof scale);
    scale = (scale + bias) << mantissa;
    Vector<Real> power;
    std::memcpy(&power, &scale, sizeof power);
    return p * power;
}

/// What has no vector form here goes one lane at a time through the C library: it is hardly used.
#define SITEWISE_LANES(V, expression)                  \
    V y{};                                             \
    for (int l = 0; l < count; ++l) y[l] = expression; \
    return y

template <>
struct Math<Vector<double>> {
    using Real = double;
    using V = Vector<double>;
    static constexpr int count = lanes<double>;
    static SITEWISE_INLINE V sqrt(V x) {
#if defined(__AVX512F__)
        return (V)_mm512_sqrt_pd((__m512d)x);
#elif defined(__AVX2__)
        return (V)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
        return (V)_mm_sqrt_pd((__m128d)x);
#else
        SITEWISE_LANES(V, __builtin_sqrt(x[l]));
#endif
    }
    static SITEWISE_INLINE V exp(V x) { return exponential<double>(x); }
    static SITEWISE_INLINE V log1p(V x) { SITEWISE_LANES(V, __builtin_log1p(x[l])); }
    static SITEWISE_INLINE V acos(V x) { SITEWISE_LANES(V, __builtin_acos(x[l])); }
    static SITEWISE_INLINE V sin(V x) { SITEWISE_LANES(V, __builtin_sin(x[l])); }
    static SITEWISE_INLINE V cos(V x) { SITEWISE_LANES(V, __builtin_cos(x[l])); }
    static SITEWISE_INLINE V pow(V x, double p) { SITEWISE_LANES(V, __builtin_pow(x[l], p)); }
};

template <>
struct Math<Vector<float>> {
    using Real = float;
    using V = Vector<float>;
    static constexpr int count = lanes<float>;
    static SITEWISE_INLINE V sqrt(V x) {
#if defined(__AVX512F__)
        return (V)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
        return (V)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
        return (V)_mm_sqrt_ps((__m128)x);
#else
        SITEWISE_LANES(V, __builtin_sqrtf(x[l]));
#endif
    }
    static SITEWISE_INLINE V exp(V x) { return exponential<float>(x); }
    static SITEWISE_INLINE V log1p(V x) { SITEWISE_LANES(V, __builtin_log1pf(x[l])); }
    static SITEWISE_INLINE V acos(V x) { SITEWISE_LANES(V, __builtin_acosf(x[l])); }
    static SITEWISE_INLINE V sin(V x) { SITEWISE_LANES(V, __builtin_sinf(x[l])); }
    static SITEWISE_INLINE V cos(V x) { SITEWISE_LANES(V, __builtin_cosf(x[l])); }
    static SITEWISE_INLINE V pow(V x, float p) { SITEWISE_LANES(V, __builtin_powf(x[l], p)); }
};
#undef SITEWISE_LANES

}  // namespace sitewise::core
