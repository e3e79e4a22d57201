#include "sitewise/potential.hpp"

#include <cmath>
#include <string>
#include <utility>

#include "backend.hpp"
#include "checks.hpp"
#include "close_pairs.hpp"
#include "members.hpp"
#include "sitewise/error.hpp"
#include "step.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

void check(const Potential& potential, const int* species, std::size_t n_atoms) {
    check_species(species, n_atoms, static_cast<int>(potential.elements().size()), "the potential has");
}

void check_bars(const Members& members, const Potential::Output& out) {
    if (!out.energies_bar && !out.energy_bar_parts) return;
    if (members.size() > 1) throw Error("an ensemble has no error bars, only its spread");
    if (members.front()->bar_parts() == 0) throw Error("error bars need a posterior of the weights");
    if (members.front()->device() != Device::cpu) throw Error("error bars need device cpu");
}

// Adds the baseline to what a device has computed; the processor does so in its own step.
void add_baseline(const Members& members,
                  const NeighborView& list,
                  const int* species,
                  Potential::Output out,
                  double* energies,
                  std::size_t stride) {
    const Baseline& baseline = members.front()->baseline();
    if (baseline.empty() || members.front()->device() == Device::cpu) return;
    ClosePairs close;
    for (std::size_t i = 0; i < list.centers; ++i) {
        const double energy = close.find(baseline, species[i], species, row_of(list, i));
        if (close.empty()) continue;
        for (std::size_t m = 0; m < members.size(); ++m) energies[m * stride + i] += energy;
        if (out.energy) *out.energy += energy;
        if (out.energies) out.energies[i] += energy;
        const double* g = close.gradient.data();
        if (out.forces) scatter_forces(i, close.view(), g, out.forces);
        if (out.virial) add_virial(close.view(), g, out.virial);
        if (out.virials) scatter_virials(close.view(), g, out.virials);
    }
}

std::vector<double> compute_structures(const Members& members,
                                       const std::vector<Atoms>& structures,
                                       const std::vector<Potential::Output>& out) {
    std::vector<double> energies = BackendAccess::of(*members.front()).compute(members, structures, out);
    const Baseline& baseline = members.front()->baseline();
    if (baseline.empty() || members.front()->device() == Device::cpu) return energies;
    const std::size_t atoms = energies.size() / members.size();
    std::size_t first = 0;
    for (std::size_t s = 0; s < structures.size(); ++s) {
        const NeighborList list = build_neighbors(structures[s], baseline.cutoff());
        add_baseline(members, list.view(), structures[s].species, out[s], energies.data() + first, atoms);
        first += structures[s].size;
    }
    return energies;
}

}  // namespace

std::vector<double> compute_members(const Members& members,
                                    const NeighborView& neighbors,
                                    const int* species,
                                    std::size_t n_atoms,
                                    Potential::Output out) {
    check(*members.front(), species, n_atoms);
    check_bars(members, out);
    std::vector<double> energies =
        BackendAccess::of(*members.front()).compute(members, neighbors, species, n_atoms, out);
    add_baseline(members, neighbors, species, out, energies.data(), neighbors.centers);
    return energies;
}

std::vector<double> compute_members(const Members& members, const Atoms& atoms, Potential::Output out) {
    check(*members.front(), atoms.species, atoms.size);
    check_bars(members, out);
    if (atoms.ghosts > 0 && members.front()->device() != Device::cpu) {  // its search knows no ghosts
        const NeighborList list = build_neighbors(atoms, members.front()->cutoff());
        return compute_members(members, list.view(), atoms.species, atoms.size, out);
    }
    return compute_structures(members, {atoms}, {out});
}

std::vector<double> compute_members(const Members& members,
                                    const Atoms& atoms,
                                    VerletList& list,
                                    Potential::Output out) {
    if (list.cutoff() < members.front()->cutoff())
        throw Error("the neighbour list's cutoff is " + std::to_string(list.cutoff()) +
                    " Angstrom, the potential's is " + std::to_string(members.front()->cutoff()));
    if (members.front()->device() != Device::cpu)  // a device takes all vectors at once
        return compute_members(members, list.update(atoms), atoms.species, atoms.size, out);
    check(*members.front(), atoms.species, atoms.size);
    check_bars(members, out);
    const VerletRows rows(list, atoms);
    return compute_step(members, Neighbors(rows), atoms.species, atoms.size, out);
}

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
      normalization_(normalization),
      backend_(backend_on(Device::cpu)) {
    const std::size_t n = elements_.size();
    if (functions_.elements() != static_cast<int>(n) || networks_.size() != n || atom_energies_.size() != n ||
        scaling_.elements() != static_cast<int>(n))
        throw Error("potential: " + std::to_string(n) +
                    " elements need as many networks, atom energies and " +
                    "sets of functions and scaling data");
    for (std::size_t e = 0; e < n; ++e) {
        atomic_numbers_.push_back(atomic_number(elements_[e]));
        if (atomic_numbers_[e] == 0)
            throw Error("potential: " + shown(elements_[e]) + " is not a chemical element");
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

void Potential::set_baseline(Baseline baseline) {
    if (!baseline.empty() && baseline.atomic_numbers() != atomic_numbers_)
        throw Error("the baseline is for other elements than the potential");
    if (baseline.cutoff() > cutoff())
        throw Error("the baseline reaches " + exact(baseline.cutoff()) + " Angstrom, expected at most the " +
                    exact(cutoff()) + " of the symmetry functions");
    baseline_ = std::move(baseline);
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
    bar_parts_ = 0;
    for (Network& network : networks_) {
        const std::size_t n = network.n_weights();
        network.set_weights({weights, weights + n});
        weights += n;
    }
}

void Potential::set_posterior(const Posterior& posterior, std::size_t draws) {
    if (posterior.weights != weights()) throw Error("the posterior belongs to other weights");
    if (draws < 1 || draws > posterior.draws.size())
        throw Error("the posterior has " + std::to_string(posterior.draws.size()) + " draws, asked for are " +
                    std::to_string(draws));
    const double scale = 1.0 / std::sqrt(static_cast<double>(draws));
    deviations_.assign(networks_.size(), {});
    std::size_t first = 0;
    for (std::size_t e = 0; e < networks_.size(); ++e) {
        const std::size_t last = first + networks_[e].n_weights();
        deviations_[e].assign(posterior.shift.begin() + first, posterior.shift.begin() + last);
        for (std::size_t d = 0; d < draws; ++d)
            for (std::size_t w = first; w < last; ++w)
                deviations_[e].push_back(scale * posterior.draws[d][w]);
        first = last;
    }
    bar_parts_ = 1 + draws;
}

void Potential::compute(const NeighborView& neighbors,
                        const int* species,
                        std::size_t n_atoms,
                        Output out) const {
    compute_members({this}, neighbors, species, n_atoms, out);
}

void Potential::compute(const Atoms& atoms, Output out) const {
    compute_members({this}, atoms, out);
}

void Potential::compute(const Atoms& atoms, VerletList& list, Output out) const {
    compute_members({this}, atoms, list, out);
}

void Potential::compute(const std::vector<Atoms>& structures, const std::vector<Output>& out) const {
    if (out.size() != structures.size())
        throw Error(std::to_string(out.size()) + " outputs for " + std::to_string(structures.size()) +
                    " structures");
    for (const Atoms& atoms : structures) {
        refuse_ghosts(atoms);
        check(*this, atoms.species, atoms.size);
    }
    for (const Output& each : out) check_bars({this}, each);
    compute_structures({this}, structures, out);
}

void Potential::compute_on_device(const Atoms& atoms, Output out, void* stream) const {
    refuse_ghosts(atoms);
    check(*this, atoms.species, atoms.size);
    if (!baseline_.empty())
        throw Error(
            "a potential with zbl or pair tables cannot take positions on a device: the processor adds "
            "these");
    BackendAccess::of(*this).compute_on_device({this}, atoms, out, stream);
}

Device Potential::device() const {
    return backend_->device();
}

void Potential::set_device(Device device) {
    backend_ = backend_on(device);
}

}  // namespace sitewise
