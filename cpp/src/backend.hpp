#pragma once

#include <memory>
#include <vector>

#include "members.hpp"
#include "parallel.hpp"
#include "sitewise/device.hpp"
#include "sitewise/error.hpp"
#include "sitewise/neighbors.hpp"
#include "sitewise/potential.hpp"
#include "sitewise/training.hpp"

namespace sitewise {

struct TrainingData;

/// What computes: the processor or a device. The results are the same to rounding. Calls from several threads
/// are allowed. Species are checked before; otherwise functions throw Error as the public ones do that call
/// them.
class Backend {
public:
    virtual ~Backend() = default;

    virtual Device device() const = 0;
    /// Throws Error in a process that was forked from the one that made this, if nothing works there.
    virtual void require_own_process() const {}

    /// As build_neighbors.
    virtual NeighborList neighbors(const Atoms& atoms, double cutoff) = 0;

    /// See operators.hpp.
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
    /// Of many structures; atomic energies are [members][atoms of all].
    virtual std::vector<double> compute(const Members& members,
                                        const std::vector<Atoms>& structures,
                                        const std::vector<Potential::Output>& out) = 0;
    /// Of one structure whose positions, and whose results, lie on the device: energy [1], energies, forces
    /// and virial may be asked for and are overwritten. `ready`, the CUDA stream that the arrays are used on,
    /// is waited for; results are there on return. Throws Error on the processor.
    virtual void compute_on_device(const Members& members,
                                   const Atoms& atoms,
                                   Potential::Output out,
                                   void* ready) = 0;

    /// As TrainingSet::loss.
    virtual Loss loss(const TrainingData& data,
                      const Potential& potential,
                      const std::vector<std::size_t>& structures,
                      LossWeights weights,
                      double* gradient) = 0;
};

/// A backend with memory of its own; the kernels in cuda/. Calls from several threads wait for each other.
class DeviceBackend : public Backend {
public:
    /// Whether a fork lies between what made this and this process, where nothing of CUDA works.
    bool forked() const { return made_after_ != forks(); }
    void require_own_process() const override {
        if (forked())
            throw Error(
                "device cuda: this process was forked from one that has used the device; start it by "
                "spawn, or compute on the cpu");
    }

    /// Memory on the device, for tests and for results: allocated until release().
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void release(void* memory) = 0;
    virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
    virtual void download(void* to, const void* from, std::size_t bytes) = 0;

private:
    const int made_after_ = forks();
};

/// The backend of a potential; throws Error where it cannot be used in this process.
struct BackendAccess {
    static Backend& of(const Potential& potential) {
        potential.backend_->require_own_process();
        return *potential.backend_;
    }
};

/// The backend that all potentials on the device share; throws Error with cuda_status() where there is none.
std::shared_ptr<DeviceBackend> cuda_backend();

/// The backend that all on that device share; throws Error as cuda_backend.
std::shared_ptr<Backend> backend_on(Device device);

}  // namespace sitewise
