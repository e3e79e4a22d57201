// Losses and their derivatives from kept and from recomputed dG/dr, on 1, 2 and 4 threads; the name of the
// instruction set may be given, and 77 is returned where the machine lacks it.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "check.hpp"
#include "samples.hpp"
#include "sitewise/training.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace sitewise;
using samples::Liquid;

namespace {

constexpr LossWeights weights{0.7, 3.0};

std::vector<double> random_numbers(std::size_t n) {
    std::normal_distribution<double> normal;
    std::vector<double> x(n);
    for (double& value : x) value = normal(samples::source);
    return x;
}

struct Sample {
    Liquid liquid;
    std::vector<double> forces, stress;
    Labels labels;

    Sample() : liquid(3, true), forces(random_numbers(3 * liquid.atoms.size)), stress(random_numbers(6)) {
        labels = {-10.0, forces.data(), stress.data()};
    }
};

TrainingSet training_set(const Potential& potential, std::size_t memory_budget) {
    std::vector<Sample> samples(5);
    std::vector<Atoms> atoms;
    std::vector<Labels> labels;
    for (const Sample& sample : samples) {
        atoms.push_back(sample.liquid.atoms);
        labels.push_back(sample.labels);
    }
    TrainingSet set(potential.functions(), memory_budget);
    set.add(samples.size(), atoms.data(), labels.data());
    CHECK((set.memory().cached > 0) == (memory_budget > 0));
    return set;
}

std::vector<std::size_t> all_of(const TrainingSet& set) {
    std::vector<std::size_t> structures(set.size());
    std::iota(structures.begin(), structures.end(), std::size_t(0));
    return structures;
}

double dot(const double* a, const std::vector<double>& b) {
    return std::inner_product(b.begin(), b.end(), a, 0.0);
}

// df at the weights of p along a direction, by five points
template <class F>
double along(Potential p, const std::vector<double>& direction, F f) {
    constexpr double h = 1e-4;
    const std::vector<double> w = p.weights();
    const auto at = [&](double step) {
        std::vector<double> moved(w);
        for (std::size_t i = 0; i < w.size(); ++i) moved[i] += step * direction[i];
        p.set_weights(moved.data());
        return f(p);
    };
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
}

void check_derivatives(const Potential& p, const TrainingSet& set) {
    const std::vector<std::size_t> structures = all_of(set);
    const std::vector<double> direction = random_numbers(p.n_weights());
    std::vector<double> gradient(p.n_weights());
    set.loss(p, structures, weights, gradient.data());
    const double slope = along(
        p, direction, [&](const Potential& q) { return set.loss(q, structures, weights, nullptr).value; });
    CHECK(std::fabs(dot(gradient.data(), direction) - slope) <= 1e-6 * std::fabs(slope));

    constexpr std::size_t component = 7;
    std::vector<double> rows(2 * p.n_weights()), forces(3 * set.atoms(1));
    set.jacobian(p, {1}, {{component}}, rows.data());
    const double energy =
        along(p, direction, [&](const Potential& q) { return set.predict(q, 1, nullptr, nullptr); });
    const double force = along(p, direction, [&](const Potential& q) {
        set.predict(q, 1, forces.data(), nullptr);
        return forces[component];
    });
    CHECK(std::fabs(dot(rows.data(), direction) - energy) <= 1e-6 * std::fabs(energy));
    CHECK(std::fabs(dot(&rows[p.n_weights()], direction) - force) <= 1e-6 * std::fabs(force));
}

// The same bits, whatever the number of threads
void check_threads(const Potential& p, std::size_t memory_budget) {
    std::vector<double> expected;
    for (int threads : {1, 2, 4}) {
#ifdef _OPENMP
        omp_set_num_threads(threads);
#endif
        samples::source.seed(5);
        const TrainingSet set = training_set(p, memory_budget);
        std::vector<double> gradient(p.n_weights());
        gradient.push_back(set.loss(p, all_of(set), weights, gradient.data()).value);
        if (expected.empty()) expected = gradient;
        CHECK(gradient == expected);
    }
}

// Atoms without neighbours train, a structure without atoms is no structure.
void check_isolated_atoms(const Potential& p, std::size_t memory_budget) {
    const int species[3] = {0, 1, 0};
    const double positions[9] = {0, 0, 0, 0, 0, 50, 0, 50, 0}, forces[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    Atoms apart;
    apart.size = 3;
    apart.species = species;
    apart.positions = positions;
    const Labels labels{-3.0, forces, nullptr};
    TrainingSet set(p.functions(), memory_budget);
    set.add(0, nullptr, nullptr);
    set.add(1, &apart, &labels);
    std::vector<double> gradient(p.n_weights()), rows(3 * p.n_weights(), 1.0), predicted(9, 1.0);
    CHECK_CLOSE(set.loss(p, {0}, weights, gradient.data()).force, 1.0 / 3.0, 1e-15);
    set.jacobian(p, {0}, {{0, 8}}, rows.data());
    for (std::size_t w = p.n_weights(); w < rows.size(); ++w) CHECK(rows[w] == 0.0);
    CHECK(std::isfinite(set.predict(p, 0, predicted.data(), nullptr)) && predicted[8] == 0.0);
    CHECK(set.loss(p, {}, weights, gradient.data()).value == 0.0);
    const Atoms none;
    CHECK_THROWS(set.add(1, &none, &labels), "no atoms");
    CHECK(set.size() == 1);
}

}  // namespace

int main(int argc, char** argv) {
    if (!samples::choose_instruction_set(argc, argv)) return samples::skipped;
    const Potential p = samples::potential();
    for (std::size_t memory_budget : {std::size_t(0), std::size_t(1) << 30}) {
        check_derivatives(p, training_set(p, memory_budget));
        check_threads(p, memory_budget);
        check_isolated_atoms(p, memory_budget);
    }
    return check::failures() == 0 ? 0 : 1;
}
