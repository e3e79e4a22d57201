#pragma once

#include "math.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise::core {

/// A function of the distance r that vanishes outside an interval: a cutoff function, or the radial part of a
/// function with compact support.
template <class Real>
struct Envelope {
    CutoffType type;
    bool compact;     ///< f(|r - center| / width); otherwise f((r - center) / width), and 1 below the center
    bool asymmetric;  ///< f((2 - x) x) instead of f(x)
    bool of_square;   ///< needs only r^2
    Real rc2;         ///< the function is 0 beyond this squared distance
    Real center, inverse_width;
};

/// fc(r) of n2p2's manual, "Cutoff functions". It falls from 1 at alpha rc to 0 at rc.
template <class Real>
SITEWISE_INLINE Envelope<Real> cutoff_envelope(Cutoff cutoff, double rc) {
    const bool whole = cutoff.type == CutoffType::hard || cutoff.type == CutoffType::tanhu ||
                       cutoff.type == CutoffType::tanh;
    const double inner = whole ? 0.0 : cutoff.alpha * rc;
    const bool of_square =
        cutoff.type == CutoffType::hard || (cutoff.type == CutoffType::cosine && inner == 0.0);
    return {cutoff.type, false, false, of_square, Real(rc * rc), Real(inner), Real(1.0 / (rc - inner))};
}

/// The compact functions of n2p2: f(|a - center| / width) between left and right.
template <class Real>
SITEWISE_INLINE Envelope<Real> compact_envelope(CutoffType type, bool asymmetric, double left, double right) {
    return {type,
            true,
            asymmetric,
            false,
            Real(right * right),
            Real(0.5 * (left + right)),
            Real(2.0 / (right - left))};
}

/// cos(pi x / 2) / (1 - x^2) and sin(pi x / 2) / x as functions of z = x^2 in [0, 1], by Chebyshev
/// interpolation with errors 2e-17 and 4e-19 (9e-10 and 7e-9 in single precision).
template <class V>
SITEWISE_INLINE V cosine_factor(V z) {
    constexpr double c[] = {0.999999999999999984,     -0.233700550136167825,    0.019968957764836131,
                            -0.000894522998138162026, 0.0000247372750411264015, -4.64763180935390061e-7,
                            6.3181196706228311e-9,    -6.30616956165683012e-11};
    constexpr float cf[] = {0.999999999f, -0.233700506f, 0.0199686062f, -0.000893535501f, 0.0000236006896f};
    if constexpr (sizeof(typename Math<V>::Real) == 4)
        return horner(cf, z);
    else
        return horner(c, z);
}

template <class V>
SITEWISE_INLINE V sine_factor(V z) {
    constexpr double c[] = {1.57079632679489662,     -0.645964097506246201,    0.0796926262461656398,
                            -0.00468175413530425532, 0.000160441184713091592,  -3.59884302046725752e-6,
                            5.69213642809862525e-8,  -6.68441683185608435e-10, 5.87297574479995014e-12};
    constexpr float cf[] = {1.57079632f, -0.645963760f, 0.0796899183f, -0.00467414384f, 0.000151671704f};
    if constexpr (sizeof(typename Math<V>::Real) == 4)
        return horner(cf, z);
    else
        return horner(c, z);
}

/// tanh(y) for y in [0, 1] with the relative accuracy that fc needs near the cutoff; error 2e-16 (5e-8).
template <class V>
SITEWISE_INLINE V tanh_near_zero(V y) {
    constexpr double c[] = {0.999999999999999862,     -0.333333333333271158,   0.133333333328669881,
                            -0.0539682538296900735,   0.0218694863713148246,   -0.00886321506520755792,
                            0.00359200103152668842,   -0.00145528980654175845, 0.000588360282688676122,
                            -0.000235409281727311172, 0.000090793484484327759, -0.0000318033780304119435,
                            9.12595359626483509e-6,   -1.8226646212654276e-6,  1.82862573997894701e-7};
    constexpr float cf[] = {0.999999949f,  -0.33332828f,    0.133250761f, -0.0534516464f,
                            0.0202797083f, -0.00619432482f, 0.0010380251f};
    if constexpr (sizeof(typename Math<V>::Real) == 4)
        return y * horner(cf, y * y);
    else
        return y * horner(c, y * y);
}

/// n2p2's CoreFunction: functions of x in [0, 1] that fall from 1 to 0, and their derivatives. The
/// polynomials have the factor y = 1 - x, so nothing cancels near the cutoff.
template <class V>
SITEWISE_INLINE ValueSlope<V> falling(CutoffType type, V x) {
    using Real = typename Math<V>::Real;
    const V y = Real(1) - x, x2 = x * x;
    switch (type) {
        case CutoffType::cosine: {
            // (1 + cos(pi x))/2 = cos(pi x/2)^2
            const V c = (Real(1) - x2) * cosine_factor(x2), s = x * sine_factor(x2);
            return {c * c, Real(-pi) * s * c};
        }
        case CutoffType::tanhu:
        case CutoffType::tanh: {
            // tanh is tanhu normalised to 1 at r = 0: tanh(1)^-3
            const Real norm = type == CutoffType::tanh ? Real(2.2637537952253513) : Real(1);
            const V t = tanh_near_zero(y), t2 = t * t;
            return {norm * t * t2, Real(3) * norm * t2 * (t2 - Real(1))};
        }
        case CutoffType::exponential: {
            const V t = Real(-1) / (y * (Real(1) + x)), e = Math<V>::exp(Real(1) + t);
            return {e, Real(-2) * x * t * t * e};
        }
        case CutoffType::poly1:
            return {y * y * (Real(1) + Real(2) * x), Real(-6) * x * y};
        case CutoffType::poly2:
            return {y * y * y * (Real(1) + x * (Real(3) + Real(6) * x)), Real(-30) * x2 * y * y};
        case CutoffType::poly3: {
            const V y2 = y * y;
            return {y2 * y2 * (Real(1) + x * (Real(4) + x * (Real(10) + Real(20) * x))),
                    Real(-140) * x * x2 * y2 * y};
        }
        case CutoffType::poly4: {
            const V y2 = y * y;
            return {y2 * y2 * y * (Real(1) + x * (Real(5) + x * (Real(15) + x * (Real(35) + Real(70) * x)))),
                    Real(-630) * x2 * x2 * y2 * y2};
        }
        case CutoffType::hard:
            break;
    }
    return {x * Real(0) + Real(1), x * Real(0)};
}

/// The value of a function with compact support and its derivative with respect to a = r or the angle.
template <class V, class Real>
SITEWISE_INLINE ValueSlope<V> compact(const Envelope<Real>& f, V a) {
    const V d = (a - f.center) * f.inverse_width, distance = absolute(d);
    const V inside = distance < Real(1) ? distance : distance * Real(0);
    const V x = f.asymmetric ? (Real(2) - inside) * inside : inside;
    ValueSlope<V> g = falling(f.type, x);
    if (f.asymmetric) g.slope *= Real(2) - Real(2) * inside;
    const V sign = d < Real(0) ? V(x * Real(0) - f.inverse_width) : V(x * Real(0) + f.inverse_width);
    return {distance < Real(1) ? g.value : x * Real(0), distance < Real(1) ? g.slope * sign : x * Real(0)};
}

/// f(r), and (df/dr)/r, which multiplies the vector r in the gradient, from s = r^2, r and 1/r. If
/// `of_square`, r and 1/r are ignored.
template <class V, class Real>
SITEWISE_INLINE ValueSlope<V> envelope(const Envelope<Real>& f, V s, V r, V inverse_r) {
    const V zero = s * Real(0);
    if (f.compact) {
        const ValueSlope<V> g = compact(f, r);
        return {g.value, g.slope * inverse_r};
    }
    if (f.type == CutoffType::hard) return {s < f.rc2 ? zero + Real(1) : zero, zero};
    if (f.of_square) {
        // the cosine cutoff is an entire function of s: no square root, no division
        const Real w2 = f.inverse_width * f.inverse_width;
        const V z = s < f.rc2 ? s * w2 : zero;
        const V c = (Real(1) - z) * cosine_factor(z), p = sine_factor(z);
        const Real k = Real(-pi) * w2;
        return {s < f.rc2 ? c * c : zero, s < f.rc2 ? k * c * p : zero};
    }
    const V u = (r - f.center) * f.inverse_width;
    const V x = u > Real(0) ? (s < f.rc2 ? u : zero) : zero;
    const ValueSlope<V> g = falling(f.type, x);
    const V slope = u > Real(0) ? g.slope * f.inverse_width * inverse_r : zero;
    return {s < f.rc2 ? g.value : zero, s < f.rc2 ? slope : zero};
}

}  // namespace sitewise::core
