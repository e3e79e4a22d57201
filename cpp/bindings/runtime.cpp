#include "backend.hpp"
#include "convert.hpp"
#include "exports.hpp"
#include "parallel.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise::python {
namespace {

std::vector<std::string> devices() {
    try {
        cuda_backend();
        return {"cpu", "cuda"};
    } catch (const Error&) {
        return {"cpu"};
    }
}

py::dict info() {
    py::dict d;
    d["version"] = SITEWISE_VERSION;
#if defined(__clang__)
    d["compiler"] = std::string("clang ") + __clang_version__;
#elif defined(__GNUC__)
    d["compiler"] = std::string("gcc ") + __VERSION__;
#else
    d["compiler"] = "unknown";
#endif
    d["instruction_set"] = instruction_set();
#ifdef _OPENMP
    d["openmp"] = "yes";
#else
    d["openmp"] = "no";
#endif
    d["cuda"] = cuda_status();
    return d;
}

void set_threads(int n) {
    if (n < 1) throw Error("the number of threads is " + std::to_string(n) + ", expected 1 or more");
    if (n > 1 && forks() > 0)
        throw Error("a forked process computes with 1 thread, not " + std::to_string(n) +
                    ": start it by spawn or forkserver for more");
#ifdef _OPENMP
    omp_set_num_threads(n);
#endif
}

}  // namespace

void export_runtime(py::module_& m) {
    m.def("devices", &devices);
    m.def("info", &info);
    m.def("get_threads", &max_threads);
    m.def("set_threads", &set_threads, py::arg("n"));
}

}  // namespace sitewise::python
