#include "sitewise/training.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "backend.hpp"
#include "jacobian.hpp"
#include "parallel.hpp"
#include "pass.hpp"
#include "sitewise/error.hpp"
#include "training_data.hpp"

namespace sitewise {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// Calls work(G) for each atom of an element in a structure.
template <class Work>
void for_each_row(const TrainingData& data, const Prepared& s, int element, Work work) {
    for (std::size_t b = s.begin[element]; b < s.begin[element + 1]; ++b)
        work(s.G.data() + s.order[b] * data.functions().max_count());
}

void add(const std::vector<double>& sum, std::vector<double>& total) {
    for (std::size_t f = 0; f < sum.size(); ++f) total[f] += sum[f];
}

// Sums over a structure are added up in the order of the structures, so that they have the same bits wherever
// the structures are. This takes two passes, because sums of squares would cancel for nearly constant
// functions.
FeatureStatistics statistics_of(const TrainingData& data,
                                const std::vector<std::size_t>& structures,
                                int element) {
    const std::size_t n = data.functions().count(element);
    FeatureStatistics r{std::vector<double>(n, HUGE_VAL), std::vector<double>(n, -HUGE_VAL),
                        std::vector<double>(n, 0.0), std::vector<double>(n, 0.0)};
    std::size_t atoms = 0;
    for (std::size_t q : structures) {
        std::vector<double> sum(n, 0.0);
        for_each_row(data, *data.structure(q), element, [&](const double* G) {
            ++atoms;
            for (std::size_t f = 0; f < n; ++f) {
                r.min[f] = std::min(r.min[f], G[f]);
                r.max[f] = std::max(r.max[f], G[f]);
                sum[f] += G[f];
            }
        });
        add(sum, r.mean);
    }
    if (atoms == 0)
        throw Error("no atom of element index " + std::to_string(element) + " in the structures given");
    for (double& mean : r.mean) mean /= static_cast<double>(atoms);
    for (std::size_t q : structures) {
        std::vector<double> sum(n, 0.0);
        for_each_row(data, *data.structure(q), element, [&](const double* G) {
            for (std::size_t f = 0; f < n; ++f) sum[f] += (G[f] - r.mean[f]) * (G[f] - r.mean[f]);
        });
        add(sum, r.sigma);
    }
    for (double& sigma : r.sigma) sigma = std::sqrt(sigma / static_cast<double>(atoms));
    return r;
}

}  // namespace

TrainingSet::TrainingSet(const SymmetryFunctions& functions,
                         std::size_t memory_budget,
                         const std::string& folder)
    : data_(std::make_unique<TrainingData>(functions, memory_budget, folder)) {}
TrainingSet::~TrainingSet() = default;
TrainingSet::TrainingSet(TrainingSet&&) noexcept = default;
TrainingSet& TrainingSet::operator=(TrainingSet&&) noexcept = default;

void TrainingSet::add(std::size_t count,
                      const Atoms* atoms,
                      const Labels* labels,
                      const Stored* stored,
                      std::size_t* failed) {
    TrainingData& d = *data_;
    const std::vector<Stored> nothing(stored ? 0 : count);
    if (!stored) stored = nothing.data();
    std::vector<Prepared> added(count);
    std::vector<std::exception_ptr> errors(count);
    const auto in_parallel = [&](auto work) {
#pragma omp parallel num_threads(max_threads())
        {
            AtomScratch scratch;
#pragma omp for schedule(dynamic)
            for (std::size_t q = 0; q < count; ++q) {
                try {
                    work(q, scratch);
                } catch (...) {
                    errors[q] = std::current_exception();
                }
            }
        }
        for (std::size_t q = 0; q < count; ++q) {
            if (!errors[q]) continue;
            if (failed) *failed = q;
            std::rethrow_exception(errors[q]);
        }
    };
    const double cutoff = d.functions().cutoff();
    in_parallel([&](std::size_t q, AtomScratch&) {
        added[q] = prepare(atoms[q], labels[q], d.functions().elements(), cutoff);
    });
    TrainingMemory memory = d.memory;
    for (std::size_t q = 0; q < count; ++q) {
        if (failed) *failed = q;
        d.derivatives.reserve(added[q], stored[q], d.budget, memory.used);
    }
    in_parallel(
        [&](std::size_t q, AtomScratch& scratch) { d.derivatives.fill(added[q], stored[q], scratch); });
    for (Prepared& s : added) {
        const std::size_t derivatives = s.cache_at[s.size] * sizeof(float), arrays = bytes_of_arrays(s);
        if (s.cache) memory.cached += derivatives;
        if (!s.has_derivatives()) memory.recomputed += derivatives;
        if (memory.used + arrays <= d.budget) {
            memory.used += arrays;
        } else {
            put_away(s, d.file);
            memory.spilled += arrays;
        }
    }
    d.memory = memory;
    std::move(added.begin(), added.end(), std::back_inserter(d.structures));
    d.state = TrainingData::new_state();
}

int TrainingSet::elements() const {
    return data_->functions().elements();
}
std::size_t TrainingSet::max_count() const {
    return data_->functions().max_count();
}
std::size_t TrainingSet::size() const {
    return data_->structures.size();
}
std::size_t TrainingSet::atoms(std::size_t structure) const {
    return data_->structures[structure].size;
}
const TrainingMemory& TrainingSet::memory() const {
    return data_->memory;
}

std::size_t TrainingSet::atoms() const {
    std::size_t n = 0;
    for (const Prepared& s : data_->structures) n += s.size;
    return n;
}

const std::vector<int>& TrainingSet::species(std::size_t structure) const {
    return data_->structures[structure].species;
}

std::vector<double> TrainingSet::features(std::size_t structure) const {
    return data_->structure(structure)->G;
}

std::vector<float> TrainingSet::derivatives(std::size_t structure) const {
    return Derivatives::all(*data_->structure(structure));
}

std::vector<FeatureStatistics> TrainingSet::statistics(const std::vector<std::size_t>& structures) const {
    std::vector<FeatureStatistics> result;
    for (int e = 0; e < elements(); ++e) result.push_back(statistics_of(*data_, structures, e));
    return result;
}

void TrainingSet::set_weights(std::size_t structure, double weight, const double* force_weights) {
    data_->state = TrainingData::new_state();
    Prepared& s = data_->structures[structure];
    s.weight = weight;
    s.force_weights.assign(s.size, weight);
    for (std::size_t i = 0; force_weights && i < s.size; ++i) s.force_weights[i] = weight * force_weights[i];
}

double TrainingSet::weight(std::size_t structure) const {
    return data_->structures[structure].weight;
}

std::vector<double> TrainingSet::force_weights(std::size_t structure) const {
    const Prepared& s = data_->structures[structure];
    return s.force_weights.empty() ? std::vector<double>(s.size, 1.0) : s.force_weights;
}

double TrainingSet::predict(const Potential& potential,
                            std::size_t structure,
                            double* forces,
                            double* stress) const {
    const Prepared& s = data_->structures[structure];
    Pass pass(data_->derivatives, potential);
    pass.add(data_->structure(structure), forces || stress, stress && s.volume > 0.0);
    pass.predict();
    const Slot& slot = pass.slots.front();
    if (forces) std::copy_n(pass.forces(slot), 3 * s.size, forces);
    for (int q = 0; stress && q < 6; ++q) stress[q] = s.volume > 0.0 ? slot.predicted_stress[q] : unknown;
    return slot.energy;
}

Loss TrainingSet::loss(const Potential& potential,
                       const std::vector<std::size_t>& structures,
                       LossWeights weights,
                       double* gradient) const {
    return BackendAccess::of(potential).loss(*data_, potential, structures, weights, gradient);
}

void TrainingSet::jacobian(const Potential& potential,
                           const std::vector<std::size_t>& structures,
                           const std::vector<std::vector<std::size_t>>& components,
                           double* rows) const {
    BackendAccess::of(potential).jacobian(*data_, potential, {structures, components}, rows);
}

void TrainingSet::normal_matrix(const Potential& potential,
                                const std::vector<std::size_t>& structures,
                                const std::vector<std::vector<std::size_t>>& components,
                                const double* scales,
                                double* matrix) const {
    BackendAccess::of(potential).normal_matrix(*data_, potential, {structures, components}, scales, matrix);
}

}  // namespace sitewise
