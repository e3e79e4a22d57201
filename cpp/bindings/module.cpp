// Pointers and shapes between numpy and the library; no mathematics here.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "backend.hpp"
#include "device_array.hpp"
#include "keywords.hpp"
#include "parallel.hpp"
#include "sitewise/ensemble.hpp"
#include "sitewise/error.hpp"
#include "sitewise/training.hpp"

namespace py = pybind11;
using namespace sitewise;

namespace {

using Floats = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Floats32 = py::array_t<float, py::array::c_style>;
using Ints = py::array_t<int, py::array::c_style | py::array::forcecast>;
using Flags = py::array_t<bool, py::array::c_style | py::array::forcecast>;
using Shape = std::vector<py::ssize_t>;

template <class Array>
void require(const Array& array, const Shape& shape, const char* name) {
    const Shape found(array.shape(), array.shape() + array.ndim());
    if (found == shape) return;
    const auto text = [](const Shape& s) {
        std::string t = "(";
        for (py::ssize_t n : s) t += (t.size() > 1 ? ", " : "") + std::to_string(n);
        return t + ")";
    };
    throw Error(std::string(name) + " has shape " + text(found) + ", expected " + text(shape));
}

Floats array(const Shape& shape, const std::vector<double>& values) {
    Floats result(shape);
    std::copy(values.begin(), values.end(), result.mutable_data());
    return result;
}

// What Python gives as an array, of one of the `kinds` of numpy's types: no fraction becomes an index, no
// text and no imaginary part is dropped.
template <class Array>
Array array_of(const py::object& given, const std::string& kinds, const char* name) {
    const py::array any = py::array::ensure(given);
    if (!any) throw Error(std::string(name) + " is not an array");
    if (any.size() > 0 && kinds.find(any.dtype().kind()) == std::string::npos)
        throw Error(std::string(name) + " has the type " + py::str(any.dtype()).cast<std::string>() +
                    ", expected " +
                    (kinds == "fiu"  ? "numbers"
                     : kinds == "iu" ? "whole numbers"
                                     : "true or false"));
    return Array::ensure(any);
}

Floats numbers(const py::object& given, const char* name) {
    return array_of<Floats>(given, "fiu", name);
}

// Element indices, of which none may change as it becomes an int
Ints indices(const py::object& given, const char* name) {
    const Ints result = array_of<Ints>(given, "iu", name);
    if (!py::isinstance<Ints>(given) &&
        !py::bool_(py::module_::import("numpy").attr("array_equal")(result, given)))
        throw Error(std::string(name) + " has a number that is out of range");
    return result;
}

// Keeps the arrays alive while the library looks at them.
struct Structure {
    Ints species;
    Floats positions, cell;
    Flags pbc;

    Structure(const py::object& species_,
              const py::object& positions_,
              const py::object& cell_,
              const py::object& pbc_)
        : species(indices(species_, "species")),
          positions(numbers(positions_, "positions")),
          cell(numbers(cell_, "cell")),
          pbc(array_of<Flags>(pbc_, "biu", "pbc")) {
        require(species, {species.size()}, "species");
        require(positions, {species.size(), 3}, "positions");
        require(cell, {3, 3}, "cell");
        require(pbc, {3}, "pbc");
    }

    std::size_t size() const { return static_cast<std::size_t>(species.size()); }

    Atoms view() const {
        Atoms atoms;
        atoms.size = size();
        atoms.species = species.data();
        atoms.positions = positions.data();
        for (int a = 0; a < 3; ++a) {
            std::copy_n(cell.data() + 3 * a, 3, atoms.cell[a].begin());
            atoms.periodic[a] = pbc.data()[a];
        }
        return atoms;
    }
};

// An object of Python's, and who is at it while the GIL, which guards these two, is released.
template <class T>
struct Shared : T {
    using T::T;
    explicit Shared(T&& object) : T(std::move(object)) {}
    mutable int readers = 0;
    mutable bool changing = false;
};

template <class T>
[[noreturn]] void refuse() {
    const char* name = std::is_same_v<T, TrainingSet> ? "training set" : "potential";
    throw Error(std::string("the ") + name + " is in use by another thread");
}

template <class T>
void require_unchanging(const Shared<T>& object) {
    if (object.changing) refuse<T>();
}

template <class T>
void require_unused(const Shared<T>& object) {
    if (object.changing || object.readers > 0) refuse<T>();
}

// Made and ended with the GIL, which may be released in between.
template <class T>
class Reading {
public:
    explicit Reading(const Shared<T>& object) : object_(object) {
        require_unchanging(object);
        ++object.readers;
    }
    ~Reading() { --object_.readers; }
    Reading(const Reading&) = delete;

private:
    const Shared<T>& object_;
};

class Changing {
public:
    explicit Changing(bool& changing) : changing_(changing) { changing_ = true; }
    ~Changing() { changing_ = false; }
    Changing(const Changing&) = delete;

private:
    bool& changing_;
};

Device parse_device(const std::string& name) {
    if (name == "cpu") return Device::cpu;
    if (name == "cuda") return Device::cuda;
    throw Error("device \"" + name + "\" is unknown, expected cpu or cuda");
}

// Null for the processor
std::shared_ptr<Backend> backend_of(const std::string& device) {
    return parse_device(device) == Device::cpu ? nullptr : cuda_backend();
}

std::vector<std::string> devices() {
    try {
        cuda_backend();
        return {"cpu", "cuda"};
    } catch (const Error&) {
        return {"cpu"};
    }
}

void check_species(const SymmetryFunctions& functions, const Structure& structure) {
    for (std::size_t i = 0; i < structure.size(); ++i) {
        const int species = structure.species.data()[i];
        if (species < 0 || species >= functions.elements())
            throw Error("atom " + std::to_string(i) + " has element index " + std::to_string(species) +
                        ", there are " + std::to_string(functions.elements()) + " elements");
    }
}

// The operators on all environments of a structure, for tests and features; one thread is enough there.
class Environments {
public:
    Environments(const SymmetryFunctions& functions, const Structure& structure)
        : functions_(functions),
          structure_(structure),
          list_(build_neighbors(structure.view(), functions.cutoff())) {}

    std::size_t width() const { return functions_.max_count(); }
    std::size_t size() const { return structure_.size(); }
    int center(std::size_t i) const { return structure_.species.data()[i]; }
    Floats rows() const {
        Floats result({size(), width()});
        std::fill_n(result.mutable_data(), result.size(), std::nan(""));
        return result;
    }

    // work(atom, first neighbour, number of neighbours) with the environment of each atom loaded
    template <class Work>
    void for_each(Work work) {
        for (std::size_t i = 0; i < size(); ++i) {
            const std::size_t first = list_.first[i], m = list_.first[i + 1] - first;
            functions_.load(center(i), m, list_.index.data() + first, structure_.species.data(),
                            list_.vectors.data() + 3 * first, environment);
            work(i, first, m);
        }
    }

    const NeighborList& list() const { return list_; }
    Environment environment;

private:
    const SymmetryFunctions& functions_;
    const Structure& structure_;
    NeighborList list_;
};

Floats evaluate(const SymmetryFunctions& functions,
                const py::object& species,
                const py::object& positions,
                const py::object& cell,
                const py::object& pbc,
                const std::string& device) {
    const Structure structure(species, positions, cell, pbc);
    check_species(functions, structure);
    if (const auto backend = backend_of(device)) {
        Floats G({structure.size(), functions.max_count()});
        backend->evaluate(functions, structure.view(), G.mutable_data());
        return G;
    }
    Environments all(functions, structure);
    Floats G = all.rows();
    all.for_each([&](std::size_t i, std::size_t, std::size_t) {
        functions.evaluate(all.environment, G.mutable_data() + i * all.width());
    });
    return G;
}

py::tuple vjp(const SymmetryFunctions& functions,
              const py::object& species,
              const py::object& positions,
              const py::object& cell,
              const py::object& pbc,
              Floats u,
              const std::string& device) {
    const Structure structure(species, positions, cell, pbc);
    check_species(functions, structure);
    require(u, {py::ssize_t(structure.size()), py::ssize_t(functions.max_count())}, "u");
    std::vector<double> gradient(3 * structure.size()), strain(9), g;
    if (const auto backend = backend_of(device)) {
        backend->vjp(functions, structure.view(), u.data(), gradient.data(), strain.data());
        return py::make_tuple(array({py::ssize_t(structure.size()), 3}, gradient), array({3, 3}, strain));
    }
    Environments all(functions, structure);
    all.for_each([&](std::size_t i, std::size_t first, std::size_t m) {
        g.resize(3 * m);
        functions.vjp(all.environment, u.data() + i * all.width(), g.data());
        for (std::size_t k = 0; k < m; ++k)
            for (int a = 0; a < 3; ++a) {
                gradient[3 * i + a] -= g[3 * k + a];
                gradient[3 * static_cast<std::size_t>(all.list().index[first + k]) + a] += g[3 * k + a];
                for (int b = 0; b < 3; ++b)
                    strain[3 * a + b] += g[3 * k + a] * all.list().vectors[3 * (first + k) + b];
            }
    });
    return py::make_tuple(array({py::ssize_t(all.size()), 3}, gradient), array({3, 3}, strain));
}

Floats jvp(const SymmetryFunctions& functions,
           const py::object& species,
           const py::object& positions,
           const py::object& cell,
           const py::object& pbc,
           Floats v,
           Floats strain,
           const std::string& device) {
    const Structure structure(species, positions, cell, pbc);
    check_species(functions, structure);
    require(v, {py::ssize_t(structure.size()), 3}, "v");
    require(strain, {3, 3}, "strain");
    if (const auto backend = backend_of(device)) {
        Floats dG({structure.size(), functions.max_count()});
        backend->jvp(functions, structure.view(), v.data(), strain.data(), dG.mutable_data());
        return dG;
    }
    Environments all(functions, structure);
    Floats dG = all.rows();
    std::vector<double> w;
    all.for_each([&](std::size_t i, std::size_t first, std::size_t m) {
        w.resize(3 * m);
        for (std::size_t k = 0; k < m; ++k)
            for (int a = 0; a < 3; ++a) {
                const double* r = all.list().vectors.data() + 3 * (first + k);
                const double* e = strain.data() + 3 * a;
                w[3 * k + a] = v.data()[3 * all.list().index[first + k] + a] - v.data()[3 * i + a] +
                               e[0] * r[0] + e[1] * r[1] + e[2] * r[2];
            }
        functions.jvp(all.environment, w.data(), dG.mutable_data() + i * all.width());
    });
    return dG;
}

Moments parse_moments(const std::string& name) {
    if (name == "automatic") return Moments::automatic;
    if (name == "never") return Moments::never;
    if (name == "always") return Moments::always;
    throw Error("moments \"" + name + "\" is unknown, expected automatic, never or always");
}

const std::map<std::string, ScalingType>& scaling_names() {
    static const std::map<std::string, ScalingType> names{{"none", ScalingType::none},
                                                          {"minmax", ScalingType::minmax},
                                                          {"center", ScalingType::center},
                                                          {"minmax_center", ScalingType::minmax_center},
                                                          {"sigma", ScalingType::sigma}};
    return names;
}

Scaling make_scaling(const std::string& type,
                     double smin,
                     double smax,
                     const std::vector<Floats>& statistics) {
    const auto found = scaling_names().find(type);
    if (found == scaling_names().end())
        throw Error("scaling \"" + type +
                    "\" is unknown, expected none, minmax, center, minmax_center or sigma");
    std::vector<FeatureStatistics> rows;
    for (const Floats& s : statistics) {
        if (s.ndim() != 2) throw Error("statistics of an element must be an array [4, count]");
        const py::ssize_t n = s.shape(1);
        require(s, {4, n}, "statistics");
        const auto row = [&](int k) { return std::vector<double>(s.data() + k * n, s.data() + (k + 1) * n); };
        rows.push_back({row(0), row(1), row(2), row(3)});
    }
    return {found->second, smin, smax, std::move(rows)};
}

std::string scaling_name(const Scaling& scaling) {
    for (const auto& [name, type] : scaling_names())
        if (type == scaling.type()) return name;
    return "none";
}

Floats statistics_array(const FeatureStatistics& s) {
    Floats result({std::size_t{4}, s.min.size()});
    double* at = result.mutable_data();
    for (const auto* row : {&s.min, &s.max, &s.mean, &s.sigma}) at = std::copy(row->begin(), row->end(), at);
    return result;
}

Activation parse_activation(char letter) {
    if (std::string("ltsprgcSeh").find(letter) == std::string::npos)
        throw Error(std::string("activation \"") + letter +
                    "\" is unknown, expected one of l t s p r g c S e h");
    return static_cast<Activation>(letter);
}

Network make_network(std::vector<int> nodes, const std::string& letters, bool normalize_nodes) {
    std::vector<Activation> activations;
    for (char letter : letters) activations.push_back(parse_activation(letter));
    return Network(std::move(nodes), std::move(activations), normalize_nodes);
}

Precision parse_precision(const std::string& name) {
    if (name == "float64") return Precision::float64;
    if (name == "float32") return Precision::float32;
    throw Error("precision \"" + name + "\" is unknown, expected float64 or float32");
}

py::tuple activate_numbers(char letter, const Floats& z, const std::string& precision) {
    Floats value(z.size()), slope(z.size());
    activate(parse_activation(letter), parse_precision(precision), static_cast<std::size_t>(z.size()),
             z.data(), value.mutable_data(), slope.mutable_data());
    return py::make_tuple(value, slope);
}

std::string activation_letters(const Network& network) {
    std::string letters;
    for (Activation a : network.activations()) letters += static_cast<char>(a);
    return letters;
}

std::vector<double> to_vector(const Floats& values) {
    return {values.data(), values.data() + values.size()};
}

py::tuple evaluate_network(const Network& network, Floats x) {
    if (x.ndim() != 2) throw Error("x must be an array [B, n]");
    require(x, {x.shape(0), network.nodes()[0]}, "x");
    Floats e(x.shape(0)), dedx({x.shape(0), x.shape(1)});
    network.evaluate(x.shape(0), x.data(), e.mutable_data(), dedx.mutable_data());
    return py::make_tuple(e, dedx);
}

Floats network_weight_gradient(const Network& network, Floats x, Floats a, Floats t) {
    if (x.ndim() != 2) throw Error("x must be an array [B, n]");
    require(x, {x.shape(0), network.nodes()[0]}, "x");
    require(a, {x.shape(0)}, "a");
    require(t, {x.shape(0), x.shape(1)}, "t");
    std::vector<double> gradient(network.n_weights());
    network.weight_gradient(x.shape(0), x.data(), a.data(), t.data(), gradient.data());
    return array({py::ssize_t(gradient.size())}, gradient);
}

void set_weights(Shared<Potential>& potential, const Floats& weights) {
    require_unused(potential);
    require(weights, {py::ssize_t(potential.n_weights())}, "weights");
    potential.set_weights(weights.data());
}

// Of a potential or an ensemble
template <class Model>
py::dict compute(const Shared<Model>& model,
                 const py::object& species,
                 const py::object& positions,
                 const py::object& cell,
                 const py::object& pbc,
                 bool features,
                 bool virials,
                 Shared<VerletList>* neighbors) {
    const Structure structure(species, positions, cell, pbc);
    const std::size_t n = structure.size();
    if (neighbors && neighbors->cutoff() < model.cutoff())
        throw Error("the neighbour list's cutoff is " + std::to_string(neighbors->cutoff()) +
                    " Angstrom, the potential's is " + std::to_string(model.cutoff()));
    const Reading<Model> reading(model);
    std::optional<Changing> kept;  // a list that another thread is at is left to it
    if (neighbors && !neighbors->changing) kept.emplace(neighbors->changing);
    double energy = 0.0;
    Floats energies(n), forces({n, std::size_t{3}}), virial({3, 3});
    Ints extrapolations(n);
    for (Floats* x : {&energies, &forces, &virial}) std::fill_n(x->mutable_data(), x->size(), 0.0);
    typename Model::Output out;
    out.energy = &energy;
    out.energies = energies.mutable_data();
    out.forces = forces.mutable_data();
    out.virial = virial.mutable_data();
    out.extrapolations = extrapolations.mutable_data();
    py::dict result;
    std::vector<double> member_energies;
    if constexpr (std::is_same_v<Model, Ensemble>) {
        Floats spreads(n);
        out.energies_spread = spreads.mutable_data();
        result["energies_spread"] = spreads;
        member_energies.assign(model.members().size(), 0.0);
        out.member_energies = member_energies.data();
    }
    if (features) {
        Floats x({n, model.functions().max_count()});
        out.features = x.mutable_data();
        result["features"] = x;
    }
    if (virials) {
        Floats parts({n, std::size_t{3}, std::size_t{3}});
        std::fill_n(parts.mutable_data(), parts.size(), 0.0);
        out.virials = parts.mutable_data();
        result["virials"] = parts;
    }
    {
        py::gil_scoped_release release;
        if (kept)
            model.compute(neighbors->update(structure.view()), structure.species.data(), n, out);
        else
            model.compute(structure.view(), out);
    }
    result["energy"] = energy;
    result["energies"] = energies;
    result["forces"] = forces;
    result["virial"] = virial;
    result["extrapolations"] = extrapolations;
    if (!member_energies.empty()) result["energy_spread"] = spread(member_energies);
    return result;
}

// With features; what compute() gives for each structure.
py::list compute_many(const Shared<Potential>& potential,
                      const std::vector<std::tuple<py::object, py::object, py::object, py::object>>& given) {
    const Reading<Potential> reading(potential);
    std::vector<Structure> structures;
    std::vector<Atoms> atoms;
    std::vector<double> energies(given.size());
    std::vector<Potential::Output> out;
    py::list results;
    for (const auto& [species, positions, cell, pbc] : given) {
        structures.emplace_back(species, positions, cell, pbc);
        atoms.push_back(structures.back().view());
        const std::size_t n = atoms.back().size;
        Floats of_atoms(n), forces({n, std::size_t{3}}), virial({3, 3}),
            x({n, potential.functions().max_count()});
        Ints extrapolations(n);
        for (Floats* values : {&of_atoms, &forces, &virial})
            std::fill_n(values->mutable_data(), values->size(), 0.0);
        out.push_back({energies.data() + out.size(), of_atoms.mutable_data(), forces.mutable_data(),
                       virial.mutable_data(), nullptr, x.mutable_data(), extrapolations.mutable_data()});
        py::dict result;
        result["energies"] = of_atoms;
        result["forces"] = forces;
        result["virial"] = virial;
        result["features"] = x;
        result["extrapolations"] = extrapolations;
        results.append(result);
    }
    {
        py::gil_scoped_release release;
        potential.compute(atoms, out);
    }
    for (std::size_t s = 0; s < energies.size(); ++s) results[s]["energy"] = energies[s];
    return results;
}

// energy [1], energies, forces and virial on the device, of positions there
py::dict compute_on_device(const Shared<Potential>& potential,
                           const py::object& species,
                           const py::object& positions,
                           const py::object& cell,
                           const py::object& pbc) {
    const Reading<Potential> reading(potential);
    const std::int64_t n = py::len(species);
    const DeviceView view(positions, {n, 3}, "positions");
    const Structure structure(species, Floats({n, std::int64_t{3}}), cell, pbc);
    Atoms atoms = structure.view();
    atoms.positions = view.data();
    const DeviceArray energy({1}), energies({n}), forces({n, 3}), virial({3, 3});
    Potential::Output out;
    out.energy = energy.data();
    out.energies = energies.data();
    out.forces = forces.data();
    out.virial = virial.data();
    {
        py::gil_scoped_release release;
        potential.compute_on_device(atoms, out, view.stream());
    }
    py::dict result;
    result["energy"] = energy;
    result["energies"] = energies;
    result["forces"] = forces;
    result["virial"] = virial;
    return result;
}

// Raised by TrainingSet.add; Python finds the structure's place in the attribute `index`.
struct StructureError {
    std::string message;
    std::size_t index;
};

// What belongs to each structure of an array and a file over all of them; none where nothing is given.
std::vector<Stored> stored_parts(const TrainingSet& set,
                                 const std::vector<Atoms>& atoms,
                                 const std::optional<Floats>& features,
                                 const std::shared_ptr<StoredFile>& file,
                                 std::size_t offset,
                                 const std::vector<std::size_t>& counts) {
    if (!features || !file) return {};
    std::size_t n = 0;
    for (const Atoms& a : atoms) n += a.size;
    require(*features, {py::ssize_t(n), py::ssize_t(set.max_count())}, "features");
    if (counts.size() != atoms.size()) throw Error("counts must be given for each structure");
    std::vector<Stored> stored;
    const double* G = features->data();
    for (std::size_t q = 0; q < atoms.size(); ++q) {
        stored.push_back({G, file, offset, counts[q]});
        G += atoms[q].size * set.max_count();
        offset += counts[q] * sizeof(float);
    }
    return stored;
}

py::bytes read_stored(const StoredFile& file, std::size_t offset, std::size_t size) {
    if (offset > file.size() || size > file.size() - offset)
        throw Error("bytes " + std::to_string(offset) + " to " + std::to_string(offset + size) +
                    " of a file of " + std::to_string(file.size()));
    std::string content(size, '\0');
    {
        py::gil_scoped_release release;
        file.read(offset, size, content.data());
    }
    return py::bytes(content);
}

void add_structures(Shared<TrainingSet>& set,
                    const std::vector<py::dict>& structures,
                    const std::optional<Floats>& features,
                    const std::shared_ptr<StoredFile>& file,
                    std::size_t offset,
                    const std::vector<std::size_t>& counts) {
    require_unused(set);
    std::vector<Structure> kept;
    std::vector<Floats> arrays;  // the labels
    arrays.reserve(2 * structures.size());
    std::vector<Atoms> atoms;
    std::vector<Labels> labels;
    const auto label = [&](const py::dict& d, const char* key, const Shape& shape) -> const double* {
        if (!d.contains(key) || d[key].is_none()) return nullptr;
        arrays.push_back(numbers(d[key], key));
        require(arrays.back(), shape, key);
        return arrays.back().data();
    };
    for (const py::dict& d : structures) {
        try {
            kept.emplace_back(d["species"], d["positions"], d["cell"], d["pbc"]);
            atoms.push_back(kept.back().view());
            labels.push_back({d["energy"].cast<double>(),
                              label(d, "forces", {py::ssize_t(atoms.back().size), 3}),
                              label(d, "stress", {6})});
        } catch (const Error& error) {
            throw StructureError{error.what(), labels.size()};
        }
    }
    const std::vector<Stored> stored = stored_parts(set, atoms, features, file, offset, counts);
    std::size_t failed = 0;
    const Changing changing(set.changing);
    try {
        py::gil_scoped_release release;
        set.add(atoms.size(), atoms.data(), labels.data(), stored.empty() ? nullptr : stored.data(), &failed);
    } catch (const Error& error) {
        throw StructureError{error.what(), failed};
    }
}

void check_indices(const Shared<TrainingSet>& set, const std::vector<std::size_t>& structures) {
    require_unchanging(set);
    for (std::size_t i : structures)
        if (i >= set.size())
            throw Error("structure " + std::to_string(i) + " of a set of " + std::to_string(set.size()));
}

void check_potential(const TrainingSet& set, const Potential& potential) {
    const bool same = set.elements() == potential.functions().elements() &&
                      set.max_count() == potential.functions().max_count();
    if (!same) throw Error("the potential's symmetry functions are not those of the training set");
}

py::tuple loss(const Shared<TrainingSet>& set,
               const Shared<Potential>& potential,
               const std::vector<std::size_t>& structures,
               double force_weight,
               double stress_weight,
               bool gradient) {
    check_indices(set, structures);
    check_potential(set, potential);
    const Reading<TrainingSet> reading(set);
    const Reading<Potential> reading_potential(potential);
    Floats slope(gradient ? potential.n_weights() : 0);
    Loss value;
    {
        double* out = gradient ? slope.mutable_data() : nullptr;
        py::gil_scoped_release release;
        value = set.loss(potential, structures, {force_weight, stress_weight}, out);
    }
    py::dict result;
    result["value"] = value.value;
    result["energy"] = value.energy;
    result["force"] = value.force;
    result["stress"] = value.stress;
    return py::make_tuple(result, gradient ? py::object(slope) : py::none());
}

Floats jacobian(const Shared<TrainingSet>& set,
                const Shared<Potential>& potential,
                const std::vector<std::size_t>& structures,
                const std::vector<std::vector<std::size_t>>& components) {
    check_indices(set, structures);
    check_potential(set, potential);
    const Reading<TrainingSet> reading(set);
    const Reading<Potential> reading_potential(potential);
    if (components.size() != structures.size()) throw Error("components must be given for each structure");
    std::size_t rows = structures.size();
    for (std::size_t q = 0; q < structures.size(); ++q) {
        rows += components[q].size();
        for (std::size_t component : components[q])
            if (component >= 3 * set.atoms(structures[q]))
                throw Error("component " + std::to_string(component) + " of a structure of " +
                            std::to_string(set.atoms(structures[q])) + " atoms");
    }
    Floats result({rows, potential.n_weights()});
    double* out = result.mutable_data();
    py::gil_scoped_release release;
    set.jacobian(potential, structures, components, out);
    return result;
}

void set_structure_weights(Shared<TrainingSet>& set,
                           std::size_t structure,
                           double weight,
                           const std::optional<Floats>& force_weights) {
    require_unused(set);
    check_indices(set, {structure});
    if (force_weights) require(*force_weights, {py::ssize_t(set.atoms(structure))}, "force_weights");
    set.set_weights(structure, weight, force_weights ? force_weights->data() : nullptr);
}

py::tuple structure_weights(const Shared<TrainingSet>& set, std::size_t structure) {
    check_indices(set, {structure});
    const std::vector<double> forces = set.force_weights(structure);
    return py::make_tuple(set.weight(structure), Floats(forces.size(), forces.data()));
}

py::tuple predict(const Shared<TrainingSet>& set, const Shared<Potential>& potential, std::size_t structure) {
    check_indices(set, {structure});
    check_potential(set, potential);
    Floats forces({set.atoms(structure), std::size_t{3}}), stress(6);
    const double energy = set.predict(potential, structure, forces.mutable_data(), stress.mutable_data());
    return py::make_tuple(energy, forces, stress);
}

py::tuple neighbor_list(const py::object& given,
                        const py::object& cell,
                        const py::object& pbc,
                        double cutoff,
                        const std::string& device) {
    const Floats positions = numbers(given, "positions");
    Ints species(positions.ndim() > 0 ? positions.shape(0) : 0);
    std::fill_n(species.mutable_data(), species.size(), 0);
    const Structure structure(species, positions, cell, pbc);
    const auto backend = backend_of(device);
    const NeighborList list =
        backend ? backend->neighbors(structure.view(), cutoff) : build_neighbors(structure.view(), cutoff);
    const auto m = py::ssize_t(list.index.size());
    Ints i(m), j(m), shifts({m, py::ssize_t{3}});
    for (std::size_t a = 0; a < list.centers(); ++a)
        std::fill(i.mutable_data() + list.first[a], i.mutable_data() + list.first[a + 1],
                  static_cast<int>(a));
    std::copy(list.index.begin(), list.index.end(), j.mutable_data());
    for (py::ssize_t e = 0; e < m; ++e) std::copy_n(list.shifts[e].begin(), 3, shifts.mutable_data() + 3 * e);
    return py::make_tuple(i, j, array({m, 3}, list.vectors), shifts);
}

py::dict info() {
    py::dict d;
    d["version"] = SITEWISE_VERSION;
#if defined(__clang__)
    d["compiler"] = std::string("clang ") + __clang_version__;
#elif defined(__GNUC__)
    d["compiler"] = std::string("gcc ") + __VERSION__;
#else
    d["compiler"] = "unknown";
#endif
    d["instruction_set"] = instruction_set();
#ifdef _OPENMP
    d["openmp"] = "yes";
#else
    d["openmp"] = "no";
#endif
    d["cuda"] = cuda_status();
    return d;
}

// A pickle goes to another process of the same version, it is no file format.
template <class... Parts>
py::tuple pickled(Parts&&... parts) {
    return py::make_tuple(SITEWISE_VERSION, std::forward<Parts>(parts)...);
}

void check_version(const py::tuple& state) {
    const std::string version = state.empty() ? "" : py::str(state[0]).cast<std::string>();
    if (version != SITEWISE_VERSION)
        throw Error("a pickle of sitewise " + version +
                    " cannot be read by sitewise " SITEWISE_VERSION
                    ": potentials are kept as folders, by save and load");
}

py::tuple pickled_function(const SymmetryFunction& f) {
    return pickled(f.type, f.center, f.neighbor1, f.neighbor2, f.eta, f.rs, f.lambda, f.zeta, f.cutoff,
                   f.left, f.angle_left, f.angle_right, f.subtype());
}

SymmetryFunction unpickled_function(const py::tuple& state) {
    check_version(state);
    const auto whole = [&](int k) { return state[k].cast<int>(); };
    const auto real = [&](int k) { return state[k].cast<double>(); };
    SymmetryFunction f{whole(1), whole(2), whole(3), whole(4), real(5),  real(6),
                       real(7),  real(8),  real(9),  real(10), real(11), real(12)};
    set_subtype(f, state[13].cast<std::string>());
    return f;
}

py::tuple pickled_functions(const SymmetryFunctions& functions) {
    std::vector<SymmetryFunction> all;
    for (int e = 0; e < functions.elements(); ++e)
        all.insert(all.end(), functions.functions(e).begin(), functions.functions(e).end());
    const Cutoff cutoff = functions.cutoff_function();
    return pickled(functions.elements(), all, static_cast<int>(cutoff.type), cutoff.alpha,
                   functions.atomic_numbers(), static_cast<int>(functions.moments()));
}

SymmetryFunctions unpickled_functions(const py::tuple& state) {
    check_version(state);
    return {state[1].cast<int>(),
            state[2].cast<std::vector<SymmetryFunction>>(),
            {static_cast<CutoffType>(state[3].cast<int>()), state[4].cast<double>()},
            state[5].cast<std::vector<int>>(),
            static_cast<Moments>(state[6].cast<int>())};
}

py::tuple pickled_scaling(const Scaling& scaling) {
    std::vector<Floats> statistics;
    for (int e = 0; e < scaling.elements(); ++e)
        statistics.push_back(statistics_array(scaling.statistics(e)));
    return pickled(scaling_name(scaling), scaling.smin(), scaling.smax(), statistics);
}

Scaling unpickled_scaling(const py::tuple& state) {
    check_version(state);
    return make_scaling(state[1].cast<std::string>(), state[2].cast<double>(), state[3].cast<double>(),
                        state[4].cast<std::vector<Floats>>());
}

py::tuple pickled_network(const Network& network) {
    return pickled(network.nodes(), activation_letters(network), network.normalize_nodes(),
                   array({py::ssize_t(network.n_weights())}, network.weights()));
}

Network unpickled_network(const py::tuple& state) {
    check_version(state);
    Network network =
        make_network(state[1].cast<std::vector<int>>(), state[2].cast<std::string>(), state[3].cast<bool>());
    network.set_weights(to_vector(state[4].cast<Floats>()));
    return network;
}

std::vector<Network> networks_of(const Potential& potential) {
    std::vector<Network> networks;
    for (std::size_t e = 0; e < potential.elements().size(); ++e)
        networks.push_back(potential.network(static_cast<int>(e)));
    return networks;
}

const char* precision_name(const Potential& potential) {
    return potential.precision() == Precision::float32 ? "float32" : "float64";
}

const char* device_name(const Potential& potential) {
    return potential.device() == Device::cuda ? "cuda" : "cpu";
}

py::tuple pickled_potential(const Shared<Potential>& potential) {
    const Normalization& unit = potential.normalization();
    return pickled(potential.elements(), potential.functions(), potential.scaling(), networks_of(potential),
                   potential.atom_energies(),
                   py::make_tuple(unit.used, unit.mean_energy, unit.conv_energy, unit.conv_length),
                   precision_name(potential), device_name(potential), potential.assumed());
}

Shared<Potential> unpickled_potential(const py::tuple& state) {
    check_version(state);
    const auto [used, mean_energy, conv_energy, conv_length] =
        state[6].cast<std::tuple<bool, double, double, double>>();
    Shared<Potential> potential(state[1].cast<std::vector<std::string>>(), state[2].cast<SymmetryFunctions>(),
                                state[3].cast<Scaling>(), state[4].cast<std::vector<Network>>(),
                                state[5].cast<std::vector<double>>(),
                                Normalization{used, mean_energy, conv_energy, conv_length});
    potential.set_assumed(state[9].cast<std::vector<std::string>>());
    potential.set_precision(parse_precision(state[7].cast<std::string>()));
    potential.set_device(parse_device(state[8].cast<std::string>()));
    return potential;
}

// Its atoms stay behind: where it is used it is built anew.
py::tuple pickled_list(const Shared<VerletList>& list) {
    return pickled(list.cutoff(), list.skin());
}

Shared<VerletList> unpickled_list(const py::tuple& state) {
    check_version(state);
    return {state[1].cast<double>(), state[2].cast<double>()};
}

void set_threads(int n) {
    if (n < 1) throw Error("the number of threads is " + std::to_string(n) + ", expected 1 or more");
    if (n > 1 && forks() > 0)
        throw Error("a forked process computes with 1 thread, not " + std::to_string(n) +
                    ": start it by spawn or forkserver for more");
#ifdef _OPENMP
    omp_set_num_threads(n);
#endif
}

}  // namespace

PYBIND11_MODULE(_core, m) {
    static py::exception<Error> error(m, "Error", PyExc_ValueError);
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p) std::rethrow_exception(p);
        } catch (const Error& e) {
            py::set_error(error, e.what());
        } catch (const StructureError& e) {
            py::object value = py::reinterpret_borrow<py::object>(error)(e.message);
            value.attr("index") = e.index;
            PyErr_SetObject(error.ptr(), value.ptr());
        }
    });

    py::class_<SymmetryFunction>(m, "SymmetryFunction")
        .def(py::init([](int type, int center, int neighbor1, int neighbor2, double eta, double rs,
                         double lambda, double zeta, double cutoff, double left, double angle_left,
                         double angle_right, const std::string& subtype) {
                 SymmetryFunction f{type,   center, neighbor1, neighbor2, eta,        rs,
                                    lambda, zeta,   cutoff,    left,      angle_left, angle_right};
                 set_subtype(f, subtype);
                 return f;
             }),
             py::arg("type"), py::arg("center"), py::arg("neighbor1") = -1, py::arg("neighbor2") = -1,
             py::kw_only(), py::arg("eta") = 0.0, py::arg("rs") = 0.0, py::arg("lambda_") = 0.0,
             py::arg("zeta") = 0.0, py::arg("cutoff"), py::arg("left") = 0.0, py::arg("angle_left") = 0.0,
             py::arg("angle_right") = 0.0, py::arg("subtype") = "p2")
        .def_readwrite("type", &SymmetryFunction::type)
        .def_readwrite("center", &SymmetryFunction::center)
        .def_readwrite("neighbor1", &SymmetryFunction::neighbor1)
        .def_readwrite("neighbor2", &SymmetryFunction::neighbor2)
        .def_readwrite("eta", &SymmetryFunction::eta)
        .def_readwrite("rs", &SymmetryFunction::rs)
        .def_readwrite("lambda_", &SymmetryFunction::lambda)
        .def_readwrite("zeta", &SymmetryFunction::zeta)
        .def_readwrite("cutoff", &SymmetryFunction::cutoff)
        .def_readwrite("left", &SymmetryFunction::left)
        .def_readwrite("angle_left", &SymmetryFunction::angle_left)
        .def_readwrite("angle_right", &SymmetryFunction::angle_right)
        .def_property("subtype", &SymmetryFunction::subtype, &set_subtype)
        .def_property_readonly("is_angular", &SymmetryFunction::is_angular)
        .def_property_readonly("is_compact", &SymmetryFunction::is_compact)
        .def(py::pickle(&pickled_function, &unpickled_function));

    const auto check_element = [](const auto& f, int e) {
        if (e < 0 || e >= f.elements())
            throw Error("element index " + std::to_string(e) + ", there are " + std::to_string(f.elements()));
    };
    py::class_<SymmetryFunctions>(m, "SymmetryFunctions")
        .def(py::init([](int n_elements, std::vector<SymmetryFunction> functions, int cutoff_type,
                         double alpha, const std::vector<int>& atomic_numbers, const std::string& moments) {
                 if (cutoff_type < 0 || cutoff_type > 8)
                     throw Error("cutoff type " + std::to_string(cutoff_type) + ", expected 0 to 8");
                 return SymmetryFunctions(n_elements, std::move(functions),
                                          {static_cast<CutoffType>(cutoff_type), alpha}, atomic_numbers,
                                          parse_moments(moments));
             }),
             py::arg("n_elements"), py::arg("functions"), py::arg("cutoff_type") = 1, py::arg("alpha") = 0.0,
             py::arg("atomic_numbers") = std::vector<int>{}, py::arg("moments") = "automatic")
        .def_property_readonly("n_elements", &SymmetryFunctions::elements)
        .def_property_readonly("cutoff", &SymmetryFunctions::cutoff)
        .def_property_readonly(
            "cutoff_type",
            [](const SymmetryFunctions& f) { return static_cast<int>(f.cutoff_function().type); })
        .def_property_readonly("alpha", [](const SymmetryFunctions& f) { return f.cutoff_function().alpha; })
        .def_property_readonly("max_count", &SymmetryFunctions::max_count)
        .def_property_readonly("moments",
                               [](const SymmetryFunctions& f) {
                                   std::vector<std::size_t> counts;
                                   for (int e = 0; e < f.elements(); ++e) counts.push_back(f.from_moments(e));
                                   return counts;
                               })
        .def("count",
             [=](const SymmetryFunctions& f, int element) {
                 check_element(f, element);
                 return f.count(element);
             })
        .def("functions",
             [=](const SymmetryFunctions& f, int element) {
                 check_element(f, element);
                 return f.functions(element);
             })
        .def("evaluate", &evaluate, py::arg("species"), py::arg("positions"), py::arg("cell"), py::arg("pbc"),
             py::arg("device") = "cpu")
        .def("vjp", &vjp, py::arg("species"), py::arg("positions"), py::arg("cell"), py::arg("pbc"),
             py::arg("u"), py::arg("device") = "cpu")
        .def("jvp", &jvp, py::arg("species"), py::arg("positions"), py::arg("cell"), py::arg("pbc"),
             py::arg("v"), py::arg("strain"), py::arg("device") = "cpu")
        .def(py::pickle(&pickled_functions, &unpickled_functions));

    m.def(
        "read_functions",
        [](const std::string& input_nn, double cflength) {
            InputFunctions input = read_functions(input_nn, cflength);
            return py::make_tuple(input.elements, input.functions);
        },
        py::arg("input_nn"), py::arg("cflength") = 1.0);
    m.def("keywords", [] {
        const auto text = [](KeywordStatus status) {
            return status == KeywordStatus::used      ? "used"
                   : status == KeywordStatus::refused ? "refused"
                                                      : "without effect";
        };
        py::list rows;
        for (const Keyword& k : keywords()) rows.append(py::make_tuple(k.name, text(k.status), k.reason));
        return rows;
    });
    m.def("ensemble_members", &ensemble_members, py::arg("directory"));

    py::class_<Scaling>(m, "Scaling")
        .def(py::init(&make_scaling), py::arg("type"), py::arg("smin"), py::arg("smax"),
             py::arg("statistics"))
        .def_property_readonly("type", &scaling_name)
        .def_property_readonly("smin", &Scaling::smin)
        .def_property_readonly("smax", &Scaling::smax)
        .def(
            "statistics",
            [=](const Scaling& s, int element) {
                check_element(s, element);
                return statistics_array(s.statistics(element));
            },
            py::arg("element"))
        .def(
            "apply",
            [=](const Scaling& s, int element, const Floats& G) {
                check_element(s, element);
                const py::ssize_t n = static_cast<py::ssize_t>(s.factor(element).size());
                require(G, {G.size() / std::max<py::ssize_t>(n, 1), n}, "G");
                Floats x = array({G.shape(0), n}, {G.data(), G.data() + G.size()});
                for (py::ssize_t i = 0; i < G.shape(0); ++i) s.apply(element, x.mutable_data(i, 0));
                return x;
            },
            py::arg("element"), py::arg("G"))
        .def(
            "farthest",
            [=](const Scaling& s, int element, const Floats& G) {
                check_element(s, element);
                require(G, {static_cast<py::ssize_t>(s.factor(element).size())}, "G");
                return s.farthest(element, G.data());
            },
            py::arg("element"), py::arg("G"))
        .def(py::pickle(&pickled_scaling, &unpickled_scaling));

    py::class_<Network>(m, "Network")
        .def(py::init(&make_network), py::arg("nodes"), py::arg("activations"),
             py::arg("normalize_nodes") = false)
        .def_property_readonly("nodes", &Network::nodes)
        .def_property_readonly("activations", &activation_letters)
        .def_property_readonly("normalize_nodes", &Network::normalize_nodes)
        .def_property(
            "weights", [](const Network& n) { return array({py::ssize_t(n.n_weights())}, n.weights()); },
            [](Network& n, const Floats& w) { n.set_weights(to_vector(w)); })
        .def("evaluate", &evaluate_network)
        .def("weight_gradient", &network_weight_gradient)
        .def(py::pickle(&pickled_network, &unpickled_network));

    m.def("activate", &activate_numbers, py::arg("activation"), py::arg("z"),
          py::arg("precision") = "float64");

    py::class_<Shared<VerletList>>(
        m, "NeighborList",
        R"(A neighbour list with a skin, kept from call to call while no atom has moved too far.

While one thread computes with it, others compute without it. A copy has the same cutoff and skin, and is empty.

Parameters
----------
cutoff
    Angstrom, at least that of the potential that uses it.
skin
    Angstrom; the list is built anew when an atom has moved by more than half of it, homogeneous strain of the cell
    apart.

Raises
------
Error
    If the cutoff is not positive or the skin is negative.)")
        .def(py::init<double, double>(), py::arg("cutoff"), py::arg("skin") = 1.0)
        .def_property_readonly("cutoff", &VerletList::cutoff, "Angstrom.")
        .def_property_readonly("skin", &VerletList::skin, "Angstrom.")
        .def_property_readonly("builds", &VerletList::builds, "How often the list was built.")
        .def(py::pickle(&pickled_list, &unpickled_list));

    py::class_<DeviceArray>(m, "DeviceArray",
                            R"(An array of float64 on the CUDA device.

Taken by what knows DLPack (`torch.from_dlpack`, `cupy.from_dlpack`) or `__cuda_array_interface__` (`cupy.asarray`,
`numba.cuda.as_cuda_array`), without a copy.)")
        .def(py::init(&DeviceArray::upload), py::arg("values"), "A copy of an array on the host.")
        .def_property_readonly("shape", &DeviceArray::shape)
        .def("numpy", &DeviceArray::numpy, "A copy on the host.")
        .def_property_readonly("__cuda_array_interface__", &DeviceArray::cuda_array_interface)
        .def("__dlpack_device__", [](const DeviceArray&) { return py::make_tuple(dlpack::cuda, 0); })
        .def("__dlpack__",
             [](const DeviceArray& a, const py::args&, const py::kwargs&) { return a.dlpack(); });

    py::class_<Shared<Potential>>(m, "Potential")
        .def(py::init([](std::vector<std::string> elements, const SymmetryFunctions& functions,
                         const Scaling& scaling, std::vector<Network> networks,
                         std::vector<double> atom_energies) {
                 return Shared<Potential>(std::move(elements), functions, scaling, std::move(networks),
                                          std::move(atom_energies));
             }),
             py::arg("elements"), py::arg("functions"), py::arg("scaling"), py::arg("networks"),
             py::arg("atom_energies"))
        .def_static(
            "load",
            [](const std::string& directory, double cflength, double cfenergy) {
                return Shared<Potential>(Potential::load(directory, cflength, cfenergy));
            },
            py::arg("directory"), py::arg("cflength") = 1.0, py::arg("cfenergy") = 1.0)
        .def("save", &Potential::save, py::arg("directory"), py::arg("comments") = "",
             py::arg("units") = "eV and Angstrom")
        .def_property_readonly("assumed", &Potential::assumed)
        .def_property_readonly("elements", &Potential::elements)
        .def_property_readonly("atomic_numbers", &Potential::atomic_numbers)
        .def_property_readonly("cutoff", &Potential::cutoff)
        .def_property_readonly("functions", &Potential::functions)
        .def_property_readonly("scaling", &Potential::scaling)
        .def_property_readonly("networks", [](const Shared<Potential>& p) { return networks_of(p); })
        .def_property_readonly("atom_energies", &Potential::atom_energies)
        .def_property_readonly("normalization",
                               [](const Shared<Potential>& p) {
                                   return py::make_tuple(p.normalization().mean_energy,
                                                         p.normalization().conv_energy);
                               })
        .def_property(
            "weights",
            [](const Shared<Potential>& p) { return array({py::ssize_t(p.n_weights())}, p.weights()); },
            &set_weights)
        .def_property(
            "precision", [](const Shared<Potential>& p) { return precision_name(p); },
            [](Shared<Potential>& p, const std::string& name) {
                require_unused(p);
                p.set_precision(parse_precision(name));
            })
        .def_property(
            "device", [](const Shared<Potential>& p) { return device_name(p); },
            [](Shared<Potential>& p, const std::string& name) {
                require_unused(p);
                p.set_device(parse_device(name));
            })
        .def("compute", &compute<Potential>, py::arg("species"), py::arg("positions"), py::arg("cell"),
             py::arg("pbc"), py::arg("features") = false, py::arg("virials") = false,
             py::arg("neighbors") = nullptr)
        .def("compute_many", &compute_many, py::arg("structures"))
        .def("compute_on_device", &compute_on_device, py::arg("species"), py::arg("positions"),
             py::arg("cell"), py::arg("pbc"))
        .def(py::pickle(&pickled_potential, &unpickled_potential));

    py::class_<Shared<Ensemble>>(m, "Ensemble")
        .def(py::init([](const std::vector<Shared<Potential>>& members) {
                 return Shared<Ensemble>(std::vector<Potential>(members.begin(), members.end()));
             }),
             py::arg("members"))
        .def("compute", &compute<Ensemble>, py::arg("species"), py::arg("positions"), py::arg("cell"),
             py::arg("pbc"), py::arg("features") = false, py::arg("virials") = false,
             py::arg("neighbors") = nullptr);

    py::class_<StoredFile, std::shared_ptr<StoredFile>>(m, "StoredFile")
        .def(py::init<const std::string&>(), py::arg("path"))
        .def_property_readonly("size", &StoredFile::size)
        .def("read", &read_stored, py::arg("offset"), py::arg("size"));

    py::class_<Shared<TrainingSet>>(m, "TrainingSet")
        .def(py::init<const SymmetryFunctions&, std::size_t>(), py::arg("functions"),
             py::arg("memory_budget"))
        .def("add", &add_structures, py::arg("structures"), py::arg("features") = py::none(),
             py::arg("file") = nullptr, py::arg("offset") = 0, py::arg("counts") = std::vector<std::size_t>())
        .def("__len__",
             [](const Shared<TrainingSet>& s) {
                 require_unchanging(s);
                 return s.size();
             })
        .def_property_readonly("n_atoms",
                               [](const Shared<TrainingSet>& s) {
                                   require_unchanging(s);
                                   return s.atoms();
                               })
        .def_property_readonly("cached_bytes",
                               [](const Shared<TrainingSet>& s) {
                                   require_unchanging(s);
                                   return s.cached_bytes();
                               })
        .def("species",
             [](const Shared<TrainingSet>& s, std::size_t structure) {
                 check_indices(s, {structure});
                 const std::vector<int>& species = s.species(structure);
                 return Ints(species.size(), species.data());
             })
        .def("features",
             [](const Shared<TrainingSet>& s, std::size_t structure) {
                 check_indices(s, {structure});
                 return array({py::ssize_t(s.atoms(structure)), py::ssize_t(s.max_count())},
                              s.features(structure));
             })
        .def("derivatives",
             [](const Shared<TrainingSet>& s, std::size_t structure) {
                 check_indices(s, {structure});
                 const std::vector<float> derivatives = s.derivatives(structure);
                 return Floats32(py::ssize_t(derivatives.size()), derivatives.data());
             })
        .def("statistics",
             [](const Shared<TrainingSet>& s, const std::vector<std::size_t>& structures) {
                 check_indices(s, structures);
                 std::vector<Floats> result;
                 for (const FeatureStatistics& element : s.statistics(structures))
                     result.push_back(statistics_array(element));
                 return result;
             })
        .def("loss", &loss, py::arg("potential"), py::arg("structures"), py::arg("force_weight"),
             py::arg("stress_weight"), py::arg("gradient") = true)
        .def("jacobian", &jacobian, py::arg("potential"), py::arg("structures"), py::arg("components"))
        .def("set_weights", &set_structure_weights, py::arg("structure"), py::arg("weight"),
             py::arg("force_weights") = py::none())
        .def("weights", &structure_weights, py::arg("structure"))
        .def("predict", &predict);

    m.def("neighbor_list", &neighbor_list, py::arg("positions"), py::arg("cell"), py::arg("pbc"),
          py::arg("cutoff"), py::arg("device") = "cpu");
    m.def("devices", &devices);
    m.def("info", &info);
    m.def("get_threads", &max_threads);
    m.def("set_threads", &set_threads, py::arg("n"));
}
