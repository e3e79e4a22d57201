#pragma once

// Functions from moments, sums over neighbours: angular ones without R(r_jk), and contractions of several
// shells.

#include <vector>

#include "compiler/compiled_plan.hpp"

namespace sitewise {

/// True if the functions of a pair of elements are to be computed from moments. `same`: both elements are
/// one.
bool by_moments(const Bundle& bundle, bool same, int n_elements, Moments wanted);

/// A shell of a contraction over the neighbours of an element or of every_element, and the power of the
/// cosine between its vectors and those of the next one.
struct RingMoment {
    int shell, element, power;
};

/// Collects functions, and compiles them all into moments and polynomials.
class MomentCompiler {
public:
    /// Functions of a pair of elements that share a shell. Their terms must live until compile().
    void add(int element1, int element2, const Bundle& bundle) {
        bundles_.push_back({element1, element2, bundle});
    }
    /// A contraction of two to four shells, the first behind the last
    void add(std::vector<RingMoment> ring, int output) { rings_.push_back({std::move(ring), output}); }

    template <class Real>
    void compile(CompiledPlan<Real>& plan) const;

private:
    struct PairOfElements {
        int element1, element2;
        Bundle bundle;
    };
    struct Ring {
        std::vector<RingMoment> shells;
        int output;
    };
    std::vector<PairOfElements> bundles_;
    std::vector<Ring> rings_;
};

}  // namespace sitewise
