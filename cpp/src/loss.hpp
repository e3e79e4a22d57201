#pragma once

#include <cstddef>
#include <vector>

#include "sitewise/training.hpp"

namespace sitewise {

/// TrainingSet::loss on the processor, with OpenMP over groups of structures.
Loss compute_loss(const TrainingData& data,
                  const Potential& potential,
                  const std::vector<std::size_t>& structures,
                  LossWeights weights,
                  double* gradient);

}  // namespace sitewise
