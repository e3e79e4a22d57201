#pragma once

// Polynomials of the plan, value by value, forward and back. A value is a number, or a vector of one atom a
// lane.

#include "plan.hpp"

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

// dE/d(input) of all inputs, into `bar`, from dE/d(output)
template <class Real>
void backward(const Polynomials<Real>& p, const Real* nodes, const Real* u, Real* bar) {
    for (int k = 0; k < p.nodes(); ++k) bar[k] = 0;
    for (const NodeOutput& o : p.outputs) bar[o.node] += u[o.output];
    for (int k = p.ends.size; k-- > 0;) {
        const Real value = bar[p.inputs + k];
        if (value == 0) continue;
        for (int q = k == 0 ? 0 : p.ends[k - 1]; q < p.ends[k]; ++q) {
            const Product<Real>& product = p.products[q];
            const Real x = product.weight * value;
            bar[product.a] += x * nodes[product.b];
            bar[product.b] += x * nodes[product.a];
        }
    }
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
