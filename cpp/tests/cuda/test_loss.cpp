// The loss of structures on the device against plain loops, its derivatives against differences.
#include <limits>

#include "../check.hpp"
#include "device.hpp"
#include "loss.cuh"

using namespace sitewise;
using device::difference;
using device::Numbers;
using device::random_numbers;
using device::Uploaded;

namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// Predictions and labels of structures, as for LossInput
struct Batch {
    std::vector<int> first{0};
    Numbers energies, forces, virials, volumes, energy, force, stress, weight, force_weight;
    double n_energies = 0, n_forces = 0, n_stresses = 0;
    LossWeights weights{0.7, 11.0};

    int structures() const { return static_cast<int>(first.size()) - 1; }
};

// Every third structure lacks its energy, every fourth its forces, and the odd ones their stress.
Batch make_batch(int structures, int atoms) {
    Batch b;
    for (int s = 0; s < structures; ++s) b.first.push_back(b.first.back() + 1 + (7 * s) % atoms);
    const std::size_t n = b.first.back();
    b.energies = random_numbers(structures, 3.0);
    b.energy = random_numbers(structures, 3.0);
    b.forces = random_numbers(3 * n, 1.0);
    b.force = random_numbers(3 * n, 1.0);
    b.virials = random_numbers(9 * structures, 20.0);
    b.stress = random_numbers(6 * structures, 1.0);
    b.volumes = random_numbers(structures, 1.0);
    b.weight = random_numbers(structures, 1.0);
    b.force_weight = random_numbers(n, 1.0);
    for (double& volume : b.volumes) volume = 20.0 + std::fabs(volume);
    for (int s = 0; s < structures; ++s) {
        if (s % 3 == 2) b.energy[s] = unknown;
        if (s % 4 == 1) std::fill(&b.force[3 * b.first[s]], &b.force[0] + 3 * b.first[s + 1], unknown);
        if (s % 2 == 1) {
            std::fill_n(&b.stress[6 * s], 6, unknown);
            b.volumes[s] = 0.0;
        }
        b.n_energies += s % 3 != 2;
        b.n_forces += s % 4 != 1 ? 3 * (b.first[s + 1] - b.first[s]) : 0;
        b.n_stresses += s % 2 != 1 ? 6 : 0;
    }
    return b;
}

struct Result {
    Numbers loss, a, v, strain;
};

Result on_device(const Batch& b) {
    const Uploaded<int> first(b.first);
    const Uploaded<double> energies(b.energies), forces(b.forces), virials(b.virials), volumes(b.volumes),
        energy(b.energy), force(b.force), stress(b.stress), weight(b.weight), force_weight(b.force_weight);
    const cuda::LossInput input{b.structures(), b.first.back(), first.data(),   energies.data(),
                                forces.data(),  virials.data(), volumes.data(), energy.data(),
                                force.data(),   stress.data(),  weight.data(),  force_weight.data(),
                                b.n_energies,   b.n_forces,     b.n_stresses,   b.weights};
    cuda::Buffer<double> loss, a, v, strain, scratch;
    cuda::launch_loss(input, a.reserve(b.energies.size()), v.reserve(b.forces.size()),
                      strain.reserve(b.virials.size()), loss.reserve(4),
                      scratch.reserve(cuda::loss_scratch(input)), nullptr);
    cuda::check(cudaGetLastError());
    return {cuda::download(loss.data(), 4, nullptr), cuda::download(a.data(), b.energies.size(), nullptr),
            cuda::download(v.data(), b.forces.size(), nullptr),
            cuda::download(strain.data(), b.virials.size(), nullptr)};
}

// The definition in sitewise/training.hpp, one label after the other
Numbers plain_loss(const Batch& b) {
    constexpr int row[6] = {0, 1, 2, 1, 0, 0}, column[6] = {0, 1, 2, 2, 2, 1};
    double value = 0.0, energy = 0.0, force = 0.0, stress = 0.0;
    const auto add = [&](double error, double weight, double labels, double& mean) {
        if (std::isnan(error) || labels == 0.0) return;
        mean += error * error / labels;
        value += weight * error * error / labels;
    };
    for (int s = 0; s < b.structures(); ++s) {
        const int atoms = b.first[s + 1] - b.first[s];
        add((b.energies[s] - b.energy[s]) / atoms, b.weight[s], b.n_energies, energy);
        for (int i = b.first[s]; i < b.first[s + 1]; ++i)
            for (int q = 3 * i; q < 3 * i + 3; ++q)
                add(b.forces[q] - b.force[q], b.force_weight[i] * b.weights.force, b.n_forces, force);
        for (int q = 0; q < 6; ++q) {
            const double sum =
                b.virials[9 * s + 3 * row[q] + column[q]] + b.virials[9 * s + 3 * column[q] + row[q]];
            add(0.5 * sum / b.volumes[s] - b.stress[6 * s + q], b.weight[s] * b.weights.stress, b.n_stresses,
                stress);
        }
    }
    return {value, energy, force, stress};
}

// The loss is quadratic in the predictions, so that central differences are exact but for rounding.
template <class Member>
Numbers slopes_of(const Batch& batch, Member member) {
    Batch b = batch;
    Numbers slopes;
    for (double& p : b.*member) {
        const double at = p, h = 0.5;
        p = at + h;
        const double above = plain_loss(b)[0];
        p = at - h;
        slopes.push_back((above - plain_loss(b)[0]) / (2.0 * h));
        p = at;
    }
    return slopes;
}

void compare(const Batch& b) {
    const Result r = on_device(b);
    CHECK_CLOSE(difference(r.loss, plain_loss(b)), 0.0, 1e-14);
    CHECK_CLOSE(difference(r.a, slopes_of(b, &Batch::energies)), 0.0, 1e-12);
    CHECK_CLOSE(difference(r.v, slopes_of(b, &Batch::forces)), 0.0, 1e-12);
    CHECK_CLOSE(difference(r.strain, slopes_of(b, &Batch::virials)), 0.0, 1e-12);
    const auto seed = hostexec::options().seed;
    for (std::uint64_t order = 0; order < 4; ++order) {
        hostexec::options().seed = order;
        const Result again = on_device(b);
        CHECK(again.loss == r.loss && again.a == r.a && again.v == r.v && again.strain == r.strain);
    }
    hostexec::options().seed = seed;
}

}  // namespace

int main() {
    Batch b = make_batch(41, 90);
    compare(b);
    b.n_forces = 0;
    compare(b);
    b.n_forces = 5;
    b.n_stresses = 0;
    compare(b);
    b.energies[0] = unknown;
    CHECK(std::isnan(on_device(b).loss[0]));
    return check::failures();
}
