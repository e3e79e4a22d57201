#include "sitewise/neighbors.hpp"

#include <algorithm>

#include "neighbor_rows.hpp"

namespace sitewise {
namespace {

// The rows of some of the atoms
struct Part {
    NeighborList* list;
    const CellOrder* order;
    std::vector<int> index;
    std::vector<double> vectors;
    std::vector<std::array<int, 3>> shifts;

    void keep(const NeighborRow& row) {
        for (std::size_t k = 0; k < row.size; ++k) index.push_back(order->atoms[row.index[k]]);
        vectors.insert(vectors.end(), row.vectors.begin(), row.vectors.begin() + 3 * row.size);
        shifts.insert(shifts.end(), row.shifts.begin(), row.shifts.begin() + row.size);
    }
    void place(std::size_t from, std::size_t n, std::size_t at) const {
        std::copy_n(index.begin() + from, n, list->index.begin() + at);
        std::copy_n(vectors.begin() + 3 * from, 3 * n, list->vectors.begin() + 3 * at);
        std::copy_n(shifts.begin() + from, n, list->shifts.begin() + at);
    }
};

}  // namespace

NeighborList build_neighbors(const Atoms& atoms, double cutoff) {
    const NeighborSearch search(atoms, cutoff);
    NeighborList list;
    const CellOrder& order = search.order();
    std::vector<Part> parts(max_threads(), Part{&list, &order, {}, {}, {}});
    const auto row = [&](std::size_t k) { return order.atom(order.place(k)); };
    find_rows(search, row, list.first, parts, [&](std::size_t entries) {
        list.index.resize(entries);
        list.vectors.resize(3 * entries);
        list.shifts.resize(entries);
    });
    return list;
}

}  // namespace sitewise
