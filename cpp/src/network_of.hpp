#pragma once

#include <vector>

#include "kernels.hpp"
#include "memory.hpp"
#include "sitewise/network.hpp"

namespace sitewise {

/// A network in the form of the kernels, with memory for a batch of atoms. Each thread has its own.
template <class Real>
class NetworkOf {
public:
    explicit NetworkOf(const Network& network)
        : weights_(network.weights().begin(), network.weights().end()) {
        const Real* at = weights_.data();
        std::size_t nodes = network.nodes()[0];
        for (std::size_t l = 0; l < network.activations().size(); ++l) {
            const int in = network.nodes()[l], out = network.nodes()[l + 1];
            const Real* b = at + static_cast<std::size_t>(in) * out;
            const Real scale = network.normalize_nodes() ? Real(1) / static_cast<Real>(in) : Real(1);
            layers_.push_back({in, out, at, b, network.activations()[l], scale});
            at = b + out;
            nodes += out;
        }
        nodes_ = nodes - network.nodes()[0];
        scratch_.resize(3 * nodes * batch_size);
    }
    NetworkOf(NetworkOf&&) = default;  // the weights stay where they are

    /// See Operators::network.
    void evaluate(const Real* x, Real* energies, Real* dedx) {
        operators<Real>().network(view(), x, energies, dedx, scratch_.data());
    }

    /// See Operators::network_changes; `x` is that of the last evaluate().
    void changes(const Real* x, const std::vector<Real>& deviations, std::size_t count, Real* changes) const {
        operators<Real>().network_changes(view(), x, scratch_.data(), static_cast<int>(count),
                                          deviations.data(), changes);
    }

    std::size_t inputs() const { return layers_.front().in; }
    std::size_t nodes() const { return nodes_; }  ///< of all layers except the inputs
    /// For the kernels trace and weight_gradient.
    NetworkView<Real> view() const { return {{layers_.data(), static_cast<int>(layers_.size())}}; }

private:
    std::size_t nodes_ = 0;
    std::vector<Real> weights_;
    std::vector<Layer<Real>> layers_;
    std::vector<Real, LineAligned<Real>> scratch_;
};

}  // namespace sitewise
