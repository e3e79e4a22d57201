#include "format/function_line.hpp"

#include <cstddef>
#include <map>

#include "format/read.hpp"
#include "sitewise/error.hpp"
#include "symmetry_function.hpp"

namespace sitewise {
namespace {

// RuNNer's types that sitewise does not compute
const std::map<int, std::string>& runners_types() {
    static const std::map<int, std::string> all{{4, "cosines of distances"},
                                                {5, "coordinates, which are not invariant"},
                                                {6, "bare distances, which jump at the cutoff"},
                                                {8, "Gaussians of angles"}};
    return all;
}

void check_numbers(const SymmetryFunction& f, const Place& place) {
    if (f.cutoff <= 0.0) place.fail("the cutoff is not positive");
    if (f.eta < 0.0) place.fail("eta is negative");
    if (f.is_angular() && !f.is_compact() && (f.zeta <= 0.0 || f.zeta > 1000.0))
        place.fail("zeta is " + exact(f.zeta) + ", expected a positive number up to 1000");
    for (const RingShell& s : ring_of(f))
        if (s.eta < 0.0) place.fail("eta is negative");
    if (const std::string fault = fault_of_powers(f); !fault.empty()) place.fail(fault);
}

// Words for sums over all elements, in the place of an element
const std::map<std::string, int>& sums() {
    static const std::map<std::string, int> all{{"all", SymmetryFunction::all},
                                                {"Z", SymmetryFunction::all_by_number}};
    return all;
}

void set_column(SymmetryFunction& f,
                const FunctionColumn& column,
                const std::string& word,
                const Words& elements,
                const Place& place) {
    if (column.sums && sums().count(word))
        f.*column.element = sums().at(word);
    else if (column.element)
        f.*column.element = element_index(elements, word, place);
    else if (column.value)
        f.*column.value = parse_number(word, place);
    else
        try {
            set_subtype(f, word);
        } catch (const Error& error) {
            place.fail(error.what());
        }
}

void convert_lengths(SymmetryFunction& f, const std::vector<FunctionColumn>& columns, double length) {
    for (const FunctionColumn& column : columns) {
        if (column.power_of_length == 1) f.*column.value *= length;
        if (column.power_of_length == -2) f.*column.value /= length * length;
    }
}

std::string column_text(const FunctionColumn& column, const Words& elements, const SymmetryFunction& f) {
    for (const auto& [word, element] : sums())
        if (column.sums && f.*column.element == element) return word;
    if (column.element) return elements[f.*column.element];
    return column.value ? exact(f.*column.value) : f.subtype();
}

std::string function_line(const Words& elements, const SymmetryFunction& f) {
    Words words{"symfunction_short", elements[f.center], std::to_string(f.type)};
    for (const FunctionColumn& column : find_function_type(f.type)->columns)
        if (!column.optional() || f.*column.value != 0.0) words.push_back(column_text(column, elements, f));
    return join(words) + "\n";
}

}  // namespace

const std::vector<FunctionColumn>& columns_of_type(const std::string& word, const Place& place) {
    static const std::vector<FunctionColumn> type_1 = function_columns("e1 rc");
    const int number = parse_integer(word, place);
    if (const auto known = runners_types().find(number); known != runners_types().end())
        place.fail("symmetry functions of RuNNer's type " + shown(word) + " (" + known->second +
                   ") are not supported: evaluate this potential with RuNNer");
    if (number == 1) return type_1;
    const FunctionType* type = find_function_type(number);
    if (!type)
        place.fail("symmetry function of unknown type " + shown(word) + ", expected 1, " +
                   function_type_numbers());
    return type->columns;
}

SymmetryFunction read_function(const Line& line, const Words& elements, double length) {
    const Place& place = line.place;
    if (line.words.size() < 3) require_values(line, 4, 19);
    SymmetryFunction f;
    f.center = element_index(elements, line.words[1], place);
    f.type = parse_integer(line.words[2], place);
    const std::vector<FunctionColumn>& columns = columns_of_type(line.words[2], place);
    const std::size_t most = 2 + columns.size();
    require_values(line, columns.back().optional() ? most - 1 : most, most);
    for (std::size_t k = 0; k + 3 < line.words.size(); ++k)
        set_column(f, columns[k], line.words[k + 3], elements, place);
    check_numbers(f, place);
    convert_lengths(f, columns, length);
    return f;
}

std::string function_lines(const Words& elements, const SymmetryFunctions& functions) {
    std::string text;
    for (int e = 0; e < functions.elements(); ++e)
        for (const SymmetryFunction& f : functions.functions(e)) text += function_line(elements, f);
    return text;
}

}  // namespace sitewise
