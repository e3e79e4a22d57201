// The C functions tell every failure by their result and a sentence.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>

#include "check.hpp"
#include "sitewise/c_api.h"
#include "sitewise/potential.hpp"

using namespace sitewise;

namespace {

// One radial function of silicon and a linear network
Potential potential(double bias = 0.5) {
    SymmetryFunction f;
    f.neighbor1 = 0;
    f.eta = 0.1;
    f.cutoff = 4.0;
    Network network({1, 1}, {Activation::linear});
    network.set_weights({2.0, bias});
    const Scaling scaling(ScalingType::none, 0.0, 1.0, {{{0.0}, {2.0}, {1.0}, {0.5}}});
    return Potential({"Si"}, SymmetryFunctions(1, {f}, {}), scaling, {network}, {-1.0});
}

// factor f(weight G + bias) eV
Potential potential(Activation f, double weight, double bias, double factor) {
    const Potential p = potential();
    Network network({1, 1, 1}, {f, Activation::linear});
    network.set_weights({weight, bias, factor, 0.0});
    return Potential({"Si"}, p.functions(), p.scaling(), {network}, {0.0});
}

bool told(const std::string& text) {
    return std::string(sitewise_error()).find(text) != std::string::npos;
}

void check_failures(const sitewise_potential* p) {
    const int species[2] = {0, 0}, wrong[2] = {0, 1};
    const double positions[6] = {0, 0, 0, 0, 0, 2.4}, same[6] = {};
    const int index[2] = {1, 2}, swapped[2] = {1, 0};
    const size_t first[3] = {0, 1, 2}, backwards[3] = {0, 2, 1};
    const sitewise_output out = {};
    CHECK(sitewise_load("no/such/folder", 1.0, 1.0) == nullptr && told("no/such/folder"));
    CHECK(sitewise_load(nullptr, 1.0, 1.0) == nullptr && told("directory is NULL"));
    CHECK(sitewise_compute(p, 2, wrong, positions, nullptr, nullptr, out) == 1 && told("element index 1"));
    CHECK(sitewise_compute(p, 2, species, same, nullptr, nullptr, out) == 1 && told("apart"));
    CHECK(sitewise_compute(p, 2, nullptr, positions, nullptr, nullptr, out) == 1 && told("species is NULL"));
    CHECK(sitewise_compute(p, 2, species, positions, positions, nullptr, out) == 1 &&
          told("both or neither"));
    CHECK(sitewise_compute_list(p, 2, species, 2, first, index, positions, out) == 1 && told("names atom 2"));
    const int below[2] = {1, -1};
    CHECK(sitewise_compute_list(p, 2, species, 2, first, below, positions, out) == 1 &&
          told("names atom -1"));
    const size_t later[3] = {3, 3, 3};  // no neighbours, in a list that does not begin at 0
    CHECK(sitewise_compute_list(p, 2, species, 2, later, nullptr, nullptr, out) == 0);
    CHECK(sitewise_compute_list(p, 2, species, 2, backwards, swapped, positions, out) == 1 && told("row 1"));
    const size_t back[3] = {0, 1, 0};  // as many entries as no arrays have, but for those of row 0
    CHECK(sitewise_compute_list(p, 2, species, 2, back, nullptr, nullptr, out) == 1 && told("row 1"));
    CHECK(sitewise_compute_list(p, 2, species, 3, first, index, positions, out) == 1 && told("3 centers"));
    CHECK(sitewise_compute_list(p, 2, species, 2, first, nullptr, positions, out) == 1 &&
          told("index is NULL"));
    CHECK(sitewise_compute_list(p, 2, species, 2, first, index, nullptr, out) == 1 &&
          told("vectors is NULL"));
    CHECK(sitewise_compute_list(p, 2, species, 2, nullptr, index, positions, out) == 1 &&
          told("first is NULL"));
    const double lost[6] = {0, 0, 2.4, 0, std::nan(""), 0};
    const double vectors[6] = {0, 0, 2.4, 0, 0, -2.4};
    const int both[2] = {1, 0};
    CHECK(sitewise_compute_list(p, 2, species, 2, first, both, lost, out) == 1 &&
          told("a vector of atom 1 that is not finite"));
    const double touching[6] = {0, 0, 2.4, 0, 1e-200, -1e-7};
    CHECK(sitewise_compute_list(p, 2, species, 2, first, both, touching, out) == 1 &&
          told("atoms 0 and 1 are 1e-07 Angstrom apart"));
    const double torn[9] = {std::nan(""), 0, 0, 0, 9, 0, 0, 0, 9};
    const int periodic[3] = {1, 1, 1}, negative[2] = {0, -1};
    CHECK(sitewise_compute(p, 2, species, positions, torn, periodic, out) == 1 &&
          told("cell has the value nan"));
    CHECK(sitewise_compute(p, 2, species, lost, nullptr, nullptr, out) == 1 &&
          told("atom 1 has the coordinate"));
    CHECK(sitewise_compute_list(p, 2, negative, 2, first, both, vectors, out) == 1 &&
          told("element index -1"));
    CHECK(sitewise_compute(nullptr, 2, species, positions, nullptr, nullptr, out) == 1 &&
          told("potential is NULL"));
}

void check_results(const sitewise_potential* p) {
    const int species[2] = {0, 0}, index[2] = {1, 0};
    const double positions[6] = {0, 0, 0, 0, 0, 2.4}, vectors[6] = {0, 0, 2.4, 0, 0, -2.4};
    const size_t first[3] = {0, 1, 2};
    double energy[2] = {}, energies[2] = {}, forces[2][6] = {}, virial[2][9] = {};
    int outside[2] = {7, 7};
    const sitewise_output own = {&energy[0], energies, forces[0], virial[0], outside, nullptr};
    const sitewise_output list = {&energy[1], nullptr, forces[1], virial[1], nullptr, nullptr};
    CHECK(sitewise_compute(p, 2, species, positions, nullptr, nullptr, own) == 0);
    CHECK(sitewise_compute_list(p, 2, species, 2, first, index, vectors, list) == 0);
    CHECK(energy[0] == energy[1] && energies[0] + energies[1] == energy[0] && energy[0] != 0.0);
    CHECK(std::memcmp(forces[0], forces[1], sizeof forces[0]) == 0 && forces[0][2] == -forces[0][5]);
    CHECK(std::memcmp(virial[0], virial[1], sizeof virial[0]) == 0);
    CHECK_CLOSE(virial[0][8], -2.4 * forces[0][5], 1e-14);
    CHECK(outside[0] == 0 && outside[1] == 0);
    const sitewise_output crowded = {nullptr, nullptr, nullptr, nullptr, outside, nullptr};
    const int many[5] = {}, star[4] = {1, 2, 3, 4};  // four neighbours at 0.1 Angstrom: G above 2
    const double near[12] = {0.1, 0, 0, 0, 0.1, 0, 0, 0, 0.1, -0.1, 0, 0};
    const size_t row[2] = {0, 4};
    CHECK(sitewise_compute_list(p, 5, many, 1, row, star, near, crowded) == 0 && outside[0] == 1);
    const size_t none[2] = {0, 0};
    CHECK(sitewise_compute_list(p, 0, nullptr, 0, none, nullptr, nullptr, own) == 0);
    CHECK(sitewise_compute_list(p, 2, species, 0, none, nullptr, nullptr, own) == 0);
    CHECK(sitewise_compute(p, 0, nullptr, nullptr, nullptr, nullptr, own) == 0 && energy[0] == energy[1]);
    CHECK(sitewise_compute_list(p, 1, many, 1, none, nullptr, nullptr, crowded) == 0 && outside[0] == 0);
}

// Results that are not finite, or soon would not be, are refused, and nothing is added.
void check_huge(const std::filesystem::path& folder) {
    const int species[3] = {}, index[2] = {1, 2};
    const double positions[6] = {0, 0, 0, 0, 0, 2.4}, vectors[6] = {0, 0, 2.4, 0, 2.4, 0};
    const size_t first[2] = {0, 2};
    double energy = 0.0, energies[2] = {}, forces[9] = {}, virial[9] = {};
    const sitewise_output all = {&energy, energies, forces, virial, nullptr, nullptr};
    const sitewise_output only_forces = {nullptr, nullptr, forces, nullptr, nullptr, nullptr};
    const auto check = [&](Activation f, double weight, double bias, double factor, const char* sentence) {
        potential(f, weight, bias, factor).save(folder.string());
        sitewise_potential* p = sitewise_load(folder.string().c_str(), 1.0, 1.0);
        std::filesystem::remove_all(folder);
        CHECK(sitewise_compute(p, 2, species, positions, nullptr, nullptr, all) == 1 && told(sentence));
        CHECK(sitewise_compute_list(p, 3, species, 1, first, index, vectors, only_forces) == 1 &&
              told(sentence));
        sitewise_free(p);
    };
    check(Activation::exponential, 0.0, -2000.0, 1e10,
          "the energy of atom 0 is inf eV: either weights are wrong, or");
    check(Activation::exponential, 0.0, -600.0, 1.0, "the energy of atom 0 is 3.7730");
    check(Activation::cosine, 1e14, 0.0, 1e20, "the forces have a virial of");
    CHECK(energy == 0.0 && energies[0] == 0.0 && forces[2] == 0.0 && virial[8] == 0.0);
}

// A skewed cell that is periodic in some directions, against the C++ function
void check_cell(const sitewise_potential* p) {
    const int species[2] = {0, 0};
    const double positions[6] = {0.1, 0.2, 0.3, 1.9, 1.2, 0.7},
                 cell[9] = {3.0, 0.4, -0.3, 0.9, 3.3, 0.2, -0.5, 0.8, 3.6};
    for (int mask = 0; mask < 8; ++mask) {
        const int periodic[3] = {mask & 1, mask & 2, mask & 4};
        Atoms atoms;
        atoms.size = 2;
        atoms.species = species;
        atoms.positions = positions;
        for (int a = 0; a < 3; ++a) {
            atoms.periodic[a] = periodic[a] != 0;
            for (int c = 0; c < 3; ++c) atoms.cell[a][c] = cell[3 * a + c];
        }
        double energy = 0.0, forces[6] = {}, virial[9] = {}, expected = 0.0, expected_forces[6] = {},
               expected_virial[9] = {};
        Potential::Output out;
        out.energy = &expected;
        out.forces = expected_forces;
        out.virial = expected_virial;
        potential().compute(atoms, out);
        CHECK(sitewise_compute(p, 2, species, positions, cell, periodic,
                               {&energy, nullptr, forces, virial, nullptr, nullptr}) == 0);
        CHECK_CLOSE(energy, expected, 1e-14);
        for (int q = 0; q < 6; ++q) CHECK_CLOSE(forces[q], expected_forces[q], 1e-13);
        for (int q = 0; q < 9; ++q) CHECK_CLOSE(virial[q], expected_virial[q], 1e-13);
    }
}

// The device gives the processor's results; where there is none, that is a failure and changes nothing.
void check_device(sitewise_potential* p) {
    const int species[2] = {0, 0};
    const double positions[6] = {0, 0, 0, 0, 0, 2.4};
    double energy[2] = {}, forces[2][6] = {};
    const auto compute = [&](int k) {
        return sitewise_compute(p, 2, species, positions, nullptr, nullptr,
                                {&energy[k], nullptr, forces[k], nullptr, nullptr, nullptr});
    };
    CHECK(sitewise_set_device(p, "tpu") == 1 && told("device \"tpu\" is unknown, expected cpu or cuda"));
    CHECK(sitewise_set_device(p, nullptr) == 1 && told("device is NULL"));
    CHECK(sitewise_set_device(nullptr, "cpu") == 1 && told("potential is NULL"));
    CHECK(compute(0) == 0);
    const std::string status = cuda_status();
    const bool absent = status == "built without CUDA" || status.rfind("no GPU", 0) == 0;
    if (absent)
        CHECK(sitewise_set_device(p, "cuda") == 1 && told("device cuda: "));
    else
        CHECK(sitewise_set_device(p, "cuda") == 0);
    CHECK(compute(1) == 0);
    CHECK_CLOSE(energy[1], energy[0], 1e-13);
    for (int q = 0; q < 6; ++q) CHECK_CLOSE(forces[1][q], forces[0][q], 1e-13);
    CHECK(sitewise_set_device(p, "cpu") == 0);
}

// Two potentials that differ by 2 eV an atom
void check_ensemble(const std::filesystem::path& folder) {
    for (int member : {0, 1}) potential(0.5 + 2 * member).save((folder / std::to_string(member)).string());
    sitewise_potential* p = sitewise_load(folder.string().c_str(), 1.0, 1.0);
    std::filesystem::remove_all(folder);
    const int species[1] = {0};
    const double position[3] = {};
    double energy = 0.0, spread = -1.0;
    CHECK(p && sitewise_compute(p, 1, species, position, nullptr, nullptr,
                                {&energy, nullptr, nullptr, nullptr, nullptr, &spread}) == 0);
    CHECK_CLOSE(energy, 0.5 + 1.0 - 1.0, 1e-14);
    CHECK_CLOSE(spread, std::sqrt(2.0), 1e-14);
    sitewise_free(p);
}

}  // namespace

int main() {
    const auto folder = std::filesystem::temp_directory_path() / "sitewise_test_c_api";
    potential().save(folder.string());
    sitewise_potential* p = sitewise_load(folder.string().c_str(), 1.0, 1.0);
    std::filesystem::remove_all(folder);
    CHECK(p != nullptr);
    if (p) {
        CHECK(sitewise_cutoff(p) == 4.0);
        CHECK(sitewise_species(p, "Si") == 0 && sitewise_species(p, "O") == -1);
        CHECK(sitewise_species(p, nullptr) == -1);
        check_failures(p);
        check_results(p);
        check_cell(p);
        check_device(p);
    }
    sitewise_free(p);
    check_huge(folder);
    check_ensemble(folder);
    return check::failures() == 0 ? 0 : 1;
}
