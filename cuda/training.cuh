#pragma once

#include "engine.cuh"
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

}  // namespace sitewise::cuda
