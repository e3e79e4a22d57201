#pragma once

#include <cstddef>
#include <vector>

#include "sitewise/pair_table.hpp"

namespace sitewise {

/// The pair potentials that the networks are added to: the screened repulsion of nuclei, and a table for each
/// pair of elements that has one. Half of a pair's energy belongs to each of its atoms.
///
/// The repulsion is that of J. F. Ziegler, J. P. Biersack and U. Littmark (The Stopping and Range of Ions in
/// Solids, 1985),
///
///     E(r) = Z_a Z_b e^2 / r * phi(r / a),  a = 0.46850 Angstrom / (Z_a^0.23 + Z_b^0.23)
///
/// with phi and the switching function of LAMMPS's `pair_style zbl inner outer`: a constant is added up to
/// `inner`, and from there to `outer` a polynomial that takes energy, slope and curvature to 0.
class Baseline {
public:
    /// No pair potential.
    explicit Baseline(std::vector<int> atomic_numbers = {});
    /// Add the repulsion of nuclei; distances in Angstrom. Throws Error unless 0 < inner < outer.
    void set_zbl(double inner, double outer);
    /// Set the table of a pair of elements, by their indices.
    void set_table(int a, int b, const PairTable& table);

    const std::vector<int>& atomic_numbers() const { return atomic_numbers_; }
    bool empty() const { return cutoff_ == 0.0; }
    double cutoff() const { return cutoff_; }  ///< Angstrom, beyond which there is nothing; 0 if empty
    double inner() const { return inner_; }    ///< of the repulsion, Angstrom; 0 without it
    double outer() const { return outer_; }
    /// Return the table of a pair of elements; it is empty if there is none.
    const PairTable& table(int a, int b) const { return tables_[a * atomic_numbers_.size() + b]; }
    /// Return the energy of two atoms of elements a and b at a distance, Angstrom.
    PairEnergy pair(int a, int b, double r) const;

    bool operator==(const Baseline& other) const;

private:
    struct Nuclei {
        double strength = 0.0, length = 0.0;                // Z_a Z_b e^2, eV Angstrom; a, Angstrom
        double constant = 0.0, cubic = 0.0, quartic = 0.0;  // of the switching function
    };
    static PairEnergy unswitched(const Nuclei& pair, double r, double* curvature = nullptr);

    std::vector<int> atomic_numbers_;
    std::vector<Nuclei> nuclei_;     // [elements][elements]
    std::vector<PairTable> tables_;  // the same
    double inner_ = 0.0, outer_ = 0.0, cutoff_ = 0.0;
};

}  // namespace sitewise
