#include "sitewise/training.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "backend.hpp"
#include "kernels.hpp"
#include "memory.hpp"
#include "network_of.hpp"
#include "parallel.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// Rows of the cache are padded with zeros to this many floats, so that loops have no remainder.
constexpr std::size_t padding = 8;

std::size_t padded(std::size_t n) {
    return (n + padding - 1) / padding * padding;
}

struct Structure {
    std::size_t size = 0;
    double volume = 0.0;  // 0 unless periodic in three directions
    std::vector<int> species;
    std::vector<std::size_t> order;  // atoms sorted by element
    std::vector<std::size_t> begin;  // [elements + 1], ranges of `order`
    std::vector<std::size_t> place;  // [size], of an atom among those of its element
    std::vector<std::size_t> first;  // neighbour list, each row sorted by element
    std::vector<int> index;
    std::vector<double> vectors;
    std::vector<double> G;              // [size][width]
    std::vector<std::size_t> cache_at;  // [size + 1], where each atom's derivatives begin, and the end
    float* cache = nullptr;             // null: stored
    Stored stored;                      // no file: recompute
    double energy = unknown;
    std::vector<double> forces, stress;  // empty if unknown
    double weight = 1.0;                 // of energy and stress in the loss
    std::vector<double> force_weights;   // [size], empty: 1

    bool has_derivatives() const { return cache || stored.file; }
    bool has_energy() const { return !std::isnan(energy); }
    std::size_t neighbors(std::size_t i) const { return first[i + 1] - first[i]; }
};

double volume_of(const Atoms& atoms) {
    if (!(atoms.periodic[0] && atoms.periodic[1] && atoms.periodic[2])) return 0.0;
    const auto& [a, b, c] = atoms.cell;
    return std::fabs(a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) +
                     a[2] * (b[0] * c[1] - b[1] * c[0]));
}

void check_labels(const Structure& s) {
    const auto finite = [](const std::vector<double>& v) {
        return std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x); });
    };
    if (std::isinf(s.energy)) throw Error("the energy is not finite");
    if (!finite(s.forces)) throw Error("a force is not finite");
    if (!finite(s.stress)) throw Error("a stress component is not finite");
    if (!s.stress.empty() && s.volume == 0.0)
        throw Error("a stress is given, but the cell is not periodic in 3 directions");
}

// Neighbour rows sorted by element, so that the derivatives of a function are contiguous.
void take_list(Structure& s, const NeighborList& list) {
    s.first = list.first;
    s.index.resize(list.index.size());
    s.vectors.resize(list.vectors.size());
    std::vector<std::size_t> row;
    for (std::size_t i = 0; i < s.size; ++i) {
        row.resize(s.neighbors(i));
        for (std::size_t k = 0; k < row.size(); ++k) row[k] = s.first[i] + k;
        std::stable_sort(row.begin(), row.end(), [&](std::size_t a, std::size_t b) {
            return s.species[list.index[a]] < s.species[list.index[b]];
        });
        for (std::size_t k = 0; k < row.size(); ++k) {
            s.index[s.first[i] + k] = list.index[row[k]];
            std::copy_n(&list.vectors[3 * row[k]], 3, &s.vectors[3 * (s.first[i] + k)]);
        }
    }
}

Structure prepare(const Atoms& atoms, const Labels& labels, int n_elements, double cutoff) {
    if (atoms.size == 0) throw Error("the structure has no atoms");
    Structure s;
    s.size = atoms.size;
    s.volume = volume_of(atoms);
    s.species.assign(atoms.species, atoms.species + atoms.size);
    s.energy = labels.energy;
    if (labels.forces) s.forces.assign(labels.forces, labels.forces + 3 * atoms.size);
    if (labels.stress) s.stress.assign(labels.stress, labels.stress + 6);
    check_labels(s);
    for (int e : s.species)
        if (e < 0 || e >= n_elements) throw Error("element index " + std::to_string(e) + " is out of range");
    for (int e = 0; e <= n_elements; ++e)
        s.begin.push_back(std::count_if(s.species.begin(), s.species.end(), [&](int x) { return x < e; }));
    s.order.resize(s.size);
    std::vector<std::size_t> next(s.begin);
    s.place.resize(s.size);
    for (std::size_t i = 0; i < s.size; ++i) {
        s.place[i] = next[s.species[i]] - s.begin[s.species[i]];
        s.order[next[s.species[i]]++] = i;
    }
    take_list(s, build_neighbors(atoms, cutoff));
    return s;
}

// Which functions of a centre depend on neighbours of an element; those of weighted neighbours on all.
using Relevant = std::vector<std::vector<std::vector<int>>>;  // [centre][neighbour element]

Relevant relevant_functions(const SymmetryFunctions& functions) {
    const int n = functions.elements();
    Relevant relevant(n, std::vector<std::vector<int>>(n));
    for (int c = 0; c < n; ++c)
        for (std::size_t f = 0; f < functions.count(c); ++f) {
            const SymmetryFunction& function = functions.functions(c)[f];
            for (int e = 0; e < n; ++e)
                if (function.neighbor1 < 0 || function.neighbor1 == e || function.neighbor2 == e)
                    relevant[c][e].push_back(static_cast<int>(f));
        }
    return relevant;
}

// One element's part of an atom's cached derivatives: rows [functions][width] for 3 count columns.
struct CacheBlock {
    const std::vector<int>* functions;
    std::size_t begin, count;  // neighbours, from the start of the row
    std::size_t width, offset;
};

// Calls visit(CacheBlock) for each neighbour element of atom i, and returns the size of its derivatives.
template <class Visit>
std::size_t for_each_block(const Structure& s, const Relevant& relevant, std::size_t i, Visit visit) {
    const auto& of_center = relevant[s.species[i]];
    const int* row = s.index.data() + s.first[i];
    const std::size_t m = s.neighbors(i);
    std::size_t begin = 0, offset = 0;
    for (std::size_t e = 0; e < of_center.size(); ++e) {
        std::size_t end = begin;
        while (end < m && s.species[row[end]] == static_cast<int>(e)) ++end;
        const std::size_t width = padded(3 * (end - begin));
        visit(CacheBlock{&of_center[e], begin, end - begin, width, offset});
        offset += width * of_center[e].size();
        begin = end;
    }
    return offset;
}

// Memory of one thread for one atom.
struct Scratch {
    Environment environment;
    std::vector<double> unit, gradient, G;
    std::vector<float> stored;
};

using Lines = std::vector<double, LineAligned<double>>;

// Structures with fewer atoms than this go through the networks together, which work on blocks of atoms.
constexpr std::size_t atoms_together = 48;

}  // namespace

struct TrainingSet::Data {
    SymmetryFunctions functions;
    std::size_t budget, used = 0;
    std::size_t width;
    Relevant relevant;
    std::vector<Structure> structures;
    LargePages<float> memory;           // of their caches
    std::uint64_t state = new_state();  // another one after each change

    static std::uint64_t new_state() {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
    }

    // -- preparation ---------------------------------------------------------------------------------

    void load(const Structure& s, std::size_t i, Environment& environment) const {
        functions.load(s.species[i], s.neighbors(i), s.index.data() + s.first[i], s.species.data(),
                       s.vectors.data() + 3 * s.first[i], environment);
    }

    // Grants the cache to whole structures in their order, so that it does not depend on threads.
    void grant(Structure& s, const Stored& stored, std::size_t& used_bytes) {
        std::size_t total = 0;
        s.cache_at.resize(s.size + 1);
        for (std::size_t i = 0; i < s.size; ++i) {
            s.cache_at[i] = total;
            total += for_each_block(s, relevant, i, [](const CacheBlock&) {});
        }
        s.cache_at[s.size] = total;
        if (stored.file && stored.count != total)
            throw Error("stored are " + std::to_string(stored.count) + " derivatives, expected " +
                        std::to_string(total));
        s.stored = stored;
        s.stored.features = nullptr;
        if (used_bytes + total * sizeof(float) > budget) return;
        used_bytes += total * sizeof(float);
        s.cache = memory.take(total);
    }

    void fill(Structure& s, const Stored& stored, Scratch& scratch) const {
        if (stored.features) {
            s.G.assign(stored.features, stored.features + s.size * width);
            if (s.cache) read_stored(s, 0, s.size, s.cache);
            return;
        }
        s.G.assign(s.size * width, unknown);
        for (std::size_t i = 0; i < s.size; ++i) {
            load(s, i, scratch.environment);
            functions.evaluate(scratch.environment, s.G.data() + i * width);
            if (s.cache) fill_cache(s, i, scratch);
        }
    }

    // Row by row from the operator itself, with unit vectors: what training sees is what vjp gives.
    void fill_cache(Structure& s, std::size_t i, Scratch& scratch) const {
        const std::size_t n = functions.count(s.species[i]);
        scratch.unit.assign(n, 0.0);
        scratch.gradient.resize(3 * s.neighbors(i));
        for (std::size_t f = 0; f < n; ++f) {
            scratch.unit[f] = 1.0;
            functions.vjp(scratch.environment, scratch.unit.data(), scratch.gradient.data());
            scratch.unit[f] = 0.0;
            for_each_block(s, relevant, i, [&](const CacheBlock& block) {
                const auto& rows = *block.functions;
                const auto row = std::find(rows.begin(), rows.end(), static_cast<int>(f));
                if (row == rows.end()) return;
                float* D = &s.cache[s.cache_at[i] + block.offset + (row - rows.begin()) * block.width];
                std::copy_n(scratch.gradient.data() + 3 * block.begin, 3 * block.count, D);
                std::fill(D + 3 * block.count, D + block.width, 0.0f);
            });
        }
    }

    static void read_stored(const Structure& s, std::size_t begin, std::size_t end, float* to) {
        s.stored.file->read(s.stored.offset + s.cache_at[begin] * sizeof(float),
                            (s.cache_at[end] - s.cache_at[begin]) * sizeof(float), to);
    }

    // Of atom i, which are cached or stored
    static const float* derivatives(const Structure& s, std::size_t i, std::vector<float>& scratch) {
        if (s.cache) return s.cache + s.cache_at[i];
        scratch.resize(s.cache_at[i + 1] - s.cache_at[i]);
        read_stored(s, i, i + 1, scratch.data());
        return scratch.data();
    }

    // -- the operators, cached or not ------------------------------------------------------------------

    // gradient [3 neighbours] and `padding` more, which may be overwritten
    void vjp(const Structure& s, std::size_t i, const double* u, double* gradient, Scratch& scratch) const {
        if (!s.has_derivatives()) {
            load(s, i, scratch.environment);
            return functions.vjp(scratch.environment, u, gradient);
        }
        const float* D = derivatives(s, i, scratch.stored);
        for_each_block(s, relevant, i, [&](const CacheBlock& block) {
            kernels().pull(block.functions->size(), block.width, block.functions->data(), D + block.offset, u,
                           gradient + 3 * block.begin);
        });
    }

    // v [3 neighbours] and `padding` more, which are finite
    void jvp(const Structure& s, std::size_t i, const double* v, double* dG, Scratch& scratch) const {
        if (!s.has_derivatives()) {
            load(s, i, scratch.environment);
            return functions.jvp(scratch.environment, v, dG);
        }
        const float* D = derivatives(s, i, scratch.stored);
        std::fill_n(dG, functions.count(s.species[i]), 0.0);
        for_each_block(s, relevant, i, [&](const CacheBlock& block) {
            kernels().push(block.functions->size(), block.width, block.functions->data(), D + block.offset,
                           v + 3 * block.begin, dG);
        });
    }

    // Minus the change of G_i as `atom`, in all its places among the neighbours, moves along an axis: columns
    // of the cached derivatives
    void pull_on_neighbor(const Structure& s,
                          std::size_t i,
                          std::size_t atom,
                          int axis,
                          double* dG,
                          Scratch& scratch) const {
        const float* D = derivatives(s, i, scratch.stored);
        std::fill_n(dG, functions.count(s.species[i]), 0.0);
        for_each_block(s, relevant, i, [&](const CacheBlock& block) {
            const int* row = s.index.data() + s.first[i] + block.begin;
            for (std::size_t k = 0; k < block.count; ++k) {
                if (row[k] != static_cast<int>(atom)) continue;
                const float* column = D + block.offset + 3 * k + axis;
                for (std::size_t q = 0; q < block.functions->size(); ++q)
                    dG[(*block.functions)[q]] -= column[q * block.width];
            }
        });
    }
};

namespace {

// A structure of a pass: what is predicted for it, and how the loss depends on that.
struct Slot {
    const Structure* s;
    std::size_t first;  // atom of the pass
    bool forces, stress;
    double energy = 0.0;
    double virial[9] = {}, predicted_stress[6] = {};
    double a = 0.0;        // dL/dE
    double sigma[6] = {};  // dL/dstress
};

// The atoms of one element in blocks of batch_size, see Kernels::trace.
struct ElementAtoms {
    struct Place {
        std::size_t slot, atom;
    };
    std::vector<Place> places;
    Lines x, dedx, trace, weight, tangent, scratch;

    std::size_t blocks() const { return (places.size() + batch_size - 1) / batch_size; }
    void resize(const NetworkOf<double>& network) {
        const std::size_t lanes = blocks() * batch_size;
        x.resize(lanes * network.inputs());
        dedx.resize(x.size());
        tangent.resize(x.size());
        weight.resize(lanes);
        trace.resize(lanes * 4 * network.nodes());
        scratch.resize(lanes * 2 * network.nodes());
    }
};

// The first of `n` rows of atom b in blocks [.][n][batch_size]
std::size_t lane(std::size_t b, std::size_t n) {
    return b / batch_size * n * batch_size + b % batch_size;
}

// Some structures through the potential and the derivative of a loss back; memory of one thread.
template <class Data>
class Pass {
public:
    Pass(const Data& data, const Potential& potential)
        : data_(data), potential_(potential), unit_(1.0 / potential.normalization().conv_energy) {
        for (int e = 0; e < data.functions.elements(); ++e) networks_.emplace_back(potential.network(e));
        atoms_.resize(networks_.size());
        gathered_.resize(networks_.size());
    }

    std::vector<Slot> slots;
    double* forces(const Slot& slot) { return forces_.data() + 3 * slot.first; }

    void clear() {
        slots.clear();
        size_ = 0;
        for (ElementAtoms& of : atoms_) of.places.clear();
    }
    std::size_t size() const { return size_; }

    void add(const Structure& s, bool forces, bool stress) {
        for (std::size_t e = 0; e < atoms_.size(); ++e)
            for (std::size_t b = s.begin[e]; b < s.begin[e + 1]; ++b)
                atoms_[e].places.push_back({slots.size(), s.order[b]});
        slots.push_back({&s, size_, forces, stress});
        size_ += s.size;
    }

    // Energies, and forces and stress where asked for
    void predict() {
        bool derivatives = false;
        for (const Slot& slot : slots) derivatives |= slot.forces || slot.stress;
        forces_.assign(3 * size_, 0.0);
        for (std::size_t e = 0; e < atoms_.size(); ++e)
            if (!atoms_[e].places.empty()) predict(static_cast<int>(e), derivatives);
        for (Slot& slot : slots) {
            constexpr int at[6] = {0, 4, 8, 5, 2, 1}, mirrored[6] = {0, 4, 8, 7, 6, 3};
            for (int q = 0; slot.stress && q < 6; ++q)
                slot.predicted_stress[q] =
                    0.5 * (slot.virial[at[q]] + slot.virial[mirrored[q]]) / slot.s->volume;
        }
    }

    // Adds dL/dw to gradient, for a and sigma of the slots and v = dL/dF in place of the forces.
    // Since F_i = sum_j g_ij, F_j = -g_ij and stress = sum r_ij (x) g_ij / V with g_ij = (dG_i/dr_ij)^T u_i,
    // L changes with u_i as jvp(w), w_ij = v_i - v_j + sigma.r_ij / V.
    void add_gradient(double* gradient) {
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
                data_.jvp(*slot.s, atom, direction_.data(), scratch_.G.data(), scratch_);
                set_tangent(static_cast<int>(e), b, of.tangent);
            }
            if (!of.places.empty()) weight_gradient(e, of, tangents, gradient);
            gradient += potential_.network(static_cast<int>(e)).n_weights();
        }
    }

    // dE/dw of the one structure of the pass
    void energy_row(double* row) {
        slots.front().a = 1.0;
        slots.front().forces = slots.front().stress = false;
        add_gradient(row);
    }

    // d/dw of component `axis` of the force on an atom of the one structure of the pass, which only the atom
    // and its neighbours contribute to
    void force_row(std::size_t atom, int axis, double* row) {
        const Structure& s = *slots.front().s;
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

private:
    void predict(int e, bool derivatives) {
        ElementAtoms& of = atoms_[e];
        NetworkOf<double>& network = networks_[e];
        const std::size_t n = network.inputs();
        const double* factor = potential_.scaling().factor(e).data();
        of.resize(network);
        std::fill(of.x.begin(), of.x.end(), 0.0);
        scratch_.G.resize(n);
        for (std::size_t b = 0; b < of.places.size(); ++b) {
            const auto [place, atom] = of.places[b];
            std::copy_n(slots[place].s->G.data() + atom * data_.width, n, scratch_.G.data());
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

    // With u = de/dG in scratch_.G
    void add_forces(Slot& slot, std::size_t i) {
        const Structure& s = *slot.s;
        const std::size_t m = s.neighbors(i), first = s.first[i];
        scratch_.gradient.resize(3 * m + padding);
        data_.vjp(s, i, scratch_.G.data(), scratch_.gradient.data(), scratch_);
        double* const F = forces(slot);
        double own[3] = {};
        for (std::size_t k = 0; k < m; ++k) {
            const double* g = &scratch_.gradient[3 * k];
            double* fj = F + 3 * static_cast<std::size_t>(s.index[first + k]);
            for (int a = 0; a < 3; ++a) {
                own[a] += g[a];
                fj[a] -= g[a];
            }
        }
        for (int a = 0; a < 3; ++a) F[3 * i + a] += own[a];
        for (std::size_t k = 0; slot.stress && k < m; ++k)
            for (int a = 0; a < 3; ++a)
                for (int c = 0; c < 3; ++c)
                    slot.virial[3 * a + c] += s.vectors[3 * (first + k) + a] * scratch_.gradient[3 * k + c];
    }

    void set_direction(const Slot& slot, std::size_t i) {
        const Structure& s = *slot.s;
        const std::size_t m = s.neighbors(i), first = s.first[i];
        direction_.resize(3 * m + padding);
        std::fill_n(direction_.data() + (slot.forces ? 3 * m : 0), slot.forces ? padding : 3 * m + padding,
                    0.0);
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
        // Voigt order xx yy zz yz xz xy; an off-diagonal derivative is shared by ab and ba
        const double S[3][3] = {{sigma[0], 0.5 * sigma[5], 0.5 * sigma[4]},
                                {0.5 * sigma[5], sigma[1], 0.5 * sigma[3]},
                                {0.5 * sigma[4], 0.5 * sigma[3], sigma[2]}};
        for (std::size_t k = 0; k < m; ++k) {
            const double* r = &s.vectors[3 * (first + k)];
            for (int a = 0; a < 3; ++a)
                direction_[3 * k + a] += (S[a][0] * r[0] + S[a][1] * r[1] + S[a][2] * r[2]) / s.volume;
        }
    }

    // scratch_.G: minus the change of G_i as an atom moves along an axis
    void change_with(const Structure& s, std::size_t i, std::size_t atom, int axis) {
        if (i != atom && s.has_derivatives())
            return data_.pull_on_neighbor(s, i, atom, axis, scratch_.G.data(), scratch_);
        direction_.assign(3 * s.neighbors(i) + padding, 0.0);
        for (std::size_t k = 0; k < s.neighbors(i); ++k)
            direction_[3 * k + axis] = (i == atom) - (s.index[s.first[i] + k] == static_cast<int>(atom));
        data_.jvp(s, i, direction_.data(), scratch_.G.data(), scratch_);
    }

    // Lane b of t: the change of the network's inputs of an atom whose functions change by scratch_.G
    void set_tangent(int e, std::size_t b, Lines& t) {
        const std::size_t n = networks_[e].inputs();
        const double* factor = potential_.scaling().factor(e).data();
        for (std::size_t f = 0; f < n; ++f)
            t[lane(b, n) + f * batch_size] = scratch_.G[f] * unit_ * factor[f];
    }

    void weight_gradient(std::size_t e, ElementAtoms& of, bool tangents, double* gradient) {
        kernels().weight_gradient(networks_[e].view(), of.blocks(), of.x.data(), of.trace.data(),
                                  of.weight.data(), tangents ? of.tangent.data() : nullptr, of.scratch.data(),
                                  gradient);
    }

    // Inputs and trace of the atoms of gathered_ from those of all atoms of the structure
    void gather(std::size_t e) {
        const NetworkOf<double>& network = networks_[e];
        const Structure& s = *slots.front().s;
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

    const Data& data_;
    const Potential& potential_;
    const double unit_;  // eV in the networks' units, inverted
    std::vector<NetworkOf<double>> networks_;
    std::vector<ElementAtoms> atoms_, gathered_;
    std::vector<double> forces_, direction_;
    std::vector<int> near_;
    Scratch scratch_;
    std::size_t size_ = 0;
};

}  // namespace

TrainingSet::TrainingSet(const SymmetryFunctions& functions, std::size_t memory_budget)
    : data_(std::make_unique<Data>(Data{functions,
                                        memory_budget,
                                        0,
                                        functions.max_count(),
                                        relevant_functions(functions),
                                        {},
                                        {},
                                        Data::new_state()})) {}
TrainingSet::~TrainingSet() = default;
TrainingSet::TrainingSet(TrainingSet&&) noexcept = default;
TrainingSet& TrainingSet::operator=(TrainingSet&&) noexcept = default;

void TrainingSet::add(std::size_t count,
                      const Atoms* atoms,
                      const Labels* labels,
                      const Stored* stored,
                      std::size_t* failed) {
    Data& d = *data_;
    const std::vector<Stored> nothing(stored ? 0 : count);
    if (!stored) stored = nothing.data();
    std::vector<Structure> added(count);
    std::vector<std::exception_ptr> errors(count);
    const auto in_parallel = [&](auto work) {
#pragma omp parallel num_threads(max_threads())
        {
            Scratch scratch;
#pragma omp for schedule(dynamic)
            for (std::size_t q = 0; q < count; ++q) {
                try {
                    work(q, scratch);
                } catch (...) {
                    errors[q] = std::current_exception();
                }
            }
        }
        for (std::size_t q = 0; q < count; ++q) {
            if (!errors[q]) continue;
            if (failed) *failed = q;
            std::rethrow_exception(errors[q]);
        }
    };
    const double cutoff = d.functions.cutoff();
    in_parallel([&](std::size_t q, Scratch&) {
        added[q] = prepare(atoms[q], labels[q], d.functions.elements(), cutoff);
    });
    std::size_t used = d.used;
    for (std::size_t q = 0; q < count; ++q) {
        if (failed) *failed = q;
        d.grant(added[q], stored[q], used);
    }
    in_parallel([&](std::size_t q, Scratch& scratch) { d.fill(added[q], stored[q], scratch); });
    d.used = used;
    std::move(added.begin(), added.end(), std::back_inserter(d.structures));
    d.state = Data::new_state();
}

int TrainingSet::elements() const {
    return data_->functions.elements();
}
std::size_t TrainingSet::max_count() const {
    return data_->width;
}
std::size_t TrainingSet::size() const {
    return data_->structures.size();
}
std::size_t TrainingSet::atoms(std::size_t structure) const {
    return data_->structures[structure].size;
}
std::size_t TrainingSet::cached_bytes() const {
    return data_->used;
}

std::size_t TrainingSet::atoms() const {
    std::size_t n = 0;
    for (const Structure& s : data_->structures) n += s.size;
    return n;
}

const std::vector<int>& TrainingSet::species(std::size_t structure) const {
    return data_->structures[structure].species;
}

std::vector<double> TrainingSet::features(std::size_t structure) const {
    return data_->structures[structure].G;
}

std::vector<float> TrainingSet::derivatives(std::size_t structure) const {
    const Structure& s = data_->structures[structure];
    if (!s.has_derivatives()) return {};
    std::vector<float> all(s.cache_at[s.size]);
    if (s.cache)
        std::copy_n(s.cache, all.size(), all.begin());
    else
        Data::read_stored(s, 0, s.size, all.data());
    return all;
}

std::vector<FeatureStatistics> TrainingSet::statistics(const std::vector<std::size_t>& structures) const {
    const Data& d = *data_;
    std::vector<FeatureStatistics> result(d.functions.elements());
    for (int e = 0; e < d.functions.elements(); ++e) {
        const std::size_t n = d.functions.count(e);
        FeatureStatistics& r = result[e];
        r.min.assign(n, HUGE_VAL);
        r.max.assign(n, -HUGE_VAL);
        r.mean.assign(n, 0.0);
        r.sigma.assign(n, 0.0);
        std::size_t atoms = 0;
        // Two passes: the variance from sums of squares would cancel for nearly constant functions.
        const auto for_each_row = [&](auto work) {
            for (std::size_t q : structures) {
                const Structure& s = d.structures[q];
                for (std::size_t b = s.begin[e]; b < s.begin[e + 1]; ++b)
                    work(s.G.data() + s.order[b] * d.width);
            }
        };
        for_each_row([&](const double* G) {
            ++atoms;
            for (std::size_t f = 0; f < n; ++f) {
                r.min[f] = std::min(r.min[f], G[f]);
                r.max[f] = std::max(r.max[f], G[f]);
                r.mean[f] += G[f];
            }
        });
        if (atoms == 0)
            throw Error("no atom of element index " + std::to_string(e) + " in the structures given");
        for (double& mean : r.mean) mean /= static_cast<double>(atoms);
        for_each_row([&](const double* G) {
            for (std::size_t f = 0; f < n; ++f) r.sigma[f] += (G[f] - r.mean[f]) * (G[f] - r.mean[f]);
        });
        for (double& sigma : r.sigma) sigma = std::sqrt(sigma / static_cast<double>(atoms));
    }
    return result;
}

void TrainingSet::set_weights(std::size_t structure, double weight, const double* force_weights) {
    data_->state = Data::new_state();
    Structure& s = data_->structures[structure];
    s.weight = weight;
    s.force_weights.assign(s.size, weight);
    for (std::size_t i = 0; force_weights && i < s.size; ++i) s.force_weights[i] = weight * force_weights[i];
}

double TrainingSet::weight(std::size_t structure) const {
    return data_->structures[structure].weight;
}

std::vector<double> TrainingSet::force_weights(std::size_t structure) const {
    const Structure& s = data_->structures[structure];
    return s.force_weights.empty() ? std::vector<double>(s.size, 1.0) : s.force_weights;
}

double TrainingSet::predict(const Potential& potential,
                            std::size_t structure,
                            double* forces,
                            double* stress) const {
    const Structure& s = data_->structures[structure];
    Pass<Data> pass(*data_, potential);
    pass.add(s, forces || stress, stress && s.volume > 0.0);
    pass.predict();
    const Slot& slot = pass.slots.front();
    if (forces) std::copy_n(pass.forces(slot), 3 * s.size, forces);
    for (int q = 0; stress && q < 6; ++q) stress[q] = s.volume > 0.0 ? slot.predicted_stress[q] : unknown;
    return slot.energy;
}

namespace {

struct Counts {
    double energies = 0, forces = 0, stresses = 0;
};

// Adds the errors of a slot to the sum; sets dL/d(prediction) in it and in place of its forces.
void add_errors(Slot& slot, double* forces, const Counts& n, LossWeights weights, Loss& sum) {
    const Structure& s = *slot.s;
    if (s.has_energy()) {
        const double N = static_cast<double>(s.size), de = (slot.energy - s.energy) / N;
        sum.energy += de * de / n.energies;
        sum.value += s.weight * de * de / n.energies;
        slot.a = 2.0 * s.weight * de / (N * n.energies);
    }
    for (std::size_t q = 0; slot.forces && q < s.forces.size(); ++q) {
        const double df = forces[q] - s.forces[q];
        const double w = (s.force_weights.empty() ? 1.0 : s.force_weights[q / 3]) * weights.force / n.forces;
        sum.force += df * df / n.forces;
        sum.value += w * df * df;
        forces[q] = 2.0 * w * df;
    }
    for (int q = 0; slot.stress && q < 6; ++q) {
        const double ds = slot.predicted_stress[q] - s.stress[q], w = s.weight * weights.stress / n.stresses;
        sum.stress += ds * ds / n.stresses;
        sum.value += w * ds * ds;
        slot.sigma[q] = 2.0 * w * ds;
    }
}

void append(const Structure& s, LabelledBatch& batch) {
    const int atoms = static_cast<int>(batch.species.size()), entries = static_cast<int>(batch.index.size());
    batch.species.insert(batch.species.end(), s.species.begin(), s.species.end());
    batch.first_atom.push_back(static_cast<int>(batch.species.size()));
    for (std::size_t i = 1; i < s.first.size(); ++i)
        batch.first.push_back(entries + static_cast<int>(s.first[i]));
    for (int j : s.index) batch.index.push_back(atoms + j);
    batch.vectors.insert(batch.vectors.end(), s.vectors.begin(), s.vectors.end());
    batch.volume.push_back(s.volume);
    batch.energy.push_back(s.energy);
    batch.weight.push_back(s.weight);
    const auto known = [](const std::vector<double>& values, std::size_t n, std::vector<double>& all) {
        if (values.empty())
            all.insert(all.end(), n, unknown);
        else
            all.insert(all.end(), values.begin(), values.end());
    };
    known(s.stress, 6, batch.stress);
    known(s.forces, 3 * s.size, batch.forces);
    for (std::size_t i = 0; i < s.size; ++i)
        batch.force_weights.push_back(s.force_weights.empty() ? 1.0 : s.force_weights[i]);
}

LabelledBatch batch_of(const std::vector<Structure>& all,
                       const std::vector<std::size_t>& chosen,
                       const Counts& counts) {
    LabelledBatch batch;
    batch.first_atom = batch.first = {0};
    batch.energies = counts.energies;
    batch.force_components = counts.forces;
    batch.stress_components = counts.stresses;
    for (std::size_t q : chosen) append(all[q], batch);
    return batch;
}

}  // namespace

Loss TrainingSet::loss(const Potential& potential,
                       const std::vector<std::size_t>& structures,
                       LossWeights weights,
                       double* gradient) const {
    const Data& d = *data_;
    const std::size_t n_weights = potential.n_weights();
    Counts counts;
    for (std::size_t q : structures) {
        const Structure& s = d.structures[q];
        counts.energies += s.has_energy();
        counts.forces += static_cast<double>(s.forces.size());
        counts.stresses += static_cast<double>(s.stress.size());
    }

    if (Backend* backend = BackendAccess::of(potential)) {
        std::vector<std::uint64_t> key(structures.begin(), structures.end());
        key.push_back(d.state);
        return backend->loss(
            d.functions, potential, key, [&] { return batch_of(d.structures, structures, counts); }, weights,
            gradient);
    }

    // A fixed number of groups, each summed in order, makes the result independent of the threads.
    constexpr std::size_t most_groups = 64;
    const std::size_t groups = std::min(structures.size(), most_groups);
    std::vector<Loss> part(groups);
    std::vector<std::vector<double>> slope(groups);
    FirstError error;

    const auto finish = [&](Pass<Data>& pass, std::size_t group) {
        pass.predict();
        for (Slot& slot : pass.slots) add_errors(slot, pass.forces(slot), counts, weights, part[group]);
        if (gradient) pass.add_gradient(slope[group].data());
        pass.clear();
    };

#pragma omp parallel num_threads(max_threads())
    {
        std::unique_ptr<Pass<Data>> pass;
        error.run([&] { pass = std::make_unique<Pass<Data>>(d, potential); });
#pragma omp for schedule(dynamic)
        for (std::size_t group = 0; group < groups; ++group)
            error.run([&] {
                if (gradient) slope[group].assign(n_weights, 0.0);
                const std::size_t begin = group * structures.size() / groups;
                const std::size_t end = (group + 1) * structures.size() / groups;
                for (std::size_t q = begin; q < end; ++q) {
                    const Structure& s = d.structures[structures[q]];
                    pass->add(s, !s.forces.empty() && (weights.force > 0.0 || !gradient),
                              !s.stress.empty() && (weights.stress > 0.0 || !gradient));
                    if (pass->size() >= atoms_together || q + 1 == end) finish(*pass, group);
                }
            });
    }
    error.rethrow();

    Loss total;
    if (gradient) std::fill_n(gradient, n_weights, 0.0);
    for (std::size_t group = 0; group < groups; ++group) {
        total.value += part[group].value;
        total.energy += part[group].energy;
        total.force += part[group].force;
        total.stress += part[group].stress;
        for (std::size_t w = 0; gradient && w < n_weights; ++w) gradient[w] += slope[group][w];
    }
    return total;
}

void TrainingSet::jacobian(const Potential& potential,
                           const std::vector<std::size_t>& structures,
                           const std::vector<std::vector<std::size_t>>& components,
                           double* rows) const {
    const std::size_t n_weights = potential.n_weights();
    std::vector<std::size_t> first(structures.size() + 1, 0);
    for (std::size_t q = 0; q < structures.size(); ++q) first[q + 1] = first[q] + 1 + components[q].size();
    std::fill_n(rows, first.back() * n_weights, 0.0);
    FirstError error;
#pragma omp parallel num_threads(max_threads())
    {
        std::unique_ptr<Pass<Data>> pass;
        error.run([&] { pass = std::make_unique<Pass<Data>>(*data_, potential); });
#pragma omp for schedule(dynamic)
        for (std::size_t q = 0; q < structures.size(); ++q)
            error.run([&] {
                pass->clear();
                pass->add(data_->structures[structures[q]], true, false);
                pass->predict();
                double* row = rows + first[q] * n_weights;
                for (std::size_t component : components[q])
                    pass->force_row(component / 3, static_cast<int>(component % 3), row += n_weights);
                pass->energy_row(rows + first[q] * n_weights);
            });
    }
    error.rethrow();
}

}  // namespace sitewise
