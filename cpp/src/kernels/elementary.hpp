#pragma once

// Elementary functions of vectors. All but exp use the reductions and polynomials of fdlibm (Sun
// Microsystems, 1993). Errors are a few roundings. sitewise/network.hpp and the tests bound the errors of
// functions that use these.

#include "simd.hpp"

namespace sitewise::core {

using namespace sitewise::SITEWISE_ISA;

template <class Real>
SITEWISE_INLINE Bits<Real> bits_of(Vector<Real> x) {
    Bits<Real> bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

template <class Real>
SITEWISE_INLINE Vector<Real> from_bits(Bits<Real> bits) {
    Vector<Real> x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

template <class Real>
struct Float {
    static constexpr bool single = sizeof(Real) == 4;
    static constexpr int mantissa = single ? 23 : 52, bias = single ? 127 : 1023;
    static constexpr Real rounding = single ? Real(12582912) : Real(6755399441055744);  // 1.5 2^mantissa
};

/// exp by reduction to |r| <= ln(2)/2 and a polynomial, with relative error 1e-15 (2e-7 in single precision).
/// A result below the smallest normal number is replaced by that number or 0.
template <class Real>
SITEWISE_INLINE Vector<Real> exponential(Vector<Real> x) {
    using F = Float<Real>;
    constexpr double c[] = {0.999999999999999997,    1.0,
                            0.50000000000000184,     0.166666666666666808,
                            0.0416666666664879525,   0.00833333333331958962,
                            0.00138888889523528629,  0.000198412698900764028,
                            0.000024801485441561313, 2.75572408872298686e-6,
                            2.76326547225277919e-7,  2.51100492048186598e-8};
    constexpr float cf[] = {1.0f,          1.00000004f,    0.500000005f,  0.166664154f,
                            0.0416663528f, 0.00837513478f, 0.00139411189f};
    constexpr Real lowest = F::single ? Real(-87) : Real(-708), highest = F::single ? Real(88) : Real(709);
    constexpr Real ln2_high = F::single ? Real(0.693359375) : Real(6.93147180369123816490e-01);
    constexpr Real ln2_low = F::single ? Real(-2.12194440e-4) : Real(1.90821492927058770002e-10);
    const Vector<Real> y = x < lowest ? broadcast(lowest) : (x > highest ? broadcast(highest) : x);
    const Vector<Real> shifted = y * Real(1.4426950408889634) + F::rounding, n = shifted - F::rounding;
    const Vector<Real> r = (y - n * ln2_high) - n * ln2_low;
    Vector<Real> p;
    if constexpr (F::single)
        p = horner(cf, r);
    else
        p = horner(c, r);
    // 2^n: the low bits of `shifted` are n
    return p * from_bits<Real>((bits_of<Real>(shifted) + F::bias) << F::mantissa);
}

/// log of normal numbers
template <class Real>
SITEWISE_INLINE Vector<Real> logarithm(Vector<Real> x) {
    using F = Float<Real>;
    constexpr double c[] = {6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                            2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                            1.479819860511658591e-01};
    constexpr Real ln2_high = F::single ? Real(0.693359375) : Real(6.93147180369123816490e-01);
    constexpr Real ln2_low = F::single ? Real(-2.12194440e-4) : Real(1.90821492927058770002e-10);
    const Bits<Real> bits = bits_of<Real>(x), one = bits_of<Real>(broadcast(Real(1)));
    const Bits<Real> low = bits & ((typename VectorOf<Real>::integer(1) << F::mantissa) - 1);
    Vector<Real> m = from_bits<Real>(low | one);
    Vector<Real> e = __builtin_convertvector((bits >> F::mantissa) - F::bias, Vector<Real>);
    const Bits<Real> large = m > Real(1.4142135623730951);
    m = large ? Real(0.5) * m : m;
    e = large ? e + Real(1) : e;
    const Vector<Real> f = m - Real(1), s = f / (Real(2) + f), z = s * s;
    const Vector<Real> half = Real(0.5) * f * f, R = z * horner(c, z);
    return e * ln2_high - ((half - (s * (half + R) + e * ln2_low)) - f);
}

/// log(1 + x) for 0 <= x <= 1
template <class Real>
SITEWISE_INLINE Vector<Real> logarithm_plus_one(Vector<Real> x) {
    const Vector<Real> u = x + Real(1);
    return logarithm<Real>(u) + (x - (u - Real(1))) / u;
}

/// x^p for x >= 0 and p > 0
template <class Real>
SITEWISE_INLINE Vector<Real> power(Vector<Real> x, Real p) {
    constexpr Real least = Float<Real>::single ? Real(1e-37) : Real(1e-300);
    const Vector<Real> y = exponential<Real>(p * logarithm<Real>(x > least ? x : broadcast(least)));
    return x > least ? y : Vector<Real>{};
}

template <class Real>
SITEWISE_INLINE Vector<Real> arc_cosine(Vector<Real> x) {
    constexpr double p[] = {1.66666666666666657415e-01, -3.25565818622400915405e-01,
                            2.01212532134862925881e-01, -4.00555345006794114027e-02,
                            7.91534994289814532176e-04, 3.47933107596021167570e-05};
    constexpr double q[] = {1.0, -2.40339491173441421878e+00, 2.02094576023350569471e+00,
                            -6.88283971605453293030e-01, 7.70381505559019352791e-02};
    const Vector<Real> y = absolute(x);
    const Bits<Real> near_zero = y < Real(0.5);
    const Vector<Real> z = near_zero ? y * y : Real(0.5) * (Real(1) - y);
    const Vector<Real> base = near_zero ? y : Math<Vector<Real>>::sqrt(z);
    const Vector<Real> arc = base + base * z * horner(p, z) / horner(q, z);  // the arc sine of base
    const Vector<Real> positive = near_zero ? Real(pi / 2) - arc : arc + arc;
    return x < Real(0) ? Real(pi) - positive : positive;
}

/// Sine and cosine of |x| < 10^5
template <class Real>
SITEWISE_INLINE void sine_and_cosine(Vector<Real> x, Vector<Real>* sine, Vector<Real>* cosine) {
    using F = Float<Real>;
    constexpr double S[] = {-1.66666666666666324348e-01, 8.33333333332248946124e-03,
                            -1.98412698298579493134e-04, 2.75573137070700676789e-06,
                            -2.50507602534068634195e-08, 1.58969099521155010221e-10};
    constexpr double C[] = {4.16666666666666019037e-02, -1.38888888888741095749e-03,
                            2.48015872894767294178e-05, -2.75573143513906633035e-07,
                            2.08757232129817482790e-09, -1.13596475577881948265e-11};
    // pi/2 in three parts, the first two short enough for exact products
    constexpr Real first = F::single ? Real(1.5703125) : Real(1.57079632673412561417e+00);
    constexpr Real second = F::single ? Real(4.837512969970703125e-4) : Real(6.07710050630396597660e-11);
    constexpr Real third = F::single ? Real(7.54978995489188216e-8) : Real(2.02226624879595063154e-21);
    const Vector<Real> shifted = x * Real(2 / pi) + F::rounding, n = shifted - F::rounding;
    const Vector<Real> r = ((x - n * first) - n * second) - n * third, z = r * r;
    const Vector<Real> s = r + r * z * horner(S, z), c = Real(1) - Real(0.5) * z + z * z * horner(C, z);
    const Bits<Real> quadrant = bits_of<Real>(shifted);
    const Bits<Real> odd = (quadrant & 1) != 0, lower = (quadrant & 2) != 0, left = ((quadrant + 1) & 2) != 0;
    *sine = odd ? c : s;
    *cosine = odd ? s : c;
    *sine = lower ? -*sine : *sine;
    *cosine = left ? -*cosine : *cosine;
}

template <class Real>
struct VectorMath {
    using V = Vector<Real>;
    static SITEWISE_INLINE V exp(V x) { return exponential<Real>(x); }
    static SITEWISE_INLINE V log1p(V x) { return logarithm_plus_one<Real>(x); }
    static SITEWISE_INLINE V acos(V x) { return arc_cosine<Real>(x); }
    static SITEWISE_INLINE void sincos(V x, V* s, V* c) { sine_and_cosine<Real>(x, s, c); }
    static SITEWISE_INLINE V pow(V x, Real p) { return power<Real>(x, p); }
};

// Improves an estimate y of 1/sqrt(x) by a step of Newton's method, which doubles the number of digits.
template <class Real>
SITEWISE_INLINE Vector<Real> improved(Vector<Real> x, Vector<Real> y) {
    return y + (Real(0.5) * y) * (Real(1) - (x * y) * y);
}

template <>
struct Math<Vector<double>> : VectorMath<double> {
    using Real = double;
    using V = Vector<double>;
    static SITEWISE_INLINE V inverse_sqrt(V x) {
#if defined(__AVX512F__)
        const V estimate = (V)_mm512_rsqrt14_pd((__m512d)x);
        return improved<double>(x, improved<double>(x, estimate));
#else
        return 1.0 / sqrt(x);
#endif
    }
    static SITEWISE_INLINE V sqrt(V x) {
#if defined(__AVX512F__)
        return (V)_mm512_sqrt_pd((__m512d)x);
#elif defined(__AVX2__)
        return (V)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
        return (V)_mm_sqrt_pd((__m128d)x);
#elif defined(__aarch64__)
        return (V)vsqrtq_f64((float64x2_t)x);
#else
        for (int l = 0; l < lanes<double>; ++l) x[l] = __builtin_sqrt(x[l]);
        return x;
#endif
    }
};

template <>
struct Math<Vector<float>> : VectorMath<float> {
    using Real = float;
    using V = Vector<float>;
    static SITEWISE_INLINE V inverse_sqrt(V x) {
#if defined(__AVX512F__)
        return improved<float>(x, (V)_mm512_rsqrt14_ps((__m512)x));
#else
        return 1.0f / sqrt(x);
#endif
    }
    static SITEWISE_INLINE V sqrt(V x) {
#if defined(__AVX512F__)
        return (V)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
        return (V)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
        return (V)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
        return (V)vsqrtq_f32((float32x4_t)x);
#else
        for (int l = 0; l < lanes<float>; ++l) x[l] = __builtin_sqrtf(x[l]);
        return x;
#endif
    }
};

}  // namespace sitewise::core
