#pragma once

// A symmetry function as a line symfunction_short of input.nn, read and written by the table of types.

#include <string>
#include <vector>

#include "function_types.hpp"
#include "sitewise/symmetry.hpp"
#include "text.hpp"

namespace sitewise {

/// The columns behind the type that a word stands for, RuNNer's type 1 included.
const std::vector<FunctionColumn>& columns_of_type(const std::string& word, const Place& place);

/// Lengths of the line times `length` are Angstrom. Type 1 is left as it is.
SymmetryFunction read_function(const Line& line, const Words& elements, double length);

/// A line for each function, by central element.
std::string function_lines(const Words& elements, const SymmetryFunctions& functions);

}  // namespace sitewise
