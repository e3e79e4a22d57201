#pragma once

// Functions of pairs without r_jk and with an integer zeta need no loop over pairs: (1 + lambda u_j.u_k)^zeta
// expands into products of the moments M = sum over j of R(r_j) x_j^a y_j^b z_j^c of the unit vectors u_j.
// Exact; the cost is linear in the number of neighbours.

#include "plan.hpp"
#include "simd.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

template <class Real>
struct MomentSums {
    using V = Vector<Real>;
    static constexpr int L = lanes<Real>;
    static constexpr int most = 165;         // monomials up to order 8
    static constexpr int most_moments = 16;  // that one pass takes

    const ElementPlan<Real>& plan;
    const Tables<Real>& t;
    const PairScratch<Real>& w;
    const int n = plan.monomials.size;
    const int lower = n - (plan.order + 1) * (plan.order + 2) / 2;  // those that have derivatives of others

    int end_of(int element) const { return t.first[element] + (t.count[element] + L - 1) / L * L; }
    const Real* shell(const Real* table, int moment) const {
        return table + plan.moments[moment].shell * t.stride;
    }
    // [first, last) of an element's moments
    int last_of_element(int first) const {
        int last = first;
        while (last < plan.moments.size && plan.moments[last].element == plan.moments[first].element) ++last;
        return last;
    }

    SITEWISE_INLINE void monomials(V x, V y, V z, V* m) const {
        const V axes[3] = {x, y, z};
        m[0] = broadcast(Real(1));
        for (int c = 1; c < n; ++c) {
            const Monomial<Real>& monomial = plan.monomials[c];
            m[c] = m[monomial.parent] * axes[monomial.axis];
        }
    }

    // w.monomials of an element's neighbours
    void tabulate(int element) const {
        for (int k = t.first[element]; k < end_of(element); k += L) {
            const V ir = load(t.inverse_r + k);
            V m[most];
            monomials(load(t.x + k) * ir, load(t.y + k) * ir, load(t.z + k) * ir, m);
            for (int c = 0; c < n; ++c) store(w.monomials + c * t.stride + k, m[c]);
        }
    }

    // M[c] += sum over neighbours of weight * table[c]
    void project(int element, const Real* weight, Real* M) const {
        const int first = t.first[element], end = end_of(element);
        for (int c = 0; c < n; c += 4) {
            // four at a time share the weights; the last ones may be taken again
            const int at = c + 4 <= n ? c : (n >= 4 ? n - 4 : 0);
            const int step = n >= 4 ? t.stride : 0;
            const Real* m = w.monomials + at * t.stride;
            V a{}, b{}, d{}, e{};
            for (int k = first; k < end; k += L) {
                const V R = load(weight + k);
                a += R * load(m + k);
                b += R * load(m + step + k);
                d += R * load(m + 2 * step + k);
                e += R * load(m + 3 * step + k);
            }
            Real total[4];
            sums<Real>(a, b, d, e, total);
            for (int i = 0; i < (n < 4 ? 1 : 4); ++i) M[at + i] = total[i];
        }
    }

    // All moments, which the three operators start from
    void compute() const {
        for (int i = 0; i < plan.moments.size; ++i) {
            const int element = plan.moments[i].element;
            if (i == 0 || plan.moments[i - 1].element != element) tabulate(element);
            project(element, shell(t.R, i), t.M + i * n);
        }
    }

    void evaluate(Real* G) const {
        for (const Contraction& pair : plan.contractions) {
            Real S[9] = {};
            const Real *M1 = t.M + pair.moment1 * n, *M2 = t.M + pair.moment2 * n;
            for (int c = 0; c < n; ++c)
                S[plan.monomials[c].power] += plan.monomials[c].multinomial * M1[c] * M2[c];
            const Real self = square(pair);
            for (int e = pair.first; e < pair.first + pair.count; ++e) {
                const Expansion<Real>& expansion = plan.expansions[e];
                Real total = expansion.self * self;
                for (int p = 0; p <= plan.order; ++p) total += expansion.coefficients[p] * S[p];
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

    // dE/dM, and dE/d(R^2) in self_bar, from u = dE/dG; false if u is 0 for all of them
    bool pull_contractions(const Real* u) const {
        bool any = false;
        for (int c = 0; c < plan.moments.size * n; ++c) w.bar[c] = 0;
        for (int i = 0; i < plan.moments.size; ++i) w.self_bar[i] = 0;
        for (const Contraction& pair : plan.contractions) {
            Real S[9] = {};
            for (int e = pair.first; e < pair.first + pair.count; ++e) {
                const Expansion<Real>& expansion = plan.expansions[e];
                const Real v = u[expansion.output];
                any = any || v != 0;
                w.self_bar[pair.moment1] += v * expansion.self;
                for (int p = 0; p <= plan.order; ++p) S[p] += v * expansion.coefficients[p];
            }
            const Real *M1 = t.M + pair.moment1 * n, *M2 = t.M + pair.moment2 * n;
            Real *bar1 = w.bar + pair.moment1 * n, *bar2 = w.bar + pair.moment2 * n;
            for (int c = 0; c < n; ++c) {
                const Real a = S[plan.monomials[c].power] * plan.monomials[c].multinomial;
                bar1[c] += a * M2[c];
                bar2[c] += a * M1[c];
            }
        }
        return any;
    }

    // The derivatives of the moments [first, last) by x, y, z, ordered by lower monomial
    void raise(int first, int last) const {
        const int moments = last - first;
        for (int c = 0; c < lower; ++c) {
            const Monomial<Real>& monomial = plan.monomials[c];
            Real* raised = w.raised + c * 3 * moments;
            for (int axis = 0; axis < 3; ++axis)
                for (int i = 0; i < moments; ++i)
                    raised[axis * moments + i] =
                        monomial.factor[axis] * w.bar[(first + i) * n + monomial.up[axis]];
        }
    }

    // Adds the gradient of the moments [first, last) of one element
    void pull(int first, int last) const {
        const int moments = last - first, element = plan.moments[first].element;
        raise(first, last);
        for (int k = t.first[element]; k < end_of(element); k += L) {
            const V rx = load(t.x + k), ry = load(t.y + k), rz = load(t.z + k), ir = load(t.inverse_r + k);
            const V x = rx * ir, y = ry * ir, z = rz * ir;
            V m[most], R[most_moments];
            monomials(x, y, z, m);
            V radial{};  // (dE/dr)/r
            for (int i = 0; i < moments; ++i) {
                R[i] = load(shell(t.R, first + i) + k);
                const Real* bar = w.bar + (first + i) * n;
                V a = (2 * w.self_bar[first + i]) * R[i], b{};
                for (int c = 0; c + 1 < n; c += 2) {
                    a += bar[c] * m[c];
                    b += bar[c + 1] * m[c + 1];
                }
                if (n % 2) a += bar[n - 1] * m[n - 1];
                radial += (a + b) * load(shell(t.R_slope, first + i) + k);
            }
            V gx{}, gy{}, gz{};  // dE/du
            for (int c = 0; c < lower; ++c) {
                const Real* raised = w.raised + c * 3 * moments;
                V ax{}, ay{}, az{};
                for (int i = 0; i < moments; ++i) {
                    ax += raised[i] * R[i];
                    ay += raised[moments + i] * R[i];
                    az += raised[2 * moments + i] * R[i];
                }
                gx += ax * m[c];
                gy += ay * m[c];
                gz += az * m[c];
            }
            const V along = gx * x + gy * y + gz * z;
            store(t.gx + k, load(t.gx + k) + radial * rx + (gx - along * x) * ir);
            store(t.gy + k, load(t.gy + k) + radial * ry + (gy - along * y) * ir);
            store(t.gz + k, load(t.gz + k) + radial * rz + (gz - along * z) * ir);
        }
    }

    void differentiate(const Real* u) const {
        if (!pull_contractions(u)) return;
        for (int first = 0; first < plan.moments.size;) {
            const int last = last_of_element(first);
            for (; first < last; first += most_moments)
                pull(first, last - first < most_moments ? last : first + most_moments);
            first = last;
        }
    }

    // dM along the direction (gx, gy, gz) goes to w.bar; the tables of monomials are overwritten by their
    // changes.
    void push_moment(int i) const {
        const int element = plan.moments[i].element;
        Real* dM = w.bar + i * n;
        V total[most] = {};
        for (int k = t.first[element]; k < end_of(element); k += L) {
            const V ir = load(t.inverse_r + k), vx = load(t.gx + k), vy = load(t.gy + k), vz = load(t.gz + k);
            const V x = load(t.x + k) * ir, y = load(t.y + k) * ir, z = load(t.z + k) * ir;
            const V along = x * vx + y * vy + z * vz;  // dr
            const V axes[3] = {x, y, z};
            const V change[3] = {(vx - along * x) * ir, (vy - along * y) * ir, (vz - along * z) * ir};
            const V R = load(shell(t.R, i) + k), dR = load(shell(t.R_slope, i) + k) * along / ir;
            V m[most], dm[most];
            m[0] = broadcast(Real(1));
            dm[0] = V{};
            for (int c = 0; c < n; ++c) {
                const Monomial<Real>& monomial = plan.monomials[c];
                if (c > 0) {
                    m[c] = m[monomial.parent] * axes[monomial.axis];
                    dm[c] = dm[monomial.parent] * axes[monomial.axis] +
                            m[monomial.parent] * change[monomial.axis];
                }
                total[c] += dR * m[c] + R * dm[c];
            }
        }
        for (int c = 0; c < n; ++c) dM[c] = sum<Real>(total[c]);
    }

    // d(sum of R^2)
    Real push_square(const Contraction& pair) const {
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

    void push(Real* dG) const {
        for (int i = 0; i < plan.moments.size; ++i) push_moment(i);
        for (const Contraction& pair : plan.contractions) {
            Real dS[9] = {};
            const Real *M1 = t.M + pair.moment1 * n, *M2 = t.M + pair.moment2 * n;
            const Real *d1 = w.bar + pair.moment1 * n, *d2 = w.bar + pair.moment2 * n;
            for (int c = 0; c < n; ++c)
                dS[plan.monomials[c].power] +=
                    plan.monomials[c].multinomial * (d1[c] * M2[c] + M1[c] * d2[c]);
            const Real self = push_square(pair);
            for (int e = pair.first; e < pair.first + pair.count; ++e) {
                const Expansion<Real>& expansion = plan.expansions[e];
                Real total = expansion.self * self;
                for (int p = 0; p <= plan.order; ++p) total += expansion.coefficients[p] * dS[p];
                dG[expansion.output] += total;
            }
        }
    }
};

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
