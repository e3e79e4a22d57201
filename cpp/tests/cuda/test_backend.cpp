// The whole CUDA backend against the processor's on small structures with two elements: neighbour lists, the
// three operators, potentials, lists with ghosts, many structures at once, and the loss with its gradient.
// "small" is a shorter run; 77 is returned where there is no device.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../check.hpp"
#include "backend.hpp"
#include "sitewise/error.hpp"

using namespace sitewise;

namespace {

std::mt19937 source(7);
double normal() {
    return std::normal_distribution<double>()(source);
}
std::vector<double> normals(std::size_t n) {
    std::vector<double> values(n);
    for (double& x : values) x = normal();
    return values;
}

// Contractions of moments: different shells, elements and sums over them
std::vector<SymmetryFunction> contractions(int center, bool small) {
    std::vector<SymmetryFunction> all;
    for (int type : small ? std::vector<int>{34} : std::vector<int>{33, 34, 35}) {
        SymmetryFunction f;
        f.type = type;
        f.center = center;
        f.neighbor1 = SymmetryFunction::all_by_number;
        f.neighbor2 = SymmetryFunction::all;
        f.neighbor3 = 0;
        f.neighbor4 = 1;
        f.eta = f.eta3 = 0.4;
        f.eta2 = 0.1;
        f.rs = f.rs3 = 1.5;
        f.power1 = 2.0;
        f.power2 = f.power3 = f.power4 = 1.0;
        f.cutoff = 3.9;
        all.push_back(f);
        f.neighbor1 = f.neighbor2 = 1;
        f.power1 = 1.0;
        all.push_back(f);
    }
    return all;
}

// Every kind of function for the centre; compact ones get a window.
std::vector<SymmetryFunction> functions(bool small) {
    std::vector<SymmetryFunction> all;
    const std::vector<int> types =
        small ? std::vector<int>{2, 3, 9} : std::vector<int>{2, 3, 9, 12, 13, 20, 21, 22, 23, 24, 25};
    for (int center : {0, 1}) {
        for (const SymmetryFunction& f : contractions(center, small)) all.push_back(f);
        for (int type : types)
            for (int shape = small ? 1 : 0; shape < (small ? 3 : 4); ++shape) {
                SymmetryFunction f;
                f.type = type;
                f.center = center;
                const bool weighted = f.is_weighted();
                f.neighbor1 = weighted ? -1 : shape % 2;
                f.neighbor2 = weighted || !f.is_angular() ? -1 : 1;
                f.eta = 0.05 * shape;
                f.rs = shape == 3 ? 0.4 : 0.0;
                f.lambda = shape % 2 ? 1.0 : -0.8;
                f.zeta = shape == 2 ? 2.5 : 1.0 + shape;
                f.cutoff = shape == 1 ? 3.4 : 3.9;
                f.left = shape == 1 ? 0.5 : -3.9;
                f.angle_left = 30.0;
                f.angle_right = 150.0;
                f.compact = shape == 3 ? CutoffType::exponential : CutoffType::poly2;
                f.asymmetric = shape == 2;
                all.push_back(f);
            }
    }
    return all;
}

// About the largest value of a function on these structures, so that no activation saturates
double range(const SymmetryFunction& f) {
    return f.type == 33 ? 1e4 : f.type == 34 ? 1e5 : f.type == 35 ? 1e6 : 2.0;
}

Potential potential(const std::vector<SymmetryFunction>& functions) {
    const SymmetryFunctions set(2, functions, {}, {8, 14}, Moments::always);
    std::vector<FeatureStatistics> statistics;
    std::vector<Network> networks;
    for (int e : {0, 1}) {
        const std::size_t n = set.count(e);
        std::vector<double> largest;
        for (const SymmetryFunction& f : set.functions(e)) largest.push_back(range(f));
        statistics.push_back(
            {std::vector<double>(n, 0.0), largest, std::vector<double>(n, 0.7), std::vector<double>(n, 0.5)});
        Network network({static_cast<int>(n), 6, 5, 1},
                        {Activation::tanh, Activation::softplus, Activation::linear});
        std::vector<double> weights = normals(network.n_weights());
        for (double& w : weights) w *= 0.1;
        network.set_weights(weights);
        networks.push_back(network);
    }
    return Potential({"O", "Si"}, set, Scaling(ScalingType::minmax, -1.0, 1.0, statistics), networks,
                     {-1.0, 0.5}, {true, 0.3, 2.0, 1.0});
}

// A structure and its labels, kept where Atoms points to
struct Sample {
    std::vector<int> species;
    std::vector<double> positions, forces, stress;
    Atoms atoms;

    Sample(std::vector<int> e,
           std::vector<double> r,
           std::array<std::array<double, 3>, 3> cell,
           std::array<bool, 3> periodic)
        : species(std::move(e)),
          positions(std::move(r)),
          forces(normals(positions.size())),
          stress(normals(6)) {
        atoms = {species.size(), species.data(), positions.data(), cell, periodic};
    }
    Sample(const Sample&) = delete;
};

// A skewed cell smaller than the cutoff, a slab, a chain far outside its cell, and a cluster
std::vector<std::unique_ptr<Sample>> samples(bool small) {
    std::vector<std::unique_ptr<Sample>> all;
    const auto add = [&](auto... parts) { all.push_back(std::make_unique<Sample>(parts...)); };
    add(std::vector<int>{1, 0, 1}, std::vector<double>{0, 0, 0, 1.9, 0.4, 0.2, 0.8, 1.8, 1.6},
        std::array<std::array<double, 3>, 3>{{{3.4, 0.2, 0}, {0.9, 3.1, 0.3}, {-0.5, 0.4, 3.3}}},
        std::array<bool, 3>{true, true, true});
    add(std::vector<int>{0, 1, 1, 0},
        std::vector<double>{0, 0, 0, 2.1, 0.1, 0, -0.2, 2.0, 0.4, 1.2, 1.1, 1.7},
        std::array<std::array<double, 3>, 3>{}, std::array<bool, 3>{});
    if (small) return all;
    add(std::vector<int>{1, 0, 1}, std::vector<double>{0, 0, 0, 1.4, 1.3, 1.5, 0.3, 1.9, 3.1},
        std::array<std::array<double, 3>, 3>{{{3.8, 0, 0}, {0.7, 4.2, 0}, {0, 0, 0}}},
        std::array<bool, 3>{true, true, false});
    add(std::vector<int>{1, 0}, std::vector<double>{-57.3, 0, 11.1, -28.6, 1.2, 0.4},
        std::array<std::array<double, 3>, 3>{{{0, 0, 0}, {0, 0, 0}, {0.2, 0, 2.6}}},
        std::array<bool, 3>{false, false, true});
    return all;
}

// The largest difference against the largest value; NaN where one of them is, unless it is in both.
double difference(const std::vector<double>& a, const std::vector<double>& b) {
    double most = a.size() == b.size() ? 0.0 : INFINITY, scale = 1e-3;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        if (std::isnan(a[i]) && std::isnan(b[i])) continue;
        const double d = std::fabs(a[i] - b[i]);
        most = d <= most ? most : d;
        scale = std::max(scale, std::fabs(b[i]));
    }
    return most / scale;
}
#define CHECK_EQUAL(a, b, tolerance) CHECK_CLOSE(difference(a, b), 0.0, tolerance)

void check_lists(Backend& backend, const Sample& s, double cutoff) {
    const NeighborList mine = backend.neighbors(s.atoms, cutoff), expected = build_neighbors(s.atoms, cutoff);
    CHECK(mine.first == expected.first);
    CHECK(mine.index == expected.index);
    CHECK(mine.shifts == expected.shifts);
    CHECK_EQUAL(mine.vectors, expected.vectors, 1e-13);
}

// The operators by the processor, one atom after the other
struct Expected {
    std::vector<double> G, gradient, strain, dG;
};
Expected operators(const SymmetryFunctions& f,
                   const Atoms& atoms,
                   const double* u,
                   const double* v,
                   const double* strain) {
    const std::size_t n = atoms.size, width = f.max_count();
    const NeighborList list = build_neighbors(atoms, f.cutoff());
    Expected x{std::vector<double>(n * width, NAN), std::vector<double>(3 * n), std::vector<double>(9),
               std::vector<double>(n * width, NAN)};
    Environment environment;
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t first = list.first[i], m = list.first[i + 1] - first;
        std::vector<double> g(3 * m), w(3 * m);
        f.load(atoms.species[i], m, &list.index[first], atoms.species, &list.vectors[3 * first], environment);
        f.evaluate(environment, &x.G[i * width]);
        f.vjp(environment, u + i * width, g.data());
        for (std::size_t k = 0; k < m; ++k)
            for (int a = 0; a < 3; ++a) {
                const double* r = &list.vectors[3 * (first + k)];
                const std::size_t j = list.index[first + k];
                x.gradient[3 * i + a] -= g[3 * k + a];
                x.gradient[3 * j + a] += g[3 * k + a];
                w[3 * k + a] = v[3 * j + a] - v[3 * i + a];
                for (int b = 0; b < 3; ++b) {
                    x.strain[3 * a + b] += g[3 * k + a] * r[b];
                    w[3 * k + a] += strain[3 * a + b] * r[b];
                }
            }
        f.jvp(environment, w.data(), &x.dG[i * width]);
    }
    return x;
}

void check_operators(Backend& backend, const SymmetryFunctions& f, const Sample& s) {
    const std::size_t n = s.atoms.size, width = f.max_count();
    const std::vector<double> u = normals(n * width), v = normals(3 * n), strain = normals(9);
    const Expected expected = operators(f, s.atoms, u.data(), v.data(), strain.data());
    Expected x = expected;
    backend.evaluate(f, s.atoms, x.G.data());
    backend.vjp(f, s.atoms, u.data(), x.gradient.data(), x.strain.data());
    backend.jvp(f, s.atoms, v.data(), strain.data(), x.dG.data());
    CHECK_EQUAL(x.G, expected.G, 1e-12);
    CHECK_EQUAL(x.gradient, expected.gradient, 1e-12);
    CHECK_EQUAL(x.strain, expected.strain, 1e-12);
    CHECK_EQUAL(x.dG, expected.dG, 1e-12);
}

struct Result {
    double energy = 0.0;
    std::vector<double> energies, forces, virial, virials, features;
    std::vector<int> outside;
    Potential::Output out(std::size_t centers, std::size_t atoms, std::size_t width) {
        energies.assign(centers, 0.0);
        forces.assign(3 * atoms, 0.0);
        virial.assign(9, 0.0);
        virials.assign(9 * atoms, 0.0);
        features.assign(centers * width, 0.0);
        outside.assign(centers, -1);
        return {&energy,        energies.data(), forces.data(), virial.data(),
                virials.data(), features.data(), outside.data()};
    }
};

void check_equal(const Result& a, const Result& b, double tolerance) {
    CHECK_EQUAL(std::vector<double>{a.energy}, std::vector<double>{b.energy}, tolerance);
    CHECK_EQUAL(a.energies, b.energies, tolerance);
    CHECK_EQUAL(a.forces, b.forces, tolerance);
    CHECK_EQUAL(a.virial, b.virial, tolerance);
    CHECK_EQUAL(a.virials, b.virials, tolerance);
    CHECK_EQUAL(a.features, b.features, tolerance);
    CHECK(a.outside == b.outside);
}

// All structures together, and each list given, with its images as ghosts
// against double precision on the processor
void check_potential(Potential p, const std::vector<std::unique_ptr<Sample>>& all, double tolerance) {
    Potential device = p;
    device.set_device(Device::cuda);
    p.set_precision(Precision::float64);
    const std::size_t width = p.functions().max_count();
    std::vector<Result> expected(all.size()), found(all.size());
    std::vector<Atoms> structures;
    std::vector<Potential::Output> out;
    for (std::size_t s = 0; s < all.size(); ++s) {
        const Atoms& atoms = all[s]->atoms;
        p.compute(atoms, expected[s].out(atoms.size, atoms.size, width));
        structures.push_back(atoms);
        out.push_back(found[s].out(atoms.size, atoms.size, width));
    }
    device.compute(structures, out);
    for (std::size_t s = 0; s < all.size(); ++s) check_equal(found[s], expected[s], tolerance);
    const Atoms& atoms = all.front()->atoms;
    NeighborList list = build_neighbors(atoms, p.cutoff());
    std::vector<int> species(atoms.species, atoms.species + atoms.size);
    for (std::size_t e = 0; e < list.index.size(); ++e)
        if (list.shifts[e] != std::array<int, 3>{}) {
            species.push_back(atoms.species[list.index[e]]);
            list.index[e] = static_cast<int>(species.size()) - 1;
        }
    Result a, b;
    p.compute(list.view(), species.data(), species.size(), a.out(atoms.size, species.size(), width));
    device.compute(list.view(), species.data(), species.size(), b.out(atoms.size, species.size(), width));
    check_equal(b, a, tolerance);
}

void check_loss(Potential p, const std::vector<std::unique_ptr<Sample>>& all, double tolerance) {
    TrainingSet set(p.functions(), 0);
    std::vector<std::size_t> chosen;
    for (std::size_t s = 0; s < all.size(); ++s) {
        const Sample& sample = *all[s];
        const bool periodic = sample.atoms.periodic[0] && sample.atoms.periodic[2];
        Labels labels{s == 1 ? NAN : normal(), s == 2 ? nullptr : sample.forces.data(),
                      periodic ? sample.stress.data() : nullptr};
        set.add(1, &sample.atoms, &labels);
        chosen.push_back(s);
    }
    const std::vector<double> weights(all.front()->atoms.size, 0.5);
    set.set_weights(0, 2.0, weights.data());
    for (const LossWeights w : {LossWeights{0.3, 2.0}, LossWeights{0.0, 0.0}}) {
        std::vector<double> expected(p.n_weights()), found(p.n_weights());
        p.set_device(Device::cpu);
        p.set_precision(Precision::float64);
        const Loss a = set.loss(p, chosen, w, expected.data());
        p.set_device(Device::cuda);
        for (int repeated = 0; repeated < 2; ++repeated) {
            if (tolerance > 1e-9) p.set_precision(Precision::float32);
            const Loss b = set.loss(p, chosen, w, found.data());
            CHECK_EQUAL((std::vector<double>{b.value, b.energy, b.force, b.stress}),
                        (std::vector<double>{a.value, a.energy, a.force, a.stress}), tolerance);
            CHECK_EQUAL(found, expected, tolerance);
        }
    }
}

// Rows of energies and forces, of few functions because each is differentiated on its own
void check_normal_matrix(const std::vector<std::unique_ptr<Sample>>& all, Precision precision) {
    std::vector<SymmetryFunction> radial;
    for (const SymmetryFunction& f : functions(true))
        if (f.type == 2) radial.push_back(f);
    Potential p = potential(radial);
    TrainingSet set(p.functions(), 0);
    const Labels unknown{NAN};
    for (const auto& s : all) set.add(1, &s->atoms, &unknown);
    const std::vector<double> scales{1e-3, 1.0, -2e-3, 1.3};  // forces are smaller than energies
    std::vector<double> expected(p.n_weights() * p.n_weights()), found(expected.size());
    set.normal_matrix(p, {1, 0}, {{4}, {8}}, scales.data(), expected.data());
    p.set_device(Device::cuda);
    p.set_precision(precision);
    set.normal_matrix(p, {1, 0}, {{4}, {8}}, scales.data(), found.data());
    CHECK_EQUAL(found, expected, precision == Precision::float64 ? 1e-12 : 1e-5);
}

void check_messages(const Potential& p) {
    Potential device = p;
    device.set_device(Device::cuda);
    Sample s({0, 1}, {0, 0, 0, 0, 0, 0}, {}, {});
    CHECK_THROWS(device.compute(s.atoms, {}), "atoms 0 and 1 are 0 Angstrom apart");
    s.positions[4] = NAN;
    CHECK_THROWS(device.compute(s.atoms, {}), "atom 1 has the coordinate nan");
    s.positions[4] = 2.0;
    device.compute(s.atoms, {});
    CHECK_THROWS(device.compute({s.atoms}, std::vector<Potential::Output>(2)), "2 outputs for 1 structures");
}

}  // namespace

int main(int argc, char** argv) {
    const bool small = argc > 1 && std::strcmp(argv[1], "small") == 0;
    std::shared_ptr<DeviceBackend> backend;
    try {
        backend = cuda_backend();
    } catch (const Error& error) {
        std::printf("skipped: %s\n", error.what());
        return 77;
    }
    const auto all = samples(small);
    Potential p = potential(functions(small));
    for (const auto& s : all) check_lists(*backend, *s, p.cutoff());
    for (const auto& s : all) check_operators(*backend, p.functions(), *s);
    check_potential(p, all, 1e-12);
    check_loss(p, all, 1e-12);
    check_normal_matrix(all, Precision::float64);
    check_normal_matrix(all, Precision::float32);
    p.set_precision(Precision::float32);
    check_potential(p, all, 1e-5);
    check_loss(p, all, 1e-5);
    if (!small) check_messages(p);
    return check::failures() == 0 ? 0 : 1;
}
