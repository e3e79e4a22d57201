#include "sitewise/potential.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "backend.hpp"
#include "environment.hpp"
#include "members.hpp"
#include "neighbor_search.hpp"
#include "network_of.hpp"
#include "parallel.hpp"
#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

// Atoms of one element that go through the network together
struct AtomBlock {
    int element;
    std::vector<std::size_t> atoms;
};

// The neighbours of the atoms: given in a list, or searched for when their turn comes, so that there never is
// a list of all of them.
struct Neighbors {
    const NeighborView* list;
    const NeighborSearch* search;

    std::size_t centers() const { return list ? list->centers : search->size(); }
    std::size_t atom(std::size_t k) const { return list ? k : static_cast<std::size_t>(search->order()[k]); }
};

std::vector<AtomBlock> make_blocks(const Neighbors& neighbors, const int* species, int n_elements) {
    std::vector<AtomBlock> done, open(n_elements);
    for (int e = 0; e < n_elements; ++e) open[e].element = e;
    for (std::size_t k = 0; k < neighbors.centers(); ++k) {
        const std::size_t i = neighbors.atom(k);
        AtomBlock& block = open[species[i]];
        block.atoms.push_back(i);
        if (block.atoms.size() < batch_size) continue;
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

[[noreturn]] void report_vector(const NeighborView& list, std::size_t atom, std::size_t k) {
    const double* v = list.vectors + 3 * k;
    const double distance = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);  // std::hypot may lose a NaN
    if (!(distance < overlap))
        throw Error("the neighbour list has a vector of atom " + std::to_string(atom) +
                    " that is not finite");
    std::ostringstream text;
    text << "atoms " << atom << " and " << list.index[k] << " are " << distance << " Angstrom apart";
    throw Error(text.str());
}

// For the kernels a pair at NaN is beyond the cutoff, and would be left out without a word; one at no
// distance has no direction.
void check_vectors(const NeighborView& list, std::size_t atom) {
    for (std::size_t k = list.first[atom]; k < list.first[atom + 1]; ++k) {
        const double* v = list.vectors + 3 * k;
        const bool finite =
            std::fabs(v[0]) < INFINITY && std::fabs(v[1]) < INFINITY && std::fabs(v[2]) < INFINITY;
        if (!finite || v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < overlap * overlap)
            report_vector(list, atom, k);
    }
}

// What one thread adds up; threads are summed in their order, so a number of threads gives one result.
struct Partial {
    std::vector<double> forces, virials;
    double virial[9] = {};
};

void add(const std::vector<double>& values, double* sum) {
    if (!sum) return;
    for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
}

// One thread's work on blocks of atoms: functions once, then the network of each member.
template <class Real>
class Worker {
public:
    Worker(const std::vector<const Potential*>& members,
           const Neighbors& neighbors,
           const int* species,
           Potential::Output out)
        : potential_(*members.front()),
          neighbors_(neighbors),
          species_(species),
          out_(out),
          found_(batch_size),
          rows_(batch_size),
          environments_(batch_size) {
        const std::size_t width = potential_.functions().max_count();
        G_.resize(width);
        row_.resize(width);
        u_.resize(width);
        for (const Potential* potential : members) members_.emplace_back(*potential, width);
    }

    // Network inputs of the block's atoms
    void features(const AtomBlock& block) {
        const auto& plan = PlanAccess::plan<Real>(potential_.functions(), block.element);
        const std::size_t n = plan.outputs, width = row_.size();
        for (std::size_t b = 0; b < block.atoms.size(); ++b) {
            const std::size_t i = block.atoms[b];
            const Row& row = rows_[b] = take_row(i, found_[b]);
            EnvironmentOf<Real>& environment = environments_[b];
            environment.load(plan, row.size, row.index, species_, row.vectors);
            const Tables<Real>& t = environment.tables();
            operators<Real>().evaluate(plan, t, scratch_of_thread(plan, t.stride), G_.data());
            std::copy_n(G_.data(), n, row_.data());
            if (out_.extrapolations)
                out_.extrapolations[i] = potential_.scaling().extrapolations(block.element, row_.data());
            for (Member& member : members_) {
                std::copy_n(G_.data(), n, row_.data());
                member.potential->scaling().apply(block.element, row_.data());
                for (std::size_t f = 0; f < n; ++f) member.x[f * batch_size + b] = static_cast<Real>(row_[f]);
                if (!out_.features || &member != &members_.front()) continue;
                double* features = std::copy_n(row_.data(), n, out_.features + i * width);
                std::fill_n(features, width - n, std::numeric_limits<double>::quiet_NaN());
            }
        }
    }

    // e of the block's atoms by each member [members][centers], and de/dx if wanted
    void networks(const AtomBlock& block, bool gradients, double* energies) {
        Real e[batch_size];
        for (Member& member : members_) {
            Real* dedx = gradients ? member.dedx.data() : nullptr;
            member.networks[block.element].evaluate(member.x.data(), e, dedx);
            for (std::size_t b = 0; b < block.atoms.size(); ++b) energies[block.atoms[b]] = e[b];
            energies += neighbors_.centers();
        }
    }

    void forces(const AtomBlock& block, Partial& sum) {
        const auto& plan = PlanAccess::plan<Real>(potential_.functions(), block.element);
        for (std::size_t b = 0; b < block.atoms.size(); ++b) {
            const Row& row = rows_[b];
            mean_gradient(block.element, b);
            for (int f = 0; f < plan.outputs; ++f) u_[f] = static_cast<Real>(row_[f]);
            if (gradient_.size() < 3 * row.size) gradient_.resize(3 * row.size);
            const Tables<Real>& t = environments_[b].tables();
            operators<Real>().vjp(plan, t, scratch_of_thread(plan, t.stride), u_.data(), gradient_.data());
            add_forces(block.atoms[b], row, sum);
        }
    }

private:
    struct Row {
        std::size_t size;
        const int* index;
        const double* vectors;
    };

    struct Member {
        Member(const Potential& p, std::size_t width) : potential(&p) {
            for (auto* buffer : {&x, &dedx}) buffer->assign(batch_size * width, Real(0));
            for (std::size_t e = 0; e < p.elements().size(); ++e)
                networks.emplace_back(p.network(static_cast<int>(e)));
        }

        const Potential* potential;
        std::vector<NetworkOf<Real>> networks;
        std::vector<Real, LineAligned<Real>> x, dedx;
    };

    // dE/dG of the block's atom b, in row_
    void mean_gradient(int element, std::size_t b) {
        const std::size_t n = potential_.functions().count(element);
        std::fill_n(row_.data(), n, 0.0);
        for (const Member& member : members_) {
            const std::vector<double>& factor = member.potential->scaling().factor(element);
            const double unit = 1.0 / (member.potential->normalization().conv_energy * members_.size());
            for (std::size_t f = 0; f < n; ++f)
                row_[f] += member.dedx[f * batch_size + b] * (factor[f] * unit);
        }
    }

    Row take_row(std::size_t i, NeighborRow& found) {
        if (const NeighborView* list = neighbors_.list) {
            check_vectors(*list, i);
            const std::size_t first = list->first[i];
            if (list->first[i + 1] == first)
                return {0, nullptr, nullptr};  // where the list may have no arrays
            return {list->first[i + 1] - first, list->index + first, list->vectors + 3 * first};
        }
        neighbors_.search->find(i, false, search_, found);
        return {found.size, found.index.data(), found.vectors.data()};
    }

    void add_forces(std::size_t i, const Row& row, Partial& sum) const {
        double own[3] = {}, virial[9] = {};
        for (std::size_t k = 0; k < row.size; ++k) {
            const double *g = &gradient_[3 * k], *r = row.vectors + 3 * k;
            double* fj = &sum.forces[3 * static_cast<std::size_t>(row.index[k])];
            for (int a = 0; a < 3; ++a) {
                own[a] += g[a];
                fj[a] -= g[a];
                for (int c = 0; c < 3; ++c) virial[3 * a + c] += r[a] * g[c];
            }
            if (!sum.virials.empty())
                add_virial(r, g, &sum.virials[9 * static_cast<std::size_t>(row.index[k])]);
        }
        for (int a = 0; a < 3; ++a) sum.forces[3 * i + a] += own[a];
        for (int a = 0; a < 9; ++a) sum.virial[a] += virial[a];
    }

    static void add_virial(const double* r, const double* g, double* virial) {
        for (int a = 0; a < 3; ++a)
            for (int c = 0; c < 3; ++c) virial[3 * a + c] += r[a] * g[c];
    }

    const Potential& potential_;  // the first member
    const Neighbors& neighbors_;
    const int* species_;
    const Potential::Output out_;
    NeighborSearch::Scratch search_;
    std::vector<NeighborRow> found_;
    std::vector<Row> rows_;
    std::vector<EnvironmentOf<Real>> environments_;
    std::vector<Member> members_;
    std::vector<Real> G_, u_;
    std::vector<double> row_, gradient_;
};

template <class Real>
void compute_blocks(const std::vector<const Potential*>& members,
                    const Neighbors& neighbors,
                    const int* species,
                    std::size_t n_atoms,
                    Potential::Output out,
                    std::vector<double>& energies,
                    std::vector<Partial>& partial) {
    const std::vector<AtomBlock> blocks =
        make_blocks(neighbors, species, static_cast<int>(members.front()->elements().size()));
    const bool gradients = out.forces || out.virial || out.virials;
    FirstError error;
#pragma omp parallel num_threads(max_threads())
    {
        std::unique_ptr<Worker<Real>> worker;
        Partial& sum = partial[thread_index()];
        error.run([&] {
            worker = std::make_unique<Worker<Real>>(members, neighbors, species, out);
            if (gradients) sum.forces.assign(3 * n_atoms, 0.0);
            if (out.virials) sum.virials.assign(9 * n_atoms, 0.0);
        });
#pragma omp for schedule(static)
        for (std::size_t q = 0; q < blocks.size(); ++q)
            error.run([&] {
                worker->features(blocks[q]);
                worker->networks(blocks[q], gradients, energies.data());
                if (gradients) worker->forces(blocks[q], sum);
            });
    }
    error.rethrow();
}

// What the networks say of one member's atoms, in eV
void to_eV(const Potential& potential, std::size_t centers, const int* species, double* energies) {
    const Normalization& unit = potential.normalization();
    for (std::size_t i = 0; i < centers; ++i)
        energies[i] =
            energies[i] / unit.conv_energy + unit.mean_energy + potential.atom_energies()[species[i]];
}

constexpr double beyond = 1e30;  // eV, where exp() in single precision ends; sums and squares stay finite

[[noreturn]] void report_beyond(const std::string& what, double value) {
    std::ostringstream text;
    text << what << ' ' << value
         << " eV: either weights are wrong, or an environment is far from all that the potential knows";
    throw Error(text.str());
}

void require_finite(const std::vector<double>& energies,
                    std::size_t centers,
                    const std::vector<Partial>& partial) {
    for (std::size_t k = 0; k < energies.size(); ++k) require_finite_energy(energies[k], k % centers);
    for (const Partial& sum : partial) require_finite_virial(sum.virial);
}

std::vector<double> compute_all(const std::vector<const Potential*>& members,
                                const Neighbors& neighbors,
                                const int* species,
                                std::size_t n_atoms,
                                Potential::Output out) {
    const std::size_t centers = neighbors.centers();
    std::vector<double> energies(members.size() * centers);
    std::vector<Partial> partial(max_threads());
    const auto run =
        members.front()->precision() == Precision::float32 ? compute_blocks<float> : compute_blocks<double>;
    run(members, neighbors, species, n_atoms, out, energies, partial);
    for (std::size_t m = 0; m < members.size(); ++m)
        to_eV(*members[m], centers, species, energies.data() + m * centers);
    require_finite(energies, centers, partial);
    for (std::size_t i = 0; i < centers; ++i) {
        double mean = 0.0;
        for (std::size_t m = 0; m < members.size(); ++m) mean += energies[m * centers + i];
        mean /= members.size();
        if (out.energies) out.energies[i] += mean;
        if (out.energy) *out.energy += mean;
    }
    for (const Partial& sum : partial) {
        add(sum.forces, out.forces);
        add(sum.virials, out.virials);
        if (out.virial)
            for (int a = 0; a < 9; ++a) out.virial[a] += sum.virial[a];
    }
    return energies;
}

}  // namespace

void require_finite_energy(double energy, std::size_t atom) {
    if (!(std::fabs(energy) < beyond))
        report_beyond("the energy of atom " + std::to_string(atom) + " is", energy);
}

void require_finite_virial(const double* virial) {
    for (int a = 0; a < 9; ++a)
        if (!(std::fabs(virial[a]) < beyond)) report_beyond("the forces have a virial of", virial[a]);
}

std::vector<double> compute_members(const std::vector<const Potential*>& members,
                                    const NeighborView& neighbors,
                                    const int* species,
                                    std::size_t n_atoms,
                                    Potential::Output out) {
    check_species(species, n_atoms, static_cast<int>(members.front()->elements().size()));
    if (Backend* backend = BackendAccess::of(*members.front())) {
        for (std::size_t i = 0; i < neighbors.centers; ++i) check_vectors(neighbors, i);
        return backend->compute(members, neighbors, species, n_atoms, out);
    }
    return compute_all(members, {&neighbors, nullptr}, species, n_atoms, out);
}

std::vector<double> compute_members(const std::vector<const Potential*>& members,
                                    const Atoms& atoms,
                                    Potential::Output out) {
    check_species(atoms.species, atoms.size, static_cast<int>(members.front()->elements().size()));
    if (Backend* backend = BackendAccess::of(*members.front()))
        return backend->compute(members, std::vector<Atoms>{atoms}, {out});
    const NeighborSearch search(atoms, members.front()->cutoff());
    return compute_all(members, {nullptr, &search}, atoms.species, atoms.size, out);
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
      normalization_(normalization) {
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
    compute_members({this}, neighbors, species, n_atoms, out);
}

void Potential::compute(const Atoms& atoms, Output out) const {
    compute_members({this}, atoms, out);
}

void Potential::compute(const std::vector<Atoms>& structures, const std::vector<Output>& out) const {
    if (out.size() != structures.size())
        throw Error(std::to_string(out.size()) + " outputs for " + std::to_string(structures.size()) +
                    " structures");
    for (const Atoms& atoms : structures)
        check_species(atoms.species, atoms.size, static_cast<int>(elements_.size()));
    if (Backend* backend = BackendAccess::of(*this)) {
        backend->compute({this}, structures, out);
        return;
    }
    for (std::size_t s = 0; s < structures.size(); ++s) compute(structures[s], out[s]);
}

void Potential::compute_on_device(const Atoms& atoms, Output out, void* stream) const {
    Backend* backend = BackendAccess::of(*this);
    if (!backend) throw Error("arrays on a device need a potential with device cuda, this one's is cpu");
    check_species(atoms.species, atoms.size, static_cast<int>(elements_.size()));
    backend->compute_on_device({this}, atoms, out, stream);
}

void Potential::set_device(Device device) {
    if (device == Device::cpu)
        backend_.reset();
    else
        backend_ = cuda_backend();
}

}  // namespace sitewise
