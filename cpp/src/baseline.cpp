#include "sitewise/baseline.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

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

Baseline::Baseline(std::vector<int> atomic_numbers)
    : atomic_numbers_(std::move(atomic_numbers)), tables_(atomic_numbers_.size() * atomic_numbers_.size()) {}

void Baseline::set_zbl(double inner, double outer) {
    if (!(inner > 0.0 && inner < outer && std::isfinite(outer)))
        throw Error("the repulsion of nuclei is switched off from " + exact(inner) + " to " + exact(outer) +
                    " Angstrom, expected a positive distance and a longer one");
    inner_ = inner;
    outer_ = outer;
    cutoff_ = std::max(cutoff_, outer);
    nuclei_.clear();
    const double t = outer - inner;
    for (int a : atomic_numbers_)
        for (int b : atomic_numbers_) {
            Nuclei pair;
            pair.strength = e_squared * a * b;
            pair.length = radius / (std::pow(a, power) + std::pow(b, power));
            double curvature;
            const auto [energy, slope] = unswitched(pair, outer, &curvature);
            pair.cubic = (-3.0 * slope + t * curvature) / (3.0 * t * t);
            pair.quartic = (2.0 * slope - t * curvature) / (4.0 * t * t * t);
            pair.constant = -energy + t / 2.0 * slope - t * t / 12.0 * curvature;
            nuclei_.push_back(pair);
        }
}

void Baseline::set_table(int a, int b, const PairTable& table) {
    const std::size_t n = atomic_numbers_.size();
    tables_[a * n + b] = tables_[b * n + a] = table;
    cutoff_ = std::max(cutoff_, table.cutoff());
}

bool Baseline::operator==(const Baseline& other) const {
    if (empty() || other.empty()) return empty() == other.empty();
    return atomic_numbers_ == other.atomic_numbers_ && inner_ == other.inner_ && outer_ == other.outer_ &&
           tables_ == other.tables_;
}

PairEnergy Baseline::pair(int a, int b, double r) const {
    PairEnergy found = table(a, b).at(r);
    if (!(r < outer_)) return found;
    const Nuclei& pair = nuclei_[a * atomic_numbers_.size() + b];
    const PairEnergy nuclei = unswitched(pair, r);
    const double t = std::fmax(r - inner_, 0.0);
    found.energy += nuclei.energy + pair.constant + t * t * t * (pair.cubic + t * pair.quartic);
    found.slope += nuclei.slope + t * t * (3.0 * pair.cubic + t * 4.0 * pair.quartic);
    return found;
}

PairEnergy Baseline::unswitched(const Nuclei& pair, double r, double* curvature) {
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
