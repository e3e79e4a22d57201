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

/// The images of a cluster of atoms within `reach` of it, made ghosts as MD codes make them; the box is
/// periodic along all its vectors.
struct Ghosts {
    std::vector<double> positions;
    std::vector<int> species, owner;  // the atom of which each is an image
    Atoms atoms;

    Ghosts(const Atoms& of, double reach) {
        const auto add = [&](std::size_t i, int x, int y, int z) {
            double p[3];
            for (int c = 0; c < 3; ++c)
                p[c] = of.positions[3 * i + c] + x * of.cell[0][c] + y * of.cell[1][c] + z * of.cell[2][c];
            bool near = false;
            for (std::size_t j = 0; j < of.size; ++j) {
                double square = 0.0;
                for (int c = 0; c < 3; ++c)
                    square += (p[c] - of.positions[3 * j + c]) * (p[c] - of.positions[3 * j + c]);
                near |= square < reach * reach;
            }
            if (!near) return;
            positions.insert(positions.end(), p, p + 3);
            species.push_back(of.species[i]);
            owner.push_back(static_cast<int>(i));
        };
        for (std::size_t i = 0; i < of.size; ++i) add(i, 0, 0, 0);
        for (int n = 0; n < 125; ++n)
            for (std::size_t i = 0; n != 62 && i < of.size; ++i) add(i, n / 25 - 2, n / 5 % 5 - 2, n % 5 - 2);
        atoms = {species.size(), species.data(), positions.data(), {}, {}, species.size() - of.size};
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
