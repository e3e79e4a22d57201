#include "sitewise/scaling.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "convert.hpp"
#include "exports.hpp"

namespace sitewise::python {
namespace {

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
                     const std::vector<Floats>& statistics,
                     const std::optional<Floats>& closest) {
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
    std::vector<double> distances;
    if (closest && closest->size() > 0) {
        const auto n = static_cast<py::ssize_t>(rows.size());
        require(*closest, {n, n}, "closest");
        distances.assign(closest->data(), closest->data() + closest->size());
    }
    return {found->second, smin, smax, std::move(rows), std::move(distances)};
}

Floats closest_array(const Scaling& scaling) {
    const py::ssize_t n = scaling.closest().empty() ? 0 : scaling.elements();
    return array({n, n}, scaling.closest());
}

std::string scaling_name(const Scaling& scaling) {
    for (const auto& [name, type] : scaling_names())
        if (type == scaling.type()) return name;
    return "none";
}

py::tuple pickled_scaling(const Scaling& scaling) {
    std::vector<Floats> statistics;
    for (int e = 0; e < scaling.elements(); ++e)
        statistics.push_back(statistics_array(scaling.statistics(e)));
    return pickled(scaling_name(scaling), scaling.smin(), scaling.smax(), statistics, closest_array(scaling));
}

Scaling unpickled_scaling(const py::tuple& state) {
    check_version(state);
    return make_scaling(state[1].cast<std::string>(), state[2].cast<double>(), state[3].cast<double>(),
                        state[4].cast<std::vector<Floats>>(), state[5].cast<Floats>());
}

}  // namespace

void export_scaling(py::module_& m) {
    py::class_<Scaling>(m, "Scaling")
        .def(py::init(&make_scaling), py::arg("type"), py::arg("smin"), py::arg("smax"),
             py::arg("statistics"), py::arg("closest") = py::none())
        .def_property_readonly("type", &scaling_name)
        .def_property_readonly("smin", &Scaling::smin)
        .def_property_readonly("smax", &Scaling::smax)
        .def_property_readonly("closest", &closest_array)
        .def(
            "statistics",
            [](const Scaling& s, int element) {
                check_element(s, element);
                return statistics_array(s.statistics(element));
            },
            py::arg("element"))
        .def(
            "apply",
            [](const Scaling& s, int element, const Floats& G) {
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
            [](const Scaling& s, int element, const Floats& G) {
                check_element(s, element);
                require(G, {static_cast<py::ssize_t>(s.factor(element).size())}, "G");
                return s.farthest(element, G.data());
            },
            py::arg("element"), py::arg("G"))
        .def(py::pickle(&pickled_scaling, &unpickled_scaling));
}

}  // namespace sitewise::python
