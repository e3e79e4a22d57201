#pragma once

// The three operators on one environment.

#include "moments.hpp"
#include "pairs.hpp"
#include "shell.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

// Sorts the neighbours within the cutoff by element, and keeps the order of the list within an element.
template <class Real>
void sort_neighbors(const ElementPlan<Real>& plan,
                    int size,
                    const int* neighbors,
                    const int* species,
                    const double* vectors,
                    Tables<Real>& t) {
    constexpr int L = lanes<Real>;
    const double rc2 = static_cast<double>(plan.rc2);
    const auto inside = [&](int i) {
        const double* v = vectors + 3 * static_cast<std::size_t>(i);
        return v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < rc2;
    };
    const auto place = [&](int i, int at) {
        const double* v = vectors + 3 * static_cast<std::size_t>(i);
        t.order[at] = i;
        t.x[at] = static_cast<Real>(v[0]);
        t.y[at] = static_cast<Real>(v[1]);
        t.z[at] = static_cast<Real>(v[2]);
    };
    for (int e = 0; e < plan.elements; ++e) t.first[e] = t.count[e] = 0;
    if (plan.elements == 1) {  // no branch: the next neighbour overwrites one outside
        for (int i = 0; i < size; ++i) {
            place(i, t.count[0]);
            t.count[0] += inside(i);
        }
        return;
    }
    for (int i = 0; i < size; ++i) t.count[species[neighbors[i]]] += inside(i);
    for (int e = 0, total = 0; e < plan.elements; ++e) {
        t.first[e] = total;
        total += (t.count[e] + L - 1) / L * L;
        t.count[e] = 0;
    }
    for (int i = 0; i < size; ++i)
        if (inside(i)) {
            const int e = species[neighbors[i]];
            place(i, t.first[e] + t.count[e]++);
        }
}

template <class Real>
void fill(const ElementPlan<Real>& plan, const Tables<Real>& t, int at) {
    t.order[at] = -1;
    t.x[at] = 2 * __builtin_sqrt(plan.rc2);
    t.y[at] = t.z[at] = 0;
}

// Distances and envelopes of the neighbours [first, end)
template <class Real>
void tabulate(const ElementPlan<Real>& plan, const Tables<Real>& t, int first, int end) {
    using V = Vector<Real>;
    using M = core::Math<V>;
    constexpr Real least = sizeof(Real) == 4 ? Real(1e-37) : Real(1e-300);  // of what has a relative slope
    for (int k = first; k < end; k += lanes<Real>) {
        const V x = load(t.x + k), y = load(t.y + k), z = load(t.z + k), s = x * x + y * y + z * z;
        const V inverse_r = M::inverse_sqrt(s), r = s * inverse_r;
        store(t.s + k, s);
        store(t.r + k, r);
        store(t.inverse_r + k, inverse_r);
        for (int q = 0; q < plan.envelopes.size; ++q) {
            const auto f = core::envelope(plan.envelopes[q], s, r, inverse_r);
            store(t.f + q * t.stride + k, f.value);
            store(t.f_slope + q * t.stride + k, f.slope);
            if (plan.blocks.size == 0) continue;
            const V relative = f.slope / f.value;
            store(t.f_relative + q * t.stride + k, f.value > least ? relative : V{});
        }
    }
}

// The values of a shell: R, and (dR/dr)/r
template <class Real>
void tabulate_shell(const ElementPlan<Real>& plan, const Tables<Real>& t, const ShellUse<Real>& use) {
    using V = Vector<Real>;
    constexpr int L = lanes<Real>;
    const Shell<Real>& shell = plan.shells[use.shell];
    const Real *f = t.f + shell.envelope * t.stride, *slope = t.f_slope + shell.envelope * t.stride;
    Real *R = t.R + use.shell * t.stride, *R_slope = t.R_slope + use.shell * t.stride;
    const Range range = range_of(plan, t, use.element);
    for (int k = range.first; k < range.end; k += L) {
        const core::ValueSlope<V> envelope{load(f + k), load(slope + k)};
        const auto g = core::shell(shell.eta, shell.rs, load(t.r + k), load(t.inverse_r + k), envelope);
        store(R + k, use.weight * g.value);
        store(R_slope + k, use.weight * g.slope);
    }
}

template <class Real>
void load_environment(const ElementPlan<Real>& plan,
                      int size,
                      const int* neighbors,
                      const int* species,
                      const double* vectors,
                      Tables<Real>& t,
                      const PairScratch<Real>& w) {
    constexpr int L = lanes<Real>;
    t.given = size;
    for (PairList<Real>& list : t.pairs) list.complete = false;
    sort_neighbors(plan, size, neighbors, species, vectors, t);
    for (int e = 0; e < plan.elements; ++e)
        for (int at = t.first[e] + t.count[e]; (at - t.first[e]) % L != 0; ++at) fill(plan, t, at);
    t.filling = range_of(plan, t, every_element).end;
    for (int l = 0; l < L; ++l) fill(plan, t, t.filling + l);
    tabulate(plan, t, 0, t.filling + L);
    for (const ShellUse<Real>& use : plan.uses) tabulate_shell(plan, t, use);
    if (plan.polynomials.outputs.size > 0) compute_inputs(plan, t, w);
}

template <class Real>
void evaluate(const ElementPlan<Real>& plan, const Tables<Real>& t, const PairScratch<Real>& w, Real* G) {
    constexpr int L = lanes<Real>;
    for (int i = 0; i < plan.outputs; ++i) G[i] = 0;
    for (const RadialTerm<Real>& term : plan.radial) {
        const Real* R = t.R + term.shell * t.stride + t.first[term.element];
        Vector<Real> total{};
        for (int k = 0; k < t.count[term.element]; k += L) total += load(R + k);
        G[term.output] += term.weight * sum<Real>(total);
    }
    evaluate_pairs(plan, t, w, G);
    for (const NodeOutput& o : plan.polynomials.outputs) G[o.output] = t.nodes[o.node];
}

// From u = dE/dG and, of what is computed from moments, bar = dE/d(node) of the inputs
template <class Real>
void gradient_of(const ElementPlan<Real>& plan,
                 const Tables<Real>& t,
                 const PairScratch<Real>& w,
                 const Real* u,
                 const Real* bar,
                 double* gradient) {
    constexpr int L = lanes<Real>;
    const int end = t.filling;
    for (int k = 0; k < end; ++k) t.gx[k] = 0;  // sum of u (dR/dr)/r, then times the vector
    for (const RadialTerm<Real>& term : plan.radial) {
        const Real* slope = t.R_slope + term.shell * t.stride;
        const Real a = u[term.output] * term.weight;
        const int first = t.first[term.element];
        for (int k = first; k < first + t.count[term.element]; k += L)
            store(t.gx + k, load(t.gx + k) + a * load(slope + k));
    }
    vjp_squares(plan, t, bar);
    for (int k = 0; k < end; k += L) {
        const Vector<Real> q = load(t.gx + k);
        store(t.gx + k, q * load(t.x + k));
        store(t.gy + k, q * load(t.y + k));
        store(t.gz + k, q * load(t.z + k));
    }
    vjp_pairs(plan, t, w, u);
    vjp_moments(plan, t, w, bar);
    for (int i = 0; i < 3 * t.given; ++i) gradient[i] = 0;
    for (int e = 0; e < plan.elements; ++e)
        for (int at = t.first[e]; at < t.first[e] + t.count[e]; ++at) {
            double* g = gradient + 3 * static_cast<std::size_t>(t.order[at]);
            g[0] = t.gx[at];
            g[1] = t.gy[at];
            g[2] = t.gz[at];
        }
}

template <class Real>
void vjp(const ElementPlan<Real>& plan,
         const Tables<Real>& t,
         const PairScratch<Real>& w,
         const Real* u,
         double* gradient) {
    contract_back(plan.polynomials, t.nodes, u, w.bar);
    gradient_of(plan, t, w, u, w.bar, gradient);
}

template <class Real>
void jvp(const ElementPlan<Real>& plan,
         const Tables<Real>& t,
         const PairScratch<Real>& w,
         const double* v,
         Real* dG) {
    constexpr int L = lanes<Real>;
    for (int k = 0; k < t.stride; ++k) t.gx[k] = t.gy[k] = t.gz[k] = 0;
    for (int e = 0; e < plan.elements; ++e)
        for (int at = t.first[e]; at < t.first[e] + t.count[e]; ++at) {
            const double* d = v + 3 * static_cast<std::size_t>(t.order[at]);
            t.gx[at] = static_cast<Real>(d[0]);
            t.gy[at] = static_cast<Real>(d[1]);
            t.gz[at] = static_cast<Real>(d[2]);
        }
    for (int i = 0; i < plan.outputs; ++i) dG[i] = 0;
    for (const RadialTerm<Real>& term : plan.radial) {
        const Real* slope = t.R_slope + term.shell * t.stride;
        const int first = t.first[term.element];
        Vector<Real> total{};
        for (int k = first; k < first + t.count[term.element]; k += L)
            total += load(slope + k) * (load(t.x + k) * load(t.gx + k) + load(t.y + k) * load(t.gy + k) +
                                        load(t.z + k) * load(t.gz + k));
        dG[term.output] += term.weight * sum<Real>(total);
    }
    jvp_pairs(plan, t, w, dG);
    if (plan.polynomials.outputs.size == 0) return;
    jvp_inputs(plan, t, w);
    forward_changes(plan.polynomials, t.nodes, w.bar);
    for (const NodeOutput& o : plan.polynomials.outputs) dG[o.output] = w.bar[o.node];
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
