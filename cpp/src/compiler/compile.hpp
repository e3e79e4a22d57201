#pragma once

#include <vector>

#include "compiler/compiled_plan.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise {

/// Compiles the functions of one central element, which are sorted and checked, into a plan for the kernels.
/// `moments` decides which angular functions become moments; the others become blocks. Atomic numbers are
/// needed only if a function is weighted.
template <class Real>
CompiledPlan<Real> compile(const std::vector<SymmetryFunction>& functions,
                           Cutoff cutoff,
                           int n_elements,
                           const std::vector<int>& atomic_numbers,
                           Moments moments);

}  // namespace sitewise
