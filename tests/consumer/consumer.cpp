// consumer_cpp POTENTIAL STRUCTURE CFLENGTH CFENERGY: a structure in several threads that share the
// potential; prints energy and virial, then energy and force of each atom, if all threads found the same. The
// structure: n, then 9 numbers of the cell, 3 of its periodicity, then an element index and a position a
// line.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sitewise/potential.hpp>
#include <thread>
#include <vector>

struct Results {
    std::vector<double> total, energies, forces;  // total: energy and virial
    explicit Results(std::size_t n) : total(10, 0.0), energies(n, 0.0), forces(3 * n, 0.0) {}
    bool operator==(const Results& other) const {
        return total == other.total && energies == other.energies && forces == other.forces;
    }
};

static Results compute(const sitewise::Potential& potential, const sitewise::Atoms& atoms) {
    Results results(atoms.size);
    sitewise::Potential::Output out;
    out.energy = results.total.data();
    out.virial = results.total.data() + 1;
    out.energies = results.energies.data();
    out.forces = results.forces.data();
    potential.compute(atoms, out);
    return results;
}

static void print(const Results& results) {
    for (double x : results.total) std::printf("%.17g ", x);
    for (std::size_t i = 0; i < results.energies.size(); ++i)
        std::printf("\n%.17g %.17g %.17g %.17g", results.energies[i], results.forces[3 * i],
                    results.forces[3 * i + 1], results.forces[3 * i + 2]);
    std::printf("\n");
}

int main(int, char** argv) {
    const auto potential = sitewise::Potential::load(argv[1], std::atof(argv[3]), std::atof(argv[4]));
    std::ifstream file(argv[2]);
    sitewise::Atoms atoms;
    file >> atoms.size;
    for (auto& row : atoms.cell)
        for (double& x : row) file >> x;
    for (bool& periodic : atoms.periodic) file >> periodic;
    std::vector<int> species(atoms.size);
    std::vector<double> positions(3 * atoms.size);
    for (std::size_t i = 0; i < atoms.size; ++i)
        file >> species[i] >> positions[3 * i] >> positions[3 * i + 1] >> positions[3 * i + 2];
    if (!file) return 1;
    atoms.species = species.data();
    atoms.positions = positions.data();
    std::vector<Results> results(4, Results(atoms.size));
    std::vector<std::thread> threads;
    for (Results& mine : results)
        threads.emplace_back([&] {
            for (int repeat = 0; repeat < 5; ++repeat) mine = compute(potential, atoms);
        });
    for (std::thread& thread : threads) thread.join();
    for (const Results& mine : results)
        if (!(mine == results[0])) return 1;
    print(results[0]);
}
