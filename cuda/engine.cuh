#pragma once

// Runs the flow from structures to results on the device, in one precision: list -> functions -> networks ->
// forces.

#include "backend.hpp"
#include "forces.cuh"
#include "jacobian.cuh"
#include "model.cuh"

namespace sitewise::cuda {

/// The results of a step on the device: energies [members][centers], forces [atoms][3], virials [atoms][3][3]
/// and their sums [structures][3][3].
struct Results {
    double *energies, *forces, *virials, *virial;
};

template <class Real>
class Engine {
public:
    explicit Engine(cudaStream_t stream) : stream_(stream) {}

    void load(const SymmetryFunctions& functions, const std::vector<const Potential*>& members = {}) {
        model_.load(functions, members, stream_);
    }

    /// Loads structures and builds their list. Their positions are on the device, concatenated, or on the
    /// host if null.
    void load(const std::vector<Atoms>& structures, double cutoff, const double* positions = nullptr);
    /// Loads atoms with the caller's list, whose rows belong to the first atoms.
    void load(const NeighborView& neighbors, const int* species, std::size_t atoms);
    /// Loads structures with labels.
    void load(const LabelledBatch& batch);

    void evaluate();                                  ///< G
    void networks(bool gradients, double* energies);  ///< [members][centers] and, if wanted, dE/dG
    void vjp(Results& results);                       ///< forces and virials from dE/dG
    void jvp(const double* v, const double* strain);  ///< dG in place of dE/dG, see launch_directions
    /// gradient [weights of the potential] += the gradient of sum a_s E_s + t . dE/dx, where t is the change
    /// of x that follows from dG after jvp().
    void weight_gradient(const double* a, bool tangents, double* gradient);
    /// Sets rows [.][weights of the potential] after evaluate().
    void jacobian(const Contributions& contributions, double* rows);

    /// Copy rows [centers][width] of G, x or dG to and from the host.
    void write_rows(const Real* columns, double* rows);
    void read_rows(const double* rows, Real* columns);
    void extrapolations(int* outside);  ///< [centers]

    Results reserve(bool gradients);
    int atoms() const { return atoms_; }
    int centers() const { return centers_; }
    int structures() const { return static_cast<int>(first_atom_.size()) - 1; }
    const std::vector<int>& first_atom() const { return first_atom_; }
    const int* first_atom_on_device() const { return first_atom_on_device_; }
    int width() const { return model_.width(); }
    std::size_t members() const { return model_.members(); }
    Real* G() const { return G_.data(); }
    Real* x() const { return x_.data(); }         ///< of the first member
    Real* dG() { return u_.reserve(columns()); }  ///< dE/dG, or the change of G

private:
    void take_atoms(const int* species, std::size_t centers, std::size_t atoms, std::vector<int> first_atom);
    void take_list(const std::vector<int>& first,
                   const std::vector<int>& index,
                   const std::vector<Real>& vectors,
                   std::size_t atoms);
    std::size_t columns() const;  // of all matrices together

    // The part of an element in an array of matrices, or of columns
    template <class T>
    T* of(int element, T* all) const {
        for (int e = 0; e < element; ++e)
            all += static_cast<std::size_t>(model_.outputs(e)) * centers_of_[e].ld;
        return all;
    }
    int first_column(int element) const {
        int column = 0;
        for (int e = 0; e < element; ++e) column += centers_of_[e].ld;
        return column;
    }
    int all_columns() const { return first_column(model_.elements()); }
    double* scratch_of_networks();
    void derivatives();  // of G by the vectors of the list

    cudaStream_t stream_;
    Model<Real> model_;
    Search search_;
    int atoms_ = 0, centers_ = 0;
    std::vector<int> first_atom_;
    std::vector<Centers> centers_of_;  // by element
    const int *species_ = nullptr, *structure_ = nullptr, *first_atom_on_device_ = nullptr;
    List<Real> list_{};
    Packet atoms_packet_, list_packet_, rows_packet_;
    Buffer<double> positions_, results_, scratch_, rows_;
    Buffer<int> outside_;
    Buffer<Real> G_, x_, u_, dedx_, e_, pairs_, derivatives_;
};

}  // namespace sitewise::cuda
