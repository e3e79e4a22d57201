// Reads files of weights: weights.ZZZ.data, or RuNNer's optweights.ZZZ.out.

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "format/read.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

std::string numbered_file(const char* format, const std::string& element) {
    char name[32];
    std::snprintf(name, sizeof name, format, atomic_number(element));
    return name;
}

// Prefers weights.ZZZ.data to optweights.ZZZ.out, the file that a training by RuNNer leaves.
fs::path weights_path(const Input& input, const fs::path& directory, const std::string& element) {
    const fs::path usual = directory / weights_name(element),
                   fitted = directory / numbered_file("optweights.%03d.out", element);
    std::error_code code;
    if (fs::exists(usual, code) || !fs::exists(fitted, code)) return usual;
    input.assume("weights of " + element + " are those of " + fitted.filename().string());
    return fitted;
}

struct Weights {
    std::vector<double> values;
    std::optional<Line> odd;  // the first row of another form
};

// A row of weights is a single number or, as n2p2 and RuNNer write it, a number followed by a (weight) or b
// (bias) and its place. In a file of the second form a row without them has been cut.
bool has_form(const Words& row, bool alone) {
    return alone ? row.size() == 1 : row.size() > 1 && contains({"a", "b"}, row[1]);
}

// The numbers of a file of weights; stops at one more than `most`.
Weights read_weights(const fs::path& path, double most) {
    Weights found;
    LineReader reader(path, "#");
    bool alone = false;
    for (Line line; static_cast<double>(found.values.size()) <= most && reader.next(line);) {
        if (found.values.empty()) alone = line.words.size() == 1;
        found.values.push_back(parse_number(line.words[0], line.place));
        if (!found.odd && !has_form(line.words, alone)) found.odd = line;
    }
    return found;
}

[[noreturn]] void odd_row(const Line& row) {
    row.place.fail(
        "is not a row of weights: expected all rows with a weight alone, or all with a weight, a or b, "
        "and its place, as n2p2 and RuNNer write them");
}

std::vector<int> all_nodes(std::size_t inputs, const std::vector<int>& hidden) {
    std::vector<int> nodes{static_cast<int>(inputs)};
    nodes.insert(nodes.end(), hidden.begin(), hidden.end());
    nodes.push_back(1);
    return nodes;
}

// In double precision, which cannot overflow here
double count_weights(const std::vector<int>& nodes) {
    double count = 0.0;
    for (std::size_t l = 0; l + 1 < nodes.size(); ++l) count += (nodes[l] + 1.0) * nodes[l + 1];
    return count;
}

[[noreturn]] void wrong_number(const fs::path& path, std::size_t found, const std::vector<int>& nodes) {
    const double expected = count_weights(nodes);
    std::string shape;
    for (int width : nodes) shape += (shape.empty() ? "" : "-") + std::to_string(width);
    const bool fewer = static_cast<double>(found) < expected;
    throw Error(path.string() + ": " + (fewer ? "" : "at least ") + std::to_string(found) +
                " weights, expected " + exact(expected) + " for a " + shown(shape) + " network" +
                (fewer ? "; is the file cut short?" : ""));
}

}  // namespace

std::string weights_name(const std::string& element) {
    return numbered_file("weights.%03d.data", element);
}

Network read_network(const Input& input,
                     const fs::path& directory,
                     const Words& elements,
                     std::size_t element,
                     std::size_t inputs) {
    const Topology topology = read_topology(input, elements, element);
    std::vector<std::vector<int>> readings;
    for (const auto& hidden : topology.hidden) readings.push_back(all_nodes(inputs, hidden));
    double most = 0.0;
    for (const auto& nodes : readings) most = std::max(most, count_weights(nodes));
    const fs::path path = weights_path(input, directory, elements[element]);
    Weights weights = read_weights(path, most);
    const auto fits = [&](const auto& nodes) {
        return count_weights(nodes) == static_cast<double>(weights.values.size());
    };
    const auto nodes = std::find_if(readings.begin(), readings.end(), fits);
    if (nodes == readings.end()) wrong_number(path, weights.values.size(), readings[0]);
    if (weights.odd) odd_row(*weights.odd);
    if (std::count_if(readings.begin(), readings.end(), fits) > 1)
        throw Error(path.string() + ": element_nodes_short of " + elements[element] +
                    " has two meanings, n2p2's and RuNNer's, and as many weights with both");
    Network network(*nodes, topology.activations, input.has("normalize_nodes"));
    network.set_weights(std::move(weights.values));
    return network;
}

}  // namespace sitewise
