#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "parallel.hpp"
#include "sitewise/device.hpp"
#include "sitewise/error.hpp"
#include "sitewise/neighbors.hpp"
#include "sitewise/potential.hpp"
#include "sitewise/training.hpp"

namespace sitewise {

/// Structures with labels, one behind the other, for the loss on a device.
struct LabelledBatch {
    std::vector<int> species, first_atom;                // [atoms], [structures + 1]
    std::vector<int> first, index;                       // neighbour list, [atoms + 1], [entries]
    std::vector<double> vectors;                         // [entries][3]
    std::vector<double> volume, energy, stress, weight;  // [structures], stress [structures][6]; NaN: unknown
    std::vector<double> forces, force_weights;           // [atoms][3], [atoms]
    double energies = 0, force_components = 0, stress_components = 0;  // how many labels there are
};

/// What computes on a device in place of the processor; the results are the same to rounding. One
/// implementation, the kernels in cuda/, is made by make_cuda(); calls from several threads wait for each
/// other.
class Backend {
public:
    using Members = std::vector<const Potential*>;
    virtual ~Backend() = default;

    /// Whether a fork lies between what made this and this process, where nothing of CUDA works.
    bool forked() const { return made_after_ != forks(); }
    void require_own_process() const {
        if (forked())
            throw Error(
                "device cuda: this process was forked from one that has used the device; start it by "
                "spawn, or compute on the cpu");
    }

    /// As build_neighbors.
    virtual NeighborList neighbors(const Atoms& atoms, double cutoff) = 0;

    /// The operators for all atoms of a structure: G and u [atoms][max_count], NaN behind the last function;
    /// d(u.G)/dr [atoms][3] and d(u.G)/d(strain) [3][3]; dG along v [atoms][3] and strain [3][3].
    virtual void evaluate(const SymmetryFunctions& functions, const Atoms& atoms, double* G) = 0;
    virtual void vjp(const SymmetryFunctions& functions,
                     const Atoms& atoms,
                     const double* u,
                     double* gradient,
                     double* strain) = 0;
    virtual void jvp(const SymmetryFunctions& functions,
                     const Atoms& atoms,
                     const double* v,
                     const double* strain,
                     double* dG) = 0;

    /// As compute_members, of one structure with a given list.
    virtual std::vector<double> compute(const Members& members,
                                        const NeighborView& neighbors,
                                        const int* species,
                                        std::size_t n_atoms,
                                        Potential::Output out) = 0;
    /// Of many structures together; atomic energies are [members][atoms of all].
    virtual std::vector<double> compute(const Members& members,
                                        const std::vector<Atoms>& structures,
                                        const std::vector<Potential::Output>& out) = 0;
    /// Of one structure whose positions, and whose results, lie on the device: energy [1], energies, forces
    /// and virial may be asked for and are overwritten. `ready`, the CUDA stream that the arrays are used on,
    /// is waited for; results are there on return.
    virtual void compute_on_device(const Members& members,
                                   const Atoms& atoms,
                                   Potential::Output out,
                                   void* ready) = 0;

    /// TrainingSet::loss, with its functions, of the structures that make() gives, unless `key` is that of
    /// the call before, whose structures are still on the device.
    virtual Loss loss(const SymmetryFunctions& functions,
                      const Potential& potential,
                      const std::vector<std::uint64_t>& key,
                      const std::function<LabelledBatch()>& make,
                      LossWeights weights,
                      double* gradient) = 0;

    /// Memory on the device, for tests and for results: allocated until release().
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void release(void* memory) = 0;
    virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
    virtual void download(void* to, const void* from, std::size_t bytes) = 0;

private:
    const int made_after_ = forks();
};

/// The backend of a potential, null for the processor; throws Error in a process that was forked from its
/// own.
struct BackendAccess {
    static Backend* of(const Potential& potential) {
        if (potential.backend_) potential.backend_->require_own_process();
        return potential.backend_.get();
    }
};

/// The backend that all potentials on the device share; throws Error with cuda_status() where there is none.
std::shared_ptr<Backend> cuda_backend();

}  // namespace sitewise
