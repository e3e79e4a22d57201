#include "function_types.hpp"

#include <string>
#include <vector>

#include "convert.hpp"
#include "exports.hpp"

namespace sitewise::python {
namespace {

std::vector<std::string> names(const std::vector<FunctionColumn>& columns) {
    std::vector<std::string> all;
    for (const FunctionColumn& column : columns) all.emplace_back(column.name);
    return all;
}

}  // namespace

void export_function_types(py::module_& m) {
    py::class_<FunctionType>(m, "FunctionType")
        .def_readonly("number", &FunctionType::number)
        .def_property_readonly("shape", [](const FunctionType& type) { return name(type.shape); })
        .def_readonly("weighted", &FunctionType::weighted)
        .def_readonly("compact", &FunctionType::compact)
        .def_property_readonly("columns", [](const FunctionType& type) { return names(type.columns); });
    m.def("function_types", &function_types);
    m.def("function_columns", [] {
        py::list rows;
        for (const FunctionColumn& c : function_columns()) rows.append(py::make_tuple(c.name, c.meaning));
        return rows;
    });
}

}  // namespace sitewise::python
