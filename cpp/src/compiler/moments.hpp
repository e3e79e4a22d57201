#pragma once

// Compiles angular functions without R(r_jk) into moments, which are sums over neighbours.

#include "compiler/compiled_plan.hpp"

namespace sitewise {

/// True if the functions of a pair of elements are to be computed from moments. `same`: both elements are
/// one.
bool by_moments(const Bundle& bundle, bool same, int n_elements, Moments wanted);

/// Adds the functions as a contraction of two moments.
template <class Real>
void add_moments(CompiledPlan<Real>& plan, int element1, int element2, const Bundle& bundle);

/// Sorts the moments by element.
template <class Real>
void sort_moments(CompiledPlan<Real>& plan, int n_elements);

}  // namespace sitewise
