#include "function_types.hpp"

#include <algorithm>
#include <cstddef>

#include "text.hpp"

namespace sitewise {
namespace {

constexpr auto radial = FunctionShape::radial;
constexpr auto narrow = FunctionShape::narrow_angular;
constexpr auto wide = FunctionShape::wide_angular;
constexpr auto contraction = FunctionShape::contraction;
constexpr bool by_element = false, weighted = true, gaussian = false, compact = true;

struct Row {
    int number;
    FunctionShape shape;
    bool weighted, compact;
    const char* columns;
};

constexpr Row rows[] = {
    {2, radial, by_element, gaussian, "e1 eta rs rc"},
    {3, narrow, by_element, gaussian, "e1 e2 eta lambda zeta rc [rs]"},
    {9, wide, by_element, gaussian, "e1 e2 eta lambda zeta rc [rs]"},
    {12, radial, weighted, gaussian, "eta rs rc"},
    {13, narrow, weighted, gaussian, "eta rs lambda zeta rc"},
    {20, radial, by_element, compact, "e1 rl rc subtype"},
    {21, narrow, by_element, compact, "e1 e2 rl rc angle_left angle_right subtype"},
    {22, wide, by_element, compact, "e1 e2 rl rc angle_left angle_right subtype"},
    {23, radial, weighted, compact, "rl rc subtype"},
    {24, narrow, weighted, compact, "rl rc angle_left angle_right subtype"},
    {25, wide, weighted, compact, "rl rc angle_left angle_right subtype"},
    {33, contraction, by_element, gaussian, "s1 s2 eta rs eta2 rs2 p1 rc"},
    {34, contraction, by_element, gaussian, "s1 s2 s3 eta rs eta2 rs2 eta3 rs3 p1 p2 p3 rc"},
    {35, contraction, by_element, gaussian, "s1 s2 s3 s4 eta rs eta2 rs2 eta3 rs3 eta4 rs4 p1 p2 p3 p4 rc"},
};

std::vector<FunctionType> table() {
    std::vector<FunctionType> all;
    for (const Row& row : rows)
        all.push_back({row.number, row.shape, row.weighted, row.compact, function_columns(row.columns)});
    return all;
}

// Numbers in increasing order; four or more in a row as "20 to 25"
Words ranges(const std::vector<FunctionType>& types) {
    Words words;
    for (std::size_t first = 0, end = 0; first < types.size(); first = end) {
        const auto number = [&](std::size_t k) { return types[k].number; };
        for (end = first + 1; end < types.size() && number(end) == number(end - 1) + 1;) ++end;
        if (end - first > 3)
            words.push_back(std::to_string(number(first)) + " to " + std::to_string(number(end - 1)));
        else
            for (std::size_t k = first; k < end; ++k) words.push_back(std::to_string(number(k)));
    }
    return words;
}

}  // namespace

const char* name(FunctionShape shape) {
    return shape == radial   ? "radial"
           : shape == narrow ? "narrow angular"
           : shape == wide   ? "wide angular"
                             : "contraction";
}

const std::vector<FunctionColumn>& function_columns() {
    using F = SymmetryFunction;
    static const std::vector<FunctionColumn> all{
        {"e1", "neighbour element", &F::neighbor1, nullptr, 0},
        {"e2", "second neighbour element", &F::neighbor2, nullptr, 0},
        {"s1", "neighbour element of the first shell, `all`, or `Z` for all weighted by atomic number",
         &F::neighbor1, nullptr, 0, true},
        {"s2", "that of the second shell", &F::neighbor2, nullptr, 0, true},
        {"s3", "that of the third shell", &F::neighbor3, nullptr, 0, true},
        {"s4", "that of the fourth shell", &F::neighbor4, nullptr, 0, true},
        {"eta", "exponent of the Gaussian, 1/length^2", nullptr, &F::eta, -2},
        {"rs", "shift of the Gaussian, length", nullptr, &F::rs, 1},
        {"eta2", "exponent of the second shell's Gaussian, 1/length^2", nullptr, &F::eta2, -2},
        {"rs2", "shift of the second shell's Gaussian, length", nullptr, &F::rs2, 1},
        {"eta3", "that of the third shell, 1/length^2", nullptr, &F::eta3, -2},
        {"rs3", "that of the third shell, length", nullptr, &F::rs3, 1},
        {"eta4", "that of the fourth shell, 1/length^2", nullptr, &F::eta4, -2},
        {"rs4", "that of the fourth shell, length", nullptr, &F::rs4, 1},
        {"p1", "power of the cosine between vectors of the first and second shell", nullptr, &F::power1, 0},
        {"p2", "of the second and third shell", nullptr, &F::power2, 0},
        {"p3", "of the third and the next shell, which in type 34 is the first", nullptr, &F::power3, 0},
        {"p4", "of the fourth and first shell", nullptr, &F::power4, 0},
        {"lambda", "factor of the cosine", nullptr, &F::lambda, 0},
        {"zeta", "exponent of the angular factor", nullptr, &F::zeta, 0},
        {"rc", "cutoff, length", nullptr, &F::cutoff, 1},
        {"[rs]", "shift of the Gaussians, 0 if missing", nullptr, &F::rs, 1},
        {"rl", "where the support begins, length", nullptr, &F::left, 1},
        {"angle_left", "where the support of the angle begins, degrees", nullptr, &F::angle_left, 0},
        {"angle_right", "where the support of the angle ends, degrees", nullptr, &F::angle_right, 0},
        {"subtype", "compact function: p1, p2, p3, p4, one of them with an a (asymmetric), or e", nullptr,
         nullptr, 0}};
    return all;
}

std::vector<FunctionColumn> function_columns(const std::string& names) {
    std::vector<FunctionColumn> columns;
    for (const std::string& name : split(names))
        columns.push_back(*std::find_if(function_columns().begin(), function_columns().end(),
                                        [&](const FunctionColumn& c) { return c.name == name; }));
    return columns;
}

const std::vector<FunctionType>& function_types() {
    static const std::vector<FunctionType> all = table();
    return all;
}

const FunctionType* find_function_type(int number) {
    const auto& types = function_types();
    const auto found =
        std::find_if(types.begin(), types.end(), [&](const auto& type) { return type.number == number; });
    return found == types.end() ? nullptr : &*found;
}

std::string function_type_numbers() {
    const Words words = ranges(function_types());
    std::string text;
    for (std::size_t k = 0; k < words.size(); ++k)
        text += (k == 0 ? "" : k + 1 == words.size() ? " or " : ", ") + words[k];
    return text;
}

}  // namespace sitewise
