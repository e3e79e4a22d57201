#include "sitewise/stored_file.hpp"

#include <memory>

#include "convert.hpp"
#include "exports.hpp"

namespace sitewise::python {
namespace {

py::bytes read_stored(const StoredFile& file, std::size_t offset, std::size_t size) {
    if (offset > file.size() || size > file.size() - offset)
        throw Error("bytes " + std::to_string(offset) + " to " + std::to_string(offset + size) +
                    " of a file of " + std::to_string(file.size()));
    std::string content(size, '\0');
    {
        py::gil_scoped_release release;
        file.read(offset, size, content.data());
    }
    return py::bytes(content);
}

}  // namespace

void export_stored_file(py::module_& m) {
    py::class_<StoredFile, std::shared_ptr<StoredFile>>(m, "StoredFile")
        .def(py::init<const std::string&>(), py::arg("path"))
        .def_property_readonly("size", &StoredFile::size)
        .def("read", &read_stored, py::arg("offset"), py::arg("size"));
}

}  // namespace sitewise::python
