#pragma once

// Converts pointers, shapes and names between Python and the library. There is no mathematics here.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "sitewise/device.hpp"
#include "sitewise/error.hpp"
#include "sitewise/network.hpp"
#include "sitewise/scaling.hpp"
#include "sitewise/types.hpp"

namespace sitewise::python {

namespace py = pybind11;

using Floats = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Floats32 = py::array_t<float, py::array::c_style>;
using Ints = py::array_t<int, py::array::c_style | py::array::forcecast>;
using Flags = py::array_t<bool, py::array::c_style | py::array::forcecast>;
using Shape = std::vector<py::ssize_t>;

template <class Array>
void require(const Array& array, const Shape& shape, const char* name) {
    const Shape found(array.shape(), array.shape() + array.ndim());
    if (found == shape) return;
    const auto text = [](const Shape& s) {
        std::string t = "(";
        for (py::ssize_t n : s) t += (t.size() > 1 ? ", " : "") + std::to_string(n);
        return t + ")";
    };
    throw Error(std::string(name) + " has shape " + text(found) + ", expected " + text(shape));
}

inline Floats array(const Shape& shape, const std::vector<double>& values) {
    Floats result(shape);
    std::copy(values.begin(), values.end(), result.mutable_data());
    return result;
}

inline std::vector<double> to_vector(const Floats& values) {
    return {values.data(), values.data() + values.size()};
}

// An argument from Python as an array, whose numpy type must be one of `kinds`. So a fraction does not become
// an index, and no text or imaginary part is dropped.
template <class Array>
Array array_of(const py::object& given, const std::string& kinds, const char* name) {
    const py::array any = py::array::ensure(given);
    if (!any) throw Error(std::string(name) + " is not an array");
    if (any.size() > 0 && kinds.find(any.dtype().kind()) == std::string::npos)
        throw Error(std::string(name) + " has the type " + py::str(any.dtype()).cast<std::string>() +
                    ", expected " +
                    (kinds == "fiu"  ? "numbers"
                     : kinds == "iu" ? "whole numbers"
                                     : "true or false"));
    return Array::ensure(any);
}

inline Floats numbers(const py::object& given, const char* name) {
    return array_of<Floats>(given, "fiu", name);
}

// Element indices; throws Error for one that an int cannot hold.
inline Ints indices(const py::object& given, const char* name) {
    const Ints result = array_of<Ints>(given, "iu", name);
    if (!py::isinstance<Ints>(given) &&
        !py::bool_(py::module_::import("numpy").attr("array_equal")(result, given)))
        throw Error(std::string(name) + " has a number that is out of range");
    return result;
}

// Keeps the arrays alive while the library reads them.
struct Structure {
    Ints species;
    Floats positions, cell;
    Flags pbc;

    Structure(const py::object& species_,
              const py::object& positions_,
              const py::object& cell_,
              const py::object& pbc_)
        : species(indices(species_, "species")),
          positions(numbers(positions_, "positions")),
          cell(numbers(cell_, "cell")),
          pbc(array_of<Flags>(pbc_, "biu", "pbc")) {
        require(species, {species.size()}, "species");
        require(positions, {species.size(), 3}, "positions");
        require(cell, {3, 3}, "cell");
        require(pbc, {3}, "pbc");
    }

    std::size_t size() const { return static_cast<std::size_t>(species.size()); }

    Atoms view() const {
        Atoms atoms;
        atoms.size = size();
        atoms.species = species.data();
        atoms.positions = positions.data();
        for (int a = 0; a < 3; ++a) {
            std::copy_n(cell.data() + 3 * a, 3, atoms.cell[a].begin());
            atoms.periodic[a] = pbc.data()[a];
        }
        return atoms;
    }
};

inline Floats statistics_array(const FeatureStatistics& s) {
    Floats result({std::size_t{4}, s.min.size()});
    double* at = result.mutable_data();
    for (const auto* row : {&s.min, &s.max, &s.mean, &s.sigma}) at = std::copy(row->begin(), row->end(), at);
    return result;
}

inline Precision parse_precision(const std::string& name) {
    if (name == "float64") return Precision::float64;
    if (name == "float32") return Precision::float32;
    throw Error("precision \"" + name + "\" is unknown, expected float64 or float32");
}

// For objects that have a part for each element
template <class Set>
void check_element(const Set& set, int element) {
    if (element < 0 || element >= set.elements())
        throw Error("element index " + std::to_string(element) + ", there are " +
                    std::to_string(set.elements()));
}

// A pickle is for another process with the same version of sitewise; it is not a file format.
template <class... Parts>
py::tuple pickled(Parts&&... parts) {
    return py::make_tuple(SITEWISE_VERSION, std::forward<Parts>(parts)...);
}

inline void check_version(const py::tuple& state) {
    const std::string version = state.empty() ? "" : py::str(state[0]).cast<std::string>();
    if (version != SITEWISE_VERSION)
        throw Error("a pickle of sitewise " + version +
                    " cannot be read by sitewise " SITEWISE_VERSION
                    ": potentials are kept as folders, by save and load");
}

}  // namespace sitewise::python
