#include "step.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "checks.hpp"
#include "close_pairs.hpp"
#include "environment.hpp"
#include "network_of.hpp"
#include "parallel.hpp"
#include "row.hpp"

namespace sitewise {
namespace {

// Atoms of one element that the network evaluates together, by their numbers in the order of Neighbors
struct AtomBlock {
    int element = 0, count = 0;
    std::array<std::size_t, batch_size> numbers;

    std::size_t size() const { return static_cast<std::size_t>(count); }
};

std::vector<AtomBlock> make_blocks(const Neighbors& neighbors, const int* species, int n_elements) {
    std::vector<AtomBlock> done, open(n_elements);
    for (int e = 0; e < n_elements; ++e) open[e].element = e;
    done.reserve(neighbors.centers() / batch_size + n_elements);
    for (std::size_t k = 0; k < neighbors.centers(); ++k) {
        AtomBlock& block = open[species[neighbors.place(k)]];
        block.numbers[block.count++] = k;
        if (block.count < batch_size) continue;
        done.push_back(block);
        block.count = 0;
    }
    for (const AtomBlock& block : open)
        if (block.count > 0) done.push_back(block);
    return done;
}

// Sums of one thread. They are added in the order of the threads, so the result is reproducible.
struct Partial {
    std::vector<double> forces, virials, bar_parts;
    double virial[9] = {};
};

void add(const std::vector<double>& values, double* sum) {
    if (!sum) return;
    for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
}

// Adds `width` values of each atom, which stand at its place.
void add_at_atoms(const std::vector<double>& values, std::size_t width, const Neighbors& order, double* sum) {
    if (!sum) return;
    for (std::size_t k = 0; k < values.size() / width; ++k)
        for (std::size_t a = 0; a < width; ++a) sum[width * order.atom(k) + a] += values[width * k + a];
}

std::vector<int> at_places(const Neighbors& order, const int* species, std::size_t n) {
    std::vector<int> sorted(n);
    for (std::size_t k = 0; k < n; ++k) sorted[k] = species[order.atom(k)];
    return sorted;
}

// The work of one thread on blocks of atoms: functions once, then the network of each member.
template <class Real>
class Worker {
public:
    Worker(const Members& members, const Neighbors& neighbors, const int* species, Potential::Output out)
        : potential_(*members.front()),
          neighbors_(neighbors),
          species_(species),
          out_(out),
          found_(batch_size),
          rows_(batch_size),
          environments_(environments_of_thread<Real>()) {
        const std::size_t width = potential_.functions().max_count();
        G_.resize(width);
        row_.resize(width);
        u_.resize(batch_size * width);
        for (const Potential* potential : members) members_.emplace_back(*potential, width);
        if (!out.energies_bar && !out.energy_bar_parts) return;
        for (std::size_t e = 0; e < potential_.elements().size(); ++e) {
            const std::vector<double>& of = potential_.deviations(static_cast<int>(e));
            deviations_.emplace_back(of.begin(), of.end());
        }
        changes_.resize(potential_.bar_parts() * batch_size);
    }

    // Computes network inputs of the block's atoms.
    void features(const AtomBlock& block) {
        const auto& plan = PlanAccess::plan<Real>(potential_.functions(), block.element);
        const std::size_t n = plan.outputs, width = row_.size();
        Real* nodes[batch_size];
        for (std::size_t b = 0; b < block.size(); ++b) {
            const RowView& row = rows_[b] = take_row(block.numbers[b], found_[b]);
            environments_[b].load(plan, row.size, row.index, species_, row.vectors);
            nodes[b] = environments_[b].tables().nodes;
        }
        values_.resize(batch_size * plan.polynomials.nodes());
        operators<Real>().contract_atoms(plan.polynomials, block.count, nodes, values_.data());
        for (std::size_t b = 0; b < block.size(); ++b) {
            const std::size_t i = atom(block, b);
            const Tables<Real>& t = environments_[b].tables();
            operators<Real>().evaluate(plan, t, scratch_of_thread(plan, t.stride), G_.data());
            std::copy_n(G_.data(), n, row_.data());
            if (out_.extrapolations) {
                const Scaling& scaling = potential_.scaling();
                const RowView& near = rows_[b];
                out_.extrapolations[i] =
                    scaling.extrapolations(block.element, row_.data()) +
                    scaling.closer(block.element, near.size, near.index, species_, near.vectors);
            }
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

    // Computes e of the block's atoms for each member, [members][centers], and de/dx if `gradients`.
    void networks(const AtomBlock& block, bool gradients, double* energies) {
        Real e[batch_size];
        for (Member& member : members_) {
            Real* dedx = gradients || !changes_.empty() ? member.dedx.data() : nullptr;
            member.networks[block.element].evaluate(member.x.data(), e, dedx);
            for (std::size_t b = 0; b < block.size(); ++b) energies[atom(block, b)] = e[b];
            energies += neighbors_.centers();
        }
    }

    // Computes error bars after networks(). An ensemble has none, so there is one member.
    void bars(const AtomBlock& block, Partial& sum) {
        const Member& member = members_.front();
        const double unit = 1.0 / potential_.normalization().conv_energy;
        const std::size_t parts = potential_.bar_parts();
        member.networks[block.element].changes(member.x.data(), deviations_[block.element], parts,
                                               changes_.data());
        for (std::size_t b = 0; b < block.size(); ++b) {
            double square = 0.0;
            for (std::size_t p = 0; p < parts; ++p) {
                const double change = unit * changes_[p * batch_size + b];
                sum.bar_parts[p] += change;
                square += change * change;
            }
            if (out_.energies_bar) out_.energies_bar[atom(block, b)] = std::sqrt(square);
        }
    }

    // Computes the baseline of the block's atoms after features(): its energies [centers], eV, and, if
    // `gradients`, their derivatives.
    void baseline(const AtomBlock& block, bool gradients, double* energies, Partial& sum) {
        const Baseline& of = potential_.baseline();
        for (std::size_t b = 0; b < block.size(); ++b) {
            energies[atom(block, b)] = close_.find(of, block.element, species_, rows_[b]);
            if (gradients && !close_.empty())
                add_forces(place(block, b), close_.view(), close_.gradient.data(), sum);
        }
    }

    void forces(const AtomBlock& block, Partial& sum) {
        const auto& plan = PlanAccess::plan<Real>(potential_.functions(), block.element);
        const std::size_t n = plan.outputs, inputs = plan.polynomials.inputs;
        for (std::size_t b = 0; b < block.size(); ++b) {
            mean_gradient(block.element, b);
            for (std::size_t f = 0; f < n; ++f) u_[b * n + f] = static_cast<Real>(row_[f]);
        }
        bars_.resize(batch_size * inputs);
        scratch_.resize(values_.size());
        operators<Real>().contract_atoms_back(plan.polynomials, block.count, values_.data(), u_.data(),
                                              plan.outputs, scratch_.data(), bars_.data());
        for (std::size_t b = 0; b < block.size(); ++b) {
            const RowView& row = rows_[b];
            if (gradient_.size() < 3 * row.size) gradient_.resize(3 * row.size);
            const Tables<Real>& t = environments_[b].tables();
            operators<Real>().gradient(plan, t, scratch_of_thread(plan, t.stride), u_.data() + b * n,
                                       bars_.data() + b * inputs, gradient_.data());
            add_forces(place(block, b), row, gradient_.data(), sum);
        }
    }

private:
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

    std::size_t place(const AtomBlock& block, std::size_t b) const {
        return neighbors_.place(block.numbers[b]);
    }
    std::size_t atom(const AtomBlock& block, std::size_t b) const { return neighbors_.atom(place(block, b)); }

    // Sets row_ to dE/dG of the block's atom b.
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

    RowView take_row(std::size_t number, NeighborRow& found) {
        if (const NeighborView* list = neighbors_.list) {
            check_vectors(*list, number);
            return row_of(*list, number);
        }
        if (neighbors_.search)
            neighbors_.search->find(neighbors_.place(number), false, search_, found);
        else
            neighbors_.rows->find(number, verlet_, found);
        return {found.size, found.index.data(), found.vectors.data()};
    }

    void add_forces(std::size_t place, const RowView& row, const double* gradient, Partial& sum) const {
        double virial[9] = {};
        scatter_forces(place, row, gradient, sum.forces.data());
        add_virial(row, gradient, virial);
        for (int a = 0; a < 9; ++a) sum.virial[a] += virial[a];
        if (!sum.virials.empty()) scatter_virials(row, gradient, sum.virials.data());
    }

    const Potential& potential_;  // the first member
    const Neighbors& neighbors_;
    const int* species_;  // at each place
    const Potential::Output out_;
    NeighborSearch::Scratch search_;
    VerletRows::Scratch verlet_;
    std::vector<NeighborRow> found_;
    std::vector<RowView> rows_;
    std::vector<EnvironmentOf<Real>>& environments_;
    std::vector<Member> members_;
    std::vector<Real> G_, u_, bars_;
    std::vector<std::vector<Real>> deviations_;  // of the weights of each element, for error bars
    std::vector<Real, LineAligned<Real>> changes_;
    std::vector<Real, LineAligned<Real>> values_, scratch_;  // of the block's atoms in contract_atoms
    std::vector<double> row_, gradient_;
    ClosePairs close_;
};

template <class Real>
void compute_blocks(const Members& members,
                    const Neighbors& neighbors,
                    const int* species,
                    std::size_t n_atoms,
                    Potential::Output out,
                    std::vector<double>& energies,
                    std::vector<double>& baseline,
                    std::vector<Partial>& partial) {
    const std::vector<AtomBlock> blocks =
        make_blocks(neighbors, species, static_cast<int>(members.front()->elements().size()));
    const bool gradients = out.forces || out.virial || out.virials;
    const bool bars = out.energies_bar || out.energy_bar_parts;
    FirstError error;
#pragma omp parallel num_threads(max_threads())
    {
        std::unique_ptr<Worker<Real>> worker;
        Partial& sum = partial[thread_index()];
        error.run([&] {
            worker = std::make_unique<Worker<Real>>(members, neighbors, species, out);
            if (gradients) sum.forces.assign(3 * n_atoms, 0.0);
            if (out.virials) sum.virials.assign(9 * n_atoms, 0.0);
            if (bars) sum.bar_parts.assign(members.front()->bar_parts(), 0.0);
        });
#pragma omp for schedule(static)
        for (std::size_t q = 0; q < blocks.size(); ++q)
            error.run([&] {
                worker->features(blocks[q]);
                if (!baseline.empty()) worker->baseline(blocks[q], gradients, baseline.data(), sum);
                worker->networks(blocks[q], gradients, energies.data());
                if (bars) worker->bars(blocks[q], sum);
                if (gradients) worker->forces(blocks[q], sum);
            });
    }
    error.rethrow();
}

// Converts atomic energies of one member from the networks' units to eV.
void to_eV(const Potential& potential, std::size_t centers, const int* species, double* energies) {
    const Normalization& unit = potential.normalization();
    for (std::size_t i = 0; i < centers; ++i)
        energies[i] =
            energies[i] / unit.conv_energy + unit.mean_energy + potential.atom_energies()[species[i]];
}

void require_finite(const std::vector<double>& energies,
                    std::size_t centers,
                    const std::vector<Partial>& partial) {
    for (std::size_t k = 0; k < energies.size(); ++k) require_finite_energy(energies[k], k % centers);
    for (const Partial& sum : partial) require_finite_virial(sum.virial);
}

}  // namespace

std::vector<double> compute_step(const Members& members,
                                 const Neighbors& neighbors,
                                 const int* species,
                                 std::size_t n_atoms,
                                 Potential::Output out) {
    const std::size_t centers = neighbors.centers();
    std::vector<double> energies(members.size() * centers);
    std::vector<double> baseline(members.front()->baseline().empty() ? 0 : centers);
    std::vector<Partial> partial(max_threads());
    const auto run =
        members.front()->precision() == Precision::float32 ? compute_blocks<float> : compute_blocks<double>;
    run(members, neighbors, at_places(neighbors, species, n_atoms).data(), n_atoms, out, energies, baseline,
        partial);
    for (std::size_t m = 0; m < members.size(); ++m) {
        double* of_member = energies.data() + m * centers;
        to_eV(*members[m], centers, species, of_member);
        for (std::size_t i = 0; i < baseline.size(); ++i) of_member[i] += baseline[i];
    }
    require_finite(energies, centers, partial);
    for (std::size_t i = 0; i < centers; ++i) {
        double mean = 0.0;
        for (std::size_t m = 0; m < members.size(); ++m) mean += energies[m * centers + i];
        mean /= members.size();
        if (out.energies) out.energies[i] += mean;
        if (out.energy) *out.energy += mean;
    }
    for (const Partial& sum : partial) {
        add_at_atoms(sum.forces, 3, neighbors, out.forces);
        add_at_atoms(sum.virials, 9, neighbors, out.virials);
        add(sum.bar_parts, out.energy_bar_parts);
        if (out.virial)
            for (int a = 0; a < 9; ++a) out.virial[a] += sum.virial[a];
    }
    return energies;
}

}  // namespace sitewise
