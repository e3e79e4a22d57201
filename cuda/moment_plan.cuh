#pragma once

// What the device needs of the functions of one element that are computed from moments.

#include <algorithm>
#include <utility>
#include <vector>

#include "memory.cuh"
#include "monomials.hpp"
#include "plan.hpp"

namespace sitewise::cuda {

/// A monomial of the unit vector is its parent times a coordinate, and its derivative by each coordinate is
/// an exponent times a lower monomial.
struct Monomial {
    int exponent[3], lower[3], parent, axis;
};

/// The moments of a shell: the monomials [first, first + count), in nodes from `node` on, and the node of the
/// sum of R^2, -1 if none is needed
struct MomentRange {
    int shell, element, node, first, count, square;
};

/// Polynomials whose nodes are sorted into levels, in which none needs another. Level 0 are the inputs.
template <class Real>
struct MomentPlan {
    Span<MomentRange> moments;
    Span<ShellUse<Real>> shells;
    Span<Monomial> monomials;  // in the order of monomial_number(), up to the highest power
    int inputs, nodes;
    Span<Product<Real>> products;
    Span<int> ends;            // of the products of each node from `inputs` on
    Span<int> levels;          // the end of each level
    Span<Product<Real>> uses;  // of a node: dE/d(node) is the sum of weight * dE/d(node a) * node b
    Span<int> use_ends;        // of the uses of each node
    Span<NodeOutput> outputs;
};

template <class T>
Span<T> on_device(const std::vector<T>& values, Packet& packet) {
    return {packet.add(values), static_cast<int>(values.size())};
}

template <class T>
void move_to_device(Span<T>& span, Packet& packet) {
    span.data = packet.add(span.data, static_cast<std::size_t>(span.size));
}

inline std::vector<Monomial> monomials_of(int order) {
    const Monomials<most_order> table;
    std::vector<Monomial> all;
    for (int c = 0; c < monomials_up_to(order); ++c)
        all.push_back({{table.exponent[c][0], table.exponent[c][1], table.exponent[c][2]},
                       {table.lower[c][0], table.lower[c][1], table.lower[c][2]},
                       table.parent[c],
                       table.axis[c]});
    return all;
}

/// Calls visit(node, product) for the products of all nodes, in their order.
template <class Real, class Visit>
void for_each_product(const Polynomials<Real>& p, const Visit& visit) {
    for (int k = 0, q = 0; k < p.ends.size; ++k)
        for (; q < p.ends[k]; ++q) visit(p.inputs + k, p.products[q]);
}

/// The plan has the nodes of a level behind each other: one begins where a node needs another of the last
/// one.
template <class Real>
std::vector<int> ends_of_levels(const Polynomials<Real>& p) {
    std::vector<int> ends{p.inputs};
    for_each_product(p, [&](int node, const Product<Real>& product) {
        if (std::max(product.a, product.b) >= ends.back()) ends.push_back(node);
    });
    ends.push_back(p.nodes());
    return ends;
}

template <class Real>
void add_uses(const Polynomials<Real>& p, MomentPlan<Real>& plan, Packet& packet) {
    std::vector<std::vector<Product<Real>>> of_node(p.nodes());
    for_each_product(p, [&](int node, const Product<Real>& product) {
        of_node[product.a].push_back({node, product.b, product.weight});
        of_node[product.b].push_back({node, product.a, product.weight});
    });
    std::vector<Product<Real>> uses;
    std::vector<int> ends;
    for (const auto& own : of_node) {
        uses.insert(uses.end(), own.begin(), own.end());
        ends.push_back(static_cast<int>(uses.size()));
    }
    plan.uses = on_device(uses, packet);
    plan.use_ends = on_device(ends, packet);
}

template <class Real>
int square_of(const ElementPlan<Real>& plan, const Moment& m) {
    for (const Square& s : plan.squares)
        if (s.shell == m.shell && s.element == m.element) return s.node;
    return -1;
}

/// From a plan on the host
template <class Real>
MomentPlan<Real> moment_plan(const ElementPlan<Real>& plan, Packet& packet) {
    const Polynomials<Real>& p = plan.polynomials;
    MomentPlan<Real> result{{},     plan.uses, {}, p.inputs, p.nodes(), p.products,
                            p.ends, {},        {}, {},       p.outputs};
    std::vector<MomentRange> moments;
    for (const Moment& m : plan.moments)
        moments.push_back({m.shell, m.element, m.node, monomials_up_to(m.order - 2), top_monomials(m.order),
                           square_of(plan, m)});
    result.moments = on_device(moments, packet);
    move_to_device(result.shells, packet);
    result.monomials = on_device(monomials_of(plan.order), packet);
    move_to_device(result.products, packet);
    move_to_device(result.ends, packet);
    result.levels = on_device(ends_of_levels(p), packet);
    move_to_device(result.outputs, packet);
    add_uses(p, result, packet);
    return result;
}

}  // namespace sitewise::cuda
