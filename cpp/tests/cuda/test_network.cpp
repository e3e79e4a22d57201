// Networks on the device against those of the processor, and derivatives against differences.
#include <string>
#include <utility>
#include <vector>

#include "../check.hpp"
#include "device.hpp"
#include "network.cuh"
#include "sitewise/network.hpp"

using namespace sitewise;
using cuda::Buffer;
using device::difference;
using device::Numbers;
using device::random_numbers;
using device::Uploaded;

namespace {

/// As much as single and double precision are to agree with the processor, relative to the largest number
template <class Real>
constexpr double tolerance = sizeof(Real) == 4 ? 1e-5 : 1e-12;

/// Some atoms and what the weight gradient is asked for: x and t [atom][node] as for Network, a [atom]
struct Case {
    Network network;
    int atoms;
    Numbers x, t, a;
};

Case make_case(std::vector<int> nodes, std::vector<Activation> activations, bool normalize, int atoms) {
    const int inputs = nodes[0];
    Network network(std::move(nodes), std::move(activations), normalize);
    network.set_weights(random_numbers(network.n_weights(), 0.4));
    return {network, atoms, random_numbers(atoms * inputs, 1.0), random_numbers(atoms * inputs, 1.0),
            random_numbers(atoms, 1.0)};
}

/// A network and its weights on the device
template <class Real>
struct DeviceNetwork {
    explicit DeviceNetwork(const Network& network) {
        const std::vector<Real> rounded(network.weights().begin(), network.weights().end());
        const Real* at = weights.upload(rounded.data(), rounded.size(), nullptr);
        for (std::size_t l = 0; l < network.activations().size(); ++l) {
            const int in = network.nodes()[l], out = network.nodes()[l + 1];
            const Real scale = network.normalize_nodes() ? Real(1) / static_cast<Real>(in) : Real(1);
            layers.push_back({in, out, at, at + in * out, network.activations()[l], scale});
            at += (in + 1) * out;
        }
    }
    NetworkView<Real> view() const { return {{layers.data(), static_cast<int>(layers.size())}}; }

    Buffer<Real> weights;
    std::vector<Layer<Real>> layers;
};

/// Rows [atom][node] as [node][ld]
template <class Real>
std::vector<Real> columns(const Numbers& rows, int atoms) {
    const std::size_t ld = cuda::leading_dimension(atoms), n = rows.size() / atoms;
    std::vector<Real> result(n * ld);
    for (std::size_t b = 0; b < static_cast<std::size_t>(atoms); ++b)
        for (std::size_t f = 0; f < n; ++f) result[f * ld + b] = static_cast<Real>(rows[b * n + f]);
    return result;
}

template <class Real>
Numbers rows(const std::vector<Real>& columns, int atoms) {
    const std::size_t ld = cuda::leading_dimension(atoms), n = columns.size() / ld;
    Numbers result(n * atoms);
    for (std::size_t b = 0; b < static_cast<std::size_t>(atoms); ++b)
        for (std::size_t f = 0; f < n; ++f) result[b * n + f] = columns[f * ld + b];
    return result;
}

struct Results {
    Numbers energies, dedx, gradient, energy_gradient;  // the last for t = 0
};

Results on_processor(const Case& c) {
    Results r{Numbers(c.atoms), Numbers(c.x.size()), Numbers(c.network.n_weights()),
              Numbers(c.network.n_weights())};
    c.network.evaluate(c.atoms, c.x.data(), r.energies.data(), r.dedx.data());
    c.network.weight_gradient(c.atoms, c.x.data(), c.a.data(), c.t.data(), r.gradient.data());
    c.network.weight_gradient(c.atoms, c.x.data(), c.a.data(), Numbers(c.t.size()).data(),
                              r.energy_gradient.data());
    return r;
}

template <class Real>
Results on_device(const Case& c) {
    const DeviceNetwork<Real> network(c.network);
    const std::size_t ld = cuda::leading_dimension(c.atoms), inputs = c.network.nodes()[0],
                      n_weights = c.network.n_weights();
    const Uploaded<Real> x(columns<Real>(c.x, c.atoms)), t(columns<Real>(c.t, c.atoms)),
        a(columns<Real>(c.a, c.atoms));
    Buffer<Real> energies, dedx;
    Buffer<double> gradients, scratch;
    scratch.reserve(cuda::network_scratch(network.view(), c.atoms));
    double* const gradient = gradients.clear(2 * n_weights, nullptr);
    cuda::launch_network<Real>(network.view(), c.atoms, ld, x.data(), energies.reserve(ld),
                               dedx.reserve(inputs * ld), scratch.data(), nullptr);
    cuda::launch_weight_gradient<Real>(network.view(), c.atoms, ld, x.data(), a.data(), t.data(), gradient,
                                       scratch.data(), nullptr);
    cuda::launch_weight_gradient<Real>(network.view(), c.atoms, ld, x.data(), a.data(), nullptr,
                                       gradient + n_weights, scratch.data(), nullptr);
    const auto energies_of_atoms = [&] {
        return rows(cuda::download(energies.data(), ld, nullptr), c.atoms);
    };
    Results r{energies_of_atoms(), rows(cuda::download(dedx.data(), inputs * ld, nullptr), c.atoms),
              cuda::download(gradient, n_weights, nullptr),
              cuda::download(gradient + n_weights, n_weights, nullptr)};
    cuda::launch_network<Real>(network.view(), c.atoms, ld, x.data(), energies.data(), nullptr,
                               scratch.data(), nullptr);
    CHECK(energies_of_atoms() == r.energies);
    cuda::check(cudaGetLastError());
    return r;
}

/// Also that the order of threads does not matter
template <class Real>
void compare(const Case& c, std::uint64_t orders = 2) {
    const Results expected = on_processor(c), found = on_device<Real>(c);
    CHECK_CLOSE(difference(found.energies, expected.energies), 0.0, tolerance<Real>);
    CHECK_CLOSE(difference(found.dedx, expected.dedx), 0.0, tolerance<Real>);
    CHECK_CLOSE(difference(found.gradient, expected.gradient), 0.0, tolerance<Real>);
    CHECK_CLOSE(difference(found.energy_gradient, expected.energy_gradient), 0.0, tolerance<Real>);
    const auto seed = hostexec::options().seed;
    for (std::uint64_t order = 1; order <= orders; ++order) {  // descending, random
        hostexec::options().seed = order;
        const Results again = on_device<Real>(c);
        CHECK(again.energies == found.energies && again.dedx == found.dedx);
        CHECK(again.gradient == found.gradient);
    }
    hostexec::options().seed = seed;
}

void compare_both(const Case& c) {
    compare<double>(c);
    compare<float>(c);
}

void test_topologies() {
    const auto t = Activation::tanh, l = Activation::linear;
    for (const auto& [nodes, atoms] : {std::pair<std::vector<int>, int>{{27, 24, 24, 1}, 70},
                                       {{60, 50, 50, 1}, 33},
                                       {{33, 70, 9, 1}, 32},
                                       {{5, 1}, 31},
                                       {{1, 1, 1, 1}, 1},
                                       {{3, 4, 5, 6, 7, 1}, 40}}) {
        std::vector<Activation> activations(nodes.size() - 1, t);
        activations.back() = l;
        compare_both(make_case(nodes, activations, false, atoms));
    }
}

void test_activations() {
    for (char letter : {'l', 't', 's', 'p', 'r', 'g', 'c', 'S', 'e', 'h'}) {
        const auto f = static_cast<Activation>(letter);
        compare_both(make_case({6, 5, 4, 1}, {f, f, f}, letter % 2 == 0, 5));
    }
}

// Nodes beyond what shared memory holds, and more tiles than blocks
void test_sizes() {
    const auto t = Activation::tanh;
    compare<double>(make_case({3, 290, 20, 1}, {t, t, t}, false, 34), 0);
    compare<float>(make_case({3, 580, 20, 1}, {t, t, t}, false, 2), 0);
    compare<double>(make_case({2, 1}, {t}, false, 32 * 512 + 40), 0);
    try {
        on_device<double>(make_case(std::vector<int>(34, 1), std::vector<Activation>(33, t), false, 1));
        CHECK(false);
    } catch (const Error& error) {
        CHECK(std::string(error.what()).find("33 layers") != std::string::npos);
    }
}

// Along a random direction of the weights, from energies and slopes of the device
void test_differences() {
    const auto t = Activation::tanh, s = Activation::softplus;
    Case c = make_case({7, 6, 5, 1}, {t, s, t}, true, 37);
    const Numbers weights = c.network.weights(), direction = random_numbers(weights.size(), 1.0),
                  gradient = on_device<double>(c).gradient;
    const auto value = [&](double step) {
        Numbers moved = weights;
        for (std::size_t w = 0; w < moved.size(); ++w) moved[w] += step * direction[w];
        c.network.set_weights(moved);
        const Results r = on_device<double>(c);
        double sum = 0.0;
        for (int b = 0; b < c.atoms; ++b) sum += c.a[b] * r.energies[b];
        for (std::size_t q = 0; q < c.t.size(); ++q) sum += c.t[q] * r.dedx[q];
        return sum;
    };
    double slope = 0.0;
    for (std::size_t w = 0; w < weights.size(); ++w) slope += gradient[w] * direction[w];
    const double h = 1e-4;
    const double expected = (8.0 * (value(h) - value(-h)) - (value(2.0 * h) - value(-2.0 * h))) / (12.0 * h);
    CHECK_CLOSE(slope / expected, 1.0, 1e-9);
}

}  // namespace

// With the argument "small", each kernel once or a few times, in the order that HOSTEXEC_SEED says
int main(int argc, char** argv) {
    if (argc > 1 && std::string(argv[1]) == "small") {
        const auto t = Activation::tanh, l = Activation::linear;
        const Case c = make_case({9, 10, 1}, {t, l}, true, 40);
        compare<double>(c, 0);
        compare<float>(c, 0);
        compare<double>(make_case({1, 290, 1}, {t, l}, false, 2), 0);
        compare<float>(make_case({1, 580, 1}, {t, l}, false, 2), 0);
        return check::failures();
    }
    test_topologies();
    test_activations();
    test_sizes();
    test_differences();
    return check::failures();
}
