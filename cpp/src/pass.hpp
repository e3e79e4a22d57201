#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "derivatives.hpp"
#include "network_of.hpp"
#include "prepared.hpp"
#include "sitewise/potential.hpp"

namespace sitewise {

/// A structure of a pass, with its predictions and the derivatives of the loss with respect to them.
struct Slot {
    std::shared_ptr<const Prepared> s;
    std::size_t first;  // its first atom in the pass
    bool forces, stress;
    double energy = 0.0;
    double virial[9] = {}, predicted_stress[6] = {};
    double a = 0.0;        // dL/dE
    double sigma[6] = {};  // dL/dstress
};

/// Evaluates some structures, and propagates the derivative of a loss back to the weights. Used by one
/// thread.
class Pass {
public:
    Pass(const Derivatives& derivatives, const Potential& potential);

    std::vector<Slot> slots;
    double* forces(const Slot& slot) { return forces_.data() + 3 * slot.first; }

    void clear();
    std::size_t size() const { return size_; }
    void add(std::shared_ptr<const Prepared> structure, bool forces, bool stress);

    /// Computes energies, and forces and stress of the structures that ask for them.
    void predict();
    /// Adds dL/dw to gradient. Reads a and sigma of the slots, and v = dL/dF, which has replaced the forces.
    void add_gradient(double* gradient);
    /// Sets row to dE/dw. The pass must have one structure.
    void energy_row(double* row);
    /// Sets row to d/dw of component `axis` of the force on an atom, to which only the atom and its
    /// neighbours contribute. The pass must have one structure.
    void force_row(std::size_t atom, int axis, double* row);

private:
    using Lines = std::vector<double, LineAligned<double>>;

    // The atoms of one element in blocks of batch_size, see Kernels::trace.
    struct ElementAtoms {
        struct Place {
            std::size_t slot, atom;
        };
        std::vector<Place> places;
        Lines x, dedx, trace, weight, tangent, scratch;

        std::size_t blocks() const { return (places.size() + batch_size - 1) / batch_size; }
        void resize(const NetworkOf<double>& network);
    };

    void predict(int e, bool derivatives);
    void add_forces(Slot& slot, std::size_t i);
    void set_direction(const Slot& slot, std::size_t i);
    void change_with(const Prepared& s, std::size_t i, std::size_t atom, int axis);
    void set_tangent(int e, std::size_t b, Lines& t);
    void weight_gradient(std::size_t e, ElementAtoms& of, bool tangents, double* gradient);
    void gather(std::size_t e);

    const Derivatives& derivatives_;
    const Potential& potential_;
    const double unit_;  // eV in the networks' units, inverted
    std::vector<NetworkOf<double>> networks_;
    std::vector<ElementAtoms> atoms_, gathered_;
    std::vector<double> forces_, direction_;
    std::vector<int> near_;
    AtomScratch scratch_;
    std::size_t size_ = 0;
};

}  // namespace sitewise
