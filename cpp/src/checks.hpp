#pragma once

// What both backends refuse.

#include <cstddef>

#include "sitewise/neighbors.hpp"

namespace sitewise {

/// Throws Error for an element index out of range; `whose` begins what the message says of their number.
void check_species(const int* species, std::size_t n_atoms, int n_elements, const char* whose);

/// Throws Error for vectors of an atom that are not finite, or so short that they have no direction.
void check_vectors(const NeighborView& list, std::size_t atom);

/// Throw Error for what is not finite, or so large that sums of it may not be; to be called before anything
/// is added to an output.
void require_finite_energy(double energy, std::size_t atom);
/// [9], the sums of r (x) g over all pairs: not finite if any force is not.
void require_finite_virial(const double* virial);

}  // namespace sitewise
