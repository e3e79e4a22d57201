#pragma once

// Sums over pairs, triples and more neighbours of products of their R(r_j) and of powers of the cosines
// between their unit vectors u_j need no loop over pairs: they are polynomials in the moments M = sum over j
// of R(r_j) x_j^a y_j^b z_j^c. Exact; the cost is linear in the number of neighbours.

#include "monomials.hpp"
#include "plan.hpp"
#include "polynomials.hpp"
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

// Neighbours [first, end), whole vectors
struct Range {
    int first, end;
};

template <class Real>
Range range_of(const ElementPlan<Real>& plan, const Tables<Real>& t, int element) {
    constexpr int L = lanes<Real>;
    const int last = element == every_element ? plan.elements - 1 : element;
    return {element == every_element ? 0 : t.first[element], t.first[last] + (t.count[last] + L - 1) / L * L};
}

// The moments of one order
template <class Real, int Order>
struct MomentSums {
    using V = Vector<Real>;
    static constexpr int L = lanes<Real>;
    static constexpr Monomials<Order> table{};
    static constexpr int n = table.size, top = table.top;
    static constexpr bool written_out = Order <= SITEWISE_WRITTEN_OUT;
    static constexpr int most_moments = 4;  // of one pass

    const ElementPlan<Real>& plan;
    const Tables<Real>& t;
    const PairScratch<Real>& w;

    static SITEWISE_INLINE void monomials(V x, V y, V z, V* m) {
        const V axes[3] = {x, y, z};
        for_each<n, written_out>([&](auto c) SITEWISE_INLINE_LAMBDA {
            m[c] = c == 0 ? broadcast(Real(1)) : V(m[table.parent[c]] * axes[table.axis[c]]);
        });
    }

    // w.monomials of the two highest powers
    void tabulate(Range range) const {
        for (int k = range.first; k < range.end; k += L) {
            const V ir = load(t.inverse_r + k);
            V m[n];
            monomials(load(t.x + k) * ir, load(t.y + k) * ir, load(t.z + k) * ir, m);
            for (int c = top; c < n; ++c) store(w.monomials + (c - top) * t.stride + k, m[c]);
        }
    }

    // `moments` moments from `first` on, from the table of monomials
    template <int moments>
    void project(const Moment* first, Range range) const {
        const Real* R[moments];
        for (int i = 0; i < moments; ++i) R[i] = t.R + first[i].shell * t.stride;
        for (int c = 0; c < n - top; c += 4) {
            const int at = c + 4 <= n - top ? c : n - top - 4;  // the last ones may be taken again
            const Real* m = w.monomials + at * t.stride;
            V total[moments][4] = {};
            for (int k = range.first; k < range.end; k += L) {
                const V m0 = load(m + k), m1 = load(m + t.stride + k), m2 = load(m + 2 * t.stride + k),
                        m3 = load(m + 3 * t.stride + k);
                for_each<moments, true>([&](auto i) SITEWISE_INLINE_LAMBDA {
                    const V value = load(R[i] + k);
                    total[i][0] += value * m0;
                    total[i][1] += value * m1;
                    total[i][2] += value * m2;
                    total[i][3] += value * m3;
                });
            }
            for (int i = 0; i < moments; ++i)
                sums<Real>(total[i][0], total[i][1], total[i][2], total[i][3], t.nodes + first[i].node + at);
        }
    }

    // All of a group of moments of one element
    void compute(const Moment* first, const Moment* last) const {
        const Range range = range_of(plan, t, first->element);
        tabulate(range);
        for (; last - first >= 2; first += 2) project<2>(first, range);
        if (first < last) project<1>(first, range);
    }

    // Adds the gradient of `moments` moments, from the derivatives by nodes.
    template <int moments>
    void vjp_moments(const Real* bar, const Moment* const* of, Range range) const {
        const Real *bars[moments], *R_of[moments], *slope_of[moments];
        for (int i = 0; i < moments; ++i) {
            bars[i] = bar + of[i]->node;
            R_of[i] = t.R + of[i]->shell * t.stride;
            slope_of[i] = t.R_slope + of[i]->shell * t.stride;
        }
        for (int k = range.first; k < range.end; k += L) {
            const V rx = load(t.x + k), ry = load(t.y + k), rz = load(t.z + k), ir = load(t.inverse_r + k);
            const V x = rx * ir, y = ry * ir, z = rz * ir;
            V m[n], R[moments], slope[moments];
            monomials(x, y, z, m);
            for (int i = 0; i < moments; ++i) {
                R[i] = load(R_of[i] + k);
                slope[i] = load(slope_of[i] + k);
            }
            V change[3] = {};  // dE/du
            V part[4] = {};    // (dE/dr)/r; sums in parts need not wait for each other
            for_each<n - top, written_out>([&](auto at) SITEWISE_INLINE_LAMBDA {
                V q{}, s{};  // dE/d(monomial), and what the shells' slopes multiply
                for_each<moments, true>([&](auto i) SITEWISE_INLINE_LAMBDA {
                    q += bars[i][at] * R[i];
                    s += bars[i][at] * slope[i];
                });
                part[at % 4] += s * m[top + at];
                for_each<3, written_out>([&](auto axis) SITEWISE_INLINE_LAMBDA {
                    if (table.exponent[top + at][axis] > 0)
                        change[axis] +=
                            (Real(table.exponent[top + at][axis]) * q) * m[table.lower[top + at][axis]];
                });
            });
            const V radial = (part[0] + part[1]) + (part[2] + part[3]);
            const V along = change[0] * x + change[1] * y + change[2] * z;
            store(t.gx + k, load(t.gx + k) + radial * rx + (change[0] - along * x) * ir);
            store(t.gy + k, load(t.gy + k) + radial * ry + (change[1] - along * y) * ir);
            store(t.gz + k, load(t.gz + k) + radial * rz + (change[2] - along * z) * ir);
        }
    }

    template <int moments = most_moments - 1>
    void vjp_rest(const Real* bar, const Moment* const* of, int count, Range range) const {
        if (count == moments) return vjp_moments<moments>(bar, of, range);
        if constexpr (moments > 1) vjp_rest<moments - 1>(bar, of, count, range);
    }

    static bool any(const Real* bar) {
        for (int c = 0; c < n - top; ++c)
            if (bar[c] != 0) return true;
        return false;
    }

    void vjp(const Real* bar, const Moment* first, const Moment* last) const {
        const Range range = range_of(plan, t, first->element);
        const Moment* of[most_moments];
        int count = 0;
        for (; first < last; ++first) {
            if (!any(bar + first->node)) continue;
            of[count++] = first;
            if (count < most_moments) continue;
            vjp_moments<most_moments>(bar, of, range);
            count = 0;
        }
        vjp_rest(bar, of, count, range);
    }

    // dM along the direction (gx, gy, gz) goes to w.bar.
    void jvp_moment(const Moment& moment, Range range) const {
        V total[n] = {};
        for (int k = range.first; k < range.end; k += L) {
            const V ir = load(t.inverse_r + k), vx = load(t.gx + k), vy = load(t.gy + k), vz = load(t.gz + k);
            const V x = load(t.x + k) * ir, y = load(t.y + k) * ir, z = load(t.z + k) * ir;
            const V along = x * vx + y * vy + z * vz;  // dr
            const V axes[3] = {x, y, z};
            const V change[3] = {(vx - along * x) * ir, (vy - along * y) * ir, (vz - along * z) * ir};
            const V R = load(t.R + moment.shell * t.stride + k);
            const V dR = load(t.R_slope + moment.shell * t.stride + k) * along / ir;
            V m[n], dm[n];
            m[0] = broadcast(Real(1));
            dm[0] = V{};
            for (int c = 1; c < n; ++c) {
                const int parent = table.parent[c], axis = table.axis[c];
                m[c] = m[parent] * axes[axis];
                dm[c] = dm[parent] * axes[axis] + m[parent] * change[axis];
                total[c] += dR * m[c] + R * dm[c];
            }
        }
        for (int c = top; c < n; ++c) w.bar[moment.node + c - top] = sum<Real>(total[c]);
    }

    void jvp(const Moment* first, const Moment* last) const {
        const Range range = range_of(plan, t, first->element);
        for (; first < last; ++first) jvp_moment(*first, range);
    }
};

// work(sums) with the kernels of an order
template <int which = 0, class Real, class Work>
SITEWISE_INLINE void with_order(int order,
                                const ElementPlan<Real>& plan,
                                const Tables<Real>& t,
                                const PairScratch<Real>& w,
                                const Work& work) {
    if constexpr (which < static_cast<int>(sizeof(moment_orders) / sizeof(*moment_orders))) {
        if (order == moment_orders[which]) return work(MomentSums<Real, moment_orders[which]>{plan, t, w});
        with_order<which + 1>(order, plan, t, w, work);
    }
}

// work(sums, first, last) for each group of moments of one element and order
template <class Real, class Work>
SITEWISE_INLINE void for_each_group(const ElementPlan<Real>& plan,
                                    const Tables<Real>& t,
                                    const PairScratch<Real>& w,
                                    const Work& work) {
    for (const Moment *first = plan.moments.begin(), *last = first; first != plan.moments.end();
         first = last) {
        while (last != plan.moments.end() && last->element == first->element && last->order == first->order)
            ++last;
        with_order(first->order, plan, t, w, [&](const auto& sums) { work(sums, first, last); });
    }
}

// The nodes that are sums over neighbours
template <class Real>
void compute_inputs(const ElementPlan<Real>& plan, const Tables<Real>& t, const PairScratch<Real>& w) {
    t.nodes[0] = 1;
    for (const Square& square : plan.squares) {
        const Real* R = t.R + square.shell * t.stride;
        const Range range = range_of(plan, t, square.element);
        Vector<Real> total{};
        for (int k = range.first; k < range.end; k += lanes<Real>) total += load(R + k) * load(R + k);
        t.nodes[square.node] = sum<Real>(total);
    }
    for_each_group(plan, t, w, [](const auto& sums, auto first, auto last) { sums.compute(first, last); });
}

// Adds the gradient of squares, divided by the vectors, to gx.
template <class Real>
void vjp_squares(const ElementPlan<Real>& plan, const Tables<Real>& t, const Real* bar) {
    for (const Square& square : plan.squares) {
        const Real a = 2 * bar[square.node];
        const Real *R = t.R + square.shell * t.stride, *slope = t.R_slope + square.shell * t.stride;
        const Range range = range_of(plan, t, square.element);
        for (int k = range.first; k < range.end; k += lanes<Real>)
            store(t.gx + k, load(t.gx + k) + a * load(R + k) * load(slope + k));
    }
}

template <class Real>
void vjp_moments(const ElementPlan<Real>& plan,
                 const Tables<Real>& t,
                 const PairScratch<Real>& w,
                 const Real* bar) {
    for_each_group(plan, t, w, [&](const auto& sums, auto first, auto last) { sums.vjp(bar, first, last); });
}

// The change of the nodes that are sums over neighbours along (gx, gy, gz), into w.bar
template <class Real>
void jvp_inputs(const ElementPlan<Real>& plan, const Tables<Real>& t, const PairScratch<Real>& w) {
    w.bar[0] = 0;
    for (const Square& square : plan.squares) {
        const Real *R = t.R + square.shell * t.stride, *slope = t.R_slope + square.shell * t.stride;
        const Range range = range_of(plan, t, square.element);
        Vector<Real> total{};
        for (int k = range.first; k < range.end; k += lanes<Real>) {
            const Vector<Real> d = load(t.x + k) * load(t.gx + k) + load(t.y + k) * load(t.gy + k) +
                                   load(t.z + k) * load(t.gz + k);
            total += Real(2) * load(R + k) * load(slope + k) * d;
        }
        w.bar[square.node] = sum<Real>(total);
    }
    for_each_group(plan, t, w, [](const auto& sums, auto first, auto last) { sums.jvp(first, last); });
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
