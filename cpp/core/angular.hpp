#pragma once

#include "envelope.hpp"

namespace sitewise::core {

/// Neighbours j, k of an atom: squares s, lengths r and inverse lengths i of r_j, r_k and r_jk, and the
/// cosine c of the angle between r_j and r_k. Lengths are ignored if no function of a block needs them.
template <class V>
struct Triangle {
    V c, sj, sk, sjk, rj, rk, rjk, ij, ik, ijk;
};

/// A function T of c = cos t: max(1 + lambda c, 0)^zeta, or a compact function of the angle.
template <class Real>
struct Power {
    enum class Kind { whole, real, compact };
    Kind kind;
    int whole;  ///< zeta, if it is a whole number
    Real lambda, zeta;
    Envelope<Real> angle;
};

/// The angle of a cosine, and its derivative by the cosine. The derivative is set to 0 at 0 and 180 degrees,
/// where compact functions have no slope or are 0.
template <class V>
SITEWISE_INLINE ValueSlope<V> angle_of(V c) {
    using Real = typename Math<V>::Real;
    const V one = V{} + Real(1);
    const V limited = c > Real(1) ? one : (c < Real(-1) ? -one : c);
    const V sine2 = Real(1) - limited * limited;
    const V slope = Real(-1) / Math<V>::sqrt(sine2 > Real(1e-12) ? sine2 : one);
    return {Math<V>::acos(limited), sine2 > Real(1e-12) ? slope : V{}};
}

/// Sets n results to x^power for power >= 0, by squaring. Overwrites x.
template <int n, class V>
SITEWISE_INLINE void whole_powers(V* x, int power, V* result) {
    const bool none = power == 0;
    for (; power > 0 && power % 2 == 0; power /= 2)
        for (int i = 0; i < n; ++i) x[i] *= x[i];
    for (int i = 0; i < n; ++i) result[i] = none ? V(V{} + typename Math<V>::Real(1)) : x[i];
    while (power /= 2) {
        for (int i = 0; i < n; ++i) x[i] *= x[i];
        if (power % 2 == 1)
            for (int i = 0; i < n; ++i) result[i] *= x[i];
    }
}

/// max(1 + lambda c, 0); n2p2 also sets the function to 0 if 1 + lambda c is negative
template <class V, class Real>
SITEWISE_INLINE V angular_base(const Power<Real>& power, V c) {
    const V base = Real(1) + power.lambda * c;
    return base > Real(0) ? base : V{};
}

/// T and dT/dc of a power, from its base and base^(zeta - 1)
template <class V, class Real>
SITEWISE_INLINE ValueSlope<V> angular_power(const Power<Real>& power, V base, V lower) {
    const V slope = power.lambda * power.zeta * lower;
    return {base > Real(0) ? V(lower * base) : V{}, base > Real(0) ? slope : V{}};
}

/// T and dT/dc. `angle` is the angle of c.
template <class V, class Real>
SITEWISE_INLINE ValueSlope<V> angular_factor(const Power<Real>& power, V c, const ValueSlope<V>& angle) {
    using Kind = typename Power<Real>::Kind;
    if (power.kind == Kind::compact) {
        const ValueSlope<V> f = compact(power.angle, angle.value);
        return {f.value, f.slope * angle.slope};
    }
    const V base = angular_base(power, c);
    V lower, x = base;
    if (power.kind == Kind::whole)
        whole_powers<1>(&x, power.whole - 1, &lower);
    else
        lower = Math<V>::pow(base, power.zeta - 1);
    return angular_power(power, base, lower);
}

/// exp(-eta sum (r - rs)^2) over r_j, r_k and, with `triangle`, r_jk.
template <class V, class Real>
SITEWISE_INLINE V gaussian(Real eta, Real rs, bool triangle, const Triangle<V>& t) {
    V squares = t.sj + t.sk;
    if (triangle) squares += t.sjk;
    if (rs != 0) {
        const V r = triangle ? V(t.rj + t.rk + t.rjk) : V(t.rj + t.rk);
        squares += rs * ((triangle ? 3 : 2) * rs - Real(2) * r);
    }
    return Math<V>::exp(-eta * squares);
}

/// The envelope of r_jk, or 1 if the functions do not contain it.
template <class V, class Real>
SITEWISE_INLINE ValueSlope<V> third_envelope(const Envelope<Real>& f, bool triangle, const Triangle<V>& t) {
    if (!triangle) return {V{} + Real(1), V{}};
    return envelope(f, t.sjk, t.rjk, t.ijk);
}

// -- the gradient of E = sum of weights times functions -------------------------------------------------

/// Sums over the groups of a family. Each group contributes exp(-eta q) times U = sum of weights * T, times
/// dU/dc, and times -2 eta U and 2 eta rs U, which are the slopes of the Gaussian.
template <class V>
struct FamilySums {
    V S{}, C{}, Q{}, H{};
};

/// Adds a group whose Gaussian is e.
template <class V, class Real>
SITEWISE_INLINE void add_group(FamilySums<V>& sums, Real eta, Real rs, V e, V U, V dU) {
    const V eU = e * U;
    sums.S += eU;
    sums.C += e * dU;
    sums.Q -= (2 * eta) * eU;
    if (rs != 0) sums.H += (2 * eta * rs) * eU;
}

/// dE/dc, and (dE/dr)/r of the three distances.
template <class V>
struct PairSlopes {
    V c{}, j{}, k{}, jk{};
};

/// Adds the functions of a family with the envelopes fj, fk and fjk (third_envelope). `shifts`: some rs is
/// not 0.
template <class V>
SITEWISE_INLINE void add_family(PairSlopes<V>& d,
                                const FamilySums<V>& sums,
                                const ValueSlope<V>& fj,
                                const ValueSlope<V>& fk,
                                const ValueSlope<V>& fjk,
                                bool triangle,
                                bool shifts,
                                const Triangle<V>& t) {
    const V v = fj.value * fk.value, F = v * fjk.value, FQ = F * sums.Q, fS = fjk.value * sums.S;
    d.c += F * sums.C;
    d.j += fj.slope * fk.value * fS + FQ;
    d.k += fk.slope * fj.value * fS + FQ;
    if (triangle) d.jk += v * fjk.slope * sums.S + FQ;
    if (!shifts) return;
    const V FH = F * sums.H;
    d.j += FH * t.ij;
    d.k += FH * t.ik;
    if (triangle) d.jk += FH * t.ijk;
}

/// dE/dr_j = A r_j + X r_k and dE/dr_k = B r_k + X r_j.
template <class V>
struct PairGradient {
    V X, A, B;
};

template <class V>
SITEWISE_INLINE PairGradient<V> pair_gradient(const PairSlopes<V>& d, const Triangle<V>& t) {
    const V cc = d.c * t.c;
    return {d.c * t.ij * t.ik - d.jk, d.j + d.jk - cc * t.ij * t.ij, d.k + d.jk - cc * t.ik * t.ik};
}

// -- derivatives along a direction ----------------------------------------------------------------------

/// The changes of r^2/2 of the three distances and of c along directions of j and k.
template <class V>
struct PairChanges {
    V j, k, jk, c;
};

/// Computes the changes from rj.vj, rk.vk and rj.vk + rk.vj.
template <class V>
SITEWISE_INLINE PairChanges<V> pair_changes(V j, V k, V mixed, const Triangle<V>& t) {
    return {j, k, j + k - mixed, mixed * t.ij * t.ik - t.c * (j * t.ij * t.ij + k * t.ik * t.ik)};
}

/// The product F of a family's envelopes, and the changes of F and of the sums of r^2/2 and of r in its
/// Gaussians.
template <class V>
struct FamilyChange {
    V F, dF, dq, ds;
};

template <class V>
SITEWISE_INLINE FamilyChange<V> family_change(const ValueSlope<V>& fj,
                                              const ValueSlope<V>& fk,
                                              const ValueSlope<V>& fjk,
                                              bool triangle,
                                              const PairChanges<V>& d,
                                              const Triangle<V>& t) {
    FamilyChange<V> f;
    f.F = fj.value * fk.value * fjk.value;
    f.dF = (fj.slope * d.j * fk.value + fk.slope * d.k * fj.value) * fjk.value +
           fj.value * fk.value * fjk.slope * d.jk;
    f.dq = d.j + d.k;
    f.ds = d.j * t.ij + d.k * t.ik;
    if (triangle) {
        f.dq += d.jk;
        f.ds += d.jk * t.ijk;
    }
    return f;
}

/// The change of F times a Gaussian e.
template <class V, class Real>
SITEWISE_INLINE V group_change(Real eta, Real rs, V e, const FamilyChange<V>& f) {
    return e * f.dF - (2 * eta) * (f.dq - rs * f.ds) * (e * f.F);
}

}  // namespace sitewise::core
