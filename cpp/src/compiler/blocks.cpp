#include "compiler/blocks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace sitewise {
namespace {

using core::Envelope;

bool is_whole(double zeta) {
    return zeta == std::floor(zeta) && zeta <= 1024.0;
}

bool is_polynomial(const SymmetryFunction& f) {
    return !f.is_compact() && is_whole(f.zeta) && f.zeta <= most_degree && std::fabs(f.lambda) <= 1.0;
}

template <class Real>
int add_power(std::vector<Power<Real>>& powers, const SymmetryFunction& f) {
    using Kind = typename Power<Real>::Kind;
    const bool whole = is_whole(f.zeta);
    const Power<Real> power{whole ? Kind::whole : Kind::real,
                            whole ? static_cast<int>(f.zeta) : 0,
                            static_cast<Real>(f.lambda),
                            static_cast<Real>(f.zeta),
                            {}};
    return find_or_add(powers, power, [&](const Power<Real>& p) {
        return p.kind != Kind::compact && p.lambda == power.lambda && p.zeta == power.zeta;
    });
}

template <class Real>
int add_angle(std::vector<Power<Real>>& powers, const SymmetryFunction& f) {
    using Kind = typename Power<Real>::Kind;
    constexpr double degree = core::pi / 180.0;
    const Envelope<Real> angle =
        core::compact_envelope<Real>(f.compact, false, f.angle_left * degree, f.angle_right * degree);
    return find_or_add(powers, Power<Real>{Kind::compact, 0, 0, 0, angle}, [&](const Power<Real>& p) {
        return p.kind == Kind::compact && p.angle.type == angle.type && p.angle.center == angle.center &&
               p.angle.inverse_width == angle.inverse_width;
    });
}

template <class Real>
class BlockBuilder {
public:
    BlockBuilder(const CompiledPlan<Real>& plan, int element1, int element2) : plan_(plan) {
        block_.element1 = element1;
        block_.element2 = element2;
    }

    // Lists the powers of functions that are no polynomials; before the first add().
    void add_separate_powers(const Bundle& bundle) {
        for (const Term& term : bundle.terms)
            if (!is_polynomial(*term.function)) power_of(*term.function);
        block_.separate = static_cast<int>(arrays_.powers.size());
    }

    // Bundles of a family must follow each other.
    void add(const Bundle& bundle) {
        const int envelope = plan_.shells[bundle.shell].envelope;
        auto& families = arrays_.families;
        if (families.empty() || families.back().envelope != envelope ||
            families.back().triangle != bundle.triangle) {
            families.push_back(
                {envelope, bundle.triangle, static_cast<int>(arrays_.groups.size()), 0, block_.kept});
            block_.kept += 2;
        }
        add_group(*bundle.terms.front().function);
        for (const bool polynomials : {true, false})
            for (const Term& term : bundle.terms)
                if (is_polynomial(*term.function) == polynomials) add_member(term);
        triangles_only_ = triangles_only_ && bundle.triangle;
        block_.lengths = block_.lengths || (bundle.triangle && !plan_.envelopes[envelope].of_square);
    }

    Block<Real> block() const {
        Block<Real> block = block_;
        block.rc2 = static_cast<Real>(rc_ * rc_);
        block.rc2_jk = triangles_only_ ? block.rc2 : std::numeric_limits<Real>::infinity();
        return block;
    }

    BlockArrays<Real>& arrays() { return arrays_; }

private:
    // Adds a group with the shape of f to the last family.
    void add_group(const SymmetryFunction& f) {
        Family<Real>& family = arrays_.families.back();
        const int first = static_cast<int>(arrays_.members.size());
        Group<Real> group{
            static_cast<Real>(f.eta), static_cast<Real>(f.rs), first, 0, 0, 0, -1, 0, Real(0), 0};
        constexpr double tolerance = 1e-13, largest = 40;
        for (int q = family.first; q < family.first + family.count; ++q) {
            const double ratio = etas_[q] > 0.0 ? f.eta / etas_[q] : 0.0, n = std::round(ratio);
            if (arrays_.groups[q].source >= 0 || arrays_.groups[q].rs != group.rs || n < 2.0 || n > largest ||
                std::fabs(ratio - n) > tolerance * n)
                continue;
            if (group.source >= 0 && n >= group.power) continue;
            group.source = q;
            group.power = static_cast<int>(n);
            const double smallest = sizeof(Real) == 4 ? 1e-30 : 1e-250;
            group.least = static_cast<Real>(std::pow(smallest, 1.0 / n));
        }
        if (group.source < 0) group.kept = block_.kept++;
        arrays_.groups.push_back(group);
        etas_.push_back(f.eta);
        ++family.count;
    }

    void add_member(const Term& term) {
        const SymmetryFunction& f = *term.function;
        const bool compact = f.is_compact();
        const double norm = compact ? term.weight : term.weight * std::pow(2.0, 1.0 - f.zeta);
        Member<Real> member{power_of(f), term.output, static_cast<Real>(norm), {}};
        Group<Real>& group = arrays_.groups.back();
        if (is_polynomial(f)) {
            const int degree = static_cast<int>(f.zeta);
            for (int k = 0; k <= degree; ++k)
                member.expansion[k] = static_cast<Real>(norm * binomial(degree, k) * std::pow(f.lambda, k));
            group.degree = std::max(group.degree, degree);
            ++group.expanded;
        }
        arrays_.members.push_back(member);
        ++group.count;
        rc_ = std::max(rc_, f.cutoff);
        block_.lengths = block_.lengths || f.rs != 0.0;
        block_.angles = block_.angles || compact;
        if (f.rs == 0.0 || block_.shifts) return;
        block_.shifts = true;
        block_.inverse = block_.kept++;
    }

    int power_of(const SymmetryFunction& f) {
        return f.is_compact() ? add_angle(arrays_.powers, f) : add_power(arrays_.powers, f);
    }

    const CompiledPlan<Real>& plan_;
    Block<Real> block_{};
    BlockArrays<Real> arrays_;
    std::vector<double> etas_;  // of the groups
    double rc_ = 0.0;
    bool triangles_only_ = true;
};

}  // namespace

template <class Real>
void add_block(CompiledPlan<Real>& plan, int element1, int element2, std::vector<Bundle> bundles) {
    const auto key = [&](const Bundle& b) {
        return std::make_tuple(plan.shells[b.shell].envelope, b.triangle, b.shell);
    };
    std::sort(bundles.begin(), bundles.end(),
              [&](const Bundle& a, const Bundle& b) { return key(a) < key(b); });
    BlockBuilder<Real> builder(plan, element1, element2);
    for (const Bundle& bundle : bundles) builder.add_separate_powers(bundle);
    for (const Bundle& bundle : bundles) builder.add(bundle);
    plan.blocks.push_back(builder.block());
    plan.block_arrays.push_back(std::move(builder.arrays()));
}

template void add_block(CompiledPlan<double>&, int, int, std::vector<Bundle>);
template void add_block(CompiledPlan<float>&, int, int, std::vector<Bundle>);

}  // namespace sitewise
