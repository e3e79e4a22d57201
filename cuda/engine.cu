#include <algorithm>

#include "engine.cuh"
#include "network.cuh"
#include "sitewise/error.hpp"

namespace sitewise::cuda {

template <class Real>
void Engine<Real>::load(const std::vector<Atoms>& structures, double cutoff, const double* positions) {
    std::vector<int> species, first_atom{0};
    std::vector<double> all;
    for (const Atoms& a : structures) {
        species.insert(species.end(), a.species, a.species + a.size);
        if (!positions) all.insert(all.end(), a.positions, a.positions + 3 * a.size);
        first_atom.push_back(static_cast<int>(species.size()));
    }
    const std::size_t n = species.size();
    if (!positions) positions = positions_.upload(all.data(), all.size(), stream_);
    search_.find(structures, positions, cutoff, stream_);
    list_ = search_.template list<Real>(stream_);
    take_atoms(species.data(), n, n, first_atom);
}

template <class Real>
void Engine<Real>::load(const NeighborView& neighbors, const int* species, std::size_t atoms) {
    const std::size_t centers = neighbors.centers, entries = neighbors.first[centers];
    const std::vector<int> first(neighbors.first, neighbors.first + centers + 1),
        index(neighbors.index, neighbors.index + entries);
    std::vector<Real> vectors(3 * entries);
    for (std::size_t e = 0; e < entries; ++e)
        for (int c = 0; c < 3; ++c)
            vectors[c * entries + e] = static_cast<Real>(neighbors.vectors[3 * e + c]);
    take_list(first, index, vectors, atoms);
    take_atoms(species, centers, atoms, {0, static_cast<int>(atoms)});
}

template <class Real>
void Engine<Real>::load(const LabelledBatch& batch) {
    const std::size_t atoms = batch.species.size(), entries = batch.index.size();
    std::vector<Real> vectors(3 * entries);
    for (std::size_t e = 0; e < entries; ++e)
        for (int c = 0; c < 3; ++c) vectors[c * entries + e] = static_cast<Real>(batch.vectors[3 * e + c]);
    take_list(batch.first, batch.index, vectors, atoms);
    take_atoms(batch.species.data(), atoms, atoms, batch.first_atom);
}

template <class Real>
void Engine<Real>::take_list(const std::vector<int>& first,
                             const std::vector<int>& index,
                             const std::vector<Real>& vectors,
                             std::size_t atoms) {
    // sort the entries by neighbour, in the order of the list
    std::vector<int> incoming_first(atoms + 1, 0), incoming(index.size());
    for (int j : index) ++incoming_first[j + 1];
    for (std::size_t j = 0; j < atoms; ++j) incoming_first[j + 1] += incoming_first[j];
    std::vector<int> next = incoming_first;
    for (std::size_t e = 0; e < index.size(); ++e) incoming[next[index[e]]++] = static_cast<int>(e);
    list_ = {};
    list_.entries = static_cast<int>(index.size());
    for (std::size_t i = 0; i + 1 < first.size(); ++i)
        list_.widest = std::max(list_.widest, first[i + 1] - first[i]);
    list_packet_.pack(
        [&](Packet& p) {
            list_.first = p.add(first);
            list_.index = p.add(index);
            list_.vectors = p.add(vectors);
            list_.incoming_first = p.add(incoming_first);
            list_.incoming = p.add(incoming);
        },
        stream_);
}

// Sorts the centres by element.
template <class Real>
void Engine<Real>::take_atoms(const int* species,
                              std::size_t centers,
                              std::size_t atoms,
                              std::vector<int> first_atom) {
    atoms_ = static_cast<int>(atoms);
    centers_ = static_cast<int>(centers);
    first_atom_ = std::move(first_atom);
    std::vector<int> order, structure(atoms);
    centers_of_.assign(model_.elements(), {});
    for (int e = 0; e < model_.elements(); ++e) {
        const std::size_t before = order.size();
        for (std::size_t i = 0; i < centers; ++i)
            if (species[i] == e) order.push_back(static_cast<int>(i));
        centers_of_[e].n = static_cast<int>(order.size() - before);
        centers_of_[e].ld = leading_dimension(centers_of_[e].n);
    }
    for (int s = 0; s < structures(); ++s)
        std::fill(structure.begin() + first_atom_[s], structure.begin() + first_atom_[s + 1], s);
    atoms_packet_.pack(
        [&](Packet& p) {
            species_ = p.add(species, atoms);
            structure_ = p.add(structure);
            first_atom_on_device_ = p.add(first_atom_);
            const int* place = p.add(order);
            for (Centers& c : centers_of_) {
                c.atoms = place;
                place += c.n;
            }
        },
        stream_);
}

template <class Real>
std::size_t Engine<Real>::columns() const {
    std::size_t total = 0;
    for (int e = 0; e < model_.elements(); ++e)
        total += static_cast<std::size_t>(model_.outputs(e)) * centers_of_[e].ld;
    return total;
}

template <class Real>
Results Engine<Real>::reserve(bool gradients) {
    const std::size_t n = atoms_, energies = model_.members() * centers_;
    Results r{};
    r.energies = results_.reserve(energies + (gradients ? 12 * n + 9 * structures() : 0));
    if (!gradients) return r;
    r.forces = r.energies + energies;
    r.virials = r.forces + 3 * n;
    r.virial = r.virials + 9 * n;
    return r;
}

template <class Real>
void Engine<Real>::evaluate() {
    G_.reserve(columns());
    for (int e = 0; e < model_.elements(); ++e)
        if (centers_of_[e].n > 0)
            launch_evaluate(model_.plan(e), list_, species_, centers_of_[e], of(e, G_.data()), stream_);
}

template <class Real>
double* Engine<Real>::scratch_of_networks() {
    std::size_t most = 1;
    for (int e = 0; e < model_.elements(); ++e)
        for (std::size_t m = 0; m < model_.members(); ++m)
            if (centers_of_[e].n > 0)
                most = std::max(most, network_scratch(model_.member(m, e).network(), centers_of_[e].n));
    return scratch_.reserve(most);
}

template <class Real>
void Engine<Real>::networks(bool gradients, double* energies) {
    x_.reserve(columns());
    u_.reserve(columns());
    dedx_.reserve(columns());
    e_.reserve(all_columns());
    double* scratch = scratch_of_networks();
    for (std::size_t m = model_.members(); m-- > 0;)  // the inputs of the first member remain
        for (int e = 0; e < model_.elements(); ++e) {
            const Centers& c = centers_of_[e];
            if (c.n == 0) continue;
            const auto& member = model_.member(m, e);
            Real *x = of(e, x_.data()), *dedx = gradients ? of(e, dedx_.data()) : nullptr;
            launch_scale(member.scaling, c.n, c.ld, of(e, G_.data()), x, stream_);
            Real* energy = e_.data() + first_column(e);
            launch_network(member.network(), c.n, c.ld, x, energy, dedx, scratch, stream_);
            launch_energies(c, energy, member.conversion, member.shift, energies + m * centers_, stream_);
            if (!gradients) continue;
            const double unit = 1.0 / (member.conversion * model_.members());
            launch_multiply(member.scaling, unit, c.n, c.ld, dedx, m + 1 < model_.members(), of(e, u_.data()),
                            stream_);
        }
}

template <class Real>
void Engine<Real>::vjp(Results& results) {
    pairs_.reserve(3 * static_cast<std::size_t>(list_.entries));
    for (int e = 0; e < model_.elements(); ++e)
        launch_vjp(model_.plan(e), list_, species_, centers_of_[e], of(e, u_.data()), pairs_.data(), stream_);
    if (atoms_ > 0)
        launch_forces(list_, atoms_, centers_, pairs_.data(), results.forces, results.virials, stream_);
    launch_sums(structures(), first_atom_on_device_, 9, results.virials, results.virial, stream_);
}

template <class Real>
void Engine<Real>::jvp(const double* v, const double* strain) {
    u_.reserve(columns());
    pairs_.reserve(3 * static_cast<std::size_t>(list_.entries));
    launch_directions(list_, centers_, v, structure_, strain, pairs_.data(), stream_);
    for (int e = 0; e < model_.elements(); ++e)
        if (centers_of_[e].n > 0)
            launch_jvp(model_.plan(e), list_, species_, centers_of_[e], pairs_.data(), of(e, u_.data()),
                       stream_);
}

template <class Real>
void Engine<Real>::weight_gradient(const double* a, bool tangents, double* gradient) {
    double* scratch = scratch_of_networks();
    for (int e = 0; e < model_.elements(); ++e) {
        const Centers& c = centers_of_[e];
        const auto& member = model_.member(0, e);
        if (c.n > 0) {
            Real *t = tangents ? of(e, dedx_.data()) : nullptr, *weights = e_.data() + first_column(e);
            const double unit = 1.0 / member.conversion;
            launch_spread(c, structure_, a, unit, weights, stream_);
            if (tangents)
                launch_multiply(member.scaling, unit, c.n, c.ld, of(e, u_.data()), false, t, stream_);
            launch_weight_gradient(member.network(), c.n, c.ld, of(e, x_.data()), weights, t, gradient,
                                   scratch, stream_);
        }
        for (const Layer<Real>& layer : member.layers) gradient += (layer.in + std::size_t{1}) * layer.out;
    }
}

// By vjp with unit vectors. The matrix u of a function begins where its row falls on the row of ones.
template <class Real>
void Engine<Real>::derivatives() {
    const std::size_t of_function = 3 * static_cast<std::size_t>(list_.entries);
    derivatives_.reserve(width() * of_function);
    for (int e = 0; e < model_.elements(); ++e) {
        const std::size_t ld = centers_of_[e].ld;
        const int functions = model_.outputs(e);
        if (ld == 0) continue;
        std::vector<Real> units((2 * functions - 1) * ld, Real(0));
        std::fill_n(units.begin() + (functions - 1) * ld, ld, Real(1));
        u_.upload(units.data(), units.size(), stream_);
        for (int f = 0; f < functions; ++f)
            launch_vjp(model_.plan(e), list_, species_, centers_of_[e], u_.data() + (functions - 1 - f) * ld,
                       derivatives_.data() + f * of_function, stream_);
    }
}

template <class Real>
void Engine<Real>::jacobian(const Contributions& contributions, double* rows) {
    derivatives();
    const int count = static_cast<int>(contributions.component.size());
    std::size_t stride = 0;
    for (int e = 0; e < model_.elements(); ++e)
        for (const Layer<Real>& l : model_.member(0, e).layers) stride += (l.in + std::size_t{1}) * l.out;
    check(cudaMemsetAsync(rows, 0, count * stride * sizeof(double), stream_));
    std::vector<ContributionsView> views;
    std::vector<const int*> first_tile;
    rows_packet_.pack(
        [&](Packet& p) {
            views.clear();
            first_tile.clear();
            const int* component = p.add(contributions.component);
            const double* scale = p.add(contributions.scale);
            for (const Contributions::OfElement& of : contributions.elements) {
                views.push_back(
                    {static_cast<int>(of.column.size()), p.add(of.column), p.add(of.row), component, scale});
                first_tile.push_back(p.add(of.first_tile));
            }
        },
        stream_);
    for (int e = 0; e < model_.elements(); ++e) {
        const auto& member = model_.member(0, e);
        const std::size_t ld = views[e].ld, matrix = model_.outputs(e) * ld;
        if (ld > 0) {
            Real *x = x_.reserve(matrix), *t = dedx_.reserve(matrix), *a = e_.reserve(ld);
            launch_contributions(views[e], centers_of_[e], list_, member.scaling, 1.0 / member.conversion,
                                 of(e, G_.data()), derivatives_.data(), x, t, a, stream_);
            launch_gradient_rows(member.network(), count, first_tile[e], ld, x, a, t, rows, stride,
                                 scratch_.reserve(rows_scratch(member.network())), stream_);
        }
        for (const Layer<Real>& l : member.layers) rows += (l.in + std::size_t{1}) * l.out;
    }
}

template <class Real>
void Engine<Real>::write_rows(const Real* columns, double* rows) {
    const std::size_t n = static_cast<std::size_t>(centers_) * model_.width();
    double* on_device = rows_.reserve(n);
    for (int e = 0; e < model_.elements(); ++e)
        if (centers_of_[e].n > 0)
            launch_to_rows(centers_of_[e], model_.outputs(e), model_.width(), of(e, columns), on_device,
                           stream_);
    const std::vector<double> values = download(on_device, n, stream_);
    std::copy(values.begin(), values.end(), rows);
}

template <class Real>
void Engine<Real>::read_rows(const double* rows, Real* columns) {
    const double* on_device =
        rows_.upload(rows, static_cast<std::size_t>(centers_) * model_.width(), stream_);
    for (int e = 0; e < model_.elements(); ++e)
        if (centers_of_[e].n > 0)
            launch_to_columns(centers_of_[e], model_.outputs(e), model_.width(), on_device, of(e, columns),
                              stream_);
}

template <class Real>
void Engine<Real>::extrapolations(int* outside) {
    int* on_device = outside_.reserve(centers_);
    for (int e = 0; e < model_.elements(); ++e)
        if (centers_of_[e].n > 0)
            launch_extrapolations(model_.member(0, e).scaling, list_, species_, centers_of_[e],
                                  of(e, G_.data()), on_device, stream_);
    const std::vector<int> values = download(on_device, centers_, stream_);
    std::copy(values.begin(), values.end(), outside);
}

template class Engine<float>;
template class Engine<double>;

}  // namespace sitewise::cuda
