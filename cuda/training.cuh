#pragma once

#include <functional>

#include "engine.cuh"
#include "jacobian.hpp"
#include "loss.cuh"

namespace sitewise::cuda {

/// Computes the loss and its gradient over structures that stay on the device between calls, with their
/// neighbour lists and symmetry functions. Derivatives of the functions are recomputed.
template <class Real>
class Trainer {
public:
    explicit Trainer(cudaStream_t stream) : stream_(stream), engine_(stream) {}

    /// See Backend::loss.
    Loss loss(const TrainingData& data,
              const Potential& potential,
              const std::vector<std::size_t>& structures,
              LossWeights weights,
              double* gradient);

private:
    void load(const LabelledBatch& batch);

    cudaStream_t stream_;
    Engine<Real> engine_;
    std::vector<std::uint64_t> key_;  // the structures on the device, and the state of their data
    LossInput labels_{};
    Packet packet_;
    Buffer<double> errors_, scratch_, gradient_, energies_;
};

/// Computes rows of the Jacobian, for as many structures at a time as some memory holds, at least one.
/// Derivatives of the functions are recomputed.
template <class Real>
class Differentiator {
public:
    explicit Differentiator(cudaStream_t stream, std::size_t bytes = std::size_t{1} << 29)
        : stream_(stream), engine_(stream), bytes_(bytes) {}

    /// See Backend::jacobian.
    void jacobian(const TrainingData& data,
                  const Potential& potential,
                  const JacobianRows& rows,
                  double* jacobian);
    /// See Backend::normal_matrix.
    void normal_matrix(const TrainingData& data,
                       const Potential& potential,
                       const JacobianRows& rows,
                       const double* scales,
                       double* matrix);

private:
    /// Calls take(number of rows, their place on the device) for rows in order, multiplied by their scales.
    void each(const TrainingData& data,
              const Potential& potential,
              const JacobianRows& rows,
              const double* scales,
              const std::function<void(std::size_t, const double*)>& take);

    cudaStream_t stream_;
    Engine<Real> engine_;
    std::size_t bytes_;
    Buffer<double> rows_, matrix_;
};

}  // namespace sitewise::cuda
