#pragma once

// Reads and writes a symmetry function as a line symfunction_short of input.nn, using the table of types.

#include <string>
#include <vector>

#include "function_types.hpp"
#include "sitewise/symmetry.hpp"
#include "text.hpp"

namespace sitewise {

/// The columns that follow the type in a line; `word` is the type. Includes RuNNer's type 1.
const std::vector<FunctionColumn>& columns_of_type(const std::string& word, const Place& place);

/// Reads one line. Its lengths times `length` are in Angstrom. Type 1 is not converted to type 2.
SymmetryFunction read_function(const Line& line, const Words& elements, double length);

/// One line for each function, grouped by central element.
std::string function_lines(const Words& elements, const SymmetryFunctions& functions);

}  // namespace sitewise
