#pragma once

// The canonical form of a symmetry function, checks of its parameters, and the order of functions.

#include <string>
#include <vector>

#include "sitewise/symmetry.hpp"

namespace sitewise {

/// A shell of types 33 to 35, and the power of the cosine between its vectors and those of the next shell,
/// the first behind the last. A sum over two shells is a ring whose second power is 0.
struct RingShell {
    int element;
    double eta, rs, power;
};

/// Empty for other types.
std::vector<RingShell> ring_of(const SymmetryFunction& f);

/// What the powers of a function of several shells are to be, if they are not; empty otherwise.
std::string fault_of_powers(const SymmetryFunction& f);

/// Whether the function depends on neighbours of an element.
bool depends_on(const SymmetryFunction& f, int element);

/// The function without what its type does not use, and its elements and shells in one order of those that
/// mean the same, so that equal functions compare equal.
SymmetryFunction canonical(const SymmetryFunction& f);

/// Throws Error for an unknown type, an element index that is not below n_elements, or a parameter out of
/// range. `has_numbers`: the atomic numbers of the elements are known.
void check_function(const SymmetryFunction& f, int n_elements, bool has_numbers);

/// n2p2's order, see SymmetryFunctions::functions().
bool comes_before(const SymmetryFunction& a, const SymmetryFunction& b);

}  // namespace sitewise
