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

struct JacobianRows;
struct TrainingData;

/// The processor or a device, which does the computing. Both give the same results, up to rounding. Several
/// threads may call it. The caller has checked the species; all other errors are those of the public
/// functions that call these.
class Backend {
public:
    virtual ~Backend() = default;

    virtual Device device() const = 0;
    /// Throws Error in a fork of the process that made this backend, if the backend does not work there.
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

    /// compute_members for one structure with a given neighbour list.
    virtual std::vector<double> compute(const Members& members,
                                        const NeighborView& neighbors,
                                        const int* species,
                                        std::size_t n_atoms,
                                        Potential::Output out) = 0;
    /// The same for many structures; atomic energies are [members][atoms of all structures].
    virtual std::vector<double> compute(const Members& members,
                                        const std::vector<Atoms>& structures,
                                        const std::vector<Potential::Output>& out) = 0;
    /// The same for one structure with positions and results on the device: energy [1], energies, forces and
    /// virial are overwritten, each unless it is null. The call waits for `ready`, the CUDA stream on which
    /// the arrays are used, and returns when the results are complete. Throws Error on the processor.
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
    /// As TrainingSet::jacobian and normal_matrix.
    virtual void jacobian(const TrainingData& data,
                          const Potential& potential,
                          const JacobianRows& rows,
                          double* jacobian) = 0;
    virtual void normal_matrix(const TrainingData& data,
                               const Potential& potential,
                               const JacobianRows& rows,
                               const double* scales,
                               double* matrix) = 0;
};

/// A backend that has its own memory; cuda/ implements it. Calls from several threads wait for each other.
class DeviceBackend : public Backend {
public:
    /// True in a fork of the process that made this backend; CUDA does not work there.
    bool forked() const { return made_after_ != forks(); }
    void require_own_process() const override {
        if (forked())
            throw Error(
                "device cuda: this process was forked from one that has used the device; start it by "
                "spawn, or compute on the cpu");
    }

    /// Allocates memory on the device, for tests and for results; release() frees it.
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void release(void* memory) = 0;
    virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
    virtual void download(void* to, const void* from, std::size_t bytes) = 0;

private:
    const int made_after_ = forks();
};

/// The backend of a potential; throws Error if this process cannot use it.
struct BackendAccess {
    static Backend& of(const Potential& potential) {
        potential.backend_->require_own_process();
        return *potential.backend_;
    }
};

/// The backend that all potentials on the device share. Throws Error with cuda_status() if there is none.
std::shared_ptr<DeviceBackend> cuda_backend();

/// The backend that all potentials on this device share. Throws Error as cuda_backend does.
std::shared_ptr<Backend> backend_on(Device device);

}  // namespace sitewise
