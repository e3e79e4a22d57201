#include "device_array.hpp"

#include "exports.hpp"

namespace sitewise::python {
void export_device_array(py::module_& m) {
    py::class_<DeviceArray>(m, "DeviceArray",
                            R"(An array of float64 on the CUDA device.

Libraries that support DLPack (`torch.from_dlpack`, `cupy.from_dlpack`) or `__cuda_array_interface__` (`cupy.asarray`,
`numba.cuda.as_cuda_array`) take it without a copy.)")
        .def(py::init(&DeviceArray::upload), py::arg("values"), "Copy an array from the host.")
        .def_property_readonly("shape", &DeviceArray::shape)
        .def("numpy", &DeviceArray::numpy, "Return a copy on the host.")
        .def_property_readonly("__cuda_array_interface__", &DeviceArray::cuda_array_interface)
        .def("__dlpack_device__", [](const DeviceArray&) { return py::make_tuple(dlpack::cuda, 0); })
        .def("__dlpack__",
             [](const DeviceArray& a, const py::args&, const py::kwargs&) { return a.dlpack(); });
}

}  // namespace sitewise::python
