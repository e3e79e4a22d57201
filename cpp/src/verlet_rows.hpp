#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "neighbor_search.hpp"
#include "sitewise/neighbors.hpp"

namespace sitewise {

/// The neighbours of one atom at a time from a VerletList, without its vectors: these would be as much memory
/// as a large structure's list, and half of them lie in the skin.
class VerletRows {
public:
    /// Memory that a thread keeps from atom to atom
    struct Scratch {
        std::array<std::vector<double>, 3> candidates;  // vectors to all neighbours in the list
        NearAtoms near;
    };

    /// Rebuilds the list if need be; throws Error as VerletList::update does.
    VerletRows(VerletList& list, const Atoms& atoms);

    const CellOrder& order() const { return list_.order_; }
    /// Replaces the content of `row` by the neighbours of the atom of a number within the list's cutoff, see
    /// NeighborSearch::find. Throws Error for atoms at distance zero.
    void find(std::size_t number, Scratch& scratch, NeighborRow& row) const;

private:
    const VerletList& list_;
    std::vector<std::array<double, 3>> positions_;     // at each place
    std::vector<std::array<double, 3>> translations_;  // of the list's images
};

}  // namespace sitewise
