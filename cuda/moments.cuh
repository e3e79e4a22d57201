#pragma once

// The contractions of moments of one atom, computed by one warp: sums over neighbours, and polynomials in
// them. The neighbours come in tiles of one for each lane, whose monomials are tabulated in shared memory.

#include "moment_plan.cuh"
#include "warp.cuh"

namespace sitewise::cuda {

/// Op is the warp's view of the atom, with its tables.
template <class Real, class Op>
struct MomentOperator {
    const MomentPlan<Real>& plan;
    const Op& op;

    /// Calls set(output, G).
    template <class Set>
    __device__ void evaluate(const Set& set) const {
        compute();
        for (int o = op.lane; o < plan.outputs.size; o += warp_size)
            set(plan.outputs[o].output, op.t.nodes[plan.outputs[o].node]);
    }

    /// Adds to the gradients of the neighbours, from u = dE/dG.
    __device__ void vjp(const Real* u) const {
        compute();
        set_bars(u);
        for (int tile = 0; tile < op.neighbors(); tile += warp_size) {
            set_monomials(tile);
            for_each_moment(tile, [&](const MomentRange& moment, const Range& range) {
                add_gradient(moment, range, tile);
            });
        }
        __syncwarp();
    }

    /// Calls set(output, dG) for the direction gx, gy, gz.
    template <class Set>
    __device__ void jvp(const Set& set) const {
        compute();
        clear(op.t.bar, 0);
        for (int tile = 0; tile < op.neighbors(); tile += warp_size) {
            set_monomials(tile);
            for_each_moment(tile, [&](const MomentRange& moment, const Range& range) {
                set_changes(range, tile);
                add_moments(moment, range, op.t.R_slope, op.t.bar);
                add_square(moment, range, op.t.bar,
                           [&](int k) { return Real(2) * op.t.R[k] * op.t.R_slope[k]; });
            });
            differentiate_monomials(tile);
            for_each_moment(tile, [&](const MomentRange& moment, const Range& range) {
                add_moments(moment, range, op.t.R, op.t.bar);
            });
        }
        __syncwarp();
        sum_products(op.t.bar, [&](const Product<Real>& p) {
            return op.t.bar[p.a] * op.t.nodes[p.b] + op.t.nodes[p.a] * op.t.bar[p.b];
        });
        for (int o = op.lane; o < plan.outputs.size; o += warp_size)
            set(plan.outputs[o].output, op.t.bar[plan.outputs[o].node]);
    }

private:
    struct Range {
        int begin, end;

        __device__ int size() const { return end - begin; }
    };

    // The nodes of all functions
    __device__ void compute() const {
        clear(op.t.nodes, 1);
        for (int tile = 0; tile < op.neighbors(); tile += warp_size) {
            set_monomials(tile);
            for_each_moment(tile, [&](const MomentRange& moment, const Range& range) {
                add_moments(moment, range, op.t.R, op.t.nodes);
                add_square(moment, range, op.t.nodes, [&](int k) { return op.t.R[k] * op.t.R[k]; });
            });
        }
        __syncwarp();
        sum_products(op.t.nodes, [&](const Product<Real>& p) { return op.t.nodes[p.a] * op.t.nodes[p.b]; });
    }

    // Sets node 0, and the moments and squares to 0.
    __device__ void clear(Real* nodes, Real constant) const {
        for (int node = op.lane; node < plan.inputs; node += warp_size)
            nodes[node] = node == 0 ? constant : 0;
    }

    // -- the tables of a tile, neighbours from `tile` on ------------------------------------------------

    __device__ Real& monomial(int c, int k) const { return op.t.monomials[c * (warp_size + 1) + k]; }

    __device__ void set_monomials(int tile) const {
        __syncwarp();
        const int k = tile + op.lane;
        if (k < op.neighbors()) {
            const Real ir = op.t.inverse_r[k], x = op.t.x[k] * ir, y = op.t.y[k] * ir, z = op.t.z[k] * ir;
            monomial(0, op.lane) = 1;
            for (int c = 1; c < plan.monomials.size; ++c) {
                const Monomial& m = plan.monomials[c];
                monomial(c, op.lane) = monomial(m.parent, op.lane) * (m.axis == 0 ? x : m.axis == 1 ? y : z);
            }
        }
        __syncwarp();
    }

    // Replaces the monomials by their changes along the direction; those of lower powers are needed last.
    __device__ void differentiate_monomials(int tile) const {
        __syncwarp();
        const int k = tile + op.lane;
        if (k < op.neighbors()) {
            const Real ir = op.t.inverse_r[k], along = op.along(k, k) * ir * ir;
            const Real x = ir * (op.t.gx[k] - along * op.t.x[k]), y = ir * (op.t.gy[k] - along * op.t.y[k]),
                       z = ir * (op.t.gz[k] - along * op.t.z[k]);
            for (int c = plan.monomials.size - 1; c >= 0; --c) {
                const Monomial& m = plan.monomials[c];
                monomial(c, op.lane) = Real(m.exponent[0]) * x * monomial(m.lower[0], op.lane) +
                                       Real(m.exponent[1]) * y * monomial(m.lower[1], op.lane) +
                                       Real(m.exponent[2]) * z * monomial(m.lower[2], op.lane);
            }
        }
        __syncwarp();
    }

    // Calls visit(moment, range) for the moments that have neighbours in the tile, with their shell
    // tabulated. The range and all tables are counted from the beginning of the tile.
    template <class Visit>
    __device__ void for_each_moment(int tile, const Visit& visit) const {
        for (const MomentRange& moment : plan.moments) {
            const bool all = moment.element == every_element;
            const int begin = all ? 0 : op.t.first[moment.element],
                      end = all ? op.neighbors() : op.end_of(moment.element);
            const Range range{begin < tile ? 0 : begin - tile,
                              end < tile + warp_size ? end - tile : warp_size};
            if (range.begin >= range.end) continue;
            set_shell(moment, tile);
            visit(moment, range);
        }
    }

    __device__ void set_shell(const MomentRange& moment, int tile) const {
        __syncwarp();
        const int k = tile + op.lane;
        for (const ShellUse<Real>& use : plan.shells) {
            if (use.shell != moment.shell || k < op.t.first[use.element] || k >= op.end_of(use.element) ||
                (moment.element != every_element && moment.element != use.element))
                continue;
            const auto g = op.shell_of(use.shell, k);
            op.t.R[op.lane] = use.weight * g.value;
            op.t.R_slope[op.lane] = use.weight * g.slope;
        }
        __syncwarp();
    }

    // Replaces the shell's slopes by its changes along the direction.
    __device__ void set_changes(const Range& range, int tile) const {
        if (op.lane >= range.begin && op.lane < range.end)
            op.t.R_slope[op.lane] *= op.along(tile + op.lane, tile + op.lane);
        __syncwarp();
    }

    // -- sums -------------------------------------------------------------------------------------------

    // Deals n items out to lanes. If they are few, a part of the work on each goes to another lane.
    struct Deal {
        int item, part, parts;

        __device__ Deal(int n, int lane) : item(lane), part(0), parts(1) {
            if (n >= warp_size) return;
            parts = warp_size / n;
            part = lane / n;
            item = lane % n;
        }
        __device__ bool idle() const { return part >= parts; }
    };

    // The sum over the parts of n items, in the lane of the first part
    __device__ static Real sum_parts(const Deal& deal, int n, Real value) {
        Real sum = value;
        for (int part = 1; part < deal.parts; ++part) sum += __shfl_down_sync(all_lanes, value, part * n);
        return sum;
    }

    // Adds the sums of factor * monomial to the moment's nodes.
    __device__ void add_moments(const MomentRange& moment,
                                const Range& range,
                                const Real* factor,
                                Real* nodes) const {
        const Deal deal(moment.count, op.lane);
        for (int first = 0; first < moment.count; first += warp_size) {
            const int c = first + deal.item;
            Real total = 0;
            if (c < moment.count && !deal.idle())
                for (int k = range.begin + deal.part; k < range.end; k += deal.parts)
                    total += factor[k] * monomial(moment.first + c, k);
            total = sum_parts(deal, moment.count, total);
            if (c < moment.count && deal.part == 0) nodes[moment.node + c] += total;
        }
    }

    // Adds the sum of term(neighbour) to the node of the shell's square.
    template <class Term>
    __device__ void add_square(const MomentRange& moment,
                               const Range& range,
                               Real* nodes,
                               const Term& term) const {
        if (moment.square < 0) return;
        const bool mine = op.lane >= range.begin && op.lane < range.end;
        const Real total = warp_sum(mine ? term(op.lane) : Real(0));
        if (op.lane == 0) nodes[moment.square] += total;
    }

    // Sets the nodes behind the moments, weighted sums of term(product), level by level.
    template <class Term>
    __device__ void sum_products(Real* nodes, const Term& term) const {
        for (int level = 1; level < plan.levels.size; ++level) {
            for_each_node(level, [&](int node) {
                const int k = node - plan.inputs;
                Real total = 0;
                for (int q = k == 0 ? 0 : plan.ends[k - 1]; q < plan.ends[k]; ++q)
                    total += plan.products[q].weight * term(plan.products[q]);
                nodes[node] = total;
            });
            __syncwarp();
        }
    }

    // Calls visit(node) for the nodes of a level, of which none needs another; each has one lane. Node 0 is
    // constant and left out.
    template <class Visit>
    __device__ void for_each_node(int level, const Visit& visit) const {
        for (int node = (level == 0 ? 1 : plan.levels[level - 1]) + op.lane; node < plan.levels[level];
             node += warp_size)
            visit(node);
    }

    // -- the gradient -----------------------------------------------------------------------------------

    // Sets dE/d(node) of all nodes.
    __device__ void set_bars(const Real* u) const {
        for (int node = op.lane; node < plan.nodes; node += warp_size) op.t.bar[node] = 0;
        __syncwarp();
        if (op.lane == 0)
            for (const NodeOutput& o : plan.outputs) op.t.bar[o.node] += u[o.output];
        __syncwarp();
        for (int level = plan.levels.size - 2; level >= 0; --level) {
            for_each_node(level, [&](int node) {
                Real total = op.t.bar[node];
                for (int q = plan.use_ends[node - 1]; q < plan.use_ends[node]; ++q) {
                    const Product<Real>& p = plan.uses[q];
                    total += p.weight * op.t.bar[p.a] * op.t.nodes[p.b];
                }
                op.t.bar[node] = total;
            });
            __syncwarp();
        }
    }

    __device__ void add_gradient(const MomentRange& moment, const Range& range, int tile) const {
        const Deal deal(range.size(), op.lane);
        const int at = range.begin + deal.item, k = tile + at;
        Real slope = 0, x = 0, y = 0,
             z = 0;  // of the monomials' sum: factor of dR/dr, and by the unit vector
        for (int c = deal.part; c < moment.count && !deal.idle(); c += deal.parts) {
            const Monomial& m = plan.monomials[moment.first + c];
            const Real bar = op.t.bar[moment.node + c];
            slope += bar * monomial(moment.first + c, at);
            x += bar * Real(m.exponent[0]) * monomial(m.lower[0], at);
            y += bar * Real(m.exponent[1]) * monomial(m.lower[1], at);
            z += bar * Real(m.exponent[2]) * monomial(m.lower[2], at);
        }
        slope = sum_parts(deal, range.size(), slope);
        x = sum_parts(deal, range.size(), x);
        y = sum_parts(deal, range.size(), y);
        z = sum_parts(deal, range.size(), z);
        if (deal.part > 0) return;
        if (moment.square >= 0) slope += Real(2) * op.t.bar[moment.square] * op.t.R[at];
        const Real ir = op.t.inverse_r[k], factor = op.t.R[at] * ir;
        const Real along = (x * op.t.x[k] + y * op.t.y[k] + z * op.t.z[k]) * ir;
        const Real radial = slope * op.t.R_slope[at] - factor * along * ir;
        op.t.gx[k] += radial * op.t.x[k] + factor * x;
        op.t.gy[k] += radial * op.t.y[k] + factor * y;
        op.t.gz[k] += radial * op.t.z[k] + factor * z;
    }
};

}  // namespace sitewise::cuda
