#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "memory.hpp"
#include "monomials.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise {

/// Room for a chunk of pairs: its last row may exceed it, and a tile of padding follows.
template <class Real>
constexpr std::size_t pairs_of_chunk(std::size_t stride) {
    return chunk_size + stride + 4 * 64 / sizeof(Real);
}

/// Reserves the arrays of a pair list for an environment of `stride` neighbours, with a whole chunk of pairs
/// and `kept` values of each.
template <class Real, class Take>
void take_pairs(Take take, PairList<Real>& list, std::size_t stride, std::size_t kept) {
    const std::size_t pairs = pairs_of_chunk<Real>(stride),
                      lanes = kernels().lanes * sizeof(double) / sizeof(Real);
    list.room = static_cast<int>(pairs);
    take(list.j, pairs);
    take(list.k, pairs);
    take(list.c, pairs);
    take(list.kept, kept * pairs);
    take(list.rows, stride);
    take(list.masks, stride * (stride / lanes + 1));
}

/// The memory of the kernels. Each thread has one, which stays in the processor's cache from atom to atom.
template <class Real>
class ScratchOf {
public:
    const PairScratch<Real>& reserve(const ElementPlan<Real>& plan, int stride) {
        if (plan_ == plan.id && stride <= stride_) return scratch_;
        plan_ = plan.id;
        stride_ = stride;
        std::size_t powers = 0, members = 0, groups = 0, families = 0, kept = 0;
        for (const Block<Real>& block : plan.blocks) {
            powers = std::max<std::size_t>(powers, block.powers.size);
            members = std::max<std::size_t>(members, block.members.size);
            groups = std::max<std::size_t>(groups, block.groups.size);
            families = std::max<std::size_t>(families, block.families.size);
            kept = std::max<std::size_t>(kept, block.kept);
        }
        const std::size_t lanes = 64 / sizeof(Real), n = stride, pairs = pairs_of_chunk<Real>(n);
        PairScratch<Real>& w = scratch_;
        arena_.lay_out([&](auto take) {
            take_pairs(take, w.pairs, n, kept);
            for (Real** p : {&w.X, &w.A, &w.B}) take(*p, pairs);
            for (Real*& p : w.own) take(p, n);
            take(w.power, powers * 4 * lanes);
            take(w.slope, powers * 4 * lanes);
            take(w.sums, members * lanes);
            take(w.polynomial_sums, groups * (most_degree + 1) * lanes);
            take(w.weights, members);
            take(w.polynomials, groups * (most_degree + 1));
            take(w.live_groups, groups);
            take(w.live_families, families);
            take(w.monomials, monomials_up_to(plan.order) * n);
            take(w.bar, plan.polynomials.nodes());
        });
        return scratch_;
    }

private:
    Arena arena_;
    PairScratch<Real> scratch_{};
    std::uint64_t plan_ = 0;
    int stride_ = 0;
};

template <class Real>
const PairScratch<Real>& scratch_of_thread(const ElementPlan<Real>& plan, int stride) {
    thread_local ScratchOf<Real> scratch;
    return scratch.reserve(plan, stride);
}

/// The memory of one atom's tables, reused from atom to atom
template <class Real>
class EnvironmentOf {
public:
    /// Loads the neighbours within the cutoff of the plan; see SymmetryFunctions::load.
    void load(const ElementPlan<Real>& plan,
              std::size_t size,
              const int* neighbors,
              const int* species,
              const double* vectors) {
        reserve(plan, static_cast<int>(size));
        const PairScratch<Real>& scratch = scratch_of_thread(plan, tables_.stride);
        operators<Real>().load(plan, static_cast<int>(size), neighbors, species, vectors, tables_, scratch);
    }
    const Tables<Real>& tables() const { return tables_; }

private:
    void reserve(const ElementPlan<Real>& plan, int size) {
        // Each element's range is padded, and a vector of padding follows, see Tables. lookup() reads 64
        // entries.
        const int lanes = 64 / static_cast<int>(sizeof(Real));
        const int stride = std::max((size + (plan.elements + 2) * lanes) / lanes * lanes, 64);
        if (plan_ == plan.id && stride <= tables_.stride) return;
        plan_ = plan.id;
        tables_.stride = stride;
        const std::size_t n = stride;
        Tables<Real>& t = tables_;
        arena_.lay_out([&](auto take) {
            take(t.order, n);
            take(t.first, plan.elements);
            take(t.count, plan.elements);
            for (Real** p : {&t.x, &t.y, &t.z, &t.s, &t.r, &t.inverse_r, &t.gx, &t.gy, &t.gz}) take(*p, n);
            take(t.f, plan.envelopes.size * n);
            take(t.f_slope, plan.envelopes.size * n);
            take(t.f_relative, plan.envelopes.size * n);
            take(t.R, plan.shells.size * n);
            take(t.R_slope, plan.shells.size * n);
            take(t.nodes, plan.polynomials.nodes());
            for (int q = 0; q < std::min(plan.blocks.size, kept_blocks); ++q)
                take_pairs(take, t.pairs[q], n, plan.blocks[q].kept);
        });
    }

    Arena arena_;
    Tables<Real> tables_{};
    std::uint64_t plan_ = 0;
};

/// The memory of a block of batch_size atoms. Each thread keeps its own from call to call, because the system
/// takes longer to clear new memory than a small step takes.
template <class Real>
std::vector<EnvironmentOf<Real>>& environments_of_thread() {
    thread_local std::vector<EnvironmentOf<Real>> environments(batch_size);
    return environments;
}

/// The plan of one element, for use within the library.
struct PlanAccess {
    template <class Real>
    static const ElementPlan<Real>& plan(const SymmetryFunctions& functions, int element);
};

}  // namespace sitewise
