#include "format/input.hpp"

#include <utility>

#include "keywords.hpp"

namespace sitewise {
namespace {

constexpr std::size_t most_lines = 100000;  // more than any potential has

[[noreturn]] void unknown_keyword(const Line& line) {
    const std::string nearest = nearest_keyword(line.words[0]);
    line.place.fail("unknown keyword " + quoted(line.words[0]) +
                    (nearest.empty() ? "" : ", did you mean \"" + nearest + "\"?"));
}

// Keywords that switch something on by their presence, whatever follows them
void check_flag(const Line& line) {
    static const Words flags{"remove_atom_energies", "scale_symmetry_functions", "center_symmetry_functions",
                             "scale_symmetry_functions_sigma", "normalize_nodes"};
    if (contains(flags, line.words[0]) && line.words.size() > 1)
        line.place.fail("keyword \"" + line.words[0] + "\" has the value " + quoted(line.words[1]) +
                        ", expected none: it is on where it stands; remove the line to switch it off");
}

// Refuses values that ask for something that sitewise does not compute.
void check_value(const Line& line) {
    const std::string& keyword = line.words[0];
    const std::string value = line.words.size() > 1 ? line.words[1] : "";
    if (keyword == "nnp_type" && !contains({"0", "2", "2G-HDNNP", "2G"}, value))
        line.place.fail(
            "potentials of type " + (value.empty() ? quoted(value) : shown(value)) +
            " are not supported, only short-range ones (2G-HDNNP): evaluate this one with the program "
            "that trained it");
    if (keyword == "nn_type_short" && value != "1")
        line.place.fail("nn_type_short is " + shown(value) +
                        ", and only 1, networks of atoms, is supported: evaluate this potential with RuNNer");
    if (keyword == "use_short_nn" && !contains({"", "T", "true", ".true.", "True", "1", "yes", "on"}, value))
        line.place.fail("use_short_nn is " + shown(value) +
                        ", and potentials without a short-range part are not supported");
}

}  // namespace

void require_values(const Line& line, std::size_t least, std::size_t most) {
    const std::size_t n = line.words.size() - 1;
    if (n >= least && n <= most) return;
    const std::string expected = std::to_string(least) + (most > least ? " to " + std::to_string(most) : "");
    line.place.fail("keyword \"" + line.words[0] + "\" has " + std::to_string(n) + " values, expected " +
                    expected);
}

Input::Input(const std::filesystem::path& path) : path_(path) {
    LineReader reader(path, "#!");
    for (Line line; reader.next(line); lines_.push_back(std::move(line))) {
        if (lines_.size() == most_lines)
            line.place.fail("is the line after " + std::to_string(most_lines) +
                            " others, the most that are read");
        check(line);
    }
    for (const Line& line : lines_) places_[line.words[0]].push_back(&line);
}

std::vector<const Line*> Input::all(const std::string& keyword) const {
    const auto found = places_.find(keyword);
    return found == places_.end() ? std::vector<const Line*>() : found->second;
}

const Line* Input::one(const std::string& keyword) const {
    const auto found = all(keyword);
    if (found.size() > 1)
        found[1]->place.fail("keyword \"" + keyword + "\" stands here and in line " +
                             std::to_string(found[0]->place.line));
    return found.empty() ? nullptr : found[0];
}

const Line& Input::required(const std::string& keyword) const {
    const Line* line = one(keyword);
    if (!line) whole().fail("keyword \"" + keyword + "\" is missing");
    return *line;
}

double Input::number(const std::string& keyword, double otherwise) const {
    const Line* line = one(keyword);
    return line ? parse_number(value(*line), line->place) : otherwise;
}

const std::string& Input::value(const Line& line) {
    require_values(line, 1, 1);
    return line.words[1];
}

void Input::require_n2p2s(const Place& place, const std::string& difference) const {
    if (!runners_own_.empty())
        place.fail(difference + ", and " + runners_own_ +
                   " is RuNNer's alone: if n2p2 trained this potential, remove RuNNer's keywords");
}

void Input::check(Line& line) {
    const Keyword* known = find_keyword(line.words[0]);
    if (!known) unknown_keyword(line);
    if (known->status == KeywordStatus::refused)
        line.place.fail("keyword \"" + known->name + "\" is not supported: " + known->reason);
    if (known->owner == KeywordOwner::runner && runners_own_.empty() && known->name != "remove_atom_energies")
        runners_own_ = "\"" + known->name + "\" in line " + std::to_string(line.place.line);
    line.words[0] = canonical(known->name);
    check_flag(line);
    check_value(line);
}

}  // namespace sitewise
