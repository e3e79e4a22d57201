#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "sitewise/potential.hpp"

// Unless ASAN_OPTIONS say otherwise: the traces of allocations take most of the time of small inputs.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
    return "malloc_context_size=2:quarantine_size_mb=32";
}

// Files of a potential in one text: each stands behind a line "=== NAME".
namespace fuzz {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;
using Files = std::map<std::string, Lines>;
using Words = std::vector<std::string>;

inline Words split(const std::string& line) {
    Words words;
    for (std::size_t at = 0; (at = line.find_first_not_of(" \t", at)) != std::string::npos;) {
        const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
        words.push_back(line.substr(at, end - at));
        at = end;
    }
    return words;
}

inline std::string join(const Words& words) {
    std::string line;
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
    return line;
}

// A name that stays in its folder
inline bool plain(const std::string& name) {
    return !name.empty() && name.size() < 100 && name[0] != '.' &&
           name.find_first_of(std::string("/\0", 2)) == std::string::npos;
}

inline Files unpack(const std::string& text) {
    Files files;
    Lines* file = &files["input.nn"];
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string line = text.substr(at, end - at);
        at = end + 1;
        if (line.rfind("=== ", 0) == 0 && plain(line.substr(4)))
            file = &files[line.substr(4)];
        else
            file->push_back(std::move(line));
    }
    return files;
}

inline std::string pack(const Files& files) {
    std::string text;
    for (const auto& [name, lines] : files) {
        text += "=== " + name + "\n";
        for (const std::string& line : lines) text += line + "\n";
    }
    return text;
}

// A folder in memory, of this process
inline const fs::path& scratch() {
    static const fs::path path = [] {
        const fs::path memory = fs::is_directory("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
        const fs::path made = memory / ("sitewise-fuzz-" + std::to_string(::getpid()));
        fs::create_directories(made);
        std::atexit([] { fs::remove_all(scratch()); });
        return made;
    }();
    return path;
}

inline void write_file(const std::string& path, const Lines& lines) {
    std::string text;
    for (const std::string& line : lines) (text += line) += '\n';
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        std::abort();
    ::close(file);
}

// A folder with these files alone, those of before among them
class Folder {
public:
    explicit Folder(const char* name) : path_(scratch() / name) { fs::create_directories(path_); }
    const std::string& path() const { return path_; }
    void write(const Files& files) {
        for (const std::string& name : written_)
            if (!files.count(name)) ::unlink((path_ + '/' + name).c_str());
        written_.clear();
        for (const auto& [name, lines] : files) {
            write_file(path_ + '/' + name, lines);
            written_.push_back(name);
        }
    }

private:
    std::string path_;
    Words written_;
};

// How many inputs did what; printed at the end.
struct Counter {
    const char* name;
    std::size_t inputs = 0, read = 0, computed = 0;
    void print() const {
        std::fprintf(stderr, "%s: %zu inputs, %zu read (%.1f %%), %zu computed (%.1f %%)\n", name, inputs,
                     read, 100.0 * read / (inputs ? inputs : 1), computed,
                     100.0 * computed / (inputs ? inputs : 1));
    }
};

// What must hold does not: libFuzzer keeps the input.
inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

// Both NaN, or the same number
inline bool same(double a, double b) {
    return a == b || (a != a && b != b);
}

// -- mutations that keep files loadable -----------------------------------------------------------------

class Mutator {
public:
    explicit Mutator(unsigned seed) : random_(seed) {}

    // Remembers an input that loads, in place of an older one.
    static void remember(const std::string& text) {
        static std::size_t count = 0;
        if (loaded().size() < 500)
            loaded().push_back(text);
        else
            loaded()[count++ % 500] = text;
    }

    // Changes one or two things, mostly of one that loads, and mostly makes numbers of rows right again.
    std::string mutate(const std::string& text) {
        Files files = unpack(loaded().empty() || pick(4) == 0 ? text : one(loaded()));
        for (std::size_t n = 1 + pick(2); n > 0; --n) change(files);
        if (pick(8)) repair(files);
        return pack(files);
    }

private:
    std::mt19937 random_;

    static Lines& loaded() {
        static Lines all;
        return all;
    }

    std::size_t pick(std::size_t n) { return n ? random_() % n : 0; }
    template <class T>
    const T& one(const std::vector<T>& all) {
        return all[pick(all.size())];
    }

    std::string number() {
        static const Words odd = {
            "0",      "-0",         "1",      "-1",      "nan",   "inf", "1e300", "-1e300", "1e-300",
            "1e-400", "1e400",      "0x1p3",  "1D0",     "+1",    ".5",  "5.",    "1e9",    "1e10",
            "99999",  "2147483648", "0.9999", "-1e-320", "4.94",  "1,5", "1_0",   "1e-12",  "180",
            "360",    "1e6",        "1e",     "--1",     "1.0.0", "16",  "0.5",   "1e15",   "3"};
        if (pick(4) == 0) return one(odd);
        const double scales[] = {1e-3, 0.1, 1.0, 1.0, 6.0, 6.0, 200.0};
        char text[32];
        std::snprintf(text, sizeof text, "%.6g", (2.0 * random_() / 4294967295.0 - 0.5) * scales[pick(7)]);
        return text;
    }

    std::string element() { return one(Words{"H", "O", "Si", "Cu", "H", "O", "Si", "Og", "X"}); }

    std::string function_line() {
        const std::string e = element();
        const std::string rc = one(Words{"3.5", "4.0", "4.5", number()});
        const std::string f = one(Words{"p1", "p2", "p3", "p4", "p1a", "p2a", "p4a", "e", "ea", "p9"});
        const std::string zeta = one(Words{"1", "2", "4", "16", "1.5", number()});
        const std::string lambda = one(Words{"1", "-1", number()});
        const std::string angles =
            one(Words{"0 180", "60 120", "-30 40", "150 210", number() + " " + number()});
        const auto line = [&](const Words& words) { return join(words); };
        switch (pick(11)) {
            case 0:
                return line({"symfunction_short", e, "2", element(), number(), "0.0", rc});
            case 1:
                return line({"symfunction_short", e, "2", element(), "0.5", number(), rc});
            case 2:
                return line({"symfunction_short", e, "3", element(), element(), "0.01", lambda, zeta, rc});
            case 3:
                return line({"symfunction_short", e, "9", element(), element(), "0.01", lambda, zeta, rc});
            case 4:
                return line(
                    {"symfunction_short", e, "9", element(), element(), "0.1", lambda, zeta, rc, number()});
            case 5:
                return line({"symfunction_short", e, "12", "0.1", number(), rc});
            case 6:
                return line({"symfunction_short", e, "13", "0.1", number(), lambda, zeta, rc});
            case 7:
                return line({"symfunction_short", e, one(Words{"20", "23"}), element(), number(), rc, f});
            case 8:
                return line({"symfunction_short", e, "23", number(), rc, f});
            case 9:
                return line({"symfunction_short", e, one(Words{"21", "22"}), element(), element(), number(),
                             rc, angles, f});
            default:
                return line({"symfunction_short", e, one(Words{"24", "25"}), number(), rc, angles, f});
        }
    }

    std::string keyword_line() {
        switch (pick(12)) {
            case 0:
                return "cutoff_type " + std::to_string(pick(10)) + one(Words{"", " 0.5", " " + number()});
            case 1:
                return one(Words{"scale_symmetry_functions", "center_symmetry_functions",
                                 "scale_symmetry_functions_sigma", "normalize_nodes"});
            case 2:
                return "scale_min_short " + number();
            case 3:
                return "scale_max_short " + number();
            case 4:
                return "global_activation_short " + activations();
            case 5:
                return "element_activation_short " + element() + " " + activations();
            case 6:
                return "global_nodes_short " + std::to_string(1 + pick(5)) + " " +
                       std::to_string(1 + pick(5));
            case 7:
                return "element_nodes_short " + element() + " " + std::to_string(1 + pick(5)) + " 2";
            case 8:
                return "atom_energy " + element() + " " + number();
            case 9:
                return "mean_energy " + number() + "\nconv_energy " + number() + "\nconv_length " + number();
            case 10:
                return one(Words{"use_electrostatics", "nnp_type 2", "cutoff_alpha " + number(),
                                 "remove_atom_energies", "nn_type_short 1", "nn_type_short 2",
                                 "electrostatic_type 1", "vdw_screening 1 2",
                                 "global_hidden_layers_short 1"});
            default:
                return "elements " + element() + " " + element() + "\nnumber_of_elements 2";
        }
    }

    std::string activations() {
        static const Words kinds = {"l", "t", "s", "p", "r", "g", "c", "S", "e", "h", "z"};
        return one(kinds) + " " + one(kinds) + " " + one(Words{"l", "l", "t"});
    }

    void change(Files& files) {
        const bool of_input = pick(3) > 0;
        auto file = files.find("input.nn");
        if (!of_input) file = std::next(files.begin(), pick(files.size()));
        Lines& lines = file->second;
        if (lines.empty()) lines.push_back("");
        const std::size_t at = pick(lines.size());
        switch (pick(9)) {
            case 0:
                lines.insert(lines.begin() + at, lines[at]);
                break;
            case 1:
                lines.erase(lines.begin() + at);
                break;
            case 2:
                std::swap(lines[at], lines[pick(lines.size())]);
                break;
            case 3:
                if (of_input) lines.insert(lines.begin() + at, function_line());
                break;
            case 4:
                if (of_input) replace_keyword(lines);
                break;
            case 5:
                bytes(lines[at]);
                break;
            default:
                word(lines[at]);
        }
    }

    // A keyword's line in place of the one that stands there
    void replace_keyword(Lines& lines) {
        std::string made = keyword_line();
        const std::string name = split(made)[0];
        for (auto line = lines.begin(); line != lines.end();) {
            const Words words = split(*line);
            const bool own =
                !words.empty() && words[0] == name && name.rfind("element_", 0) && name != "atom_energy";
            line = own ? lines.erase(line) : line + 1;
        }
        lines.push_back(std::move(made));
    }

    void word(std::string& line) {
        Words words = split(line);
        if (words.empty()) return;
        const std::size_t at = pick(words.size());
        switch (pick(8)) {
            case 0:
                words.erase(words.begin() + at);
                break;
            case 1:
                words.insert(words.begin() + at, number());
                break;
            case 2:
                words[at] = element();
                break;
            default:
                if (at > 0 || pick(4) == 0) words[at] = number();
        }
        line = join(words);
    }

    void bytes(std::string& line) {
        if (line.empty() || pick(3) == 0)
            line += static_cast<char>(random_());
        else
            line[pick(line.size())] = static_cast<char>(random_());
    }

    // -- numbers of rows --

    static Words values_of(const Lines& input, const std::string& keyword, const std::string& element) {
        Words found;
        for (const std::string& line : input) {
            const Words words = split(line);
            if (words.size() < 2) continue;
            if (words[0] == "global_" + keyword && found.empty())
                found.assign(words.begin() + 1, words.end());
            if (words[0] == "element_" + keyword && words[1] == element)
                found.assign(words.begin() + 2, words.end());
        }
        return found;
    }

    static std::size_t layer(const std::string& word) {
        const long n = std::strtol(word.c_str(), nullptr, 10);
        return n < 1 || n > 20 ? 1 : static_cast<std::size_t>(n);
    }

    void repair(Files& files) {
        const Lines& input = files["input.nn"];
        Words elements;
        for (const std::string& line : input) {
            const Words words = split(line);
            if (words.size() > 1 && words[0] == "elements") elements.assign(words.begin() + 1, words.end());
        }
        std::sort(elements.begin(), elements.end(), [](const auto& a, const auto& b) {
            return sitewise::atomic_number(a) < sitewise::atomic_number(b);
        });
        if (elements.size() > 8) return;
        Lines scaling;
        for (std::size_t e = 0; e < elements.size(); ++e) {
            std::size_t inputs = 0;
            for (const std::string& line : input) {
                const Words words = split(line);
                inputs +=
                    words.size() > 2 && words[0].rfind("symfunction", 0) == 0 && words[1] == elements[e];
            }
            if (inputs > 60) return;
            rows(files["scaling.data"], scaling, e, inputs);
            weights(files, elements[e], inputs, values_of(input, "nodes_short", elements[e]));
        }
        files["scaling.data"] = scaling;
    }

    void rows(const Lines& old, Lines& scaling, std::size_t e, std::size_t inputs) {
        for (std::size_t f = 0; f < inputs; ++f) {
            Words words;
            if (scaling.size() < old.size()) words = split(old[scaling.size()]);
            words.resize(6, "0.5");
            words[0] = std::to_string(e + 1);
            words[1] = std::to_string(f + 1);
            scaling.push_back(join(words));
        }
    }

    void weights(Files& files, const std::string& element, std::size_t inputs, const Words& nodes) {
        std::size_t n = 0, before = inputs;
        for (const std::string& word : nodes) {
            n += (before + 1) * layer(word);
            before = layer(word);
        }
        n += before + 1;
        char name[40];
        std::snprintf(name, sizeof name, "weights.%03d.data", sitewise::atomic_number(element));
        Lines& lines = files[name];
        if (n > 5000) return;
        while (lines.size() < n)
            lines.push_back(lines.empty() || pick(2) ? number() : lines[pick(lines.size())]);
        lines.resize(n);
    }
};

}  // namespace fuzz
