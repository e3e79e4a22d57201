#include "sitewise/ensemble.hpp"

#include "compute.hpp"
#include "exports.hpp"
#include "shared.hpp"

namespace sitewise::python {
void export_ensemble(py::module_& m) {
    py::class_<Shared<Ensemble>>(m, "Ensemble")
        .def(py::init([](const std::vector<Shared<Potential>>& members) {
                 return Shared<Ensemble>(std::vector<Potential>(members.begin(), members.end()));
             }),
             py::arg("members"))
        .def(
            "compute",
            [](const Shared<Ensemble>& ensemble, const py::object& species, const py::object& positions,
               const py::object& cell, const py::object& pbc, bool features, bool virials,
               Shared<VerletList>* neighbors) {
                return compute(ensemble, species, positions, cell, pbc, features, virials, neighbors, false);
            },
            py::arg("species"), py::arg("positions"), py::arg("cell"), py::arg("pbc"),
            py::arg("features") = false, py::arg("virials") = false, py::arg("neighbors") = nullptr);

    m.def("ensemble_members", &ensemble_members, py::arg("directory"));
}

}  // namespace sitewise::python
