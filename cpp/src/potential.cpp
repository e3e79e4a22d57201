#include "sitewise/potential.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "parallel.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

// Atoms of one element go through the network together, as one matrix product a layer.
constexpr std::size_t block_size = 32;

struct AtomBlock {
    int element;
    std::vector<std::size_t> atoms;
};

std::vector<AtomBlock> make_blocks(std::size_t centers, const int* species, int n_elements) {
    std::vector<AtomBlock> done, open(n_elements);
    for (int e = 0; e < n_elements; ++e) open[e].element = e;
    for (std::size_t i = 0; i < centers; ++i) {
        AtomBlock& block = open[species[i]];
        block.atoms.push_back(i);
        if (block.atoms.size() < block_size) continue;
        done.push_back(block);
        block.atoms.clear();
    }
    for (AtomBlock& block : open)
        if (!block.atoms.empty()) done.push_back(std::move(block));
    return done;
}

void check_species(const int* species, std::size_t n_atoms, int n_elements) {
    for (std::size_t i = 0; i < n_atoms; ++i)
        if (species[i] < 0 || species[i] >= n_elements)
            throw Error("atom " + std::to_string(i) + " has element index " + std::to_string(species[i]) +
                        ", the potential has " + std::to_string(n_elements) + " elements");
}

// What one thread adds up; threads are summed in their order, so a number of threads gives one result.
struct Partial {
    std::vector<double> forces;
    double virial[9] = {};
};

struct Scratch {
    std::vector<Environment> environments{block_size};
    std::vector<double> x, energies, dedx, gradient;
    Network::Workspace network;
};

}  // namespace

Potential::Potential(std::vector<std::string> elements,
                     SymmetryFunctions functions,
                     Scaling scaling,
                     std::vector<Network> networks,
                     std::vector<double> atom_energies,
                     Normalization normalization)
    : elements_(std::move(elements)),
      functions_(std::move(functions)),
      scaling_(std::move(scaling)),
      networks_(std::move(networks)),
      atom_energies_(std::move(atom_energies)),
      normalization_(normalization) {
    const std::size_t n = elements_.size();
    if (functions_.elements() != static_cast<int>(n) || networks_.size() != n || atom_energies_.size() != n ||
        scaling_.elements() != static_cast<int>(n))
        throw Error("potential: " + std::to_string(n) +
                    " elements need as many networks, atom energies and " +
                    "sets of functions and scaling data");
    for (std::size_t e = 0; e < n; ++e) {
        atomic_numbers_.push_back(atomic_number(elements_[e]));
        if (atomic_numbers_[e] == 0) throw Error("potential: " + elements_[e] + " is not a chemical element");
        if (e > 0 && atomic_numbers_[e] <= atomic_numbers_[e - 1])
            throw Error("potential: elements must be sorted by atomic number, found " + elements_[e] +
                        " after " + elements_[e - 1]);
        const std::size_t count = functions_.count(static_cast<int>(e));
        if (count == 0) throw Error("potential: element " + elements_[e] + " has no symmetry functions");
        if (networks_[e].nodes()[0] != static_cast<int>(count))
            throw Error("potential: the network of " + elements_[e] + " has " +
                        std::to_string(networks_[e].nodes()[0]) + " inputs, but there are " +
                        std::to_string(count) + " symmetry functions");
        if (scaling_.factor(static_cast<int>(e)).size() != count)
            throw Error("potential: scaling data of " + elements_[e] + " for " +
                        std::to_string(scaling_.factor(static_cast<int>(e)).size()) +
                        " functions, expected " + std::to_string(count));
        if (!std::isfinite(atom_energies_[e]))
            throw Error("potential: the atom energy of " + elements_[e] + " is not finite");
    }
}

std::size_t Potential::n_weights() const {
    std::size_t n = 0;
    for (const Network& network : networks_) n += network.n_weights();
    return n;
}

std::vector<double> Potential::weights() const {
    std::vector<double> all;
    for (const Network& network : networks_)
        all.insert(all.end(), network.weights().begin(), network.weights().end());
    return all;
}

void Potential::set_weights(const double* weights) {
    for (Network& network : networks_) {
        const std::size_t n = network.n_weights();
        network.set_weights({weights, weights + n});
        weights += n;
    }
}

void Potential::compute(const NeighborView& neighbors,
                        const int* species,
                        std::size_t n_atoms,
                        Output out) const {
    const int n_elements = static_cast<int>(elements_.size());
    check_species(species, n_atoms, n_elements);
    const std::vector<AtomBlock> blocks = make_blocks(neighbors.centers, species, n_elements);
    const bool gradients = out.forces || out.virial;
    const std::size_t width = functions_.max_count();
    std::vector<double> energies(neighbors.centers);
    std::vector<Partial> partial(max_threads());
    FirstError error;

    const auto features = [&](const AtomBlock& block, Scratch& s) {
        const std::size_t n = functions_.count(block.element);
        for (std::size_t b = 0; b < block.atoms.size(); ++b) {
            const std::size_t i = block.atoms[b], first = neighbors.first[i];
            double* x = &s.x[b * n];
            functions_.load(block.element, neighbors.first[i + 1] - first, neighbors.index + first, species,
                            neighbors.vectors + 3 * first, s.environments[b]);
            functions_.evaluate(s.environments[b], x);
            if (out.extrapolations) out.extrapolations[i] = scaling_.extrapolations(block.element, x);
            scaling_.apply(block.element, x);
            if (!out.features) continue;
            double* row = std::copy_n(x, n, out.features + i * width);
            std::fill_n(row, width - n, std::numeric_limits<double>::quiet_NaN());
        }
    };
    const auto forces = [&](const AtomBlock& block, Scratch& s, Partial& sum) {
        const std::size_t n = functions_.count(block.element);
        const std::vector<double>& factor = scaling_.factor(block.element);
        for (std::size_t b = 0; b < block.atoms.size(); ++b) {
            const std::size_t i = block.atoms[b], first = neighbors.first[i],
                              m = neighbors.first[i + 1] - first;
            double* u = &s.dedx[b * n];
            for (std::size_t f = 0; f < n; ++f) u[f] *= factor[f] / normalization_.conv_energy;
            if (s.gradient.size() < 3 * m) s.gradient.resize(3 * m);
            functions_.vjp(s.environments[b], u, s.gradient.data());
            for (std::size_t k = 0; k < m; ++k) {
                const double *g = &s.gradient[3 * k], *r = neighbors.vectors + 3 * (first + k);
                double *fi = &sum.forces[3 * i],
                       *fj = &sum.forces[3 * static_cast<std::size_t>(neighbors.index[first + k])];
                for (int a = 0; a < 3; ++a) {
                    fi[a] += g[a];
                    fj[a] -= g[a];
                    for (int c = 0; c < 3; ++c) sum.virial[3 * a + c] += r[a] * g[c];
                }
            }
        }
    };

#pragma omp parallel
    {
        Scratch s;
        Partial& sum = partial[thread_index()];
        error.run([&] {
            s.x.resize(block_size * width);
            s.dedx.resize(block_size * width);
            s.energies.resize(block_size);
            if (gradients) sum.forces.assign(3 * n_atoms, 0.0);
        });
#pragma omp for schedule(static)
        for (std::size_t q = 0; q < blocks.size(); ++q)
            error.run([&] {
                const AtomBlock& block = blocks[q];
                features(block, s);
                networks_[block.element].evaluate(block.atoms.size(), s.x.data(), s.energies.data(),
                                                  gradients ? s.dedx.data() : nullptr, s.network);
                for (std::size_t b = 0; b < block.atoms.size(); ++b)
                    energies[block.atoms[b]] = s.energies[b] / normalization_.conv_energy +
                                               normalization_.mean_energy + atom_energies_[block.element];
                if (gradients) forces(block, s, sum);
            });
    }
    error.rethrow();

    for (std::size_t i = 0; i < neighbors.centers; ++i) {
        if (out.energies) out.energies[i] += energies[i];
        if (out.energy) *out.energy += energies[i];
    }
    for (const Partial& sum : partial) {
        if (out.forces)
            for (std::size_t i = 0; i < sum.forces.size(); ++i) out.forces[i] += sum.forces[i];
        if (out.virial)
            for (int a = 0; a < 9; ++a) out.virial[a] += sum.virial[a];
    }
}

void Potential::compute(const Atoms& atoms, Output out) const {
    const NeighborList list = build_neighbors(atoms, cutoff());
    compute(list.view(), atoms.species, atoms.size, out);
}

}  // namespace sitewise
