#pragma once

// Checks of input and results that both backends make.

#include <cstddef>

#include "sitewise/neighbors.hpp"
#include "sitewise/types.hpp"

namespace sitewise {

/// Throws Error for an element index out of range. `whose` begins the part of the message that gives the
/// number of elements.
void check_species(const int* species, std::size_t n_atoms, int n_elements, const char* whose);

/// Throws Error for a structure with ghosts.
void refuse_ghosts(const Atoms& atoms);

/// Throws Error if a neighbour vector of an atom is not finite, or so short that it has no direction
/// (OverlapError).
void check_vectors(const NeighborView& list, std::size_t atom);

/// Throw Error for a value that is not finite, or so large that sums of such values may not be finite. Call
/// them before anything is added to an output.
void require_finite_energy(double energy, std::size_t atom);
/// `virial` [9] is the sum of r (x) g over all pairs, which is not finite if any force is not finite.
void require_finite_virial(const double* virial);

}  // namespace sitewise
