#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "sitewise/neighbors.hpp"
#include "sitewise/types.hpp"

namespace sitewise {

/// The box that is divided into bins. Its vectors are the periodic ones, completed by perpendicular unit
/// vectors, so that fractional coordinates exist for any cell.
struct Box {
    using Vector = std::array<double, 3>;

    std::array<Vector, 3> vectors;
    std::array<Vector, 3> reciprocal;  // rows, reciprocal[a] . vectors[b] = delta_ab
    std::array<bool, 3> periodic;

    explicit Box(const Atoms& atoms);
    double height(int a) const;  // distance between the faces that vector a connects
};

/// The numbers of bins along the vectors of a box, and how many to search on either side of an atom's bin.
struct Bins {
    std::array<int, 3> count{1, 1, 1}, reach{};
};

/// Divides `span` of the box, which is 1 along periodic vectors, into bins. They are about half the cutoff
/// long along two axes, and the cutoff along the third, along which the atoms of adjacent bins form one
/// range. There are not many more bins than atoms. Throws Error if a periodic cell is far too thin for the
/// cutoff.
Bins divide(const Box& box, double cutoff, const Box::Vector& span, std::size_t atoms);

/// Throws Error unless the cutoff is positive and finite.
void check_cutoff(double cutoff);

/// Atoms closer than this distance are an error, Angstrom.
constexpr double overlap = 1e-6;

/// The neighbours of one atom. The memory is reused from atom to atom.
struct NeighborRow {
    std::size_t size = 0;
    std::vector<int> index;                  ///< the neighbour's place in the search's order
    std::vector<double> vectors;             ///< [3 size]
    std::vector<std::array<int, 3>> shifts;  ///< only if asked for

    void reserve(std::size_t n, bool with_shifts);
};

/// The atoms near another one, as a kernel finds them among candidates
struct NearAtoms {
    std::vector<std::size_t> ends;               ///< see Kernels::within
    std::vector<std::int32_t> number;            ///< of the candidate
    std::array<std::vector<double>, 3> vectors;  ///< x, y and z

    /// Makes room for the atoms among so many candidates in so many ranges.
    void reserve(std::size_t candidates, std::size_t ranges);
    /// Finds the atoms nearer to p [3] than the cutoff; see Kernels::within. Returns their number.
    std::size_t search(std::size_t n_ranges,
                       const AtomRange* ranges,
                       const double* const* sorted,
                       const double* p,
                       double cutoff);
    double distance(std::size_t h) const;

    /// Copies vectors of `n` atoms to a row, but those at distance zero; returns the number of these. Calls
    /// take(h, at) for each atom h before the next one that is copied overwrites place `at`.
    template <class Take>
    std::size_t collect(std::size_t n, NeighborRow& row, Take take) const {
        const double *x = vectors[0].data(), *y = vectors[1].data(), *z = vectors[2].data();
        std::size_t at = 0;
        for (std::size_t h = 0; h < n; ++h) {
            row.vectors[3 * at] = x[h];
            row.vectors[3 * at + 1] = y[h];
            row.vectors[3 * at + 2] = z[h];
            take(h, at);
            // No branch: the next neighbour overwrites an atom at distance zero.
            at += x[h] * x[h] + y[h] * y[h] + z[h] * z[h] >= overlap * overlap;
        }
        row.size = at;
        return n - at;
    }
};

/// Finds the neighbours of one atom at a time. Atoms are wrapped into the box and sorted into bins. Bins
/// adjacent along the third axis are adjacent in memory, so a row of bins is one range of atoms for each
/// image of the cell. See build_neighbors for the cells that are accepted and the errors.
class NeighborSearch {
public:
    /// Memory that a searching thread keeps from atom to atom: the ranges around a bin, and the atoms of
    /// these ranges that are near an atom.
    class Scratch {
        friend class NeighborSearch;
        std::array<int, 3> bin{-1, -1, -1};
        std::vector<AtomRange> ranges;
        std::vector<std::array<int, 3>> cells;  // of the ranges
        NearAtoms near;
    };

    NeighborSearch(const Atoms& atoms, double cutoff);

    const CellOrder& order() const { return order_; }
    /// Replaces the content of `row` by the neighbours of the atom at a place. Threads may call this at
    /// the same time if each has its own row and scratch. A scratch belongs to one search.
    void find(std::size_t place, bool with_shifts, Scratch& scratch, NeighborRow& row) const;

private:
    using Triple = std::array<int, 3>;
    using Vector = Box::Vector;

    void wrap(const Atoms& atoms, std::size_t i, Vector& fraction);
    void bound(const std::vector<Vector>& fraction, Vector& low, Vector& span) const;
    void sort();
    std::size_t size() const { return bin_of_.size(); }
    std::size_t flat(const Triple& b) const {
        return (static_cast<std::size_t>(b[0]) * bins_.count[1] + b[1]) * bins_.count[2] + b[2];
    }
    void look_around(const Triple& bin, Scratch& scratch) const;
    void add_range(const Triple& b, int length, const Triple& cell, Scratch& scratch) const;
    [[noreturn]] void report_overlapping(std::size_t place, const NearAtoms& near) const;

    Box box_;
    double cutoff_;
    Bins bins_;
    std::vector<Vector> positions_;  // wrapped
    std::vector<Triple> wrap_;       // original = wrapped + wrap . vectors
    std::vector<Triple> bin_of_;
    std::vector<std::size_t> first_;  // place of each bin's first atom
    CellOrder order_;
    std::array<std::vector<double>, 3> sorted_;  // x, y, z at each place, with padding
};

}  // namespace sitewise
