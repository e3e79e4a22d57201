#pragma once

#include <cstddef>
#include <vector>

#include "neighbor_search.hpp"
#include "parallel.hpp"

namespace sitewise {

/// Finds the rows of all atoms that are no ghosts. Threads do so in parts of the search's order. A Part keeps
/// what is wanted of its rows: keep(row) adds one, and place(from, n, at) moves the n entries of one, the
/// first of which is entry `from` of the part, to entry `at` of the list. reserve(entries) is called before
/// place(). Sets first [centers + 1], in the order of the atoms.
template <class Part, class Reserve>
void find_rows(const NeighborSearch& search,
               std::vector<std::size_t>& first,
               std::vector<Part>& parts,
               Reserve reserve) {
    const std::vector<int>& order = search.order();
    const auto begin = [&](std::size_t p) { return order.size() * p / parts.size(); };
    first.assign(order.size() + 1, 0);
    FirstError error;
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p)
        error.run([&] {
            NeighborSearch::Scratch scratch;
            NeighborRow row;
            for (std::size_t k = begin(p); k < begin(p + 1); ++k) {
                search.find(order[k], true, scratch, row);
                parts[p].keep(row);
                first[order[k] + 1] = row.size;
            }
        });
    error.rethrow();
    for (std::size_t i = 0; i < order.size(); ++i) first[i + 1] += first[i];
    reserve(first.back());
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p) {
        std::size_t from = 0;
        for (std::size_t k = begin(p); k < begin(p + 1); ++k) {
            const std::size_t at = first[order[k]], n = first[order[k] + 1] - at;
            parts[p].place(from, n, at);
            from += n;
        }
    }
}

}  // namespace sitewise
