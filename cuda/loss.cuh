#pragma once

#include <cstddef>

#include "portable.cuh"
#include "sitewise/training.hpp"

namespace sitewise::cuda {

/// Predictions and labels of structures; NaN marks an unknown label. All arrays are on the device. Atoms are
/// in the order of the structures.
struct LossInput {
    int structures, atoms;
    const int* first_atom;       ///< [structures + 1], first atom of each and the end
    const double* energies;      ///< [structures], eV
    const double* forces;        ///< [atoms][3], eV/Angstrom
    const double* virials;       ///< [structures][3][3], eV
    const double* volumes;       ///< [structures], Angstrom^3
    const double* energy;        ///< [structures], the labels
    const double* force;         ///< [atoms][3]
    const double* stress;        ///< [structures][6] xx yy zz yz xz xy
    const double* weight;        ///< [structures], of the errors of energy and stress
    const double* force_weight;  ///< [atoms], of the errors of forces
    /// The numbers of labels over which the loss is averaged. If one is 0, labels of its kind are ignored.
    double n_energies, n_forces, n_stresses;
    LossWeights weights;
};

/// Doubles of scratch memory that launch_loss needs.
std::size_t loss_scratch(const LossInput& input);

/// Computes the loss of TrainingSet::loss. Overwrites `loss` [4] by value, energy, force and stress, and the
/// derivatives a [structures] = dL/dE, v [atoms][3] = dL/dF and strain [structures][3][3] = dL/dstress / V.
/// strain is symmetric; ab and ba share an off-diagonal derivative. Sums are in a fixed order.
void launch_loss(const LossInput& input,
                 double* a,
                 double* v,
                 double* strain,
                 double* loss,
                 double* scratch,
                 cudaStream_t stream);

}  // namespace sitewise::cuda
