#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sitewise/baseline.hpp"
#include "sitewise/device.hpp"
#include "sitewise/neighbors.hpp"
#include "sitewise/network.hpp"
#include "sitewise/posterior.hpp"
#include "sitewise/scaling.hpp"
#include "sitewise/symmetry.hpp"
#include "sitewise/types.hpp"

namespace sitewise {

class Backend;

/// Units of the network's output e, with n2p2's normalisation of the data set: the energy of an atom in eV is
///
///     E = e / conv_energy + mean_energy + atom_energy[element]
///
/// conv_length has no effect on results; it is kept because n2p2 needs it in a directory.
struct Normalization {
    bool used = false;
    double mean_energy = 0.0;  ///< eV
    double conv_energy = 1.0;  ///< 1/eV
    double conv_length = 1.0;  ///< 1/Angstrom
};

/// A Behler-Parrinello potential. All quantities are in eV and Angstrom; a directory in other units is
/// converted when it is loaded. Const functions may run in several threads at once, each with its own team of
/// OpenMP threads (omp_set_num_threads). A forked process computes with one thread, and not on a device that
/// its parent has used.
class Potential {
public:
    /// Elements by their symbols, sorted by atomic number; one network per element. Throws Error if the
    /// numbers of functions, statistics and networks do not match.
    Potential(std::vector<std::string> elements,
              SymmetryFunctions functions,
              Scaling scaling,
              std::vector<Network> networks,
              std::vector<double> atom_energies,
              Normalization normalization = {});

    /// Read an n2p2/RuNNer directory: input.nn, scaling.data, weights.ZZZ.data or RuNNer's
    /// optweights.ZZZ.out. As in LAMMPS's `pair_style hdnnp`, cflength and cfenergy convert Angstrom and eV
    /// to the units of the directory: 1.8897261328 and 0.0367493254 for Bohr and Hartree. Throws Error with
    /// file and line. Among others, this happens for keywords that would change the energy in a way that is
    /// not supported, and if n2p2 and RuNNer read a file differently and nothing shows which program it is
    /// for. The folder of a training run may be given in place of its potential.
    static Potential load(const std::string& directory, double cflength = 1.0, double cfenergy = 1.0);

    /// Write the directory in eV and Angstrom, and create it if needed. Each file is written under a
    /// temporary name and then renamed. `comments` are at the head of input.nn, with a '#' before each line,
    /// followed by `units`. The potential that load() returns computes identical numbers. Throws Error if the
    /// directory cannot be written.
    void save(const std::string& directory,
              const std::string& comments = "",
              const std::string& units = "eV and Angstrom") const;

    /// Return what load() assumed because the directory does not state it, one sentence each; empty for other
    /// potentials.
    const std::vector<std::string>& assumed() const { return assumed_; }
    /// Set these sentences for a copy that is made from its parts.
    void set_assumed(std::vector<std::string> assumed) { assumed_ = std::move(assumed); }

    /// Return the chemical symbols; an element's place here is its index everywhere else.
    const std::vector<std::string>& elements() const { return elements_; }
    const std::vector<int>& atomic_numbers() const { return atomic_numbers_; }
    double cutoff() const { return functions_.cutoff(); }  ///< Angstrom
    const SymmetryFunctions& functions() const { return functions_; }
    const Scaling& scaling() const { return scaling_; }
    const Network& network(int element) const { return networks_[element]; }
    const std::vector<double>& atom_energies() const { return atom_energies_; }  ///< eV
    const Normalization& normalization() const { return normalization_; }

    /// Return what the networks are added to; empty unless set.
    const Baseline& baseline() const { return baseline_; }
    /// Set it. Throws Error if it is for other elements, or longer than cutoff().
    void set_baseline(Baseline baseline);

    std::size_t n_weights() const;        ///< of all elements
    std::vector<double> weights() const;  ///< concatenated in the order of the elements
    /// Set the weights [n_weights()], in that order, and forget the posterior. Throws Error if one is not
    /// finite.
    void set_weights(const double* weights);

    /// Set the posterior of the weights, of which the shift and the first `draws` draws give error bars of
    /// energies. Throws Error if it belongs to other weights or has fewer draws.
    void set_posterior(const Posterior& posterior, std::size_t draws);
    /// Return the number of parts of an error bar: 1 and the number of draws; 0 without a posterior.
    std::size_t bar_parts() const { return bar_parts_; }
    /// Return the deviations of the weights of an element's network, [bar_parts()][its weights]: the shift,
    /// and the draws divided by the root of their number. The squares of the changes of a prediction with
    /// them add up to the square of its bar.
    const std::vector<double>& deviations(int element) const { return deviations_[element]; }

    /// Precision of the arithmetic, float64 unless set; float32 is faster, with errors of about 1e-5 of the
    /// largest force.
    Precision precision() const { return precision_; }
    void set_precision(Precision precision) { precision_ = precision; }

    /// Where compute() and TrainingSet::loss() run, the processor unless set. A potential is sent to a device
    /// when it is used there. Throws Error if this build or this machine has no CUDA device, see
    /// cuda_status().
    Device device() const;
    void set_device(Device device);

    /// Results, which are added to: the caller sets them to zero or accumulates them. A result whose pointer
    /// is null is left out. E is the energy of the centres, and n the number of atoms that the list may index
    /// (ghosts included).
    struct Output {
        double* energy = nullptr;    ///< E, eV
        double* energies = nullptr;  ///< [centers], eV
        double* forces = nullptr;    ///< [n][3], -dE/dr, eV/Angstrom
        double* virial = nullptr;    ///< [3][3], dE/d(strain) = sum r_ij (x) dE/dr_ij, eV; stress = virial/V
        double* virials = nullptr;   ///< [n][3][3], its parts: r_ij (x) dE_i/dr_ij belongs to atom j, as the
                                     ///< heat current needs (Z. Fan et al., Phys. Rev. B 92, 094301 (2015))
        double* features = nullptr;  ///< [centers][max_count], network inputs x; overwritten, NaN behind
                                     ///< the last function of an element
        int* extrapolations = nullptr;       ///< [centers], functions outside the training range, and
                                             ///< neighbours closer than in the training set; overwritten
        double* energies_bar = nullptr;      ///< [centers], error bars of atomic energies, eV; overwritten
        double* energy_bar_parts = nullptr;  ///< [bar_parts()], eV; the sum of their squares, after parts of
                                             ///< all processes were added, is the square of the bar of E
    };

    /// Compute energies and their derivatives from a neighbour list. It must have all pairs within cutoff()
    /// and may have others; species [n_atoms] has the element index of every atom that the list names,
    /// centres first. Forces of ghost atoms belong to the atoms whose images they are; the caller adds them.
    /// OpenMP runs over atoms. Results for one atom do not depend on the number of threads; sums over atoms
    /// do, by rounding (1e-12).
    ///
    /// Throws Error for an element index out of range, for vectors that are not finite or shorter than 1e-6
    /// Angstrom, and for energies or virials that are not finite or above 1e30 eV; nothing is added then.
    /// Throws Error also for error bars of an ensemble, without a posterior or on a device. Indices of
    /// neighbours must be below n_atoms, which is not checked.
    void compute(const NeighborView& neighbors, const int* species, std::size_t n_atoms, Output out) const;

    /// The same with a neighbour list that is built here; every atom but ghosts is a centre. Throws Error
    /// also as build_neighbors does.
    void compute(const Atoms& atoms, Output out) const;

    /// The same with a list that is brought up to date here. The processor computes its vectors as it needs
    /// them, which is faster than compute(list.update(atoms), ...). Throws Error
    /// also for a list with a shorter cutoff.
    void compute(const Atoms& atoms, VerletList& list, Output out) const;

    /// The same for many structures, which a device computes together. Throws Error unless there are as many
    /// outputs.
    void compute(const std::vector<Atoms>& structures, const std::vector<Output>& out) const;

    /// The same for positions on the device; energy, energies, forces and virial are on the device, too, in
    /// double precision. They are overwritten, not added to; other outputs are ignored. The call waits for
    /// `stream`, a cudaStream_t, first. The results are complete on return, and are not checked to be finite.
    /// Throws Error on the processor, and for a potential with a baseline.
    void compute_on_device(const Atoms& atoms, Output out, void* stream) const;

private:
    std::vector<std::string> elements_;
    std::vector<int> atomic_numbers_;
    SymmetryFunctions functions_;
    Scaling scaling_;
    std::vector<Network> networks_;
    std::vector<double> atom_energies_;
    Normalization normalization_;
    Baseline baseline_;
    std::vector<std::string> assumed_;
    Precision precision_ = Precision::float64;
    std::size_t bar_parts_ = 0;
    std::vector<std::vector<double>> deviations_;

    friend struct BackendAccess;
    std::shared_ptr<Backend> backend_;
};

/// The elements (sorted by atomic number) and symmetry functions of an input.nn, whose networks and scaling
/// need not exist. Throws Error with file and line.
struct InputFunctions {
    std::vector<std::string> elements;
    SymmetryFunctions functions;
};
InputFunctions read_functions(const std::string& input_nn, double cflength = 1.0);

/// Return the folder of the potential in the folder of a training run, and any other directory as it is.
std::string potential_directory(const std::string& directory);

/// Return the atomic number of a chemical symbol; 0 if there is no such element.
int atomic_number(const std::string& symbol);
/// Return the mass of an element, g/mol; 0 if there is no such element.
double atomic_mass(const std::string& symbol);

}  // namespace sitewise
