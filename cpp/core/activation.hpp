#pragma once

#include <cmath>

#include "sitewise/network.hpp"

namespace sitewise::core {

/// An activation function with its first and second derivative.
struct Activated {
    double value, first, second;
};

/// f(z), f'(z), f''(z) of n2p2's activation functions.
inline Activated activate(Activation activation, double z) {
    switch (activation) {
        case Activation::tanh: {
            const double t = std::tanh(z), d = 1.0 - t * t;
            return {t, d, -2.0 * t * d};
        }
        case Activation::logistic: {
            const double p = 1.0 / (1.0 + std::exp(-z)), d = p * (1.0 - p);
            return {p, d, d * (1.0 - 2.0 * p)};
        }
        case Activation::reverse_logistic: {
            const double p = 1.0 / (1.0 + std::exp(-z)), d = p * (1.0 - p);
            return {1.0 - p, -d, -d * (1.0 - 2.0 * p)};
        }
        case Activation::softplus: {
            const double p = 1.0 / (1.0 + std::exp(-z));
            // log(1 + e^z) without overflow for large z
            return {std::fmax(z, 0.0) + std::log1p(std::exp(-std::fabs(z))), p, p * (1.0 - p)};
        }
        case Activation::relu:
            return {z > 0.0 ? z : 0.0, z > 0.0 ? 1.0 : 0.0, 0.0};
        case Activation::gaussian: {
            const double g = std::exp(-0.5 * z * z);
            return {g, -z * g, (z * z - 1.0) * g};
        }
        case Activation::cosine: {
            const double c = std::cos(z);
            return {c, -std::sin(z), -c};
        }
        case Activation::exponential: {
            const double e = std::exp(-z);
            return {e, -e, e};
        }
        case Activation::harmonic:
            return {z * z, 2.0 * z, 2.0};
        case Activation::linear:
            break;
    }
    return {z, 1.0, 0.0};
}

}  // namespace sitewise::core
