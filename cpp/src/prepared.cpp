#include "prepared.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "checks.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

double volume_of(const Atoms& atoms) {
    if (!(atoms.periodic[0] && atoms.periodic[1] && atoms.periodic[2])) return 0.0;
    const auto& [a, b, c] = atoms.cell;
    return std::fabs(a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) +
                     a[2] * (b[0] * c[1] - b[1] * c[0]));
}

void check_labels(const Prepared& s) {
    const auto finite = [](const std::vector<double>& v) {
        return std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x); });
    };
    if (std::isinf(s.energy)) throw Error("the energy is not finite");
    if (!finite(s.forces)) throw Error("a force is not finite");
    if (!finite(s.stress)) throw Error("a stress component is not finite");
    if (!s.stress.empty() && s.volume == 0.0)
        throw Error("a stress is given, but the cell is not periodic in 3 directions");
}

// Neighbour rows sorted by element, so that the derivatives of a function are contiguous.
void take_list(Prepared& s, const NeighborList& list) {
    s.first = list.first;
    s.index.resize(list.index.size());
    s.vectors.resize(list.vectors.size());
    std::vector<std::size_t> row;
    for (std::size_t i = 0; i < s.size; ++i) {
        row.resize(s.neighbors(i));
        for (std::size_t k = 0; k < row.size(); ++k) row[k] = s.first[i] + k;
        std::stable_sort(row.begin(), row.end(), [&](std::size_t a, std::size_t b) {
            return s.species[list.index[a]] < s.species[list.index[b]];
        });
        for (std::size_t k = 0; k < row.size(); ++k) {
            s.index[s.first[i] + k] = list.index[row[k]];
            std::copy_n(&list.vectors[3 * row[k]], 3, &s.vectors[3 * (s.first[i] + k)]);
        }
    }
}

// Calls visit for each array that grows with the number of atoms, except those that are asked for alone.
template <class S, class Visit>
void for_each_array(S& s, Visit visit) {
    visit(s.order);
    visit(s.place);
    visit(s.first);
    visit(s.index);
    visit(s.vectors);
    visit(s.G);
    visit(s.cache_at);
    visit(s.forces);
}

template <class Vector>
std::size_t bytes_of(const Vector& v) {
    return v.size() * sizeof(v[0]);
}

}  // namespace

Prepared prepare(const Atoms& atoms, const Labels& labels, int n_elements, double cutoff) {
    if (atoms.size == 0) throw Error("the structure has no atoms");
    refuse_ghosts(atoms);
    Prepared s;
    s.size = atoms.size;
    s.volume = volume_of(atoms);
    s.species.assign(atoms.species, atoms.species + atoms.size);
    s.energy = labels.energy;
    if (labels.forces) s.forces.assign(labels.forces, labels.forces + 3 * atoms.size);
    s.force_components = s.forces.size();
    if (labels.stress) s.stress.assign(labels.stress, labels.stress + 6);
    check_labels(s);
    for (int e : s.species)
        if (e < 0 || e >= n_elements) throw Error("element index " + std::to_string(e) + " is out of range");
    for (int e = 0; e <= n_elements; ++e)
        s.begin.push_back(std::count_if(s.species.begin(), s.species.end(), [&](int x) { return x < e; }));
    s.order.resize(s.size);
    std::vector<std::size_t> next(s.begin);
    s.place.resize(s.size);
    for (std::size_t i = 0; i < s.size; ++i) {
        s.place[i] = next[s.species[i]] - s.begin[s.species[i]];
        s.order[next[s.species[i]]++] = i;
    }
    take_list(s, build_neighbors(atoms, cutoff));
    return s;
}

std::size_t bytes_of_arrays(const Prepared& s) {
    std::size_t bytes = 0;
    for_each_array(s, [&](const auto& v) { bytes += bytes_of(v); });
    return bytes;
}

// Each array follows its length.
void put_away(Prepared& s, Spill& file) {
    std::vector<char> content;
    const auto append = [&](const void* from, std::size_t bytes) {
        const char* const begin = static_cast<const char*>(from);
        content.insert(content.end(), begin, begin + bytes);
    };
    for_each_array(s, [&](auto& v) {
        const std::size_t size = v.size();
        append(&size, sizeof size);
        append(v.data(), bytes_of(v));
        v = {};
        v.shrink_to_fit();
    });
    s.spilled_at = file.append(content.data(), content.size());
    s.spilled = content.size();
}

Prepared fetched(const Prepared& s, const Spill& file) {
    std::vector<char> content(s.spilled);
    file.read(s.spilled_at, s.spilled, content.data());
    Prepared whole = s;
    const char* at = content.data();
    const auto take = [&](void* to, std::size_t bytes) {
        if (bytes) std::memcpy(to, at, bytes);
        at += bytes;
    };
    for_each_array(whole, [&](auto& v) {
        std::size_t size = 0;
        take(&size, sizeof size);
        v.resize(size);
        take(v.data(), bytes_of(v));
    });
    return whole;
}

}  // namespace sitewise
