// Reads the hidden layers and activation functions of an element's network from input.nn.

#include <optional>

#include "format/read.hpp"

namespace sitewise {
namespace {

// The lines of an element_* keyword that concern one element.
std::vector<const Line*> of_element(const Input& input,
                                    const std::string& keyword,
                                    const Words& elements,
                                    std::size_t element) {
    std::vector<const Line*> found;
    for (const Line* line : input.all(keyword)) {
        if (line->words.size() < 3) require_values(*line, 2, 99);
        if (element_index(elements, line->words[1], line->place) == static_cast<int>(element))
            found.push_back(line);
    }
    return found;
}

// The only line of an element, in n2p2's form
const Line& single(const std::vector<const Line*>& lines) {
    if (lines.size() > 1)
        lines[1]->place.fail("keyword \"" + lines[1]->words[0] + "\" stands twice for element " +
                             lines[1]->words[1]);
    return *lines[0];
}

const Line& global_line(const Input& input, const std::string& name) {
    return input.required("global_" + name);
}

int read_hidden_layers(const Input& input, const Words& elements, std::size_t element) {
    const auto own = of_element(input, "element_hidden_layers_short", elements, element);
    const Line& line = own.empty() ? global_line(input, "hidden_layers_short") : single(own);
    const std::size_t values = own.empty() ? 1 : 2;
    require_values(line, values, values);
    const int n = parse_integer(line.words[values], line.place);
    if (n < 0) line.place.fail("the number of hidden layers is " + std::to_string(n));
    return n;
}

int parse_width(const std::string& word, const Place& place) {
    const int width = parse_integer(word, place);
    if (width < 1) place.fail("a layer has " + shown(word) + " nodes");
    return width;
}

// The widths of n hidden layers, which follow `first` words of a line
std::vector<int> read_widths(const Line& line, std::size_t first, int n) {
    std::vector<int> widths;
    for (std::size_t k = first; k < line.words.size(); ++k)
        widths.push_back(parse_width(line.words[k], line.place));
    if (static_cast<int>(widths.size()) != n)
        line.place.fail(std::to_string(widths.size()) + " numbers of nodes for " + std::to_string(n) +
                        " hidden layers");
    return widths;
}

// RuNNer's form of element_nodes_short: a layer and its number of nodes; global keywords give the other
// layers. Empty if the lines cannot have that form.
std::optional<std::vector<int>> runners_widths(const Input& input,
                                               const std::vector<const Line*>& own,
                                               int n) {
    const Line* global = input.one("global_nodes_short");
    if (!global || global->words.size() != static_cast<std::size_t>(n) + 1) return {};
    std::vector<int> widths = read_widths(*global, 1, n);
    for (const Line* line : own) {
        if (line->words.size() != 4) return {};
        const int layer = parse_integer(line->words[2], line->place);
        if (layer < 1 || layer > n) return {};
        widths[layer - 1] = parse_width(line->words[3], line->place);
    }
    return widths;
}

// The hidden layers of an element. If n2p2 and RuNNer differ there are two readings, and the weights decide.
std::vector<std::vector<int>> read_hidden(const Input& input,
                                          const Words& elements,
                                          std::size_t element,
                                          int n) {
    if (n == 0) return {{}};
    const auto own = of_element(input, "element_nodes_short", elements, element);
    if (own.empty()) return {read_widths(global_line(input, "nodes_short"), 1, n)};
    std::vector<std::vector<int>> readings;
    const bool in_n2p2s = own.size() == 1 && own[0]->words.size() == static_cast<std::size_t>(n) + 2;
    if (in_n2p2s) readings.push_back(read_widths(*own[0], 2, n));
    const bool can_be_runners = n > 1 || !in_n2p2s;
    if (const auto widths = can_be_runners ? runners_widths(input, own, n) : std::nullopt)
        if (readings.empty() || readings[0] != *widths) readings.push_back(*widths);
    if (readings.empty()) read_widths(single(own), 2, n);  // throws Error that says what is wrong
    return readings;
}

std::string read_letters(const Line& line, std::size_t first, int n) {
    std::string letters;
    for (std::size_t k = first; k < line.words.size(); ++k) {
        const std::string& word = line.words[k];
        if (word.size() != 1 || std::string("ltsprgcSeh").find(word) == std::string::npos)
            line.place.fail("unknown activation function " + quoted(word) +
                            ", expected one of l t s p r g c S e h");
        letters += word;
    }
    if (static_cast<int>(letters.size()) != n + 1)
        line.place.fail(std::to_string(letters.size()) + " activation functions for " + std::to_string(n) +
                        " hidden layers and the output");
    return letters;
}

// RuNNer's form of element_activation_short: a layer, a node and its function. All nodes of a layer must have
// the same function.
void check_runners_activation(const Line& line, const std::string& letters) {
    require_values(line, 4, 4);
    const int layer = parse_integer(line.words[2], line.place);
    if (layer < 1 || layer > static_cast<int>(letters.size()))
        line.place.fail("layer " + shown(line.words[2]) + " is not one of " + std::to_string(letters.size()));
    if (line.words[4] != std::string(1, letters[layer - 1]))
        line.place.fail(
            "a node with its own activation function is not supported, only one for each layer: evaluate "
            "this potential with RuNNer");
}

// n2p2 has one letter for each layer, but takes the letter of the output only from the global line.
std::string read_activations(const Input& input, const Words& elements, std::size_t element, int n) {
    const auto own = of_element(input, "element_activation_short", elements, element);
    const bool in_n2p2s = !own.empty() && own[0]->words[2].find_first_not_of("0123456789") == 0;
    if (in_n2p2s) {
        const std::string letters = read_letters(single(own), 2, n);
        const Line* global = input.one("global_activation_short");
        if (global && global->words.back() != std::string(1, letters.back()))
            own[0]->place.fail("the output has the activation function " + std::string(1, letters.back()) +
                               ", but n2p2 takes " + shown(global->words.back()) + " from line " +
                               std::to_string(global->place.line) + ": make them equal");
        return letters;
    }
    const std::string letters = read_letters(global_line(input, "activation_short"), 1, n);
    for (const Line* line : own) check_runners_activation(*line, letters);
    return letters;
}

}  // namespace

Topology read_topology(const Input& input, const Words& elements, std::size_t element) {
    const int n = read_hidden_layers(input, elements, element);
    Topology topology{read_hidden(input, elements, element, n), {}};
    for (char letter : read_activations(input, elements, element, n))
        topology.activations.push_back(static_cast<Activation>(letter));
    return topology;
}

}  // namespace sitewise
