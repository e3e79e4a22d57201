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
    static constexpr int N = 4;         // vectors in a tile, which share the loops over members
    static constexpr int tile = N * L;  // pairs

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
    const Real* slopes(int envelope) const { return t.f_slope + envelope * t.stride; }

    // Calls work() for each chunk of pairs.
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
                fill_tile();
                work();
                clear();
                first_chunk = false;
            }
            const int first = e1 == e2 ? (j + 1) / L * L : t.first[e2];
            if (first < end) add_row(j, first, end, e1 == e2 ? j : -1);
        }
        fill_tile();
        if (list.size > 0) work();
        list.complete = first_chunk;
    }

    void clear() { list.size = list.n_rows = list.n_masks = 0; }

    // Fills the rest of the last tile by pairs of a padding neighbour with itself.
    void fill_tile() {
        for (int p = list.size; p % tile != 0; ++p) {
            list.j[p] = list.k[p] = t.filling;
            list.c[p] = 0;
            list.sjk[p] = t.s[t.filling];
        }
    }

    // Lists the pairs of j with the candidates [first, end) that come after `after`.
    void add_row(int j, int first, int end, int after) {
        const V x = broadcast(t.x[j]), y = broadcast(t.y[j]), z = broadcast(t.z[j]), s = broadcast(t.s[j]);
        const V inverse_r = broadcast(t.inverse_r[j]);
        const Real *tx = t.x, *ty = t.y, *tz = t.z, *ts = t.s, *ti = t.inverse_r;
        const Real rc2 = block.rc2, rc2_jk = block.rc2_jk;
        std::uint32_t* masks = list.masks + list.n_masks;
        Real *c = list.c + list.size, *sjk = list.sjk + list.size;
        std::int32_t *js = list.j + list.size, *ks = list.k + list.size;
        int n = 0;
        for (int k = first; k < end; k += L) {
            const V sk = load(ts + k);
            const V d = x * load(tx + k) + y * load(ty + k) + z * load(tz + k);
            const V square = s + sk - Real(2) * d;
            std::uint32_t inside = below(sk, rc2) & below(square, rc2_jk);
            if (k <= after) inside &= ~0u << (after + 1 - k);
            *masks++ = inside;
            compress(c + n, inside, V(d * inverse_r * load(ti + k)));
            compress(sjk + n, inside, square);
            compress_numbers<Real>(ks + n, inside, k);
            fill_numbers<Real>(js + n, j);
            n += __builtin_popcount(inside);
        }
        list.rows[list.n_rows++] = {j, list.size, list.size + n, first, (end - first) / L};
        list.n_masks += (end - first) / L;
        list.size += n;
    }

    SITEWISE_INLINE V power_of(int p, int n) const { return load(w.power + p * tile + n * L); }
    SITEWISE_INLINE V slope_of(int p, int n) const { return load(w.slope + p * tile + n * L); }

    // Computes T and, with slopes, dT/dc of all powers, for vector n of the tile.
    template <bool with_slopes>
    SITEWISE_INLINE void powers(int n, V c) const {
        const core::ValueSlope<V> angle = block.angles ? core::angle_of(c) : core::ValueSlope<V>{};
        for (int p = 0; p < block.powers.size; ++p) {
            const Power<Real>& power = block.powers[p];
            core::ValueSlope<V> source{};
            if (power.source >= 0) source.value = power_of(power.source, n);
            if (power.source >= 0 && with_slopes) source.slope = slope_of(power.source, n);
            const core::ValueSlope<V> T = core::angular_power(power, c, angle, source);
            store(w.power + p * tile + n * L, T.value);
            if (with_slopes) store(w.slope + p * tile + n * L, T.slope);
        }
    }

    // The distances of a vector of pairs. If the block has `lengths`, all are set, otherwise only the
    // squares.
    struct Geometry : core::Triangle<V> {
        const std::int32_t *j, *k;
    };

    SITEWISE_INLINE Geometry geometry(int p, bool inverses) const {
        Geometry g;
        g.j = list.j + p;
        g.k = list.k + p;
        g.c = load(list.c + p);
        g.sjk = load(list.sjk + p);
        g.sj = take(t.s, g.j);
        g.sk = take(t.s, g.k);
        const bool all = block.lengths;
        g.ij = inverses || all ? take(t.inverse_r, g.j) : V{};
        g.ik = inverses || all ? take(t.inverse_r, g.k) : V{};
        g.rj = g.sj * g.ij;
        g.rk = g.sk * g.ik;
        g.ijk = all ? M::inverse_sqrt(g.sjk) : V{};
        g.rjk = g.sjk * g.ijk;
        return g;
    }

    // The Gaussian of the two or three distances of group q, for vector n of the tile. `made`: the Gaussian
    // of the group's source has been computed.
    SITEWISE_INLINE V gaussian(int q, const Family<Real>& family, const Geometry& g, int n, bool made) const {
        const Group<Real>& group = block.groups[q];
        if (group.eta == 0) return broadcast(Real(1));
        V e;
        if (group.source >= 0 && made) {
            e = integer_power(load(w.gaussian + group.source * tile + n * L), group);
        } else {
            e = core::gaussian<V>(group.eta, group.rs, family.triangle, g);
        }
        store(w.gaussian + q * tile + n * L, e);
        return e;
    }

    static SITEWISE_INLINE V integer_power(V base, const Group<Real>& group) {
        base = base > group.least ? base : V{};
        V result = broadcast(Real(1));
        for (int n = group.power;; base *= base) {
            if (n & 1) result *= base;
            n >>= 1;
            if (n == 0) return result;
        }
    }

    // w.sums += the members' functions, summed over the pairs of the chunk
    void evaluate() const {
        for (int p = 0; p < list.size; p += tile) {
            Geometry g[N];
            for (int n = 0; n < N; ++n) {
                g[n] = geometry(p + n * L, false);
                powers<false>(n, g[n].c);
            }
            for (const Family<Real>& family : block.families) {
                const Real* f = values(family.envelope);
                V F[N];
                for (int n = 0; n < N; ++n)
                    F[n] = take(f, g[n].j) * take(f, g[n].k) * third(family, g[n]).value;
                for (int q = family.first; q < family.first + family.count; ++q) {
                    const Group<Real>& group = block.groups[q];
                    V R[N];
                    for (int n = 0; n < N; ++n) R[n] = F[n] * gaussian(q, family, g[n], n, true);
                    for (int m = group.first; m < group.first + group.count; ++m) {
                        const int power = block.members[m].power;
                        V total = load(w.sums + m * L);
                        for (int n = 0; n < N; ++n) total += R[n] * power_of(power, n);
                        store(w.sums + m * L, total);
                    }
                }
            }
        }
    }

    SITEWISE_INLINE core::ValueSlope<V> third(const Family<Real>& family, const Geometry& g) const {
        return core::third_envelope<V>(plan.envelopes[family.envelope], family.triangle, g);
    }
    SITEWISE_INLINE core::ValueSlope<V> of_neighbor(const Family<Real>& family, const std::int32_t* i) const {
        return {take(values(family.envelope), i), take(slopes(family.envelope), i)};
    }

    SITEWISE_INLINE void add_group(int q,
                                   const Family<Real>& family,
                                   const Geometry* g,
                                   core::FamilySums<V>* sums) const {
        const Group<Real>& group = block.groups[q];
        const bool made = group.source >= 0 && w.live_groups[group.source];
        V U[N] = {}, W[N] = {};
        for (int m = group.first; m < group.first + group.count; ++m) {
            const Real a = w.weights[m];
            const int power = block.members[m].power;
            for (int n = 0; n < N; ++n) {
                U[n] += a * power_of(power, n);
                W[n] += a * slope_of(power, n);
            }
        }
        for (int n = 0; n < N; ++n) {
            const V e = gaussian(q, family, g[n], n, made);
            core::add_group(sums[n], group.eta, group.rs, e, U[n], W[n]);
        }
    }

    SITEWISE_INLINE void add_family(const Family<Real>& family,
                                    const core::FamilySums<V>& sums,
                                    const Geometry& g,
                                    core::PairSlopes<V>& d) const {
        core::add_family<V>(d, sums, of_neighbor(family, g.j), of_neighbor(family, g.k), third(family, g),
                            family.triangle, block.shifts, g);
    }

    // With E = sum over members of weight * function, dE/dr_j = A r_j + X r_k and dE/dr_k = B r_k + X r_j.
    void vjp() const {
        for (int p = 0; p < list.size; p += tile) {
            Geometry g[N];
            core::PairSlopes<V> d[N];
            for (int n = 0; n < N; ++n) {
                g[n] = geometry(p + n * L, true);
                powers<true>(n, g[n].c);
            }
            for (int i = 0; i < block.families.size; ++i) {
                if (!w.live_families[i]) continue;
                const Family<Real>& family = block.families[i];
                core::FamilySums<V> sums[N];
                for (int q = family.first; q < family.first + family.count; ++q)
                    if (w.live_groups[q]) add_group(q, family, g, sums);
                for (int n = 0; n < N; ++n) add_family(family, sums[n], g[n], d[n]);
            }
            for (int n = 0; n < N; ++n) {
                const core::PairGradient<V> gradient = core::pair_gradient<V>(d[n], g[n]);
                store(w.X + p + n * L, gradient.X);
                store(w.A + p + n * L, gradient.A);
                store(w.B + p + n * L, gradient.B);
            }
        }
    }

    // Adds the gradient of the chunk to that of the neighbours.
    void spread() const {
        const std::uint32_t* mask = list.masks;
        for (int i = 0; i < list.n_rows; ++i) {
            const PairRow row = list.rows[i];
            const int j = row.j;
            const V x = broadcast(t.x[j]), y = broadcast(t.y[j]), z = broadcast(t.z[j]);
            const Real *X = w.X + row.begin, *A = w.A + row.begin, *B = w.B + row.begin;
            const Real *tx = t.x + row.first, *ty = t.y + row.first, *tz = t.z + row.first;
            Real *gx = t.gx + row.first, *gy = t.gy + row.first, *gz = t.gz + row.first;
            V sx{}, sy{}, sz{}, sa{};
            for (int v = 0, k = 0; v < row.vectors; ++v, k += L) {
                const std::uint32_t inside = *mask++;
                const int n = __builtin_popcount(inside);
                const V Xk = expand(X, inside), Bk = expand(B, inside);
                const V xk = load(tx + k), yk = load(ty + k), zk = load(tz + k);
                sa += expand(A, inside);
                X += n;
                A += n;
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
            t.gx[j] += total[0] * t.x[j] + total[1];
            t.gy[j] += total[0] * t.y[j] + total[2];
            t.gz[j] += total[0] * t.z[j] + total[3];
        }
    }

    SITEWISE_INLINE core::PairChanges<V> changes(const Geometry& g) const {
        const V xj = take(t.x, g.j), yj = take(t.y, g.j), zj = take(t.z, g.j);
        const V xk = take(t.x, g.k), yk = take(t.y, g.k), zk = take(t.z, g.k);
        const V uj = take(t.gx, g.j), vj = take(t.gy, g.j), wj = take(t.gz, g.j);
        const V uk = take(t.gx, g.k), vk = take(t.gy, g.k), wk = take(t.gz, g.k);
        const V j = xj * uj + yj * vj + zj * wj, k = xk * uk + yk * vk + zk * wk;
        const V mixed = xj * uk + yj * vk + zj * wk + xk * uj + yk * vj + zk * wj;
        return core::pair_changes<V>(j, k, mixed, g);
    }

    // w.sums += the members' derivatives along the direction, summed over the pairs of the chunk
    void jvp() const {
        for (int p = 0; p < list.size; p += L) {
            const Geometry g = geometry(p, true);
            const core::PairChanges<V> d = changes(g);
            powers<true>(0, g.c);
            for (const Family<Real>& family : block.families) {
                const auto f = core::family_change<V>(of_neighbor(family, g.j), of_neighbor(family, g.k),
                                                      third(family, g), family.triangle, d, g);
                for (int q = family.first; q < family.first + family.count; ++q) {
                    const Group<Real>& group = block.groups[q];
                    const V e = gaussian(q, family, g, 0, true), R = e * f.F;
                    const V dR = core::group_change(group.eta, group.rs, e, f);
                    for (int m = group.first; m < group.first + group.count; ++m) {
                        const int power = block.members[m].power;
                        const V change = dR * power_of(power, 0) + R * d.c * slope_of(power, 0);
                        store(w.sums + m * L, load(w.sums + m * L) + change);
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
                const Group<Real>& group = block.groups[q];
                w.live_groups[q] = 0;
                for (int m = group.first; m < group.first + group.count; ++m) {
                    w.weights[m] = u[block.members[m].output] * block.members[m].norm;
                    if (w.weights[m] != 0) w.live_groups[q] = w.live_families[i] = 1;
                }
            }
            any = any || w.live_families[i];
        }
        return any;
    }

    void clear_sums() const {
        for (int i = 0; i < block.members.size * L; ++i) w.sums[i] = 0;
    }
    void add_sums(Real* G) const {
        for (int m = 0; m < block.members.size; ++m)
            G[block.members[m].output] += block.members[m].norm * sum<Real>(load(w.sums + m * L));
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
