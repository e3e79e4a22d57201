/* The potential for programs in C, Fortran or any language that calls C. No exception leaves these functions:
 * what can fail returns NULL or a number other than 0, and sitewise_error() tells why. Lengths in Angstrom,
 * energies in eV, arrays in row order. Functions on a const potential may run in several threads at once. */
#ifndef SITEWISE_C_API_H
#define SITEWISE_C_API_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sitewise_potential sitewise_potential;

/* Where results go; NULL is left alone. Members that an initializer does not name are NULL. */
typedef struct {
    double* energy;   /* eV, added to */
    double* energies; /* [centers], eV, added to; every atom is a center of sitewise_compute */
    double* forces;   /* [n][3], -dE/dr, eV/Angstrom, added to */
    double* virial; /* [3][3], dE/d(strain), eV, added to; by the volume it is the stress, tensile positive */
    int* extrapolations;     /* [centers], functions outside the training range, overwritten */
    double* energies_spread; /* [centers], of an ensemble's atomic energies, eV, overwritten; NaN for one
                                potential */
} sitewise_output;

/* One sentence about the last failure in the calling thread; "" if there was none. */
const char* sitewise_error(void);

/* Reads a directory with input.nn, scaling.data and weights.ZZZ.data, or with numbered subdirectories of that
 * kind (0, 1, ... or nnp-1, nnp-2, ...), an ensemble, which stands for the mean over its members; cflength
 * and cfenergy are Angstrom and eV in its units, 1.0 where it is in eV and Angstrom. NULL on failure; to be
 * freed by sitewise_free. */
sitewise_potential* sitewise_load(const char* directory, double cflength, double cfenergy);
void sitewise_free(sitewise_potential* potential);

/* The largest cutoff of the symmetry functions, Angstrom; the potential is not NULL here and below. */
double sitewise_cutoff(const sitewise_potential* potential);

/* Index of an element by its symbol, as in "Si", what `species` below holds; -1 if the potential does not
 * have it or the symbol is NULL. */
int sitewise_species(const sitewise_potential* potential, const char* symbol);

/* Energy and its derivatives of n atoms with a neighbour list of our own: species [n], positions [n][3]. Rows
 * of cell [3][3] are the lattice vectors, periodic [3] is 0 or 1 along each of them; both are NULL for a
 * cluster; arrays of no atoms may be NULL. Returns 0, or 1 on failure: a NULL that is not allowed, an element
 * index out of range, positions or a cell that are not finite, a periodic cell without volume, atoms closer
 * than 1e-6 Angstrom, an energy or a force that is not finite; nothing is added then. */
int sitewise_compute(const sitewise_potential* potential,
                     size_t n,
                     const int* species,
                     const double* positions,
                     const double* cell,
                     const int* periodic,
                     sitewise_output out);

/* The same with the caller's full neighbour list. Atoms 0 to centers - 1 have rows, entries first[i] to
 * first[i + 1] - 1 of index and vectors [3]; index is below n, ghost atoms stand behind the centers and get
 * forces of their own, to be added to those of the atoms that they are images of; vectors are r_j - r_i.
 * Pairs beyond the cutoff may be among them, all within it must be: one that is missing cannot be told.
 * Returns 1 too where the list names atoms that there are not, or has vectors that are not finite or shorter
 * than 1e-6 Angstrom. */
int sitewise_compute_list(const sitewise_potential* potential,
                          size_t n,
                          const int* species,
                          size_t centers,
                          const size_t* first,
                          const int* index,
                          const double* vectors,
                          sitewise_output out);

#ifdef __cplusplus
}
#endif

#endif
