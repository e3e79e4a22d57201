// Reads the baseline: the range of the repulsion of nuclei, and the tables of pairs of elements.

#include <algorithm>
#include <filesystem>
#include <string>

#include "format/read.hpp"
#include "sitewise/error.hpp"

namespace sitewise {

std::string pair_section(const Words& elements, int a, int b) {
    return elements[std::min(a, b)] + "-" + elements[std::max(a, b)];
}

Baseline read_baseline(const Input& input,
                       const std::filesystem::path& directory,
                       const Potential& potential,
                       double cflength,
                       double cfenergy) {
    Baseline baseline(potential.atomic_numbers());
    const auto require_reach = [&](const Line& line) {
        if (baseline.cutoff() > potential.cutoff())
            line.place.fail("reaches " + exact(baseline.cutoff()) + " Angstrom, expected at most the " +
                            exact(potential.cutoff()) + " of the symmetry functions");
    };
    if (const Line* line = input.one("baseline_zbl")) {
        require_values(*line, 2, 2);
        const double inner = parse_number(line->words[1], line->place) / cflength,
                     outer = parse_number(line->words[2], line->place) / cflength;
        try {
            baseline.set_zbl(inner, outer);
        } catch (const Error& error) {
            line->place.fail(error.what());
        }
        require_reach(*line);
    }
    for (const Line* line : input.all("baseline_table")) {
        require_values(*line, 2, 2);
        const Words& elements = potential.elements();
        const int a = element_index(elements, line->words[1], line->place),
                  b = element_index(elements, line->words[2], line->place);
        const std::string section = pair_section(elements, a, b);
        if (!baseline.table(a, b).empty())
            line->place.fail("keyword \"baseline_table\" stands twice for " + section);
        baseline.set_table(a, b, PairTable::read(directory / pair_tables_name, section, cflength, cfenergy));
        require_reach(*line);
    }
    return baseline;
}

}  // namespace sitewise
