#include "loss.hpp"

#include <algorithm>
#include <memory>

#include "labels.hpp"
#include "parallel.hpp"
#include "pass.hpp"
#include "training_data.hpp"

namespace sitewise {
namespace {

constexpr std::size_t most_groups = 64;

// Structures are collected until they have this many atoms, because networks evaluate blocks of atoms.
constexpr std::size_t atoms_together = 48;

// Adds the errors of a slot to the sum. Sets dL/d(prediction) in the slot, and overwrites its forces by it.
void add_errors(Slot& slot, double* forces, const LabelCounts& n, LossWeights weights, Loss& sum) {
    const Prepared& s = *slot.s;
    if (s.has_energy()) {
        const double N = static_cast<double>(s.size), de = (slot.energy - s.energy) / N;
        sum.energy += de * de / n.energies;
        sum.value += s.weight * de * de / n.energies;
        slot.a = 2.0 * s.weight * de / (N * n.energies);
    }
    for (std::size_t q = 0; slot.forces && q < s.forces.size(); ++q) {
        const double df = forces[q] - s.forces[q];
        const double w = s.force_weight(q / 3) * weights.force / n.force_components;
        sum.force += df * df / n.force_components;
        sum.value += w * df * df;
        forces[q] = 2.0 * w * df;
    }
    for (int q = 0; slot.stress && q < 6; ++q) {
        const double ds = slot.predicted_stress[q] - s.stress[q],
                     w = s.weight * weights.stress / n.stress_components;
        sum.stress += ds * ds / n.stress_components;
        sum.value += w * ds * ds;
        slot.sigma[q] = 2.0 * w * ds;
    }
}

}  // namespace

Loss compute_loss(const TrainingData& data,
                  const Potential& potential,
                  const std::vector<std::size_t>& structures,
                  LossWeights weights,
                  double* gradient) {
    const std::size_t n_weights = potential.n_weights();
    const LabelCounts counts = count_labels(data, structures);

    // The result does not depend on the threads, because groups are fixed and each is summed in order.
    const std::size_t groups = std::min(structures.size(), most_groups);
    std::vector<Loss> part(groups);
    std::vector<std::vector<double>> gradients(groups);
    FirstError error;

    const auto finish = [&](Pass& pass, std::size_t group) {
        pass.predict();
        for (Slot& slot : pass.slots) add_errors(slot, pass.forces(slot), counts, weights, part[group]);
        if (gradient) pass.add_gradient(gradients[group].data());
        pass.clear();
    };

#pragma omp parallel num_threads(max_threads())
    {
        std::unique_ptr<Pass> pass;
        error.run([&] { pass = std::make_unique<Pass>(data.derivatives, potential); });
#pragma omp for schedule(dynamic)
        for (std::size_t group = 0; group < groups; ++group)
            error.run([&] {
                if (gradient) gradients[group].assign(n_weights, 0.0);
                const std::size_t begin = group * structures.size() / groups;
                const std::size_t end = (group + 1) * structures.size() / groups;
                for (std::size_t q = begin; q < end; ++q) {
                    const Prepared& s = data.structures[structures[q]];
                    pass->add(data.structure(structures[q]),
                              s.force_components > 0 && (weights.force > 0.0 || !gradient),
                              !s.stress.empty() && (weights.stress > 0.0 || !gradient));
                    if (pass->size() >= atoms_together || q + 1 == end) finish(*pass, group);
                }
            });
    }
    error.rethrow();

    Loss total;
    if (gradient) std::fill_n(gradient, n_weights, 0.0);
    for (std::size_t group = 0; group < groups; ++group) {
        total.value += part[group].value;
        total.energy += part[group].energy;
        total.force += part[group].force;
        total.stress += part[group].stress;
        for (std::size_t w = 0; gradient && w < n_weights; ++w) gradient[w] += gradients[group][w];
    }
    return total;
}

}  // namespace sitewise
