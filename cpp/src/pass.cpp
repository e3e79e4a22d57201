#include "pass.hpp"

#include <algorithm>

#include "kernels.hpp"
#include "row.hpp"

namespace sitewise {
namespace {

// The first of `n` rows of atom b in blocks [.][n][batch_size]
std::size_t lane(std::size_t b, std::size_t n) {
    return b / batch_size * n * batch_size + b % batch_size;
}

}  // namespace

void Pass::ElementAtoms::resize(const NetworkOf<double>& network) {
    const std::size_t lanes = blocks() * batch_size;
    x.resize(lanes * network.inputs());
    dedx.resize(x.size());
    tangent.resize(x.size());
    weight.resize(lanes);
    trace.resize(lanes * 4 * network.nodes());
    scratch.resize(lanes * 2 * network.nodes());
}

Pass::Pass(const Derivatives& derivatives, const Potential& potential)
    : derivatives_(derivatives), potential_(potential), unit_(1.0 / potential.normalization().conv_energy) {
    for (int e = 0; e < derivatives.functions().elements(); ++e) networks_.emplace_back(potential.network(e));
    atoms_.resize(networks_.size());
    gathered_.resize(networks_.size());
}

void Pass::clear() {
    slots.clear();
    size_ = 0;
    for (ElementAtoms& of : atoms_) of.places.clear();
}

void Pass::add(std::shared_ptr<const Prepared> structure, bool forces, bool stress) {
    const Prepared& s = *structure;
    for (std::size_t e = 0; e < atoms_.size(); ++e)
        for (std::size_t b = s.begin[e]; b < s.begin[e + 1]; ++b)
            atoms_[e].places.push_back({slots.size(), s.order[b]});
    const std::size_t first = size_;
    size_ += s.size;
    slots.push_back({std::move(structure), first, forces, stress});
}

void Pass::predict() {
    bool derivatives = false;
    for (const Slot& slot : slots) derivatives |= slot.forces || slot.stress;
    forces_.assign(3 * size_, 0.0);
    for (std::size_t e = 0; e < atoms_.size(); ++e)
        if (!atoms_[e].places.empty()) predict(static_cast<int>(e), derivatives);
    for (Slot& slot : slots) {
        constexpr int at[6] = {0, 4, 8, 5, 2, 1}, mirrored[6] = {0, 4, 8, 7, 6, 3};
        for (int q = 0; slot.stress && q < 6; ++q)
            slot.predicted_stress[q] = 0.5 * (slot.virial[at[q]] + slot.virial[mirrored[q]]) / slot.s->volume;
    }
}

// Since F_i = sum_j g_ij, F_j = -g_ij and stress = sum r_ij (x) g_ij / V with g_ij = (dG_i/dr_ij)^T u_i,
// L changes with u_i as jvp(w), w_ij = v_i - v_j + sigma.r_ij / V.
void Pass::add_gradient(double* gradient) {
    for (std::size_t e = 0; e < atoms_.size(); ++e) {
        ElementAtoms& of = atoms_[e];
        bool tangents = false;
        std::fill(of.weight.begin(), of.weight.end(), 0.0);
        std::fill(of.tangent.begin(), of.tangent.end(), 0.0);
        for (std::size_t b = 0; b < of.places.size(); ++b) {
            const auto [place, atom] = of.places[b];
            const Slot& slot = slots[place];
            of.weight[b] = slot.a * unit_;
            if (!slot.forces && !slot.stress) continue;
            tangents = true;
            set_direction(slot, atom);
            derivatives_.jvp(*slot.s, atom, direction_.data(), scratch_.G.data(), scratch_);
            set_tangent(static_cast<int>(e), b, of.tangent);
        }
        if (!of.places.empty()) weight_gradient(e, of, tangents, gradient);
        gradient += potential_.network(static_cast<int>(e)).n_weights();
    }
}

void Pass::energy_row(double* row) {
    slots.front().a = 1.0;
    slots.front().forces = slots.front().stress = false;
    add_gradient(row);
}

void Pass::force_row(std::size_t atom, int axis, double* row) {
    const Prepared& s = *slots.front().s;
    const int* row_of_atom = s.index.data() + s.first[atom];
    near_.assign(row_of_atom, row_of_atom + s.neighbors(atom));
    near_.push_back(static_cast<int>(atom));
    std::sort(near_.begin(), near_.end());
    near_.erase(std::unique(near_.begin(), near_.end()), near_.end());
    for (ElementAtoms& of : gathered_) of.places.clear();
    for (int i : near_) gathered_[s.species[i]].places.push_back({0, static_cast<std::size_t>(i)});
    for (std::size_t e = 0; e < gathered_.size(); ++e) {
        if (!gathered_[e].places.empty()) {
            gather(e);
            for (std::size_t b = 0; b < gathered_[e].places.size(); ++b) {
                change_with(s, gathered_[e].places[b].atom, atom, axis);
                set_tangent(static_cast<int>(e), b, gathered_[e].tangent);
            }
            weight_gradient(e, gathered_[e], true, row);
        }
        row += potential_.network(static_cast<int>(e)).n_weights();
    }
}

void Pass::predict(int e, bool derivatives) {
    ElementAtoms& of = atoms_[e];
    NetworkOf<double>& network = networks_[e];
    const std::size_t n = network.inputs();
    const double* factor = potential_.scaling().factor(e).data();
    of.resize(network);
    std::fill(of.x.begin(), of.x.end(), 0.0);
    scratch_.G.resize(n);
    for (std::size_t b = 0; b < of.places.size(); ++b) {
        const auto [place, atom] = of.places[b];
        std::copy_n(slots[place].s->G.data() + atom * derivatives_.functions().max_count(), n,
                    scratch_.G.data());
        potential_.scaling().apply(e, scratch_.G.data());
        for (std::size_t f = 0; f < n; ++f) of.x[lane(b, n) + f * batch_size] = scratch_.G[f];
    }
    kernels().trace(network.view(), of.blocks(), of.x.data(), of.trace.data(),
                    derivatives ? of.dedx.data() : nullptr);
    const double shift = potential_.normalization().mean_energy + potential_.atom_energies()[e];
    for (std::size_t b = 0; b < of.places.size(); ++b) {
        const auto [place, atom] = of.places[b];
        Slot& slot = slots[place];
        slot.energy +=
            of.trace[lane(b, 4 * network.nodes()) + (network.nodes() - 1) * batch_size] * unit_ + shift;
        if (!slot.forces && !slot.stress) continue;
        for (std::size_t f = 0; f < n; ++f)
            scratch_.G[f] = of.dedx[lane(b, n) + f * batch_size] * unit_ * factor[f];
        add_forces(slot, atom);
    }
}

// Expects u = de/dG in scratch_.G.
void Pass::add_forces(Slot& slot, std::size_t i) {
    const RowView row = slot.s->row(i);
    scratch_.gradient.resize(3 * row.size + Derivatives::padding);
    derivatives_.vjp(*slot.s, i, scratch_.G.data(), scratch_.gradient.data(), scratch_);
    scatter_forces(i, row, scratch_.gradient.data(), forces(slot));
    if (slot.stress) add_virial(row, scratch_.gradient.data(), slot.virial);
}

void Pass::set_direction(const Slot& slot, std::size_t i) {
    const Prepared& s = *slot.s;
    const std::size_t m = s.neighbors(i), first = s.first[i];
    direction_.resize(3 * m + Derivatives::padding);
    std::fill_n(direction_.data() + (slot.forces ? 3 * m : 0),
                slot.forces ? Derivatives::padding : 3 * m + Derivatives::padding, 0.0);
    if (slot.forces) {
        const double *v = forces(slot), *vi = v + 3 * i;
        const double own[3] = {vi[0], vi[1], vi[2]};
        for (std::size_t k = 0; k < m; ++k) {
            const double* vj = v + 3 * static_cast<std::size_t>(s.index[first + k]);
            for (int a = 0; a < 3; ++a) direction_[3 * k + a] = own[a] - vj[a];
        }
    }
    if (!slot.stress) return;
    const double* sigma = slot.sigma;
    // Voigt order xx yy zz yz xz xy. Components ab and ba share an off-diagonal derivative.
    const double S[3][3] = {{sigma[0], 0.5 * sigma[5], 0.5 * sigma[4]},
                            {0.5 * sigma[5], sigma[1], 0.5 * sigma[3]},
                            {0.5 * sigma[4], 0.5 * sigma[3], sigma[2]}};
    for (std::size_t k = 0; k < m; ++k) {
        const double* r = &s.vectors[3 * (first + k)];
        for (int a = 0; a < 3; ++a)
            direction_[3 * k + a] += (S[a][0] * r[0] + S[a][1] * r[1] + S[a][2] * r[2]) / s.volume;
    }
}

// Sets scratch_.G to minus the change of G_i as an atom moves along an axis.
void Pass::change_with(const Prepared& s, std::size_t i, std::size_t atom, int axis) {
    if (i != atom && s.has_derivatives())
        return derivatives_.jvp_of_neighbor(s, i, atom, axis, scratch_.G.data(), scratch_);
    direction_.assign(3 * s.neighbors(i) + Derivatives::padding, 0.0);
    for (std::size_t k = 0; k < s.neighbors(i); ++k)
        direction_[3 * k + axis] = (i == atom) - (s.index[s.first[i] + k] == static_cast<int>(atom));
    derivatives_.jvp(s, i, direction_.data(), scratch_.G.data(), scratch_);
}

// Sets lane b of t to the change of the network's inputs as an atom's functions change by scratch_.G.
void Pass::set_tangent(int e, std::size_t b, Lines& t) {
    const std::size_t n = networks_[e].inputs();
    const double* factor = potential_.scaling().factor(e).data();
    for (std::size_t f = 0; f < n; ++f) t[lane(b, n) + f * batch_size] = scratch_.G[f] * unit_ * factor[f];
}

void Pass::weight_gradient(std::size_t e, ElementAtoms& of, bool tangents, double* gradient) {
    kernels().weight_gradient(networks_[e].view(), of.blocks(), of.x.data(), of.trace.data(),
                              of.weight.data(), tangents ? of.tangent.data() : nullptr, of.scratch.data(),
                              gradient);
}

// Copies inputs and trace of the atoms of gathered_ from those of all atoms of the structure.
void Pass::gather(std::size_t e) {
    const NetworkOf<double>& network = networks_[e];
    const Prepared& s = *slots.front().s;
    ElementAtoms &to = gathered_[e], &from = atoms_[e];
    to.resize(network);
    std::fill(to.weight.begin(), to.weight.end(), 0.0);
    std::fill(to.tangent.begin(), to.tangent.end(), 0.0);
    const std::size_t rows[2] = {network.inputs(), 4 * network.nodes()};
    Lines* const arrays[2][2] = {{&from.x, &to.x}, {&from.trace, &to.trace}};
    std::fill(to.trace.begin(), to.trace.end(), 0.0);
    for (std::size_t b = 0; b < to.places.size(); ++b) {
        const std::size_t place = s.place[to.places[b].atom];
        for (int q = 0; q < 2; ++q) {
            const double* source = &(*arrays[q][0])[lane(place, rows[q])];
            double* target = &(*arrays[q][1])[lane(b, rows[q])];
            for (std::size_t r = 0; r < rows[q]; ++r) target[r * batch_size] = source[r * batch_size];
        }
    }
}

}  // namespace sitewise
