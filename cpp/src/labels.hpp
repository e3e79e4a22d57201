#pragma once

#include <cstddef>
#include <vector>

namespace sitewise {

struct TrainingData;

/// The numbers of labels over which the loss is averaged.
struct LabelCounts {
    double energies = 0, force_components = 0, stress_components = 0;
};
LabelCounts count_labels(const TrainingData& data, const std::vector<std::size_t>& structures);

/// Structures with labels, concatenated, for the loss on a device.
struct LabelledBatch {
    std::vector<int> species, first_atom;                // [atoms], [structures + 1]
    std::vector<int> first, index;                       // neighbour list, [atoms + 1], [entries]
    std::vector<double> vectors;                         // [entries][3]
    std::vector<double> volume, energy, stress, weight;  // [structures], stress [structures][6]; NaN: unknown
    std::vector<double> forces, force_weights;           // [atoms][3], [atoms]
    LabelCounts counts;
};
LabelledBatch labelled_batch(const TrainingData& data, const std::vector<std::size_t>& structures);

}  // namespace sitewise
