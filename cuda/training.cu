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

namespace {

// What a structure takes on the device, about: derivatives of its functions, its rows, and the network's
// inputs of the atoms that contribute to each, with their changes.
std::size_t bytes_of(const Prepared& s, std::size_t rows, std::size_t functions, std::size_t n_weights) {
    const std::size_t near = s.index.size() / s.size + 1;
    return sizeof(double) *
           (functions * (3 * s.index.size() + 2 * (s.size + rows * near)) + rows * n_weights);
}

}  // namespace

template <class Real>
void Differentiator<Real>::each(const TrainingData& data,
                                const Potential& potential,
                                const JacobianRows& rows,
                                const double* scales,
                                const std::function<void(std::size_t, const double*)>& take) {
    const std::size_t n_weights = potential.n_weights();
    engine_.load(data.functions(), {&potential});
    for (std::size_t q = 0; q < rows.structures.size();) {
        std::vector<std::size_t> structures;
        std::vector<std::vector<std::size_t>> components;
        std::size_t count = 0, bytes = 0;
        for (; q < rows.structures.size(); ++q) {
            bytes += bytes_of(*data.structure(rows.structures[q]), rows.of(q), engine_.width(), n_weights);
            if (count > 0 && bytes > bytes_) break;
            structures.push_back(rows.structures[q]);
            components.push_back(rows.components[q]);
            count += rows.of(q);
        }
        const LabelledBatch batch = labelled_batch(data, structures);
        engine_.load(batch);
        engine_.evaluate();
        double* const on_device = rows_.reserve(count * n_weights);
        engine_.jacobian(
            contributions(batch, data.functions().elements(), components, {scales, scales + count}),
            on_device);
        take(count, on_device);
        scales += count;
    }
}

template <class Real>
void Differentiator<Real>::jacobian(const TrainingData& data,
                                    const Potential& potential,
                                    const JacobianRows& rows,
                                    double* jacobian) {
    const std::vector<double> ones(rows.size(), 1.0);
    each(data, potential, rows, ones.data(), [&](std::size_t count, const double* on_device) {
        const std::vector<double> values = download(on_device, count * potential.n_weights(), stream_);
        jacobian = std::copy(values.begin(), values.end(), jacobian);
    });
}

template <class Real>
void Differentiator<Real>::normal_matrix(const TrainingData& data,
                                         const Potential& potential,
                                         const JacobianRows& rows,
                                         const double* scales,
                                         double* matrix) {
    const std::size_t n = potential.n_weights();
    double* const product = matrix_.clear(n * n, stream_);
    each(data, potential, rows, scales, [&](std::size_t count, const double* on_device) {
        launch_normal_matrix(static_cast<int>(count), static_cast<int>(n), on_device, product, stream_);
    });
    const std::vector<double> values = download(product, n * n, stream_);
    std::copy(values.begin(), values.end(), matrix);
}

template class Trainer<float>;
template class Trainer<double>;
template class Differentiator<float>;
template class Differentiator<double>;

}  // namespace sitewise::cuda
