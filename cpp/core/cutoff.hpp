#pragma once

#include <cmath>

#include "sitewise/symmetry.hpp"

namespace sitewise::core {

constexpr double pi = 3.14159265358979323846;

/// A function of one variable and its derivative.
struct ValueSlope {
    double value, slope;
};

/// The functions of x in [0, 1] that fall from 1 to 0; n2p2's CoreFunction.
inline ValueSlope falling(CutoffType type, double x) {
    const double x2 = x * x, y = 1.0 - x;
    switch (type) {
        case CutoffType::cosine:
            return {0.5 * (std::cos(pi * x) + 1.0), -0.5 * pi * std::sin(pi * x)};
        case CutoffType::exponential: {
            const double t = 1.0 / (x2 - 1.0), e = std::exp(1.0 + t);
            return {e, -2.0 * x * t * t * e};
        }
        // n2p2's polynomials, factored by (1 - x): no cancellation near the cutoff
        case CutoffType::poly1:
            return {y * y * (1.0 + 2.0 * x), -6.0 * x * y};
        case CutoffType::poly2:
            return {y * y * y * (1.0 + x * (3.0 + 6.0 * x)), -30.0 * x2 * y * y};
        case CutoffType::poly3:
            return {y * y * y * y * (1.0 + x * (4.0 + x * (10.0 + 20.0 * x))), -140.0 * x * x2 * y * y * y};
        case CutoffType::poly4:
            return {y * y * y * y * y * (1.0 + x * (5.0 + x * (15.0 + x * (35.0 + 70.0 * x)))),
                    -630.0 * x2 * x2 * y * y * y * y};
        default:  // hard; tanhu and tanh are functions of 1 - r/rc, see cutoff()
            return {1.0, 0.0};
    }
}

/// fc(r) and dfc/dr; 0 from rc on. Formulas of n2p2's manual, "Cutoff functions".
inline ValueSlope cutoff(Cutoff function, double rc, double r) {
    if (r >= rc) return {0.0, 0.0};
    if (function.type == CutoffType::tanhu || function.type == CutoffType::tanh) {
        const double t = std::tanh(1.0 - r / rc), t2 = t * t;
        // tanh is tanhu normalised to fc(0) = 1
        const double c = function.type == CutoffType::tanh ? std::pow(std::tanh(1.0), -3.0) : 1.0;
        return {c * t * t2, 3.0 * c * t2 * (t2 - 1.0) / rc};
    }
    const double inner = function.alpha * rc;
    if (r < inner) return {1.0, 0.0};
    const double width = rc - inner;
    const ValueSlope f = falling(function.type, (r - inner) / width);
    return {f.value, f.slope / width};
}

/// R(r) = exp(-eta (r - rs)^2) fc(r) and (dR/dr)/r, the factor of the vector r in the gradient.
inline ValueSlope radial(double eta, double rs, double r, ValueSlope fc) {
    const double d = r - rs, e = std::exp(-eta * d * d);
    return {e * fc.value, e * (fc.slope - 2.0 * eta * d * fc.value) / r};
}

}  // namespace sitewise::core
