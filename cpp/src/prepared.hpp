#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "row.hpp"
#include "sitewise/training.hpp"
#include "spill.hpp"

namespace sitewise {

/// A structure that is ready for training.
struct Prepared {
    std::size_t size = 0;
    double volume = 0.0;  // 0 unless periodic in three directions
    std::vector<int> species;
    std::vector<std::size_t> order;  // atoms sorted by element
    std::vector<std::size_t> begin;  // [elements + 1], ranges of `order`
    std::vector<std::size_t> place;  // [size], place of an atom among those of its element
    std::vector<std::size_t> first;  // neighbour list, each row sorted by element
    std::vector<int> index;
    std::vector<double> vectors;
    std::vector<double> G;              // [size][max_count]
    std::vector<std::size_t> cache_at;  // [size + 1], where each atom's derivatives begin, and the end
    float* cache = nullptr;             // null: stored
    Stored stored;                      // no file: recompute
    double energy = std::numeric_limits<double>::quiet_NaN();  // unknown
    std::vector<double> forces, stress;                        // empty if unknown
    std::size_t force_components = 0;
    double weight = 1.0;                      // of energy and stress in the loss
    std::vector<double> force_weights;        // [size], empty: 1
    std::size_t spilled_at = 0, spilled = 0;  // bytes of the large arrays in a file; 0: they are here

    bool has_derivatives() const { return cache || stored.file; }
    double force_weight(std::size_t i) const { return force_weights.empty() ? 1.0 : force_weights[i]; }
    bool has_energy() const { return !std::isnan(energy); }
    std::size_t neighbors(std::size_t i) const { return first[i + 1] - first[i]; }
    RowView row(std::size_t i) const {
        return {neighbors(i), index.data() + first[i], vectors.data() + 3 * first[i]};
    }
};

/// Checks a structure and its labels, sorts its atoms and finds its neighbours. Does not compute G and
/// derivatives. Throws Error as TrainingSet::add does.
Prepared prepare(const Atoms& atoms, const Labels& labels, int n_elements, double cutoff);

/// Returns the memory of the arrays that grow with the number of atoms, bytes.
std::size_t bytes_of_arrays(const Prepared& s);
/// Writes these arrays to a file and frees their memory.
void put_away(Prepared& s, Spill& file);
/// Returns a structure with its arrays, which were put away.
Prepared fetched(const Prepared& s, const Spill& file);

}  // namespace sitewise
