#pragma once

// Compiles angular functions that need the loop over pairs of neighbours.

#include <vector>

#include "compiler/compiled_plan.hpp"

namespace sitewise {

/// Adds the block of a pair of elements, with its arrays. The plan must have the shells of the bundles
/// already.
template <class Real>
void add_block(CompiledPlan<Real>& plan, int element1, int element2, std::vector<Bundle> bundles);

}  // namespace sitewise
