#pragma once

#include <cstddef>
#include <vector>

#include "sitewise/potential.hpp"

namespace sitewise {

struct TrainingData;

/// For each structure a row of its energy, then rows of components (3 atom + axis) of its forces
struct JacobianRows {
    const std::vector<std::size_t>& structures;
    const std::vector<std::vector<std::size_t>>& components;

    std::size_t of(std::size_t q) const { return 1 + components[q].size(); }
    std::size_t size() const {
        std::size_t n = 0;
        for (std::size_t q = 0; q < structures.size(); ++q) n += of(q);
        return n;
    }
};

/// TrainingSet::jacobian on the processor, with OpenMP over structures.
void compute_jacobian(const TrainingData& data,
                      const Potential& potential,
                      const JacobianRows& rows,
                      double* jacobian);

/// TrainingSet::normal_matrix on the processor.
void compute_normal_matrix(const TrainingData& data,
                           const Potential& potential,
                           const JacobianRows& rows,
                           const double* scales,
                           double* matrix);

}  // namespace sitewise
