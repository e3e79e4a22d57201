#include "sitewise/pair_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

constexpr double zero = 1e-6;  // eV and eV/Angstrom, up to which a table ends in 0
constexpr double consistent =
    0.1;  // root mean square difference of forces and slopes, over that of the slopes

// Slopes of the cubic spline with continuous curvature, of which the first and the last are given: Thomas's
// algorithm for (s[i-1] + 2 s[i])/h[i-1] + (2 s[i] + s[i+1])/h[i] = 3 (d[i-1]/h[i-1] + d[i]/h[i]), with the
// secants d over the intervals h.
void find_slopes(const std::vector<double>& r, const std::vector<double>& energy, std::vector<double>& s) {
    const std::size_t n = r.size();
    std::vector<double> factor(n, 0.0);
    for (std::size_t i = 1; i + 1 < n; ++i) {
        const double left = 1.0 / (r[i] - r[i - 1]), right = 1.0 / (r[i + 1] - r[i]);
        const double secants =
            3.0 * ((energy[i] - energy[i - 1]) * left * left + (energy[i + 1] - energy[i]) * right * right);
        const double pivot = 2.0 * (left + right) - left * factor[i - 1];
        factor[i] = right / pivot;
        s[i] = (secants - left * s[i - 1]) / pivot;
    }
    for (std::size_t i = n - 1; i-- > 1;) s[i] -= factor[i] * s[i + 1];
}

void require_finite(const std::vector<double>& values, const char* name) {
    for (double value : values)
        if (!std::isfinite(value)) throw Error(std::string("has ") + name + " that are not finite");
}

// Throws Error if the forces between the ends are not minus the slopes.
void require_consistent(const std::vector<double>& r,
                        const std::vector<double>& slopes,
                        const std::vector<double>& forces) {
    double all = 0.0, differing = 0.0, most = -1.0;
    std::size_t worst = 0;
    for (std::size_t i = 1; i + 1 < r.size(); ++i) {
        const double difference = slopes[i] + forces[i];
        all += slopes[i] * slopes[i];
        differing += difference * difference;
        if (std::fabs(difference) > most) {
            most = std::fabs(difference);
            worst = i;
        }
    }
    if (!(differing <= consistent * consistent * all))
        throw Error("has the force " + exact(forces[worst]) + " at the distance " + exact(r[worst]) +
                    ", expected " + exact(-slopes[worst]) +
                    ", minus the slope of its energies: check sign and unit of the forces, or add distances");
}

}  // namespace

PairTable::PairTable(std::vector<double> distances,
                     std::vector<double> energies,
                     const std::vector<double>& forces)
    : distances_(std::move(distances)), energies_(std::move(energies)) {
    const std::size_t n = distances_.size();
    if (n < 2 || energies_.size() != n || forces.size() != n)
        throw Error("has " + std::to_string(n) + " distances, " + std::to_string(energies_.size()) +
                    " energies and " + std::to_string(forces.size()) +
                    " forces, expected equally many, and at least 2");
    require_finite(distances_, "distances");
    require_finite(energies_, "energies");
    require_finite(forces, "forces");
    for (std::size_t i = 0; i < n; ++i)
        if (!(distances_[i] > (i == 0 ? 0.0 : distances_[i - 1])))
            throw Error("has the distance " + exact(distances_[i]) + " after " +
                        exact(i == 0 ? 0.0 : distances_[i - 1]) + ", expected a longer one");
    if (!(std::fabs(energies_.back()) <= zero && std::fabs(forces.back()) <= zero))
        throw Error("ends at " + exact(distances_.back()) + " Angstrom with the energy " +
                    exact(energies_.back()) + " eV and the force " + exact(forces.back()) +
                    " eV/Angstrom, expected 0 and 0: multiply the table by a switching function, so that "
                    "nothing jumps there");
    energies_.back() = 0.0;
    slopes_.assign(n, 0.0);
    slopes_.front() = -forces.front();
    find_slopes(distances_, energies_, slopes_);
    require_finite(slopes_, "slopes of its energies");
    require_consistent(distances_, slopes_, forces);
}

PairEnergy PairTable::at(double r) const {
    if (!(r < cutoff())) return {};
    if (r < distances_.front())
        return {energies_.front() + (r - distances_.front()) * slopes_.front(), slopes_.front()};
    const std::size_t i = std::upper_bound(distances_.begin(), distances_.end(), r) - distances_.begin() - 1;
    const double h = distances_[i + 1] - distances_[i], t = (r - distances_[i]) / h, u = 1.0 - t;
    const double low = energies_[i], high = energies_[i + 1], a = h * slopes_[i], b = h * slopes_[i + 1];
    // Hermite's form of the cubic polynomial
    const double energy = u * u * ((1.0 + 2.0 * t) * low + t * a) + t * t * ((1.0 + 2.0 * u) * high - u * b);
    const double slope = 6.0 * t * u * (high - low) + u * (1.0 - 3.0 * t) * a + t * (1.0 - 3.0 * u) * b;
    return {energy, slope / h};
}

double PairTable::curvature(bool last) const {
    const std::size_t i = last ? distances_.size() - 2 : 0;
    const double h = distances_[i + 1] - distances_[i], secant = (energies_[i + 1] - energies_[i]) / h;
    return last ? (2.0 * slopes_[i] + 4.0 * slopes_[i + 1] - 6.0 * secant) / h
                : (6.0 * secant - 4.0 * slopes_[i] - 2.0 * slopes_[i + 1]) / h;
}

}  // namespace sitewise
