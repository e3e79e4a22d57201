#pragma once

// One symmetry function: its canonical form, what it must fulfil, and its place among others.

#include "sitewise/symmetry.hpp"

namespace sitewise {

/// The function without what its type does not use, so that equal functions compare equal.
SymmetryFunction canonical(const SymmetryFunction& f);

/// Throws Error for an unknown type, an element index that is not below n_elements, or a parameter out of
/// range. `has_numbers`: whether the atomic numbers of the elements are known.
void check_function(const SymmetryFunction& f, int n_elements, bool has_numbers);

/// n2p2's order, see SymmetryFunctions::functions().
bool comes_before(const SymmetryFunction& a, const SymmetryFunction& b);

}  // namespace sitewise
