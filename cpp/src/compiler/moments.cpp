#include "compiler/moments.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "monomials.hpp"

namespace sitewise {
namespace {

double binomial(int n, int k) {
    double b = 1.0;
    for (int i = 0; i < k; ++i) b = b * (n - i) / (i + 1);
    return b;
}

bool expands(const SymmetryFunction& f) {
    return !f.is_compact() && !f.is_weighted() && !f.has_triangle() && f.zeta == std::floor(f.zeta) &&
           f.zeta <= most_order && std::fabs(f.lambda) <= 1.0;
}

template <class Real>
int add_moment(CompiledPlan<Real>& plan, int shell, int element) {
    add_use(plan.uses, shell, element);
    return find_or_add(plan.moments, Moment{shell, element},
                       [&](const Moment& m) { return m.shell == shell && m.element == element; });
}

}  // namespace

bool by_moments(const Bundle& bundle, bool same, int n_elements, Moments wanted) {
    int order = 0;
    double rc = 0.0;
    for (const Term& term : bundle.terms) {
        const SymmetryFunction& f = *term.function;
        if (!expands(f)) return false;
        order = std::max(order, static_cast<int>(f.zeta));
        rc = std::max(rc, f.cutoff);
    }
    if (wanted != Moments::automatic) return wanted == Moments::always;
    // Operations of both methods, forward and backward, for the number of neighbours in a typical solid.
    const double density = 0.05;  // atoms/Angstrom^3
    const double n = density * 4.0 / 3.0 * core::pi * rc * rc * rc / n_elements;
    const double pairs = same ? 0.5 * n * n : n * n, members = static_cast<double>(bundle.terms.size());
    return 8.0 * monomials_up_to(order) * (same ? n : 2.0 * n) < (30.0 + 4.0 * members) * pairs;
}

// If both elements are the same, 2^(1-zeta) times the sum over j < k is half of the sum over all j != k.
template <class Real>
void add_moments(CompiledPlan<Real>& plan, int element1, int element2, const Bundle& bundle) {
    const bool same = element1 == element2;
    const int moment1 = add_moment(plan, bundle.shell, element1);
    const int moment2 = add_moment(plan, bundle.shell, element2);
    plan.contractions.push_back(
        {moment1, moment2, static_cast<int>(plan.expansions.size()), static_cast<int>(bundle.terms.size())});
    for (const Term& term : bundle.terms) {
        const SymmetryFunction& f = *term.function;
        const int zeta = static_cast<int>(f.zeta);
        const double norm = std::pow(2.0, 1.0 - zeta) * (same ? 0.5 : 1.0);
        std::vector<Real> c(most_order + 1, Real(0));
        for (int p = 0; p <= zeta; ++p)
            c[p] = static_cast<Real>(norm * binomial(zeta, p) * std::pow(f.lambda, p));
        plan.coefficients.push_back(std::move(c));
        const double self = same ? -norm * std::pow(1.0 + f.lambda, zeta) : 0.0;
        plan.expansions.push_back({term.output, static_cast<Real>(self), plan.coefficients.back().data()});
        plan.plan.order = std::max(plan.plan.order, zeta + zeta % 2);  // only even orders have kernels
    }
}

template <class Real>
void sort_moments(CompiledPlan<Real>& plan, int n_elements) {
    std::vector<int> place(plan.moments.size());
    std::vector<Moment> sorted;
    for (int e = 0; e < n_elements; ++e)
        for (std::size_t i = 0; i < plan.moments.size(); ++i)
            if (plan.moments[i].element == e) {
                place[i] = static_cast<int>(sorted.size());
                sorted.push_back(plan.moments[i]);
            }
    plan.moments = std::move(sorted);
    for (Contraction& c : plan.contractions) {
        c.moment1 = place[c.moment1];
        c.moment2 = place[c.moment2];
    }
}

template void add_moments(CompiledPlan<double>&, int, int, const Bundle&);
template void add_moments(CompiledPlan<float>&, int, int, const Bundle&);
template void sort_moments(CompiledPlan<double>&, int);
template void sort_moments(CompiledPlan<float>&, int);

}  // namespace sitewise
