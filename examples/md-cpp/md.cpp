// Molecular dynamics at constant energy of diamond silicon, by the velocity Verlet algorithm:
//
//     md POTENTIAL [cells] [steps] [temperature]
//
// prints step, time (ps), potential, kinetic and total energy (eV/atom) and temperature (K), and writes
// md.xyz, extended XYZ.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <random>
#include <sitewise/error.hpp>
#include <sitewise/potential.hpp>
#include <string>
#include <vector>

namespace {

constexpr double kelvin = 8.617333262e-5;                      // eV
constexpr double dalton = 1.66053906660 / 1.602176634 * 1e-4;  // eV ps^2 / Angstrom^2
constexpr double mass = 28.085 * dalton;
constexpr double lattice = 5.43;   // Angstrom
constexpr double timestep = 1e-3;  // ps
constexpr double skin = 0.5;       // Angstrom, by which the neighbour list reaches beyond the cutoff
constexpr int interval = 20;       // steps between lines

struct System {
    std::vector<double> positions, velocities, forces;
    std::vector<int> species;
    sitewise::Atoms view;  // of positions and species, as the library wants them
    double energy = 0.0;

    std::size_t size() const { return species.size(); }
};

System diamond(int cells, int element) {
    constexpr double basis[8][3] = {{0, 0, 0},       {0, .5, .5},     {.5, 0, .5},     {.5, .5, 0},
                                    {.25, .25, .25}, {.25, .75, .75}, {.75, .25, .75}, {.75, .75, .25}};
    System s;
    for (int cell = 0; cell < cells * cells * cells; ++cell)
        for (const auto& site : basis) {
            const int corner[3] = {cell % cells, cell / cells % cells, cell / cells / cells};
            for (int a = 0; a < 3; ++a) s.positions.push_back(lattice * (corner[a] + site[a]));
            s.species.push_back(element);
        }
    s.velocities.assign(s.positions.size(), 0.0);
    s.forces.assign(s.positions.size(), 0.0);
    s.view.size = s.size();
    s.view.species = s.species.data();
    s.view.positions = s.positions.data();
    s.view.periodic = {true, true, true};
    for (int a = 0; a < 3; ++a) s.view.cell[a][a] = lattice * cells;
    return s;
}

double kinetic(const System& s) {
    double sum = 0.0;
    for (double v : s.velocities) sum += 0.5 * mass * v * v;
    return sum;
}

double temperature(const System& s) {
    return 2.0 * kinetic(s) / (3.0 * (static_cast<double>(s.size()) - 1.0) * kelvin);
}

// Maxwell's distribution with the centre of mass at rest, at exactly this temperature
void heat(System& s, double wanted) {
    std::mt19937 source(1);
    std::normal_distribution<double> normal;
    for (double& v : s.velocities) v = normal(source);
    for (int a = 0; a < 3; ++a) {
        double mean = 0.0;
        for (std::size_t i = a; i < s.velocities.size(); i += 3) mean += s.velocities[i] / s.size();
        for (std::size_t i = a; i < s.velocities.size(); i += 3) s.velocities[i] -= mean;
    }
    const double factor = std::sqrt(wanted / temperature(s));
    for (double& v : s.velocities) v *= factor;
}

// The library adds to what it is given; the list is built anew only where atoms have moved far enough.
void compute(const sitewise::Potential& potential, sitewise::VerletList& list, System& s) {
    s.energy = 0.0;
    s.forces.assign(s.forces.size(), 0.0);
    sitewise::Potential::Output out;
    out.energy = &s.energy;
    out.forces = s.forces.data();
    potential.compute(s.view, list, out);
}

void step(const sitewise::Potential& potential, sitewise::VerletList& list, System& s) {
    const double half = 0.5 * timestep / mass;
    for (std::size_t k = 0; k < s.positions.size(); ++k) {
        s.velocities[k] += half * s.forces[k];
        s.positions[k] += timestep * s.velocities[k];
    }
    compute(potential, list, s);
    for (std::size_t k = 0; k < s.positions.size(); ++k) s.velocities[k] += half * s.forces[k];
}

void report(const System& s, int number, std::ofstream& file) {
    const double n = static_cast<double>(s.size()), potential = s.energy / n, moving = kinetic(s) / n;
    std::printf("%6d %8.3f %16.9f %12.9f %16.9f %8.2f\n", number, number * timestep, potential, moving,
                potential + moving, temperature(s));
    const double edge = s.view.cell[0][0];
    file << s.size() << "\nLattice=\"" << edge << " 0 0 0 " << edge << " 0 0 0 " << edge
         << "\" Properties=species:S:1:pos:R:3 pbc=\"T T T\" energy=" << s.energy << '\n';
    for (std::size_t i = 0; i < s.size(); ++i)
        file << "Si " << s.positions[3 * i] << ' ' << s.positions[3 * i + 1] << ' ' << s.positions[3 * i + 2]
             << '\n';
}

int element_of(const sitewise::Potential& potential, const std::string& symbol) {
    const auto& elements = potential.elements();
    for (std::size_t e = 0; e < elements.size(); ++e)
        if (elements[e] == symbol) return static_cast<int>(e);
    throw sitewise::Error("the potential does not have " + symbol);
}

void run(const std::string& directory, int cells, int steps, double wanted) {
    const auto potential = sitewise::Potential::load(directory);
    System s = diamond(cells, element_of(potential, "Si"));
    sitewise::VerletList list(potential.cutoff(), skin);
    std::ofstream file("md.xyz");
    file.precision(17);
    heat(s, wanted);
    compute(potential, list, s);
    report(s, 0, file);
    for (int number = 1; number <= steps; ++number) {
        step(potential, list, s);
        if (number % interval == 0) report(s, number, file);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: md POTENTIAL [cells] [steps] [temperature]\n");
        return 2;
    }
    try {
        run(argv[1], argc > 2 ? std::atoi(argv[2]) : 3, argc > 3 ? std::atoi(argv[3]) : 1000,
            argc > 4 ? std::atof(argv[4]) : 600.0);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
}
