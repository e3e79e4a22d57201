#pragma once

// Polynomials of the plan, value by value, forward and back. A value is a number, or a vector of one atom a
// lane.

#include "plan.hpp"
#include "simd.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

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

// The outputs' nodes of several atoms; values [atoms / lanes][nodes][lane]
template <class Real>
void contract_atoms(const Polynomials<Real>& p, int atoms, Real* const* nodes, Real* values) {
    constexpr int L = lanes<Real>;
    if (p.outputs.size == 0) return;
    for (int first = 0; first < atoms; first += L, values += p.nodes() * L) {
        const int count = atoms - first < L ? atoms - first : L;
        for (int l = 0; l < L; ++l) {
            const Real* from = nodes[first + (l < count ? l : 0)];
            for (int k = 0; k < p.inputs; ++k) values[k * L + l] = from[k];
        }
        forward(p, reinterpret_cast<Vector<Real>*>(values));
        for (int l = 0; l < count; ++l)
            for (const NodeOutput& o : p.outputs) nodes[first + l][o.node] = values[o.node * L + l];
    }
}

// dE/d(input) [atoms][inputs] from u [atoms][outputs of the plan]; scratch [nodes][lane]
template <class Real>
void contract_atoms_back(const Polynomials<Real>& p,
                         int atoms,
                         const Real* values,
                         const Real* u,
                         int outputs,
                         Real* scratch,
                         Real* bar) {
    constexpr int L = lanes<Real>;
    if (p.outputs.size == 0) return;
    for (int first = 0; first < atoms; first += L, values += p.nodes() * L) {
        const int count = atoms - first < L ? atoms - first : L;
        for (int k = 0; k < p.nodes() * L; ++k) scratch[k] = 0;
        for (int l = 0; l < count; ++l)
            for (const NodeOutput& o : p.outputs)
                scratch[o.node * L + l] += u[(first + l) * outputs + o.output];
        backward(p, reinterpret_cast<const Vector<Real>*>(values), reinterpret_cast<Vector<Real>*>(scratch));
        for (int l = 0; l < count; ++l)
            for (int k = 0; k < p.inputs; ++k) bar[(first + l) * p.inputs + k] = scratch[k * L + l];
    }
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
