#include <algorithm>

#include "labels.hpp"
#include "training.cuh"
#include "training_data.hpp"

namespace sitewise::cuda {

template <class Real>
void Trainer<Real>::load(const LabelledBatch& batch) {
    engine_.load(batch);
    engine_.evaluate();
    labels_ = {};
    labels_.structures = engine_.structures();
    labels_.atoms = engine_.atoms();
    labels_.first_atom = engine_.first_atom_on_device();
    labels_.n_energies = batch.counts.energies;
    labels_.n_forces = batch.counts.force_components;
    labels_.n_stresses = batch.counts.stress_components;
    packet_.pack(
        [&](Packet& p) {
            labels_.volumes = p.add(batch.volume);
            labels_.energy = p.add(batch.energy);
            labels_.force = p.add(batch.forces);
            labels_.stress = p.add(batch.stress);
            labels_.weight = p.add(batch.weight);
            labels_.force_weight = p.add(batch.force_weights);
        },
        stream_);
}

template <class Real>
Loss Trainer<Real>::loss(const TrainingData& data,
                         const Potential& potential,
                         const std::vector<std::size_t>& structures,
                         LossWeights weights,
                         double* gradient) {
    engine_.load(data.functions(), {&potential});
    std::vector<std::uint64_t> key(structures.begin(), structures.end());
    key.push_back(data.state);
    if (key != key_) {
        key_.clear();
        load(labelled_batch(data, structures));
        key_ = key;
    }
    const std::size_t count = labels_.structures, atoms = labels_.atoms, n = potential.n_weights();
    LossInput input = labels_;
    if (gradient && weights.force == 0.0) input.n_forces = 0;
    if (gradient && weights.stress == 0.0) input.n_stresses = 0;
    const bool derivatives = input.n_forces > 0 || input.n_stresses > 0;
    Results results = engine_.reserve(true);
    engine_.networks(derivatives, results.energies);
    if (derivatives)
        engine_.vjp(results);
    else
        check(cudaMemsetAsync(results.forces, 0, (12 * atoms + 9 * count) * sizeof(double), stream_));
    double* energies = energies_.reserve(count);
    launch_sums(labels_.structures, labels_.first_atom, 1, results.energies, energies, stream_);
    input.energies = energies;
    input.forces = results.forces;
    input.virials = results.virial;
    input.weights = weights;
    double* a = errors_.reserve(10 * count + 3 * atoms + 4);
    double *strain = a + count, *v = strain + 9 * count, *value = v + 3 * atoms;
    launch_loss(input, a, v, strain, value, scratch_.reserve(loss_scratch(input)), stream_);
    const std::vector<double> parts = download(value, 4, stream_);
    if (gradient) {
        double* on_device = gradient_.clear(n, stream_);
        if (derivatives) engine_.jvp(v, strain);
        engine_.weight_gradient(a, derivatives, on_device);
        const std::vector<double> values = download(on_device, n, stream_);
        std::copy(values.begin(), values.end(), gradient);
    }
    return {parts[0], parts[1], parts[2], parts[3]};
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace sitewise::cuda
