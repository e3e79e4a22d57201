#include <pybind11/pybind11.h>

#include "exports.hpp"
#include "sitewise/error.hpp"

PYBIND11_MODULE(_core, m) {
    pybind11::register_exception<sitewise::Error>(m, "Error", PyExc_ValueError);
    using namespace sitewise::python;
    export_symmetry(m);
    export_function_types(m);
    export_scaling(m);
    export_network(m);
    export_neighbors(m);
    export_device_array(m);
    export_baseline(m);
    export_potential(m);
    export_ensemble(m);
    export_spanning_tree(m);
    export_stored_file(m);
    export_training_set(m);
    export_runtime(m);
}
