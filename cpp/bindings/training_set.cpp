#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convert.hpp"
#include "exports.hpp"
#include "shared.hpp"
#include "sitewise/training.hpp"

namespace sitewise::python {
namespace {

// Raised by TrainingSet.add. In Python, the attribute `index` is the structure's place.
struct StructureError {
    std::string message;
    std::size_t index;
};

void translate(std::exception_ptr p) {
    try {
        if (p) std::rethrow_exception(p);
    } catch (const StructureError& error) {
        const py::object type = py::module_::import("sitewise._core").attr("Error");
        const py::object value = type(error.message);
        value.attr("index") = error.index;
        PyErr_SetObject(type.ptr(), value.ptr());
    }
}

// Divides features and derivatives of all structures into those of each; empty if none are given.
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
    Floats derivative(gradient ? potential.n_weights() : 0);
    Loss value;
    {
        double* out = gradient ? derivative.mutable_data() : nullptr;
        py::gil_scoped_release release;
        value = set.loss(potential, structures, {force_weight, stress_weight}, out);
    }
    py::dict result;
    result["value"] = value.value;
    result["energy"] = value.energy;
    result["force"] = value.force;
    result["stress"] = value.stress;
    return py::make_tuple(result, gradient ? py::object(derivative) : py::none());
}

using Components = std::vector<std::vector<std::size_t>>;

// Returns the number of rows.
std::size_t check_rows(const Shared<TrainingSet>& set,
                       const Shared<Potential>& potential,
                       const std::vector<std::size_t>& structures,
                       const Components& components) {
    check_indices(set, structures);
    check_potential(set, potential);
    if (components.size() != structures.size()) throw Error("components must be given for each structure");
    std::size_t rows = structures.size();
    for (std::size_t q = 0; q < structures.size(); ++q) {
        rows += components[q].size();
        for (std::size_t component : components[q])
            if (component >= 3 * set.atoms(structures[q]))
                throw Error("component " + std::to_string(component) + " of a structure of " +
                            std::to_string(set.atoms(structures[q])) + " atoms");
    }
    return rows;
}

Floats jacobian(const Shared<TrainingSet>& set,
                const Shared<Potential>& potential,
                const std::vector<std::size_t>& structures,
                const Components& components) {
    const std::size_t rows = check_rows(set, potential, structures, components);
    const Reading<TrainingSet> reading(set);
    const Reading<Potential> reading_potential(potential);
    Floats result({rows, potential.n_weights()});
    double* out = result.mutable_data();
    py::gil_scoped_release release;
    set.jacobian(potential, structures, components, out);
    return result;
}

Floats normal_matrix(const Shared<TrainingSet>& set,
                     const Shared<Potential>& potential,
                     const std::vector<std::size_t>& structures,
                     const Components& components,
                     const Floats& scales) {
    require(scales, {py::ssize_t(check_rows(set, potential, structures, components))}, "scales");
    const Reading<TrainingSet> reading(set);
    const Reading<Potential> reading_potential(potential);
    Floats result({potential.n_weights(), potential.n_weights()});
    double* out = result.mutable_data();
    py::gil_scoped_release release;
    set.normal_matrix(potential, structures, components, scales.data(), out);
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

}  // namespace

void export_training_set(py::module_& m) {
    py::register_exception_translator(&translate);
    py::class_<Shared<TrainingSet>>(m, "TrainingSet")
        .def(py::init<const SymmetryFunctions&, std::size_t, const std::string&>(), py::arg("functions"),
             py::arg("memory_budget"), py::arg("folder") = "")
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
        .def_property_readonly("memory",
                               [](const Shared<TrainingSet>& s) {
                                   require_unchanging(s);
                                   const TrainingMemory& m = s.memory();
                                   return py::make_tuple(m.used, m.cached, m.recomputed, m.spilled);
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
        .def("normal_matrix", &normal_matrix, py::arg("potential"), py::arg("structures"),
             py::arg("components"), py::arg("scales"))
        .def("set_weights", &set_structure_weights, py::arg("structure"), py::arg("weight"),
             py::arg("force_weights") = py::none())
        .def("weights", &structure_weights, py::arg("structure"))
        .def("predict", &predict);
}

}  // namespace sitewise::python
