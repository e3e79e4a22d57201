#include "sitewise/symmetry.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "environment.hpp"
#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {

// -- the functions -------------------------------------------------------------------------------------

bool SymmetryFunction::is_angular() const {
    return type == 3 || type == 9 || type == 13 || type == 21 || type == 22 || type == 24 || type == 25;
}
bool SymmetryFunction::is_compact() const {
    return type >= 20 && type <= 25;
}
bool SymmetryFunction::is_weighted() const {
    return type == 12 || type == 13 || (type >= 23 && type <= 25);
}
bool SymmetryFunction::has_triangle() const {
    return type == 3 || type == 13 || type == 21 || type == 24;
}

std::string SymmetryFunction::subtype() const {
    if (compact == CutoffType::exponential) return "e";
    const int power = static_cast<int>(compact) - static_cast<int>(CutoffType::poly1) + 1;
    return "p" + std::to_string(power) + (asymmetric ? "a" : "");
}

void set_subtype(SymmetryFunction& f, const std::string& name) {
    f.asymmetric = name.size() == 3 && name[2] == 'a';
    if (name == "e")
        f.compact = CutoffType::exponential;
    else if ((name.size() == 2 || f.asymmetric) && name[0] == 'p' && name[1] >= '1' && name[1] <= '4')
        f.compact = static_cast<CutoffType>(static_cast<int>(CutoffType::poly1) + (name[1] - '1'));
    else
        throw Error("compact function " + quoted(name) +
                    " is unknown, expected p1, p2, p3, p4, one of them with an a "
                    "(asymmetric), or e");
}

namespace {

using core::Envelope;

auto order_key(const SymmetryFunction& f) {
    const bool compact = f.is_compact();
    return std::make_tuple(f.type, compact ? f.subtype() : std::string(), compact ? f.neighbor1 : 0,
                           compact ? f.neighbor2 : 0, f.cutoff, f.eta, f.rs, f.zeta, f.lambda, f.left,
                           f.angle_left, f.angle_right, f.neighbor1, f.neighbor2);
}

std::string describe(const SymmetryFunction& f) {
    const auto list = [](std::initializer_list<std::pair<const char*, double>> values) {
        std::string text;
        for (const auto& [name, value] : values)
            text += std::string(text.empty() ? "" : ", ") + name + " " + std::to_string(value);
        return text;
    };
    return "symmetry function of type " + std::to_string(f.type) + " (" +
           (f.is_compact() ? list({{"left", f.left},
                                   {"cutoff", f.cutoff},
                                   {"angle_left", f.angle_left},
                                   {"angle_right", f.angle_right}})
                           : list({{"eta", f.eta},
                                   {"rs", f.rs},
                                   {"lambda", f.lambda},
                                   {"zeta", f.zeta},
                                   {"cutoff", f.cutoff}})) +
           ")";
}

void check_compact(const SymmetryFunction& f) {
    if (f.left >= f.cutoff) throw Error(describe(f) + ": left must be below the cutoff");
    if (f.compact != CutoffType::exponential &&
        (f.compact < CutoffType::poly1 || f.compact > CutoffType::poly4))
        throw Error(describe(f) + ": the compact function must be poly1 to poly4 or exponential");
    if (f.asymmetric && f.compact == CutoffType::exponential)
        throw Error(describe(f) + ": only polynomials can be asymmetric");
    if (!f.is_angular()) return;
    const double center = f.angle_left + f.angle_right;  // twice it
    if (f.angle_left >= f.angle_right || f.angle_right - f.angle_left > 360.0 ||
        (f.angle_left < 0.0 && center != 0.0) || (f.angle_right > 180.0 && center != 360.0))
        throw Error(describe(f) +
                    ": the angles must increase and lie in [0, 180], or be centred at 0 or 180");
}

void check_function(const SymmetryFunction& f, int n_elements, bool has_numbers) {
    if (f.type != 2 && f.type != 12 && !f.is_angular() && !f.is_compact())
        throw Error(describe(f) + ": the type is unknown, expected 2, 3, 9, 12, 13 or 20 to 25");
    const auto known = [&](int e) { return e >= 0 && e < n_elements; };
    const bool named = !f.is_weighted();
    if (!known(f.center) || (named && !known(f.neighbor1)) ||
        (named && f.is_angular() && !known(f.neighbor2)))
        throw Error(describe(f) + ": an element index is outside 0 to " + std::to_string(n_elements - 1));
    if (f.is_weighted() && !has_numbers)
        throw Error(describe(f) + ": weighted functions need the atomic numbers of the elements");
    for (double value : {f.eta, f.rs, f.lambda, f.zeta, f.cutoff, f.left, f.angle_left, f.angle_right})
        if (!std::isfinite(value)) throw Error(describe(f) + ": a parameter is not finite");
    if (f.cutoff <= 0.0) throw Error(describe(f) + ": the cutoff must be positive");
    if (f.is_compact()) return check_compact(f);
    if (f.eta < 0.0) throw Error(describe(f) + ": eta must not be negative");
    if (f.is_angular() && (f.zeta <= 0.0 || f.zeta > 1000.0))
        throw Error(describe(f) + ": zeta must be positive and at most 1000");
}

// Without what its type does not use, so that equal functions compare equal.
SymmetryFunction canonical(SymmetryFunction f) {
    if (f.is_weighted()) f.neighbor1 = f.neighbor2 = -1;
    if (!f.is_angular()) f.neighbor2 = -1;
    if (f.is_compact())
        f.eta = f.rs = f.lambda = f.zeta = 0.0;
    else
        f.left = f.angle_left = f.angle_right = 0.0;
    if (!f.is_angular()) f.lambda = f.zeta = f.angle_left = f.angle_right = 0.0;
    if (f.neighbor2 >= 0 && f.neighbor1 > f.neighbor2) std::swap(f.neighbor1, f.neighbor2);
    return f;
}

template <class T, class Same>
int find_or_add(std::vector<T>& list, T item, Same same) {
    const auto found = std::find_if(list.begin(), list.end(), same);
    if (found != list.end()) return static_cast<int>(found - list.begin());
    list.push_back(std::move(item));
    return static_cast<int>(list.size()) - 1;
}

double binomial(int n, int k) {
    double b = 1.0;
    for (int i = 0; i < k; ++i) b = b * (n - i) / (i + 1);
    return b;
}

// -- compilation into a plan -----------------------------------------------------------------------------

// An ElementPlan and what it points to.
template <class Real>
class Compiler {
public:
    Compiler(const std::vector<SymmetryFunction>& functions,
             Cutoff cutoff,
             int n_elements,
             const std::vector<int>& atomic_numbers,
             Moments moments)
        : functions_(functions), cutoff_(cutoff), elements_(n_elements), numbers_(atomic_numbers) {
        for (int i = 0; i < static_cast<int>(functions.size()); ++i) {
            rc_ = std::max(rc_, functions[i].cutoff);
            if (functions[i].is_angular())
                for_each_pair(functions[i], [&](int e1, int e2, double w) { sort(i, e1, e2, w); });
            else
                add_radial(functions[i], i);
        }
        for (Pair& pair : pairs_) {
            std::vector<Term> rest;
            for (Bundle& bundle : pair.bundles) {
                if (by_moments(bundle, pair.element1 == pair.element2, moments))
                    add_moments(pair, bundle);
                else
                    rest.insert(rest.end(), bundle.terms.begin(), bundle.terms.end());
            }
            if (!rest.empty()) add_block(pair.element1, pair.element2, rest);
        }
        finish_moments();
        assemble();
    }
    Compiler(Compiler&&) = default;

    const ElementPlan<Real>& plan() const { return plan_; }

private:
    struct Term {
        int function;
        double weight;
    };
    // The functions of a pair of elements that share R
    struct Bundle {
        int shell;
        bool triangle;
        std::vector<Term> terms;
    };
    struct Pair {
        int element1, element2;
        std::vector<Bundle> bundles;
    };
    struct BlockData {
        std::vector<Power<Real>> powers;
        std::vector<Member<Real>> members;
        std::vector<Group<Real>> groups;
        std::vector<double> etas;  // of the groups
        std::vector<Family<Real>> families;
    };

    double number(int element) const { return numbers_.empty() ? 1.0 : numbers_[element]; }

    // visit(element1, element2, weight) for the pairs of elements of a function
    template <class Visit>
    void for_each_pair(const SymmetryFunction& f, Visit visit) const {
        if (!f.is_weighted()) return visit(f.neighbor1, f.neighbor2, 1.0);
        for (int a = 0; a < elements_; ++a)
            for (int b = a; b < elements_; ++b) visit(a, b, number(a) * number(b));
    }

    int add_envelope(const SymmetryFunction& f) {
        const Envelope<Real> e = f.is_compact()
                                     ? core::compact_envelope<Real>(f.compact, f.asymmetric, f.left, f.cutoff)
                                     : core::cutoff_envelope<Real>(cutoff_, f.cutoff);
        return find_or_add(envelopes_, e, [&](const Envelope<Real>& x) {
            return x.type == e.type && x.compact == e.compact && x.asymmetric == e.asymmetric &&
                   x.rc2 == e.rc2 && x.center == e.center;
        });
    }

    int add_shell(const SymmetryFunction& f) {
        const Shell<Real> s{add_envelope(f), static_cast<Real>(f.eta), static_cast<Real>(f.rs)};
        return find_or_add(shells_, s, [&](const Shell<Real>& x) {
            return x.envelope == s.envelope && x.eta == s.eta && x.rs == s.rs;
        });
    }

    int use_shell(const SymmetryFunction& f, int element) {
        const int shell = add_shell(f);
        find_or_add(uses_, ShellUse{shell, element},
                    [&](const ShellUse& x) { return x.shell == shell && x.element == element; });
        return shell;
    }

    void add_radial(const SymmetryFunction& f, int output) {
        for (int e = 0; e < elements_; ++e)
            if (f.is_weighted() || f.neighbor1 == e)
                radial_.push_back(
                    {use_shell(f, e), e, output, static_cast<Real>(f.is_weighted() ? number(e) : 1.0)});
    }

    void sort(int function, int e1, int e2, double weight) {
        const SymmetryFunction& f = functions_[function];
        const int shell = add_shell(f);
        const bool triangle = f.has_triangle();
        Pair& pair = pairs_[find_or_add(pairs_, Pair{e1, e2, {}},
                                        [&](const Pair& p) { return p.element1 == e1 && p.element2 == e2; })];
        const int bundle = find_or_add(pair.bundles, Bundle{shell, triangle, {}}, [&](const Bundle& b) {
            return b.shell == shell && b.triangle == triangle;
        });
        pair.bundles[bundle].terms.push_back({function, weight});
    }

    bool by_moments(const Bundle& bundle, bool same, Moments wanted) const {
        int order = 0;
        double rc = 0.0;
        for (const Term& term : bundle.terms) {
            const SymmetryFunction& f = functions_[term.function];
            if (f.type != 9 || f.zeta != std::floor(f.zeta) || f.zeta > most_order ||
                std::fabs(f.lambda) > 1.0)
                return false;
            order = std::max(order, static_cast<int>(f.zeta));
            rc = std::max(rc, f.cutoff);
        }
        if (wanted != Moments::automatic) return wanted == Moments::always;
        // operations of both ways, forward and back, for as many neighbours as a solid has within the cutoff
        const double density = 0.05;  // atoms/Angstrom^3
        const double n = density * 4.0 / 3.0 * core::pi * rc * rc * rc / elements_;
        const double pairs = same ? 0.5 * n * n : n * n, members = static_cast<double>(bundle.terms.size());
        return 8.0 * monomials_up_to(order) * (same ? n : 2.0 * n) < (30.0 + 4.0 * members) * pairs;
    }

    int add_moment(int shell, int element) {
        find_or_add(uses_, ShellUse{shell, element},
                    [&](const ShellUse& x) { return x.shell == shell && x.element == element; });
        return find_or_add(moments_, Moment{shell, element},
                           [&](const Moment& m) { return m.shell == shell && m.element == element; });
    }

    // 2^(1-zeta) sum over j < k is half of the sum over all j, k without j = k, if the elements are the same
    void add_moments(const Pair& pair, const Bundle& bundle) {
        const bool same = pair.element1 == pair.element2;
        Contraction contraction{add_moment(bundle.shell, pair.element1),
                                add_moment(bundle.shell, pair.element2), static_cast<int>(expansions_.size()),
                                static_cast<int>(bundle.terms.size())};
        for (const Term& term : bundle.terms) {
            const SymmetryFunction& f = functions_[term.function];
            const int zeta = static_cast<int>(f.zeta);
            const double norm = std::pow(2.0, 1.0 - zeta) * (same ? 0.5 : 1.0);
            std::vector<Real> c(most_order + 1, Real(0));
            for (int p = 0; p <= zeta; ++p)
                c[p] = static_cast<Real>(norm * binomial(zeta, p) * std::pow(f.lambda, p));
            coefficients_.push_back(std::move(c));
            const double self = same ? -norm * std::pow(1.0 + f.lambda, zeta) : 0.0;
            expansions_.push_back({term.function, static_cast<Real>(self), coefficients_.back().data()});
            order_ = std::max(order_, zeta + zeta % 2);  // kernels are there for even orders
        }
        contractions_.push_back(contraction);
    }

    // Moments by element
    void finish_moments() {
        if (moments_.empty()) return;
        std::vector<int> place(moments_.size());
        std::vector<Moment> sorted;
        for (int e = 0; e < elements_; ++e)
            for (std::size_t i = 0; i < moments_.size(); ++i)
                if (moments_[i].element == e) {
                    place[i] = static_cast<int>(sorted.size());
                    sorted.push_back(moments_[i]);
                }
        moments_ = sorted;
        for (Contraction& c : contractions_) {
            c.moment1 = place[c.moment1];
            c.moment2 = place[c.moment2];
        }
    }

    static int add_power(std::vector<Power<Real>>& powers, double lambda, double zeta) {
        using Kind = typename Power<Real>::Kind;
        const auto same = [&](const Power<Real>& p) {
            return p.kind != Kind::compact && p.lambda == static_cast<Real>(lambda) &&
                   p.zeta == static_cast<Real>(zeta);
        };
        const auto found = std::find_if(powers.begin(), powers.end(), same);
        if (found != powers.end()) return static_cast<int>(found - powers.begin());
        Power<Real> power{Kind::real, -1, static_cast<Real>(lambda), static_cast<Real>(zeta), {}};
        if (zeta == 1.0)
            power.kind = Kind::first;
        else if (zeta == std::floor(zeta) && zeta <= 1024.0) {
            const bool even = std::fmod(zeta, 2.0) == 0.0;
            power.kind = even ? Kind::square : Kind::next;
            power.source = add_power(powers, lambda, even ? zeta / 2.0 : zeta - 1.0);
        }
        powers.push_back(power);  // behind its source
        return static_cast<int>(powers.size()) - 1;
    }

    static int add_angle(std::vector<Power<Real>>& powers, const SymmetryFunction& f) {
        using Kind = typename Power<Real>::Kind;
        constexpr double degree = core::pi / 180.0;
        const Envelope<Real> angle =
            core::compact_envelope<Real>(f.compact, false, f.angle_left * degree, f.angle_right * degree);
        return find_or_add(powers, Power<Real>{Kind::compact, -1, 0, 0, angle}, [&](const Power<Real>& p) {
            return p.kind == Kind::compact && p.angle.type == angle.type && p.angle.center == angle.center &&
                   p.angle.inverse_width == angle.inverse_width;
        });
    }

    void add_block(int e1, int e2, std::vector<Term> terms) {
        const auto envelope_key = [&](const Term& term) {
            const SymmetryFunction& f = functions_[term.function];
            const int shell = add_shell(f);
            return std::make_tuple(shells_[shell].envelope, f.has_triangle(), shell);
        };
        std::stable_sort(terms.begin(), terms.end(),
                         [&](const Term& a, const Term& b) { return envelope_key(a) < envelope_key(b); });
        BlockData data;
        Block<Real> block{};
        block.element1 = e1;
        block.element2 = e2;
        double rc = 0.0;
        bool triangles_only = true;
        int last_shell = -1;
        for (const Term& term : terms) {
            const SymmetryFunction& f = functions_[term.function];
            const auto [envelope, triangle, shell] = envelope_key(term);
            const bool new_family = data.families.empty() || data.families.back().envelope != envelope ||
                                    data.families.back().triangle != triangle;
            if (new_family)
                data.families.push_back({envelope, triangle, static_cast<int>(data.groups.size()), 0});
            if (new_family || shell != last_shell) {
                add_group(data, f, static_cast<int>(data.members.size()));
            }
            last_shell = shell;
            ++data.groups.back().count;
            const double norm = f.is_compact() ? term.weight : term.weight * std::pow(2.0, 1.0 - f.zeta);
            const int power =
                f.is_compact() ? add_angle(data.powers, f) : add_power(data.powers, f.lambda, f.zeta);
            data.members.push_back({power, term.function, static_cast<Real>(norm)});
            rc = std::max(rc, f.cutoff);
            triangles_only = triangles_only && triangle;
            block.lengths = block.lengths || f.rs != 0.0 || (triangle && !envelopes_[envelope].of_square);
            block.angles = block.angles || f.is_compact();
            block.shifts = block.shifts || f.rs != 0.0;
        }
        block.rc2 = static_cast<Real>(rc * rc);
        block.rc2_jk = triangles_only ? block.rc2 : std::numeric_limits<Real>::infinity();
        blocks_.push_back(block);
        block_data_.push_back(std::move(data));
    }

    // Adds a group with the shape of f to the last family.
    static void add_group(BlockData& data, const SymmetryFunction& f, int first_member) {
        Family<Real>& family = data.families.back();
        Group<Real> group{static_cast<Real>(f.eta), static_cast<Real>(f.rs), first_member, 0, -1, 0, Real(0)};
        constexpr double tolerance = 1e-13, largest = 40;
        for (int q = family.first; q < family.first + family.count; ++q) {
            const double ratio = data.etas[q] > 0.0 ? f.eta / data.etas[q] : 0.0, n = std::round(ratio);
            if (data.groups[q].rs != group.rs || n < 2.0 || n > largest ||
                std::fabs(ratio - n) > tolerance * n)
                continue;
            if (group.source >= 0 && n >= group.power) continue;
            group.source = q;
            group.power = static_cast<int>(n);
            const double smallest = sizeof(Real) == 4 ? 1e-30 : 1e-250;
            group.least = static_cast<Real>(std::pow(smallest, 1.0 / n));
        }
        data.groups.push_back(group);
        data.etas.push_back(f.eta);
        ++family.count;
    }

    template <class T>
    static Span<T> span(const std::vector<T>& v) {
        return {v.data(), static_cast<int>(v.size())};
    }

    void assemble() {
        static std::atomic<std::uint64_t> last_id{0};
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            const BlockData& data = block_data_[b];
            blocks_[b].powers = span(data.powers);
            blocks_[b].members = span(data.members);
            blocks_[b].groups = span(data.groups);
            blocks_[b].families = span(data.families);
        }
        plan_.id = ++last_id;
        plan_.outputs = static_cast<int>(functions_.size());
        plan_.elements = elements_;
        plan_.rc2 = static_cast<Real>(rc_ * rc_);
        plan_.envelopes = span(envelopes_);
        plan_.shells = span(shells_);
        plan_.uses = span(uses_);
        plan_.radial = span(radial_);
        plan_.blocks = span(blocks_);
        plan_.moments = span(moments_);
        plan_.contractions = span(contractions_);
        plan_.expansions = span(expansions_);
        plan_.order = order_;
    }

    const std::vector<SymmetryFunction>& functions_;
    Cutoff cutoff_;
    int elements_;
    std::vector<int> numbers_;
    double rc_ = 0.0;
    std::vector<Pair> pairs_;
    std::vector<Envelope<Real>> envelopes_;
    std::vector<Shell<Real>> shells_;
    std::vector<ShellUse> uses_;
    std::vector<RadialTerm<Real>> radial_;
    std::vector<Block<Real>> blocks_;
    std::vector<BlockData> block_data_;
    std::vector<Moment> moments_;
    std::vector<Contraction> contractions_;
    std::vector<std::vector<Real>> coefficients_;
    std::vector<Expansion<Real>> expansions_;
    int order_ = 0;
    ElementPlan<Real> plan_{};
};

}  // namespace

struct SymmetryFunctions::Plan {
    Cutoff cutoff;
    std::vector<int> atomic_numbers;
    Moments moments = Moments::automatic;
    double rc = 0.0;
    std::vector<std::vector<SymmetryFunction>> functions;  // [element], which the compilers refer to
    std::vector<Compiler<double>> float64;
    std::vector<Compiler<float>> float32;
};

SymmetryFunctions::SymmetryFunctions(int n_elements,
                                     std::vector<SymmetryFunction> functions,
                                     Cutoff cutoff,
                                     const std::vector<int>& atomic_numbers,
                                     Moments moments) {
    if (cutoff.alpha < 0.0 || cutoff.alpha >= 1.0 || std::isnan(cutoff.alpha))
        throw Error("cutoff function: alpha is " + std::to_string(cutoff.alpha) +
                    ", expected 0 <= alpha < 1");
    if (!atomic_numbers.empty() && atomic_numbers.size() != static_cast<std::size_t>(n_elements))
        throw Error("symmetry functions: " + std::to_string(atomic_numbers.size()) + " atomic numbers for " +
                    std::to_string(n_elements) + " elements");
    auto plan = std::make_shared<Plan>();
    plan->cutoff = cutoff;
    plan->atomic_numbers = atomic_numbers;
    plan->moments = moments;
    plan->functions.resize(n_elements);
    for (const SymmetryFunction& given : functions) {
        const SymmetryFunction f = canonical(given);
        check_function(f, n_elements, !atomic_numbers.empty());
        plan->functions[f.center].push_back(f);
        plan->rc = std::max(plan->rc, f.cutoff);
    }
    plan->float64.reserve(n_elements);
    plan->float32.reserve(n_elements);
    for (auto& list : plan->functions) {
        std::sort(list.begin(), list.end(),
                  [](const auto& a, const auto& b) { return order_key(a) < order_key(b); });
        plan->float64.emplace_back(list, cutoff, n_elements, atomic_numbers, moments);
        plan->float32.emplace_back(list, cutoff, n_elements, atomic_numbers, moments);
    }
    plan_ = std::move(plan);
}

int SymmetryFunctions::elements() const {
    return static_cast<int>(plan_->functions.size());
}
double SymmetryFunctions::cutoff() const {
    return plan_->rc;
}
Cutoff SymmetryFunctions::cutoff_function() const {
    return plan_->cutoff;
}
const std::vector<int>& SymmetryFunctions::atomic_numbers() const {
    return plan_->atomic_numbers;
}
Moments SymmetryFunctions::moments() const {
    return plan_->moments;
}
std::size_t SymmetryFunctions::count(int element) const {
    return functions(element).size();
}

std::size_t SymmetryFunctions::max_count() const {
    std::size_t n = 0;
    for (const auto& list : plan_->functions) n = std::max(n, list.size());
    return n;
}

std::size_t SymmetryFunctions::from_moments(int element) const {
    std::vector<int> outputs;
    for (const Expansion<double>& e : plan_->float64[element].plan().expansions) outputs.push_back(e.output);
    std::sort(outputs.begin(), outputs.end());
    return static_cast<std::size_t>(std::unique(outputs.begin(), outputs.end()) - outputs.begin());
}

const std::vector<SymmetryFunction>& SymmetryFunctions::functions(int element) const {
    return plan_->functions[element];
}

template <>
const ElementPlan<double>& PlanAccess::plan(const SymmetryFunctions& functions, int element) {
    return functions.plan_->float64[element].plan();
}
template <>
const ElementPlan<float>& PlanAccess::plan(const SymmetryFunctions& functions, int element) {
    return functions.plan_->float32[element].plan();
}

SymmetryFunctions PlanAccess::of_pairs(const SymmetryFunctions& functions) {
    const SymmetryFunctions::Plan& plan = *functions.plan_;
    std::vector<SymmetryFunction> all;
    for (const auto& list : plan.functions) all.insert(all.end(), list.begin(), list.end());
    return {static_cast<int>(plan.functions.size()), all, plan.cutoff, plan.atomic_numbers, Moments::never};
}

// -- the operators -------------------------------------------------------------------------------------

struct Environment::Memory {
    int center = 0;
    EnvironmentOf<double> of;
};

Environment::Environment() : memory_(std::make_unique<Memory>()) {}
Environment::~Environment() = default;
Environment::Environment(Environment&&) noexcept = default;
Environment& Environment::operator=(Environment&&) noexcept = default;

void SymmetryFunctions::load(int center,
                             std::size_t size,
                             const int* neighbors,
                             const int* species,
                             const double* vectors,
                             Environment& environment) const {
    environment.memory_->center = center;
    environment.memory_->of.load(PlanAccess::plan<double>(*this, center), size, neighbors, species, vectors);
}

void SymmetryFunctions::evaluate(Environment& environment, double* G) const {
    const auto& plan = PlanAccess::plan<double>(*this, environment.memory_->center);
    const Tables<double>& t = environment.memory_->of.tables();
    operators<double>().evaluate(plan, t, scratch_of_thread(plan, t.stride), G);
}

void SymmetryFunctions::vjp(Environment& environment, const double* u, double* gradient) const {
    const auto& plan = PlanAccess::plan<double>(*this, environment.memory_->center);
    const Tables<double>& t = environment.memory_->of.tables();
    operators<double>().vjp(plan, t, scratch_of_thread(plan, t.stride), u, gradient);
}

void SymmetryFunctions::jvp(Environment& environment, const double* v, double* dG) const {
    const auto& plan = PlanAccess::plan<double>(*this, environment.memory_->center);
    const Tables<double>& t = environment.memory_->of.tables();
    operators<double>().jvp(plan, t, scratch_of_thread(plan, t.stride), v, dG);
}

}  // namespace sitewise
