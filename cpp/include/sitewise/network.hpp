#pragma once

#include <cstddef>
#include <vector>

namespace sitewise {

/// Activation functions with the letters of n2p2's `global_activation_short`.
enum class Activation : char {
    linear = 'l',
    tanh = 't',
    logistic = 's',
    softplus = 'p',
    relu = 'r',
    gaussian = 'g',
    cosine = 'c',
    reverse_logistic = 'S',
    exponential = 'e',
    harmonic = 'h'
};

/// Precision of the symmetry functions, the network and their derivatives. Sums over atoms, neighbour vectors
/// and results are in double precision in either case.
enum class Precision { float64, float32 };

/// Compute f(z) and f'(z) of n numbers, as networks of that precision compute them. In double precision f is
/// within 1e-15 max(1, |f|) of the true value and f' within 2e-15 max(1, |f'|), in single precision within
/// 3e-7 and 6e-7; the cosine for |z| < 10^5.
void activate(Activation activation,
              Precision precision,
              std::size_t n,
              const double* z,
              double* value,
              double* slope);

/// A dense feed-forward network R^n -> R for one element, evaluated for blocks of B atoms. A layer is
/// z = h W + b, h = f(z); with `normalize_nodes` (n2p2) z is divided by the width of the previous layer.
class Network {
public:
    Network() = default;
    /// nodes [layers + 1] from n inputs to 1 output, activations [layers]. Throws Error if the last layer
    /// does not have 1 node, if a layer is empty, if the lengths do not match, or if there are more than 1e8
    /// weights.
    Network(std::vector<int> nodes, std::vector<Activation> activations, bool normalize_nodes = false);

    const std::vector<int>& nodes() const { return nodes_; }
    const std::vector<Activation>& activations() const { return activations_; }
    bool normalize_nodes() const { return normalize_nodes_; }
    std::size_t n_weights() const { return weights_.size(); }

    /// Return the weights in the order of n2p2's weights.ZZZ.data: layer by layer, W [previous][next] row by
    /// row, then b [next].
    const std::vector<double>& weights() const { return weights_; }
    /// Set the weights. Throws Error if their number is wrong or one of them is not finite.
    void set_weights(std::vector<double> weights);

    /// Compute energies [B] and de/dx [B][n] of inputs x [B][n]; dedx may be null.
    void evaluate(std::size_t B, const double* x, double* energies, double* dedx) const;

    /// Add to gradient [n_weights] the derivative with respect to the weights of
    ///
    ///     sum_b ( a_b e(x_b) + t_b . de/dx(x_b) )
    ///
    /// for fixed a [B] and t [B][n]. Energies, forces and stress need no other derivative, since they are
    /// linear in e and de/dx. There is one pass forward with the tangent t and one backward; no third-order
    /// tensor appears.
    void weight_gradient(std::size_t B,
                         const double* x,
                         const double* a,
                         const double* t,
                         double* gradient) const;

private:
    std::vector<int> nodes_;
    std::vector<Activation> activations_;
    bool normalize_nodes_ = false;
    std::vector<double> weights_;
};

}  // namespace sitewise
