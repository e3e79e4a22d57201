#pragma once

#include <string>
#include <vector>

namespace sitewise {

/// Energy of a pair of atoms, eV, and its derivative, eV/Angstrom.
struct PairEnergy {
    double energy = 0.0, slope = 0.0;
};

/// A pair potential that is tabulated as in files of LAMMPS's `pair_style table`.
///
/// Between the distances of the table the energy is the cubic spline through its energies, whose slope at
/// both ends is minus the force there; the forces in between are not used. Energy, slope and curvature are
/// continuous. The table ends in energy and slope 0, and so is everything beyond. Below the first distance
/// the slope is constant.
class PairTable {
public:
    /// An empty table: no energy at any distance.
    PairTable() = default;
    /// Distances, Angstrom, increasing and positive; energies, eV; forces -dE/dr, eV/Angstrom. Throws Error
    /// if one is not finite, the sizes differ, there are fewer than 2 distances, the energies or forces do
    /// not end in 0 (within 1e-6), or the forces are not minus the slopes of the energies (the root mean
    /// square of the difference is more than 0.1 of that of the slopes, without the ends).
    PairTable(std::vector<double> distances, std::vector<double> energies, const std::vector<double>& forces);

    /// Read a section of a file of LAMMPS; an empty name stands for its only section. The keywords N, R, RSQ
    /// and FPRIME are read. A first line with `UNITS: metal` (eV, Angstrom) or `UNITS: real` (kcal/mol,
    /// Angstrom) names the units; without it 1 Angstrom is `cflength` and 1 eV is `cfenergy` in the units of
    /// the file. Throws Error with file and line.
    static PairTable read(const std::string& path,
                          const std::string& section = "",
                          double cflength = 1.0,
                          double cfenergy = 1.0);

    const std::vector<double>& distances() const { return distances_; }  ///< Angstrom
    const std::vector<double>& energies() const { return energies_; }    ///< eV
    const std::vector<double>& slopes() const { return slopes_; }        ///< dE/dr, eV/Angstrom
    bool empty() const { return distances_.empty(); }
    double cutoff() const { return empty() ? 0.0 : distances_.back(); }  ///< Angstrom

    /// Return the energy at a distance, Angstrom.
    PairEnergy at(double r) const;
    /// Return the second derivative of the energy at the first distance or at the last, eV/Angstrom^2.
    double curvature(bool last) const;

    bool operator==(const PairTable& other) const {
        return distances_ == other.distances_ && energies_ == other.energies_ && slopes_ == other.slopes_;
    }

private:
    std::vector<double> distances_, energies_, slopes_;
};

}  // namespace sitewise
