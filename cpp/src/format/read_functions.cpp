// Reads the symmetry functions of input.nn, in n2p2's and RuNNer's forms.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <utility>

#include "format/function_line.hpp"
#include "format/read.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

// The most functions that are read, of all elements and of one; no potential has as many.
constexpr std::size_t most_functions = 20000, most_of_element = 4000;

// The neighbours of a function that is given for all elements, or for all pairs of elements
std::vector<Words> neighbors_of(bool pairs, const Words& elements) {
    std::vector<Words> all;
    for (std::size_t a = 0; a < elements.size(); ++a)
        if (!pairs)
            all.push_back({elements[a]});
        else
            for (std::size_t b = a; b < elements.size(); ++b) all.push_back({elements[a], elements[b]});
    return all;
}

// The lines symfunction_short that one of RuNNer's element_symfunction_short or global_symfunction_short
// means
std::vector<Line> expanded(const Line& line, const Words& elements) {
    const std::size_t type = line.words[0] == "element_symfunction_short" ? 2 : 1;
    if (line.words.size() <= type) require_values(line, type + 1, type + 5);
    const std::vector<FunctionColumn>& columns = columns_of_type(line.words[type], line.place);
    if (!contains({"1", "2", "3", "9"}, line.words[type]))
        line.place.fail("keyword \"" + line.words[0] + "\" has the type " + shown(line.words[type]) +
                        ", expected 1, 2, 3 or 9");
    const auto count = [&](auto has) { return std::count_if(columns.begin(), columns.end(), has); };
    const auto numbers =
        static_cast<std::size_t>(count([](const FunctionColumn& c) { return c.value && !c.optional(); }));
    const bool pairs = count([](const FunctionColumn& c) { return c.element != nullptr; }) == 2;
    require_values(line, type + numbers, type + numbers);
    std::vector<Line> lines;
    for (const std::string& center : type == 2 ? Words{line.words[1]} : elements)
        for (const Words& neighbors : neighbors_of(pairs, elements)) {
            Words words{"symfunction_short", center, line.words[type]};
            words.insert(words.end(), neighbors.begin(), neighbors.end());
            words.insert(words.end(), line.words.begin() + type + 1, line.words.end());
            lines.push_back({line.place, std::move(words)});
        }
    return lines;
}

// Appends a function; throws Error if there are too many.
void add_function(std::vector<SymmetryFunction>& functions,
                  std::vector<std::size_t>& counts,
                  const SymmetryFunction& f,
                  const Place& place) {
    if (functions.size() == most_functions || ++counts[f.center] > most_of_element)
        place.fail("there are more than " + std::to_string(most_of_element) +
                   " symmetry functions of one element, or " + std::to_string(most_functions) +
                   " of all, the most that are read");
    functions.push_back(f);
}

std::vector<SymmetryFunction> all_functions(const Input& input, const Words& elements, double length) {
    std::vector<SymmetryFunction> functions;
    std::vector<std::size_t> counts(elements.size());
    const auto add = [&](const Line& line) {
        add_function(functions, counts, read_function(line, elements, length), line.place);
        const SymmetryFunction& f = functions.back();
        const FunctionType* type = find_function_type(f.type);
        if (type && type->columns.back().optional() && f.rs != 0.0)
            input.require_n2p2s(line.place, "n2p2 reads the shift of angular functions, RuNNer does not");
    };
    for (const Line* line : input.all("symfunction_short")) add(*line);
    for (const char* keyword : {"element_symfunction_short", "global_symfunction_short"})
        for (const Line* line : input.all(keyword))
            for (const Line& one : expanded(*line, elements)) add(one);
    return functions;
}

// RuNNer's type 1, a sum of cosine cutoff functions, becomes type 2 with eta = 0. It is refused if that
// changes the order of scaling.data, as RuNNer sorts type 1 before type 2.
void convert_type_1(const Input& input, const Cutoff& cutoff, std::vector<SymmetryFunction>& functions) {
    std::map<int, double> largest;  // cutoff of a centre's functions of type 1
    for (const SymmetryFunction& f : functions)
        if (f.type == 1) largest[f.center] = std::max(largest[f.center], f.cutoff);
    if (largest.empty()) return;
    if (cutoff.type != CutoffType::cosine || cutoff.alpha != 0.0)
        input.whole().fail(
            "RuNNer's symmetry functions of type 1 use the cosine cutoff function, but the other "
            "functions of this file do not: evaluate this potential with RuNNer");
    for (const SymmetryFunction& f : functions)
        if (f.type == 2 && largest.count(f.center) &&
            (f.cutoff < largest[f.center] || (f.cutoff == largest[f.center] && f.eta == 0.0)))
            input.whole().fail(
                "a symmetry function of RuNNer's type 1 has a larger cutoff than one of type 2, which "
                "is not supported: evaluate this potential with RuNNer");
    for (SymmetryFunction& f : functions)
        if (f.type == 1) f.type = 2;
    input.assume("symmetry functions of type 1 are read as type 2 with eta = 0");
}

std::vector<int> numbers_of(const Words& elements) {
    std::vector<int> numbers;
    for (const std::string& e : elements) numbers.push_back(atomic_number(e));
    return numbers;
}

// What is wrong with all functions together, after the checks of each line, is told of the whole file.
SymmetryFunctions compile(const Input& input,
                          const Words& elements,
                          std::vector<SymmetryFunction> functions,
                          Cutoff cutoff) {
    try {
        return {static_cast<int>(elements.size()), std::move(functions), cutoff, numbers_of(elements)};
    } catch (const Error& error) {
        input.whole().fail(error.what());
    }
}

}  // namespace

SymmetryFunctions read_symmetry_functions(const Input& input, const Words& elements, double length) {
    const Cutoff cutoff = read_cutoff(input);
    std::vector<SymmetryFunction> functions = all_functions(input, elements, length);
    convert_type_1(input, cutoff, functions);
    const SymmetryFunctions compiled = compile(input, elements, std::move(functions), cutoff);
    for (std::size_t e = 0; e < elements.size(); ++e)
        if (compiled.count(static_cast<int>(e)) == 0)
            input.whole().fail("element " + elements[e] + " has no symmetry functions");
    return compiled;
}

InputFunctions read_functions(const std::string& input_nn, double cflength) {
    if (!(cflength > 0.0) || !std::isfinite(cflength)) throw Error("cflength is not a positive number");
    const Input input(input_nn);
    const Words elements = read_elements(input);
    return {elements, read_symmetry_functions(input, elements, 1.0 / cflength)};
}

}  // namespace sitewise
