#pragma once

// Vectors as wide as the instruction set that this file is compiled for, and operations that the compiler's
// vector types lack. All functions are always inlined, see core/math.hpp.

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
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

/// 32 registers of vectors, in place of 16
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool many_registers = true;
#else
constexpr bool many_registers = false;
#endif

template <class Real>
struct VectorOf;
template <>
struct VectorOf<double> {
    typedef double type __attribute__((vector_size(vector_bytes)));
    typedef double unaligned __attribute__((vector_size(vector_bytes), aligned(8)));
    typedef std::int64_t integer;
    typedef integer bits __attribute__((vector_size(vector_bytes)));
    typedef float narrow __attribute__((vector_size(vector_bytes / 2), aligned(4)));
};
template <>
struct VectorOf<float> {
    typedef float type __attribute__((vector_size(vector_bytes)));
    typedef float unaligned __attribute__((vector_size(vector_bytes), aligned(4)));
    typedef std::int32_t integer;
    typedef integer bits __attribute__((vector_size(vector_bytes)));
};
template <class Real>
using Vector = typename VectorOf<Real>::type;
template <class Real>
using Bits = typename VectorOf<Real>::bits;
template <class Real>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(Real));

// This does not use memcpy, because the compiler would then assume that any variable may have changed.
template <class Real>
SITEWISE_INLINE Vector<Real> load(const Real* p) {
    return *reinterpret_cast<const typename VectorOf<Real>::unaligned*>(p);
}

template <class Real>
SITEWISE_INLINE void store(Real* p, Vector<Real> v) {
    *reinterpret_cast<typename VectorOf<Real>::unaligned*>(p) = v;
}

/// Converts as many floats as a vector has doubles, by one instruction; GCC would use more.
SITEWISE_INLINE Vector<double> widen(const float* p) {
#if defined(__AVX512F__)
    return (Vector<double>)_mm512_cvtps_pd(_mm256_loadu_ps(p));
#elif defined(__AVX2__)
    return (Vector<double>)_mm256_cvtps_pd(_mm_loadu_ps(p));
#elif defined(__aarch64__)
    return (Vector<double>)vcvt_f64_f32(vld1_f32(p));
#else
    return __builtin_convertvector(*reinterpret_cast<const VectorOf<double>::narrow*>(p), Vector<double>);
#endif
}

/// An int that is known at compile time, for parameters of lambdas
template <int n>
struct Count {
    static constexpr int value = n;
};

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

/// Tables with fewer entries are read faster by lookup() than by gather(); 0 if there is no such instruction.
template <class Real>
#if defined(__AVX512F__)
constexpr int lookup_size = 4 * lanes<Real>;
#else
constexpr int lookup_size = 0;
#endif

/// p[i[0]], p[i[1]], ... of a table of lookup_size entries, all of which are read, by permuting registers
template <class Real>
SITEWISE_INLINE Vector<Real> lookup(const Real* p, const std::int32_t* i) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8) {
        const __m512i n = _mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(i)));
        const __m512d low = _mm512_permutex2var_pd(_mm512_loadu_pd(p), n, _mm512_loadu_pd(p + 8));
        const __m512d high = _mm512_permutex2var_pd(_mm512_loadu_pd(p + 16), n, _mm512_loadu_pd(p + 24));
        return (Vector<Real>)_mm512_mask_blend_pd(_mm512_test_epi64_mask(n, _mm512_set1_epi64(16)), low,
                                                  high);
    } else {
        const __m512i n = _mm512_loadu_si512(i);
        const __m512 low = _mm512_permutex2var_ps(_mm512_loadu_ps(p), n, _mm512_loadu_ps(p + 16));
        const __m512 high = _mm512_permutex2var_ps(_mm512_loadu_ps(p + 32), n, _mm512_loadu_ps(p + 48));
        return (Vector<Real>)_mm512_mask_blend_ps(_mm512_test_epi32_mask(n, _mm512_set1_epi32(32)), low,
                                                  high);
    }
#else
    return gather(p, i);
#endif
}

template <class Real>
SITEWISE_INLINE Real sum(Vector<Real> v) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8)
        return _mm512_reduce_add_pd((__m512d)v);
    else
        return _mm512_reduce_add_ps((__m512)v);
#elif defined(__aarch64__)
    if constexpr (sizeof(Real) == 8)
        return vaddvq_f64((float64x2_t)v);
    else
        return vaddvq_f32((float32x4_t)v);
#else
    Real total = v[0];
    for (int l = 1; l < lanes<Real>; ++l) total += v[l];
    return total;
#endif
}

/// The first n lanes of v, and 0 in the others, even if these hold NaN
template <class Real>
SITEWISE_INLINE Vector<Real> first_lanes(Vector<Real> v, int n) {
    Bits<Real> lane;
    for (int l = 0; l < lanes<Real>; ++l) lane[l] = l;
    const auto count = static_cast<typename VectorOf<Real>::integer>(n);
    return (Vector<Real>)((Bits<Real>)v & (lane < count));
}

#if defined(__AVX2__)
/// The sums of four vectors of eight lanes
SITEWISE_INLINE void sums_of_eight(__m256 a, __m256 b, __m256 c, __m256 d, float* out) {
    const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}
#endif

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
    } else {
        const auto half = [](__m512 u) __attribute__((always_inline)) {
            return _mm256_add_ps(_mm512_castps512_ps256(u), _mm512_extractf32x8_ps(u, 1));
        };
        sums_of_eight(half((__m512)a), half((__m512)b), half((__m512)c), half((__m512)d), out);
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(Real) == 8) {
        // pairs of lanes, then both halves
        const __m256d ab = _mm256_hadd_pd((__m256d)a, (__m256d)b),
                      cd = _mm256_hadd_pd((__m256d)c, (__m256d)d);
        _mm256_storeu_pd(out,
                         _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x21), _mm256_blend_pd(ab, cd, 12)));
    } else {
        sums_of_eight((__m256)a, (__m256)b, (__m256)c, (__m256)d, out);
    }
#elif defined(__aarch64__)
    if constexpr (sizeof(Real) == 8) {
        vst1q_f64(out, vpaddq_f64((float64x2_t)a, (float64x2_t)b));
        vst1q_f64(out + 2, vpaddq_f64((float64x2_t)c, (float64x2_t)d));
    } else {
        vst1q_f32(out, vpaddq_f32(vpaddq_f32((float32x4_t)a, (float32x4_t)b),
                                  vpaddq_f32((float32x4_t)c, (float32x4_t)d)));
    }
#else
    out[0] = sum<Real>(a);
    out[1] = sum<Real>(b);
    out[2] = sum<Real>(c);
    out[3] = sum<Real>(d);
#endif
}

/// Bit l is set if v[l] < limit.
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
#elif defined(__aarch64__)
    Bits<Real> bits;
    for (int l = 0; l < lanes<Real>; ++l) bits[l] = 1 << l;
    bits &= v < limit;
    if constexpr (sizeof(Real) == 8)
        return static_cast<std::uint32_t>(vaddvq_u64((uint64x2_t)bits));
    else
        return vaddvq_u32((uint32x4_t)bits);
#else
    std::uint32_t bits = 0;
    for (int l = 0; l < lanes<Real>; ++l) bits |= static_cast<std::uint32_t>(v[l] < limit) << l;
    return bits;
#endif
}

#if (defined(__AVX2__) && !defined(__AVX512F__)) || defined(__aarch64__)
/// Permutations for each set of lanes, in the parts that an instruction moves: one that brings the lanes to
/// the front, its inverse, and the numbers of the lanes.
template <class Real>
struct Orders {
#if defined(__AVX2__)
    static constexpr int width = 8;  // of 32 bits
#else
    static constexpr int width = 16;  // of 8 bits, of which a number above all gives 0
#endif
    static constexpr int n = lanes<Real>, parts = width / n;
    std::uint8_t front[1 << n][width]{}, back[1 << n][width]{}, number[1 << n][8]{};

    constexpr Orders() {
        for (int bits = 0; bits < 1 << n; ++bits) {
            for (int part = 0; part < width; ++part) back[bits][part] = 0xff;
            for (int l = 0, at = 0; l < n; ++l) {
                if (!(bits >> l & 1)) continue;
                number[bits][at] = static_cast<std::uint8_t>(l);
                for (int part = 0; part < parts; ++part) {
                    front[bits][at * parts + part] = static_cast<std::uint8_t>(l * parts + part);
                    back[bits][l * parts + part] = static_cast<std::uint8_t>(at * parts + part);
                }
                ++at;
            }
        }
    }
};
template <class Real>
constexpr Orders<Real> orders{};
#endif

#if defined(__AVX2__) && !defined(__AVX512F__)
SITEWISE_INLINE __m256i eight(const std::uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}

template <class Real>
SITEWISE_INLINE Vector<Real> permute(Vector<Real> v, const std::uint8_t* order) {
    return (Vector<Real>)_mm256_permutevar8x32_ps((__m256)v, eight(order));
}
#elif defined(__aarch64__)
template <class Real>
SITEWISE_INLINE Vector<Real> permute(Vector<Real> v, const std::uint8_t* order) {
    return (Vector<Real>)vqtbl1q_u8((uint8x16_t)v, vld1q_u8(order));
}
#endif

/// Writes the lanes whose bits are set to the front of p, and overwrites p up to the length of a vector.
template <class Real>
SITEWISE_INLINE void compress(Real* p, std::uint32_t bits, Vector<Real> v) {
#if defined(__AVX512F__)
    // Compress in the register, because a store of all lanes is much faster than a compressing store.
    if constexpr (sizeof(Real) == 8)
        _mm512_storeu_pd(p, _mm512_maskz_compress_pd(static_cast<__mmask8>(bits), (__m512d)v));
    else
        _mm512_storeu_ps(p, _mm512_maskz_compress_ps(static_cast<__mmask16>(bits), (__m512)v));
#elif defined(__AVX2__) || defined(__aarch64__)
    store(p, permute<Real>(v, orders<Real>.front[bits]));
#else
    for (int l = 0, n = 0; l < lanes<Real>; ++l) {
        p[n] = v[l];
        n += (bits >> l) & 1;
    }
#endif
}

/// The same for the numbers first, first + 1, ..., with as many lanes as a vector of Real has
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
#elif defined(__AVX2__)
    const __m256i n = _mm256_add_epi32(_mm256_set1_epi32(first), eight(orders<Real>.number[bits]));
    if constexpr (sizeof(Real) == 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(n));
    else
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), n);
#elif defined(__aarch64__)
    const uint16x8_t number = vmovl_u8(vld1_u8(orders<Real>.number[bits]));
    const int32x4_t n = vaddq_s32(vdupq_n_s32(first), (int32x4_t)vmovl_u16(vget_low_u16(number)));
    if constexpr (sizeof(Real) == 8)
        vst1_s32(p, vget_low_s32(n));
    else
        vst1q_s32(p, n);
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

/// The inverse of compress: puts the values at p into the lanes whose bits are set, and 0 into the others,
/// even if the memory after the values holds NaN.
template <class Real>
SITEWISE_INLINE Vector<Real> expand(const Real* p, std::uint32_t bits) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 8)
        return (Vector<Real>)_mm512_maskz_expand_pd(static_cast<__mmask8>(bits), _mm512_loadu_pd(p));
    else
        return (Vector<Real>)_mm512_maskz_expand_ps(static_cast<__mmask16>(bits), _mm512_loadu_ps(p));
#elif defined(__aarch64__)
    return permute<Real>(load(p), orders<Real>.back[bits]);
#else
    Vector<Real> v{};
    Bits<Real> keep{};
#if defined(__AVX2__)
    v = permute<Real>(load(p), orders<Real>.back[bits]);
    for (int l = 0; l < lanes<Real>; ++l) keep[l] = 1 << l;
    keep = (keep & static_cast<typename VectorOf<Real>::integer>(bits)) != 0;
#else
    for (int l = 0, n = 0; l < lanes<Real>; ++l) {
        const int set = (bits >> l) & 1;
        v[l] = p[n];
        keep[l] = -set;
        n += set;
    }
#endif
    return (Vector<Real>)((Bits<Real>)v & keep);
#endif
}

}  // namespace sitewise::SITEWISE_ISA
