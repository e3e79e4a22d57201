// The n2p2/RuNNer directory: input.nn, scaling.data, weights.ZZZ.data.

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "sitewise/error.hpp"
#include "sitewise/potential.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// -- text and numbers, whatever the locale -------------------------------------------------------------

constexpr const char* symbols[] = {
    "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",  "S",  "Cl",
    "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se",
    "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb",
    "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er",
    "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At",
    "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No",
    "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

// A place in a file, for messages.
struct Place {
    std::string file;
    int line = 0;

    [[noreturn]] void fail(const std::string& what) const {
        throw Error(file + (line > 0 ? ":" + std::to_string(line) : "") + ": " + what);
    }
};

double parse_number(const std::string& word, const Place& place) {
    std::string text = word[0] == '+' ? word.substr(1) : word;
    for (char& c : text)
        if (c == 'D' || c == 'd') c = 'E';  // Fortran
    double value = 0.0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    const bool underflow = error == std::errc::result_out_of_range && std::fabs(value) < 1.0;
    if ((error != std::errc() && !underflow) || stop != end || !std::isfinite(value))
        place.fail("\"" + word + "\" is not a finite number");
    return underflow ? 0.0 : value;
}

int parse_integer(const std::string& word, const Place& place) {
    const double value = parse_number(word, place);
    if (value != std::floor(value) || std::fabs(value) > 1e9)
        place.fail("\"" + word + "\" is not an integer");
    return static_cast<int>(value);
}

// The shortest digits that are read back as the same number.
std::string exact(double value) {
    char buffer[40];
    const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
    return error == std::errc() ? std::string(buffer, end) : "nan";
}

std::string padded(const std::string& text, std::size_t width) {
    return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

Words split(const std::string& text) {
    std::istringstream stream(text);
    Words words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
}

std::string join(const Words& words) {
    return std::accumulate(
        words.begin(), words.end(), std::string(),
        [](const std::string& a, const std::string& b) { return a.empty() ? b : a + " " + b; });
}

// The lines of a file that hold something, without comments, with their numbers.
struct Line {
    Place place;
    Words words;
};

std::vector<Line> read_lines(const fs::path& path, const char* comments) {
    std::error_code code;
    if (fs::is_directory(path, code)) throw Error(path.string() + ": is a directory, expected a file");
    std::ifstream file(path);
    if (!file) throw Error(path.string() + ": cannot be read (" + std::strerror(errno) + ")");
    std::vector<Line> lines;
    std::string text;
    for (int number = 1; std::getline(file, text); ++number) {
        Words words = split(text.substr(0, text.find_first_of(comments)));
        if (!words.empty()) lines.push_back({{path.string(), number}, std::move(words)});
    }
    if (file.bad()) throw Error(path.string() + ": reading failed (" + std::strerror(errno) + ")");
    return lines;
}

// -- the keywords of input.nn ----------------------------------------------------------------------------

// Those that decide what is computed.
const Words& used_keywords() {
    static const Words words = split(
        "number_of_elements elements atom_energy cutoff_type symfunction_short symfunction "
        "scale_symmetry_functions center_symmetry_functions scale_symmetry_functions_sigma scale_min_short "
        "scale_max_short global_hidden_layers_short global_nodes_short global_activation_short "
        "element_hidden_layers_short element_nodes_short element_activation_short normalize_nodes "
        "mean_energy "
        "conv_energy conv_length nnp_type nnp_generation nnp_type_gen nnp_gen");
    return words;
}

// Those that n2p2 and RuNNer know for training, charges and output: accepted and without effect here.
const Words& ignored_keywords() {
    static const Words words = split(
        "global_hidden_layers_electrostatic global_nodes_electrostatic global_activation_electrostatic "
        "element_hidden_layers_electrostatic element_nodes_electrostatic element_activation_electrostatic "
        "conv_charge "
        "fixed_gausswidth ewald_truncation_error_method ewald_prec screen_electrostatics four_pi_epsilon "
        "random_seed "
        "test_fraction epochs normalize_data_set use_short_forces rmse_threshold rmse_threshold_energy "
        "rmse_threshold_force rmse_threshold_charge rmse_threshold_trials rmse_threshold_trials_energy "
        "rmse_threshold_trials_force rmse_threshold_trials_charge energy_fraction force_fraction "
        "force_energy_ratio "
        "charge_fraction use_old_weights_short use_old_weights_charge weights_min weights_max "
        "initial_hardness "
        "nguyen_widrow_weights_short nguyen_widrow_weights_charge precondition_weights main_error_metric "
        "write_trainpoints write_trainforces write_traincharges write_weights_epoch write_neuronstats "
        "write_trainlog "
        "repeated_energy_update updater_type parallel_mode jacobian_mode update_strategy selection_mode "
        "selection_mode_energy selection_mode_force selection_mode_charge task_batch_size_energy "
        "task_batch_size_force task_batch_size_charge gradient_type gradient_eta gradient_adam_eta "
        "gradient_adam_beta1 gradient_adam_beta2 gradient_adam_epsilon kalman_type kalman_epsilon kalman_eta "
        "kalman_etatau kalman_etamax kalman_q0 kalman_qtau kalman_qmin kalman_lambda_short kalman_nue_short "
        "memorize_symfunc_results force_weight short_energy_error_threshold short_force_error_threshold "
        "short_energy_fraction short_force_fraction "
        // RuNNer
        "runner_mode parallel_run use_short_nn use_electrostatics bond_threshold energy_threshold max_energy "
        "cutoff_alpha points_in_memory mix_all_points optmode_short_energy optmode_short_force "
        "optmode_charge "
        "kalman_lambda_charge kalman_nue_charge kalman_damp_short kalman_damp_force kalman_damp_charge "
        "steepest_descent_step_energy_short steepest_descent_step_force_short scale_energy scale_force "
        "short_force_group short_energy_group energy_group force_group force_update_scaling weights_min "
        "precondition_weights remove_atom_energies analyze_error analyze_composition print_mad "
        "print_convergence_vector "
        "print_force_components calculate_forces calculate_stress calculate_hessian write_pdb write_pov "
        "write_pwscf "
        "write_fit_statistics write_binding_energy_only write_weightse_epoch write_symfunctions "
        "write_traincharges "
        "fitting_unit detailed_timing vdw_screening use_systematic_weights_short random_number_type "
        "electrostatic_type nn_type nn_type_short nn_type_elec joint_energy_force_update "
        "separate_kalman_short "
        "repeated_energy_update use_damping separate_bias_ini_short global_output_nodes_short "
        "check_input_forces check_forces do_gridsearch grow_mode fix_weights weight_constraint "
        "enable_on_the_fly_input "
        "use_atom_charges use_atom_energies use_noisematrix number_of_short_weights update_single_element "
        "ewald_alpha ewald_cutoff ewald_kmax symfunction_electrostatic symfunction_correlation reset_kalman "
        "save_kalman_matrices restart_old_fit saturation_threshold finalforce_threshold noise_energy "
        "noise_force "
        "md_mode mode_detailed worst_points dynforcegroup_start dynforcegroup_step");
    return words;
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
        }
    }
    return row[b.size()];
}

bool contains(const Words& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

[[noreturn]] void unknown_keyword(const Line& line) {
    const std::string& word = line.words[0];
    std::string nearest;
    std::size_t least = 4;  // further away is no typing mistake
    for (const Words* words : {&used_keywords(), &ignored_keywords()})
        for (const std::string& known : *words)
            if (const std::size_t d = edit_distance(word, known); d < least) {
                least = d;
                nearest = known;
            }
    line.place.fail("unknown keyword \"" + word + "\"" +
                    (nearest.empty() ? "" : ", did you mean \"" + nearest + "\"?"));
}

// The keywords and values of an input.nn.
class Input {
public:
    explicit Input(const fs::path& path) : path_(path), lines_(read_lines(path, "#!")) {
        for (Line& line : lines_) {
            std::string& keyword = line.words[0];
            if (keyword == "symfunction") keyword = "symfunction_short";
            if (keyword == "nnp_generation" || keyword == "nnp_type_gen" || keyword == "nnp_gen")
                keyword = "nnp_type";
            if (!contains(used_keywords(), keyword) && !contains(ignored_keywords(), keyword))
                unknown_keyword(line);
        }
    }

    std::vector<const Line*> all(const std::string& keyword) const {
        std::vector<const Line*> found;
        for (const Line& line : lines_)
            if (line.words[0] == keyword) found.push_back(&line);
        return found;
    }

    // The one line with a keyword, null if there is none.
    const Line* one(const std::string& keyword) const {
        const auto found = all(keyword);
        if (found.size() > 1)
            found[1]->place.fail("keyword \"" + keyword + "\" stands here and in line " +
                                 std::to_string(found[0]->place.line));
        return found.empty() ? nullptr : found[0];
    }

    const Line& required(const std::string& keyword) const {
        const Line* line = one(keyword);
        if (!line) Place{path_.string(), 0}.fail("keyword \"" + keyword + "\" is missing");
        return *line;
    }

    bool has(const std::string& keyword) const { return one(keyword) != nullptr; }

    double number(const std::string& keyword, double otherwise) const {
        const Line* line = one(keyword);
        return line ? parse_number(value(*line), line->place) : otherwise;
    }

    // The single value of a line.
    static const std::string& value(const Line& line) {
        if (line.words.size() != 2)
            line.place.fail("keyword \"" + line.words[0] + "\" has " + std::to_string(line.words.size() - 1) +
                            " values, expected 1");
        return line.words[1];
    }

    const fs::path& path() const { return path_; }

private:
    fs::path path_;
    std::vector<Line> lines_;
};

// -- what input.nn says ------------------------------------------------------------------------------------

void require_values(const Line& line, std::size_t least, std::size_t most) {
    const std::size_t n = line.words.size() - 1;
    if (n >= least && n <= most) return;
    const std::string expected = std::to_string(least) + (most > least ? " to " + std::to_string(most) : "");
    line.place.fail("keyword \"" + line.words[0] + "\" has " + std::to_string(n) + " values, expected " +
                    expected);
}

Words read_elements(const Input& input) {
    if (const Line* type = input.one("nnp_type");
        type && !contains({"0", "2", "2G-HDNNP", "2G"}, Input::value(*type)))
        type->place.fail("potentials of type " + type->words[1] +
                         " are not supported, only short-range ones (2G-HDNNP)");
    const Line& line = input.required("elements");
    Words elements(line.words.begin() + 1, line.words.end());
    if (elements.empty()) line.place.fail("keyword \"elements\" names no element");
    for (const std::string& e : elements)
        if (atomic_number(e) == 0) line.place.fail("\"" + e + "\" is not a chemical element");
    std::sort(elements.begin(), elements.end(),
              [](const auto& a, const auto& b) { return atomic_number(a) < atomic_number(b); });
    if (const auto twice = std::adjacent_find(elements.begin(), elements.end()); twice != elements.end())
        line.place.fail("element " + *twice + " stands twice");
    const Line& count = input.required("number_of_elements");
    if (parse_integer(Input::value(count), count.place) != static_cast<int>(elements.size()))
        count.place.fail("number_of_elements is " + count.words[1] + ", but " +
                         std::to_string(elements.size()) + " elements are named in line " +
                         std::to_string(line.place.line));
    return elements;
}

int element_index(const Words& elements, const std::string& symbol, const Place& place) {
    const auto found = std::find(elements.begin(), elements.end(), symbol);
    if (found == elements.end())
        place.fail("\"" + symbol + "\" is not one of the elements " + join(elements));
    return static_cast<int>(found - elements.begin());
}

Cutoff read_cutoff(const Input& input) {
    const Line& line = input.required("cutoff_type");
    require_values(line, 1, 2);
    const int type = parse_integer(line.words[1], line.place);
    if (type < 0 || type > 8) line.place.fail("cutoff_type is " + line.words[1] + ", expected 0 to 8");
    const double alpha = line.words.size() > 2 ? parse_number(line.words[2], line.place) : 0.0;
    if (alpha < 0.0 || alpha >= 1.0)
        line.place.fail("alpha is " + line.words[2] + ", expected 0 <= alpha < 1");
    return {static_cast<CutoffType>(type), alpha};
}

// The columns of a symfunction_short line behind element and type; what stands in brackets may be missing.
const std::map<int, Words>& function_columns() {
    static const Words compact{"rl", "rc"}, angles{"angle_left", "angle_right"};
    static const auto joined = [](std::initializer_list<Words> parts) {
        Words all;
        for (const Words& part : parts) all.insert(all.end(), part.begin(), part.end());
        return all;
    };
    static const std::map<int, Words> columns{{2, {"e1", "eta", "rs", "rc"}},
                                              {3, {"e1", "e2", "eta", "lambda", "zeta", "rc", "[rs]"}},
                                              {9, {"e1", "e2", "eta", "lambda", "zeta", "rc", "[rs]"}},
                                              {12, {"eta", "rs", "rc"}},
                                              {13, {"eta", "rs", "lambda", "zeta", "rc"}},
                                              {20, joined({{"e1"}, compact, {"subtype"}})},
                                              {21, joined({{"e1", "e2"}, compact, angles, {"subtype"}})},
                                              {22, joined({{"e1", "e2"}, compact, angles, {"subtype"}})},
                                              {23, joined({compact, {"subtype"}})},
                                              {24, joined({compact, angles, {"subtype"}})},
                                              {25, joined({compact, angles, {"subtype"}})}};
    return columns;
}

// The numbers of a function by the names of their columns
double* function_number(SymmetryFunction& f, const std::string& column) {
    const std::map<std::string, double*> numbers{{"eta", &f.eta},
                                                 {"rs", &f.rs},
                                                 {"[rs]", &f.rs},
                                                 {"lambda", &f.lambda},
                                                 {"zeta", &f.zeta},
                                                 {"rc", &f.cutoff},
                                                 {"rl", &f.left},
                                                 {"angle_left", &f.angle_left},
                                                 {"angle_right", &f.angle_right}};
    const auto found = numbers.find(column);
    return found == numbers.end() ? nullptr : found->second;
}

void check_numbers(const SymmetryFunction& f, const Place& place) {
    if (f.cutoff <= 0.0) place.fail("the cutoff is not positive");
    if (f.eta < 0.0) place.fail("eta is negative");
    if (f.is_angular() && !f.is_compact() && f.zeta <= 0.0)
        place.fail("zeta is " + std::to_string(f.zeta) + ", expected a positive number");
}

// Lengths of the file times this are Angstrom.
SymmetryFunction read_function(const Line& line, const Words& elements, double length) {
    const Place& place = line.place;
    if (line.words.size() < 3) require_values(line, 5, 9);
    SymmetryFunction f;
    f.center = element_index(elements, line.words[1], place);
    f.type = parse_integer(line.words[2], place);
    const auto columns = function_columns().find(f.type);
    if (columns == function_columns().end())
        place.fail("symmetry function of unknown type " + line.words[2] +
                   ", expected 2, 3, 9, 12, 13 or 20 to 25");
    const std::size_t most = 2 + columns->second.size();
    require_values(line, columns->second.back() == "[rs]" ? most - 1 : most, most);
    for (std::size_t k = 0; k + 3 < line.words.size(); ++k) {
        const std::string &column = columns->second[k], &word = line.words[k + 3];
        if (column == "e1")
            f.neighbor1 = element_index(elements, word, place);
        else if (column == "e2")
            f.neighbor2 = element_index(elements, word, place);
        else if (double* number = function_number(f, column))
            *number = parse_number(word, place);
        else
            try {
                set_subtype(f, word);
            } catch (const Error& error) {
                place.fail(error.what());
            }
    }
    check_numbers(f, place);
    f.eta /= length * length;
    for (double* x : {&f.rs, &f.cutoff, &f.left}) *x *= length;
    return f;
}

std::vector<int> numbers_of(const Words& elements) {
    std::vector<int> numbers;
    for (const std::string& e : elements) numbers.push_back(atomic_number(e));
    return numbers;
}

SymmetryFunctions read_symmetry_functions(const Input& input, const Words& elements, double length) {
    std::vector<SymmetryFunction> functions;
    for (const Line* line : input.all("symfunction_short"))
        functions.push_back(read_function(*line, elements, length));
    SymmetryFunctions compiled(static_cast<int>(elements.size()), std::move(functions), read_cutoff(input),
                               numbers_of(elements));
    for (std::size_t e = 0; e < elements.size(); ++e)
        if (compiled.count(static_cast<int>(e)) == 0)
            Place{input.path().string(), 0}.fail("element " + elements[e] + " has no symmetry functions");
    return compiled;
}

std::vector<double> read_atom_energies(const Input& input, const Words& elements, double cfenergy) {
    std::vector<double> energies(elements.size(), 0.0);
    for (const Line* line : input.all("atom_energy")) {
        require_values(*line, 2, 2);
        energies[element_index(elements, line->words[1], line->place)] =
            parse_number(line->words[2], line->place) / cfenergy;
    }
    return energies;
}

Normalization read_normalization(const Input& input, double cflength, double cfenergy) {
    const Words keys{"mean_energy", "conv_energy", "conv_length"};
    const auto present = std::count_if(keys.begin(), keys.end(), [&](const auto& k) { return input.has(k); });
    if (present != 0 && present != 3)
        Place{input.path().string(), 0}.fail(
            "mean_energy, conv_energy and conv_length must be given together or not at all");
    Normalization n;
    n.used = present == 3 || cfenergy != 1.0;  // other units are a normalisation without a mean
    n.mean_energy = input.number(keys[0], 0.0) / cfenergy;
    n.conv_energy = input.number(keys[1], 1.0) * cfenergy;
    n.conv_length = n.used ? input.number(keys[2], 1.0) * cflength : 1.0;
    if (!(n.conv_energy > 0.0)) Place{input.path().string(), 0}.fail("conv_energy is not positive");
    return n;
}

// -- networks
// ------------------------------------------------------------------------------------------------

struct Topology {
    std::vector<int> hidden;
    std::vector<Activation> activations;
};

std::vector<int> read_nodes(const Line& line, std::size_t first) {
    std::vector<int> nodes;
    for (std::size_t k = first; k < line.words.size(); ++k) {
        nodes.push_back(parse_integer(line.words[k], line.place));
        if (nodes.back() < 1) line.place.fail("a layer has " + line.words[k] + " nodes");
    }
    return nodes;
}

std::vector<Activation> read_activations(const Line& line, std::size_t first) {
    std::vector<Activation> activations;
    for (std::size_t k = first; k < line.words.size(); ++k) {
        const std::string& word = line.words[k];
        if (word.size() != 1 || std::string("ltsprgcSeh").find(word) == std::string::npos)
            line.place.fail("unknown activation function \"" + word +
                            "\", expected one of l t s p r g c S e h");
        activations.push_back(static_cast<Activation>(word[0]));
    }
    return activations;
}

// The line of one element among those of an element_* keyword.
const Line* of_element(const Input& input,
                       const std::string& keyword,
                       const Words& elements,
                       std::size_t element) {
    const Line* found = nullptr;
    for (const Line* line : input.all(keyword)) {
        if (line->words.size() < 3) require_values(*line, 2, 99);
        if (element_index(elements, line->words[1], line->place) != static_cast<int>(element)) continue;
        if (found)
            line->place.fail("keyword \"" + keyword + "\" stands twice for element " + elements[element]);
        found = line;
    }
    return found;
}

// A keyword with global values that an element may override; `skip` words stand before its values.
struct Chosen {
    const Line* line;
    std::size_t skip;
};

Chosen choose(const Input& input, const std::string& name, const Words& elements, std::size_t element) {
    if (const Line* own = of_element(input, "element_" + name, elements, element)) return {own, 2};
    if (const Line* global = input.one("global_" + name)) return {global, 1};
    Place{input.path().string(), 0}.fail("keyword \"global_" + name + "\" is missing");
}

Topology read_topology(const Input& input, const Words& elements, std::size_t element) {
    const Chosen layers = choose(input, "hidden_layers_short", elements, element);
    require_values(*layers.line, layers.skip, layers.skip);
    const int n = parse_integer(layers.line->words[layers.skip], layers.line->place);
    if (n < 0) layers.line->place.fail("the number of hidden layers is " + std::to_string(n));
    Topology t;
    if (n > 0) {
        const Chosen nodes = choose(input, "nodes_short", elements, element);
        t.hidden = read_nodes(*nodes.line, nodes.skip);
        if (static_cast<int>(t.hidden.size()) != n)
            nodes.line->place.fail(std::to_string(t.hidden.size()) + " numbers of nodes for " +
                                   std::to_string(n) + " hidden layers");
    }
    const Chosen activation = choose(input, "activation_short", elements, element);
    t.activations = read_activations(*activation.line, activation.skip);
    if (static_cast<int>(t.activations.size()) != n + 1)
        activation.line->place.fail(std::to_string(t.activations.size()) + " activation functions for " +
                                    std::to_string(n) + " hidden layers and the output");
    return t;
}

std::string weights_name(const std::string& element) {
    char name[32];
    std::snprintf(name, sizeof name, "weights.%03d.data", atomic_number(element));
    return name;
}

Network read_network(const Input& input,
                     const fs::path& directory,
                     const Words& elements,
                     std::size_t element,
                     std::size_t inputs) {
    const Topology t = read_topology(input, elements, element);
    std::vector<int> nodes{static_cast<int>(inputs)};
    nodes.insert(nodes.end(), t.hidden.begin(), t.hidden.end());
    nodes.push_back(1);
    Network network(nodes, t.activations, input.has("normalize_nodes"));
    const fs::path path = directory / weights_name(elements[element]);
    std::vector<double> weights;
    for (const Line& line : read_lines(path, "#")) weights.push_back(parse_number(line.words[0], line.place));
    if (weights.size() != network.n_weights()) {
        std::string shape;
        for (int width : nodes) shape += (shape.empty() ? "" : "-") + std::to_string(width);
        throw Error(path.string() + ": " + std::to_string(weights.size()) + " weights, expected " +
                    std::to_string(network.n_weights()) + " for a " + shape + " network" +
                    (weights.size() < network.n_weights() ? "; is the file cut short?" : ""));
    }
    network.set_weights(std::move(weights));
    return network;
}

// -- scaling
// ---------------------------------------------------------------------------------------------------

ScalingType read_scaling_type(const Input& input) {
    const bool scale = input.has("scale_symmetry_functions"), center = input.has("center_symmetry_functions");
    if (scale) return center ? ScalingType::minmax_center : ScalingType::minmax;
    if (center) return ScalingType::center;
    return input.has("scale_symmetry_functions_sigma") ? ScalingType::sigma : ScalingType::none;
}

// One row: element and function counted from 1, min, max, mean and, in newer files, sigma.
void read_row(const Line& line,
              std::size_t element,
              std::size_t function,
              bool need_sigma,
              FeatureStatistics& s) {
    const std::size_t n = line.words.size();
    if (n < 5 || (need_sigma && n < 6))
        line.place.fail(std::to_string(n) + " values, expected element, function, min, max, mean and sigma");
    const int e = parse_integer(line.words[0], line.place), f = parse_integer(line.words[1], line.place);
    if (e != static_cast<int>(element) + 1 || f != static_cast<int>(function) + 1)
        line.place.fail("row of element " + line.words[0] + ", function " + line.words[1] + "; expected " +
                        std::to_string(element + 1) + ", " + std::to_string(function + 1));
    s.min.push_back(parse_number(line.words[2], line.place));
    s.max.push_back(parse_number(line.words[3], line.place));
    s.mean.push_back(parse_number(line.words[4], line.place));
    s.sigma.push_back(n > 5 ? parse_number(line.words[5], line.place) : 0.0);
}

// Without scaling.data nothing is known of the training range: no value can lie outside of it.
std::vector<FeatureStatistics> unbounded(const SymmetryFunctions& functions) {
    constexpr double huge = 1e300;
    std::vector<FeatureStatistics> statistics;
    for (int e = 0; e < functions.elements(); ++e) {
        const std::size_t n = functions.count(e);
        statistics.push_back({std::vector<double>(n, -huge), std::vector<double>(n, huge),
                              std::vector<double>(n, 0.0), std::vector<double>(n, 1.0)});
    }
    return statistics;
}

Scaling read_scaling(const Input& input, const fs::path& directory, const SymmetryFunctions& functions) {
    const ScalingType type = read_scaling_type(input);
    const double smin = input.number("scale_min_short", 0.0), smax = input.number("scale_max_short", 1.0);
    const fs::path path = directory / "scaling.data";
    std::error_code code;
    if (type == ScalingType::none && !fs::exists(path, code)) return {type, smin, smax, unbounded(functions)};
    const std::vector<Line> lines = read_lines(path, "#");
    std::vector<FeatureStatistics> statistics(functions.elements());
    std::size_t at = 0, expected = 0;
    for (int e = 0; e < functions.elements(); ++e) expected += functions.count(e);
    for (int e = 0; e < functions.elements(); ++e)
        for (std::size_t f = 0; f < functions.count(e); ++f, ++at) {
            if (at == lines.size())
                throw Error(path.string() + ": " + std::to_string(at) + " rows, expected " +
                            std::to_string(expected) + "; is the file cut short?");
            read_row(lines[at], e, f, type == ScalingType::sigma, statistics[e]);
        }
    // RuNNer writes the range of energies in a last line of two numbers.
    if (at < lines.size() && lines[at].words.size() == 2) ++at;
    if (at < lines.size())
        lines[at].place.fail("one row more than the " + std::to_string(expected) + " symmetry functions");
    return {type, smin, smax, std::move(statistics)};
}

// -- writing
// -----------------------------------------------------------------------------------------------------

// Writes under a temporary name and renames, so that no half-written file bears the name.
void write_file(const fs::path& path, const std::string& content) {
    const fs::path temporary = path.string() + ".tmp";
    const auto fail = [&](const char* what) {
        const std::string reason = std::strerror(errno);
        std::error_code ignored;
        fs::remove(temporary, ignored);
        throw Error(path.string() + ": " + what + " (" + reason + ")");
    };
    std::ofstream file(temporary, std::ios::binary);
    if (!file) fail("cannot be written");
    file << content;
    file.close();
    if (!file) fail("writing failed");
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail("renaming failed");
}

std::string keyword(const std::string& name, const std::string& values) {
    return values.empty() ? name + "\n"
                          : name + std::string(name.size() < 32 ? 32 - name.size() : 1, ' ') + values + "\n";
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

// One global keyword, and element keywords where the elements differ.
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

std::string function_line(const Words& elements, SymmetryFunction f) {
    Words words{"symfunction_short", elements[f.center], std::to_string(f.type)};
    for (const std::string& column : function_columns().at(f.type)) {
        if (column == "[rs]" && f.rs == 0.0) continue;
        if (column == "e1")
            words.push_back(elements[f.neighbor1]);
        else if (column == "e2")
            words.push_back(elements[f.neighbor2]);
        else if (const double* number = function_number(f, column))
            words.push_back(exact(*number));
        else
            words.push_back(f.subtype());
    }
    return join(words) + "\n";
}

std::string input_text(const Potential& p, const std::string& comments, const std::string& units) {
    std::string text;
    std::istringstream stream(comments);
    for (std::string line; std::getline(stream, line);) text += "# " + line + "\n";
    text += "# Units: " + units + "\n";
    text += keyword("number_of_elements", std::to_string(p.elements().size())) +
            keyword("elements", join(p.elements()));
    for (std::size_t e = 0; e < p.elements().size(); ++e)
        text += keyword("atom_energy", p.elements()[e] + " " + exact(p.atom_energies()[e]));
    text += "remove_atom_energies\n";  // without which RuNNer and CP2K do not add them
    const Normalization& n = p.normalization();
    if (n.used)
        text += keyword("mean_energy", exact(n.mean_energy)) + keyword("conv_energy", exact(n.conv_energy)) +
                keyword("conv_length", exact(n.conv_length));
    const Cutoff cutoff = p.functions().cutoff_function();
    text += keyword("cutoff_type", std::to_string(static_cast<int>(cutoff.type)) +
                                       (cutoff.alpha != 0.0 ? " " + exact(cutoff.alpha) : ""));
    text += scaling_lines(p.scaling());
    text += topology_lines(p, "hidden_layers_short",
                           [](const Network& network) { return std::to_string(network.nodes().size() - 2); });
    text += topology_lines(p, "nodes_short", nodes_text) +
            topology_lines(p, "activation_short", activations_text);
    if (p.network(0).normalize_nodes()) text += "normalize_nodes\n";
    for (int e = 0; e < p.functions().elements(); ++e)
        for (const SymmetryFunction& f : p.functions().functions(e)) text += function_line(p.elements(), f);
    return text;
}

std::string scaling_text(const Potential& p) {
    std::string text =
        "# Statistics of the symmetry functions over the training set\n"
        "#  e_index   sf_index                   sf_min                   sf_max                  sf_mean    "
        "             sf_sigma\n";
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

// Value, a (weight) or b (bias), a running number, and where the connection starts and ends.
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

int atomic_number(const std::string& symbol) {
    const auto found = std::find(std::begin(symbols), std::end(symbols), symbol);
    return found == std::end(symbols) ? 0 : static_cast<int>(found - std::begin(symbols)) + 1;
}

InputFunctions read_functions(const std::string& input_nn, double cflength) {
    if (!(cflength > 0.0) || !std::isfinite(cflength)) throw Error("cflength is not a positive number");
    const Input input(input_nn);
    const Words elements = read_elements(input);
    return {elements, read_symmetry_functions(input, elements, 1.0 / cflength)};
}

Potential Potential::load(const std::string& directory, double cflength, double cfenergy) {
    for (double factor : {cflength, cfenergy})
        if (!(factor > 0.0) || !std::isfinite(factor))
            throw Error("cflength and cfenergy must be positive numbers");
    const fs::path path(directory);
    std::error_code code;
    if (!fs::exists(path, code)) throw Error(directory + ": no such directory");
    if (!fs::is_directory(path, code))
        throw Error(directory + ": is a file, expected a directory with input.nn");
    const Input input(path / "input.nn");
    const Words elements = read_elements(input);
    SymmetryFunctions functions = read_symmetry_functions(input, elements, 1.0 / cflength);
    std::vector<Network> networks;
    for (std::size_t e = 0; e < elements.size(); ++e)
        networks.push_back(read_network(input, path, elements, e, functions.count(static_cast<int>(e))));
    Scaling scaling = read_scaling(input, path, functions);
    return Potential(elements, std::move(functions), std::move(scaling), std::move(networks),
                     read_atom_energies(input, elements, cfenergy),
                     read_normalization(input, cflength, cfenergy));
}

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
    write_file(path / "input.nn", input_text(*this, comments, units));
}

}  // namespace sitewise
