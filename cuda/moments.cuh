#pragma once

// The contractions of moments of one atom, computed by one warp: sums over neighbours, and polynomials in
// them.

#include "moment_plan.cuh"
#include "warp.cuh"

namespace sitewise::cuda {

/// x^n
template <class Real>
__device__ Real whole_power(Real x, int n) {
    Real value = 1;
    for (int i = 0; i < n; ++i) value *= x;
    return value;
}

/// Monomials of the unit vector of a neighbour
template <class Real>
struct UnitVector {
    Real u[3];

    __device__ Real value(const Exponents& e) const {
        return whole_power(u[0], e.of[0]) * whole_power(u[1], e.of[1]) * whole_power(u[2], e.of[2]);
    }
    /// The derivative by component a
    __device__ Real derivative(const Exponents& e, int a) const {
        const int p = e.of[a], b = (a + 1) % 3, c = (a + 2) % 3;
        if (p == 0) return 0;
        return Real(p) * whole_power(u[a], p - 1) * whole_power(u[b], e.of[b]) * whole_power(u[c], e.of[c]);
    }
};

/// Op is the warp's view of the atom, with its tables.
template <class Real, class Op>
struct MomentOperator {
    const MomentPlan<Real>& plan;
    const Op& op;

    /// The nodes of all functions
    __device__ void compute() const {
        if (op.lane == 0) op.t.nodes[0] = 1;
        sum_neighbors(op.t.nodes, [&](int k, const Exponents& e) { return op.t.R[k] * unit_of(k).value(e); });
        sum_products(op.t.nodes, [&](const Product<Real>& p) { return op.t.nodes[p.a] * op.t.nodes[p.b]; });
    }

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
        for (int node = op.lane; node < plan.nodes; node += warp_size) op.t.bar[node] = 0;
        __syncwarp();
        if (op.lane == 0)
            for (const NodeOutput& o : plan.outputs) op.t.bar[o.node] += u[o.output];
        __syncwarp();
        for (int level = plan.levels.size - 2; level >= 0; --level) {
            for_each_node(level, [&](int node) {
                Real total = op.t.bar[node];
                for (int q = node == 0 ? 0 : plan.use_ends[node - 1]; q < plan.use_ends[node]; ++q) {
                    const Product<Real>& p = plan.uses[q];
                    total += p.weight * op.t.bar[p.a] * op.t.nodes[p.b];
                }
                op.t.bar[node] = total;
            });
            __syncwarp();
        }
        for (const MomentRange& moment : plan.moments) {
            tabulate(moment);
            for (int k = begin_of(moment) + op.lane; k < end_of(moment); k += warp_size)
                add_gradient(moment, k);
        }
        __syncwarp();
    }

    /// Calls set(output, dG) for the direction gx, gy, gz.
    template <class Set>
    __device__ void jvp(const Set& set) const {
        compute();
        if (op.lane == 0) op.t.bar[0] = 0;
        sum_neighbors(op.t.bar, [&](int k, const Exponents& e) { return change(k, e); });
        sum_products(op.t.bar, [&](const Product<Real>& p) {
            return op.t.bar[p.a] * op.t.nodes[p.b] + op.t.nodes[p.a] * op.t.bar[p.b];
        });
        for (int o = op.lane; o < plan.outputs.size; o += warp_size)
            set(plan.outputs[o].output, op.t.bar[plan.outputs[o].node]);
    }

private:
    struct Range {
        int begin, end;
    };

    __device__ int begin_of(const MomentRange& moment) const {
        return moment.element == every_element ? 0 : op.t.first[moment.element];
    }
    __device__ int end_of(const MomentRange& moment) const {
        return moment.element == every_element ? op.neighbors() : op.end_of(moment.element);
    }

    // Sets the components of the moments, sums of term(neighbour, exponents).
    template <class Term>
    __device__ void sum_neighbors(Real* components, const Term& term) const {
        for (const MomentRange& moment : plan.moments) {
            tabulate(moment);
            for_each_component(moment, [&](int node, const Exponents& e) {
                Real total = 0;
                for (int k = begin_of(moment); k < end_of(moment); ++k) total += term(k, e);
                components[node] = total;
            });
        }
        __syncwarp();
    }

    // Sets the nodes behind the components, weighted sums of term(product), level by level.
    template <class Term>
    __device__ void sum_products(Real* nodes, const Term& term) const {
        for (int level = 1; level < plan.levels.size; ++level) {
            for_each_node(level, [&](int node) {
                const Range products = products_of(node);
                Real total = 0;
                for (int q = products.begin; q < products.end; ++q)
                    total += plan.products[q].weight * term(plan.products[q]);
                nodes[node] = total;
            });
            __syncwarp();
        }
    }

    // The shell's values for the moment's neighbours
    __device__ void tabulate(const MomentRange& moment) const {
        __syncwarp();
        for (const ShellUse<Real>& use : plan.shells) {
            if (use.shell != moment.shell ||
                (moment.element != every_element && moment.element != use.element))
                continue;
            for (int k = op.t.first[use.element] + op.lane; k < op.end_of(use.element); k += warp_size) {
                const auto g = op.shell_of(use.shell, k);
                op.t.R[k] = use.weight * g.value;
                op.t.R_slope[k] = use.weight * g.slope;
            }
        }
        __syncwarp();
    }

    __device__ UnitVector<Real> unit_of(int k) const {
        const Real ir = op.t.inverse_r[k];
        return {{op.t.x[k] * ir, op.t.y[k] * ir, op.t.z[k] * ir}};
    }

    // Calls visit(node, exponents) for the moment's components; each has one lane.
    template <class Visit>
    __device__ void for_each_component(const MomentRange& moment, const Visit& visit) const {
        for (int c = op.lane; c < moment.count; c += warp_size)
            visit(moment.node + c, plan.monomials[moment.first + c]);
    }

    // Calls visit(node) for the nodes of a level, of which none needs another; each has one lane.
    template <class Visit>
    __device__ void for_each_node(int level, const Visit& visit) const {
        for (int node = (level == 0 ? 0 : plan.levels[level - 1]) + op.lane; node < plan.levels[level];
             node += warp_size)
            visit(node);
    }

    __device__ Range products_of(int node) const {
        const int k = node - plan.inputs;
        return {k == 0 ? 0 : plan.ends[k - 1], plan.ends[k]};
    }

    __device__ void add_gradient(const MomentRange& moment, int k) const {
        const UnitVector<Real> unit = unit_of(k);
        Real radial = 0, by[3] = {};
        for (int c = 0; c < moment.count; ++c) {
            const Exponents& e = plan.monomials[moment.first + c];
            const Real bar = op.t.bar[moment.node + c];
            radial += bar * unit.value(e);
            for (int a = 0; a < 3; ++a) by[a] += bar * unit.derivative(e, a);
        }
        radial *= op.t.R_slope[k];
        const Real along = by[0] * unit.u[0] + by[1] * unit.u[1] + by[2] * unit.u[2];
        const Real factor = op.t.R[k] * op.t.inverse_r[k];
        op.t.gx[k] += radial * op.t.x[k] + factor * (by[0] - along * unit.u[0]);
        op.t.gy[k] += radial * op.t.y[k] + factor * (by[1] - along * unit.u[1]);
        op.t.gz[k] += radial * op.t.z[k] + factor * (by[2] - along * unit.u[2]);
    }

    // Of R times a monomial
    __device__ Real change(int k, const Exponents& e) const {
        const UnitVector<Real> unit = unit_of(k);
        const Real v[3] = {op.t.gx[k], op.t.gy[k], op.t.gz[k]};
        const Real along = unit.u[0] * v[0] + unit.u[1] * v[1] + unit.u[2] * v[2];  // dr
        Real by = 0;
        for (int a = 0; a < 3; ++a) by += unit.derivative(e, a) * (v[a] - along * unit.u[a]);
        return op.t.inverse_r[k] * op.t.R[k] * by +
               op.t.R_slope[k] * along / op.t.inverse_r[k] * unit.value(e);
    }
};

}  // namespace sitewise::cuda
