#pragma once

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "cutoff.hpp"

namespace sitewise::core {

/// h(s) = exp(-eta s) fc(sqrt s) with the cosine cutoff is an entire function of s = r^2: one polynomial
/// in t = 2 s / rc^2 - 1 gives value and derivative without sqrt, exp or cos. Coefficients by Chebyshev
/// interpolation, turned into powers of t; empty if no degree up to max_degree reaches the tolerance.
class RadialPolynomial {
public:
    static constexpr int max_degree = 24;
    static constexpr double tolerance = 1e-13;  // of h, and of dh/dt / 10; h(0) = 1

    RadialPolynomial() = default;
    RadialPolynomial(double eta, double rc) : scale_(2.0 / (rc * rc)), rc2_(rc * rc) {
        for (int degree = 8; degree <= max_degree && coefficients_.empty(); degree += 2) fit(degree, eta, rc);
    }

    bool usable() const { return !coefficients_.empty(); }
    int degree() const { return static_cast<int>(coefficients_.size()) - 1; }

    /// R(r) and (dR/dr)/r = 2 dh/ds for s = r^2 [n]; 0 from rc on.
    void evaluate(std::size_t n, const double* s, double* value, double* slope) const {
        switch (degree()) {
            case 8:
                return run<8>(n, s, value, slope);
            case 10:
                return run<10>(n, s, value, slope);
            case 12:
                return run<12>(n, s, value, slope);
            case 14:
                return run<14>(n, s, value, slope);
            case 16:
                return run<16>(n, s, value, slope);
            case 18:
                return run<18>(n, s, value, slope);
            case 20:
                return run<20>(n, s, value, slope);
            case 22:
                return run<22>(n, s, value, slope);
            default:
                return run<24>(n, s, value, slope);
        }
    }

private:
    template <int D>
    void run(std::size_t n, const double* s, double* value, double* slope) const {
        const double* c = coefficients_.data();
#pragma omp simd
        for (std::size_t i = 0; i < n; ++i) {
            const double t = scale_ * s[i] - 1.0;
            double p = c[D], dp = 0.0;
            for (int k = D - 1; k >= 0; --k) {
                dp = dp * t + p;
                p = p * t + c[k];
            }
            const double inside = s[i] < rc2_ ? 1.0 : 0.0;
            value[i] = inside * p;
            slope[i] = inside * (2.0 * scale_) * dp;
        }
    }

    void fit(int degree, double eta, double rc) {
        const auto h = [&](double t) {
            const double s = (t + 1.0) / scale_, x = std::sqrt(s) / rc;
            return std::exp(-eta * s) * 0.5 * (std::cos(pi * x) + 1.0);
        };
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
        if (error(powers, eta, rc) < tolerance) coefficients_ = powers;
    }

    double error(const std::vector<double>& c, double eta, double rc) const {
        double worst = 0.0;
        for (int i = 1; i < 1000; ++i) {
            const double t = -1.0 + 0.002 * i, r = std::sqrt((t + 1.0) / scale_);
            double p = 0.0, dp = 0.0;
            for (std::size_t k = c.size(); k-- > 0;) {
                dp = dp * t + p;
                p = p * t + c[k];
            }
            const ValueSlope exact = radial(eta, 0.0, r, cutoff({CutoffType::cosine, 0.0}, rc, r));
            const double dt = std::fabs(dp - exact.slope / (2.0 * scale_));
            worst = std::fmax(worst, std::fmax(std::fabs(p - exact.value), 0.1 * dt));
        }
        return worst;
    }

    double scale_ = 0.0, rc2_ = 0.0;
    std::vector<double> coefficients_;
};

}  // namespace sitewise::core
