#include "moments.cuh"
#include "shell.hpp"
#include "symmetry.cuh"
#include "warp.cuh"

namespace sitewise::cuda {
namespace {

constexpr int most_warps = 4;  // of a block
constexpr std::size_t preferred_shared = 48 * 1024;

template <class V>
using ValueSlope = core::ValueSlope<V>;

// The sizes of a warp's tables, used by host and device.
struct Shape {
    int neighbors, elements, envelopes, outputs, powers, members;
    int queue;             // 0 in kernels without pairs
    int nodes, monomials;  // 0 in kernels without moments
};

// The environment of one atom in shared memory, owned by one warp: neighbours within the cutoff sorted by
// element, in the order of the list.
template <class Real>
struct Tables {
    Real *x, *y, *z, *inverse_r;  // [neighbors]
    Real *f, *slope;              // [envelopes][neighbors], and (df/dr)/r
    Real *gx, *gy, *gz;           // [neighbors], gradient or direction
    Real* G;                      // [outputs], functions or their weights
    Real *power, *power_slope;    // [powers][lane]
    Real* sums;                   // [members][lane]
    Real *nodes, *bar;            // [nodes] of moments; dE/d(node), or changes along the direction
    Real* monomials;              // [monomials][lane], with a column of padding
    Real *R, *R_slope;            // [lane] of one shell, and (dR/dr)/r
    int* order;                   // [neighbors], entry of the list
    int *first, *count;           // [elements]
    int* queue;                   // pairs that wait for a lane, a ring
    int stride;                   // of tables of envelopes
};

// Places the tables at `at`; returns their end.
template <class Real>
SITEWISE_HOST_DEVICE Real* lay_out(const Shape& s, Real* at, Tables<Real>& t) {
    const auto take = [&](Real*& array, std::size_t n) {
        array = at;
        at += n;
    };
    t.stride = s.neighbors;
    for (Real** array : {&t.x, &t.y, &t.z, &t.inverse_r, &t.gx, &t.gy, &t.gz}) take(*array, s.neighbors);
    take(t.f, static_cast<std::size_t>(s.envelopes) * s.neighbors);
    take(t.slope, static_cast<std::size_t>(s.envelopes) * s.neighbors);
    take(t.G, s.outputs);
    take(t.power, static_cast<std::size_t>(s.powers) * warp_size);
    take(t.power_slope, static_cast<std::size_t>(s.powers) * warp_size);
    take(t.sums, static_cast<std::size_t>(s.members) * warp_size);
    take(t.nodes, s.nodes);
    take(t.bar, s.nodes);
    take(t.monomials, static_cast<std::size_t>(s.monomials) * (warp_size + 1));
    take(t.R, s.monomials > 0 ? warp_size : 0);
    take(t.R_slope, s.monomials > 0 ? warp_size : 0);
    int* integers = reinterpret_cast<int*>(at);
    t.order = integers;
    t.first = t.order + s.neighbors;
    t.count = t.first + s.elements;
    t.queue = t.count + s.elements;
    const std::size_t n = s.neighbors + 2 * static_cast<std::size_t>(s.elements) + s.queue;
    return at + (n * sizeof(int) + 2 * sizeof(Real) - 1) / (2 * sizeof(Real)) * 2;
}

template <class Real>
std::size_t bytes_of_warp(const Shape& shape) {
    Tables<Real> t;
    alignas(16) static Real origin[1];
    return static_cast<std::size_t>(lay_out(shape, origin, t) - origin) * sizeof(Real);
}

constexpr int queue_size = 2 * warp_size;

// Two neighbours of one atom as a number
struct Pair {
    int j, k;

    __device__ int packed() const { return j << 16 | k; }
    __device__ static Pair unpacked(int number) { return {number >> 16, number & 0xffff}; }
};

template <class Real>
struct Vector {
    Real x, y, z;
};

// One warp's view of one atom
template <class Real>
struct Operator {
    const ElementPlan<Real>& plan;
    const List<Real>& list;
    Tables<Real> t;
    int lane, begin, end;  // of the row

    __device__ const Real* component(const Real* vectors, int c) const {
        return vectors + static_cast<std::size_t>(c) * list.entries;
    }

    // Sorts the neighbours within the cutoff by element and tabulates the envelopes.
    __device__ void load(const int* species) {
        const Real *x = component(list.vectors, 0), *y = component(list.vectors, 1),
                   *z = component(list.vectors, 2);
        int total = 0;
        for (int e = 0; e < plan.elements; ++e) {
            const int first = total;
            for (int row = begin; row < end; row += warp_size) {
                const int q = row + lane;
                const bool mine = q < end && species[list.index[q]] == e &&
                                  x[q] * x[q] + y[q] * y[q] + z[q] * z[q] < plan.rc2;
                const unsigned mask = __ballot_sync(all_lanes, mine);
                if (mine) {
                    const int at = total + lanes_before(mask);
                    t.order[at] = q;
                    t.x[at] = x[q];
                    t.y[at] = y[q];
                    t.z[at] = z[q];
                }
                total += __popc(mask);
            }
            if (lane == 0) {
                t.first[e] = first;
                t.count[e] = total - first;
            }
        }
        __syncwarp();
        for (int k = lane; k < total; k += warp_size) tabulate(k);
        __syncwarp();
    }

    __device__ Real square(int k) const { return t.x[k] * t.x[k] + t.y[k] * t.y[k] + t.z[k] * t.z[k]; }

    __device__ void tabulate(int k) {
        const Real s = square(k), r = core::Math<Real>::sqrt(s);
        t.inverse_r[k] = Real(1) / r;
        for (int q = 0; q < plan.envelopes.size; ++q) {
            const ValueSlope<Real> f = core::envelope(plan.envelopes[q], s, r, t.inverse_r[k]);
            t.f[q * t.stride + k] = f.value;
            t.slope[q * t.stride + k] = f.slope;
        }
    }

    // Loads the direction v [3][entries] into gx, gy, gz.
    __device__ void load_direction(const Real* v) {
        for (int k = lane; k < neighbors(); k += warp_size) {
            t.gx[k] = component(v, 0)[t.order[k]];
            t.gy[k] = component(v, 1)[t.order[k]];
            t.gz[k] = component(v, 2)[t.order[k]];
        }
        __syncwarp();
    }

    __device__ int neighbors() const { return t.first[plan.elements - 1] + t.count[plan.elements - 1]; }
    __device__ int end_of(int element) const { return t.first[element] + t.count[element]; }
    __device__ ValueSlope<Real> of_neighbor(int envelope, int k) const {
        return {t.f[envelope * t.stride + k], t.slope[envelope * t.stride + k]};
    }
    __device__ ValueSlope<Real> shell_of(int number, int k) const {
        const Shell<Real>& shell = plan.shells[number];
        return core::shell(shell.eta, shell.rs, square(k) * t.inverse_r[k], t.inverse_r[k],
                           of_neighbor(shell.envelope, k));
    }

    __device__ Real product(int j, int k) const {
        return t.x[j] * t.x[k] + t.y[j] * t.y[k] + t.z[j] * t.z[k];
    }
    __device__ bool within_cutoffs(const Block<Real>& block, int j, int k) const {
        const Real sj = square(j), sk = square(k), sjk = sj + sk - Real(2) * product(j, k);
        return sj < block.rc2 && sk < block.rc2 && sjk < block.rc2_jk;
    }
    __device__ core::Triangle<Real> triangle(const Block<Real>& block, int j, int k) const {
        core::Triangle<Real> g;
        const Real d = product(j, k);
        g.sj = square(j);
        g.sk = square(k);
        g.sjk = g.sj + g.sk - Real(2) * d;
        g.ij = t.inverse_r[j];
        g.ik = t.inverse_r[k];
        g.c = d * g.ij * g.ik;
        g.rj = g.sj * g.ij;
        g.rk = g.sk * g.ik;
        g.ijk = block.lengths ? Real(1) / core::Math<Real>::sqrt(g.sjk) : Real(0);
        g.rjk = g.sjk * g.ijk;
        return g;
    }

    __device__ ValueSlope<Real> power_of(int p) const {
        return {t.power[p * warp_size + lane], t.power_slope[p * warp_size + lane]};
    }
    // Computes the lane's powers of the cosine c.
    __device__ void set_powers(const Block<Real>& block, Real c) {
        const ValueSlope<Real> angle = block.angles ? core::angle_of(c) : ValueSlope<Real>{};
        for (int p = 0; p < block.powers.size; ++p) {
            const ValueSlope<Real> T = core::angular_factor(block.powers[p], c, angle);
            t.power[p * warp_size + lane] = T.value;
            t.power_slope[p * warp_size + lane] = T.slope;
        }
    }
    __device__ ValueSlope<Real> third(const Family<Real>& family, const core::Triangle<Real>& g) const {
        return core::third_envelope<Real>(plan.envelopes[family.envelope], family.triangle, g);
    }
    __device__ static Real gaussian(const Group<Real>& group,
                                    const Family<Real>& family,
                                    const core::Triangle<Real>& g) {
        return group.eta == 0 ? Real(1) : core::gaussian<Real>(group.eta, group.rs, family.triangle, g);
    }

    // Calls visit(lanes, j, k) for the pairs of a block within its cutoffs, by j and then k: each pair has a
    // lane, and all lanes call together, those from `lanes` on without a pair. Pairs wait in the queue until
    // there is one for each lane, because most pairs of some environments are beyond the cutoffs.
    template <class Visit>
    __device__ void for_each_pair(const Block<Real>& block, const Visit& visit) const {
        const bool same = block.element1 == block.element2;
        const int n1 = t.count[block.element1], n2 = t.count[block.element2];
        int j = 0, k = lane + (same ? 1 : 0);  // the next candidate of this lane
        int candidates = same ? n1 * (n1 - 1) / 2 : n1 * n2;
        for (int begin = 0, waiting = 0;; begin += warp_size) {
            for (; waiting < warp_size && candidates > 0; candidates -= warp_size, k += warp_size) {
                while (j < n1 && k >= n2) {
                    ++j;
                    k = k - n2 + (same ? j + 1 : 0);
                }
                const Pair pair{t.first[block.element1] + j, t.first[block.element2] + k};
                const bool mine = j < n1 && within_cutoffs(block, pair.j, pair.k);
                const unsigned mask = __ballot_sync(all_lanes, mine);
                if (mine) t.queue[(begin + waiting + lanes_before(mask)) % queue_size] = pair.packed();
                waiting += __popc(mask);
            }
            if (waiting == 0) return;
            __syncwarp();
            const int lanes = waiting < warp_size ? waiting : warp_size;
            const Pair pair = Pair::unpacked(lane < lanes ? t.queue[(begin + lane) % queue_size] : 0);
            __syncwarp();
            visit(lanes, pair.j, pair.k);
            waiting -= lanes;
        }
    }

    __device__ void clear_sums(const Block<Real>& block) {
        for (int m = 0; m < block.members.size; ++m) t.sums[m * warp_size + lane] = 0;
    }
    __device__ void add_sums(const Block<Real>& block) {
        for (int m = 0; m < block.members.size; ++m) {
            const Real total = warp_sum(t.sums[m * warp_size + lane]);
            if (lane == 0) t.G[block.members[m].output] += block.members[m].norm * total;
        }
    }
    __device__ void clear_outputs() {
        for (int o = lane; o < plan.outputs; o += warp_size) t.G[o] = 0;
        __syncwarp();
    }
    __device__ void write_outputs(Real* G, int b, int ld) const {
        __syncwarp();
        for (int o = lane; o < plan.outputs; o += warp_size) G[static_cast<std::size_t>(o) * ld + b] = t.G[o];
    }

    // -- G ------------------------------------------------------------------------------------------

    __device__ void evaluate() {
        clear_outputs();
        for (const RadialTerm<Real>& term : plan.radial) {
            Real total = 0;
            for (int k = t.first[term.element] + lane; k < end_of(term.element); k += warp_size)
                total += shell_of(term.shell, k).value;
            total = warp_sum(total);
            if (lane == 0) t.G[term.output] += term.weight * total;
        }
        for (const Block<Real>& block : plan.blocks) {
            clear_sums(block);
            for_each_pair(block, [&](int lanes, int j, int k) {
                if (lane < lanes) add_pair(block, j, k);
            });
            add_sums(block);
        }
    }

    __device__ void add_pair(const Block<Real>& block, int j, int k) {
        const core::Triangle<Real> g = triangle(block, j, k);
        set_powers(block, g.c);
        for (const Family<Real>& family : block.families) {
            const Real F = of_neighbor(family.envelope, j).value * of_neighbor(family.envelope, k).value *
                           third(family, g).value;
            for (int q = family.first; q < family.first + family.count; ++q) {
                const Group<Real>& group = block.groups[q];
                const Real R = F * gaussian(group, family, g);
                for (int m = group.first; m < group.first + group.count; ++m)
                    t.sums[m * warp_size + lane] += R * power_of(block.members[m].power).value;
            }
        }
    }

    // -- (dG/dr)^T u --------------------------------------------------------------------------------

    __device__ void vjp() {
        const int n = neighbors();
        for (int k = lane; k < n; k += warp_size) t.gx[k] = t.gy[k] = t.gz[k] = 0;
        __syncwarp();
        for (const RadialTerm<Real>& term : plan.radial) {
            const Real a = t.G[term.output] * term.weight;
            for (int k = t.first[term.element] + lane; k < end_of(term.element); k += warp_size)
                add_gradient(k, weighted(k, a * shell_of(term.shell, k).slope));
        }
        for (const Block<Real>& block : plan.blocks)
            for_each_pair(block, [&](int lanes, int j, int k) { vjp_pairs(block, lanes, j, k); });
        __syncwarp();
    }

    __device__ Vector<Real> weighted(int k, Real a) const { return {a * t.x[k], a * t.y[k], a * t.z[k]}; }
    // a times the vector of j and b times that of k
    __device__ Vector<Real> weighted(int j, Real a, int k, Real b) const {
        return {a * t.x[j] + b * t.x[k], a * t.y[j] + b * t.y[k], a * t.z[j] + b * t.z[k]};
    }
    __device__ void add_gradient(int k, const Vector<Real>& v) {
        t.gx[k] += v.x;
        t.gy[k] += v.y;
        t.gz[k] += v.z;
    }

    // Adds the gradients of a pair for each lane below `lanes`. The lanes of one j are behind each other;
    // they have different k, so that they add to these at the same time, one j after the other.
    __device__ void vjp_pairs(const Block<Real>& block, int lanes, int j, int k) {
        const bool live = lane < lanes;
        Vector<Real> of_j{}, of_k{};
        if (live) {
            const core::Triangle<Real> g = triangle(block, j, k);
            const core::PairGradient<Real> pair = core::pair_gradient(slopes_of(block, j, k, g), g);
            of_j = weighted(j, pair.A, k, pair.X);
            of_k = weighted(k, pair.B, j, pair.X);
        }
        const int before = __shfl_up_sync(all_lanes, j, 1);
        const bool first = live && (lane == 0 || j != before);
        const unsigned firsts = __ballot_sync(all_lanes, first);
        const int row = lanes_before(firsts) + first, rows = __popc(firsts);
        __syncwarp();
        for (int q = 1; q <= rows; ++q) {
            if (live && row == q) add_gradient(k, of_k);
            __syncwarp();
        }
        const int end = first_lane_after(firsts, lanes);
        of_j = {warp_sum_until(of_j.x, end), warp_sum_until(of_j.y, end), warp_sum_until(of_j.z, end)};
        if (first) add_gradient(j, of_j);
    }

    __device__ core::PairSlopes<Real> slopes_of(const Block<Real>& block,
                                                int j,
                                                int k,
                                                const core::Triangle<Real>& g) {
        set_powers(block, g.c);
        core::PairSlopes<Real> slopes;
        for (const Family<Real>& family : block.families) {
            core::FamilySums<Real> sums;
            for (int q = family.first; q < family.first + family.count; ++q) {
                const Group<Real>& group = block.groups[q];
                Real U = 0, dU = 0;
                for (int m = group.first; m < group.first + group.count; ++m) {
                    const Member<Real>& member = block.members[m];
                    const Real a = t.G[member.output] * member.norm;
                    const ValueSlope<Real> T = power_of(member.power);
                    U += a * T.value;
                    dU += a * T.slope;
                }
                core::add_group(sums, group.eta, group.rs, gaussian(group, family, g), U, dU);
            }
            core::add_family(slopes, sums, of_neighbor(family.envelope, j), of_neighbor(family.envelope, k),
                             third(family, g), family.triangle, block.shifts, g);
        }
        return slopes;
    }

    // -- (dG/dr) v ----------------------------------------------------------------------------------

    __device__ void jvp() {
        clear_outputs();
        for (const RadialTerm<Real>& term : plan.radial) {
            Real total = 0;
            for (int k = t.first[term.element] + lane; k < end_of(term.element); k += warp_size)
                total += shell_of(term.shell, k).slope * along(k, k);
            total = warp_sum(total);
            if (lane == 0) t.G[term.output] += term.weight * total;
        }
        for (const Block<Real>& block : plan.blocks) {
            clear_sums(block);
            for_each_pair(block, [&](int lanes, int j, int k) {
                if (lane < lanes) jvp_pair(block, j, k);
            });
            add_sums(block);
        }
    }

    // r_j . v_k
    __device__ Real along(int j, int k) const {
        return t.x[j] * t.gx[k] + t.y[j] * t.gy[k] + t.z[j] * t.gz[k];
    }

    __device__ void jvp_pair(const Block<Real>& block, int j, int k) {
        const core::Triangle<Real> g = triangle(block, j, k);
        const core::PairChanges<Real> d =
            core::pair_changes(along(j, j), along(k, k), along(j, k) + along(k, j), g);
        set_powers(block, g.c);
        for (const Family<Real>& family : block.families) {
            const auto f =
                core::family_change(of_neighbor(family.envelope, j), of_neighbor(family.envelope, k),
                                    third(family, g), family.triangle, d, g);
            for (int q = family.first; q < family.first + family.count; ++q) {
                const Group<Real>& group = block.groups[q];
                const Real e = gaussian(group, family, g), R = e * f.F;
                const Real dR = core::group_change(group.eta, group.rs, e, f);
                for (int m = group.first; m < group.first + group.count; ++m) {
                    const ValueSlope<Real> T = power_of(block.members[m].power);
                    t.sums[m * warp_size + lane] += dR * T.value + R * d.c * T.slope;
                }
            }
        }
    }
};

template <class Real>
struct Arguments {
    ElementPlan<Real> plan;
    List<Real> list;
    const int* species;
    Centers centers;
    Shape shape;
};

// Selects the warp's atom; returns false if there is none.
template <class Real>
__device__ bool begin(const Arguments<Real>& a, Real* shared, Operator<Real>& op) {
    const int b = warp_index();
    if (b >= a.centers.n) return false;
    Real* const origin = lay_out<Real>(a.shape, shared, op.t);
    const std::size_t stride = origin - shared;
    lay_out<Real>(a.shape, shared + stride * (threadIdx.x / warp_size), op.t);
    const int i = a.centers.atoms[b];
    op.lane = lane_index();
    op.begin = a.list.first[i];
    op.end = a.list.first[i + 1];
    op.load(a.species);
    return true;
}

template <class Real>
__global__ void __launch_bounds__(most_warps* warp_size) evaluate_atoms(Arguments<Real> a, Real* G) {
    SITEWISE_DYNAMIC_SHARED(Real, shared);
    Operator<Real> op{a.plan, a.list, {}, 0, 0, 0};
    if (!begin(a, shared, op)) return;
    op.evaluate();
    op.write_outputs(G, warp_index(), a.centers.ld);
}

template <class Real>
__global__ void __launch_bounds__(most_warps* warp_size)
    vjp_atoms(Arguments<Real> a, const Real* u, Real* gradient) {
    SITEWISE_DYNAMIC_SHARED(Real, shared);
    Operator<Real> op{a.plan, a.list, {}, 0, 0, 0};
    if (!begin(a, shared, op)) return;
    for (int o = op.lane; o < a.plan.outputs; o += warp_size)
        op.t.G[o] = u[static_cast<std::size_t>(o) * a.centers.ld + warp_index()];
    Real *gx = gradient, *gy = gx + a.list.entries, *gz = gy + a.list.entries;
    for (int q = op.begin + op.lane; q < op.end; q += warp_size) gx[q] = gy[q] = gz[q] = 0;
    __syncwarp();
    op.vjp();
    for (int k = op.lane; k < op.neighbors(); k += warp_size) {
        gx[op.t.order[k]] = op.t.gx[k];
        gy[op.t.order[k]] = op.t.gy[k];
        gz[op.t.order[k]] = op.t.gz[k];
    }
}

template <class Real>
__global__ void __launch_bounds__(most_warps* warp_size)
    jvp_atoms(Arguments<Real> a, const Real* v, Real* dG) {
    SITEWISE_DYNAMIC_SHARED(Real, shared);
    Operator<Real> op{a.plan, a.list, {}, 0, 0, 0};
    if (!begin(a, shared, op)) return;
    op.load_direction(v);
    op.jvp();
    op.write_outputs(dG, warp_index(), a.centers.ld);
}

// -- the same for what is computed from moments ------------------------------------------------------

template <class Real>
__global__ void __launch_bounds__(most_warps* warp_size)
    evaluate_moments(Arguments<Real> a, MomentPlan<Real> moments, Real* G) {
    SITEWISE_DYNAMIC_SHARED(Real, shared);
    Operator<Real> op{a.plan, a.list, {}, 0, 0, 0};
    if (!begin(a, shared, op)) return;
    const MomentOperator<Real, Operator<Real>> of_moments{moments, op};
    of_moments.evaluate([&](int output, Real value) {
        G[static_cast<std::size_t>(output) * a.centers.ld + warp_index()] = value;
    });
}

// Adds to the gradient.
template <class Real>
__global__ void __launch_bounds__(most_warps* warp_size)
    vjp_moments(Arguments<Real> a, MomentPlan<Real> moments, const Real* u, Real* gradient) {
    SITEWISE_DYNAMIC_SHARED(Real, shared);
    Operator<Real> op{a.plan, a.list, {}, 0, 0, 0};
    if (!begin(a, shared, op)) return;
    for (int o = op.lane; o < a.plan.outputs; o += warp_size)
        op.t.G[o] = u[static_cast<std::size_t>(o) * a.centers.ld + warp_index()];
    for (int k = op.lane; k < op.neighbors(); k += warp_size) op.t.gx[k] = op.t.gy[k] = op.t.gz[k] = 0;
    __syncwarp();
    const MomentOperator<Real, Operator<Real>> of_moments{moments, op};
    of_moments.vjp(op.t.G);
    Real *gx = gradient, *gy = gx + a.list.entries, *gz = gy + a.list.entries;
    for (int k = op.lane; k < op.neighbors(); k += warp_size) {
        gx[op.t.order[k]] += op.t.gx[k];
        gy[op.t.order[k]] += op.t.gy[k];
        gz[op.t.order[k]] += op.t.gz[k];
    }
}

template <class Real>
__global__ void __launch_bounds__(most_warps* warp_size)
    jvp_moments(Arguments<Real> a, MomentPlan<Real> moments, const Real* v, Real* dG) {
    SITEWISE_DYNAMIC_SHARED(Real, shared);
    Operator<Real> op{a.plan, a.list, {}, 0, 0, 0};
    if (!begin(a, shared, op)) return;
    op.load_direction(v);
    const MomentOperator<Real, Operator<Real>> of_moments{moments, op};
    of_moments.jvp([&](int output, Real value) {
        dG[static_cast<std::size_t>(output) * a.centers.ld + warp_index()] = value;
    });
}

// Launches kernel(arguments, matrices...) with as many warps per block as have room for their tables.
template <class Real, class Kernel, class... More>
void launch(const char* name,
            Kernel kernel,
            const ElementPlan<Real>& plan,
            const Shape& shape,
            const List<Real>& list,
            const int* species,
            const Centers& centers,
            cudaStream_t stream,
            More... more) {
    if (centers.n == 0) return;
    const Arguments<Real> arguments{plan, list, species, centers, shape};
    const std::size_t bytes = bytes_of_warp<Real>(arguments.shape);
    const int fitting = static_cast<int>(preferred_shared / bytes);
    const int warps = fitting < 1 ? 1 : (fitting < most_warps ? fitting : most_warps);
    if (bytes > preferred_shared) {
        if (bytes > most_shared())
            throw Error("CUDA: an atom has " + std::to_string(list.widest) +
                        " neighbours, too many for the device's shared memory with these symmetry functions");
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(bytes)));
    }
    const dim3 blocks((centers.n + warps - 1) / warps), threads(warps * warp_size);
    ::sitewise::cuda::launch(name, kernel, blocks, threads, warps * bytes, stream, arguments, more...);
    check(cudaGetLastError());
}

// `members`: of the largest block, 0 in a kernel that does not sum functions over pairs
template <class Real>
Shape shape_of_pairs(const DevicePlan<Real>& plan, const List<Real>& list, int members) {
    return {list.widest,
            plan.plan.elements,
            plan.plan.envelopes.size,
            plan.plan.outputs,
            plan.powers,
            members,
            plan.plan.blocks.size > 0 ? queue_size : 0,
            0,
            0};
}

template <class Real>
Shape shape_of_moments(const DevicePlan<Real>& plan, const List<Real>& list) {
    return {list.widest, plan.plan.elements, plan.plan.envelopes.size,   plan.plan.outputs, 0, 0,
            0,           plan.nodes,         plan.moments.monomials.size};
}

}  // namespace

template <class Real>
void launch_evaluate(const DevicePlan<Real>& plan,
                     const List<Real>& list,
                     const int* species,
                     const Centers& centers,
                     Real* G,
                     cudaStream_t stream) {
    check(cudaMemsetAsync(G, 0, sizeof(Real) * plan.plan.outputs * centers.ld, stream));
    launch("evaluate_atoms", evaluate_atoms<Real>, plan.plan, shape_of_pairs(plan, list, plan.members), list,
           species, centers, stream, G);
    if (plan.moments.outputs.size > 0)
        launch("evaluate_moments", evaluate_moments<Real>, plan.plan, shape_of_moments(plan, list), list,
               species, centers, stream, plan.moments, G);
}

template <class Real>
void launch_vjp(const DevicePlan<Real>& plan,
                const List<Real>& list,
                const int* species,
                const Centers& centers,
                const Real* u,
                Real* gradient,
                cudaStream_t stream) {
    launch("vjp_atoms", vjp_atoms<Real>, plan.plan, shape_of_pairs(plan, list, 0), list, species, centers,
           stream, u, gradient);
    if (plan.moments.outputs.size > 0)
        launch("vjp_moments", vjp_moments<Real>, plan.plan, shape_of_moments(plan, list), list, species,
               centers, stream, plan.moments, u, gradient);
}

template <class Real>
void launch_jvp(const DevicePlan<Real>& plan,
                const List<Real>& list,
                const int* species,
                const Centers& centers,
                const Real* v,
                Real* dG,
                cudaStream_t stream) {
    check(cudaMemsetAsync(dG, 0, sizeof(Real) * plan.plan.outputs * centers.ld, stream));
    launch("jvp_atoms", jvp_atoms<Real>, plan.plan, shape_of_pairs(plan, list, plan.members), list, species,
           centers, stream, v, dG);
    if (plan.moments.outputs.size > 0)
        launch("jvp_moments", jvp_moments<Real>, plan.plan, shape_of_moments(plan, list), list, species,
               centers, stream, plan.moments, v, dG);
}

#define SITEWISE_OPERATORS(Real)                                                                          \
    template void launch_evaluate(const DevicePlan<Real>&, const List<Real>&, const int*, const Centers&, \
                                  Real*, cudaStream_t);                                                   \
    template void launch_vjp(const DevicePlan<Real>&, const List<Real>&, const int*, const Centers&,      \
                             const Real*, Real*, cudaStream_t);                                           \
    template void launch_jvp(const DevicePlan<Real>&, const List<Real>&, const int*, const Centers&,      \
                             const Real*, Real*, cudaStream_t);
SITEWISE_OPERATORS(float)
SITEWISE_OPERATORS(double)

}  // namespace sitewise::cuda
