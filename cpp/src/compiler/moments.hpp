#pragma once

// Angular functions without R(r_jk) from moments, sums over neighbours.

#include "compiler/compiled_plan.hpp"

namespace sitewise {

/// Whether functions of a pair of elements, the `same` twice or not, are computed from moments.
bool by_moments(const Bundle& bundle, bool same, int n_elements, Moments wanted);

/// Adds the functions as a contraction of two moments.
template <class Real>
void add_moments(CompiledPlan<Real>& plan, int element1, int element2, const Bundle& bundle);

/// Sorts the moments by element.
template <class Real>
void sort_moments(CompiledPlan<Real>& plan, int n_elements);

}  // namespace sitewise
