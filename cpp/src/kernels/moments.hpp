#pragma once

// Angular functions without r_jk and with an integer zeta need no loop over pairs: (1 + lambda u_j.u_k)^zeta
// expands into products of the moments M = sum over j of R(r_j) x_j^a y_j^b z_j^c of the unit vectors u_j.
// This is exact, and its cost is linear in the number of neighbours.

#include "monomials.hpp"
#include "plan.hpp"
#include "simd.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

// Calls work(c) for c = 0 to n - 1. A short loop is written out, so that the compiler replaces entries of
// constant tables by their values.
template <int c>
struct Constant {
    SITEWISE_INLINE constexpr operator int() const { return c; }
};
template <int n, bool written_out, int c = 0, class Work>
SITEWISE_INLINE void for_each(const Work& work) {
    if constexpr (!written_out) {
        for (int i = 0; i < n; ++i) work(i);
    } else if constexpr (c < n) {
        work(Constant<c>{});
        for_each<n, written_out, c + 1>(work);
    }
}

template <class Real, int Order>
struct MomentSums {
    using V = Vector<Real>;
    static constexpr int L = lanes<Real>;
    static constexpr Monomials<Order> table{};
    static constexpr int n = table.size;
    static constexpr bool written_out = Order <= SITEWISE_WRITTEN_OUT;
    static constexpr int most_moments = 4;  // of one pass

    const ElementPlan<Real>& plan;
    const Tables<Real>& t;
    const PairScratch<Real>& w;

    int end_of(int element) const { return t.first[element] + (t.count[element] + L - 1) / L * L; }
    const Real* shell(const Real* values, int moment) const {
        return values + plan.moments[moment].shell * t.stride;
    }
    // [first, last) of an element's moments
    int last_of_element(int first) const {
        int last = first;
        while (last < plan.moments.size && plan.moments[last].element == plan.moments[first].element) ++last;
        return last;
    }

    static SITEWISE_INLINE void monomials(V x, V y, V z, V* m) {
        const V axes[3] = {x, y, z};
        for_each<n, written_out>([&](auto c) SITEWISE_INLINE_LAMBDA {
            m[c] = c == 0 ? broadcast(Real(1)) : V(m[table.parent[c]] * axes[table.axis[c]]);
        });
    }

    // w.monomials of an element's neighbours
    void tabulate(int element) const {
        for (int k = t.first[element]; k < end_of(element); k += L) {
            const V ir = load(t.inverse_r + k);
            V m[n];
            monomials(load(t.x + k) * ir, load(t.y + k) * ir, load(t.z + k) * ir, m);
            for (int c = 0; c < n; ++c) store(w.monomials + c * t.stride + k, m[c]);
        }
    }

    // M[c] = sum over neighbours of weight * monomial c
    void project(int element, const Real* weight, Real* M) const {
        const int first = t.first[element], end = end_of(element);
        for (int c = 0; c < n; c += 4) {
            const int at = c + 4 <= n ? c : n - 4;  // may repeat the last monomials; n >= 4
            const Real* m = w.monomials + at * t.stride;
            V a{}, b{}, d{}, e{};
            for (int k = first; k < end; k += L) {
                const V R = load(weight + k);
                a += R * load(m + k);
                b += R * load(m + t.stride + k);
                d += R * load(m + 2 * t.stride + k);
                e += R * load(m + 3 * t.stride + k);
            }
            sums<Real>(a, b, d, e, M + at);
        }
    }

    // Computes all moments; each of the three operators starts from them.
    void compute() const {
        for (int i = 0; i < plan.moments.size; ++i) {
            const int element = plan.moments[i].element;
            if (i == 0 || plan.moments[i - 1].element != element) tabulate(element);
            project(element, shell(t.R, i), t.M + i * n);
        }
    }

    void evaluate(Real* G) const {
        for (const Contraction& pair : plan.contractions) {
            Real S[Order + 1] = {};
            const Real *M1 = t.M + pair.moment1 * n, *M2 = t.M + pair.moment2 * n;
            for_each<n, written_out>([&](auto c) SITEWISE_INLINE_LAMBDA {
                S[table.power[c]] += Real(table.multinomial[c]) * M1[c] * M2[c];
            });
            const Real self = square(pair);
            for (int e = pair.first; e < pair.first + pair.count; ++e) {
                const Expansion<Real>& expansion = plan.expansions[e];
                Real total = expansion.self * self;
                for (int p = 0; p <= Order; ++p) total += expansion.coefficients[p] * S[p];
                G[expansion.output] += total;
            }
        }
    }

    // sum of R^2, for the terms j = k
    Real square(const Contraction& pair) const {
        if (pair.moment1 != pair.moment2) return 0;
        const int element = plan.moments[pair.moment1].element;
        const Real* R = shell(t.R, pair.moment1);
        V total{};
        for (int k = t.first[element]; k < end_of(element); k += L) total += load(R + k) * load(R + k);
        return sum<Real>(total);
    }

    // Sets dE/dM, and dE/d(R^2) in self_bar, from u = dE/dG; returns false if u is 0 for all functions.
    bool vjp_contractions(const Real* u) const {
        bool any = false;
        for (int c = 0; c < plan.moments.size * n; ++c) w.bar[c] = 0;
        for (int i = 0; i < plan.moments.size; ++i) w.self_bar[i] = 0;
        for (const Contraction& pair : plan.contractions) {
            Real S[Order + 1] = {};
            for (int e = pair.first; e < pair.first + pair.count; ++e) {
                const Expansion<Real>& expansion = plan.expansions[e];
                const Real v = u[expansion.output];
                any = any || v != 0;
                w.self_bar[pair.moment1] += v * expansion.self;
                for (int p = 0; p <= Order; ++p) S[p] += v * expansion.coefficients[p];
            }
            const Real *M1 = t.M + pair.moment1 * n, *M2 = t.M + pair.moment2 * n;
            Real *bar1 = w.bar + pair.moment1 * n, *bar2 = w.bar + pair.moment2 * n;
            for_each<n, written_out>([&](auto c) SITEWISE_INLINE_LAMBDA {
                const Real a = S[table.power[c]] * Real(table.multinomial[c]);
                bar1[c] += a * M2[c];
                bar2[c] += a * M1[c];
            });
        }
        return any;
    }

    // Adds the gradient of `moments` moments of one element, beginning with `first`.
    template <int moments>
    void vjp_moments(int first) const {
        const int element = plan.moments[first].element;
        const Real* bars = w.bar + first * n;
        for (int k = t.first[element]; k < end_of(element); k += L) {
            const V rx = load(t.x + k), ry = load(t.y + k), rz = load(t.z + k), ir = load(t.inverse_r + k);
            const V x = rx * ir, y = ry * ir, z = rz * ir;
            V m[n], R[moments], slope[moments];
            monomials(x, y, z, m);
            V radial{};  // (dE/dr)/r
            for (int i = 0; i < moments; ++i) {
                R[i] = load(shell(t.R, first + i) + k);
                slope[i] = load(shell(t.R_slope, first + i) + k);
                radial += (2 * w.self_bar[first + i]) * R[i] * slope[i];
            }
            V change[3] = {};                     // dE/du
            V part[4] = {radial, V{}, V{}, V{}};  // partial sums do not wait for each other
            for_each<n, written_out>([&](auto c) SITEWISE_INLINE_LAMBDA {
                V q{}, s{};  // dE/d(monomial), and the factor of the shells' slopes
                for_each<moments, true>([&](auto i) SITEWISE_INLINE_LAMBDA {
                    q += bars[i * n + c] * R[i];
                    s += bars[i * n + c] * slope[i];
                });
                part[c % 4] += s * m[c];
                for_each<3, written_out>([&](auto axis) SITEWISE_INLINE_LAMBDA {
                    if (table.exponent[c][axis] > 0)
                        change[axis] += (Real(table.exponent[c][axis]) * q) * m[table.lower[c][axis]];
                });
            });
            radial = (part[0] + part[1]) + (part[2] + part[3]);
            const V along = change[0] * x + change[1] * y + change[2] * z;
            store(t.gx + k, load(t.gx + k) + radial * rx + (change[0] - along * x) * ir);
            store(t.gy + k, load(t.gy + k) + radial * ry + (change[1] - along * y) * ir);
            store(t.gz + k, load(t.gz + k) + radial * rz + (change[2] - along * z) * ir);
        }
    }

    // [first, last) of one element
    template <int moments = most_moments>
    void vjp_range(int first, int last) const {
        for (; last - first >= moments; first += moments) vjp_moments<moments>(first);
        if constexpr (moments > 1) vjp_range<moments - 1>(first, last);
    }

    void vjp(const Real* u) const {
        if (!vjp_contractions(u)) return;
        for (int first = 0, last; first < plan.moments.size; first = last) {
            last = last_of_element(first);
            vjp_range(first, last);
        }
    }

    // Sets w.bar to the change dM along the direction (gx, gy, gz). Overwrites the tables of monomials by
    // their changes.
    void jvp_moment(int i) const {
        const int element = plan.moments[i].element;
        Real* dM = w.bar + i * n;
        V total[n] = {};
        for (int k = t.first[element]; k < end_of(element); k += L) {
            const V ir = load(t.inverse_r + k), vx = load(t.gx + k), vy = load(t.gy + k), vz = load(t.gz + k);
            const V x = load(t.x + k) * ir, y = load(t.y + k) * ir, z = load(t.z + k) * ir;
            const V along = x * vx + y * vy + z * vz;  // dr
            const V axes[3] = {x, y, z};
            const V change[3] = {(vx - along * x) * ir, (vy - along * y) * ir, (vz - along * z) * ir};
            const V R = load(shell(t.R, i) + k), dR = load(shell(t.R_slope, i) + k) * along / ir;
            V m[n], dm[n];
            m[0] = broadcast(Real(1));
            dm[0] = V{};
            total[0] += dR;
            for (int c = 1; c < n; ++c) {
                const int parent = table.parent[c], axis = table.axis[c];
                m[c] = m[parent] * axes[axis];
                dm[c] = dm[parent] * axes[axis] + m[parent] * change[axis];
                total[c] += dR * m[c] + R * dm[c];
            }
        }
        for (int c = 0; c < n; ++c) dM[c] = sum<Real>(total[c]);
    }

    // d(sum of R^2)
    Real jvp_square(const Contraction& pair) const {
        if (pair.moment1 != pair.moment2) return 0;
        const int i = pair.moment1, element = plan.moments[i].element;
        V total{};
        for (int k = t.first[element]; k < end_of(element); k += L) {
            const V d = load(t.x + k) * load(t.gx + k) + load(t.y + k) * load(t.gy + k) +
                        load(t.z + k) * load(t.gz + k);
            total += Real(2) * load(shell(t.R, i) + k) * load(shell(t.R_slope, i) + k) * d;
        }
        return sum<Real>(total);
    }

    void jvp(Real* dG) const {
        for (int i = 0; i < plan.moments.size; ++i) jvp_moment(i);
        for (const Contraction& pair : plan.contractions) {
            Real dS[Order + 1] = {};
            const Real *M1 = t.M + pair.moment1 * n, *M2 = t.M + pair.moment2 * n;
            const Real *d1 = w.bar + pair.moment1 * n, *d2 = w.bar + pair.moment2 * n;
            for (int c = 0; c < n; ++c)
                dS[table.power[c]] += Real(table.multinomial[c]) * (d1[c] * M2[c] + M1[c] * d2[c]);
            const Real self = jvp_square(pair);
            for (int e = pair.first; e < pair.first + pair.count; ++e) {
                const Expansion<Real>& expansion = plan.expansions[e];
                Real total = expansion.self * self;
                for (int p = 0; p <= Order; ++p) total += expansion.coefficients[p] * dS[p];
                dG[expansion.output] += total;
            }
        }
    }
};

// Calls work(sums) with the moments of the plan's order, which is even, if the plan has moments.
template <int Order = 2, class Real, class Work>
SITEWISE_INLINE void with_moments(const ElementPlan<Real>& plan,
                                  const Tables<Real>& t,
                                  const PairScratch<Real>& w,
                                  const Work& work) {
    if constexpr (Order <= most_order) {
        if (plan.moments.size == 0) return;
        if (plan.order == Order) return work(MomentSums<Real, Order>{plan, t, w});
        with_moments<Order + 2>(plan, t, w, work);
    }
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
