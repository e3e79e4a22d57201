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
    std::vector<ShellUse> uses;
    std::vector<RadialTerm<Real>> radial;
    std::vector<Block<Real>> blocks;
    std::vector<BlockArrays<Real>> block_arrays;
    std::vector<Moment> moments;
    std::vector<Contraction> contractions;
    std::vector<std::vector<Real>> coefficients;
    std::vector<Expansion<Real>> expansions;
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

/// The index in a list of the entry that equals an item; adds the item if there is none.
template <class T, class Same>
int find_or_add(std::vector<T>& list, T item, Same same) {
    const auto found = std::find_if(list.begin(), list.end(), same);
    if (found != list.end()) return static_cast<int>(found - list.begin());
    list.push_back(std::move(item));
    return static_cast<int>(list.size()) - 1;
}

/// Records that neighbours of the element need the shell.
inline void add_use(std::vector<ShellUse>& uses, int shell, int element) {
    find_or_add(uses, ShellUse{shell, element},
                [&](const ShellUse& x) { return x.shell == shell && x.element == element; });
}

}  // namespace sitewise
