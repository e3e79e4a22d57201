#pragma once

#include <cstddef>
#include <vector>

#include "neighbor_search.hpp"
#include "parallel.hpp"

namespace sitewise {

/// Finds the rows of all atoms that are no ghosts. Threads do so in parts of the search's order. A Part keeps
/// what is wanted of its rows: keep(row) adds one, and place(from, n, at) moves the n entries of one, the
/// first of which is entry `from` of the part, to entry `at` of the list. reserve(entries) is called before
/// place(). The list has the row of number k in the search's order at row(k). Sets first [count + 1].
template <class Part, class Row, class Reserve>
void find_rows(const NeighborSearch& search,
               Row row,
               std::vector<std::size_t>& first,
               std::vector<Part>& parts,
               Reserve reserve) {
    const CellOrder& order = search.order();
    const std::size_t count = order.count();
    const auto begin = [&](std::size_t p) { return count * p / parts.size(); };
    first.assign(count + 1, 0);
    FirstError error;
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p)
        error.run([&] {
            NeighborSearch::Scratch scratch;
            NeighborRow found;
            for (std::size_t k = begin(p); k < begin(p + 1); ++k) {
                search.find(order.place(k), true, scratch, found);
                parts[p].keep(found);
                first[row(k) + 1] = found.size;
            }
        });
    error.rethrow();
    for (std::size_t k = 0; k < count; ++k) first[k + 1] += first[k];
    reserve(first.back());
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p) {
        std::size_t from = 0;
        for (std::size_t k = begin(p); k < begin(p + 1); ++k) {
            const std::size_t at = first[row(k)], n = first[row(k) + 1] - at;
            parts[p].place(from, n, at);
            from += n;
        }
    }
}

}  // namespace sitewise
