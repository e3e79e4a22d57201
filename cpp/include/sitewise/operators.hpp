#pragma once

#include "sitewise/device.hpp"
#include "sitewise/symmetry.hpp"
#include "sitewise/types.hpp"

namespace sitewise {

// The operators of SymmetryFunctions for all atoms of a structure. G_i are the functions of atom i, which
// depend on the vectors r_ij = r_j + S.cell - r_i of its neighbours within functions.cutoff(), Angstrom.
// Arrays have [size] atoms and [max_count] functions, see SymmetryFunctions::max_count; functions have no
// unit. Results are overwritten. On the processor one thread works on a structure.
//
// All throw Error for an element index out of range, as build_neighbors does, and if there is no such
// device.

/// Compute G [size][max_count], NaN behind the last function of an atom's element.
void evaluate(const SymmetryFunctions& functions, const Atoms& atoms, double* G, Device device = Device::cpu);

/// Compute gradient [size][3] = dA/dr, 1/Angstrom, and strain [3][3] = dA/d(strain) of A = sum over atoms of
/// u_i . G_i for fixed u [size][max_count]. A strain moves r to r + strain r, atoms and cell. With
/// u_i = dE/dG_i forces are -gradient, and the stress is strain / volume (tensile positive). Entries of u
/// behind the last function of an element are ignored.
void vjp(const SymmetryFunctions& functions,
         const Atoms& atoms,
         const double* u,
         double* gradient,
         double* strain,
         Device device = Device::cpu);

/// Compute dG [size][max_count], the change of G to first order for displacements v [size][3], Angstrom, and
/// a strain [3][3]: r_ij changes by v_j - v_i + strain r_ij. It is NaN behind the last function of an atom's
/// element.
void jvp(const SymmetryFunctions& functions,
         const Atoms& atoms,
         const double* v,
         const double* strain,
         double* dG,
         Device device = Device::cpu);

}  // namespace sitewise
