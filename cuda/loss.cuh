#pragma once

#include <cstddef>

#include "portable.cuh"
#include "sitewise/training.hpp"

namespace sitewise::cuda {

/// Predictions for structures and what is known of them, NaN where it is not; all arrays are on the device,
/// those of atoms in the order of the structures.
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
    /// Labels of all structures that the loss is a mean of; where 0, forces or stresses are not looked at.
    double n_energies, n_forces, n_stresses;
    LossWeights weights;
};

/// Doubles of scratch memory that launch_loss needs.
std::size_t loss_scratch(const LossInput& input);

/// The loss of TrainingSet::loss: `loss` [4] value, energy, force and stress, overwritten, and its
/// derivatives a [structures] = dL/dE, v [atoms][3] = dL/dF and strain [structures][3][3] = dL/dstress / V,
/// symmetric, an off-diagonal derivative shared by ab and ba. Sums are in a fixed order.
void launch_loss(const LossInput& input,
                 double* a,
                 double* v,
                 double* strain,
                 double* loss,
                 double* scratch,
                 cudaStream_t stream);

}  // namespace sitewise::cuda
