#include "sitewise/network.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "activation.hpp"
#include "network_of.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const Matrix>;
using Map = Eigen::Map<Matrix>;
using ConstRow = Eigen::Map<const Eigen::RowVectorXd>;
using Row = Eigen::Map<Eigen::RowVectorXd>;

// Where the parts of each layer stand in the flat vector of weights.
struct LayerPlaces {
    int in, out;
    std::size_t w, b;
    Activation activation;
    double scale;  // 1, or 1/in with normalize_nodes
};

std::vector<LayerPlaces> layers(const Network& network) {
    std::vector<LayerPlaces> result;
    std::size_t at = 0;
    for (std::size_t l = 0; l < network.activations().size(); ++l) {
        const int in = network.nodes()[l], out = network.nodes()[l + 1];
        const std::size_t b = at + static_cast<std::size_t>(in) * out;
        result.push_back(
            {in, out, at, b, network.activations()[l], network.normalize_nodes() ? 1.0 / in : 1.0});
        at = b + out;
    }
    return result;
}

// Hands out matrices from one buffer that keeps its memory from call to call.
class MatrixArena {
public:
    MatrixArena(std::vector<double>& buffer, std::size_t size) : buffer_(buffer) {
        if (buffer_.size() < size) buffer_.resize(size);
    }
    Map take(std::size_t rows, int columns) {
        double* start = buffer_.data() + used_;
        used_ += rows * columns;
        return Map(start, rows, columns);
    }

private:
    std::vector<double>& buffer_;
    std::size_t used_ = 0;
};

std::size_t total_nodes(const Network& network) {
    std::size_t n = 0;
    for (int width : network.nodes()) n += width;
    return n;
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
    std::size_t n = 0;
    for (std::size_t l = 0; l + 1 < nodes_.size(); ++l) n += (nodes_[l] + std::size_t{1}) * nodes_[l + 1];
    weights_.assign(n, 0.0);
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
    std::vector<double, LineAligned<double>> columns(n * batch_size), slopes(n * batch_size);
    double e[batch_size];
    for (std::size_t first = 0; first < B; first += batch_size) {
        const std::size_t count = std::min<std::size_t>(batch_size, B - first);
        for (std::size_t b = 0; b < count; ++b)
            for (std::size_t f = 0; f < n; ++f) columns[f * batch_size + b] = x[(first + b) * n + f];
        network.evaluate(columns.data(), e, dedx ? slopes.data() : nullptr);
        for (std::size_t b = 0; b < count; ++b) {
            energies[first + b] = e[b];
            if (!dedx) continue;
            for (std::size_t f = 0; f < n; ++f) dedx[(first + b) * n + f] = slopes[f * batch_size + b];
        }
    }
}

// With h the values and d the tangents along t, the scalar is sum a.e + d_last. Its adjoints hbar and
// dbar run backwards through z = h W + b, u = d W, h' = f(z), d' = f'(z) u.
void Network::weight_gradient(std::size_t B,
                              const double* x,
                              const double* a,
                              const double* t,
                              double* gradient,
                              Workspace& ws) const {
    const std::vector<LayerPlaces> L = layers(*this);
    MatrixArena arena(ws.buffer, B * (8 * total_nodes(*this)));
    std::vector<Map> h{Map(const_cast<double*>(x), B, L[0].in)}, d{Map(const_cast<double*>(t), B, L[0].in)};
    std::vector<Map> first, curved;  // f'(z) and f''(z) u
    for (const LayerPlaces& l : L) {
        Map z = arena.take(B, l.out), u = arena.take(B, l.out);
        Map f1 = arena.take(B, l.out), f2u = arena.take(B, l.out);
        const ConstMap W(&weights_[l.w], l.in, l.out);
        z.noalias() = h.back() * W;
        z.rowwise() += ConstRow(&weights_[l.b], l.out);
        u.noalias() = d.back() * W;
        for (Eigen::Index i = 0; i < z.size(); ++i) {
            const core::Activated<double> f = core::activate(l.activation, l.scale * z.data()[i]);
            z.data()[i] = f.value;
            f1.data()[i] = l.scale * f.first;
            f2u.data()[i] = l.scale * l.scale * f.second * u.data()[i];
            u.data()[i] *= f1.data()[i];
        }
        h.push_back(z);
        d.push_back(u);
        first.push_back(f1);
        curved.push_back(f2u);
    }
    // The tangents above are no longer needed as adjoints come down: dbar starts as 1, hbar as a.
    Map hbar = arena.take(B, 1), dbar = arena.take(B, 1);
    hbar = ConstMap(a, B, 1);
    dbar.setOnes();
    for (std::size_t l = L.size(); l-- > 0;) {
        Map zbar = curved[l], ubar = first[l];
        zbar.array() = zbar.array() * dbar.array() + ubar.array() * hbar.array();
        ubar.array() *= dbar.array();
        Map gW(gradient + L[l].w, L[l].in, L[l].out);
        gW.noalias() += h[l].transpose() * zbar;
        gW.noalias() += d[l].transpose() * ubar;
        Row(gradient + L[l].b, L[l].out) += zbar.colwise().sum();
        if (l == 0) break;
        const ConstMap W(&weights_[L[l].w], L[l].in, L[l].out);
        new (&hbar) Map(arena.take(B, L[l].in));
        new (&dbar) Map(arena.take(B, L[l].in));
        hbar.noalias() = zbar * W.transpose();
        dbar.noalias() = ubar * W.transpose();
    }
}

}  // namespace sitewise
