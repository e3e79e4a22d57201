#include "labels.hpp"

#include <limits>

#include "training_data.hpp"

namespace sitewise {
namespace {

// n values, NaN if they are unknown
void append(const std::vector<double>& values, std::size_t n, std::vector<double>& all) {
    if (values.empty())
        all.insert(all.end(), n, std::numeric_limits<double>::quiet_NaN());
    else
        all.insert(all.end(), values.begin(), values.end());
}

void append(const Prepared& s, LabelledBatch& batch) {
    const int atoms = static_cast<int>(batch.species.size()), entries = static_cast<int>(batch.index.size());
    batch.species.insert(batch.species.end(), s.species.begin(), s.species.end());
    batch.first_atom.push_back(static_cast<int>(batch.species.size()));
    for (std::size_t i = 1; i < s.first.size(); ++i)
        batch.first.push_back(entries + static_cast<int>(s.first[i]));
    for (int j : s.index) batch.index.push_back(atoms + j);
    batch.vectors.insert(batch.vectors.end(), s.vectors.begin(), s.vectors.end());
    batch.volume.push_back(s.volume);
    batch.energy.push_back(s.energy);
    batch.weight.push_back(s.weight);
    append(s.stress, 6, batch.stress);
    append(s.forces, 3 * s.size, batch.forces);
    for (std::size_t i = 0; i < s.size; ++i) batch.force_weights.push_back(s.force_weight(i));
}

}  // namespace

LabelCounts count_labels(const TrainingData& data, const std::vector<std::size_t>& structures) {
    LabelCounts counts;
    for (std::size_t q : structures) {
        const Prepared& s = data.structures[q];
        counts.energies += s.has_energy();
        counts.force_components += static_cast<double>(s.force_components);
        counts.stress_components += static_cast<double>(s.stress.size());
    }
    return counts;
}

LabelledBatch labelled_batch(const TrainingData& data, const std::vector<std::size_t>& structures) {
    LabelledBatch batch;
    batch.first_atom = batch.first = {0};
    batch.counts = count_labels(data, structures);
    for (std::size_t q : structures) append(*data.structure(q), batch);
    return batch;
}

}  // namespace sitewise
