#pragma once

// Polynomials of the plan, value by value, forward and back. A value is a number, or one of each atom of a
// batch.

#include "plan.hpp"
#include "simd.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

// The numbers of a batch of atoms: what is read of a product then serves all of them.
template <class Real>
struct OfBatch {
    static constexpr int vectors = batch_size / lanes<Real>;
    Vector<Real> of[vectors];

    SITEWISE_INLINE void operator+=(const OfBatch& x) {
        for (int v = 0; v < vectors; ++v) of[v] += x.of[v];
    }
    SITEWISE_INLINE OfBatch operator*(const OfBatch& x) const {
        OfBatch result;
        for (int v = 0; v < vectors; ++v) result.of[v] = of[v] * x.of[v];
        return result;
    }
    SITEWISE_INLINE friend OfBatch operator*(Real a, const OfBatch& x) {
        OfBatch result;
        for (int v = 0; v < vectors; ++v) result.of[v] = a * x.of[v];
        return result;
    }
};

// The nodes behind the inputs
template <class Real, class Value>
void forward(const Polynomials<Real>& p, Value* nodes) {
    const Product<Real>* product = p.products.begin();
    for (int k = 0; k < p.ends.size; ++k) {
        Value total{};
        for (const Product<Real>* end = p.products.begin() + p.ends[k]; product < end; ++product)
            total += product->weight * (nodes[product->a] * nodes[product->b]);
        nodes[p.inputs + k] = total;
    }
}

// Their changes, from those of the inputs
template <class Real>
void forward_changes(const Polynomials<Real>& p, const Real* nodes, Real* change) {
    const Product<Real>* product = p.products.begin();
    for (int k = 0; k < p.ends.size; ++k) {
        Real total = 0;
        for (const Product<Real>* end = p.products.begin() + p.ends[k]; product < end; ++product) {
            const int a = product->a, b = product->b;
            total += product->weight * (change[a] * nodes[b] + nodes[a] * change[b]);
        }
        change[p.inputs + k] = total;
    }
}

// dE/d(node) for the inputs, from those of the outputs, which are in `bar` with 0 elsewhere. What comes from
// a node with 0 is left out, if values are numbers.
template <class Real, class Value>
void backward(const Polynomials<Real>& p, const Value* nodes, Value* bar) {
    for (int k = p.ends.size; k-- > 0;) {
        const Value value = bar[p.inputs + k];
        if constexpr (sizeof(Value) == sizeof(Real))
            if (value == 0) continue;
        for (int q = k == 0 ? 0 : p.ends[k - 1]; q < p.ends[k]; ++q) {
            const Product<Real>& product = p.products[q];
            const Value x = product.weight * value;
            bar[product.a] += x * nodes[product.b];
            bar[product.b] += x * nodes[product.a];
        }
    }
}

// The nodes of one atom
template <class Real>
void contract(const ElementPlan<Real>& plan, const Tables<Real>& t) {
    forward(plan.polynomials, t.nodes);
}

// dE/d(node) of one atom, from u = dE/dG
template <class Real>
void contract_back(const Polynomials<Real>& p, const Real* nodes, const Real* u, Real* bar) {
    for (int k = 0; k < p.nodes(); ++k) bar[k] = 0;
    for (const NodeOutput& o : p.outputs) bar[o.node] += u[o.output];
    backward(p, nodes, bar);
}

// The outputs' nodes of up to batch_size atoms; values [nodes][batch_size]
template <class Real>
void contract_atoms(const Polynomials<Real>& p, int atoms, Real* const* nodes, Real* values) {
    if (p.outputs.size == 0) return;
    for (int b = 0; b < batch_size; ++b) {
        const Real* from = nodes[b < atoms ? b : 0];
        for (int k = 0; k < p.inputs; ++k) values[k * batch_size + b] = from[k];
    }
    forward(p, reinterpret_cast<OfBatch<Real>*>(values));
    for (int b = 0; b < atoms; ++b)
        for (const NodeOutput& o : p.outputs) nodes[b][o.node] = values[o.node * batch_size + b];
}

// dE/d(input) [atoms][inputs] from u [atoms][outputs of the plan]; scratch [nodes][batch_size]
template <class Real>
void contract_atoms_back(const Polynomials<Real>& p,
                         int atoms,
                         const Real* values,
                         const Real* u,
                         int outputs,
                         Real* scratch,
                         Real* bar) {
    if (p.outputs.size == 0) return;
    for (int k = 0; k < p.nodes() * batch_size; ++k) scratch[k] = 0;
    for (int b = 0; b < atoms; ++b)
        for (const NodeOutput& o : p.outputs) scratch[o.node * batch_size + b] += u[b * outputs + o.output];
    backward(p, reinterpret_cast<const OfBatch<Real>*>(values), reinterpret_cast<OfBatch<Real>*>(scratch));
    for (int b = 0; b < atoms; ++b)
        for (int k = 0; k < p.inputs; ++k) bar[b * p.inputs + k] = scratch[k * batch_size + b];
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
