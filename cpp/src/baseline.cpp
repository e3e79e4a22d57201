#include "sitewise/baseline.hpp"

#include <cmath>

#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

// Ziegler, Biersack and Littmark's universal screening function sum_k share_k exp(-decay_k x), and e^2 in eV
// Angstrom, with the digits of LAMMPS.
constexpr double share[] = {0.02817, 0.28022, 0.50986, 0.18175},
                 decay[] = {0.20162, 0.40290, 0.94229, 3.19980};
constexpr double radius = 0.46850, power = 0.23, e_squared = 14.399645;

}  // namespace

Baseline::Baseline(const std::vector<int>& atomic_numbers, double inner, double outer)
    : elements_(atomic_numbers.size()), inner_(inner), outer_(outer) {
    if (!(inner > 0.0 && inner < outer && std::isfinite(outer)))
        throw Error("the repulsion of nuclei is switched off from " + exact(inner) + " to " + exact(outer) +
                    " Angstrom, expected a positive distance and a longer one");
    const double t = outer - inner;
    for (int a : atomic_numbers)
        for (int b : atomic_numbers) {
            Pair pair;
            pair.strength = e_squared * a * b;
            pair.length = radius / (std::pow(a, power) + std::pow(b, power));
            double curvature;
            const auto [energy, slope] = unswitched(pair, outer, &curvature);
            pair.cubic = (-3.0 * slope + t * curvature) / (3.0 * t * t);
            pair.quartic = (2.0 * slope - t * curvature) / (4.0 * t * t * t);
            pair.constant = -energy + t / 2.0 * slope - t * t / 12.0 * curvature;
            pairs_.push_back(pair);
        }
}

PairEnergy Baseline::pair(int a, int b, double r) const {
    const Pair& pair = pairs_[a * elements_ + b];
    PairEnergy found = unswitched(pair, r);
    const double t = std::fmax(r - inner_, 0.0);
    found.energy += pair.constant + t * t * t * (pair.cubic + t * pair.quartic);
    found.slope += t * t * (3.0 * pair.cubic + t * 4.0 * pair.quartic);
    return found;
}

PairEnergy Baseline::unswitched(const Pair& pair, double r, double* curvature) {
    double phi = 0.0, first = 0.0, second = 0.0;
    for (int k = 0; k < 4; ++k) {
        const double rate = decay[k] / pair.length, term = share[k] * std::exp(-rate * r);
        phi += term;
        first -= rate * term;
        second += rate * rate * term;
    }
    if (curvature) *curvature = pair.strength / r * (second - 2.0 * first / r + 2.0 * phi / (r * r));
    return {pair.strength * phi / r, pair.strength / r * (first - phi / r)};
}

}  // namespace sitewise
