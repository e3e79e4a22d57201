#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "sitewise/potential.hpp"
#include "sitewise/stored_file.hpp"

namespace sitewise {

struct TrainingData;

/// The labels of a structure; NaN or null if unknown.
struct Labels {
    double energy;                   ///< eV, NaN if unknown
    const double* forces = nullptr;  ///< [size][3], eV/Angstrom
    const double* stress = nullptr;  ///< [6] xx yy zz yz xz xy, eV/Angstrom^3, tensile positive
};

/// Features and derivatives of a structure that were computed before, see TrainingSet::features and
/// derivatives; both null if they were not.
struct Stored {
    const double* features = nullptr;
    std::shared_ptr<const StoredFile> file;  ///< with the derivatives, in single precision
    std::size_t offset = 0, count = 0;       ///< bytes before them, and their number
};

/// Weights of the force and stress errors against the energy's, all in eV and Angstrom.
struct LossWeights {
    double force = 0.0;
    double stress = 0.0;
};

/// Mean squared errors over the labels present: (dE/N)^2 over structures, dF^2 over components, dS^2 over
/// components; 0 if there is no label. value = energy + w.force * force + w.stress * stress, where each error
/// has the weight of its structure or atom, see TrainingSet::set_weights.
struct Loss {
    double value = 0.0;
    double energy = 0.0, force = 0.0, stress = 0.0;
};

/// Memory of a TrainingSet, bytes.
struct TrainingMemory {
    std::size_t used = 0;        ///< of all that counts against the budget
    std::size_t cached = 0;      ///< of the derivatives in memory
    std::size_t recomputed = 0;  ///< that derivatives would take that are neither in memory nor in a file
    std::size_t spilled = 0;     ///< that neighbours, features and labels would take that are in a file
};

/// Structures prepared for training: neighbours, features G and, as long as they fit the memory budget, the
/// derivatives dG/dr of each atom in single precision, without the zeros between elements. Beyond the budget,
/// stored derivatives are read from their file each time, and others are recomputed; neighbours, features and
/// labels are read from a temporary file. All ways give the same numbers to single precision.
class TrainingSet {
public:
    /// The temporary file is made in `folder`, by default in the folder for temporary files.
    TrainingSet(const SymmetryFunctions& functions,
                std::size_t memory_budget,
                const std::string& folder = "");
    ~TrainingSet();
    TrainingSet(TrainingSet&&) noexcept;
    TrainingSet& operator=(TrainingSet&&) noexcept;

    /// Add structures [count], computed in parallel, in the order given; what is in stored [count] is not
    /// computed. Throws the Error of the first wrong structure, and writes its place to *failed.
    void add(std::size_t count,
             const Atoms* atoms,
             const Labels* labels,
             const Stored* stored = nullptr,
             std::size_t* failed = nullptr);

    int elements() const;
    std::size_t max_count() const;  ///< of functions of one element
    std::size_t size() const;
    std::size_t atoms(std::size_t structure) const;
    std::size_t atoms() const;
    const TrainingMemory& memory() const;
    const std::vector<int>& species(std::size_t structure) const;  ///< element index of each atom
    /// Return raw G of one structure, [atoms][max_count], NaN behind the last function of an element.
    std::vector<double> features(std::size_t structure) const;
    /// Return the derivatives of one structure as they are cached or stored, in an internal order; empty if
    /// they are recomputed.
    std::vector<float> derivatives(std::size_t structure) const;
    /// Return the statistics of G for each element over the given structures.
    std::vector<FeatureStatistics> statistics(const std::vector<std::size_t>& structures) const;

    /// Set the weight of a structure's errors in Loss::value, and further factors for the forces on its atoms
    /// [atoms], which may be null. All are 1 unless set.
    void set_weights(std::size_t structure, double weight, const double* force_weights);
    /// Return the weight of the energy and stress errors of a structure.
    double weight(std::size_t structure) const;
    /// Return the weights of the force errors [atoms], the product of both factors that were set.
    std::vector<double> force_weights(std::size_t structure) const;

    /// Return the loss over the given structures and, if gradient [n_weights] is not null, its derivative,
    /// which is overwritten. The result does not depend on the number of threads.
    Loss loss(const Potential& potential,
              const std::vector<std::size_t>& structures,
              LossWeights weights,
              double* gradient) const;

    /// Compute derivatives with respect to the weights, [rows][n_weights]: for each structure a row of its
    /// energy, then one row for each of its chosen components (3 atom + axis) of forces.
    void jacobian(const Potential& potential,
                  const std::vector<std::size_t>& structures,
                  const std::vector<std::vector<std::size_t>>& components,
                  double* rows) const;
    /// Compute J^T J [n_weights][n_weights] of these rows J, each multiplied by its scale, scales [rows].
    void normal_matrix(const Potential& potential,
                       const std::vector<std::size_t>& structures,
                       const std::vector<std::vector<std::size_t>>& components,
                       const double* scales,
                       double* matrix) const;

    /// Return the predicted energy of one structure, and its forces [n][3] and stress [6], which may be null.
    double predict(const Potential& potential, std::size_t structure, double* forces, double* stress) const;

private:
    std::unique_ptr<TrainingData> data_;
};

}  // namespace sitewise
