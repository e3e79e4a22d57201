// The pair potentials that networks are added to.

#include "sitewise/baseline.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.hpp"
#include "exports.hpp"
#include "sitewise/potential.hpp"

namespace sitewise::python {
namespace {

using Range = std::pair<double, double>;
using Tables = std::map<std::pair<int, int>, PairTable>;

Baseline made_baseline(const std::vector<int>& numbers,
                       const std::optional<Range>& zbl,
                       const Tables& tables) {
    Baseline made(numbers);
    const int n = static_cast<int>(numbers.size());
    if (zbl) made.set_zbl(zbl->first, zbl->second);
    for (const auto& [pair, table] : tables) {
        const auto [a, b] = std::minmax(pair.first, pair.second);
        const std::string name = "(" + std::to_string(pair.first) + ", " + std::to_string(pair.second) + ")";
        if (a < 0 || b >= n)
            throw Error("a pair table is for the elements " + name + ", expected 0 to " +
                        std::to_string(n - 1));
        if (!made.table(a, b).empty()) throw Error("the elements " + name + " have two pair tables");
        made.set_table(a, b, table);
    }
    return made;
}

std::optional<Range> zbl_of(const Baseline& baseline) {
    if (baseline.outer() == 0.0) return std::nullopt;
    return Range(baseline.inner(), baseline.outer());
}

Tables tables_of(const Baseline& baseline) {
    Tables tables;
    const int n = static_cast<int>(baseline.atomic_numbers().size());
    for (int a = 0; a < n; ++a)
        for (int b = a; b < n; ++b)
            if (!baseline.table(a, b).empty()) tables[{a, b}] = baseline.table(a, b);
    return tables;
}

std::vector<double> forces_of(const PairTable& table) {
    std::vector<double> forces;
    for (double slope : table.slopes()) forces.push_back(-slope);
    return forces;
}

}  // namespace

void export_baseline(py::module_& m) {
    py::class_<PairTable>(m, "PairTable")
        .def(py::init<std::vector<double>, std::vector<double>, const std::vector<double>&>(),
             py::arg("distances"), py::arg("energies"), py::arg("forces"))
        .def_static(
            "read",
            [](const std::string& path, const std::string& section) {
                return PairTable::read(path, section);
            },
            py::arg("path"), py::arg("section") = "")
        .def_property_readonly(
            "distances",
            [](const PairTable& t) { return array({py::ssize_t(t.distances().size())}, t.distances()); })
        .def_property_readonly(
            "energies",
            [](const PairTable& t) { return array({py::ssize_t(t.energies().size())}, t.energies()); })
        .def_property_readonly(
            "forces",
            [](const PairTable& t) { return array({py::ssize_t(t.slopes().size())}, forces_of(t)); })
        .def(
            "__eq__", [](const PairTable& a, const PairTable& b) { return a == b; }, py::is_operator())
        .def(py::pickle([](const PairTable& t) { return pickled(t.distances(), t.energies(), forces_of(t)); },
                        [](const py::tuple& state) {
                            check_version(state);
                            using Values = std::vector<double>;
                            return PairTable(state[1].cast<Values>(), state[2].cast<Values>(),
                                             state[3].cast<Values>());
                        }));
    py::class_<Baseline>(m, "Baseline")
        .def(py::init([](const std::vector<std::string>& elements, const std::optional<Range>& zbl,
                         const Tables& tables) {
                 std::vector<int> numbers;
                 for (const std::string& element : elements) numbers.push_back(atomic_number(element));
                 return made_baseline(numbers, zbl, tables);
             }),
             py::arg("elements"), py::arg("zbl") = std::nullopt, py::arg("tables") = Tables())
        .def_property_readonly("atomic_numbers", &Baseline::atomic_numbers)
        .def_property_readonly("zbl", &zbl_of)
        .def_property_readonly("tables", &tables_of)
        .def_property_readonly("cutoff", &Baseline::cutoff)
        .def(
            "__eq__", [](const Baseline& a, const Baseline& b) { return a == b; }, py::is_operator())
        .def(py::pickle(
            [](const Baseline& b) { return pickled(b.atomic_numbers(), zbl_of(b), tables_of(b)); },
            [](const py::tuple& state) {
                check_version(state);
                return made_baseline(state[1].cast<std::vector<int>>(), state[2].cast<std::optional<Range>>(),
                                     state[3].cast<Tables>());
            }));
}

}  // namespace sitewise::python
