#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "plan.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise {

/// The arrays of a Block.
template <class Real>
struct BlockArrays {
    std::vector<Power<Real>> powers;
    std::vector<Member<Real>> members;
    std::vector<Group<Real>> groups;
    std::vector<Family<Real>> families;
};

/// A plan and the arrays that it points into; they move together.
template <class Real>
struct CompiledPlan {
    std::vector<core::Envelope<Real>> envelopes;
    std::vector<Shell<Real>> shells;
    std::vector<ShellUse<Real>> uses;
    std::vector<RadialTerm<Real>> radial;
    std::vector<Block<Real>> blocks;
    std::vector<BlockArrays<Real>> block_arrays;
    std::vector<Moment> moments;
    std::vector<Square> squares;
    std::vector<Product<Real>> products;
    std::vector<int> ends;
    std::vector<NodeOutput> outputs;
    ElementPlan<Real> plan{};

    CompiledPlan() = default;
    CompiledPlan(CompiledPlan&&) noexcept = default;
};

/// An angular function for one pair of elements.
struct Term {
    const SymmetryFunction* function;
    int output;
    double weight;
};

/// The functions of a pair of elements that have the same R, and all or none of them the factor R(r_jk).
struct Bundle {
    int shell;
    bool triangle;
    std::vector<Term> terms;
};

inline double binomial(int n, int k) {
    double b = 1.0;
    for (int i = 0; i < k; ++i) b = b * (n - i) / (i + 1);
    return b;
}

/// The index in a list of the entry that equals an item; adds the item if there is none.
template <class T, class Same>
int find_or_add(std::vector<T>& list, T item, Same same) {
    const auto found = std::find_if(list.begin(), list.end(), same);
    if (found != list.end()) return static_cast<int>(found - list.begin());
    list.push_back(std::move(item));
    return static_cast<int>(list.size()) - 1;
}

/// Notes that the shell is needed for neighbours of the element, times a weight that belongs to both.
template <class Real>
void add_use(std::vector<ShellUse<Real>>& uses, int shell, int element, double weight = 1.0) {
    find_or_add(uses, ShellUse<Real>{shell, element, static_cast<Real>(weight)},
                [&](const ShellUse<Real>& x) { return x.shell == shell && x.element == element; });
}

}  // namespace sitewise
