#pragma once

#include "math.hpp"

namespace sitewise::core {

/// R(r) = exp(-eta (r - rs)^2) f(r) and (dR/dr)/r, from f and (df/dr)/r as envelope() gives them.
template <class V, class Real>
SITEWISE_INLINE ValueSlope<V> shell(Real eta, Real rs, V r, V inverse_r, const ValueSlope<V>& f) {
    const V d = r - rs, e = Math<V>::exp(-eta * d * d);
    return {e * f.value, e * (f.slope - (2 * eta) * d * inverse_r * f.value)};
}

}  // namespace sitewise::core
