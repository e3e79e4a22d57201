#pragma once

// Readers of the parts of an n2p2/RuNNer directory; each part has a source file. All throw Error that names
// file and line. Elements are sorted by atomic number.

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "format/input.hpp"
#include "sitewise/network.hpp"
#include "sitewise/potential.hpp"
#include "sitewise/scaling.hpp"
#include "sitewise/symmetry.hpp"

namespace sitewise {

Words read_elements(const Input& input);
int element_index(const Words& elements, const std::string& symbol, const Place& place);

Cutoff read_cutoff(const Input& input);

/// Lengths of the file times `length` are in Angstrom.
SymmetryFunctions read_symmetry_functions(const Input& input, const Words& elements, double length);

/// Energies of free atoms, eV.
std::vector<double> read_atom_energies(const Input& input, const Words& elements, double cfenergy);
Normalization read_normalization(const Input& input, double cflength, double cfenergy);
/// Name of the file with the pair tables of a baseline, and of the section of a pair of elements.
constexpr const char* pair_tables_name = "baseline.table";
std::string pair_section(const Words& elements, int a, int b);
/// The baseline; empty if there is none.
Baseline read_baseline(const Input& input,
                       const std::filesystem::path& directory,
                       const Potential& potential,
                       double cflength,
                       double cfenergy);

/// The shapes that an element's network may have; there are two if n2p2 and RuNNer read a file differently.
struct Topology {
    std::vector<std::vector<int>> hidden;  ///< widths of the hidden layers in each reading
    std::vector<Activation> activations;
};
Topology read_topology(const Input& input, const Words& elements, std::size_t element);

/// The network of an element with its weights. The number of weights decides between the readings of the
/// topology.
Network read_network(const Input& input,
                     const std::filesystem::path& directory,
                     const Words& elements,
                     std::size_t element,
                     std::size_t inputs);
std::string weights_name(const std::string& element);

Scaling read_scaling(const Input& input,
                     const std::filesystem::path& directory,
                     const SymmetryFunctions& functions,
                     double cflength);

}  // namespace sitewise
