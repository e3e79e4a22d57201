#include "sitewise/neighbors.hpp"

#include <algorithm>

#include "neighbor_search.hpp"
#include "parallel.hpp"

namespace sitewise {
namespace {

// The rows of some of the atoms
struct Rows {
    std::size_t begin = 0, end = 0;  // atoms
    std::vector<int> index;
    std::vector<double> vectors;
    std::vector<std::array<int, 3>> shifts;
};

void find(const NeighborSearch& search, Rows& part, std::vector<std::size_t>& first) {
    NeighborSearch::Scratch scratch;
    NeighborRow row;
    for (std::size_t i = part.begin; i < part.end; ++i) {
        search.find(i, true, scratch, row);
        part.index.insert(part.index.end(), row.index.begin(), row.index.begin() + row.size);
        part.vectors.insert(part.vectors.end(), row.vectors.begin(), row.vectors.begin() + 3 * row.size);
        part.shifts.insert(part.shifts.end(), row.shifts.begin(), row.shifts.begin() + row.size);
        first[i + 1] = part.index.size();
    }
}

}  // namespace

NeighborList build_neighbors(const Atoms& atoms, double cutoff) {
    const NeighborSearch search(atoms, cutoff);
    NeighborList list;
    list.first.assign(atoms.size + 1, 0);
    std::vector<Rows> parts(max_threads());
    FirstError error;
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p)
        error.run([&] {
            parts[p].begin = atoms.size * p / parts.size();
            parts[p].end = atoms.size * (p + 1) / parts.size();
            find(search, parts[p], list.first);
        });
    error.rethrow();
    std::size_t entries = 0;
    for (const Rows& part : parts) {  // turn counts within a part into places in the list
        for (std::size_t i = part.begin; i < part.end; ++i) list.first[i + 1] += entries;
        entries += part.index.size();
    }
    if (parts.size() == 1) {
        list.index = std::move(parts[0].index);
        list.vectors = std::move(parts[0].vectors);
        list.shifts = std::move(parts[0].shifts);
        return list;
    }
    list.index.resize(entries);
    list.vectors.resize(3 * entries);
    list.shifts.resize(entries);
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p) {
        const Rows& part = parts[p];
        const std::size_t at = list.first[part.begin];
        std::copy(part.index.begin(), part.index.end(), list.index.begin() + at);
        std::copy(part.vectors.begin(), part.vectors.end(), list.vectors.begin() + 3 * at);
        std::copy(part.shifts.begin(), part.shifts.end(), list.shifts.begin() + at);
    }
    return list;
}

}  // namespace sitewise
