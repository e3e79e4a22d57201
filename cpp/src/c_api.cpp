#include "sitewise/c_api.h"

#include <algorithm>
#include <exception>
#include <string>

#include "sitewise/ensemble.hpp"
#include "sitewise/error.hpp"

struct sitewise_potential {
    sitewise::Ensemble ensemble;
};

namespace {

using sitewise::Ensemble;
using sitewise::Error;

std::string& message() {
    thread_local std::string text;
    return text;
}

// 0, or 1 with the message of what f threw.
template <class F>
int guarded(F f) noexcept {
    try {
        f();
        return 0;
    } catch (const std::exception& error) {
        try {
            message() = error.what();
        } catch (...) {  // no memory for the sentence
            message().clear();
        }
    } catch (...) {
        message().clear();
    }
    return 1;
}

void require(bool given, const char* name) {
    if (!given) throw Error(std::string(name) + " is NULL");
}

Ensemble::Output output(const sitewise_output& out) {
    Ensemble::Output result;
    result.energy = out.energy;
    result.energies = out.energies;
    result.forces = out.forces;
    result.virial = out.virial;
    result.extrapolations = out.extrapolations;
    result.energies_spread = out.energies_spread;
    return result;
}

void check_list(size_t n, size_t centers, const size_t* first, const int* index, const double* vectors) {
    require(first, "first");
    if (centers > n)
        throw Error("the neighbour list has " + std::to_string(centers) + " centers, but there are " +
                    std::to_string(n) + " atoms");
    for (size_t i = 0; i < centers; ++i)
        if (first[i + 1] < first[i])
            throw Error("row " + std::to_string(i) + " of the neighbour list ends before it begins");
    require(index || first[centers] == first[0], "index");
    require(vectors || first[centers] == first[0], "vectors");
    for (size_t k = first[0]; k < first[centers]; ++k)
        if (index[k] < 0 || static_cast<size_t>(index[k]) >= n)
            throw Error("the neighbour list names atom " + std::to_string(index[k]) + ", but there are " +
                        std::to_string(n) + " atoms");
}

}  // namespace

const char* sitewise_error(void) {
    return message().c_str();
}

sitewise_potential* sitewise_load(const char* directory, double cflength, double cfenergy) {
    sitewise_potential* result = nullptr;
    guarded([&] {
        require(directory, "directory");
        result = new sitewise_potential{Ensemble::load(directory, cflength, cfenergy)};
    });
    return result;
}

void sitewise_free(sitewise_potential* potential) {
    delete potential;
}

int sitewise_set_device(sitewise_potential* potential, const char* device) {
    return guarded([&] {
        require(potential, "potential");
        require(device, "device");
        potential->ensemble.set_device(sitewise::parse_device(device));
    });
}

double sitewise_cutoff(const sitewise_potential* potential) {
    return potential->ensemble.cutoff();
}

int sitewise_species(const sitewise_potential* potential, const char* symbol) {
    if (!symbol) return -1;
    const auto& elements = potential->ensemble.elements();
    const auto found = std::find(elements.begin(), elements.end(), symbol);
    return found == elements.end() ? -1 : static_cast<int>(found - elements.begin());
}

int sitewise_compute(const sitewise_potential* potential,
                     size_t n,
                     const int* species,
                     const double* positions,
                     const double* cell,
                     const int* periodic,
                     sitewise_output out) {
    return guarded([&] {
        require(potential, "potential");
        require(species || n == 0, "species");
        require(positions || n == 0, "positions");
        if (!cell != !periodic) throw Error("cell and periodic must be given both or neither");
        sitewise::Atoms atoms;
        atoms.size = n;
        atoms.species = species;
        atoms.positions = positions;
        for (int a = 0; cell && a < 3; ++a) {
            atoms.periodic[a] = periodic[a] != 0;
            std::copy_n(cell + 3 * a, 3, atoms.cell[a].begin());
        }
        potential->ensemble.compute(atoms, output(out));
    });
}

int sitewise_compute_list(const sitewise_potential* potential,
                          size_t n,
                          const int* species,
                          size_t centers,
                          const size_t* first,
                          const int* index,
                          const double* vectors,
                          sitewise_output out) {
    return guarded([&] {
        require(potential, "potential");
        require(species || n == 0, "species");
        check_list(n, centers, first, index, vectors);
        potential->ensemble.compute(sitewise::NeighborView{centers, first, index, vectors}, species, n,
                                    output(out));
    });
}
