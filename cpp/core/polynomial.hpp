#pragma once

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "cutoff.hpp"

namespace sitewise::core {

/// R(r) = exp(-eta (r - rs)^2) fc(r) with the cosine cutoff as one polynomial, without exp or cos. With rs =
/// 0 it is an entire function of r^2: a polynomial in t = 2 r^2 / rc^2 - 1 needs no square root either.
/// Otherwise it is one of r, in t = 2 r / rc - 1. Coefficients by Chebyshev interpolation, turned into powers
/// of t; empty if no degree up to max_degree reaches the tolerance.
class RadialPolynomial {
public:
    static constexpr int max_degree = 28;
    static constexpr double tolerance = 1e-13;  // of R, and of dR/dt / 10

    RadialPolynomial() = default;
    RadialPolynomial(double eta, double rs, double rc)
        : of_r_(rs != 0.0), scale_(of_r_ ? 2.0 / rc : 2.0 / (rc * rc)), rc2_(rc * rc) {
        const auto exact = [&](double r) {
            return radial(eta, rs, r, core::cutoff({CutoffType::cosine, 0.0}, rc, r));
        };
        for (int degree = 8; degree <= max_degree && coefficients_.empty(); degree += 2) fit(degree, exact);
    }

    bool usable() const { return !coefficients_.empty(); }
    int degree() const { return static_cast<int>(coefficients_.size()) - 1; }

    const std::vector<double>& coefficients() const { return coefficients_; }  ///< of powers of t
    bool of_r() const { return of_r_; }
    double scale() const { return scale_; }  ///< t = scale r^2 - 1, or scale r - 1
    double rc2() const { return rc2_; }

private:
    double radius(double t) const {
        const double u = (t + 1.0) / scale_;
        return of_r_ ? u : std::sqrt(u);
    }

    template <class Exact>
    void fit(int degree, Exact exact) {
        const auto h = [&](double t) { return exact(radius(t)).value; };
        constexpr int nodes = 64;
        std::vector<double> powers(degree + 1, 0.0), previous(degree + 1, 0.0), current(degree + 1, 0.0);
        previous[0] = current[1] = 1.0;  // T_0 and T_1 in powers of t
        for (int k = 0; k <= degree; ++k) {
            double a = 0.0;
            for (int m = 0; m < nodes; ++m) {
                const double theta = pi * (m + 0.5) / nodes;
                a += h(std::cos(theta)) * std::cos(k * theta);
            }
            a *= (k == 0 ? 1.0 : 2.0) / nodes;
            for (int i = 0; i <= degree; ++i) powers[i] += a * previous[i];
            std::vector<double> next(degree + 1, 0.0);
            for (int i = 0; i < degree; ++i) next[i + 1] = 2.0 * current[i];
            for (int i = 0; i <= degree; ++i) next[i] -= previous[i];
            previous = std::exchange(current, next);
        }
        if (error(powers, exact) < tolerance) coefficients_ = powers;
    }

    template <class Exact>
    double error(const std::vector<double>& c, Exact exact) const {
        double worst = 0.0;
        for (int i = 1; i < 1000; ++i) {
            const double t = -1.0 + 0.002 * i, r = radius(t);
            double p = 0.0, dp = 0.0;
            for (std::size_t k = c.size(); k-- > 0;) {
                dp = dp * t + p;
                p = p * t + c[k];
            }
            const ValueSlope R = exact(r);  // its slope is (dR/dr)/r
            const double dt = std::fabs(dp - R.slope * (of_r_ ? r : 0.5) / scale_);
            worst = std::fmax(worst, std::fmax(std::fabs(p - R.value), 0.1 * dt));
        }
        return worst;
    }

    bool of_r_ = false;
    double scale_ = 0.0, rc2_ = 0.0;
    std::vector<double> coefficients_;
};

}  // namespace sitewise::core
