// The loss of batches of structures and its gradient on the device: against a TrainingSet on the processor,
// against differences, and in several orders of threads.
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "../check.hpp"
#include "device.hpp"
#include "sitewise/training.hpp"
#include "training.cuh"
#include "training_data.hpp"

using namespace sitewise;
using device::difference;
using device::Numbers;
using device::random_numbers;

namespace {

constexpr double tolerance(Precision precision) {
    return precision == Precision::float64 ? 1e-12 : 1e-5;
}

/// Radial and angular functions of `elements` elements; the elements have networks of different shapes.
Potential make_potential(int elements) {
    std::vector<SymmetryFunction> functions;
    for (int center = 0; center < elements; ++center)
        for (int q = 0; q < 10 + 2 * center; ++q) {
            SymmetryFunction f;
            f.type = q % 3 == 0 ? 2 : (q % 3 == 1 ? 3 : 9);
            f.center = center;
            f.neighbor1 = q % elements;
            f.neighbor2 = f.type == 2 ? -1 : q / 2 % elements;
            f.eta = 0.01 + 0.02 * q;
            f.lambda = f.type == 2 ? 0.0 : (q % 2 ? 1.0 : -1.0);
            f.zeta = f.type == 2 ? 0.0 : 1.0 + q % 4;
            f.cutoff = 4.6;
            functions.push_back(f);
        }
    const SymmetryFunctions set(elements, functions, {});
    std::vector<FeatureStatistics> statistics;
    std::vector<Network> networks;
    const std::vector<std::string> names{"O", "Si", "Ti"};
    const Numbers shifts{-1.0, 0.5, 2.0};
    for (int e = 0; e < elements; ++e) {
        const std::size_t n = set.count(e);
        statistics.push_back({Numbers(n, 0.0), Numbers(n, 2.0), Numbers(n, 0.7), Numbers(n, 0.5)});
        Network network({static_cast<int>(n), 7 + 4 * e, 5, 1},
                        {Activation::tanh, Activation::softplus, Activation::linear}, e == 1);
        network.set_weights(random_numbers(network.n_weights(), 0.4));
        networks.push_back(network);
    }
    return Potential({names.begin(), names.begin() + elements}, set,
                     Scaling(ScalingType::minmax, -1.0, 1.0, statistics), networks,
                     {shifts.begin(), shifts.begin() + elements}, {true, 0.3, 2.0, 1.0});
}

/// A crystal or a cluster of the elements given, rattled, with random labels
struct Sample {
    std::vector<int> species;
    Numbers positions, forces, stress;
    Atoms atoms;
    Labels labels;
};

std::unique_ptr<Sample> make_sample(std::vector<int> species, bool periodic, bool energy, bool forces) {
    auto s = std::make_unique<Sample>();
    const int n = static_cast<int>(species.size());
    s->species = std::move(species);
    const Numbers rattle = random_numbers(3 * n, 0.1);
    const double length = 2.6;
    for (int i = 0; i < n; ++i)
        for (int a = 0; a < 3; ++a) {
            const int place = a == 0 ? i % 2 : (a == 1 ? i / 2 % 2 : i / 4);
            s->positions.push_back(length * place + rattle[3 * i + a]);
        }
    s->forces = random_numbers(3 * n, 1.0);
    s->stress = random_numbers(6, 0.1);
    s->atoms = {s->species.size(), s->species.data(), s->positions.data(), {}, {}};
    if (periodic) {
        s->atoms.periodic = {true, true, true};
        s->atoms.cell = {{{length * (n > 1 ? 2 : 1), 0.2, 0},
                          {0.3, length * (n > 2 ? 2 : 1), 0.1},
                          {0, -0.2, length * ((n + 3) / 4)}}};
    }
    s->labels = {energy ? random_numbers(1, 2.0)[0] : NAN, forces ? s->forces.data() : nullptr,
                 periodic ? s->stress.data() : nullptr};
    return s;
}

/// Structures with and without labels, of one atom to 12; the last has only atoms of element 0.
std::vector<std::unique_ptr<Sample>> make_samples(int elements) {
    std::vector<std::unique_ptr<Sample>> all;
    for (int q = 0; q < 9; ++q) {
        std::vector<int> species(q == 7 ? 12 : 1 + q);
        for (std::size_t i = 0; i < species.size(); ++i)
            species[i] = q == 8 ? 0 : static_cast<int>(i * 5 + q) % elements;
        all.push_back(make_sample(species, q % 3 != 1, q % 4 != 2, q % 5 != 3));
    }
    return all;
}

TrainingSet make_set(const Potential& p, const std::vector<std::unique_ptr<Sample>>& samples) {
    TrainingSet set(p.functions(), 0);  // without a cache, which is in single precision
    for (const auto& s : samples) set.add(1, &s->atoms, &s->labels);
    const Numbers weights = random_numbers(samples[4]->species.size(), 1.0);
    set.set_weights(4, 0.6, weights.data());
    return set;
}

struct Result {
    Numbers loss, gradient, matrix;
};

Result compute(const TrainingSet& set,
               Potential p,
               Device device,
               const std::vector<std::size_t>& structures,
               LossWeights weights,
               bool gradient = true) {
    p.set_device(device);
    if (device == Device::cpu) p.set_precision(Precision::float64);
    Result r;
    r.gradient.resize(gradient ? p.n_weights() : 0);
    const Loss loss = set.loss(p, structures, weights, gradient ? r.gradient.data() : nullptr);
    r.loss = {loss.value, loss.energy, loss.force, loss.stress};
    return r;
}

void compare(int elements, Precision precision) {
    Potential p = make_potential(elements);
    const auto samples = make_samples(elements);
    const TrainingSet set = make_set(p, samples);
    std::vector<std::size_t> all(samples.size());
    std::iota(all.begin(), all.end(), 0);
    p.set_precision(precision);
    const auto check = [&](const std::vector<std::size_t>& structures, LossWeights w, bool gradient) {
        const Result expected = compute(set, p, Device::cpu, structures, w, gradient),
                     found = compute(set, p, Device::cuda, structures, w, gradient);
        CHECK_CLOSE(difference(found.loss, expected.loss), 0.0, tolerance(precision));
        CHECK_CLOSE(difference(found.gradient, expected.gradient), 0.0, tolerance(precision));
    };
    check(all, {0.3, 20.0}, true);
    check(all, {0.3, 0.0}, true);
    check(all, {0.0, 0.0}, true);
    check(all, {0.0, 0.0}, false);
    check({8, 1, 5}, {0.3, 20.0}, true);  // another batch, in another order
    check({8}, {0.3, 20.0}, true);        // an element is missing
    check({1}, {0.3, 20.0}, true);        // two atoms, no stress
    check({}, {0.3, 20.0}, true);
    Numbers weights = p.weights();  // other weights for the batch that is on the device
    for (double& w : weights) w *= 0.9;
    p.set_weights(weights.data());
    check({1}, {0.3, 20.0}, true);
    check(all, {0.3, 20.0}, true);
}

// Rows of energies and forces, and their product, of all structures together and of one after the other
void compare_rows(int elements, Precision precision) {
    Potential p = make_potential(elements);
    const auto samples = make_samples(elements);
    const TrainingSet set = make_set(p, samples);
    const std::vector<std::size_t> structures{8, 5, 1, 2};
    const std::vector<std::vector<std::size_t>> components{{3, 26}, {17}, {}, {7}};
    const std::size_t n = p.n_weights(), count = 8;
    const Numbers scales = random_numbers(count, 1.0);
    Numbers rows(count * n), found_rows(count * n), matrix(n * n), found(n * n);
    set.jacobian(p, structures, components, rows.data());
    set.normal_matrix(p, structures, components, scales.data(), matrix.data());
    double product = 0.0;
    for (std::size_t r = 0; r < count; ++r)
        product += scales[r] * scales[r] * rows[r * n + 2] * rows[r * n + n - 1];
    CHECK_CLOSE(matrix[2 * n + n - 1], product, 1e-12 * std::fabs(matrix[n * n - 1]));
    p.set_device(Device::cuda);
    p.set_precision(precision);
    set.jacobian(p, structures, components, found_rows.data());
    set.normal_matrix(p, structures, components, scales.data(), found.data());
    CHECK_CLOSE(difference(found_rows, rows), 0.0, tolerance(precision));
    CHECK_CLOSE(difference(found, matrix), 0.0, tolerance(precision));
    if (precision == Precision::float32) return;
    TrainingData data(p.functions(), 0, "");
    for (const auto& s : samples)
        data.structures.push_back(prepare(s->atoms, s->labels, elements, p.cutoff()));
    cuda::Differentiator<double> one_by_one(nullptr, 1);
    one_by_one.normal_matrix(data, p, {structures, components}, scales.data(), found.data());
    CHECK_CLOSE(difference(found, matrix), 0.0, 1e-12);
}

void test_differences() {
    Potential p = make_potential(2);
    const auto samples = make_samples(2);
    const TrainingSet set = make_set(p, samples);
    const std::vector<std::size_t> structures{0, 3, 4, 5, 6};
    const LossWeights w{0.3, 20.0};
    const Numbers weights = p.weights(), direction = random_numbers(weights.size(), 1.0),
                  gradient = compute(set, p, Device::cuda, structures, w).gradient;
    const auto value = [&](double step) {
        Numbers moved = weights;
        for (std::size_t q = 0; q < moved.size(); ++q) moved[q] += step * direction[q];
        p.set_weights(moved.data());
        return compute(set, p, Device::cuda, structures, w, false).loss[0];
    };
    const double h = 1e-4,
                 slope = std::inner_product(gradient.begin(), gradient.end(), direction.begin(), 0.0);
    const double expected = (8.0 * (value(h) - value(-h)) - (value(2.0 * h) - value(-2.0 * h))) / (12.0 * h);
    CHECK_CLOSE(slope / expected, 1.0, 1e-8);
}

void test_orders() {
    const Potential p = make_potential(3);
    const auto samples = make_samples(3);
    const TrainingSet set = make_set(p, samples);
    const auto seed = hostexec::options().seed;
    Potential on_device = p;
    on_device.set_device(Device::cuda);
    const Numbers scales{0.3, 0.2, 0.5, 0.4};
    Result first;
    for (std::uint64_t order = 0; order < 4; ++order) {
        hostexec::options().seed = order;
        Result r = compute(set, p, Device::cuda, {7, 2, 0}, {0.3, 20.0});
        r.matrix.resize(p.n_weights() * p.n_weights());
        set.normal_matrix(on_device, {1, 2}, {{1}, {4}}, scales.data(), r.matrix.data());
        if (order == 0) first = r;
        CHECK(r.loss == first.loss && r.gradient == first.gradient && r.matrix == first.matrix);
    }
    hostexec::options().seed = seed;
}

}  // namespace

int main() {
    compare(1, Precision::float64);
    compare(3, Precision::float64);
    compare(2, Precision::float32);
    compare_rows(2, Precision::float64);
    compare_rows(1, Precision::float32);
    test_differences();
    test_orders();
    return check::failures() == 0 ? 0 : 1;
}
