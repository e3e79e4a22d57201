#pragma once

#include "math.hpp"
#include "sitewise/network.hpp"

namespace sitewise::core {

/// An activation function with its first and second derivative.
template <class V>
struct Activated {
    V value, first, second;
};

/// Computes f(z), f'(z), f''(z) of n2p2's activation functions. sitewise/network.hpp states the errors.
template <class V>
SITEWISE_INLINE Activated<V> activate(Activation activation, V z) {
    using Real = typename Math<V>::Real;
    const V one = z * Real(0) + Real(1);
    switch (activation) {
        case Activation::tanh: {
            const Real most = 20;  // above this, 1 - tanh is below rounding
            const V x = z > most ? one * most : (z < -most ? one * -most : z);
            const V t = one - Real(2) / (Math<V>::exp(x + x) + Real(1)), d = one - t * t;
            return {t, d, Real(-2) * t * d};
        }
        case Activation::logistic: {
            const V p = one / (one + Math<V>::exp(-z)), d = p * (one - p);
            return {p, d, d * (one - Real(2) * p)};
        }
        case Activation::reverse_logistic: {
            const V p = one / (one + Math<V>::exp(-z)), d = p * (one - p);
            return {one - p, -d, -d * (one - Real(2) * p)};
        }
        case Activation::softplus: {
            const V p = one / (one + Math<V>::exp(-z));
            // log(1 + e^z) without overflow for large z
            const V positive = z > Real(0) ? z : z * Real(0);
            return {positive + Math<V>::log1p(Math<V>::exp(-absolute(z))), p, p * (one - p)};
        }
        case Activation::relu:
            return {z > Real(0) ? z : z * Real(0), z > Real(0) ? one : z * Real(0), z * Real(0)};
        case Activation::gaussian: {
            const V g = Math<V>::exp(Real(-0.5) * z * z);
            return {g, -z * g, (z * z - one) * g};
        }
        case Activation::cosine: {
            V s, c;
            Math<V>::sincos(z, &s, &c);
            return {c, -s, -c};
        }
        case Activation::exponential: {
            const V e = Math<V>::exp(-z);
            return {e, -e, e};
        }
        case Activation::harmonic:
            return {z * z, Real(2) * z, Real(2) * one};
        case Activation::linear:
            break;
    }
    return {z, one, z * Real(0)};
}

}  // namespace sitewise::core
