// consumer_cpp POTENTIAL STRUCTURE: energy of a structure from several threads that share the potential;
// prints it if all agree. The structure: n, then 9 numbers of the cell, then an element index and a position
// a line.

#include <cstdio>
#include <fstream>
#include <sitewise/potential.hpp>
#include <thread>
#include <vector>

int main(int, char** argv) {
    const auto potential = sitewise::Potential::load(argv[1]);
    std::ifstream file(argv[2]);
    sitewise::Atoms atoms;
    file >> atoms.size;
    for (auto& row : atoms.cell)
        for (double& x : row) file >> x;
    std::vector<int> species(atoms.size);
    std::vector<double> positions(3 * atoms.size);
    for (std::size_t i = 0; i < atoms.size; ++i)
        file >> species[i] >> positions[3 * i] >> positions[3 * i + 1] >> positions[3 * i + 2];
    atoms.species = species.data();
    atoms.positions = positions.data();
    atoms.periodic = {true, true, true};
    std::vector<double> energies(4, 0.0);
    std::vector<std::thread> threads;
    for (double& energy : energies)
        threads.emplace_back([&] {
            for (int repeat = 0; repeat < 10; ++repeat) {
                energy = 0.0;
                sitewise::Potential::Output out;
                out.energy = &energy;
                potential.compute(atoms, out);
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (double energy : energies)
        if (!(energy == energies[0])) return 1;
    std::printf("%.17g\n", energies[0]);
    return file ? 0 : 1;
}
