#pragma once

// Exchanges arrays of doubles on a CUDA device with other libraries, by __cuda_array_interface__ (version 3)
// and DLPack.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend.hpp"
#include "sitewise/error.hpp"

namespace sitewise::python {

namespace py = pybind11;

/// The part of DLPack's ABI (https://dmlc.github.io/dlpack) that describes a dense array.
namespace dlpack {
struct Tensor {
    void* data;
    std::int32_t device_type, device_id, ndim;
    std::uint8_t code, bits;
    std::uint16_t lanes;
    std::int64_t *shape, *strides;
    std::uint64_t byte_offset;
};
struct Managed {
    Tensor tensor;
    void* context;
    void (*deleter)(Managed*);
};
constexpr std::int32_t cuda = 2;
constexpr std::uint8_t floating = 2;
}  // namespace dlpack

/// Memory on the device, which is freed with the last array that uses it.
struct DeviceMemory {
    explicit DeviceMemory(std::size_t bytes) : backend(cuda_backend()), data(backend->allocate(bytes)) {}
    ~DeviceMemory() {
        if (!backend->forked()) backend->release(data);
    }
    DeviceMemory(const DeviceMemory&) = delete;
    std::shared_ptr<DeviceBackend> backend;
    void* data;
};

/// An array that sitewise made.
class DeviceArray {
public:
    explicit DeviceArray(std::vector<std::int64_t> shape)
        : shape_(std::move(shape)), memory_(std::make_shared<DeviceMemory>(size() * sizeof(double))) {}

    static DeviceArray upload(const py::array_t<double, py::array::c_style | py::array::forcecast>& values) {
        DeviceArray result(std::vector<std::int64_t>(values.shape(), values.shape() + values.ndim()));
        result.memory_->backend->upload(result.data(), values.data(), result.size() * sizeof(double));
        return result;
    }

    double* data() const { return static_cast<double*>(memory_->data); }
    std::size_t size() const {
        std::size_t n = 1;
        for (std::int64_t length : shape_) n *= static_cast<std::size_t>(length);
        return n;
    }
    py::tuple shape() const { return py::tuple(py::cast(shape_)); }

    py::array_t<double> numpy() const {
        memory_->backend->require_own_process();
        py::array_t<double> values(shape_);
        memory_->backend->download(values.mutable_data(), data(), size() * sizeof(double));
        return values;
    }

    py::dict cuda_array_interface() const {
        py::dict d;
        d["shape"] = shape();
        d["typestr"] = "<f8";
        d["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(data()), false);
        d["strides"] = py::none();
        d["version"] = 3;
        return d;
    }

    /// Returns a capsule "dltensor". The consumer renames it and calls its deleter.
    py::object dlpack() const {
        auto* managed = new Shared{{}, shape_, memory_};
        managed->tensor = {data(),
                           dlpack::cuda,
                           0,
                           static_cast<std::int32_t>(shape_.size()),
                           dlpack::floating,
                           64,
                           1,
                           managed->shape.data(),
                           nullptr,
                           0};
        managed->context = managed;
        managed->deleter = [](dlpack::Managed* m) { delete static_cast<Shared*>(m->context); };
        return py::reinterpret_steal<py::object>(
            PyCapsule_New(static_cast<dlpack::Managed*>(managed), "dltensor", [](PyObject* capsule) {
                if (!PyCapsule_IsValid(capsule, "dltensor")) return;
                auto* m = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"));
                m->deleter(m);
            }));
    }

private:
    struct Shared : dlpack::Managed {
        Shared(dlpack::Managed m, std::vector<std::int64_t> s, std::shared_ptr<DeviceMemory> k)
            : dlpack::Managed(m), shape(std::move(s)), memory(std::move(k)) {}
        std::vector<std::int64_t> shape;
        std::shared_ptr<DeviceMemory> memory;
    };

    std::vector<std::int64_t> shape_;
    std::shared_ptr<DeviceMemory> memory_;
};

/// An array of another library while sitewise reads it.
class DeviceView {
public:
    DeviceView(const py::object& array, std::vector<std::int64_t> shape, const std::string& name)
        : name_(name), expected_(std::move(shape)) {
        if (py::hasattr(array, "__cuda_array_interface__"))
            take_interface(array.attr("__cuda_array_interface__"));
        else if (py::hasattr(array, "__dlpack__"))
            take_dlpack(array);
        else
            throw Error(
                name +
                " is not an array on a device: it has neither __cuda_array_interface__ nor __dlpack__");
    }
    ~DeviceView() {
        if (managed_ && managed_->deleter) managed_->deleter(managed_);
    }
    DeviceView(const DeviceView&) = delete;

    const double* data() const { return data_; }
    void* stream() const { return stream_; }  ///< on which the array was last used; null: the default stream

private:
    void take_interface(const py::dict& d) {
        check(d["typestr"].cast<std::string>() == "<f8", d["shape"].cast<std::vector<std::int64_t>>());
        if (d.contains("strides") && !d["strides"].is_none())
            check_strides(d["strides"].cast<std::vector<std::int64_t>>(), sizeof(double));
        data_ = reinterpret_cast<const double*>(d["data"].cast<py::tuple>()[0].cast<std::uintptr_t>());
        const bool given = d.contains("stream") && !d["stream"].is_none();
        const std::uintptr_t stream = given ? d["stream"].cast<std::uintptr_t>() : 1;
        stream_ = reinterpret_cast<void*>(stream == 1 ? 0 : stream);  // 1 is the default stream
    }

    void take_dlpack(const py::object& array) {
        const auto device = array.attr("__dlpack_device__")().cast<std::pair<int, int>>();
        if (device.first != dlpack::cuda || device.second != 0)
            throw Error(name_ + " is not on the first CUDA device");
        const py::object capsule = array.attr("__dlpack__")(py::arg("stream") = 1);
        managed_ = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
        if (!managed_) throw py::error_already_set();
        PyCapsule_SetName(capsule.ptr(), "used_dltensor");
        const dlpack::Tensor& t = managed_->tensor;
        check(t.code == dlpack::floating && t.bits == 64 && t.lanes == 1, {t.shape, t.shape + t.ndim});
        if (t.strides) check_strides({t.strides, t.strides + t.ndim}, 1);
        data_ = reinterpret_cast<const double*>(static_cast<const char*>(t.data) + t.byte_offset);
    }

    void check(bool is_double, const std::vector<std::int64_t>& shape) const {
        if (!is_double) throw Error(name_ + " must be an array of float64");
        if (shape == expected_) return;
        const auto text = [](const std::vector<std::int64_t>& s) {
            return py::str(py::tuple(py::cast(s))).cast<std::string>();
        };
        throw Error(name_ + " has shape " + text(shape) + ", expected " + text(expected_));
    }

    void check_strides(const std::vector<std::int64_t>& strides, std::int64_t unit) const {
        for (std::size_t a = expected_.size(); a-- > 0; unit *= expected_[a])
            if (expected_[a] > 1 && strides[a] != unit)
                throw Error(name_ + " must be contiguous, row by row");
    }

    std::string name_;
    std::vector<std::int64_t> expected_;
    const double* data_ = nullptr;
    void* stream_ = nullptr;
    dlpack::Managed* managed_ = nullptr;
};

}  // namespace sitewise::python
