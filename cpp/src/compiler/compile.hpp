#pragma once

#include <vector>

#include "compiler/compiled_plan.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise {

/// Compiles the functions of one central element, sorted and checked, into a plan of the kernels. Angular
/// functions become moments or blocks, whichever `moments` asks for. Atomic numbers may be left out where no
/// function is weighted.
template <class Real>
CompiledPlan<Real> compile(const std::vector<SymmetryFunction>& functions,
                           Cutoff cutoff,
                           int n_elements,
                           const std::vector<int>& atomic_numbers,
                           Moments moments);

}  // namespace sitewise
