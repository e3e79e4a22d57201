#pragma once

// Computes energies and their derivatives for a potential or an ensemble.

#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "convert.hpp"
#include "shared.hpp"
#include "sitewise/ensemble.hpp"

namespace sitewise::python {

// Model is a potential or an ensemble.
template <class Model>
py::dict compute(const Shared<Model>& model,
                 const py::object& species,
                 const py::object& positions,
                 const py::object& cell,
                 const py::object& pbc,
                 bool features,
                 bool virials,
                 Shared<VerletList>* neighbors,
                 bool bars) {
    const Structure structure(species, positions, cell, pbc);
    const std::size_t n = structure.size();
    const Reading<Model> reading(model);
    std::optional<Changing> kept;  // a list that another thread uses is not used here
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
    std::vector<double> bar_parts;
    if constexpr (std::is_same_v<Model, Potential>)
        if (bars) {
            Floats of_atoms(n);
            out.energies_bar = of_atoms.mutable_data();
            result["energies_bar"] = of_atoms;
            bar_parts.assign(model.bar_parts(), 0.0);
            out.energy_bar_parts = bar_parts.data();
        }
    {
        py::gil_scoped_release release;
        if (kept)
            model.compute(structure.view(), *neighbors, out);
        else
            model.compute(structure.view(), out);
    }
    result["energy"] = energy;
    result["energies"] = energies;
    result["forces"] = forces;
    result["virial"] = virial;
    result["extrapolations"] = extrapolations;
    if (!bar_parts.empty())
        result["energy_bar"] =
            std::sqrt(std::inner_product(bar_parts.begin(), bar_parts.end(), bar_parts.begin(), 0.0));
    if (!member_energies.empty()) result["energy_spread"] = spread(member_energies);
    return result;
}

}  // namespace sitewise::python
