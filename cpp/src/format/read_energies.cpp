// Reads the energies of free atoms, and the units and the mean of the data that the networks were trained on.

#include <algorithm>
#include <set>

#include "format/read.hpp"
#include "sitewise/error.hpp"

namespace sitewise {

std::vector<double> read_atom_energies(const Input& input, const Words& elements, double cfenergy) {
    std::vector<double> energies(elements.size(), 0.0);
    std::set<int> known;
    for (const Line* line : input.all("atom_energy")) {
        require_values(*line, 2, 2);
        const int e = element_index(elements, line->words[1], line->place);
        if (!known.insert(e).second)
            line->place.fail("keyword \"atom_energy\" stands twice for element " + elements[e]);
        energies[e] = parse_number(line->words[2], line->place) / cfenergy;
        if (energies[e] != 0.0 && !input.runners_own().empty() && !input.has("remove_atom_energies"))
            line->place.fail(
                "n2p2 adds atom_energy, RuNNer only with remove_atom_energies, and " + input.runners_own() +
                " is RuNNer's alone: add remove_atom_energies if the total energy has them, else remove "
                "atom_energy");
    }
    for (std::size_t e = 0; e < elements.size(); ++e)
        if (!known.empty() && !known.count(static_cast<int>(e)))
            input.assume("atom_energy of " + elements[e] + " is missing: 0 is used");
    return energies;
}

Normalization read_normalization(const Input& input, double cflength, double cfenergy) {
    const Words keys{"mean_energy", "conv_energy", "conv_length"};
    const auto present = std::count_if(keys.begin(), keys.end(), [&](const auto& k) { return input.has(k); });
    if (present != 0 && present != 3)
        input.whole().fail("mean_energy, conv_energy and conv_length must be given together or not at all");
    if (const Line* line = input.one("normalize_data_set");
        line && present == 0 && !contains(line->words, "stats-only"))
        line->place.fail(
            "n2p2 trains with normalize_data_set and writes mean_energy, conv_energy and conv_length "
            "into input.nn, which are missing: take them from the folder of the training");
    Normalization n;
    n.used = present == 3 || cfenergy != 1.0;  // other units are a normalisation without a mean
    n.mean_energy = input.number(keys[0], 0.0) / cfenergy;
    n.conv_energy = input.number(keys[1], 1.0) * cfenergy;
    n.conv_length = n.used ? input.number(keys[2], 1.0) * cflength : 1.0;
    if (!(n.conv_energy > 0.0)) input.whole().fail("conv_energy is not positive");
    if (!(n.conv_length > 0.0)) input.whole().fail("conv_length is not positive");
    return n;
}

}  // namespace sitewise
