#include "sitewise/training.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "kernels.hpp"
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
    std::vector<std::size_t> first;  // neighbour list, each row sorted by element
    std::vector<int> index;
    std::vector<double> vectors;
    std::vector<double> G;              // [size][width]
    std::vector<std::size_t> cache_at;  // [size], start of the atom's derivatives in `cache`
    std::vector<float> cache;           // empty: recompute
    double energy = unknown;
    std::vector<double> forces, stress;  // empty if unknown

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
    for (std::size_t i = 0; i < s.size; ++i) s.order[next[s.species[i]]++] = i;
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

// Memory of one thread.
struct Scratch {
    Environment environment;
    Network::Workspace network;
    std::vector<double> unit, gradient, padded;              // one atom
    std::vector<double> x, dedx, tangent, energies, weight;  // one element of one structure
    std::vector<std::vector<double>> x_of, dedx_of;          // [element]
    std::vector<double> forces, direction;
};

struct Prediction {
    double energy = 0.0;
    double stress[6] = {};
};

}  // namespace

struct TrainingSet::Data {
    SymmetryFunctions functions;
    std::size_t budget, used = 0;
    std::size_t width;
    Relevant relevant;
    std::vector<Structure> structures;

    // -- preparation ---------------------------------------------------------------------------------

    void load(const Structure& s, std::size_t i, Environment& environment) const {
        functions.load(s.species[i], s.neighbors(i), s.index.data() + s.first[i], s.species.data(),
                       s.vectors.data() + 3 * s.first[i], environment);
    }

    // Grants the cache to whole structures in their order, so that it does not depend on threads.
    void grant(Structure& s, std::size_t& used_bytes) const {
        std::size_t total = 0;
        s.cache_at.resize(s.size);
        for (std::size_t i = 0; i < s.size; ++i) {
            s.cache_at[i] = total;
            total += for_each_block(s, relevant, i, [](const CacheBlock&) {});
        }
        if (used_bytes + total * sizeof(float) > budget) return;
        used_bytes += total * sizeof(float);
        s.cache.resize(total);
    }

    void fill(Structure& s, Scratch& scratch) const {
        s.G.assign(s.size * width, unknown);
        for (std::size_t i = 0; i < s.size; ++i) {
            load(s, i, scratch.environment);
            functions.evaluate(scratch.environment, &s.G[i * width]);
            if (!s.cache.empty()) fill_cache(s, i, scratch);
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
                std::copy_n(&scratch.gradient[3 * block.begin], 3 * block.count, D);
            });
        }
    }

    // -- the operators, cached or not ------------------------------------------------------------------

    void vjp(const Structure& s, std::size_t i, const double* u, double* gradient, Scratch& scratch) const {
        if (s.cache.empty()) {
            load(s, i, scratch.environment);
            return functions.vjp(scratch.environment, u, gradient);
        }
        const float* D = s.cache.data() + s.cache_at[i];
        for_each_block(s, relevant, i, [&](const CacheBlock& block) {
            scratch.padded.assign(block.width, 0.0);
            kernels().pull(block.functions->size(), block.width, block.functions->data(), D + block.offset, u,
                           scratch.padded.data());
            std::copy_n(scratch.padded.data(), 3 * block.count, gradient + 3 * block.begin);
        });
    }

    void jvp(const Structure& s, std::size_t i, const double* v, double* dG, Scratch& scratch) const {
        if (s.cache.empty()) {
            load(s, i, scratch.environment);
            return functions.jvp(scratch.environment, v, dG);
        }
        const float* D = s.cache.data() + s.cache_at[i];
        std::fill_n(dG, functions.count(s.species[i]), 0.0);
        for_each_block(s, relevant, i, [&](const CacheBlock& block) {
            scratch.padded.assign(block.width, 0.0);
            std::copy_n(v + 3 * block.begin, 3 * block.count, scratch.padded.data());
            kernels().push(block.functions->size(), block.width, block.functions->data(), D + block.offset,
                           scratch.padded.data(), dG);
        });
    }

    // -- one structure through the potential -------------------------------------------------------------

    // Energy, and forces and stress if asked for; keeps inputs x and de/dx for the gradient.
    Prediction predict(const Potential& potential,
                       const Structure& s,
                       bool derivatives,
                       Scratch& scratch) const {
        Prediction result;
        const double unit = 1.0 / potential.normalization().conv_energy;
        const int n_elements = functions.elements();
        scratch.x_of.resize(n_elements);
        scratch.dedx_of.resize(n_elements);
        double virial[9] = {};
        if (derivatives) scratch.forces.assign(3 * s.size, 0.0);
        for (int e = 0; e < n_elements; ++e) {
            const std::size_t B = s.begin[e + 1] - s.begin[e], n = functions.count(e);
            if (B == 0) continue;
            std::vector<double>&x = scratch.x_of[e], &dedx = scratch.dedx_of[e];
            x.resize(B * n);
            dedx.resize(B * n);
            scratch.energies.resize(B);
            for (std::size_t b = 0; b < B; ++b) {
                std::copy_n(&s.G[s.order[s.begin[e] + b] * width], n, &x[b * n]);
                potential.scaling().apply(e, &x[b * n]);
            }
            potential.network(e).evaluate(B, x.data(), scratch.energies.data(),
                                          derivatives ? dedx.data() : nullptr);
            for (std::size_t b = 0; b < B; ++b) result.energy += scratch.energies[b] * unit;
            result.energy += B * (potential.normalization().mean_energy + potential.atom_energies()[e]);
            if (!derivatives) continue;
            for (std::size_t b = 0; b < B; ++b) {
                double* u = &dedx[b * n];
                for (std::size_t f = 0; f < n; ++f) u[f] *= unit * potential.scaling().factor(e)[f];
                add_forces(s, s.order[s.begin[e] + b], u, virial, scratch);
            }
        }
        if (derivatives && s.volume > 0.0) {
            constexpr int at[6] = {0, 4, 8, 5, 2, 1}, mirrored[6] = {0, 4, 8, 7, 6, 3};
            for (int q = 0; q < 6; ++q)
                result.stress[q] = 0.5 * (virial[at[q]] + virial[mirrored[q]]) / s.volume;
        }
        return result;
    }

    void add_forces(const Structure& s,
                    std::size_t i,
                    const double* u,
                    double* virial,
                    Scratch& scratch) const {
        const std::size_t m = s.neighbors(i), first = s.first[i];
        scratch.gradient.resize(3 * m);
        vjp(s, i, u, scratch.gradient.data(), scratch);
        for (std::size_t k = 0; k < m; ++k) {
            const double *g = &scratch.gradient[3 * k], *r = &s.vectors[3 * (first + k)];
            double *fi = &scratch.forces[3 * i],
                   *fj = &scratch.forces[3 * static_cast<std::size_t>(s.index[first + k])];
            for (int a = 0; a < 3; ++a) {
                fi[a] += g[a];
                fj[a] -= g[a];
                for (int c = 0; c < 3; ++c) virial[3 * a + c] += r[a] * g[c];
            }
        }
    }

    // Adds dL/dw for L with derivatives a = dL/dE, v = dL/dF [size][3], sigma = dL/dstress [6].
    // Since F_i = sum_j g_ij, F_j = -g_ij and stress = sum r_ij (x) g_ij / V with g_ij = (dG_i/dr_ij)^T u_i,
    // L changes with u_i as jvp(w), w_ij = v_i - v_j + sigma.r_ij / V.
    void add_gradient(const Potential& potential,
                      const Structure& s,
                      double a,
                      const double* v,
                      const double* sigma,
                      double* gradient,
                      Scratch& scratch) const {
        const double unit = 1.0 / potential.normalization().conv_energy;
        for (int e = 0; e < functions.elements(); ++e) {
            const std::size_t B = s.begin[e + 1] - s.begin[e], n = functions.count(e);
            if (B > 0) {
                scratch.weight.assign(B, a * unit);
                scratch.tangent.assign(B * n, 0.0);
                for (std::size_t b = 0; b < B && (v || sigma); ++b) {
                    double* t = &scratch.tangent[b * n];
                    const std::size_t i = s.order[s.begin[e] + b];
                    set_direction(s, i, v, sigma, scratch);
                    jvp(s, i, scratch.direction.data(), t, scratch);
                    for (std::size_t f = 0; f < n; ++f) t[f] *= unit * potential.scaling().factor(e)[f];
                }
                potential.network(e).weight_gradient(B, scratch.x_of[e].data(), scratch.weight.data(),
                                                     scratch.tangent.data(), gradient, scratch.network);
            }
            gradient += potential.network(e).n_weights();
        }
    }

    void set_direction(const Structure& s,
                       std::size_t i,
                       const double* v,
                       const double* sigma,
                       Scratch& scratch) const {
        const std::size_t m = s.neighbors(i), first = s.first[i];
        scratch.direction.assign(3 * m, 0.0);
        for (std::size_t k = 0; k < m; ++k) {
            double* w = &scratch.direction[3 * k];
            const std::size_t j = s.index[first + k];
            for (int a = 0; v && a < 3; ++a) w[a] = v[3 * i + a] - v[3 * j + a];
            if (!sigma) continue;
            const double* r = &s.vectors[3 * (first + k)];
            // Voigt order xx yy zz yz xz xy; an off-diagonal derivative is shared by ab and ba
            const double S[3][3] = {{sigma[0], 0.5 * sigma[5], 0.5 * sigma[4]},
                                    {0.5 * sigma[5], sigma[1], 0.5 * sigma[3]},
                                    {0.5 * sigma[4], 0.5 * sigma[3], sigma[2]}};
            for (int a = 0; a < 3; ++a) w[a] += (S[a][0] * r[0] + S[a][1] * r[1] + S[a][2] * r[2]) / s.volume;
        }
    }
};

TrainingSet::TrainingSet(const SymmetryFunctions& functions, std::size_t memory_budget)
    : data_(std::make_unique<Data>(
          Data{functions, memory_budget, 0, functions.max_count(), relevant_functions(functions), {}})) {}
TrainingSet::~TrainingSet() = default;
TrainingSet::TrainingSet(TrainingSet&&) noexcept = default;
TrainingSet& TrainingSet::operator=(TrainingSet&&) noexcept = default;

void TrainingSet::add(std::size_t count, const Atoms* atoms, const Labels* labels, std::size_t* failed) {
    Data& d = *data_;
    std::vector<Structure> added(count);
    std::vector<std::exception_ptr> errors(count);
    const auto in_parallel = [&](auto work) {
#pragma omp parallel
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
    for (Structure& s : added) d.grant(s, used);
    in_parallel([&](std::size_t q, Scratch& scratch) { d.fill(added[q], scratch); });
    d.used = used;
    std::move(added.begin(), added.end(), std::back_inserter(d.structures));
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
                for (std::size_t b = s.begin[e]; b < s.begin[e + 1]; ++b) work(&s.G[s.order[b] * d.width]);
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

double TrainingSet::predict(const Potential& potential,
                            std::size_t structure,
                            double* forces,
                            double* stress) const {
    const Structure& s = data_->structures[structure];
    Scratch scratch;
    const Prediction p = data_->predict(potential, s, forces || stress, scratch);
    if (forces) std::copy(scratch.forces.begin(), scratch.forces.end(), forces);
    for (int q = 0; stress && q < 6; ++q) stress[q] = s.volume > 0.0 ? p.stress[q] : unknown;
    return p.energy;
}

Loss TrainingSet::loss(const Potential& potential,
                       const std::vector<std::size_t>& structures,
                       LossWeights weights,
                       double* gradient) const {
    const Data& d = *data_;
    const std::size_t n_weights = potential.n_weights();
    double n_energies = 0, n_forces = 0, n_stresses = 0;
    for (std::size_t q : structures) {
        const Structure& s = d.structures[q];
        n_energies += s.has_energy();
        n_forces += static_cast<double>(s.forces.size());
        n_stresses += static_cast<double>(s.stress.size());
    }

    // A fixed number of groups, each summed in order, makes the result independent of the threads.
    constexpr std::size_t most_groups = 64;
    const std::size_t groups = std::min(structures.size(), most_groups);
    std::vector<Loss> part(groups);
    std::vector<std::vector<double>> slope(groups);
    FirstError error;

    const auto one = [&](const Structure& s, Loss& sum, double* g, Scratch& scratch) {
        const bool use_forces = !s.forces.empty() && (weights.force > 0.0 || !g);
        const bool use_stress = !s.stress.empty() && (weights.stress > 0.0 || !g);
        const Prediction p = d.predict(potential, s, use_forces || use_stress, scratch);
        double a = 0.0, sigma[6] = {};
        if (s.has_energy()) {
            const double N = static_cast<double>(s.size), de = (p.energy - s.energy) / N;
            sum.energy += de * de / n_energies;
            a = 2.0 * de / (N * n_energies);
        }
        if (use_forces)
            for (std::size_t q = 0; q < s.forces.size(); ++q) {
                const double df = scratch.forces[q] - s.forces[q];
                sum.force += df * df / n_forces;
                scratch.forces[q] = 2.0 * weights.force * df / n_forces;
            }
        if (use_stress)
            for (int q = 0; q < 6; ++q) {
                const double ds = p.stress[q] - s.stress[q];
                sum.stress += ds * ds / n_stresses;
                sigma[q] = 2.0 * weights.stress * ds / n_stresses;
            }
        if (g)
            d.add_gradient(potential, s, a, use_forces ? scratch.forces.data() : nullptr,
                           use_stress ? sigma : nullptr, g, scratch);
    };

#pragma omp parallel
    {
        Scratch scratch;
#pragma omp for schedule(dynamic)
        for (std::size_t group = 0; group < groups; ++group)
            error.run([&] {
                if (gradient) slope[group].assign(n_weights, 0.0);
                const std::size_t begin = group * structures.size() / groups;
                const std::size_t end = (group + 1) * structures.size() / groups;
                for (std::size_t q = begin; q < end; ++q)
                    one(d.structures[structures[q]], part[group], gradient ? slope[group].data() : nullptr,
                        scratch);
            });
    }
    error.rethrow();

    Loss total;
    if (gradient) std::fill_n(gradient, n_weights, 0.0);
    for (std::size_t group = 0; group < groups; ++group) {
        total.energy += part[group].energy;
        total.force += part[group].force;
        total.stress += part[group].stress;
        for (std::size_t w = 0; gradient && w < n_weights; ++w) gradient[w] += slope[group][w];
    }
    total.value = total.energy + weights.force * total.force + weights.stress * total.stress;
    return total;
}

}  // namespace sitewise
