#include "compiler/compile.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "compiler/blocks.hpp"
#include "compiler/moments.hpp"
#include "symmetry_function.hpp"

namespace sitewise {
namespace {

using core::Envelope;

template <class Real>
class Compiler {
public:
    Compiler(const std::vector<SymmetryFunction>& functions,
             Cutoff cutoff,
             int n_elements,
             const std::vector<int>& atomic_numbers)
        : functions_(functions), cutoff_(cutoff), elements_(n_elements), numbers_(atomic_numbers) {}

    CompiledPlan<Real> compile(Moments moments) {
        for (int i = 0; i < static_cast<int>(functions_.size()); ++i) {
            rc_ = std::max(rc_, functions_[i].cutoff);
            if (!ring_of(functions_[i]).empty())
                add_ring(functions_[i], i);
            else if (functions_[i].is_angular())
                add_angular(functions_[i], i);
            else
                add_radial(functions_[i], i);
        }
        for (Pair& pair : pairs_) compile_pair(pair, moments);
        moments_.compile(plan_);
        assemble();
        return std::move(plan_);
    }

private:
    struct Pair {
        int element1, element2;
        std::vector<Bundle> bundles;
    };

    double number(int element) const { return numbers_.empty() ? 1.0 : numbers_[element]; }

    int add_envelope(const SymmetryFunction& f) {
        const Envelope<Real> e = f.is_compact()
                                     ? core::compact_envelope<Real>(f.compact, f.asymmetric, f.left, f.cutoff)
                                     : core::cutoff_envelope<Real>(cutoff_, f.cutoff);
        return find_or_add(plan_.envelopes, e, [&](const Envelope<Real>& x) {
            return x.type == e.type && x.compact == e.compact && x.asymmetric == e.asymmetric &&
                   x.rc2 == e.rc2 && x.center == e.center;
        });
    }

    int add_shell(const SymmetryFunction& f) { return add_shell(add_envelope(f), f.eta, f.rs, false); }

    int add_shell(int envelope, double eta, double rs, bool numbered) {
        const Shell<Real> s{envelope, static_cast<Real>(eta), static_cast<Real>(rs), numbered};
        return find_or_add(plan_.shells, s, [&](const Shell<Real>& x) {
            return x.envelope == s.envelope && x.eta == s.eta && x.rs == s.rs && x.numbered == s.numbered;
        });
    }

    void add_ring(const SymmetryFunction& f, int output) {
        std::vector<RingMoment> ring;
        for (const RingShell& s : ring_of(f)) {
            const bool numbered = s.element == SymmetryFunction::all_by_number;
            const int shell = add_shell(add_envelope(f), s.eta, s.rs, numbered);
            for (int e = 0; e < elements_; ++e)
                if (s.element < 0 || s.element == e)
                    add_use(plan_.uses, shell, e, numbered ? number(e) : 1.0);
            ring.push_back({shell, s.element < 0 ? every_element : s.element, static_cast<int>(s.power)});
        }
        moments_.add(std::move(ring), output);
    }

    void add_radial(const SymmetryFunction& f, int output) {
        const bool weighted = f.is_weighted();
        for (int e = 0; e < elements_; ++e) {
            if (!weighted && f.neighbor1 != e) continue;
            const int shell = add_shell(f);
            add_use(plan_.uses, shell, e);
            plan_.radial.push_back({shell, e, output, static_cast<Real>(weighted ? number(e) : 1.0)});
        }
    }

    void add_angular(const SymmetryFunction& f, int output) {
        if (!f.is_weighted()) return add_term(f.neighbor1, f.neighbor2, {&f, output, 1.0});
        for (int a = 0; a < elements_; ++a)
            for (int b = a; b < elements_; ++b) add_term(a, b, {&f, output, number(a) * number(b)});
    }

    void add_term(int e1, int e2, Term term) {
        const int shell = add_shell(*term.function);
        const bool triangle = term.function->has_triangle();
        Pair& pair = pairs_[find_or_add(pairs_, Pair{e1, e2, {}},
                                        [&](const Pair& p) { return p.element1 == e1 && p.element2 == e2; })];
        const int bundle = find_or_add(pair.bundles, Bundle{shell, triangle, {}}, [&](const Bundle& b) {
            return b.shell == shell && b.triangle == triangle;
        });
        pair.bundles[bundle].terms.push_back(term);
    }

    void compile_pair(Pair& pair, Moments moments) {
        const auto [e1, e2, bundles] = std::move(pair);
        std::vector<Bundle> rest;
        for (const Bundle& bundle : bundles)
            if (by_moments(bundle, e1 == e2, elements_, moments)) {
                for (int e : {e1, e2}) add_use(plan_.uses, bundle.shell, e);
                moments_.add(e1, e2, bundle);
            } else
                rest.push_back(bundle);
        if (!rest.empty()) add_block(plan_, e1, e2, std::move(rest));
    }

    template <class T>
    static Span<T> span(const std::vector<T>& v) {
        return {v.data(), static_cast<int>(v.size())};
    }

    void assemble() {
        static std::atomic<std::uint64_t> last_id{0};
        for (std::size_t b = 0; b < plan_.blocks.size(); ++b) {
            const BlockArrays<Real>& arrays = plan_.block_arrays[b];
            plan_.blocks[b].powers = span(arrays.powers);
            plan_.blocks[b].members = span(arrays.members);
            plan_.blocks[b].groups = span(arrays.groups);
            plan_.blocks[b].families = span(arrays.families);
        }
        ElementPlan<Real>& plan = plan_.plan;
        plan.id = ++last_id;
        plan.outputs = static_cast<int>(functions_.size());
        plan.elements = elements_;
        plan.rc2 = static_cast<Real>(rc_ * rc_);
        plan.envelopes = span(plan_.envelopes);
        plan.shells = span(plan_.shells);
        plan.uses = span(plan_.uses);
        plan.radial = span(plan_.radial);
        plan.blocks = span(plan_.blocks);
        plan.moments = span(plan_.moments);
        plan.squares = span(plan_.squares);
        plan.polynomials.products = span(plan_.products);
        plan.polynomials.ends = span(plan_.ends);
        plan.polynomials.outputs = span(plan_.outputs);
    }

    const std::vector<SymmetryFunction>& functions_;
    Cutoff cutoff_;
    int elements_;
    const std::vector<int>& numbers_;
    double rc_ = 0.0;
    std::vector<Pair> pairs_;
    MomentCompiler moments_;
    CompiledPlan<Real> plan_;
};

}  // namespace

template <class Real>
CompiledPlan<Real> compile(const std::vector<SymmetryFunction>& functions,
                           Cutoff cutoff,
                           int n_elements,
                           const std::vector<int>& atomic_numbers,
                           Moments moments) {
    return Compiler<Real>(functions, cutoff, n_elements, atomic_numbers).compile(moments);
}

template CompiledPlan<double> compile(const std::vector<SymmetryFunction>&,
                                      Cutoff,
                                      int,
                                      const std::vector<int>&,
                                      Moments);
template CompiledPlan<float> compile(const std::vector<SymmetryFunction>&,
                                     Cutoff,
                                     int,
                                     const std::vector<int>&,
                                     Moments);

}  // namespace sitewise
