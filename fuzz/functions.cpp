// read_functions of any input.nn; functions that are read are computed for an environment, with derivatives.

#include <cmath>
#include <cstring>

#include "common.hpp"
#include "sitewise/error.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

fuzz::Counter counter{"functions"};

constexpr std::size_t n = 6;
const double vectors[3 * n] = {1.1, 0.9,  0.8, 2.3,  0.1, 0.4, -0.2, 2.2, 1.9,
                               2.1, -2.4, 0.3, -3.4, 3.1, 2.2, 0.0,  0.0, -1.7};
const int neighbors[n] = {0, 1, 2, 3, 4, 5};

// u.(J v) = (J^T u).v
void compute(const sitewise::SymmetryFunctions& functions, int center) {
    std::vector<int> species(n);
    for (std::size_t k = 0; k < n; ++k) species[k] = static_cast<int>(k) % functions.elements();
    sitewise::Environment environment;
    functions.load(center, n, neighbors, species.data(), vectors, environment);
    const std::size_t count = functions.count(center);
    std::vector<double> G(count), u(count), changed(count), gradient(3 * n), v(3 * n);
    for (std::size_t f = 0; f < count; ++f) u[f] = std::cos(1.0 + f);
    for (std::size_t k = 0; k < v.size(); ++k) v[k] = std::sin(1.0 + k);
    functions.evaluate(environment, G.data());
    functions.vjp(environment, u.data(), gradient.data());
    functions.jvp(environment, v.data(), changed.data());
    double left = 0.0, right = 0.0, size = 0.0;
    for (std::size_t f = 0; f < count; ++f) left += u[f] * changed[f];
    for (std::size_t k = 0; k < v.size(); ++k) right += gradient[k] * v[k], size += std::fabs(gradient[k]);
    for (std::size_t f = 0; f < count; ++f) size += std::fabs(changed[f]);
    if (std::isfinite(left) && std::isfinite(right) && std::isfinite(size))
        fuzz::require(std::fabs(left - right) <= 1e-9 * size + 1e-290,
                      "both derivatives are transposes of another");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    std::atexit([] { counter.print(); });
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ++counter.inputs;
    static const std::string file = fuzz::scratch() / "input.nn";
    fuzz::write_file(file, fuzz::unpack({reinterpret_cast<const char*>(data), size})["input.nn"]);
    try {
        const sitewise::InputFunctions read = sitewise::read_functions(file);
        ++counter.read;
        for (int e = 0; e < read.functions.elements(); ++e) compute(read.functions, e);
        ++counter.computed;
        fuzz::Mutator::remember({reinterpret_cast<const char*>(data), size});
    } catch (const sitewise::Error& error) {
        fuzz::require(std::strlen(error.what()) > 5, "an error has a sentence");
    }
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data,
                                               std::size_t size,
                                               std::size_t most,
                                               unsigned seed) {
    if (seed % 16 == 0) return LLVMFuzzerMutate(data, size, most);
    const fuzz::Files files = fuzz::unpack(fuzz::Mutator(seed).mutate({reinterpret_cast<char*>(data), size}));
    const std::string made = fuzz::pack({{"input.nn", files.at("input.nn")}});
    if (made.size() > most) return LLVMFuzzerMutate(data, size, most);
    std::memcpy(data, made.data(), made.size());
    return made.size();
}
