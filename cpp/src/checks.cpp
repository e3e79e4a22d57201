#include "checks.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "neighbor_search.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

[[noreturn]] void report_vector(const NeighborView& list, std::size_t atom, std::size_t k) {
    const double* v = list.vectors + 3 * k;
    const double distance = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);  // std::hypot may lose a NaN
    if (!(distance < overlap))
        throw Error("the neighbour list has a vector of atom " + std::to_string(atom) +
                    " that is not finite");
    throw OverlapError(atom, static_cast<std::size_t>(list.index[k]), distance);
}

std::string apart(std::size_t a, std::size_t b, double distance) {
    std::ostringstream text;
    text << "atoms " << a << " and " << b << " are " << distance << " Angstrom apart";
    return text.str();
}

constexpr double beyond = 1e30;  // eV, where exp() in single precision ends; sums and squares stay finite

[[noreturn]] void report_beyond(const std::string& what, double value) {
    std::ostringstream text;
    text << what << ' ' << value
         << " eV: either weights are wrong, or an environment is far from all that the potential knows";
    throw Error(text.str());
}

}  // namespace

OverlapError::OverlapError(std::size_t a, std::size_t b, double apart_by)
    : Error(apart(std::min(a, b), std::max(a, b), apart_by)),
      first(std::min(a, b)),
      second(std::max(a, b)),
      distance(apart_by) {}

void check_species(const int* species, std::size_t n_atoms, int n_elements, const char* whose) {
    for (std::size_t i = 0; i < n_atoms; ++i)
        if (species[i] < 0 || species[i] >= n_elements)
            throw Error("atom " + std::to_string(i) + " has element index " + std::to_string(species[i]) +
                        ", " + whose + " " + std::to_string(n_elements) + " elements");
}

void refuse_ghosts(const Atoms& atoms) {
    if (atoms.ghosts > 0)
        throw Error("the structure has " + std::to_string(atoms.ghosts) + " ghost atoms, expected none");
}

// The kernels take a pair at NaN for one beyond the cutoff, and would leave it out silently. A pair at
// distance zero has no direction.
void check_vectors(const NeighborView& list, std::size_t atom) {
    for (std::size_t k = list.first[atom]; k < list.first[atom + 1]; ++k) {
        const double* v = list.vectors + 3 * k;
        const bool finite =
            std::fabs(v[0]) < INFINITY && std::fabs(v[1]) < INFINITY && std::fabs(v[2]) < INFINITY;
        if (!finite || v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < overlap * overlap)
            report_vector(list, atom, k);
    }
}

void require_finite_energy(double energy, std::size_t atom) {
    if (!(std::fabs(energy) < beyond))
        report_beyond("the energy of atom " + std::to_string(atom) + " is", energy);
}

void require_finite_virial(const double* virial) {
    for (int a = 0; a < 9; ++a)
        if (!(std::fabs(virial[a]) < beyond)) report_beyond("the forces have a virial of", virial[a]);
}

}  // namespace sitewise
