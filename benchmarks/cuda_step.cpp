// Work on the device for counting, see cuda_bound.py: energy, forces and virial of a rattled crystal, or the
// gradient of its loss. Arguments: "step" or "gradient", potential, cflength, cfenergy, float64 or float32,
// and the crystal's cells along x, y, z.

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "sitewise/training.hpp"

using namespace sitewise;

namespace {

constexpr double lattice = 5.43;
constexpr double basis[8][3] = {{0, 0, 0},       {0, .5, .5},     {.5, 0, .5},     {.5, .5, 0},
                                {.25, .25, .25}, {.25, .75, .75}, {.75, .25, .75}, {.75, .75, .25}};

std::vector<double> crystal(const int (&cells)[3]) {
    std::mt19937 source(1);
    std::normal_distribution<double> displacement(0.0, 0.1);
    std::vector<double> positions;
    for (int c = 0; c < cells[0] * cells[1] * cells[2]; ++c) {
        const int at[3] = {c % cells[0], c / cells[0] % cells[1], c / (cells[0] * cells[1])};
        for (const auto& b : basis)
            for (int a = 0; a < 3; ++a) positions.push_back(lattice * (at[a] + b[a]) + displacement(source));
    }
    return positions;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 9) return 2;
    Potential potential = Potential::load(argv[2], std::atof(argv[3]), std::atof(argv[4]));
    potential.set_precision(std::string(argv[5]) == "float32" ? Precision::float32 : Precision::float64);
    potential.set_device(Device::cuda);
    const int cells[3] = {std::atoi(argv[6]), std::atoi(argv[7]), std::atoi(argv[8])};
    const std::vector<double> positions = crystal(cells);
    const std::vector<int> species(positions.size() / 3, 0);
    Atoms atoms{species.size(), species.data(), positions.data(), {}, {true, true, true}};
    for (int a = 0; a < 3; ++a) atoms.cell[a][a] = lattice * cells[a];

    if (std::string(argv[1]) == "step") {
        double energy = 0;
        std::vector<double> forces(positions.size()), virial(9);
        Potential::Output out;
        out.energy = &energy;
        out.forces = forces.data();
        out.virial = virial.data();
        potential.compute(atoms, out);
        return 0;
    }
    const std::vector<double> forces(positions.size(), 0.1);
    std::vector<double> gradient(potential.n_weights());
    TrainingSet set(potential.functions(), 0);
    const Labels labels{1.0, forces.data()};
    set.add(1, &atoms, &labels);
    set.loss(potential, {0}, {1.0, 0.0}, gradient.data());
}
