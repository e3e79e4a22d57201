/* The potential for programs in C, Fortran or any language that calls C. No exception leaves these
 * functions: a function that fails returns NULL or a number other than 0, and sitewise_error() reports
 * why. Lengths are in Angstrom, energies in eV, arrays in row order. Functions on a const potential may
 * run in several threads at once. */
#ifndef SITEWISE_C_API_H
#define SITEWISE_C_API_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sitewise_potential sitewise_potential;

/* Pointers to the results; a result whose pointer is NULL is left out. Members that an initializer does
 * not name are NULL. The stress is tensile positive. */
typedef struct {
    double* energy;          /* eV, added to */
    double* energies;        /* [centers], eV, added to; in sitewise_compute every atom is a center */
    double* forces;          /* [n][3], -dE/dr, eV/Angstrom, added to */
    double* virial;          /* [3][3], dE/d(strain), eV, added to; divided by the volume it is the stress */
    int* extrapolations;     /* [centers], functions outside the training range and close
                                neighbours, overwritten */
    double* energies_spread; /* [centers], of an ensemble's atomic energies, eV, overwritten; NaN for one
                                potential */
} sitewise_output;

/* Return one sentence about the last failure in the calling thread; "" if there was none. */
const char* sitewise_error(void);

/* Read a directory with input.nn, scaling.data and weights.ZZZ.data, or with numbered subdirectories of
 * that kind (0, 1, ... or nnp-1, nnp-2, ...). Those are an ensemble, and results are the means over its
 * members. cflength and cfenergy are 1 Angstrom and 1 eV in the units of the directory, 1.0 if these are
 * Angstrom and eV. Return NULL on failure. Free the potential with sitewise_free. */
sitewise_potential* sitewise_load(const char* directory, double cflength, double cfenergy);
void sitewise_free(sitewise_potential* potential);

/* Choose what computes: "cpu", as after sitewise_load, or "cuda", the first CUDA device. All arrays stay in
 * the processor's memory. Return 0, or 1 and change nothing if this build or this machine has no such device.
 * No other thread may use the potential meanwhile. */
int sitewise_set_device(sitewise_potential* potential, const char* device);

/* Return the largest cutoff of the symmetry functions, Angstrom; the potential is not NULL here and below. */
double sitewise_cutoff(const sitewise_potential* potential);

/* Return the index of an element by its symbol, for example "Si"; `species` below holds such indices.
 * Return -1 if the potential does not have the element or the symbol is NULL. */
int sitewise_species(const sitewise_potential* potential, const char* symbol);

/* Compute the energy and its derivatives for n atoms with species [n] and positions [n][3]; the neighbour
 * list is built here. Rows of cell [3][3] are the lattice vectors, periodic [3] is 0 or 1 along each of
 * them; both are NULL for a cluster. Arrays of no atoms may be NULL. Return 0, or 1 on failure, when
 * nothing is added. Failures are a NULL that is not allowed, an element index out of range, positions or a
 * cell that are not finite, a periodic cell without volume, atoms closer than 1e-6 Angstrom, and an energy
 * or a force that is not finite. */
int sitewise_compute(const sitewise_potential* potential,
                     size_t n,
                     const int* species,
                     const double* positions,
                     const double* cell,
                     const int* periodic,
                     sitewise_output out);

/* Compute the same with the caller's full neighbour list. Atoms 0 to centers - 1 have rows: entries
 * first[i] to first[i + 1] - 1 of index and vectors [3]. The entries of index are below n. A vector is
 * r_j - r_i. Ghost atoms come after the centers. They get forces of their own, for the caller to add to
 * those of the atoms whose images they are. The list must have all pairs within the cutoff, which is not
 * checked, and may have others. Return 1 also if the list names atoms that do not exist, or has vectors
 * that are not finite or shorter than 1e-6 Angstrom. */
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
