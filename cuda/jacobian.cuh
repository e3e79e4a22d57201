#pragma once

// Rows of the Jacobian of energies and forces by the weights: which atoms contribute to a row, and what the
// networks need of them. The product J^T J.

#include <vector>

#include "columns.cuh"
#include "labels.hpp"

namespace sitewise::cuda {

/// The atoms that contribute to rows: to the row of a force the atom that it acts on and the neighbours of
/// that atom, to the row of an energy all atoms of the structure.
struct Contributions {
    /// The atoms of one element, as columns. The columns of a row fill whole tiles of 32.
    struct OfElement {
        std::vector<int>
            column;  ///< [ld], their columns of the matrices of all atoms, -1 where a tile is filled up
        std::vector<int> row;         ///< [ld]
        std::vector<int> first_tile;  ///< [rows + 1]
    };
    std::vector<int> component;  ///< [rows], 3 atom + axis of a force, -1 for an energy
    std::vector<double> scale;   ///< [rows], factors of the rows
    std::vector<OfElement> elements;
};

/// The contributions to rows of the structures of a batch, with `components` of the forces of each.
Contributions contributions(const LabelledBatch& batch,
                            int elements,
                            const std::vector<std::vector<std::size_t>>& components,
                            const std::vector<double>& scales);

/// The contributions of one element on the device.
struct ContributionsView {
    int ld;
    const int *column, *row, *component;
    const double* scale;
};

/// Sets what the networks need of each column: inputs x [functions][ld], their changes t [functions][ld] as
/// the atom of the row's force moves, opposite to its axis, and weights a [ld] of energies. G has the columns
/// of `centers`; derivatives [functions][3][entries] are those of G by the vectors of the list; `unit` is 1
/// eV in the unit of the networks.
template <class Real>
void launch_contributions(const ContributionsView& contributions,
                          const Centers& centers,
                          const List<Real>& list,
                          const ScalingView& scaling,
                          double unit,
                          const Real* G,
                          const Real* derivatives,
                          Real* x,
                          Real* t,
                          Real* a,
                          cudaStream_t stream);

/// matrix [n][n] += J^T J, with J [rows][n]. The order of the sums depends only on the number of rows.
void launch_normal_matrix(int rows, int n, const double* J, double* matrix, cudaStream_t stream);

}  // namespace sitewise::cuda
