#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "row.hpp"
#include "sitewise/baseline.hpp"

namespace sitewise {

/// The neighbours of an atom that the baseline acts on, and the derivatives of the atom's part of its energy.
struct ClosePairs {
    std::vector<int> index;
    std::vector<double> vectors, gradient;

    bool empty() const { return index.empty(); }
    RowView view() const { return {index.size(), index.data(), vectors.data()}; }

    /// Finds them, and returns half of the energies of the pairs, eV.
    double find(const Baseline& baseline, int element, const int* species, const RowView& row) {
        double energy = 0.0;
        index.clear();
        vectors.clear();
        gradient.clear();
        for (std::size_t k = 0; k < row.size; ++k) {
            const double *v = row.vectors + 3 * k, square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
            if (!(square < baseline.cutoff() * baseline.cutoff())) continue;
            const double r = std::sqrt(square);
            const PairEnergy pair = baseline.pair(element, species[row.index[k]], r);
            energy += 0.5 * pair.energy;
            index.push_back(row.index[k]);
            for (int a = 0; a < 3; ++a) {
                vectors.push_back(v[a]);
                gradient.push_back(0.5 * pair.slope / r * v[a]);
            }
        }
        return energy;
    }
};

}  // namespace sitewise
