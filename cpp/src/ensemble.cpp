#include "sitewise/ensemble.hpp"

#include <cmath>
#include <filesystem>
#include <limits>
#include <tuple>
#include <utility>

#include "members.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

auto values(const SymmetryFunction& f) {
    return std::tie(f.type, f.center, f.neighbor1, f.neighbor2, f.eta, f.rs, f.lambda, f.zeta, f.cutoff,
                    f.left, f.angle_left, f.angle_right, f.compact, f.asymmetric);
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

std::vector<const Potential*> pointers(const std::vector<Potential>& members) {
    std::vector<const Potential*> result;
    for (const Potential& member : members) result.push_back(&member);
    return result;
}

// What compute_members does not know of an ensemble's output
void add_spreads(const std::vector<double>& energies, std::size_t members, Ensemble::Output out) {
    const std::size_t centers = energies.size() / members;
    std::vector<double> of_atom(members);
    for (std::size_t i = 0; i < centers; ++i) {
        for (std::size_t m = 0; m < members; ++m) of_atom[m] = energies[m * centers + i];
        if (out.energies_spread) out.energies_spread[i] = spread(of_atom);
        for (std::size_t m = 0; out.member_energies && m < members; ++m) out.member_energies[m] += of_atom[m];
    }
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
}

Ensemble Ensemble::load(const std::string& directory, double cflength, double cfenergy) {
    const auto member = [&](std::size_t m) { return fs::path(directory) / std::to_string(m); };
    std::vector<Potential> members;
    while (fs::is_directory(member(members.size())))
        members.push_back(Potential::load(member(members.size()).string(), cflength, cfenergy));
    if (members.empty()) members.push_back(Potential::load(directory, cflength, cfenergy));
    return Ensemble(std::move(members));
}

void Ensemble::set_precision(Precision precision) {
    for (Potential& member : members_) member.set_precision(precision);
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

}  // namespace sitewise
