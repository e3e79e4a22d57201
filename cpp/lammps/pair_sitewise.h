// clang-format off
#ifdef PAIR_CLASS
PairStyle(sitewise,PairSitewise);
#else
// clang-format on
#ifndef LMP_PAIR_SITEWISE_H
#define LMP_PAIR_SITEWISE_H

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <sitewise/ensemble.hpp>
#include <string>
#include <vector>

#include "pair.h"
#include "pair_sitewise_exclusions.h"
#include "pair_sitewise_extrapolations.h"

namespace LAMMPS_NS {

/// pair_style sitewise keyword value ...
///     cflength, cfenergy   LAMMPS's units of length and energy in units of the potential's directory, as in
///                          pair_style hdnnp; by default, the directory is in Angstrom and eV
///     precision            float64 (the default) or float32
///     device               cpu (the default) or cuda, the first CUDA device, which all ranks share
///     showewsum N          every N steps, warn once of the extrapolations since the last warning and name
///                          the worst; 1000 by default, 0 for no warning
///     maxew N              stop after more than N extrapolations (functions, summed over atoms and steps)
///     bars N               compute error bars of energies from N draws of the potential's posterior
/// pair_coeff * * DIRECTORY element ...   one element or NULL for each atom type; the directory may be an
///                          ensemble, whose mean moves the atoms
///
/// Computes pe/atom, stress/atom and centroid/stress/atom use the energies and virials of atoms.
/// `fix ID all pair N sitewise extrapolation 0 energies_spread 0` provides, as f_ID, the number of functions
/// outside the training range and of neighbours closer than in the training data and, for an ensemble, the
/// spread of the atomic energies; with bars it is energies_bar, the error bar of the atomic energies. The
/// spread or bar of the energy is c_ID[1] of `compute ID all pair sitewise`. All values are in LAMMPS's
/// units.
///
/// Neighbours are found here, among LAMMPS's own and ghost atoms, and LAMMPS builds no list for this style.
/// An atom in a group that is excluded from all (neigh_modify exclude group ID all, as fix gcmc excludes the
/// atoms that it tries to delete) has no energy and is in no environment. The run ends if another command
/// keeps neighbours apart.
class PairSitewise : public Pair {
public:
    explicit PairSitewise(LAMMPS* lammps);
    ~PairSitewise() override;
    void settings(int argc, char** argv) override;
    void coeff(int argc, char** argv) override;
    void init_style() override;
    double init_one(int i, int j) override;
    void compute(int eflag, int vflag) override;
    void finish() override;
    void* extract_peratom(const char* name, int& columns) override;
    double memory_usage() override;

private:
    double factor(const char* keyword, const char* value) const;
    bigint count(const char* keyword, const char* value) const;
    void forget_coeff();
    void find_units();
    void warn_of_masses();
    double grams_per_mole() const;
    void load(const char* directory);
    sitewise::Ensemble read(const char* directory, double cflength, double cfenergy) const;
    void report_failure(std::string text);
    void allocate();
    void begin_run();
    void check_types();
    void warn_of_absent_atoms();
    bool takes_part(int i) const;
    void gather_atoms();
    sitewise::Atoms structure() const;
    void check_environments();
    void check_ghosts();
    std::string atom_left_out(int chosen, const char* command) const;
    std::string neighbor_left_out() const;
    void require(const std::function<void()>& work);
    void add_results();
    void add_uncertainty();
    void count_extrapolations();

    struct Settings {
        std::optional<double> cflength, cfenergy;
        bool single = false, cuda = false;
        bigint draws = 0;
    } settings_;
    std::unique_ptr<sitewise::Ensemble> ensemble_;
    bool ready_ = false;                          // LAMMPS has read this ensemble's cutoff and elements
    bool begun_ = false;                          // there was a step in this run of LAMMPS
    double angstrom_ = 1.0, electronvolt_ = 1.0;  // in the units of LAMMPS
    std::vector<bool> taken_;                     // pairs of types that LAMMPS gives to this style
    SitewiseExclusions exclusions_;

    // Atoms that take part: own atoms, which are the centres, then ghosts
    std::vector<int> atoms_, species_;
    std::vector<tagint> tags_;
    std::vector<double> positions_;  // Angstrom
    std::size_t centers_ = 0;
    std::optional<sitewise::VerletList> neighbors_;
    std::vector<double> energies_, forces_, virials_;
    std::vector<double> uncertainties_, parts_;  // bars or spreads of atoms, and parts of that of the energy
    std::vector<int> extrapolations_;
    std::vector<double> extrapolation_, uncertainty_;  // of LAMMPS's own atoms, for fix pair
    SitewiseExtrapolations counted_;
};

}  // namespace LAMMPS_NS

#endif
#endif
