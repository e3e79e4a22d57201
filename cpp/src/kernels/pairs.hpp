#pragma once

// Functions of pairs of neighbours j, k. An atom's pairs within the cutoffs are listed in chunks, row by row
// (one j, all k), and processed one vector of pairs at a time. All functions of a family share the factor
// F = f(r_j) f(r_k) f(r_jk); all functions of a group share the Gaussian of the distances.

#include "elementary.hpp"
#include "plan.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

template <class Real>
struct PairLoop {
    using V = Vector<Real>;
    using M = core::Math<V>;
    static constexpr int L = lanes<Real>;
    static constexpr int N = sizeof(Real) == 4 ? 2 : 4;  // vectors in a tile, which share loops over members
    static constexpr int tile = N * L;                   // pairs

    const ElementPlan<Real>& plan;
    const Block<Real>& block;
    const Tables<Real>& t;
    const PairScratch<Real>& w;
    PairList<Real>& list;
    const bool small;  // lookup() can read the tables

    PairLoop(const ElementPlan<Real>& plan, int q, const Tables<Real>& t, const PairScratch<Real>& w)
        : plan(plan),
          block(plan.blocks[q]),
          t(t),
          w(w),
          list(q < kept_blocks ? t.pairs[q] : w.pairs),
          small(t.filling < lookup_size<Real>) {
        if (q >= kept_blocks) list.complete = false;
    }

    // table[i[0]], table[i[1]], ...
    SITEWISE_INLINE V take(const Real* table, const std::int32_t* i) const {
        return small ? lookup(table, i) : gather(table, i);
    }
    const Real* values(int envelope) const { return t.f + envelope * t.stride; }

    // Calls work() for each chunk of pairs, after tabulate().
    template <class Work>
    void for_each_chunk(Work work) {
        if (list.complete) {
            if (list.size > 0) work();
            return;
        }
        const int e1 = block.element1, e2 = block.element2;
        const int end = t.first[e2] + (t.count[e2] + L - 1) / L * L;
        bool first_chunk = true;
        clear();
        for (int j = t.first[e1]; j < t.first[e1] + t.count[e1]; ++j) {
            if (t.s[j] >= block.rc2) continue;
            if (list.size >= chunk_size) {
                finish();
                work();
                clear();
                first_chunk = false;
            }
            const int first = e1 == e2 ? (j + 1) / L * L : t.first[e2];
            if (first < end) add_row(j, first, end, e1 == e2 ? j : -1);
        }
        finish();
        if (list.size > 0) work();
        list.complete = first_chunk;
    }

    void finish() {
        fill_tile();
        tabulate();
    }

    void clear() { list.size = list.n_rows = list.n_masks = 0; }

    // Fills the rest of the last tile by pairs of a padding neighbour with itself.
    void fill_tile() {
        for (int p = list.size; p % tile != 0; ++p) {
            list.j[p] = list.k[p] = t.filling;
            list.c[p] = 0;
        }
    }

    // Lists the pairs of j with the candidates [first, end) that come after `after`. list.c is r_j . r_k
    // until tabulate().
    void add_row(int j, int first, int end, int after) {
        const V x = broadcast(t.x[j]), y = broadcast(t.y[j]), z = broadcast(t.z[j]), s = broadcast(t.s[j]);
        const Real *tx = t.x, *ty = t.y, *tz = t.z, *ts = t.s;
        const Real rc2 = block.rc2, rc2_jk = block.rc2_jk;
        std::uint32_t* masks = list.masks + list.n_masks;
        Real* dots = list.c + list.size;
        std::int32_t *js = list.j + list.size, *ks = list.k + list.size;
        int n = 0;
        for (int k = first; k < end; k += L) {
            const V sk = load(ts + k);
            const V d = x * load(tx + k) + y * load(ty + k) + z * load(tz + k);
            const V square = s + sk - Real(2) * d;
            std::uint32_t inside = below(sk, rc2) & below(square, rc2_jk);
            if (k <= after) inside &= ~0u << (after + 1 - k);
            *masks++ = inside;
            compress(dots + n, inside, d);
            compress_numbers<Real>(ks + n, inside, k);
            fill_numbers<Real>(js + n, j);
            n += __builtin_popcount(inside);
        }
        list.rows[list.n_rows++] = {j, list.size, list.size + n, first, (end - first) / L};
        list.n_masks += (end - first) / L;
        list.size += n;
    }

    // The cosine, and what envelopes and Gaussians need of a vector of pairs: lengths of r_j and r_k if the
    // block has `shifts`, and that of r_jk if it has `lengths`.
    SITEWISE_INLINE core::Triangle<V> distances(int p) const {
        core::Triangle<V> g{};
        const V dot = load(list.c + p);
        g.c = dot * take(t.inverse_r, list.j + p) * take(t.inverse_r, list.k + p);
        g.sj = take(t.s, list.j + p);
        g.sk = take(t.s, list.k + p);
        g.sjk = g.sj + g.sk - Real(2) * dot;
        if (block.shifts) {
            g.rj = take(t.r, list.j + p);
            g.rk = take(t.r, list.k + p);
        }
        if (block.lengths) {
            g.ijk = M::inverse_sqrt(g.sjk);
            g.rjk = g.sjk * g.ijk;
        }
        return g;
    }

    // What derivatives need
    SITEWISE_INLINE core::Triangle<V> inverses(int p) const {
        core::Triangle<V> g{};
        g.c = load(list.c + p);
        g.ij = take(t.inverse_r, list.j + p);
        g.ik = take(t.inverse_r, list.k + p);
        if (block.shifts) g.ijk = load(kept(block.inverse) + p);
        return g;
    }

    // Computes what all operators need of each pair: the envelopes and those Gaussians that are not powers of
    // others.
    void tabulate() const {
        for (int p = 0; p < list.size; p += tile) {
            core::Triangle<V> g[N];
            for (int n = 0; n < N; ++n) {
                g[n] = distances(p + n * L);
                store(list.c + p + n * L, g[n].c);
                if (block.shifts) store(kept(block.inverse) + p + n * L, g[n].ijk);
            }
            for (const Family<Real>& family : block.families) {
                const Real* f = values(family.envelope);
                for (int n = 0; n < N; ++n) {
                    const int at = p + n * L;
                    const V F = take(f, list.j + at) * take(f, list.k + at);
                    const auto third =
                        core::third_envelope<V>(plan.envelopes[family.envelope], family.triangle, g[n]);
                    store(kept(family.kept) + at, F * third.value);
                    store(kept(family.kept + 1) + at, F * third.slope);
                }
                for (int q = family.first; q < family.first + family.count; ++q) {
                    const Group<Real>& group = block.groups[q];
                    if (group.source >= 0) continue;
                    for (int n = 0; n < N; ++n)
                        store(kept(group.kept) + p + n * L,
                              group.eta == 0 ? broadcast(Real(1))
                                             : core::gaussian<V>(group.eta, group.rs, family.triangle, g[n]));
                }
            }
        }
    }
    Real* kept(int value) const { return list.kept + value * list.room; }

    SITEWISE_INLINE core::ValueSlope<V> power_of(int p, int n) const {
        return {load(w.power + p * tile + n * L), load(w.slope + p * tile + n * L)};
    }

    // Computes T and, with slopes, dT/dc of the separate powers, for n vectors of cosines.
    template <bool with_slopes, int n>
    SITEWISE_INLINE void powers(const V* c) const {
        core::ValueSlope<V> angle[n] = {};
        for (int v = 0; block.angles && v < n; ++v) angle[v] = core::angle_of(c[v]);
        for (int p = 0; p < block.separate; ++p) {
            const Power<Real>& power = block.powers[p];
            V base[n], x[n], y[n];
            core::ValueSlope<V> T[n];
            if (power.kind == Power<Real>::Kind::whole) {  // together, as each is a chain of products
                for (int v = 0; v < n; ++v) x[v] = base[v] = core::angular_base(power, c[v]);
                core::whole_powers<n>(x, with_slopes ? power.whole - 1 : power.whole, y);
                for (int v = 0; v < n; ++v)
                    T[v] = with_slopes ? core::angular_power(power, base[v], y[v])
                                       : core::ValueSlope<V>{y[v], V{}};
            } else {
                for (int v = 0; v < n; ++v) T[v] = core::angular_factor(power, c[v], angle[v]);
            }
            for (int v = 0; v < n; ++v) {
                store(w.power + p * tile + v * L, T[v].value);
                if (with_slopes) store(w.slope + p * tile + v * L, T[v].slope);
            }
        }
    }

    // Sets e to the Gaussian of a group, for the n vectors of pairs from p on.
    template <int n>
    SITEWISE_INLINE void gaussian(const Group<Real>& group, int p, V* e) const {
        const bool is_power = group.source >= 0;
        const Real* from = kept(is_power ? block.groups[group.source].kept : group.kept) + p;
        for (int v = 0; v < n; ++v) e[v] = load(from + v * L);
        if (!is_power) return;
        V x[n];
        for (int v = 0; v < n; ++v) x[v] = e[v] > group.least ? e[v] : V{};
        core::whole_powers<n>(x, group.power, e);
    }

    // Calls work(Count<degree>{}) for the degree of a group's polynomial.
    template <int degree = most_degree, class Work>
    static SITEWISE_INLINE void with_degree(const Group<Real>& group, const Work& work) {
        if (group.degree == degree) return work(Count<degree>{});
        if constexpr (degree > 1) with_degree<degree - 1>(group, work);
    }

    // w.sums and w.polynomial_sums += those of the chunk's pairs
    void evaluate() const {
        for (int p = 0; p < list.size; p += tile) {
            V x[most_degree + 1][N];  // powers of the cosine
            for (int n = 0; n < N; ++n) {
                x[1][n] = load(list.c + p + n * L);
                for (int k = 2; k <= most_degree; ++k) x[k][n] = x[k - 1][n] * x[1][n];
            }
            powers<false, N>(x[1]);
            for (const Family<Real>& family : block.families) {
                const Real* F = kept(family.kept) + p;
                for (int q = family.first; q < family.first + family.count; ++q) {
                    V R[N];
                    gaussian<N>(block.groups[q], p, R);
                    for (int n = 0; n < N; ++n) R[n] *= load(F + n * L);
                    add_values(q, R, x);
                }
            }
        }
    }

    SITEWISE_INLINE void add_values(int q, const V* R, const V (*x)[N]) const {
        const Group<Real>& group = block.groups[q];
        with_degree(group, [&](auto degree) SITEWISE_INLINE_LAMBDA {
            V total[degree.value + 1];
            for (int k = 0; k <= degree.value; ++k) {
                total[k] = load(polynomial_sum(q, k));
                for (int n = 0; n < N; ++n) total[k] += k == 0 ? R[n] : R[n] * x[k][n];
            }
            for (int k = 0; k <= degree.value; ++k) store(polynomial_sum(q, k), total[k]);
        });
        for (int m = group.first + group.expanded; m < group.first + group.count; ++m) {
            const Real* T = w.power + block.members[m].power * tile;
            V total = load(w.sums + m * L);
            for (int n = 0; n < N; ++n) total += R[n] * load(T + n * L);
            store(w.sums + m * L, total);
        }
    }

    SITEWISE_INLINE Real* polynomial_sum(int q, int k) const {
        return w.polynomial_sums + (q * (most_degree + 1) + k) * L;
    }
    SITEWISE_INLINE const Real* polynomial(int q) const { return w.polynomials + q * (most_degree + 1); }

    SITEWISE_INLINE void add_group(int q, int p, const V* c, core::FamilySums<V>* sums) const {
        const Group<Real>& group = block.groups[q];
        V U[N] = {}, W[N] = {}, e[N];
        with_degree(group, [&](auto degree) SITEWISE_INLINE_LAMBDA {
            const Real* a = polynomial(q);
            for (int n = 0; n < N; ++n) {
                U[n] = broadcast(a[degree.value]);
                W[n] = broadcast(degree.value * a[degree.value]);
            }
            for (int k = degree.value - 1; k >= 0; --k)
                for (int n = 0; n < N; ++n) {
                    U[n] = U[n] * c[n] + a[k];
                    if (k > 0) W[n] = W[n] * c[n] + k * a[k];
                }
        });
        for (int m = group.first + group.expanded; m < group.first + group.count; ++m)
            for (int n = 0; n < N; ++n) {
                const core::ValueSlope<V> T = power_of(block.members[m].power, n);
                U[n] += w.weights[m] * T.value;
                W[n] += w.weights[m] * T.slope;
            }
        gaussian<N>(group, p, e);
        for (int n = 0; n < N; ++n) core::add_group(sums[n], group.eta, group.rs, e[n], U[n], W[n]);
    }

    // The factors of a family for the vector of pairs at p, divided by the two envelopes of the neighbours,
    // which are in the third.
    struct Factors {
        core::ValueSlope<V> j, k, jk;
    };
    SITEWISE_INLINE Factors factors(const Family<Real>& family, int p) const {
        const Real *F = kept(family.kept) + p, *slope = kept(family.kept + 1) + p,
                   *relative = t.f_relative + family.envelope * t.stride;
        const V one = broadcast(Real(1));
        return {{one, take(relative, list.j + p)}, {one, take(relative, list.k + p)}, {load(F), load(slope)}};
    }

    // With E = sum over members of weight * function, dE/dr_j = A r_j + X r_k and dE/dr_k = B r_k + X r_j.
    void vjp() const {
        for (int p = 0; p < list.size; p += tile) {
            core::Triangle<V> g[N];
            core::PairSlopes<V> d[N];
            V c[N];
            for (int n = 0; n < N; ++n) {
                g[n] = inverses(p + n * L);
                c[n] = g[n].c;
            }
            powers<true, N>(c);
            for (int i = 0; i < block.families.size; ++i) {
                if (!w.live_families[i]) continue;
                const Family<Real>& family = block.families[i];
                core::FamilySums<V> sums[N];
                for (int q = family.first; q < family.first + family.count; ++q)
                    if (w.live_groups[q]) add_group(q, p, c, sums);
                for (int n = 0; n < N; ++n) {
                    const Factors f = factors(family, p + n * L);
                    core::add_family<V>(d[n], sums[n], f.j, f.k, f.jk, family.triangle, block.shifts, g[n]);
                }
            }
            for (int n = 0; n < N; ++n) {
                const core::PairGradient<V> gradient = core::pair_gradient<V>(d[n], g[n]);
                store(w.X + p + n * L, gradient.X);
                store(w.A + p + n * L, gradient.A);
                store(w.B + p + n * L, gradient.B);
            }
        }
    }

    // Adds the gradient of the chunk to that of the neighbours. Those of j are added at the end: the
    // processor would wait if it loaded vectors around numbers that it has just stored.
    void spread() const {
        const std::uint32_t* mask = list.masks;
        for (Real* own : w.own)
            for (int k = 0; k < t.filling; k += L) store(own + k, V{});
        for (int i = 0; i < list.n_rows; ++i) {
            const PairRow row = list.rows[i];
            const int j = row.j;
            const V x = broadcast(t.x[j]), y = broadcast(t.y[j]), z = broadcast(t.z[j]);
            const Real *X = w.X + row.begin, *B = w.B + row.begin;
            const Real *tx = t.x + row.first, *ty = t.y + row.first, *tz = t.z + row.first;
            Real *gx = t.gx + row.first, *gy = t.gy + row.first, *gz = t.gz + row.first;
            V sx{}, sy{}, sz{}, sa{};
            for (int p = row.begin; p < row.end; p += L) sa += first_lanes<Real>(load(w.A + p), row.end - p);
            for (int v = 0, k = 0; v < row.vectors; ++v, k += L) {
                const std::uint32_t inside = *mask++;
                const int n = __builtin_popcount(inside);
                const V Xk = expand(X, inside), Bk = expand(B, inside);
                const V xk = load(tx + k), yk = load(ty + k), zk = load(tz + k);
                X += n;
                B += n;
                store(gx + k, load(gx + k) + (Bk * xk + Xk * x));
                store(gy + k, load(gy + k) + (Bk * yk + Xk * y));
                store(gz + k, load(gz + k) + (Bk * zk + Xk * z));
                sx += Xk * xk;
                sy += Xk * yk;
                sz += Xk * zk;
            }
            Real total[4];
            sums<Real>(sa, sx, sy, sz, total);
            w.own[0][j] = total[0] * t.x[j] + total[1];
            w.own[1][j] = total[0] * t.y[j] + total[2];
            w.own[2][j] = total[0] * t.z[j] + total[3];
        }
        Real* const gradient[] = {t.gx, t.gy, t.gz};
        for (int a = 0; a < 3; ++a)
            for (int k = 0; k < t.filling; k += L)
                store(gradient[a] + k, load(gradient[a] + k) + load(w.own[a] + k));
    }

    SITEWISE_INLINE core::PairChanges<V> changes(int p, const core::Triangle<V>& g) const {
        const std::int32_t *at_j = list.j + p, *at_k = list.k + p;
        const V xj = take(t.x, at_j), yj = take(t.y, at_j), zj = take(t.z, at_j);
        const V xk = take(t.x, at_k), yk = take(t.y, at_k), zk = take(t.z, at_k);
        const V uj = take(t.gx, at_j), vj = take(t.gy, at_j), wj = take(t.gz, at_j);
        const V uk = take(t.gx, at_k), vk = take(t.gy, at_k), wk = take(t.gz, at_k);
        const V j = xj * uj + yj * vj + zj * wj, k = xk * uk + yk * vk + zk * wk;
        const V mixed = xj * uk + yj * vk + zj * wk + xk * uj + yk * vj + zk * wj;
        return core::pair_changes<V>(j, k, mixed, g);
    }

    // w.sums and w.polynomial_sums += their derivatives along the direction
    void jvp() const {
        for (int p = 0; p < list.size; p += L) {
            const core::Triangle<V> g = inverses(p);
            const core::PairChanges<V> d = changes(p, g);
            powers<true, 1>(&g.c);
            for (const Family<Real>& family : block.families) {
                const Factors at = factors(family, p);
                const auto f = core::family_change<V>(at.j, at.k, at.jk, family.triangle, d, g);
                for (int q = family.first; q < family.first + family.count; ++q) {
                    const Group<Real>& group = block.groups[q];
                    V e;
                    gaussian<1>(group, p, &e);
                    const V Rc = e * f.F * d.c, dR = core::group_change(group.eta, group.rs, e, f);
                    V x = broadcast(Real(1)), change = dR;  // of R c^k
                    for (int k = 0; group.expanded > 0 && k <= group.degree; ++k) {
                        store(polynomial_sum(q, k), load(polynomial_sum(q, k)) + change);
                        change = dR * (x * g.c) + Real(k + 1) * (Rc * x);
                        x *= g.c;
                    }
                    for (int m = group.first + group.expanded; m < group.first + group.count; ++m) {
                        const core::ValueSlope<V> T = power_of(block.members[m].power, 0);
                        store(w.sums + m * L, load(w.sums + m * L) + dR * T.value + Rc * T.slope);
                    }
                }
            }
        }
    }

    // Sets the derivatives of E by the members; returns false if all are 0.
    bool set_weights(const Real* u) const {
        bool any = false;
        for (int i = 0; i < block.families.size; ++i) {
            const Family<Real>& family = block.families[i];
            w.live_families[i] = 0;
            for (int q = family.first; q < family.first + family.count; ++q) {
                w.live_groups[q] = set_weights(q, u);
                w.live_families[i] |= w.live_groups[q];
            }
            any = any || w.live_families[i];
        }
        return any;
    }

    bool set_weights(int q, const Real* u) const {
        const Group<Real>& group = block.groups[q];
        Real sum[most_degree + 1] = {};
        bool any = false;
        for (int m = group.first; m < group.first + group.count; ++m) {
            const Member<Real>& member = block.members[m];
            const Real a = u[member.output];
            any = any || a != 0;
            w.weights[m] = a * member.norm;
            if (m < group.first + group.expanded)
                for (int k = 0; k <= most_degree; ++k) sum[k] += a * member.expansion[k];
        }
        for (int k = 0; k <= most_degree; ++k) w.polynomials[q * (most_degree + 1) + k] = sum[k];
        return any;
    }

    void clear_sums() const {
        for (int i = 0; i < block.members.size * L; ++i) w.sums[i] = 0;
        for (int i = 0; i < block.groups.size * (most_degree + 1) * L; ++i) w.polynomial_sums[i] = 0;
    }
    void add_sums(Real* G) const {
        for (int q = 0; q < block.groups.size; ++q) {
            const Group<Real>& group = block.groups[q];
            Real total[most_degree + 1] = {};
            for (int k = 0; group.expanded > 0 && k <= group.degree; ++k)
                total[k] = sum<Real>(load(polynomial_sum(q, k)));
            for (int m = group.first; m < group.first + group.count; ++m) {
                const Member<Real>& member = block.members[m];
                Real value = 0;
                if (m < group.first + group.expanded)
                    for (int k = 0; k <= most_degree; ++k) value += member.expansion[k] * total[k];
                else
                    value = member.norm * sum<Real>(load(w.sums + m * L));
                G[member.output] += value;
            }
        }
    }
};

template <class Real>
void evaluate_pairs(const ElementPlan<Real>& plan,
                    const Tables<Real>& t,
                    const PairScratch<Real>& w,
                    Real* G) {
    for (int q = 0; q < plan.blocks.size; ++q) {
        PairLoop<Real> loop(plan, q, t, w);
        loop.clear_sums();
        loop.for_each_chunk([&] { loop.evaluate(); });
        loop.add_sums(G);
    }
}

template <class Real>
void vjp_pairs(const ElementPlan<Real>& plan,
               const Tables<Real>& t,
               const PairScratch<Real>& w,
               const Real* u) {
    for (int q = 0; q < plan.blocks.size; ++q) {
        PairLoop<Real> loop(plan, q, t, w);
        if (!loop.set_weights(u)) continue;
        loop.for_each_chunk([&] {
            loop.vjp();
            loop.spread();
        });
    }
}

template <class Real>
void jvp_pairs(const ElementPlan<Real>& plan, const Tables<Real>& t, const PairScratch<Real>& w, Real* dG) {
    for (int q = 0; q < plan.blocks.size; ++q) {
        PairLoop<Real> loop(plan, q, t, w);
        loop.clear_sums();
        loop.for_each_chunk([&] { loop.jvp(); });
        loop.add_sums(dG);
    }
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
