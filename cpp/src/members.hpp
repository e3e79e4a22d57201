#pragma once

#include <cstddef>
#include <vector>

#include "sitewise/potential.hpp"

namespace sitewise {

using Members = std::vector<const Potential*>;

/// Computes for Potential and Ensemble. Adds to `out` the means over potentials with the same elements and
/// functions; features and extrapolations are those of the first potential. Returns the atomic energies
/// [members][centers], eV.
std::vector<double> compute_members(const Members& members,
                                    const NeighborView& neighbors,
                                    const int* species,
                                    std::size_t n_atoms,
                                    Potential::Output out);
std::vector<double> compute_members(const Members& members, const Atoms& atoms, Potential::Output out);
std::vector<double> compute_members(const Members& members,
                                    const Atoms& atoms,
                                    VerletList& list,
                                    Potential::Output out);

}  // namespace sitewise
