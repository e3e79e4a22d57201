#pragma once

#include <cmath>

#include "host_device.hpp"

/// The formulas of this folder are compiled for several instruction sets and for CUDA devices. They are
/// always inlined, so that the linker finds no copy to share between instruction sets.
#define SITEWISE_INLINE SITEWISE_HOST_DEVICE __attribute__((always_inline)) inline
#define SITEWISE_INLINE_LAMBDA __attribute__((always_inline))

namespace sitewise::core {

constexpr double pi = 3.14159265358979323846;

/// A function of one variable and its derivative.
template <class V>
struct ValueSlope {
    V value, slope;
};

/// The operations that formulas need on a number V, which is a double or float here and a vector of them in
/// the kernels (simd.hpp). Real is the type of one number, and `condition ? a : b` must accept comparisons of
/// two V.
template <class V>
struct Math {
    using Real = V;
    static SITEWISE_INLINE V sqrt(V x) { return std::sqrt(x); }
    static SITEWISE_INLINE V exp(V x) { return std::exp(x); }
    static SITEWISE_INLINE V log1p(V x) { return std::log1p(x); }
    static SITEWISE_INLINE V acos(V x) { return std::acos(x); }
    static SITEWISE_INLINE void sincos(V x, V* s, V* c) {
        *s = std::sin(x);
        *c = std::cos(x);
    }
    static SITEWISE_INLINE V pow(V x, Real p) { return std::pow(x, p); }
};

template <class V>
SITEWISE_INLINE V absolute(V x) {
    return x < 0 ? -x : x;
}

/// sum of c[k] x^k, by Horner's rule
template <class V, int n, class Coefficient>
SITEWISE_INLINE V horner(const Coefficient (&c)[n], V x) {
    using Real = typename Math<V>::Real;
    V p = x * Real(0) + Real(c[n - 1]);
    SITEWISE_UNROLL
    for (int k = n - 2; k >= 0; --k) p = p * x + Real(c[k]);
    return p;
}

}  // namespace sitewise::core
