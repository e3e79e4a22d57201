#include "sitewise/network.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "network_of.hpp"
#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

constexpr double most_weights = 1e8;  // far more than any potential has, yet few enough to allocate

// Turns rows [B][n] into blocks [.][n][batch_size], padded with zeros.
std::vector<double, LineAligned<double>> in_blocks(std::size_t B, std::size_t n, const double* rows) {
    std::vector<double, LineAligned<double>> blocks((B + batch_size - 1) / batch_size * n * batch_size);
    for (std::size_t b = 0; b < B; ++b)
        for (std::size_t f = 0; f < n; ++f)
            blocks[(b / batch_size * n + f) * batch_size + b % batch_size] = rows[b * n + f];
    return blocks;
}

}  // namespace

void activate(Activation activation,
              Precision precision,
              std::size_t n,
              const double* z,
              double* value,
              double* slope) {
    const auto run = [&](auto zero) {
        using Real = decltype(zero);
        std::vector<Real> x(z, z + n), f(n + batch_size), d(n + batch_size);
        x.resize(n + batch_size);
        operators<Real>().activate(activation, static_cast<int>(n), x.data(), f.data(), d.data());
        std::copy_n(f.data(), n, value);
        std::copy_n(d.data(), n, slope);
    };
    if (precision == Precision::float32)
        run(0.0f);
    else
        run(0.0);
}

Network::Network(std::vector<int> nodes, std::vector<Activation> activations, bool normalize_nodes)
    : nodes_(std::move(nodes)), activations_(std::move(activations)), normalize_nodes_(normalize_nodes) {
    if (activations_.empty() || nodes_.size() != activations_.size() + 1)
        throw Error("network: " + std::to_string(nodes_.size()) + " layers of nodes need " +
                    std::to_string(nodes_.size() - 1) + " activation functions, found " +
                    std::to_string(activations_.size()));
    for (int width : nodes_)
        if (width < 1) throw Error("network: a layer has " + std::to_string(width) + " nodes");
    if (nodes_.back() != 1)
        throw Error("network: the last layer has " + std::to_string(nodes_.back()) + " nodes, expected 1");
    double n = 0.0;  // cannot overflow
    for (std::size_t l = 0; l + 1 < nodes_.size(); ++l) n += (nodes_[l] + 1.0) * nodes_[l + 1];
    if (n > most_weights) throw Error("network: " + exact(n) + " weights, more than " + exact(most_weights));
    weights_.assign(static_cast<std::size_t>(n), 0.0);
}

void Network::set_weights(std::vector<double> weights) {
    if (weights.size() != weights_.size())
        throw Error("network: " + std::to_string(weights.size()) + " weights, expected " +
                    std::to_string(weights_.size()));
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (!std::isfinite(weights[i]))
            throw Error("network: weight " + std::to_string(i) + " is not finite");
    weights_ = std::move(weights);
}

void Network::evaluate(std::size_t B, const double* x, double* energies, double* dedx) const {
    NetworkOf<double> network(*this);
    const std::size_t n = nodes_[0];
    std::vector<double, LineAligned<double>> columns(n * batch_size), gradients(n * batch_size);
    double e[batch_size];
    for (std::size_t first = 0; first < B; first += batch_size) {
        const std::size_t count = std::min<std::size_t>(batch_size, B - first);
        for (std::size_t b = 0; b < count; ++b)
            for (std::size_t f = 0; f < n; ++f) columns[f * batch_size + b] = x[(first + b) * n + f];
        network.evaluate(columns.data(), e, dedx ? gradients.data() : nullptr);
        for (std::size_t b = 0; b < count; ++b) {
            energies[first + b] = e[b];
            if (!dedx) continue;
            for (std::size_t f = 0; f < n; ++f) dedx[(first + b) * n + f] = gradients[f * batch_size + b];
        }
    }
}

void Network::weight_gradient(std::size_t B,
                              const double* x,
                              const double* a,
                              const double* t,
                              double* gradient) const {
    const NetworkOf<double> network(*this);
    const auto inputs = in_blocks(B, nodes_[0], x), tangents = in_blocks(B, nodes_[0], t),
               weights = in_blocks(B, 1, a);
    const std::size_t blocks = weights.size() / batch_size;
    std::vector<double, LineAligned<double>> dedx(inputs.size()), trace(4 * network.nodes() * weights.size()),
        scratch(2 * network.nodes() * weights.size());
    kernels().trace(network.view(), blocks, inputs.data(), trace.data(), dedx.data());
    kernels().weight_gradient(network.view(), blocks, inputs.data(), trace.data(), weights.data(),
                              tangents.data(), scratch.data(), gradient);
}

}  // namespace sitewise
