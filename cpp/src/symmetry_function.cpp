#include "symmetry_function.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <tuple>
#include <utility>

#include "function_types.hpp"
#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

constexpr double most_rank = 6.0;  // of a shell's moments

// Where SymmetryFunction keeps a shell of a ring
struct ShellFields {
    int SymmetryFunction::*element;
    double SymmetryFunction::*eta;
    double SymmetryFunction::*rs;
    double SymmetryFunction::*power;
};
using F = SymmetryFunction;
constexpr ShellFields shell_fields[] = {{&F::neighbor1, &F::eta, &F::rs, &F::power1},
                                        {&F::neighbor2, &F::eta2, &F::rs2, &F::power2},
                                        {&F::neighbor3, &F::eta3, &F::rs3, &F::power3},
                                        {&F::neighbor4, &F::eta4, &F::rs4, &F::power4}};

std::vector<RingShell> turned(const std::vector<RingShell>& ring, std::size_t turn) {
    std::vector<RingShell> result = ring;
    std::rotate(result.begin(), result.begin() + static_cast<std::ptrdiff_t>(turn), result.end());
    return result;
}

// The other way round, where a power stands behind the shell that it stood before
std::vector<RingShell> reversed(const std::vector<RingShell>& ring) {
    const std::size_t n = ring.size();
    std::vector<RingShell> result(ring.rbegin(), ring.rend());
    for (std::size_t s = 0; s < n; ++s) result[s].power = ring[(2 * n - s - 2) % n].power;
    return result;
}

auto ring_key(const std::vector<RingShell>& ring) {
    std::vector<std::tuple<double, double, double, int>> key;
    for (const RingShell& s : ring) key.emplace_back(-s.power, s.eta, s.rs, s.element);
    return key;
}

void sort_ring(SymmetryFunction& f) {
    const std::vector<RingShell> given = ring_of(f);
    std::vector<RingShell> first = given;
    for (const auto& way : {given, reversed(given)})
        for (std::size_t turn = 0; turn < given.size(); ++turn)
            first = std::min(first, turned(way, turn),
                             [](const auto& a, const auto& b) { return ring_key(a) < ring_key(b); });
    for (std::size_t s = 0; s < first.size(); ++s) {
        const ShellFields& fields = shell_fields[s];
        f.*fields.element = first[s].element;
        f.*fields.eta = first[s].eta;
        f.*fields.rs = first[s].rs;
        f.*fields.power = first[s].power;
    }
}

template <class Property>
bool type_has(const SymmetryFunction& f, Property property) {
    const FunctionType* type = find_function_type(f.type);
    return type && property(*type);
}

std::string describe(const SymmetryFunction& f) {
    const auto list = [](std::initializer_list<std::pair<const char*, double>> values) {
        std::string text;
        for (const auto& [name, value] : values)
            text += std::string(text.empty() ? "" : ", ") + name + " " + std::to_string(value);
        return text;
    };
    if (!ring_of(f).empty()) {
        std::string text = "symmetry function of type " + std::to_string(f.type) + " (";
        for (const RingShell& s : ring_of(f))
            text += list({{"eta", s.eta}, {"rs", s.rs}, {"p", s.power}}) + ", ";
        return text + list({{"cutoff", f.cutoff}}) + ")";
    }
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

void check_elements(const SymmetryFunction& f, const FunctionType& type, int n_elements) {
    const auto check = [&](int element, bool sums) {
        if (sums && (element == SymmetryFunction::all || element == SymmetryFunction::all_by_number)) return;
        if (element < 0 || element >= n_elements)
            throw Error(describe(f) + ": an element index is outside 0 to " + std::to_string(n_elements - 1));
    };
    check(f.center, false);
    for (const FunctionColumn& column : type.columns)
        if (column.element) check(f.*column.element, column.sums);
}

void check_ring(const SymmetryFunction& f) {
    for (const RingShell& s : ring_of(f))
        if (s.eta < 0.0) throw Error(describe(f) + ": eta must not be negative");
    if (const std::string fault = fault_of_powers(f); !fault.empty()) throw Error(describe(f) + ": " + fault);
}

bool needs_numbers(const SymmetryFunction& f, const FunctionType& type) {
    if (type.weighted) return true;
    for (const RingShell& s : ring_of(f))
        if (s.element == SymmetryFunction::all_by_number) return true;
    return false;
}

auto order_key(const SymmetryFunction& f) {
    const bool compact = f.is_compact();
    return std::make_tuple(f.type, compact ? f.subtype() : std::string(), compact ? f.neighbor1 : 0,
                           compact ? f.neighbor2 : 0, f.cutoff, f.power1, f.power2, f.power3, f.power4, f.eta,
                           f.rs, f.eta2, f.rs2, f.eta3, f.rs3, f.eta4, f.rs4, f.zeta, f.lambda, f.left,
                           f.angle_left, f.angle_right, f.neighbor1, f.neighbor2, f.neighbor3, f.neighbor4);
}

}  // namespace

bool SymmetryFunction::is_angular() const {
    return type_has(*this, [](const FunctionType& type) { return type.angular(); });
}
bool SymmetryFunction::is_compact() const {
    return type_has(*this, [](const FunctionType& type) { return type.compact; });
}
bool SymmetryFunction::is_weighted() const {
    return type_has(*this, [](const FunctionType& type) { return type.weighted; });
}
bool SymmetryFunction::has_triangle() const {
    return type_has(*this, [](const FunctionType& type) { return type.triangle(); });
}

std::vector<RingShell> ring_of(const SymmetryFunction& f) {
    const FunctionType* type = find_function_type(f.type);
    std::vector<RingShell> ring;
    if (!type || !type->contraction()) return ring;
    const auto shells = std::count_if(type->columns.begin(), type->columns.end(),
                                      [](const FunctionColumn& c) { return c.element != nullptr; });
    for (std::ptrdiff_t s = 0; s < shells; ++s) {
        const ShellFields& fields = shell_fields[s];
        ring.push_back({f.*fields.element, f.*fields.eta, f.*fields.rs, f.*fields.power});
    }
    return ring;
}

std::string fault_of_powers(const SymmetryFunction& f) {
    const std::vector<RingShell> ring = ring_of(f);
    for (std::size_t s = 0; s < ring.size(); ++s) {
        const double before = ring[(s + ring.size() - 1) % ring.size()].power, behind = ring[s].power;
        if (behind != std::floor(behind) || behind < 0.0)
            return "the power p" + std::to_string(s + 1) + " is " + exact(behind) +
                   ", expected a whole number";
        if (before + behind > most_rank)
            return "the powers of the cosines of a shell sum up to " + exact(before + behind) +
                   ", expected at most " + exact(most_rank);
    }
    return "";
}

bool depends_on(const SymmetryFunction& f, int element) {
    bool all = true;  // of a type without elements
    for (const FunctionColumn& column : find_function_type(f.type)->columns) {
        if (!column.element) continue;
        all = false;
        const int own = f.*column.element;
        if (own == element || own == SymmetryFunction::all || own == SymmetryFunction::all_by_number)
            return true;
    }
    return all;
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

SymmetryFunction canonical(const SymmetryFunction& f) {
    const FunctionType* type = find_function_type(f.type);
    if (!type) return f;
    SymmetryFunction result;
    result.type = f.type;
    result.center = f.center;
    result.compact = f.compact;
    result.asymmetric = f.asymmetric;
    for (const FunctionColumn& column : type->columns) {
        if (column.element) result.*column.element = f.*column.element;
        if (column.value) result.*column.value = f.*column.value;
    }
    if (type->contraction())
        sort_ring(result);
    else if (result.neighbor2 >= 0 && result.neighbor1 > result.neighbor2)
        std::swap(result.neighbor1, result.neighbor2);
    return result;
}

void check_function(const SymmetryFunction& f, int n_elements, bool has_numbers) {
    const FunctionType* type = find_function_type(f.type);
    if (!type) throw Error(describe(f) + ": the type is unknown, expected " + function_type_numbers());
    check_elements(f, *type, n_elements);
    if (needs_numbers(f, *type) && !has_numbers)
        throw Error(describe(f) + ": weighted functions need the atomic numbers of the elements");
    for (const FunctionColumn& column : type->columns)
        if (column.value && !std::isfinite(f.*column.value))
            throw Error(describe(f) + ": a parameter is not finite");
    if (f.cutoff <= 0.0) throw Error(describe(f) + ": the cutoff must be positive");
    if (type->compact) return check_compact(f);
    if (type->contraction()) return check_ring(f);
    if (f.eta < 0.0) throw Error(describe(f) + ": eta must not be negative");
    if (type->angular() && (f.zeta <= 0.0 || f.zeta > 1000.0))
        throw Error(describe(f) + ": zeta must be positive and at most 1000");
}

bool comes_before(const SymmetryFunction& a, const SymmetryFunction& b) {
    return order_key(a) < order_key(b);
}

}  // namespace sitewise
