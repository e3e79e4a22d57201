#include "sitewise/symmetry.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "cutoff.hpp"
#include "polynomial.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

using core::ValueSlope;
using Buffer = std::vector<double>;

// R(r) of one (eta, rs, rc), shared by all radial and angular functions that use it.
struct Shell {
    double eta, rs, rc;
    core::RadialPolynomial polynomial;  // where usable, otherwise the formula itself
};

struct RadialFunction {
    int shell, output;
};

// 2^(1 - zeta) (1 + lambda cos t)^zeta, without its norm
struct Power {
    double lambda, zeta;
};

struct Member {
    int power, output;
    double norm;
};

// The angular functions that share a shell and the presence of R(r_jk).
struct Group {
    int shell;
    bool triangle;  // type 3
    std::vector<Member> members;
};

// The angular functions of one pair of neighbour elements; they share the geometry of each j, k.
struct Block {
    int element1, element2;
    double rc = 0.0;
    bool triangles_only = true;
    std::vector<Power> powers;
    std::vector<Group> groups;
};

struct ElementPlan {
    std::vector<SymmetryFunction> functions;
    std::vector<Shell> shells;
    std::vector<std::vector<int>> shells_of;             // [neighbour element]
    std::vector<std::vector<RadialFunction>> radial_of;  // [neighbour element]
    std::vector<Block> blocks;
    double rc = 0.0;
};

// Pairs j, k are worked on in chunks of at least this many, so that the loops over pairs are long while
// their arrays stay in the first-level cache.
constexpr std::size_t chunk_size = 128;

auto order_key(const SymmetryFunction& f) {
    return std::make_tuple(f.type, f.cutoff, f.eta, f.rs, f.zeta, f.lambda, f.neighbor1, f.neighbor2);
}

std::string describe(const SymmetryFunction& f) {
    return "symmetry function of type " + std::to_string(f.type) + " (eta " + std::to_string(f.eta) +
           ", rs " + std::to_string(f.rs) + ", lambda " + std::to_string(f.lambda) + ", zeta " +
           std::to_string(f.zeta) + ", cutoff " + std::to_string(f.cutoff) + ")";
}

void check_function(const SymmetryFunction& f, int n_elements) {
    // Types 12 and 13 (weighted) and 20 to 25 (compact support) would be further kinds of shells and powers.
    if (f.type != 2 && f.type != 3 && f.type != 9)
        throw Error(describe(f) + ": only types 2, 3 and 9 are supported");
    const auto known = [&](int e) { return e >= 0 && e < n_elements; };
    if (!known(f.center) || !known(f.neighbor1) || (f.type != 2 && !known(f.neighbor2)))
        throw Error(describe(f) + ": an element index is outside 0 to " + std::to_string(n_elements - 1));
    for (double value : {f.eta, f.rs, f.lambda, f.zeta, f.cutoff})
        if (!std::isfinite(value)) throw Error(describe(f) + ": a parameter is not finite");
    if (f.cutoff <= 0.0) throw Error(describe(f) + ": the cutoff must be positive");
    if (f.eta < 0.0) throw Error(describe(f) + ": eta must not be negative");
    if (f.type != 2 && f.zeta <= 0.0) throw Error(describe(f) + ": zeta must be positive");
}

template <class T, class Same>
int find_or_add(std::vector<T>& list, T item, Same same) {
    const auto found = std::find_if(list.begin(), list.end(), same);
    if (found != list.end()) return static_cast<int>(found - list.begin());
    list.push_back(std::move(item));
    return static_cast<int>(list.size()) - 1;
}

int add_shell(ElementPlan& plan, const SymmetryFunction& f, Cutoff cutoff) {
    Shell shell{f.eta, f.rs, f.cutoff, {}};
    if (cutoff.type == CutoffType::cosine && cutoff.alpha == 0.0 && f.rs == 0.0)
        shell.polynomial = core::RadialPolynomial(f.eta, f.cutoff);
    const int index = find_or_add(plan.shells, std::move(shell), [&](const Shell& s) {
        return s.eta == f.eta && s.rs == f.rs && s.rc == f.cutoff;
    });
    for (int e : {f.neighbor1, f.neighbor2})
        if (e >= 0) find_or_add(plan.shells_of[e], index, [&](int s) { return s == index; });
    return index;
}

void add_angular(ElementPlan& plan, const SymmetryFunction& f, int shell, int output) {
    Block block;
    block.element1 = f.neighbor1;
    block.element2 = f.neighbor2;
    Block& b = plan.blocks[find_or_add(plan.blocks, std::move(block), [&](const Block& x) {
        return x.element1 == f.neighbor1 && x.element2 == f.neighbor2;
    })];
    const bool triangle = f.type == 3;
    b.rc = std::max(b.rc, f.cutoff);
    b.triangles_only = b.triangles_only && triangle;
    const int power = find_or_add(b.powers, Power{f.lambda, f.zeta},
                                  [&](const Power& p) { return p.lambda == f.lambda && p.zeta == f.zeta; });
    const int group = find_or_add(b.groups, Group{shell, triangle, {}},
                                  [&](const Group& g) { return g.shell == shell && g.triangle == triangle; });
    b.groups[group].members.push_back({power, output, std::pow(2.0, 1.0 - f.zeta)});
}

// The sum of one array; a reduction keeps it in registers.
double sum(std::size_t n, const double* x) {
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (std::size_t i = 0; i < n; ++i) total += x[i];
    return total;
}

double dot(std::size_t n, const double* x, const double* y) {
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (std::size_t i = 0; i < n; ++i) total += x[i] * y[i];
    return total;
}

void add_scaled(std::size_t n, double a, const double* x, double* y) {
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) y[i] += a * x[i];
}

// T = p^zeta and D = dT/dc for p = max(1 + lambda c, 0); n2p2 too sets the function to 0 where p <= 0.
void integer_power(std::size_t n, Power power, const double* c, double* T, double* D) {
    const auto zeta = static_cast<unsigned>(power.zeta);
    const double lambda = power.lambda;
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) {
        T[i] = std::max(1.0 + lambda * c[i], 0.0);
        D[i] = lambda;
    }
    unsigned bit = 1;
    while (bit * 2 <= zeta) bit *= 2;
    for (bit /= 2; bit > 0; bit /= 2) {  // left to right through the binary digits of zeta
        const bool odd = zeta & bit;
#pragma omp simd
        for (std::size_t i = 0; i < n; ++i) {
            D[i] *= 2.0 * T[i];
            T[i] *= T[i];
        }
        if (!odd) continue;
#pragma omp simd
        for (std::size_t i = 0; i < n; ++i) {
            const double p = std::max(1.0 + lambda * c[i], 0.0);
            D[i] = D[i] * p + lambda * T[i];
            T[i] *= p;
        }
    }
}

void real_power(std::size_t n, Power power, const double* c, double* T, double* D) {
    for (std::size_t i = 0; i < n; ++i) {
        const double p = 1.0 + power.lambda * c[i];
        const double q = p > 0.0 ? std::pow(p, power.zeta - 1.0) : 0.0;
        T[i] = p > 0.0 ? q * p : 0.0;
        D[i] = power.lambda * power.zeta * q;
    }
}

void evaluate_power(std::size_t n, Power power, const double* c, double* T, double* D) {
    const bool integer = power.zeta == std::floor(power.zeta) && power.zeta <= 1024.0;
    (integer ? integer_power : real_power)(n, power, c, T, D);
}

void evaluate_shell(const Shell& shell,
                    Cutoff cutoff,
                    std::size_t n,
                    const double* s,
                    double* value,
                    double* slope) {
    if (shell.polynomial.usable()) return shell.polynomial.evaluate(n, s, value, slope);
    for (std::size_t i = 0; i < n; ++i) {
        const double r = std::sqrt(s[i]);
        const ValueSlope R = r < shell.rc
                                 ? core::radial(shell.eta, shell.rs, r, core::cutoff(cutoff, shell.rc, r))
                                 : ValueSlope{};
        value[i] = R.value;
        slope[i] = R.slope;
    }
}

}  // namespace

// -- the environment ---------------------------------------------------------------------------------

struct Environment::Tables {
    int center = 0;
    std::size_t given = 0, size = 0;  // neighbours given, and those within the cutoff
    std::size_t stride = 0;           // of the tables
    std::vector<int> order;           // sorted neighbour -> place in what was given
    std::vector<std::size_t> first;   // [elements + 1]
    Buffer x, y, z, s, inverse_r;
    Buffer value, slope;  // [shell][stride], R and (dR/dr)/r of each neighbour
    Buffer gx, gy, gz;    // gradient or direction, sorted

    // The chunk of pairs at work: neighbours, cos t, r_jk^2, and arrays of the kernels.
    std::size_t pairs = 0, pair_stride = 0;
    std::vector<std::uint32_t> j, k;
    Buffer c, sjk;
    Buffer power, power_slope;  // [power][pair_stride]
    Buffer R, Rj, Rk, Rjk;      // [pair_stride], R_j R_k (R_jk) and its three derivatives
    Buffer vjk, wjk;            // R(r_jk) and slope
    Buffer U, V;                // sum of u T and u dT/dc
    Buffer fc, fs, cj, ck, cx;  // coefficients of the gradient

    const double* value_of(int shell) const { return value.data() + shell * stride; }
    const double* slope_of(int shell) const { return slope.data() + shell * stride; }
    double* power_of(int p) { return power.data() + p * pair_stride; }
    double* power_slope_of(int p) { return power_slope.data() + p * pair_stride; }

    void reserve_neighbors(std::size_t n, std::size_t shells) {
        if (stride < n) stride = (n + 15) / 8 * 8;
        for (Buffer* b : {&x, &y, &z, &s, &inverse_r, &gx, &gy, &gz})
            if (b->size() < stride) b->resize(stride);
        if (order.size() < stride) order.resize(stride);
        for (Buffer* b : {&value, &slope})
            if (b->size() < shells * stride) b->resize(shells * stride);
    }

    void reserve_pairs(std::size_t powers) {
        pair_stride = std::max(pair_stride, chunk_size + stride);
        for (auto* b : {&j, &k})
            if (b->size() < pair_stride) b->resize(pair_stride);
        for (Buffer* b : {&c, &sjk, &R, &Rj, &Rk, &Rjk, &vjk, &wjk, &U, &V, &fc, &fs, &cj, &ck, &cx})
            if (b->size() < pair_stride) b->resize(pair_stride);
        for (Buffer* b : {&power, &power_slope})
            if (b->size() < powers * pair_stride) b->resize(powers * pair_stride);
    }

    // Appends the pairs of neighbour a with the neighbours from `begin` to `end`.
    void add_pairs(std::size_t a, std::size_t begin, std::size_t end, double rc2, double rc2_jk) {
        std::size_t n = pairs;
        for (std::size_t b = begin; b < end; ++b) {
            const double d = x[a] * x[b] + y[a] * y[b] + z[a] * z[b];
            const double s_jk = s[a] + s[b] - 2.0 * d;
            j[n] = static_cast<std::uint32_t>(a);
            k[n] = static_cast<std::uint32_t>(b);
            c[n] = d * inverse_r[a] * inverse_r[b];
            sjk[n] = s_jk;
            n += (s[b] < rc2) & (s_jk < rc2_jk);  // no branch: half of them miss
        }
        pairs = n;
    }

    // Calls work() for chunks of the pairs of a block.
    template <class Work>
    void for_each_chunk(const Block& block, Work work) {
        reserve_pairs(block.powers.size());
        const double rc2 = block.rc * block.rc;
        const double rc2_jk = block.triangles_only ? rc2 : HUGE_VAL;
        const bool same = block.element1 == block.element2;
        pairs = 0;
        for (std::size_t a = first[block.element1]; a < first[block.element1 + 1]; ++a) {
            if (s[a] >= rc2) continue;
            add_pairs(a, same ? a + 1 : first[block.element2], first[block.element2 + 1], rc2, rc2_jk);
            if (pairs < chunk_size) continue;
            work();
            pairs = 0;
        }
        if (pairs > 0) work();
    }

    void evaluate_powers(const Block& block) {
        for (std::size_t p = 0; p < block.powers.size(); ++p)
            evaluate_power(pairs, block.powers[p], c.data(), power_of(p), power_slope_of(p));
    }

    // R = R_j R_k (R_jk) of the pairs
    void evaluate_group(const Group& group, const Shell& shell, Cutoff cutoff) {
        const double* P = value_of(group.shell);
        for (std::size_t p = 0; p < pairs; ++p) R[p] = P[j[p]] * P[k[p]];
        if (!group.triangle) return;
        evaluate_shell(shell, cutoff, pairs, sjk.data(), vjk.data(), wjk.data());
#pragma omp simd
        for (std::size_t p = 0; p < pairs; ++p) R[p] *= vjk[p];
    }

    // R and its derivatives with respect to r_j, r_k and r_jk, each divided by that distance
    void differentiate_group(const Group& group, const Shell& shell, Cutoff cutoff) {
        const double *P = value_of(group.shell), *Q = slope_of(group.shell);
        for (std::size_t p = 0; p < pairs; ++p) {
            const double Pj = P[j[p]], Pk = P[k[p]];
            R[p] = Pj * Pk;
            Rj[p] = Q[j[p]] * Pk;
            Rk[p] = Pj * Q[k[p]];
        }
        if (!group.triangle) {
            std::fill_n(Rjk.begin(), pairs, 0.0);
            return;
        }
        evaluate_shell(shell, cutoff, pairs, sjk.data(), vjk.data(), wjk.data());
#pragma omp simd
        for (std::size_t p = 0; p < pairs; ++p) {
            Rjk[p] = R[p] * wjk[p];
            R[p] *= vjk[p];
            Rj[p] *= vjk[p];
            Rk[p] *= vjk[p];
        }
    }

    // U = sum over members of u norm T and V = the same of dT/dc; false if all u are 0.
    bool combine(const Group& group, const double* u) {
        bool any = false;
        for (const Member& m : group.members) {
            const double w = u[m.output] * m.norm;
            if (w == 0.0) continue;
            if (!any) {
                std::fill_n(U.begin(), pairs, 0.0);
                std::fill_n(V.begin(), pairs, 0.0);
            }
            any = true;
            add_scaled(pairs, w, power_of(m.power), U.data());
            add_scaled(pairs, w, power_slope_of(m.power), V.data());
        }
        return any;
    }

    // With E(c, r_j, r_k, r_jk): dE/dr_j = cj r_j + cx r_k and dE/dr_k = ck r_k + cx r_j.
    void add_to_coefficients() {
#pragma omp simd
        for (std::size_t p = 0; p < pairs; ++p) {
            const double e = U[p] * Rjk[p];
            fc[p] += V[p] * R[p];
            fs[p] += e;
            cj[p] += U[p] * Rj[p] + e;
            ck[p] += U[p] * Rk[p] + e;
        }
    }

    void scatter_coefficients() {
        for (std::size_t p = 0; p < pairs; ++p) {
            const std::size_t a = j[p], b = k[p];
            const double ia = inverse_r[a], ib = inverse_r[b];
            const double X = fc[p] * ia * ib - fs[p];
            const double A = cj[p] - fc[p] * c[p] * ia * ia, B = ck[p] - fc[p] * c[p] * ib * ib;
            gx[a] += A * x[a] + X * x[b];
            gy[a] += A * y[a] + X * y[b];
            gz[a] += A * z[a] + X * z[b];
            gx[b] += B * x[b] + X * x[a];
            gy[b] += B * y[b] + X * y[a];
            gz[b] += B * z[b] + X * z[a];
        }
    }

    // Along the direction (gx, gy, gz): fc = dc, cj = r_j.v_j, ck = r_k.v_k, fs = r_jk.v_jk
    void project_direction() {
        for (std::size_t p = 0; p < pairs; ++p) {
            const std::size_t a = j[p], b = k[p];
            const double ia = inverse_r[a], ib = inverse_r[b];
            const double aa = x[a] * gx[a] + y[a] * gy[a] + z[a] * gz[a];
            const double bb = x[b] * gx[b] + y[b] * gy[b] + z[b] * gz[b];
            const double mixed =
                x[a] * gx[b] + y[a] * gy[b] + z[a] * gz[b] + x[b] * gx[a] + y[b] * gy[a] + z[b] * gz[a];
            fc[p] = mixed * ia * ib - c[p] * (aa * ia * ia + bb * ib * ib);
            cj[p] = aa;
            ck[p] = bb;
            fs[p] = aa + bb - mixed;
        }
    }
};

Environment::Environment() : tables_(std::make_unique<Tables>()) {}
Environment::~Environment() = default;
Environment::Environment(Environment&&) noexcept = default;
Environment& Environment::operator=(Environment&&) noexcept = default;

// -- the plan ------------------------------------------------------------------------------------------

struct SymmetryFunctions::Plan {
    Cutoff cutoff;
    double rc = 0.0;
    std::vector<ElementPlan> elements;

    void compile(ElementPlan& plan) {
        std::sort(plan.functions.begin(), plan.functions.end(),
                  [](const auto& a, const auto& b) { return order_key(a) < order_key(b); });
        plan.shells_of.resize(elements.size());
        plan.radial_of.resize(elements.size());
        for (std::size_t i = 0; i < plan.functions.size(); ++i) {
            const SymmetryFunction& f = plan.functions[i];
            const int shell = add_shell(plan, f, cutoff), output = static_cast<int>(i);
            if (f.type == 2)
                plan.radial_of[f.neighbor1].push_back({shell, output});
            else
                add_angular(plan, f, shell, output);
            plan.rc = std::max(plan.rc, f.cutoff);
        }
        rc = std::max(rc, plan.rc);
    }
};

SymmetryFunctions::SymmetryFunctions(int n_elements, std::vector<SymmetryFunction> functions, Cutoff cutoff) {
    if (cutoff.alpha < 0.0 || cutoff.alpha >= 1.0 || std::isnan(cutoff.alpha))
        throw Error("cutoff function: alpha is " + std::to_string(cutoff.alpha) +
                    ", expected 0 <= alpha < 1");
    auto plan = std::make_shared<Plan>();
    plan->cutoff = cutoff;
    plan->elements.resize(n_elements);
    for (SymmetryFunction& f : functions) {
        if (f.type == 2) f.neighbor2 = -1;
        check_function(f, n_elements);
        if (f.type != 2 && f.neighbor1 > f.neighbor2) std::swap(f.neighbor1, f.neighbor2);
        plan->elements[f.center].functions.push_back(f);
    }
    for (ElementPlan& element : plan->elements) plan->compile(element);
    plan_ = std::move(plan);
}

int SymmetryFunctions::elements() const {
    return static_cast<int>(plan_->elements.size());
}
double SymmetryFunctions::cutoff() const {
    return plan_->rc;
}
Cutoff SymmetryFunctions::cutoff_function() const {
    return plan_->cutoff;
}
std::size_t SymmetryFunctions::count(int element) const {
    return functions(element).size();
}

std::size_t SymmetryFunctions::max_count() const {
    std::size_t n = 0;
    for (const ElementPlan& element : plan_->elements) n = std::max(n, element.functions.size());
    return n;
}

const std::vector<SymmetryFunction>& SymmetryFunctions::functions(int element) const {
    return plan_->elements[element].functions;
}

// -- the operators -------------------------------------------------------------------------------------

void SymmetryFunctions::load(int center,
                             std::size_t size,
                             const int* neighbors,
                             const int* species,
                             const double* vectors,
                             Environment& environment) const {
    Environment::Tables& t = *environment.tables_;
    const ElementPlan& plan = plan_->elements[center];
    t.center = center;
    t.given = size;
    t.reserve_neighbors(size, plan.shells.size());

    const double rc2 = plan.rc * plan.rc;
    const auto squared = [&](std::size_t i) {
        const double* v = vectors + 3 * i;
        return v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
    };
    // Counting sort by element; the order within an element is that of the list.
    t.first.assign(elements() + 1, 0);
    for (std::size_t i = 0; i < size; ++i)
        if (squared(i) < rc2) ++t.first[species[neighbors[i]] + 1];
    for (int e = 0; e < elements(); ++e) t.first[e + 1] += t.first[e];
    t.size = t.first[elements()];
    std::vector<std::size_t> next(t.first);
    for (std::size_t i = 0; i < size; ++i) {
        const double s = squared(i);
        if (s >= rc2) continue;
        const std::size_t at = next[species[neighbors[i]]]++;
        t.order[at] = static_cast<int>(i);
        t.x[at] = vectors[3 * i];
        t.y[at] = vectors[3 * i + 1];
        t.z[at] = vectors[3 * i + 2];
        t.s[at] = s;
    }
    for (std::size_t i = 0; i < t.size; ++i) t.inverse_r[i] = 1.0 / std::sqrt(t.s[i]);
    for (int e = 0; e < elements(); ++e)
        for (int shell : plan.shells_of[e]) {
            const std::size_t begin = t.first[e], at = shell * t.stride + begin;
            evaluate_shell(plan.shells[shell], plan_->cutoff, t.first[e + 1] - begin, &t.s[begin],
                           &t.value[at], &t.slope[at]);
        }
}

void SymmetryFunctions::evaluate(Environment& environment, double* G) const {
    Environment::Tables& t = *environment.tables_;
    const ElementPlan& plan = plan_->elements[t.center];
    std::fill_n(G, plan.functions.size(), 0.0);
    for (int e = 0; e < elements(); ++e)
        for (const RadialFunction& f : plan.radial_of[e])
            G[f.output] = sum(t.first[e + 1] - t.first[e], t.value_of(f.shell) + t.first[e]);
    for (const Block& block : plan.blocks)
        t.for_each_chunk(block, [&] {
            t.evaluate_powers(block);
            for (const Group& group : block.groups) {
                t.evaluate_group(group, plan.shells[group.shell], plan_->cutoff);
                for (const Member& m : group.members)
                    G[m.output] += m.norm * dot(t.pairs, t.R.data(), t.power_of(m.power));
            }
        });
}

void SymmetryFunctions::vjp(Environment& environment, const double* u, double* gradient) const {
    Environment::Tables& t = *environment.tables_;
    const ElementPlan& plan = plan_->elements[t.center];
    for (Buffer* g : {&t.gx, &t.gy, &t.gz}) std::fill_n(g->begin(), t.size, 0.0);
    for (int e = 0; e < elements(); ++e)
        for (const RadialFunction& f : plan.radial_of[e]) {
            const double* Q = t.slope_of(f.shell);
            const double w = u[f.output];
            if (w == 0.0) continue;
#pragma omp simd
            for (std::size_t i = t.first[e]; i < t.first[e + 1]; ++i) {
                t.gx[i] += w * Q[i] * t.x[i];
                t.gy[i] += w * Q[i] * t.y[i];
                t.gz[i] += w * Q[i] * t.z[i];
            }
        }
    const auto used = [&](const Group& group) {
        return std::any_of(group.members.begin(), group.members.end(),
                           [&](const Member& m) { return u[m.output] != 0.0; });
    };
    for (const Block& block : plan.blocks) {
        if (std::none_of(block.groups.begin(), block.groups.end(), used)) continue;
        t.for_each_chunk(block, [&] {
            t.evaluate_powers(block);
            for (Buffer* b : {&t.fc, &t.fs, &t.cj, &t.ck}) std::fill_n(b->begin(), t.pairs, 0.0);
            for (const Group& group : block.groups) {
                if (!t.combine(group, u)) continue;
                t.differentiate_group(group, plan.shells[group.shell], plan_->cutoff);
                t.add_to_coefficients();
            }
            t.scatter_coefficients();
        });
    }
    std::fill_n(gradient, 3 * t.given, 0.0);
    for (std::size_t i = 0; i < t.size; ++i) {
        double* g = gradient + 3 * static_cast<std::size_t>(t.order[i]);
        g[0] = t.gx[i];
        g[1] = t.gy[i];
        g[2] = t.gz[i];
    }
}

void SymmetryFunctions::jvp(Environment& environment, const double* v, double* dG) const {
    Environment::Tables& t = *environment.tables_;
    const ElementPlan& plan = plan_->elements[t.center];
    for (std::size_t i = 0; i < t.size; ++i) {
        const double* d = v + 3 * static_cast<std::size_t>(t.order[i]);
        t.gx[i] = d[0];
        t.gy[i] = d[1];
        t.gz[i] = d[2];
    }
    std::fill_n(dG, plan.functions.size(), 0.0);
    for (int e = 0; e < elements(); ++e)
        for (const RadialFunction& f : plan.radial_of[e]) {
            const double* Q = t.slope_of(f.shell);
            double total = 0.0;
#pragma omp simd reduction(+ : total)
            for (std::size_t i = t.first[e]; i < t.first[e + 1]; ++i)
                total += Q[i] * (t.x[i] * t.gx[i] + t.y[i] * t.gy[i] + t.z[i] * t.gz[i]);
            dG[f.output] = total;
        }
    for (const Block& block : plan.blocks)
        t.for_each_chunk(block, [&] {
            t.evaluate_powers(block);
            t.project_direction();
            for (const Group& group : block.groups) {
                t.differentiate_group(group, plan.shells[group.shell], plan_->cutoff);
                // dG = T dR + R dT/dc dc
#pragma omp simd
                for (std::size_t p = 0; p < t.pairs; ++p) {
                    t.U[p] = t.Rj[p] * t.cj[p] + t.Rk[p] * t.ck[p] + t.Rjk[p] * t.fs[p];
                    t.V[p] = t.R[p] * t.fc[p];
                }
                for (const Member& m : group.members)
                    dG[m.output] += m.norm * (dot(t.pairs, t.U.data(), t.power_of(m.power)) +
                                              dot(t.pairs, t.V.data(), t.power_slope_of(m.power)));
            }
        });
}

}  // namespace sitewise
