#pragma once

// The types of symmetry functions: the one table that checks, compilation, reader, writer, bindings and
// documentation take from. A type whose factors the kernels have is added in three places:
//
// 1. its row in function_types.cpp,
// 2. its formula in the comment of SymmetryFunction, sitewise/symmetry.hpp,
// 3. its formula in tests/test_symmetry.py.
//
// tests/test_function_types.py holds them together.

#include <string>
#include <vector>

#include "sitewise/symmetry.hpp"

namespace sitewise {

/// A column of a line symfunction_short. It sets a neighbour element, a number, or the compact function.
struct FunctionColumn {
    const char* name;  ///< in brackets if it may be missing
    const char* meaning;
    int SymmetryFunction::*element;   ///< null for others
    double SymmetryFunction::*value;  ///< null for others
    int power_of_length;              ///< of the unit of the value
    bool sums = false;                ///< whether the element may be `all` or `Z`, see SymmetryFunction

    bool optional() const { return name[0] == '['; }
};

/// Sums over neighbours, over pairs of neighbours with and without a factor of their distance r_jk, and
/// contractions of moments of several shells.
enum class FunctionShape { radial, narrow_angular, wide_angular, contraction };

/// In words, as "narrow angular".
const char* name(FunctionShape shape);

struct FunctionType {
    int number;  ///< n2p2's
    FunctionShape shape;
    bool weighted;  ///< by atomic numbers, and summed over all elements
    bool compact;   ///< of compact support, in place of a Gaussian and a cutoff function
    std::vector<FunctionColumn> columns;  ///< behind the central element and the type

    bool angular() const {
        return shape == FunctionShape::narrow_angular || shape == FunctionShape::wide_angular;
    }
    bool contraction() const { return shape == FunctionShape::contraction; }
    bool triangle() const { return shape == FunctionShape::narrow_angular; }
};

const std::vector<FunctionType>& function_types();

/// Null for a number that no type has.
const FunctionType* find_function_type(int number);

/// The numbers of all types, for messages: "2, 3 or 9".
std::string function_type_numbers();

const std::vector<FunctionColumn>& function_columns();

/// Columns by their names, separated by blanks.
std::vector<FunctionColumn> function_columns(const std::string& names);

}  // namespace sitewise
