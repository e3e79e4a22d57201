// The backend on the processor. It keeps nothing between calls.

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend.hpp"
#include "checks.hpp"
#include "jacobian.hpp"
#include "loss.hpp"
#include "neighbor_search.hpp"
#include "row.hpp"
#include "sitewise/error.hpp"
#include "step.hpp"

namespace sitewise {
namespace {

// Loads the environment of each atom and calls work(atom, row, environment).
template <class Work>
void for_each_environment(const SymmetryFunctions& functions, const Atoms& atoms, Work work) {
    const NeighborList list = build_neighbors(atoms, functions.cutoff());
    Environment environment;
    for (std::size_t i = 0; i < atoms.size; ++i) {
        const RowView row = row_of(list.view(), i);
        functions.load(atoms.species[i], row.size, row.index, atoms.species, row.vectors, environment);
        work(i, row, environment);
    }
}

class Processor : public Backend {
public:
    Device device() const override { return Device::cpu; }

    NeighborList neighbors(const Atoms& atoms, double cutoff) override {
        return build_neighbors(atoms, cutoff);
    }

    void evaluate(const SymmetryFunctions& functions, const Atoms& atoms, double* G) override {
        const std::size_t width = functions.max_count();
        std::fill_n(G, atoms.size * width, std::nan(""));
        for_each_environment(functions, atoms, [&](std::size_t i, const RowView&, Environment& environment) {
            functions.evaluate(environment, G + i * width);
        });
    }

    void vjp(const SymmetryFunctions& functions,
             const Atoms& atoms,
             const double* u,
             double* gradient,
             double* strain) override {
        const std::size_t width = functions.max_count();
        std::vector<double> forces(3 * atoms.size), g;
        double virial[9] = {};
        for_each_environment(functions, atoms,
                             [&](std::size_t i, const RowView& row, Environment& environment) {
                                 g.resize(3 * row.size);
                                 functions.vjp(environment, u + i * width, g.data());
                                 scatter_forces(i, row, g.data(), forces.data());
                                 add_virial(row, g.data(), virial);
                             });
        for (std::size_t q = 0; q < forces.size(); ++q) gradient[q] = -forces[q];
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) strain[3 * a + b] = virial[3 * b + a];
    }

    void jvp(const SymmetryFunctions& functions,
             const Atoms& atoms,
             const double* v,
             const double* strain,
             double* dG) override {
        const std::size_t width = functions.max_count();
        std::fill_n(dG, atoms.size * width, std::nan(""));
        std::vector<double> w;
        for_each_environment(
            functions, atoms, [&](std::size_t i, const RowView& row, Environment& environment) {
                w.resize(3 * row.size);
                for (std::size_t k = 0; k < row.size; ++k) {
                    const double *r = row.vectors + 3 * k,
                                 *vj = v + 3 * static_cast<std::size_t>(row.index[k]);
                    for (int a = 0; a < 3; ++a) {
                        const double* e = strain + 3 * a;
                        w[3 * k + a] = vj[a] - v[3 * i + a] + e[0] * r[0] + e[1] * r[1] + e[2] * r[2];
                    }
                }
                functions.jvp(environment, w.data(), dG + i * width);
            });
    }

    std::vector<double> compute(const Members& members,
                                const NeighborView& neighbors,
                                const int* species,
                                std::size_t n_atoms,
                                Potential::Output out) override {
        return compute_step(members, Neighbors(neighbors), species, n_atoms, out);
    }

    std::vector<double> compute(const Members& members,
                                const std::vector<Atoms>& structures,
                                const std::vector<Potential::Output>& out) override {
        std::size_t atoms = 0, first = 0;
        for (const Atoms& a : structures) atoms += a.centers();
        std::vector<double> energies(members.size() * atoms);
        for (std::size_t s = 0; s < structures.size(); ++s) {
            const std::size_t n = structures[s].centers();
            const NeighborSearch search(structures[s], members.front()->cutoff());
            const std::vector<double> part =
                compute_step(members, Neighbors(search), structures[s].species, structures[s].size, out[s]);
            for (std::size_t m = 0; m < members.size(); ++m)
                std::copy_n(part.data() + m * n, n, energies.data() + m * atoms + first);
            first += n;
        }
        return energies;
    }

    void compute_on_device(const Members&, const Atoms&, Potential::Output, void*) override {
        throw Error("arrays on a device need a potential with device cuda, this one's is cpu");
    }

    Loss loss(const TrainingData& data,
              const Potential& potential,
              const std::vector<std::size_t>& structures,
              LossWeights weights,
              double* gradient) override {
        return compute_loss(data, potential, structures, weights, gradient);
    }

    void jacobian(const TrainingData& data,
                  const Potential& potential,
                  const JacobianRows& rows,
                  double* jacobian) override {
        compute_jacobian(data, potential, rows, jacobian);
    }

    void normal_matrix(const TrainingData& data,
                       const Potential& potential,
                       const JacobianRows& rows,
                       const double* scales,
                       double* matrix) override {
        compute_normal_matrix(data, potential, rows, scales, matrix);
    }
};

}  // namespace

std::shared_ptr<Backend> backend_on(Device device) {
    static const std::shared_ptr<Backend> processor = std::make_shared<Processor>();
    if (device == Device::cuda) return cuda_backend();
    return processor;
}

Device parse_device(const std::string& name) {
    if (name == "cpu") return Device::cpu;
    if (name == "cuda") return Device::cuda;
    throw Error("device \"" + name + "\" is unknown, expected cpu or cuda");
}

NeighborList build_neighbors(const Atoms& atoms, double cutoff, Device device) {
    if (device != Device::cpu) refuse_ghosts(atoms);
    return backend_on(device)->neighbors(atoms, cutoff);
}

}  // namespace sitewise
