#pragma once

#include <cstddef>
#include <vector>

#include "sitewise/potential.hpp"

namespace sitewise {

using Members = std::vector<const Potential*>;

/// What Potential and Ensemble compute with: adds to `out` the means over potentials of the same elements and
/// functions, where features and extrapolations are those of the first. Returns the atomic energies of each
/// [members][centers], eV.
std::vector<double> compute_members(const Members& members,
                                    const NeighborView& neighbors,
                                    const int* species,
                                    std::size_t n_atoms,
                                    Potential::Output out);
std::vector<double> compute_members(const Members& members, const Atoms& atoms, Potential::Output out);

}  // namespace sitewise
