#include "spanning_tree.hpp"

#include <algorithm>
#include <cmath>

#include "convert.hpp"
#include "exports.hpp"

namespace sitewise::python {

void export_spanning_tree(py::module_& m) {
    py::class_<SpanningTree>(m, "SpanningTree")
        .def(py::init([](const py::object& given) {
                 const Floats points = numbers(given, "points");
                 if (points.ndim() != 2 || points.size() == 0)
                     throw Error("points has no rows or no columns");
                 const double* end = points.data() + points.size();
                 if (!std::all_of(points.data(), end, [](double x) { return std::isfinite(x); }))
                     throw Error("points has a number that is not finite");
                 return SpanningTree(points.data(), points.shape(0), points.shape(1));
             }),
             py::arg("points"))
        .def("grow", &SpanningTree::grow, py::call_guard<py::gil_scoped_release>())
        .def("edges", [](const SpanningTree& tree) {
            Ints result({tree.edges().size(), std::size_t{2}});
            int* at = result.mutable_data();
            for (const auto& edge : tree.edges()) at = std::copy(edge.begin(), edge.end(), at);
            return result;
        });
}

}  // namespace sitewise::python
