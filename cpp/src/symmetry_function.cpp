#include "symmetry_function.hpp"

#include <cmath>
#include <initializer_list>
#include <string>
#include <tuple>
#include <utility>

#include "function_types.hpp"
#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

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
    const auto check = [&](int element) {
        if (element < 0 || element >= n_elements)
            throw Error(describe(f) + ": an element index is outside 0 to " + std::to_string(n_elements - 1));
    };
    check(f.center);
    for (const FunctionColumn& column : type.columns)
        if (column.element) check(f.*column.element);
}

auto order_key(const SymmetryFunction& f) {
    const bool compact = f.is_compact();
    return std::make_tuple(f.type, compact ? f.subtype() : std::string(), compact ? f.neighbor1 : 0,
                           compact ? f.neighbor2 : 0, f.cutoff, f.eta, f.rs, f.zeta, f.lambda, f.left,
                           f.angle_left, f.angle_right, f.neighbor1, f.neighbor2);
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
    if (result.neighbor2 >= 0 && result.neighbor1 > result.neighbor2)
        std::swap(result.neighbor1, result.neighbor2);
    return result;
}

void check_function(const SymmetryFunction& f, int n_elements, bool has_numbers) {
    const FunctionType* type = find_function_type(f.type);
    if (!type) throw Error(describe(f) + ": the type is unknown, expected " + function_type_numbers());
    check_elements(f, *type, n_elements);
    if (type->weighted && !has_numbers)
        throw Error(describe(f) + ": weighted functions need the atomic numbers of the elements");
    for (double value : {f.eta, f.rs, f.lambda, f.zeta, f.cutoff, f.left, f.angle_left, f.angle_right})
        if (!std::isfinite(value)) throw Error(describe(f) + ": a parameter is not finite");
    if (f.cutoff <= 0.0) throw Error(describe(f) + ": the cutoff must be positive");
    if (type->compact) return check_compact(f);
    if (f.eta < 0.0) throw Error(describe(f) + ": eta must not be negative");
    if (type->angular() && (f.zeta <= 0.0 || f.zeta > 1000.0))
        throw Error(describe(f) + ": zeta must be positive and at most 1000");
}

bool comes_before(const SymmetryFunction& a, const SymmetryFunction& b) {
    return order_key(a) < order_key(b);
}

}  // namespace sitewise
