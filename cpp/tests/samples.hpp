#pragma once

// A potential for two elements and structures for it, with random numbers.

#include <cstdlib>
#include <random>
#include <vector>

#include "sitewise/error.hpp"
#include "sitewise/potential.hpp"

namespace samples {

using namespace sitewise;

inline std::mt19937 source(11);

inline std::vector<SymmetryFunction> functions() {
    std::vector<SymmetryFunction> all;
    for (int center : {0, 1})
        for (int type : {2, 3, 9})
            for (int shape = 0; shape < 5; ++shape) {
                SymmetryFunction f;
                f.type = type;
                f.center = center;
                f.neighbor1 = shape % 2;
                f.neighbor2 = type == 2 ? -1 : 1;
                f.eta = 0.02 * (1 + shape);
                f.lambda = type == 2 ? 0.0 : shape % 2 ? 1.0 : -1.0;
                f.zeta = type == 2 ? 0.0 : 1.0 + shape;
                f.cutoff = 4.0;
                all.push_back(f);
            }
    return all;
}

inline Potential potential(Cutoff cutoff = {}) {
    const SymmetryFunctions set(2, functions(), cutoff);
    std::normal_distribution<double> normal;
    std::vector<FeatureStatistics> statistics;
    std::vector<Network> networks;
    for (int e : {0, 1}) {
        const std::size_t n = set.count(e);
        statistics.push_back({std::vector<double>(n, 0.0), std::vector<double>(n, 2.0),
                              std::vector<double>(n, 0.7), std::vector<double>(n, 0.5)});
        Network network({static_cast<int>(n), 9, 7, 1},
                        {Activation::tanh, Activation::softplus, Activation::linear});
        std::vector<double> weights(network.n_weights());
        for (double& w : weights) w = 0.3 * normal(source);
        network.set_weights(weights);
        networks.push_back(network);
    }
    const Scaling scaling(ScalingType::minmax, -1.0, 1.0, statistics);
    return Potential({"O", "Si"}, set, scaling, networks, {-1.0, 0.5});
}

/// edge^3 atoms, periodic in two directions or, of bulk, in three
struct Liquid {
    std::vector<double> positions;
    std::vector<int> species;
    Atoms atoms;

    explicit Liquid(int edge, bool bulk = false) {
        std::normal_distribution<double> normal;
        for (int i = 0; i < edge * edge * edge; ++i) {
            for (int cells : {i % edge, i / edge % edge, i / edge / edge})
                positions.push_back(2.3 * cells + 0.2 * normal(source));
            species.push_back(static_cast<int>(source() % 2));
        }
        atoms.size = species.size();
        atoms.species = species.data();
        atoms.positions = positions.data();
        atoms.periodic = {true, true, bulk};
        for (int a = 0; a < 3; ++a) atoms.cell[a][a] = 2.3 * edge;
        atoms.cell[1][0] = 0.7;
    }
};

/// Forces the instruction set that the command line names; false where the machine lacks it.
inline bool choose_instruction_set(int argc, char** argv) {
    if (argc > 1) setenv("SITEWISE_ISA", argv[1], 1);
    try {
        instruction_set();
    } catch (const Error&) {
        return false;
    }
    return true;
}

/// What ctest knows as skipped
constexpr int skipped = 77;

}  // namespace samples
