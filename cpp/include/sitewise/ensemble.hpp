#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sitewise/potential.hpp"

namespace sitewise {

/// Potentials of the same elements and symmetry functions, used as one: results are the means over the
/// members. The functions are evaluated once, and one vjp serves all members. An ensemble therefore costs one
/// potential and one network for each further member. A single potential is an ensemble of one.
class Ensemble {
public:
    /// Throws Error without members, or if their elements or functions differ.
    explicit Ensemble(std::vector<Potential> members);

    /// Read the potentials that ensemble_members() finds, or else the directory's own potential; see
    /// Potential::load.
    static Ensemble load(const std::string& directory, double cflength = 1.0, double cfenergy = 1.0);

    const std::vector<Potential>& members() const { return members_; }
    const std::vector<std::string>& elements() const { return members_.front().elements(); }
    double cutoff() const { return members_.front().cutoff(); }  ///< Angstrom
    const SymmetryFunctions& functions() const { return members_.front().functions(); }
    void set_precision(Precision precision);  ///< of all members
    void set_device(Device device);           ///< of all members, see Potential::set_device

    /// As Potential::Output, for the means over the members; features and extrapolations are those of the
    /// first member. Spreads are sample standard deviations over the members.
    struct Output : Potential::Output {
        double* member_energies = nullptr;  ///< [members], the energy of each, eV; added to
        double* energies_spread =
            nullptr;  ///< [centers], of the atomic energies, eV; overwritten, NaN for one member
    };

    /// Compute the results; for threads and errors see Potential::compute.
    void compute(const NeighborView& neighbors, const int* species, std::size_t n_atoms, Output out) const;
    void compute(const Atoms& atoms, Output out) const;
    void compute(const Atoms& atoms, VerletList& list, Output out) const;

private:
    std::vector<Potential> members_;
};

/// List the members of an ensemble in a directory, by number: the subdirectories NAME0, NAME1, ... or NAME1,
/// NAME2, ... with an input.nn, where NAME is the same for all and may be empty; `nnp-1`, `nnp-2`, ... is
/// usual. If the directory has an input.nn of its own, they count only if they begin with 0 and have no NAME,
/// or if its keyword committee_mode is not off; committee_size must then be their number. The list is empty
/// for a single potential. Throws Error if a member is missing, or if there are several NAMEs.
std::vector<std::string> ensemble_members(const std::string& directory);

/// Return the sample standard deviation of some numbers; NaN for fewer than two.
double spread(const std::vector<double>& values);

}  // namespace sitewise
