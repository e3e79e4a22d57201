#include <cstddef>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <sstream>
#include <utility>
#include <vector>

#include "format/function_line.hpp"
#include "format/read.hpp"
#include "format/write_file.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

std::string padded(const std::string& text, std::size_t width) {
    return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string keyword(const std::string& name, const std::string& values) {
    return name + std::string(name.size() < 32 ? 32 - name.size() : 1, ' ') + values + "\n";
}

std::string nodes_text(const Network& network) {
    Words words;
    for (std::size_t l = 1; l + 1 < network.nodes().size(); ++l)
        words.push_back(std::to_string(network.nodes()[l]));
    return join(words);
}

std::string activations_text(const Network& network) {
    Words words;
    for (Activation a : network.activations()) words.emplace_back(1, static_cast<char>(a));
    return join(words);
}

// n2p2 has one activation function for the outputs of all networks.
void check_outputs(const Potential& p) {
    for (std::size_t e = 1; e < p.elements().size(); ++e)
        if (p.network(static_cast<int>(e)).activations().back() != p.network(0).activations().back())
            throw Error("the networks of " + p.elements()[0] + " and " + p.elements()[e] +
                        " end in different activation functions, which n2p2 does not read");
}

// Writes one global keyword, and element keywords if the elements differ.
std::string topology_lines(const Potential& p,
                           const std::string& name,
                           const std::function<std::string(const Network&)>& text) {
    const std::string global = text(p.network(0));
    std::string lines = global.empty() ? "" : keyword("global_" + name, global);
    for (std::size_t e = 1; e < p.elements().size(); ++e) {
        const std::string own = text(p.network(static_cast<int>(e)));
        if (own != global && !own.empty()) lines += keyword("element_" + name, p.elements()[e] + " " + own);
    }
    return lines;
}

std::string scaling_lines(const Scaling& scaling) {
    const ScalingType type = scaling.type();
    std::string lines;
    if (type == ScalingType::minmax || type == ScalingType::minmax_center)
        lines += "scale_symmetry_functions\n";
    if (type == ScalingType::center || type == ScalingType::minmax_center)
        lines += "center_symmetry_functions\n";
    if (type == ScalingType::sigma) lines += "scale_symmetry_functions_sigma\n";
    return lines + keyword("scale_min_short", exact(scaling.smin())) +
           keyword("scale_max_short", exact(scaling.smax()));
}

// Pairs of elements with a table in the baseline.
std::vector<std::pair<int, int>> tabulated_pairs(const Potential& p) {
    std::vector<std::pair<int, int>> pairs;
    const int n = p.baseline().empty() ? 0 : static_cast<int>(p.elements().size());
    for (int a = 0; a < n; ++a)
        for (int b = a; b < n; ++b)
            if (!p.baseline().table(a, b).empty()) pairs.emplace_back(a, b);
    return pairs;
}

std::string input_text(const Potential& p, const std::string& comments, const std::string& units) {
    check_outputs(p);
    std::string text;
    std::istringstream stream(comments);
    for (std::string line; std::getline(stream, line);) text += "# " + line + "\n";
    text += "# Units: " + units + "\n";
    text += keyword("number_of_elements", std::to_string(p.elements().size())) +
            keyword("elements", join(p.elements()));
    for (std::size_t e = 0; e < p.elements().size(); ++e)
        text += keyword("atom_energy", p.elements()[e] + " " + exact(p.atom_energies()[e]));
    text += "remove_atom_energies\n";  // RuNNer and CP2K add them only with this keyword
    const Normalization& n = p.normalization();
    if (n.used)
        text += keyword("mean_energy", exact(n.mean_energy)) + keyword("conv_energy", exact(n.conv_energy)) +
                keyword("conv_length", exact(n.conv_length));
    if (const Baseline& b = p.baseline(); b.outer() > 0.0)
        text += keyword("baseline_zbl", exact(b.inner()) + " " + exact(b.outer()));
    for (const auto& [a, b] : tabulated_pairs(p))
        text += keyword("baseline_table", p.elements()[a] + " " + p.elements()[b]);
    const Cutoff cutoff = p.functions().cutoff_function();
    text += keyword("cutoff_type", std::to_string(static_cast<int>(cutoff.type)) +
                                       (cutoff.alpha != 0.0 ? " " + exact(cutoff.alpha) : ""));
    text += scaling_lines(p.scaling());
    text += topology_lines(p, "hidden_layers_short",
                           [](const Network& network) { return std::to_string(network.nodes().size() - 2); });
    text += topology_lines(p, "nodes_short", nodes_text) +
            topology_lines(p, "activation_short", activations_text);
    if (p.network(0).normalize_nodes()) text += "normalize_nodes\n";
    return text + function_lines(p.elements(), p.functions());
}

std::string scaling_text(const Potential& p) {
    std::string text =
        "# Statistics of the symmetry functions over the training set\n"
        "#  e_index   sf_index                   sf_min                   sf_max                  sf_mean    "
        "             sf_sigma\n";
    const std::vector<double>& closest = p.scaling().closest();
    const std::size_t n = closest.empty() ? 0 : p.elements().size();
    for (std::size_t a = 0; a < n; ++a)
        for (std::size_t b = a; b < n; ++b)
            text += "# closest_pair " + std::to_string(a + 1) + " " + std::to_string(b + 1) + " " +
                    exact(closest[a * n + b]) + "\n";
    for (int e = 0; e < p.functions().elements(); ++e) {
        const FeatureStatistics& s = p.scaling().statistics(e);
        for (std::size_t f = 0; f < s.min.size(); ++f) {
            text += padded(std::to_string(e + 1), 10) + " " + padded(std::to_string(f + 1), 10);
            for (double value : {s.min[f], s.max[f], s.mean[f], s.sigma[f]})
                text += " " + padded(exact(value), 24);
            text += "\n";
        }
    }
    return text;
}

// Writes the tables of the baseline, whose forces are minus the slopes of the spline, so that LAMMPS, which
// interpolates them, finds the same.
std::string pair_tables_text(const Potential& p) {
    std::string text = "# UNITS: metal\n# Pair potentials that are added to the networks\n";
    for (const auto& [a, b] : tabulated_pairs(p)) {
        const PairTable& table = p.baseline().table(a, b);
        const std::size_t n = table.distances().size();
        text += "\n" + pair_section(p.elements(), a, b) + "\nN " + std::to_string(n) + " FPRIME " +
                exact(-table.curvature(false)) + " " + exact(-table.curvature(true)) + "\n\n";
        for (std::size_t i = 0; i < n; ++i)
            text += std::to_string(i + 1) + " " + exact(table.distances()[i]) + " " +
                    exact(table.energies()[i]) + " " + exact(-table.slopes()[i]) + "\n";
    }
    return text;
}

// Each row has the value, a (weight) or b (bias), a running number, and the start and end of the connection.
std::string weights_text(const Network& network) {
    std::string text = "# Neural network connection values: weights (a) and biases (b)\n";
    std::size_t at = 0;
    const auto row = [&](char kind, std::initializer_list<std::size_t> places) {
        text +=
            padded(exact(network.weights()[at]), 24) + " " + kind + " " + padded(std::to_string(at + 1), 9);
        for (std::size_t place : places) text += " " + padded(std::to_string(place), 5);
        text += "\n";
        ++at;
    };
    for (std::size_t l = 1; l < network.nodes().size(); ++l) {
        const auto before = static_cast<std::size_t>(network.nodes()[l - 1]),
                   width = static_cast<std::size_t>(network.nodes()[l]);
        for (std::size_t j = 1; j <= before; ++j)
            for (std::size_t k = 1; k <= width; ++k) row('a', {l - 1, j, l, k});
        for (std::size_t k = 1; k <= width; ++k) row('b', {l, k});
    }
    return text;
}

}  // namespace

void Potential::save(const std::string& directory,
                     const std::string& comments,
                     const std::string& units) const {
    const fs::path path(directory);
    std::error_code code;
    fs::create_directories(path, code);
    if (code) throw Error(directory + ": cannot be created (" + code.message() + ")");
    for (std::size_t e = 0; e < elements_.size(); ++e)
        write_file(path / weights_name(elements_[e]), weights_text(networks_[e]));
    write_file(path / "scaling.data", scaling_text(*this));
    if (!tabulated_pairs(*this).empty()) write_file(path / pair_tables_name, pair_tables_text(*this));
    write_file(path / "input.nn", input_text(*this, comments, units));
}

}  // namespace sitewise
