#include "sitewise/network.hpp"

#include <Eigen/Core>
#include <cmath>
#include <string>
#include <utility>

#include "activation.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const Matrix>;
using Map = Eigen::Map<Matrix>;
using ConstRow = Eigen::Map<const Eigen::RowVectorXd>;
using Row = Eigen::Map<Eigen::RowVectorXd>;

// Where the parts of each layer stand in the flat vector of weights.
struct Layer {
    int in, out;
    std::size_t w, b;
    Activation activation;
    double scale;  // 1, or 1/in with normalize_nodes
};

std::vector<Layer> layers(const Network& network) {
    std::vector<Layer> result;
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
class Arena {
public:
    Arena(std::vector<double>& buffer, std::size_t size) : buffer_(buffer) {
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

void Network::evaluate(std::size_t B, const double* x, double* energies, double* dedx, Workspace& ws) const {
    const std::vector<Layer> L = layers(*this);
    Arena arena(ws.buffer, B * (4 * total_nodes(*this)));
    std::vector<Map> slope;
    const double* h = x;
    for (const Layer& l : L) {
        Map z = arena.take(B, l.out), d = arena.take(B, l.out);
        z.noalias() = ConstMap(h, B, l.in) * ConstMap(&weights_[l.w], l.in, l.out);
        z.rowwise() += ConstRow(&weights_[l.b], l.out);
        for (Eigen::Index i = 0; i < z.size(); ++i) {
            const core::Activated f = core::activate(l.activation, l.scale * z.data()[i]);
            z.data()[i] = f.value;
            d.data()[i] = l.scale * f.first;
        }
        slope.push_back(d);
        h = z.data();
    }
    for (std::size_t i = 0; i < B; ++i) energies[i] = h[i];
    if (!dedx) return;
    for (std::size_t l = L.size(); l-- > 0;) {
        Map below = l == 0 ? Map(dedx, B, L[0].in) : arena.take(B, L[l].in);
        below.noalias() = slope[l] * ConstMap(&weights_[L[l].w], L[l].in, L[l].out).transpose();
        if (l > 0) slope[l - 1].array() *= below.array();
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
    const std::vector<Layer> L = layers(*this);
    Arena arena(ws.buffer, B * (8 * total_nodes(*this)));
    std::vector<Map> h{Map(const_cast<double*>(x), B, L[0].in)}, d{Map(const_cast<double*>(t), B, L[0].in)};
    std::vector<Map> first, curved;  // f'(z) and f''(z) u
    for (const Layer& l : L) {
        Map z = arena.take(B, l.out), u = arena.take(B, l.out);
        Map f1 = arena.take(B, l.out), f2u = arena.take(B, l.out);
        const ConstMap W(&weights_[l.w], l.in, l.out);
        z.noalias() = h.back() * W;
        z.rowwise() += ConstRow(&weights_[l.b], l.out);
        u.noalias() = d.back() * W;
        for (Eigen::Index i = 0; i < z.size(); ++i) {
            const core::Activated f = core::activate(l.activation, l.scale * z.data()[i]);
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
