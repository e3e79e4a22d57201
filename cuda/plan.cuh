#pragma once

#include <algorithm>
#include <vector>

#include "memory.cuh"
#include "moment_plan.cuh"
#include "plan.hpp"

namespace sitewise::cuda {

/// The plan of one element with all arrays on the device, and the size of its largest block.
template <class Real>
struct DevicePlan {
    ElementPlan<Real> plan;
    MomentPlan<Real> moments;
    int powers = 0, members = 0, nodes = 0;
};

template <class Real>
DevicePlan<Real> to_device(ElementPlan<Real> plan, Packet& packet) {
    DevicePlan<Real> result;
    result.moments = moment_plan(plan, packet);
    result.nodes = plan.polynomials.nodes();
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
