#include "sitewise/operators.hpp"

#include "backend.hpp"
#include "checks.hpp"

namespace sitewise {
namespace {

void check(const SymmetryFunctions& functions, const Atoms& atoms) {
    refuse_ghosts(atoms);
    check_species(atoms.species, atoms.size, functions.elements(), "there are");
}

}  // namespace

void evaluate(const SymmetryFunctions& functions, const Atoms& atoms, double* G, Device device) {
    check(functions, atoms);
    backend_on(device)->evaluate(functions, atoms, G);
}

void vjp(const SymmetryFunctions& functions,
         const Atoms& atoms,
         const double* u,
         double* gradient,
         double* strain,
         Device device) {
    check(functions, atoms);
    backend_on(device)->vjp(functions, atoms, u, gradient, strain);
}

void jvp(const SymmetryFunctions& functions,
         const Atoms& atoms,
         const double* v,
         const double* strain,
         double* dG,
         Device device) {
    check(functions, atoms);
    backend_on(device)->jvp(functions, atoms, v, strain, dG);
}

}  // namespace sitewise
