#include "sitewise/potential.hpp"

#include <optional>

#include "compute.hpp"
#include "convert.hpp"
#include "device_array.hpp"
#include "exports.hpp"
#include "shared.hpp"

namespace sitewise::python {
namespace {

void set_weights(Shared<Potential>& potential, const Floats& weights) {
    require_unused(potential);
    require(weights, {py::ssize_t(potential.n_weights())}, "weights");
    potential.set_weights(weights.data());
}

// Returns the result of compute() with features for each structure.
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

// Returns energy [1], energies, forces and virial on the device, for positions on the device.
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
                   precision_name(potential), device_name(potential), potential.assumed(),
                   potential.baseline());
}

Shared<Potential> unpickled_potential(const py::tuple& state) {
    check_version(state);
    const auto [used, mean_energy, conv_energy, conv_length] =
        state[6].cast<std::tuple<bool, double, double, double>>();
    Shared<Potential> potential(state[1].cast<std::vector<std::string>>(), state[2].cast<SymmetryFunctions>(),
                                state[3].cast<Scaling>(), state[4].cast<std::vector<Network>>(),
                                state[5].cast<std::vector<double>>(),
                                Normalization{used, mean_energy, conv_energy, conv_length});
    potential.set_baseline(state[10].cast<Baseline>());
    potential.set_assumed(state[9].cast<std::vector<std::string>>());
    potential.set_precision(parse_precision(state[7].cast<std::string>()));
    potential.set_device(parse_device(state[8].cast<std::string>()));
    return potential;
}

}  // namespace

void export_potential(py::module_& m) {
    py::class_<Posterior>(m, "Posterior")
        .def_static("load", &Posterior::load, py::arg("directory"))
        .def_property_readonly(
            "weights", [](const Posterior& p) { return array({py::ssize_t(p.weights.size())}, p.weights); })
        .def_property_readonly(
            "shift", [](const Posterior& p) { return array({py::ssize_t(p.shift.size())}, p.shift); })
        .def_property_readonly("draws",
                               [](const Posterior& p) {
                                   Floats rows({p.draws.size(), p.shift.size()});
                                   double* to = rows.mutable_data();
                                   for (const auto& draw : p.draws)
                                       to = std::copy(draw.begin(), draw.end(), to);
                                   return rows;
                               })
        .def_readonly("force_factor", &Posterior::force_factor);
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
        .def_property(
            "baseline",
            [](const Shared<Potential>& p) -> std::optional<Baseline> {
                if (p.baseline().empty()) return std::nullopt;
                return p.baseline();
            },
            [](Shared<Potential>& p, const std::optional<Baseline>& baseline) {
                require_unused(p);
                p.set_baseline(baseline.value_or(Baseline()));
            })
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
             py::arg("neighbors") = nullptr, py::arg("bars") = false)
        .def(
            "set_posterior",
            [](Shared<Potential>& p, const Posterior& posterior, std::size_t draws) {
                require_unused(p);
                p.set_posterior(posterior, draws);
            },
            py::arg("posterior"), py::arg("draws"))
        .def("compute_many", &compute_many, py::arg("structures"))
        .def("compute_on_device", &compute_on_device, py::arg("species"), py::arg("positions"),
             py::arg("cell"), py::arg("pbc"))
        .def(py::pickle(&pickled_potential, &unpickled_potential));
    m.def("potential_directory", &potential_directory, py::arg("directory"));
}

}  // namespace sitewise::python
