// Reads a section of a file of LAMMPS's pair_style table.

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <vector>

#include "sitewise/error.hpp"
#include "sitewise/pair_table.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

constexpr double real_energy = 23.060549;  // kcal/mol, 1 eV as LAMMPS has it
constexpr double spacing_error = 0.01;     // of a column of distances, in units of their spacing

struct Units {
    double length = 1.0, energy = 1.0;  // 1 Angstrom and 1 eV
};

// LAMMPS reads the tag in the first line alone, which is a comment.
Units read_units(const std::string& path, Units otherwise) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    const Words words = split(text.substr(0, 1000));
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        if (words[i] != "UNITS:") continue;
        if (words[i + 1] == "metal") return {};
        if (words[i + 1] == "real") return {1.0, real_energy};
        Place{path, 1}.fail("the units are " + quoted(words[i + 1]) + ", expected metal or real");
    }
    return otherwise;
}

// The line of parameters: N, and how distances follow from their ends.
struct Parameters {
    enum class Spacing { listed, even, even_squares } spacing = Spacing::listed;
    std::size_t count = 0;
    double low = 0.0, high = 0.0;

    double distance(std::size_t i, double listed) const {
        const double part = static_cast<double>(i) / static_cast<double>(count - 1);
        if (spacing == Spacing::even) return low + part * (high - low);
        if (spacing == Spacing::even_squares) return std::sqrt(low * low + part * (high * high - low * low));
        return listed;
    }
};

Parameters read_parameters(const Line& line) {
    constexpr int most = 1000000;
    const Words& words = line.words;
    Parameters found;
    for (std::size_t i = 0; i < words.size();) {
        if (!contains({"N", "R", "RSQ", "FPRIME"}, words[i]))
            line.place.fail("has " + quoted(words[i]) + ", expected N, R, RSQ or FPRIME");
        const std::size_t values = words[i] == "N" ? 1 : 2;
        if (i + values >= words.size()) line.place.fail("lacks values of " + quoted(words[i]));
        const auto number = [&](std::size_t k) { return parse_number(words[i + k], line.place); };
        if (words[i] == "N") {
            const int count = parse_integer(words[i + 1], line.place);
            if (count < 2 || count > most)
                line.place.fail("N is " + words[i + 1] + ", expected 2 to " + std::to_string(most));
            found.count = static_cast<std::size_t>(count);
        } else if (words[i] == "R" || words[i] == "RSQ") {
            found.spacing = words[i] == "R" ? Parameters::Spacing::even : Parameters::Spacing::even_squares;
            found.low = number(1);
            found.high = number(2);
            if (!(found.low > 0.0 && found.low < found.high))
                line.place.fail(words[i] + " has " + words[i + 1] + " and " + words[i + 2] +
                                ", expected a positive distance and a longer one");
        }
        i += values + 1;
    }
    if (found.count == 0) line.place.fail("lacks N, the number of distances");
    return found;
}

// Lines with blanks alone and comments are left out.
class Sections {
public:
    explicit Sections(const std::string& path) : reader_(path, "#"), path_(path) {}

    // Goes to the line of parameters of a section, or of the first one.
    Line find(const std::string& section) {
        Line line;
        do {
            if (!reader_.next(line))
                whole().fail(section.empty() ? "has no table" : "has no section " + quoted(section));
        } while (!section.empty() && line.words[0] != section);
        if (!reader_.next(line)) whole().fail("ends within a table");
        return line;
    }
    Line row() {
        Line line;
        if (!reader_.next(line)) whole().fail("ends within a table");
        if (line.words.size() != 4)
            line.place.fail(std::to_string(line.words.size()) +
                            " words, expected a number, distance, energy and force");
        return line;
    }
    void require_end() {
        Line line;
        if (reader_.next(line))
            line.place.fail("has " + sitewise::quoted(line.words[0]) +
                            " after the first table: name the section to read");
    }
    Place whole() const { return {path_}; }

private:
    LineReader reader_;
    std::string path_;
};

}  // namespace

PairTable PairTable::read(const std::string& path,
                          const std::string& section,
                          double cflength,
                          double cfenergy) {
    Sections file(path);
    const Units unit = read_units(path, {cflength, cfenergy});
    const Line head = file.find(section);
    const Parameters parameters = read_parameters(head);
    std::vector<double> distances, energies, forces;
    for (std::size_t i = 0; i < parameters.count; ++i) {
        const Line line = file.row();
        const auto number = [&](std::size_t k) { return parse_number(line.words[k], line.place); };
        const double r = parameters.distance(i, number(1));
        const double spacing = (parameters.high - parameters.low) / static_cast<double>(parameters.count);
        if (r != number(1) && !(std::fabs(r - number(1)) <= spacing_error * spacing))
            line.place.fail("the distance is " + line.words[1] + ", expected " + exact(r) + " by R or RSQ");
        distances.push_back(r / unit.length);
        energies.push_back(number(2) / unit.energy);
        forces.push_back(number(3) * unit.length / unit.energy);
    }
    if (section.empty()) file.require_end();
    try {
        return {std::move(distances), std::move(energies), forces};
    } catch (const Error& error) {
        head.place.fail(std::string("the table ") + error.what());
    }
}

}  // namespace sitewise
