#pragma once

#include <cstddef>
#include <vector>

#include "members.hpp"
#include "neighbor_search.hpp"

namespace sitewise {

/// The neighbours of the atoms. They come from a list, or from a search for one atom at a time, which needs
/// no memory for a list of all.
struct Neighbors {
    const NeighborView* list;
    const NeighborSearch* search;

    std::size_t centers() const { return list ? list->centers : search->size(); }
    std::size_t atom(std::size_t k) const { return list ? k : static_cast<std::size_t>(search->order()[k]); }
};

/// compute_members on the processor: a step from neighbours to energies, forces and virials, with OpenMP over
/// blocks of atoms of one element.
std::vector<double> compute_step(const Members& members,
                                 const Neighbors& neighbors,
                                 const int* species,
                                 std::size_t n_atoms,
                                 Potential::Output out);

}  // namespace sitewise
