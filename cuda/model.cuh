#pragma once

// Potentials on the device.

#include <vector>

#include "columns.cuh"
#include "network_of.hpp"
#include "plan.cuh"
#include "sitewise/potential.hpp"

namespace sitewise::cuda {

/// Symmetry functions, and scalings and networks of the potentials that share them. They are sent again only
/// if they change.
template <class Real>
class Model {
public:
    /// The scaling and the network of one element. Layers are on the host, their W and b on the device.
    struct Member {
        ScalingView scaling;
        std::vector<Layer<Real>> layers;
        double shift, conversion;  // E = e / conversion + shift, eV

        NetworkView<Real> network() const { return {{layers.data(), static_cast<int>(layers.size())}}; }
    };

    void load(const SymmetryFunctions& functions,
              const std::vector<const Potential*>& members,
              cudaStream_t stream);

    int elements() const { return static_cast<int>(plans_.size()); }
    const DevicePlan<Real>& plan(int element) const { return plans_[element]; }
    int outputs(int element) const { return plans_[element].plan.outputs; }
    int width() const { return width_; }  ///< of the element with the most functions
    std::size_t members() const { return elements() ? members_.size() / plans_.size() : 0; }
    const Member& member(std::size_t m, int element) const { return members_[m * plans_.size() + element]; }

private:
    static Member pack(const Potential& potential, int element, Packet& packet);

    int width_ = 0;
    Packet packet_;
    std::vector<DevicePlan<Real>> plans_;
    std::vector<Member> members_;
};

}  // namespace sitewise::cuda
