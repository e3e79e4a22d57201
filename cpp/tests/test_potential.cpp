// Whole steps in both precisions on 1, 2 and 4 threads, with lists that are built and that are kept; the name
// of the instruction set may be given, and 77 is returned where the machine lacks it.

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.hpp"
#include "samples.hpp"
#include "sitewise/ensemble.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace sitewise;
using samples::Liquid;
using samples::potential;

namespace {

struct Result {
    double energy = 0.0;
    std::vector<double> energies, forces, virial;
    double difference(const Result& other) const {
        double most = std::fabs(energy - other.energy);
        for (std::size_t i = 0; i < forces.size(); ++i)
            most = std::max(most, std::fabs(forces[i] - other.forces[i]));
        for (std::size_t i = 0; i < 9; ++i) most = std::max(most, std::fabs(virial[i] - other.virial[i]));
        for (std::size_t i = 0; i < energies.size(); ++i)
            most = std::max(most, std::fabs(energies[i] - other.energies[i]));
        return std::isfinite(energy) ? most : INFINITY;
    }
};

Result compute(const Potential& potential, const Atoms& atoms, VerletList* list) {
    Result r;
    r.energies.assign(atoms.size, 0.0);
    r.forces.assign(3 * atoms.size, 0.0);
    r.virial.assign(9, 0.0);
    Potential::Output out;
    out.energy = &r.energy;
    out.energies = r.energies.data();
    out.forces = r.forces.data();
    out.virial = r.virial.data();
    if (list)
        potential.compute(atoms, *list, out);
    else
        potential.compute(atoms, out);
    return r;
}

void check_threads_and_precisions() {
    Potential p = potential();
    const Liquid liquid(6);
    const Result expected = compute(p, liquid.atoms, nullptr);
    for (int threads : {1, 2, 4}) {
#ifdef _OPENMP
        omp_set_num_threads(threads);
#endif
        p.set_precision(Precision::float64);
        CHECK(compute(p, liquid.atoms, nullptr).difference(expected) < 1e-10);
        p.set_precision(Precision::float32);
        CHECK(compute(p, liquid.atoms, nullptr).difference(expected) < 1e-3);
    }
}

void check_kept_list() {
    const Potential p = potential();
    Liquid liquid(3);
    VerletList list(p.cutoff(), 0.6);
    std::normal_distribution<double> normal;
    for (int step = 0; step < 30; ++step) {
        for (double& x : liquid.positions) x += 0.03 * normal(samples::source);
        const Result expected = compute(p, liquid.atoms, nullptr);
        CHECK(compute(p, liquid.atoms, &list).difference(expected) < 1e-10);
        double energy = 0.0;  // from the list's vectors
        Potential::Output out;
        out.energy = &energy;
        p.compute(list.update(liquid.atoms), liquid.species.data(), liquid.atoms.size, out);
        CHECK_CLOSE(energy, expected.energy, 1e-10);
    }
    CHECK(list.builds() > 1 && list.builds() < 20);
    VerletList shorter(0.9 * p.cutoff(), 0.6);
    CHECK_THROWS(compute(p, liquid.atoms, &shorter), "the potential's is");
}

// Images made as ghosts by the caller, with and without a kept list, in place of a periodic cell
void check_ghosts() {
    const Potential p = potential();
    Liquid liquid(3, true);
    VerletList list(p.cutoff(), 0.6);
    std::normal_distribution<double> normal;
    for (int step = 0; step < 10; ++step) {
        for (double& x : liquid.positions) x += 0.03 * normal(samples::source);
        const Result expected = compute(p, liquid.atoms, nullptr);
        const samples::Ghosts ghosts(liquid.atoms, p.cutoff() + 0.6);
        for (VerletList* kept : {&list, static_cast<VerletList*>(nullptr)}) {
            Result found = compute(p, ghosts.atoms, kept);
            for (std::size_t k = liquid.atoms.size; k < ghosts.atoms.size; ++k) {
                CHECK(found.energies[k] == 0.0);
                for (int a = 0; a < 3; ++a) found.forces[3 * ghosts.owner[k] + a] += found.forces[3 * k + a];
            }
            found.forces.resize(expected.forces.size());
            found.energies.resize(expected.energies.size());
            CHECK(found.difference(expected) < 1e-12 * ghosts.atoms.size);
        }
        CHECK(build_neighbors(ghosts.atoms, 3.0).centers() == liquid.atoms.size);
        std::vector<Potential::Output> out(1);
        CHECK_THROWS(p.compute({ghosts.atoms}, out), "ghost atoms, expected none");
    }
    CHECK(list.builds() > 0);
}

// Atoms that meet without a new list
void check_overlap() {
    const Potential p = potential();
    Liquid liquid(2);
    VerletList list(p.cutoff(), 0.6);
    double *a = &liquid.positions[0], *b = &liquid.positions[3];
    for (int c = 0; c < 3; ++c) b[c] = a[c] + 0.1;
    compute(p, liquid.atoms, &list);
    std::copy_n(a, 3, b);
    CHECK_THROWS(compute(p, liquid.atoms, &list), "atoms 0 and 1 are 0 Angstrom apart");
    CHECK(list.builds() == 1);
}

// Means and spreads against the members one by one
void check_ensemble() {
    const std::vector<Potential> members = {potential(), potential(), potential()};
    const Ensemble ensemble(members);
    const Liquid liquid(3);
    const std::size_t n = liquid.atoms.size;
    std::vector<double> energies(n), forces(3 * n), spreads(n), of_members(members.size());
    Ensemble::Output out;
    out.energies = energies.data();
    out.forces = forces.data();
    out.energies_spread = spreads.data();
    out.member_energies = of_members.data();
    ensemble.compute(liquid.atoms, out);
    std::vector<Result> results;
    for (const Potential& member : members) results.push_back(compute(member, liquid.atoms, nullptr));
    for (std::size_t m = 0; m < members.size(); ++m) CHECK_CLOSE(of_members[m], results[m].energy, 1e-10);
    for (std::size_t i = 0; i < 3 * n; ++i) {
        double mean = 0.0;
        for (const Result& r : results) mean += r.forces[i] / results.size();
        CHECK_CLOSE(forces[i], mean, 1e-10);
    }
    for (std::size_t i = 0; i < n; ++i)
        CHECK_CLOSE(spreads[i],
                    spread({results[0].energies[i], results[1].energies[i], results[2].energies[i]}), 1e-10);
    CHECK_CLOSE(spread({1.0, 2.0, 4.0}), std::sqrt(7.0 / 3.0), 1e-15);
    CHECK(std::isnan(spread({1.0})));
    CHECK_THROWS(Ensemble({}), "at least one potential");
    CHECK_THROWS(Ensemble({potential(), potential({CutoffType::tanh, 0.0})}),
                 "potential 1 of the ensemble has other elements or functions");
}

// Error bars against differences of energies as the weights move along shift and draws
void check_bars() {
    Potential p = potential();
    const Liquid liquid(3);
    const std::size_t n = liquid.atoms.size;
    std::normal_distribution<double> normal;
    Posterior posterior;
    posterior.weights = p.weights();
    posterior.draws.resize(3);
    for (auto* deviation : {&posterior.shift, &posterior.draws[0], &posterior.draws[1], &posterior.draws[2]})
        for (std::size_t w = 0; w < p.n_weights(); ++w) deviation->push_back(0.1 * normal(samples::source));
    std::vector<double> bars(n), expected(n), parts(3);
    Potential::Output out;
    out.energies_bar = bars.data();
    out.energy_bar_parts = parts.data();
    CHECK_THROWS(p.compute(liquid.atoms, out), "need a posterior");
    CHECK_THROWS(p.set_posterior(posterior, 4), "has 3 draws, asked for are 4");
    p.set_posterior(posterior, 2);
    CHECK(p.bar_parts() == 3);
    p.compute(liquid.atoms, out);
    const auto moved = [&](const std::vector<double>& deviation, double h) {
        std::vector<double> weights = posterior.weights;
        for (std::size_t w = 0; w < weights.size(); ++w) weights[w] += h * deviation[w];
        Potential q = p;
        q.set_weights(weights.data());
        return compute(q, liquid.atoms, nullptr);
    };
    constexpr double h = 1e-5;
    for (int part = 0; part < 3; ++part) {
        const auto& deviation = part == 0 ? posterior.shift : posterior.draws[part - 1];
        const double scale = part == 0 ? 1.0 : std::sqrt(0.5);
        const Result up = moved(deviation, h), down = moved(deviation, -h);
        CHECK_CLOSE(parts[part], scale * (up.energy - down.energy) / (2 * h), 1e-6);
        for (std::size_t i = 0; i < n; ++i)
            expected[i] += std::pow(scale * (up.energies[i] - down.energies[i]) / (2 * h), 2);
    }
    for (std::size_t i = 0; i < n; ++i) CHECK_CLOSE(bars[i], std::sqrt(expected[i]), 1e-6);
    p.set_weights(posterior.weights.data());
    CHECK(p.bar_parts() == 0);
    CHECK_THROWS(Ensemble({p, p}).compute(liquid.atoms, {out}), "an ensemble has no error bars");
}

// A rank of a parallel program may own no atom, and an atom may have no neighbour.
void check_nothing() {
    const Potential p = potential();
    const Ensemble ensemble({p, potential()});
    const int species[2] = {0, 1};
    const std::size_t first[1] = {0};
    Atoms none, apart;
    const double positions[6] = {0, 0, 0, 0, 0, 50};
    apart.size = 2;
    apart.species = species;
    apart.positions = positions;
    std::vector<double> energies(2), forces(6), virials(18), spreads(2);
    double energy = 0.0;
    Ensemble::Output out;
    out.energy = &energy;
    out.forces = forces.data();
    out.virials = virials.data();
    out.energies_spread = spreads.data();
    VerletList list(p.cutoff(), 0.5);
    for (int repeat = 0; repeat < 2; ++repeat) {
        p.compute(list.update(none), nullptr, 0, out);
        p.compute(none, out);
        p.compute(none, list, out);
        ensemble.compute(none, out);
        ensemble.compute(none, list, out);
        p.compute(NeighborView{0, first, nullptr, nullptr}, species, 2, out);
        ensemble.compute(NeighborView{0, first, nullptr, nullptr}, species, 2, out);
    }
    CHECK(energy == 0.0);
    out.energies = energies.data();
    p.compute(apart, out);
    p.compute(list.update(apart), species, 2, out);
    CHECK_CLOSE(energy, energies[0] + energies[1], 1e-12);
    CHECK(energy != 0.0);
    for (double f : forces) CHECK(f == 0.0);
    CHECK(spreads[0] == 0.0);
    ensemble.compute(apart, out);
    CHECK(spreads[0] > 0.0);
    p.compute(std::vector<Atoms>{}, {});
    p.compute(std::vector<Atoms>{none, apart, none}, std::vector<Potential::Output>(3, out));
}

}  // namespace

int main(int argc, char** argv) {
    if (!samples::choose_instruction_set(argc, argv)) return samples::skipped;
    check_threads_and_precisions();
    check_kept_list();
    check_ghosts();
    check_overlap();
    check_ensemble();
    check_bars();
    check_nothing();
    return check::failures() == 0 ? 0 : 1;
}
