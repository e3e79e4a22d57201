#pragma once

#include <cstddef>
#include <vector>

#include "members.hpp"
#include "neighbor_search.hpp"
#include "verlet_rows.hpp"

namespace sitewise {

/// The neighbours of the atoms. They come from a list with vectors, or are found for one atom at a time, by a
/// search or in a list with a skin, which needs no memory for the vectors of all. Rows name places in the
/// cell order, in a list the atoms themselves.
struct Neighbors {
    explicit Neighbors(const NeighborView& of) : list(&of) {}
    explicit Neighbors(const NeighborSearch& of) : search(&of), order(&of.order()) {}
    explicit Neighbors(const VerletRows& of) : rows(&of), order(&of.order()) {}

    const NeighborView* list = nullptr;
    const NeighborSearch* search = nullptr;
    const VerletRows* rows = nullptr;
    const CellOrder* order = nullptr;  ///< null if the atoms stay in their own order

    std::size_t centers() const { return list ? list->centers : order->count(); }
    std::size_t place(std::size_t number) const { return order ? order->place(number) : number; }
    std::size_t atom(std::size_t place) const { return order ? order->atom(place) : place; }
};

/// compute_members on the processor: a step from neighbours to energies, forces and virials, with OpenMP over
/// blocks of atoms of one element.
std::vector<double> compute_step(const Members& members,
                                 const Neighbors& neighbors,
                                 const int* species,
                                 std::size_t n_atoms,
                                 Potential::Output out);

}  // namespace sitewise
