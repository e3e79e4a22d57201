#include <cmath>
#include <cstddef>
#include <filesystem>
#include <utility>

#include "format/read.hpp"
#include "sitewise/ensemble.hpp"
#include "sitewise/error.hpp"

namespace sitewise {

namespace fs = std::filesystem;

std::string potential_directory(const std::string& directory) {
    const fs::path path(directory), inside = path / "potential";
    std::error_code code;
    const bool run = fs::exists(path / "training.toml", code) || fs::exists(path / "checkpoint.npz", code);
    return run && !fs::exists(path / "input.nn", code) && fs::is_directory(inside, code) ? inside.string()
                                                                                         : directory;
}

Potential Potential::load(const std::string& given, double cflength, double cfenergy) {
    const std::string directory = potential_directory(given);
    for (double factor : {cflength, cfenergy})
        if (!(factor > 0.0) || !std::isfinite(factor))
            throw Error("cflength and cfenergy must be positive numbers");
    const fs::path path(directory);
    std::error_code code;
    if (!fs::exists(path, code)) throw Error(directory + ": no such directory");
    if (!fs::is_directory(path, code))
        throw Error(directory + ": is a file, expected a directory with input.nn");
    const Input input(path / "input.nn");
    if (const Line* line = input.one("committee_mode"); line && !ensemble_members(directory).empty())
        line->place.fail("the folder holds a committee, expected one potential: load it as an ensemble");
    const Words elements = read_elements(input);
    SymmetryFunctions functions = read_symmetry_functions(input, elements, 1.0 / cflength);
    std::vector<Network> networks;
    for (std::size_t e = 0; e < elements.size(); ++e)
        networks.push_back(read_network(input, path, elements, e, functions.count(static_cast<int>(e))));
    Scaling scaling = read_scaling(input, path, functions, cflength);
    Potential potential(elements, std::move(functions), std::move(scaling), std::move(networks),
                        read_atom_energies(input, elements, cfenergy),
                        read_normalization(input, cflength, cfenergy));
    potential.set_baseline(read_baseline(input, path, potential, cflength, cfenergy));
    potential.assumed_ = input.assumed();
    return potential;
}

}  // namespace sitewise
