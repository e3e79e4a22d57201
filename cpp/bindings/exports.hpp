#pragma once

// One function for each class, defined in the file with the name of the class.

#include <pybind11/pybind11.h>

namespace sitewise::python {

void export_symmetry(pybind11::module_& m);
void export_function_types(pybind11::module_& m);
void export_scaling(pybind11::module_& m);
void export_network(pybind11::module_& m);
void export_neighbors(pybind11::module_& m);
void export_device_array(pybind11::module_& m);
void export_baseline(pybind11::module_& m);
void export_potential(pybind11::module_& m);
void export_ensemble(pybind11::module_& m);
void export_spanning_tree(pybind11::module_& m);
void export_stored_file(pybind11::module_& m);
void export_training_set(pybind11::module_& m);
void export_runtime(pybind11::module_& m);  // devices and threads

}  // namespace sitewise::python
