// The n2p2/RuNNer directory: input.nn, scaling.data, weights.ZZZ.data.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "keywords.hpp"
#include "sitewise/ensemble.hpp"
#include "sitewise/error.hpp"
#include "sitewise/potential.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

// What is read at most, beyond any potential: lines of input.nn, and symmetry functions, of all elements and
// of one
constexpr std::size_t most_lines = 100000, most_functions = 20000, most_of_element = 4000;

constexpr const char* symbols[] = {
    "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",  "S",  "Cl",
    "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se",
    "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb",
    "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er",
    "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At",
    "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No",
    "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

std::string padded(const std::string& text, std::size_t width) {
    return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

// -- the keywords of input.nn ----------------------------------------------------------------------------

void require_values(const Line& line, std::size_t least, std::size_t most) {
    const std::size_t n = line.words.size() - 1;
    if (n >= least && n <= most) return;
    const std::string expected = std::to_string(least) + (most > least ? " to " + std::to_string(most) : "");
    line.place.fail("keyword \"" + line.words[0] + "\" has " + std::to_string(n) + " values, expected " +
                    expected);
}

[[noreturn]] void unknown_keyword(const Line& line) {
    const std::string nearest = nearest_keyword(line.words[0]);
    line.place.fail("unknown keyword " + quoted(line.words[0]) +
                    (nearest.empty() ? "" : ", did you mean \"" + nearest + "\"?"));
}

// Keywords whose presence alone switches something on, whatever stands behind them
void check_flag(const Line& line) {
    static const Words flags{"remove_atom_energies", "scale_symmetry_functions", "center_symmetry_functions",
                             "scale_symmetry_functions_sigma", "normalize_nodes"};
    if (contains(flags, line.words[0]) && line.words.size() > 1)
        line.place.fail("keyword \"" + line.words[0] + "\" has the value " + quoted(line.words[1]) +
                        ", expected none: it is on where it stands; remove the line to switch it off");
}

// Values that ask for what is not computed
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

// The keywords and values of an input.nn.
class Input {
public:
    explicit Input(const fs::path& path) : path_(path) {
        LineReader reader(path, "#!");
        for (Line line; reader.next(line); lines_.push_back(std::move(line))) {
            if (lines_.size() == most_lines)
                line.place.fail("is the line after " + std::to_string(most_lines) +
                                " others, the most that are read");
            check(line);
        }
        for (const Line& line : lines_) places_[line.words[0]].push_back(&line);
    }

    std::vector<const Line*> all(const std::string& keyword) const {
        const auto found = places_.find(keyword);
        return found == places_.end() ? std::vector<const Line*>() : found->second;
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
        if (!line) whole().fail("keyword \"" + keyword + "\" is missing");
        return *line;
    }

    bool has(const std::string& keyword) const { return one(keyword) != nullptr; }

    double number(const std::string& keyword, double otherwise) const {
        const Line* line = one(keyword);
        return line ? parse_number(value(*line), line->place) : otherwise;
    }

    // The single value of a line.
    static const std::string& value(const Line& line) {
        require_values(line, 1, 1);
        return line.words[1];
    }

    Place whole() const { return {path_.string(), 0}; }

    // A phrase that names the first keyword that RuNNer alone knows; empty without one. The file is RuNNer's
    // then, or was before n2p2 trained with it.
    const std::string& runners_own() const { return runners_own_; }

    // Refuses what n2p2 and RuNNer read otherwise in a file that is RuNNer's, or was.
    void require_n2p2s(const Place& place, const std::string& difference) const {
        if (!runners_own_.empty())
            place.fail(difference + ", and " + runners_own_ +
                       " is RuNNer's alone: if n2p2 trained this potential, remove RuNNer's keywords");
    }

    // What the file does not say and the reader takes to be so
    void assume(const std::string& what) const { assumed_.push_back(what); }
    const std::vector<std::string>& assumed() const { return assumed_; }

private:
    void check(Line& line) {
        const Keyword* known = find_keyword(line.words[0]);
        if (!known) unknown_keyword(line);
        if (known->status == KeywordStatus::refused)
            line.place.fail("keyword \"" + known->name + "\" is not supported: " + known->reason);
        if (known->owner == KeywordOwner::runner && runners_own_.empty() &&
            known->name != "remove_atom_energies")
            runners_own_ = "\"" + known->name + "\" in line " + std::to_string(line.place.line);
        line.words[0] = canonical(known->name);
        check_flag(line);
        check_value(line);
    }

    fs::path path_;
    std::vector<Line> lines_;
    std::map<std::string, std::vector<const Line*>> places_;
    std::string runners_own_;
    mutable std::vector<std::string> assumed_;
};

// -- what input.nn says ------------------------------------------------------------------------------------

Words read_elements(const Input& input) {
    const Line& line = input.required("elements");
    Words elements(line.words.begin() + 1, line.words.end());
    if (elements.empty()) line.place.fail("keyword \"elements\" names no element");
    for (const std::string& e : elements)
        if (atomic_number(e) == 0) line.place.fail(quoted(e) + " is not a chemical element");
    std::sort(elements.begin(), elements.end(),
              [](const auto& a, const auto& b) { return atomic_number(a) < atomic_number(b); });
    if (const auto twice = std::adjacent_find(elements.begin(), elements.end()); twice != elements.end())
        line.place.fail("element " + *twice + " stands twice");
    const Line& count = input.required("number_of_elements");
    if (parse_integer(Input::value(count), count.place) != static_cast<int>(elements.size()))
        count.place.fail("number_of_elements is " + shown(count.words[1]) + ", but " +
                         std::to_string(elements.size()) + " elements are named in line " +
                         std::to_string(line.place.line));
    return elements;
}

int element_index(const Words& elements, const std::string& symbol, const Place& place) {
    const auto found = std::find(elements.begin(), elements.end(), symbol);
    if (found == elements.end()) place.fail(quoted(symbol) + " is not one of the elements " + join(elements));
    return static_cast<int>(found - elements.begin());
}

double parse_alpha(const std::string& word, const Place& place) {
    const double alpha = parse_number(word, place);
    if (alpha < 0.0 || alpha >= 1.0) place.fail("alpha is " + shown(word) + ", expected 0 <= alpha < 1");
    return alpha;
}

// n2p2's cutoff_type with the type and alpha, or a type of its own where RuNNer has its default
Cutoff read_cutoff_type(const Input& input) {
    const Line* line = input.one("cutoff_type");
    if (!line) {
        input.assume("cutoff_type is missing: RuNNer's default 1 is used");
        return {};
    }
    require_values(*line, 1, 2);
    const int type = parse_integer(line->words[1], line->place);
    if (type < 0 || type > 8)
        line->place.fail("cutoff_type is " + shown(line->words[1]) + ", expected 0 to 8");
    if (type == 3)
        input.require_n2p2s(line->place, "n2p2's and RuNNer's cutoff functions 3 differ by a factor");
    const auto kind = static_cast<CutoffType>(type);
    return {kind, line->words.size() > 2 ? parse_alpha(line->words[2], line->place) : 0.0};
}

Cutoff read_cutoff(const Input& input) {
    Cutoff cutoff = read_cutoff_type(input);
    const Line *own = input.one("cutoff_alpha"), *type = input.one("cutoff_type");
    if (!own) {
        if (cutoff.alpha > 0.0)
            input.require_n2p2s(type->place,
                                "n2p2 reads the alpha of cutoff_type, RuNNer that of cutoff_alpha alone");
        return cutoff;
    }
    const double alpha = parse_alpha(Input::value(*own), own->place);
    if (type && type->words.size() > 2 && alpha != cutoff.alpha)
        own->place.fail("cutoff_alpha is " + shown(own->words[1]) + ", but cutoff_type in line " +
                        std::to_string(type->place.line) + " has " + shown(type->words[2]));
    if (alpha > 0.0 && (cutoff.type == CutoffType::tanhu || cutoff.type == CutoffType::tanh))
        own->place.fail(
            "with an inner cutoff RuNNer's cutoff functions 2 and 3 jump, which is not supported: "
            "evaluate this potential with RuNNer");
    return {cutoff.type, alpha};
}

// The columns of a symfunction_short line behind element and type; what stands in brackets may be missing.
const std::map<int, Words>& function_columns() {
    static const Words compact{"rl", "rc"}, angles{"angle_left", "angle_right"};
    static const auto joined = [](std::initializer_list<Words> parts) {
        Words all;
        for (const Words& part : parts) all.insert(all.end(), part.begin(), part.end());
        return all;
    };
    static const std::map<int, Words> columns{{1, {"e1", "rc"}},
                                              {2, {"e1", "eta", "rs", "rc"}},
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

const Words& columns_of(const std::string& type, const Place& place) {
    static const std::map<int, std::string> others{{4, "cosines of distances"},
                                                   {5, "coordinates, which are not invariant"},
                                                   {6, "bare distances, which jump at the cutoff"},
                                                   {8, "Gaussians of angles"}};
    const int number = parse_integer(type, place);
    if (const auto known = others.find(number); known != others.end())
        place.fail("symmetry functions of RuNNer's type " + shown(type) + " (" + known->second +
                   ") are not supported: evaluate this potential with RuNNer");
    const auto columns = function_columns().find(number);
    if (columns == function_columns().end())
        place.fail("symmetry function of unknown type " + shown(type) +
                   ", expected 1, 2, 3, 9, 12, 13 or 20 to 25");
    return columns->second;
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
    if (f.is_angular() && !f.is_compact() && (f.zeta <= 0.0 || f.zeta > 1000.0))
        place.fail("zeta is " + exact(f.zeta) + ", expected a positive number up to 1000");
}

void set_column(SymmetryFunction& f,
                const std::string& column,
                const std::string& word,
                const Words& elements,
                const Place& place) {
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

// Lengths of the file times this are Angstrom.
SymmetryFunction read_function(const Line& line, const Words& elements, double length) {
    const Place& place = line.place;
    if (line.words.size() < 3) require_values(line, 4, 9);
    SymmetryFunction f;
    f.center = element_index(elements, line.words[1], place);
    f.type = parse_integer(line.words[2], place);
    const Words& columns = columns_of(line.words[2], place);
    const std::size_t most = 2 + columns.size();
    require_values(line, columns.back() == "[rs]" ? most - 1 : most, most);
    for (std::size_t k = 0; k + 3 < line.words.size(); ++k)
        set_column(f, columns[k], line.words[k + 3], elements, place);
    check_numbers(f, place);
    f.eta /= length * length;
    for (double* x : {&f.rs, &f.cutoff, &f.left}) *x *= length;
    return f;
}

// The neighbours of a function that stands for all elements, or all pairs of them
std::vector<Words> neighbors_of(const Words& columns, const Words& elements) {
    std::vector<Words> all;
    for (std::size_t a = 0; a < elements.size(); ++a)
        if (!contains(columns, "e2"))
            all.push_back({elements[a]});
        else
            for (std::size_t b = a; b < elements.size(); ++b) all.push_back({elements[a], elements[b]});
    return all;
}

// The lines symfunction_short that RuNNer's element_symfunction_short or global_symfunction_short stands for
std::vector<Line> expanded(const Line& line, const Words& elements) {
    const std::size_t type = line.words[0] == "element_symfunction_short" ? 2 : 1;
    if (line.words.size() <= type) require_values(line, type + 1, type + 5);
    const Words& columns = columns_of(line.words[type], line.place);
    if (!contains({"1", "2", "3", "9"}, line.words[type]))
        line.place.fail("keyword \"" + line.words[0] + "\" has the type " + shown(line.words[type]) +
                        ", expected 1, 2, 3 or 9");
    const auto numbers = static_cast<std::size_t>(std::count_if(
        columns.begin(), columns.end(), [](const auto& c) { return c[0] != '[' && c != "e1" && c != "e2"; }));
    require_values(line, type + numbers, type + numbers);
    std::vector<Line> lines;
    for (const std::string& center : type == 2 ? Words{line.words[1]} : elements)
        for (const Words& neighbors : neighbors_of(columns, elements)) {
            Words words{"symfunction_short", center, line.words[type]};
            words.insert(words.end(), neighbors.begin(), neighbors.end());
            words.insert(words.end(), line.words.begin() + type + 1, line.words.end());
            lines.push_back({line.place, std::move(words)});
        }
    return lines;
}

// Appends one, unless there are more than any potential has.
void add_function(std::vector<SymmetryFunction>& functions,
                  std::vector<std::size_t>& counts,
                  const SymmetryFunction& f,
                  const Place& place) {
    if (functions.size() == most_functions || ++counts[f.center] > most_of_element)
        place.fail("there are more than " + std::to_string(most_of_element) +
                   " symmetry functions of one element, or " + std::to_string(most_functions) +
                   " of all, the most that are read");
    functions.push_back(f);
}

std::vector<SymmetryFunction> all_functions(const Input& input, const Words& elements, double length) {
    std::vector<SymmetryFunction> functions;
    std::vector<std::size_t> counts(elements.size());
    const auto add = [&](const Line& line) {
        add_function(functions, counts, read_function(line, elements, length), line.place);
        const SymmetryFunction& f = functions.back();
        if ((f.type == 3 || f.type == 9) && f.rs != 0.0)
            input.require_n2p2s(line.place, "n2p2 reads the shift of angular functions, RuNNer does not");
    };
    for (const Line* line : input.all("symfunction_short")) add(*line);
    for (const char* keyword : {"element_symfunction_short", "global_symfunction_short"})
        for (const Line* line : input.all(keyword))
            for (const Line& one : expanded(*line, elements)) add(one);
    return functions;
}

// RuNNer's type 1, a sum of cosine cutoff functions, becomes type 2 with eta = 0, unless RuNNer would have it
// at another place of scaling.data: it sorts type 1 before type 2.
void convert_type_1(const Input& input, const Cutoff& cutoff, std::vector<SymmetryFunction>& functions) {
    std::map<int, double> largest;  // cutoff of a centre's functions of type 1
    for (const SymmetryFunction& f : functions)
        if (f.type == 1) largest[f.center] = std::max(largest[f.center], f.cutoff);
    if (largest.empty()) return;
    if (cutoff.type != CutoffType::cosine || cutoff.alpha != 0.0)
        input.whole().fail(
            "RuNNer's symmetry functions of type 1 have the cosine as their cutoff function, the others "
            "of this file have not: evaluate this potential with RuNNer");
    for (const SymmetryFunction& f : functions)
        if (f.type == 2 && largest.count(f.center) &&
            (f.cutoff < largest[f.center] || (f.cutoff == largest[f.center] && f.eta == 0.0)))
            input.whole().fail(
                "a symmetry function of RuNNer's type 1 has a larger cutoff than one of type 2, which "
                "is not supported: evaluate this potential with RuNNer");
    for (SymmetryFunction& f : functions)
        if (f.type == 1) f.type = 2;
    input.assume("symmetry functions of type 1 are read as type 2 with eta = 0");
}

std::vector<int> numbers_of(const Words& elements) {
    std::vector<int> numbers;
    for (const std::string& e : elements) numbers.push_back(atomic_number(e));
    return numbers;
}

SymmetryFunctions read_symmetry_functions(const Input& input, const Words& elements, double length) {
    const Cutoff cutoff = read_cutoff(input);
    std::vector<SymmetryFunction> functions = all_functions(input, elements, length);
    convert_type_1(input, cutoff, functions);
    SymmetryFunctions compiled(static_cast<int>(elements.size()), std::move(functions), cutoff,
                               numbers_of(elements));
    for (std::size_t e = 0; e < elements.size(); ++e)
        if (compiled.count(static_cast<int>(e)) == 0)
            input.whole().fail("element " + elements[e] + " has no symmetry functions");
    return compiled;
}

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

// -- networks
// ------------------------------------------------------------------------------------------------

// The lines of one element among those of an element_* keyword.
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

// The one line of an element in n2p2's form
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

// The widths of n hidden layers, behind `first` words of a line
std::vector<int> read_widths(const Line& line, std::size_t first, int n) {
    std::vector<int> widths;
    for (std::size_t k = first; k < line.words.size(); ++k)
        widths.push_back(parse_width(line.words[k], line.place));
    if (static_cast<int>(widths.size()) != n)
        line.place.fail(std::to_string(widths.size()) + " numbers of nodes for " + std::to_string(n) +
                        " hidden layers");
    return widths;
}

// RuNNer's form of element_nodes_short: a layer and its number of nodes, the others being global. Nothing
// where the lines cannot have that form.
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

// The hidden layers of an element; two readings where n2p2 and RuNNer would differ: the weights decide.
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
    if (readings.empty()) read_widths(single(own), 2, n);  // says what is wrong
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

// RuNNer's form of element_activation_short: a layer, a node and its function, which must be that of the
// layer
void check_runners_activation(const Line& line, const std::string& letters) {
    require_values(line, 4, 4);
    const int layer = parse_integer(line.words[2], line.place);
    if (layer < 1 || layer > static_cast<int>(letters.size()))
        line.place.fail("layer " + shown(line.words[2]) + " is not one of " + std::to_string(letters.size()));
    if (line.words[4] != std::string(1, letters[layer - 1]))
        line.place.fail(
            "a node of its own activation function is not supported, one for each layer is: evaluate this "
            "potential with RuNNer");
}

// n2p2 has one letter for each layer, but takes that of the output from the global line alone.
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

std::string numbered_file(const char* format, const std::string& element) {
    char name[32];
    std::snprintf(name, sizeof name, format, atomic_number(element));
    return name;
}

std::string weights_name(const std::string& element) {
    return numbered_file("weights.%03d.data", element);
}

// weights.ZZZ.data, or RuNNer's optweights.ZZZ.out as its training leaves it
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

// A row of weights is a number alone or, as n2p2 and RuNNer write it, with a (weight) or b (bias) and its
// place behind it: then a row that lacks them has been cut.
bool has_form(const Words& row, bool alone) {
    return alone ? row.size() == 1 : row.size() > 1 && contains({"a", "b"}, row[1]);
}

// The numbers of a file of weights, as far as one more than `most`
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

// In double precision, which no file can make overflow
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

Network read_network(const Input& input,
                     const fs::path& directory,
                     const Words& elements,
                     std::size_t element,
                     std::size_t inputs) {
    const int n = read_hidden_layers(input, elements, element);
    std::vector<std::vector<int>> readings;
    for (const auto& hidden : read_hidden(input, elements, element, n))
        readings.push_back(all_nodes(inputs, hidden));
    std::vector<Activation> activations;
    for (char letter : read_activations(input, elements, element, n))
        activations.push_back(static_cast<Activation>(letter));
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
    Network network(*nodes, activations, input.has("normalize_nodes"));
    network.set_weights(std::move(weights.values));
    return network;
}

// -- scaling
// -------------------------------------------------------------------------------------------------

ScalingType read_scaling_type(const Input& input) {
    const bool scale = input.has("scale_symmetry_functions"), center = input.has("center_symmetry_functions");
    if (scale) return center ? ScalingType::minmax_center : ScalingType::minmax;
    if (center) return ScalingType::center;
    return input.has("scale_symmetry_functions_sigma") ? ScalingType::sigma : ScalingType::none;
}

// What no set of values has
void check_statistics(const FeatureStatistics& s, bool need_mean, const Place& place) {
    const double min = s.min.back(), max = s.max.back(), mean = s.mean.back();
    const double rounding = 1e-6 * (std::fabs(min) + std::fabs(max)) + 1e-8;
    if (min > max) place.fail("the minimum " + exact(min) + " is above the maximum " + exact(max));
    if (need_mean && (mean < min - rounding || mean > max + rounding))
        place.fail("the mean " + exact(mean) + " is not between minimum " + exact(min) + " and maximum " +
                   exact(max));
    if (s.sigma.back() < 0.0) place.fail("sigma is " + exact(s.sigma.back()) + ", expected 0 or more");
}

// One row: element and function counted from 1, min, max, mean and, in newer files, sigma.
void read_row(const Line& line,
              std::size_t element,
              std::size_t function,
              ScalingType type,
              FeatureStatistics& s) {
    const std::size_t n = line.words.size();
    if (n < 5 || (type == ScalingType::sigma && n < 6))
        line.place.fail(std::to_string(n) + " values, expected element, function, min, max, mean and sigma");
    const int e = parse_integer(line.words[0], line.place), f = parse_integer(line.words[1], line.place);
    if (e != static_cast<int>(element) + 1 || f != static_cast<int>(function) + 1)
        line.place.fail("row of element " + shown(line.words[0]) + ", function " + shown(line.words[1]) +
                        "; expected " + std::to_string(element + 1) + ", " + std::to_string(function + 1));
    s.min.push_back(parse_number(line.words[2], line.place));
    s.max.push_back(parse_number(line.words[3], line.place));
    s.mean.push_back(parse_number(line.words[4], line.place));
    s.sigma.push_back(n > 5 ? parse_number(line.words[5], line.place) : 0.0);
    check_statistics(s, type != ScalingType::none && type != ScalingType::minmax, line.place);
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
    if (!(smin < smax))
        input.whole().fail("scale_min_short is " + exact(smin) + " and scale_max_short " + exact(smax) +
                           ", expected a maximum above the minimum");
    const fs::path path = directory / "scaling.data";
    std::error_code code;
    if (type == ScalingType::none && !fs::exists(path, code)) return {type, smin, smax, unbounded(functions)};
    std::vector<FeatureStatistics> statistics(functions.elements());
    std::size_t at = 0, expected = 0;
    for (int e = 0; e < functions.elements(); ++e) expected += functions.count(e);
    LineReader reader(path, "#");
    Line line;
    for (int e = 0; e < functions.elements(); ++e)
        for (std::size_t f = 0; f < functions.count(e); ++f, ++at) {
            if (!reader.next(line))
                throw Error(path.string() + ": " + std::to_string(at) + " rows, expected " +
                            std::to_string(expected) + "; is the file cut short?");
            read_row(line, e, f, type, statistics[e]);
        }
    // RuNNer writes the range of energies in a last line of two numbers.
    if (bool more = reader.next(line); more && (line.words.size() != 2 || reader.next(line)))
        line.place.fail("one row more than the " + std::to_string(expected) + " symmetry functions");
    return {type, smin, smax, std::move(statistics)};
}

// -- writing
// -------------------------------------------------------------------------------------------------

// A name beside a file that nobody has, for python/sitewise/files.py to recognize.
fs::path temporary_name(const fs::path& path, int attempt) {
    char mark[32];
    std::snprintf(mark, sizeof mark, ".sitewise-%08x", static_cast<unsigned>(::getpid()) + 65536u * attempt);
    return path.parent_path() / ("." + path.filename().string() + mark);
}

// All of it, on the disk
bool write_all(int file, const std::string& content) {
    for (std::size_t done = 0; done < content.size();) {
        const ssize_t n = ::write(file, content.data() + done, content.size() - done);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) done += static_cast<std::size_t>(n);
    }
    return ::fsync(file) == 0 || errno == EINVAL || errno == EROFS;  // where there is no disk
}

int open_temporary(const fs::path& path, fs::path& temporary) {
    for (int attempt = 0;; ++attempt) {
        temporary = temporary_name(path, attempt);
        const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST || attempt == 1000) return file;
    }
}

// Writes under a temporary name and renames, so that no half-written file bears the name.
void write_file(const fs::path& path, const std::string& content) {
    fs::path temporary;
    const int file = open_temporary(path, temporary);
    const auto fail = [&](const char* what, int reason) {
        if (file >= 0) ::unlink(temporary.c_str());
        throw Error(path.string() + ": " + what + " (" + std::strerror(reason) + ")");
    };
    if (file < 0) fail("cannot be written", errno);
    int reason = write_all(file, content) ? 0 : errno;
    if (::close(file) != 0 && reason == 0) reason = errno;
    if (reason != 0) fail("writing failed", reason);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail("renaming failed", errno);
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

// n2p2 has one activation function for the outputs of all networks.
void check_outputs(const Potential& p) {
    for (std::size_t e = 1; e < p.elements().size(); ++e)
        if (p.network(static_cast<int>(e)).activations().back() != p.network(0).activations().back())
            throw Error("the networks of " + p.elements()[0] + " and " + p.elements()[e] +
                        " end in different activation functions, which n2p2 does not read");
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
    check_outputs(p);
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
    if (const Line* line = input.one("committee_mode"); line && !ensemble_members(directory).empty())
        line->place.fail("the folder holds a committee, expected one potential: load it as an ensemble");
    const Words elements = read_elements(input);
    SymmetryFunctions functions = read_symmetry_functions(input, elements, 1.0 / cflength);
    std::vector<Network> networks;
    for (std::size_t e = 0; e < elements.size(); ++e)
        networks.push_back(read_network(input, path, elements, e, functions.count(static_cast<int>(e))));
    Scaling scaling = read_scaling(input, path, functions);
    Potential potential(elements, std::move(functions), std::move(scaling), std::move(networks),
                        read_atom_energies(input, elements, cfenergy),
                        read_normalization(input, cflength, cfenergy));
    potential.assumed_ = input.assumed();
    return potential;
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
