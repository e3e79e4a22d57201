#pragma once

#include <cstddef>
#include <vector>

#include "sitewise/potential.hpp"

namespace sitewise {

/// What Potential and Ensemble compute with: adds to `out` the means over potentials of the same elements and
/// functions, where features and extrapolations are those of the first. Returns the atomic energies of each
/// [members][centers], eV.
std::vector<double> compute_members(const std::vector<const Potential*>& members,
                                    const NeighborView& neighbors,
                                    const int* species,
                                    std::size_t n_atoms,
                                    Potential::Output out);
std::vector<double> compute_members(const std::vector<const Potential*>& members,
                                    const Atoms& atoms,
                                    Potential::Output out);

/// Throw Error for what is not finite, or so large that sums of it may not be; to be called before anything
/// is added to `out`.
void require_finite_energy(double energy, std::size_t atom);
/// [9], the sums of r (x) g over all pairs: not finite if any force is not.
void require_finite_virial(const double* virial);

}  // namespace sitewise
