#include "sitewise/symmetry.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <string>
#include <tuple>
#include <utility>

#include "cutoff.hpp"
#include "kernels.hpp"
#include "polynomial.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

using core::ValueSlope;

// Memory that begins with a cache line, as a vector load across two lines costs twice.
template <class T>
struct LineAligned {
    using value_type = T;
    static constexpr std::align_val_t line{64};

    LineAligned() = default;
    template <class Other>
    explicit LineAligned(const LineAligned<Other>&) {}
    T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), line)); }
    void deallocate(T* p, std::size_t) { ::operator delete(p, line); }
    bool operator==(const LineAligned&) const { return true; }
    bool operator!=(const LineAligned&) const { return false; }
};
using Buffer = std::vector<double, LineAligned<double>>;
constexpr std::size_t lanes = 8;  // doubles of a line

std::size_t whole_lines(std::size_t n) {
    return (n + lanes - 1) / lanes * lanes;
}

// R(r) of one (eta, rs, rc), shared by all radial and angular functions that use it.
struct Shell {
    double eta, rs, rc;
    core::RadialPolynomial polynomial;  // where usable, otherwise the formula itself
};

struct RadialFunction {
    int shell, output;
};

// (1 + lambda cos t)^zeta, made from another one: zeta = 1 directly, an even zeta by squaring, an odd one by
// multiplication; other numbers by pow.
struct Power {
    enum class Kind { first, square, next, real };
    double lambda, zeta;
    Kind kind;
    int source;
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

// Pairs j, k are worked on in chunks of at least this many, so that the loops over pairs are long while their
// arrays stay near the processor.
constexpr std::size_t chunk_size = 256;

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
    if (cutoff.type == CutoffType::cosine && cutoff.alpha == 0.0)
        shell.polynomial = core::RadialPolynomial(f.eta, f.rs, f.cutoff);
    const int index = find_or_add(plan.shells, std::move(shell), [&](const Shell& s) {
        return s.eta == f.eta && s.rs == f.rs && s.rc == f.cutoff;
    });
    for (int e : {f.neighbor1, f.neighbor2})
        if (e >= 0) find_or_add(plan.shells_of[e], index, [&](int s) { return s == index; });
    return index;
}

int add_power(std::vector<Power>& powers, double lambda, double zeta) {
    const auto found = std::find_if(powers.begin(), powers.end(),
                                    [&](const Power& p) { return p.lambda == lambda && p.zeta == zeta; });
    if (found != powers.end()) return static_cast<int>(found - powers.begin());
    Power power{lambda, zeta, Power::Kind::real, -1};
    if (zeta == 1.0)
        power.kind = Power::Kind::first;
    else if (zeta == std::floor(zeta) && zeta <= 1024.0) {
        const bool even = std::fmod(zeta, 2.0) == 0.0;
        power.kind = even ? Power::Kind::square : Power::Kind::next;
        power.source = add_power(powers, lambda, even ? zeta / 2.0 : zeta - 1.0);
    }
    powers.push_back(power);  // behind its source
    return static_cast<int>(powers.size()) - 1;
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
    const int power = add_power(b.powers, f.lambda, f.zeta);
    const int group = find_or_add(b.groups, Group{shell, triangle, {}},
                                  [&](const Group& g) { return g.shell == shell && g.triangle == triangle; });
    b.groups[group].members.push_back({power, output, std::pow(2.0, 1.0 - f.zeta)});
}

void real_power(std::size_t n, const Power& power, const double* c, double* T, double* D) {
    for (std::size_t i = 0; i < n; ++i) {
        const double p = 1.0 + power.lambda * c[i];
        const double q = p > 0.0 ? std::pow(p, power.zeta - 1.0) : 0.0;
        T[i] = p > 0.0 ? q * p : 0.0;
        if (D) D[i] = power.lambda * power.zeta * q;
    }
}

// R and, where slope is not null, (dR/dr)/r
void evaluate_shell(const Shell& shell,
                    Cutoff cutoff,
                    std::size_t n,
                    const double* s,
                    double* value,
                    double* slope) {
    const core::RadialPolynomial& p = shell.polynomial;
    if (p.usable())
        return kernels().polynomial(n, p.degree(), p.coefficients().data(), p.of_r(), p.scale(), p.rc2(), s,
                                    value, slope);
    for (std::size_t i = 0; i < n; ++i) {
        const double r = std::sqrt(s[i]);
        const ValueSlope R = r < shell.rc
                                 ? core::radial(shell.eta, shell.rs, r, core::cutoff(cutoff, shell.rc, r))
                                 : ValueSlope{};
        value[i] = R.value;
        if (slope) slope[i] = R.slope;
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

    const double* value_of(int shell) const { return value.data() + shell * stride; }
    const double* slope_of(int shell) const { return slope.data() + shell * stride; }

    void reserve(std::size_t n, std::size_t shells) {
        if (stride <= n) stride = whole_lines(n + lanes);
        for (Buffer* b : {&x, &y, &z, &s, &inverse_r, &gx, &gy, &gz})
            if (b->size() < stride) b->resize(stride);
        if (order.size() < stride) order.resize(stride);
        for (Buffer* b : {&value, &slope})
            if (b->size() < shells * stride) b->resize(shells * stride);
    }
};

namespace {

// The chunk of pairs of neighbours j, k at work, and the arrays of its kernels.
struct Pairs {
    // The pairs of one neighbour j: [begin, end) of the chunk; its k are from `first` on.
    struct Row {
        std::size_t j, begin, end, first, candidates;
    };
    const Kernels& kernel = kernels();
    std::vector<Row> rows;
    std::size_t size = 0, stride = 0;
    std::vector<std::int32_t> j, k;
    Buffer row_c, row_s;        // cos t and r_jk^2 of all candidates of one row
    Buffer c, sjk;              // of the pairs
    Buffer power, power_slope;  // [power][stride]
    Buffer vjk, wjk;            // R(r_jk) and slope
    Buffer ones, zeros;         // the same where R(r_jk) is not in the function
    Buffer R, Rj, Rk, Rjk;      // R_j R_k (R_jk) and its three derivatives
    Buffer U, V;                // sum of u T and u dT/dc
    Buffer fc, fs, cj, ck;
    // Of the members of a group: factors or results, and arrays
    Buffer factors;
    std::vector<const double*> arrays, slopes;

    double* power_of(int p) { return power.data() + p * stride; }
    double* power_slope_of(int p) { return power_slope.data() + p * stride; }

    void reserve(std::size_t neighbors, std::size_t powers) {
        const std::size_t n = whole_lines(chunk_size + 2 * neighbors);
        if (stride < n) {
            stride = n;
            ones.assign(stride, 1.0);
            zeros.assign(stride, 0.0);
            for (auto* b : {&j, &k}) b->resize(stride);
            for (Buffer* b :
                 {&row_c, &row_s, &c, &sjk, &vjk, &wjk, &R, &Rj, &Rk, &Rjk, &U, &V, &fc, &fs, &cj, &ck})
                b->resize(stride);
        }
        for (Buffer* b : {&power, &power_slope})
            if (b->size() < powers * stride) b->resize(powers * stride);
    }

    // Appends the pairs of neighbour a with the neighbours from `begin` to `end`.
    void add_row(const Environment::Tables& t,
                 std::size_t a,
                 std::size_t begin,
                 std::size_t end,
                 double rc2,
                 double rc2_jk) {
        const double at[5] = {t.x[a], t.y[a], t.z[a], t.s[a], t.inverse_r[a]};
        const std::size_t m = end - begin;
        kernel.row(m, at, &t.x[begin], &t.y[begin], &t.z[begin], &t.s[begin], &t.inverse_r[begin],
                   row_c.data(), row_s.data());
        const std::size_t n =
            kernel.select(m, static_cast<std::int32_t>(a), static_cast<std::int32_t>(begin), rc2, rc2_jk,
                          &t.s[begin], row_c.data(), row_s.data(), &j[size], &k[size], &c[size], &sjk[size]);
        rows.push_back({a, size, size + n, begin, m});
        size += n;
    }

    void clear() {
        rows.clear();
        size = 0;
    }

    // Calls work() for chunks of the pairs of a block.
    template <class Work>
    void for_each_chunk(const Environment::Tables& t, const Block& block, Work work) {
        reserve(t.stride, block.powers.size());
        const double rc2 = block.rc * block.rc;
        const double rc2_jk = block.triangles_only ? rc2 : HUGE_VAL;
        const bool same = block.element1 == block.element2;
        const std::size_t end = t.first[block.element2 + 1];
        clear();
        for (std::size_t a = t.first[block.element1]; a < t.first[block.element1 + 1]; ++a) {
            const std::size_t begin = same ? a + 1 : t.first[block.element2];
            if (t.s[a] >= rc2 || begin >= end) continue;
            add_row(t, a, begin, end, rc2, rc2_jk);
            if (size < chunk_size) continue;
            work();
            clear();
        }
        if (size > 0) work();
    }

    void evaluate_powers(const Block& block, bool with_slopes) {
        for (std::size_t i = 0; i < block.powers.size(); ++i) {
            const Power& power = block.powers[i];
            const int p = static_cast<int>(i);
            double *T = power_of(p), *D = with_slopes ? power_slope_of(p) : nullptr;
            const double* T0 = power.source < 0 ? nullptr : power_of(power.source);
            const double* D0 = power.source < 0 ? nullptr : power_slope_of(power.source);
            switch (power.kind) {
                case Power::Kind::first:
                    kernel.first_power(size, power.lambda, c.data(), T, D);
                    break;
                case Power::Kind::square:
                    kernel.square_power(size, T0, D0, T, D);
                    break;
                case Power::Kind::next:
                    kernel.next_power(size, power.lambda, c.data(), T0, D0, T, D);
                    break;
                case Power::Kind::real:
                    real_power(size, power, c.data(), T, D);
            }
        }
    }

    // G of the group's members
    void evaluate_group(const Environment::Tables& t,
                        const Group& group,
                        const Shell& shell,
                        Cutoff cutoff,
                        double* G) {
        if (group.triangle) evaluate_shell(shell, cutoff, size, sjk.data(), vjk.data(), nullptr);
        kernel.product(size, j.data(), k.data(), t.value_of(group.shell),
                       group.triangle ? vjk.data() : nullptr, R.data());
        arrays.clear();
        for (const Member& m : group.members) arrays.push_back(power_of(m.power));
        factors.resize(arrays.size());
        kernel.dots(size, arrays.size(), R.data(), arrays.data(), factors.data());
        for (std::size_t m = 0; m < arrays.size(); ++m)
            G[group.members[m].output] += group.members[m].norm * factors[m];
    }

    // R and its derivatives with respect to r_j, r_k and r_jk, each divided by that distance
    void differentiate_group(const Environment::Tables& t,
                             const Group& group,
                             const Shell& shell,
                             Cutoff cutoff) {
        if (group.triangle) evaluate_shell(shell, cutoff, size, sjk.data(), vjk.data(), wjk.data());
        kernel.derivatives(size, j.data(), k.data(), t.value_of(group.shell), t.slope_of(group.shell),
                           group.triangle ? vjk.data() : ones.data(),
                           group.triangle ? wjk.data() : zeros.data(), R.data(), Rj.data(), Rk.data(),
                           Rjk.data());
    }

    // U = sum over members of u norm T and V = the same of dT/dc; false if all u are 0.
    bool combine(const Group& group, const double* u) {
        factors.clear();
        arrays.clear();
        slopes.clear();
        for (const Member& m : group.members) {
            if (u[m.output] == 0.0) continue;
            factors.push_back(u[m.output] * m.norm);
            arrays.push_back(power_of(m.power));
            slopes.push_back(power_slope_of(m.power));
        }
        if (factors.empty()) return false;
        kernel.combine(size, factors.size(), factors.data(), arrays.data(), U.data());
        kernel.combine(size, factors.size(), factors.data(), slopes.data(), V.data());
        return true;
    }

    // With E(c, r_j, r_k, r_jk): dE/dr_j = cj r_j + cx r_k and dE/dr_k = ck r_k + cx r_j.
    void add_to_coefficients() {
        const double* UVR[] = {U.data(), V.data(), R.data(), Rj.data(), Rk.data(), Rjk.data()};
        kernel.coefficients(size, UVR, fc.data(), fs.data(), cj.data(), ck.data());
    }

    // Adds the gradient of the chunk to that of the neighbours. The k of a row are all different, so its
    // coefficients, spread out over all candidates, make one loop without conflicts.
    void add_to_gradient(Environment::Tables& t) {
        kernel.vectors(size, j.data(), k.data(), t.inverse_r.data(), c.data(), fc.data(), fs.data(),
                       cj.data(), ck.data());
        double *X = row_c.data(), *B = row_s.data();
        for (const Row& row : rows) {
            if (row.begin == row.end) continue;
            std::fill_n(X, row.candidates, 0.0);
            std::fill_n(B, row.candidates, 0.0);
            for (std::size_t p = row.begin; p < row.end; ++p) {
                const std::size_t b = static_cast<std::size_t>(k[p]) - row.first;
                X[b] = fs[p];
                B[b] = ck[p];
            }
            const double at[3] = {t.x[row.j], t.y[row.j], t.z[row.j]};
            const double* r[3] = {&t.x[row.first], &t.y[row.first], &t.z[row.first]};
            double* g[3] = {&t.gx[row.first], &t.gy[row.first], &t.gz[row.first]};
            double xs[3] = {0.0, 0.0, 0.0};
            kernel.spread(row.candidates, at, X, B, r, g, xs);
            const double A = kernel.sum(row.end - row.begin, &cj[row.begin]);
            t.gx[row.j] += A * at[0] + xs[0];
            t.gy[row.j] += A * at[1] + xs[1];
            t.gz[row.j] += A * at[2] + xs[2];
        }
    }

    // Along the direction (gx, gy, gz): fc = dc, cj = r_j.v_j, ck = r_k.v_k, fs = r_jk.v_jk
    void project_direction(const Environment::Tables& t) {
        for (const Row& row : rows) {
            const std::size_t a = row.j;
            const double ia = t.inverse_r[a];
            const double aa = t.x[a] * t.gx[a] + t.y[a] * t.gy[a] + t.z[a] * t.gz[a];
            for (std::size_t p = row.begin; p < row.end; ++p) {
                const std::size_t b = static_cast<std::size_t>(k[p]);
                const double ib = t.inverse_r[b];
                const double bb = t.x[b] * t.gx[b] + t.y[b] * t.gy[b] + t.z[b] * t.gz[b];
                const double mixed = t.x[a] * t.gx[b] + t.y[a] * t.gy[b] + t.z[a] * t.gz[b] +
                                     t.x[b] * t.gx[a] + t.y[b] * t.gy[a] + t.z[b] * t.gz[a];
                fc[p] = mixed * ia * ib - c[p] * (aa * ia * ia + bb * ib * ib);
                cj[p] = aa;
                ck[p] = bb;
                fs[p] = aa + bb - mixed;
            }
        }
    }
};

// Each thread keeps one chunk, which so stays in its cache from atom to atom.
Pairs& pairs_of_thread() {
    thread_local Pairs pairs;
    return pairs;
}

}  // namespace

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
    t.reserve(size, plan.shells.size());

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
            G[f.output] = kernels().sum(t.first[e + 1] - t.first[e], t.value_of(f.shell) + t.first[e]);
    Pairs& pairs = pairs_of_thread();
    for (const Block& block : plan.blocks)
        pairs.for_each_chunk(t, block, [&] {
            pairs.evaluate_powers(block, false);
            for (const Group& group : block.groups) {
                pairs.evaluate_group(t, group, plan.shells[group.shell], plan_->cutoff, G);
            }
        });
}

void SymmetryFunctions::vjp(Environment& environment, const double* u, double* gradient) const {
    Environment::Tables& t = *environment.tables_;
    const ElementPlan& plan = plan_->elements[t.center];
    Pairs& pairs = pairs_of_thread();
    pairs.reserve(t.stride, 0);
    for (int e = 0; e < elements(); ++e) {
        pairs.factors.clear();
        pairs.slopes.clear();
        for (const RadialFunction& f : plan.radial_of[e]) {
            pairs.factors.push_back(u[f.output]);
            pairs.slopes.push_back(t.slope_of(f.shell) + t.first[e]);
        }
        const std::size_t n = t.first[e + 1] - t.first[e];
        double* q = pairs.row_c.data();  // sum of u (dR/dr)/r
        kernels().combine(n, pairs.factors.size(), pairs.factors.data(), pairs.slopes.data(), q);
        for (std::size_t i = 0, at = t.first[e]; i < n; ++i, ++at) {
            t.gx[at] = q[i] * t.x[at];
            t.gy[at] = q[i] * t.y[at];
            t.gz[at] = q[i] * t.z[at];
        }
    }
    const auto used = [&](const Group& group) {
        return std::any_of(group.members.begin(), group.members.end(),
                           [&](const Member& m) { return u[m.output] != 0.0; });
    };
    for (const Block& block : plan.blocks) {
        if (std::none_of(block.groups.begin(), block.groups.end(), used)) continue;
        pairs.for_each_chunk(t, block, [&] {
            pairs.evaluate_powers(block, true);
            for (Buffer* b : {&pairs.fc, &pairs.fs, &pairs.cj, &pairs.ck})
                std::fill_n(b->begin(), pairs.size, 0.0);
            for (const Group& group : block.groups) {
                if (!pairs.combine(group, u)) continue;
                pairs.differentiate_group(t, group, plan.shells[group.shell], plan_->cutoff);
                pairs.add_to_coefficients();
            }
            pairs.add_to_gradient(t);
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
    Pairs& pairs = pairs_of_thread();
    for (const Block& block : plan.blocks)
        pairs.for_each_chunk(t, block, [&] {
            pairs.evaluate_powers(block, true);
            pairs.project_direction(t);
            for (const Group& group : block.groups) {
                pairs.differentiate_group(t, group, plan.shells[group.shell], plan_->cutoff);
                // dG = T dR + R dT/dc dc
#pragma omp simd
                for (std::size_t p = 0; p < pairs.size; ++p) {
                    pairs.U[p] =
                        pairs.Rj[p] * pairs.cj[p] + pairs.Rk[p] * pairs.ck[p] + pairs.Rjk[p] * pairs.fs[p];
                    pairs.V[p] = pairs.R[p] * pairs.fc[p];
                }
                const auto dot = [&](const double* x, const double* y) {
                    double result;
                    pairs.kernel.dots(pairs.size, 1, x, &y, &result);
                    return result;
                };
                for (const Member& m : group.members)
                    dG[m.output] += m.norm * (dot(pairs.U.data(), pairs.power_of(m.power)) +
                                              dot(pairs.V.data(), pairs.power_slope_of(m.power)));
            }
        });
}

}  // namespace sitewise
