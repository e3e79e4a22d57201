#pragma once

#include <algorithm>
#include <vector>

#include "memory.cuh"
#include "plan.hpp"
#include "sitewise/error.hpp"

namespace sitewise::cuda {

/// The plan of one element with all arrays on the device, and the size of its largest block.
template <class Real>
struct DevicePlan {
    ElementPlan<Real> plan;
    int powers = 0, members = 0;
};

template <class T>
void move_to_device(Span<T>& span, Packet& packet) {
    span.data = packet.add(span.data, static_cast<std::size_t>(span.size));
}

/// A plan without moments, because the device has no kernels for moments.
template <class Real>
DevicePlan<Real> to_device(ElementPlan<Real> plan, Packet& packet) {
    if (plan.polynomials.outputs.size > 0)
        throw Error(
            "symmetry functions of types 33 to 35 are computed on the processor alone: set the device cpu");
    DevicePlan<Real> result;
    std::vector<Block<Real>> blocks(plan.blocks.begin(), plan.blocks.end());
    for (Block<Real>& block : blocks) {
        result.powers = std::max(result.powers, block.powers.size);
        result.members = std::max(result.members, block.members.size);
        move_to_device(block.powers, packet);
        move_to_device(block.members, packet);
        move_to_device(block.groups, packet);
        move_to_device(block.families, packet);
    }
    plan.blocks.data = packet.add(blocks);
    move_to_device(plan.envelopes, packet);
    move_to_device(plan.shells, packet);
    move_to_device(plan.radial, packet);
    result.plan = plan;
    return result;
}

}  // namespace sitewise::cuda
