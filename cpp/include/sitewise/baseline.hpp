#pragma once

#include <cstddef>
#include <vector>

namespace sitewise {

/// Energy of a pair of atoms, eV, and its derivative, eV/Angstrom.
struct PairEnergy {
    double energy = 0.0, slope = 0.0;
};

/// The screened repulsion of nuclei of J. F. Ziegler, J. P. Biersack and U. Littmark (The Stopping and Range
/// of Ions in Solids, 1985), which a network is added to:
///
///     E(r) = Z_a Z_b e^2 / r * phi(r / a),  a = 0.46850 Angstrom / (Z_a^0.23 + Z_b^0.23)
///
/// with phi and the switching function of LAMMPS's `pair_style zbl inner outer`: a constant is added up to
/// `inner`, and from there to `outer` a polynomial that takes energy, slope and curvature to 0. Half of a
/// pair's energy belongs to each of its atoms.
class Baseline {
public:
    /// No repulsion.
    Baseline() = default;
    /// Distances in Angstrom. Throws Error unless 0 < inner < outer.
    Baseline(const std::vector<int>& atomic_numbers, double inner, double outer);

    bool empty() const { return pairs_.empty(); }
    double inner() const { return inner_; }  ///< Angstrom; 0 if empty
    double outer() const { return outer_; }  ///< Angstrom, beyond which there is no repulsion; 0 if empty
    /// Return the energy of two atoms of elements a and b at a distance below outer(), Angstrom.
    PairEnergy pair(int a, int b, double r) const;

private:
    struct Pair {
        double strength = 0.0, length = 0.0;                // Z_a Z_b e^2, eV Angstrom; a, Angstrom
        double constant = 0.0, cubic = 0.0, quartic = 0.0;  // of the switching function
    };
    static PairEnergy unswitched(const Pair& pair, double r, double* curvature = nullptr);

    std::vector<Pair> pairs_;  // [elements][elements]
    std::size_t elements_ = 0;
    double inner_ = 0.0, outer_ = 0.0;
};

}  // namespace sitewise
