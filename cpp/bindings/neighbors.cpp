#include "sitewise/neighbors.hpp"

#include <algorithm>

#include "convert.hpp"
#include "exports.hpp"
#include "shared.hpp"

namespace sitewise::python {
namespace {

py::tuple neighbor_list(const py::object& given,
                        const py::object& cell,
                        const py::object& pbc,
                        double cutoff,
                        const std::string& device) {
    const Floats positions = numbers(given, "positions");
    Ints species(positions.ndim() > 0 ? positions.shape(0) : 0);
    std::fill_n(species.mutable_data(), species.size(), 0);
    const Structure structure(species, positions, cell, pbc);
    const NeighborList list = build_neighbors(structure.view(), cutoff, parse_device(device));
    const auto m = py::ssize_t(list.index.size());
    Ints i(m), j(m), shifts({m, py::ssize_t{3}});
    for (std::size_t a = 0; a < list.centers(); ++a)
        std::fill(i.mutable_data() + list.first[a], i.mutable_data() + list.first[a + 1],
                  static_cast<int>(a));
    std::copy(list.index.begin(), list.index.end(), j.mutable_data());
    for (py::ssize_t e = 0; e < m; ++e) std::copy_n(list.shifts[e].begin(), 3, shifts.mutable_data() + 3 * e);
    return py::make_tuple(i, j, array({m, 3}, list.vectors), shifts);
}

// A pickle does not contain the atoms; the copy is built when it is first used.
py::tuple pickled_list(const Shared<VerletList>& list) {
    return pickled(list.cutoff(), list.skin());
}

Shared<VerletList> unpickled_list(const py::tuple& state) {
    check_version(state);
    return {state[1].cast<double>(), state[2].cast<double>()};
}

}  // namespace

void export_neighbors(py::module_& m) {
    py::class_<Shared<VerletList>>(
        m, "NeighborList",
        R"(A neighbour list with a skin, kept from call to call while no atom has moved too far.

While one thread computes with it, other threads compute without it. A copy has the same cutoff and skin, and is empty.

Parameters
----------
cutoff
    Angstrom, at least that of the potential that uses it.
skin
    Angstrom; the list is rebuilt when an atom has moved by more than half of it, not counting a homogeneous strain of
    the cell.

Raises
------
Error
    If the cutoff is not positive or the skin is negative.)")
        .def(py::init<double, double>(), py::arg("cutoff"), py::arg("skin") = 1.0)
        .def_property_readonly("cutoff", &VerletList::cutoff, "Return the cutoff, Angstrom.")
        .def_property_readonly("skin", &VerletList::skin, "Return the skin, Angstrom.")
        .def_property_readonly("builds", &VerletList::builds, "Return how often the list was built.")
        .def(py::pickle(&pickled_list, &unpickled_list));

    m.def("neighbor_list", &neighbor_list, py::arg("positions"), py::arg("cell"), py::arg("pbc"),
          py::arg("cutoff"), py::arg("device") = "cpu");
}

}  // namespace sitewise::python
