#pragma once

// The canonical form of a symmetry function, checks of its parameters, and the order of functions.

#include "sitewise/symmetry.hpp"

namespace sitewise {

/// The function with all parameters that its type does not use reset, so that equal functions compare equal.
SymmetryFunction canonical(const SymmetryFunction& f);

/// Throws Error for an unknown type, an element index that is not below n_elements, or a parameter out of
/// range. `has_numbers`: the atomic numbers of the elements are known.
void check_function(const SymmetryFunction& f, int n_elements, bool has_numbers);

/// n2p2's order, see SymmetryFunctions::functions().
bool comes_before(const SymmetryFunction& a, const SymmetryFunction& b);

}  // namespace sitewise
