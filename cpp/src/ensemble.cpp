#include "sitewise/ensemble.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "members.hpp"
#include "sitewise/error.hpp"
#include "text.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

auto values(const SymmetryFunction& f) {
    return std::tie(f.type, f.center, f.neighbor1, f.neighbor2, f.eta, f.rs, f.lambda, f.zeta, f.cutoff,
                    f.left, f.angle_left, f.angle_right, f.compact, f.asymmetric, f.neighbor3, f.neighbor4,
                    f.eta2, f.eta3, f.eta4, f.rs2, f.rs3, f.rs4, f.power1, f.power2, f.power3, f.power4);
}

bool same(const SymmetryFunctions& a, const SymmetryFunctions& b) {
    const Cutoff one = a.cutoff_function(), other = b.cutoff_function();
    if (a.elements() != b.elements() || one.type != other.type || one.alpha != other.alpha) return false;
    for (int e = 0; e < a.elements(); ++e) {
        const auto &left = a.functions(e), &right = b.functions(e);
        if (left.size() != right.size()) return false;
        for (std::size_t f = 0; f < left.size(); ++f)
            if (values(left[f]) != values(right[f])) return false;
    }
    return true;
}

Members pointers(const std::vector<Potential>& members) {
    Members result;
    for (const Potential& member : members) result.push_back(&member);
    return result;
}

// Adds the outputs of an ensemble that compute_members does not compute.
void add_spreads(const std::vector<double>& energies, std::size_t members, Ensemble::Output out) {
    const std::size_t centers = energies.size() / members;
    std::vector<double> of_atom(members);
    for (std::size_t i = 0; i < centers; ++i) {
        for (std::size_t m = 0; m < members; ++m) of_atom[m] = energies[m * centers + i];
        if (out.energies_spread) out.energies_spread[i] = spread(of_atom);
        for (std::size_t m = 0; out.member_energies && m < members; ++m) out.member_energies[m] += of_atom[m];
    }
}

using Folders = std::map<int, std::string>;  // names by the numbers at their ends

// Subfolders whose names end in a number, grouped by the rest of the name. One of each group has an input.nn.
std::map<std::string, Folders> numbered_folders(const fs::path& directory) {
    std::map<std::string, Folders> all;
    std::set<std::string> with_input;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(directory, code)) {
        const std::string name = entry.path().filename().string();
        const std::size_t stem = name.find_last_not_of("0123456789") + 1;
        if (stem == name.size() || name.size() - stem > 6 || !entry.is_directory(code)) continue;
        const std::string before = name.substr(0, stem);
        if (!all[before].emplace(std::stoi(name.substr(stem)), name).second)
            throw Error(directory.string() + ": has two members of number " + name.substr(stem));
        if (fs::exists(entry.path() / "input.nn", code)) with_input.insert(before);
    }
    for (auto folders = all.begin(); folders != all.end();)
        folders = with_input.count(folders->first) && folders->second.begin()->first <= 1
                      ? std::next(folders)
                      : all.erase(folders);
    return all;
}

// Members beside a potential in the same folder: only subfolders 0, 1, ..., which no other program makes.
std::map<std::string, Folders> only_plain(std::map<std::string, Folders> all) {
    const auto plain = all.find("");
    if (plain == all.end() || plain->second.begin()->first != 0) return {};
    return {*plain};
}

std::vector<std::string> consecutive(const std::string& directory, const Folders& folders) {
    std::vector<std::string> members;
    int expected = folders.begin()->first;
    for (const auto& [number, name] : folders) {
        if (number != expected++)
            throw Error(directory + ": members " + shown(folders.begin()->second) + " to " +
                        shown(folders.rbegin()->second) + " are not all there, number " +
                        std::to_string(expected - 1) + " is missing");
        members.push_back((fs::path(directory) / name).string());
    }
    return members;
}

struct Committee {
    Place place, size_place;
    int size = 0;  // not given
};

// The committee that an input.nn asks for; nothing if committee_mode is off.
std::optional<Committee> read_committee(const fs::path& input) {
    Committee found;
    LineReader reader(input, "#!");
    for (Line line; reader.next(line);) {
        if (line.words.size() < 2) continue;
        if (line.words[0] == "committee_mode" && line.words[1] != "off") found.place = line.place;
        if (line.words[0] == "committee_size") {
            found.size_place = line.place;
            found.size = parse_integer(line.words[1], line.place);
        }
    }
    return found.place.line > 0 ? std::optional(found) : std::nullopt;
}

void check_committee(const Committee& asked, std::size_t members) {
    if (members == 0)
        asked.place.fail(
            "committee_mode asks for an ensemble, but there are no subfolders NAME1, NAME2, ... with an "
            "input.nn: remove the keyword to read one potential");
    if (asked.size_place.line > 0 && asked.size != static_cast<int>(members))
        asked.size_place.fail("committee_size is " + std::to_string(asked.size) + ", but there are " +
                              std::to_string(members) + " subfolders of members");
}

}  // namespace

double spread(const std::vector<double>& values) {
    if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
    double mean = 0.0, squares = 0.0;
    for (double v : values) mean += v / values.size();
    for (double v : values) squares += (v - mean) * (v - mean);
    return std::sqrt(squares / (values.size() - 1));
}

Ensemble::Ensemble(std::vector<Potential> members) : members_(std::move(members)) {
    if (members_.empty()) throw Error("an ensemble needs at least one potential");
    for (std::size_t m = 1; m < members_.size(); ++m)
        if (members_[m].elements() != members_[0].elements() ||
            !same(members_[m].functions(), members_[0].functions()))
            throw Error("potential " + std::to_string(m) +
                        " of the ensemble has other elements or functions than potential 0");
    for (const Potential& member : members_)
        if (!(member.baseline() == members_[0].baseline()))
            throw Error("the potentials of the ensemble have different baselines");
}

std::vector<std::string> ensemble_members(const std::string& given) {
    const std::string directory = potential_directory(given);
    std::error_code code;
    if (!fs::is_directory(directory, code)) return {};
    const fs::path input = fs::path(directory) / "input.nn";
    const bool single = fs::exists(input, code);
    const std::optional<Committee> asked = single ? read_committee(input) : std::nullopt;
    std::map<std::string, Folders> all = numbered_folders(directory);
    if (single && !asked) all = only_plain(std::move(all));
    if (all.size() > 1)
        throw Error(directory +
                    ": has members of several ensembles: " + shown(all.begin()->second.begin()->second) +
                    ", " + shown(std::next(all.begin())->second.begin()->second));
    std::vector<std::string> members;
    if (!all.empty()) members = consecutive(directory, all.begin()->second);
    if (asked) check_committee(*asked, members.size());
    return members;
}

Ensemble Ensemble::load(const std::string& directory, double cflength, double cfenergy) {
    std::vector<Potential> members;
    for (const std::string& member : ensemble_members(directory))
        members.push_back(Potential::load(member, cflength, cfenergy));
    if (members.empty()) members.push_back(Potential::load(directory, cflength, cfenergy));
    return Ensemble(std::move(members));
}

void Ensemble::set_precision(Precision precision) {
    for (Potential& member : members_) member.set_precision(precision);
}

void Ensemble::set_device(Device device) {
    for (Potential& member : members_) member.set_device(device);
}

void Ensemble::compute(const NeighborView& neighbors,
                       const int* species,
                       std::size_t n_atoms,
                       Output out) const {
    add_spreads(compute_members(pointers(members_), neighbors, species, n_atoms, out), members_.size(), out);
}

void Ensemble::compute(const Atoms& atoms, Output out) const {
    add_spreads(compute_members(pointers(members_), atoms, out), members_.size(), out);
}

void Ensemble::compute(const Atoms& atoms, VerletList& list, Output out) const {
    add_spreads(compute_members(pointers(members_), atoms, list, out), members_.size(), out);
}

}  // namespace sitewise
