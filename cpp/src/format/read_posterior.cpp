// Reads posterior.data, which training writes beside the files of weights.

#include <filesystem>

#include "sitewise/posterior.hpp"
#include "sitewise/potential.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

constexpr int most_draws = 1000;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Numbers end in an exponent with a sign and two digits, so one that is cut shows.
double whole_number(const std::string& word, const Place& place) {
    const std::size_t n = word.size();
    if (n < 5 || word[n - 4] != 'e' || (word[n - 3] != '+' && word[n - 3] != '-') || !is_digit(word[n - 2]) ||
        !is_digit(word[n - 1]))
        place.fail(quoted(word) + " is not a number as in 1.0e-02; is the file cut short?");
    return parse_number(word, place);
}

struct Header {
    std::size_t weights = 0, draws = 0;
    double force_factor = 0.0;
};

Header read_header(LineReader& reader, const Place& file) {
    Line line;
    if (!reader.next(line)) file.fail("is empty");
    const Words& w = line.words;
    if (w.size() != 6 || w[0] != "weights" || w[2] != "draws" || w[4] != "force_factor")
        line.place.fail("expected weights N draws N force_factor X");
    const int weights = parse_integer(w[1], line.place), draws = parse_integer(w[3], line.place);
    if (weights < 1 || draws < 1 || draws > most_draws)
        line.place.fail("expected at least one weight, and 1 to " + std::to_string(most_draws) + " draws");
    return {static_cast<std::size_t>(weights), static_cast<std::size_t>(draws),
            whole_number(w[5], line.place)};
}

}  // namespace

Posterior Posterior::load(const std::string& directory) {
    const std::filesystem::path path =
        std::filesystem::path(potential_directory(directory)) / "posterior.data";
    LineReader reader(path, "#");
    const Place file{path.string()};
    const Header header = read_header(reader, file);
    Posterior found;
    found.force_factor = header.force_factor;
    found.draws.resize(header.draws);
    for (Line line; reader.next(line);) {
        if (line.words.size() != header.draws + 2)
            line.place.fail(std::to_string(line.words.size()) + " numbers, expected " +
                            std::to_string(header.draws + 2) + "; is the file cut short?");
        found.weights.push_back(whole_number(line.words[0], line.place));
        found.shift.push_back(whole_number(line.words[1], line.place));
        for (std::size_t d = 0; d < header.draws; ++d)
            found.draws[d].push_back(whole_number(line.words[d + 2], line.place));
    }
    if (found.weights.size() != header.weights)
        file.fail(std::to_string(found.weights.size()) + " lines of weights, expected " +
                  std::to_string(header.weights) + "; is the file cut short?");
    return found;
}

}  // namespace sitewise
