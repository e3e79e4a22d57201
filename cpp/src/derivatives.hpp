#pragma once

#include <cstddef>
#include <vector>

#include "memory.hpp"
#include "prepared.hpp"

namespace sitewise {

/// Memory of one thread for one atom.
struct AtomScratch {
    Environment environment;
    std::vector<double> unit, gradient, G;
    std::vector<float> stored;
};

/// The operators on the atoms of prepared structures, from derivatives dG/dr that are kept in memory or in a
/// file, or recomputed.
///
/// What is kept of an atom are blocks by the element of its neighbours: a row of 3 columns a neighbour,
/// filled up with zeros, for each function that depends on the element.
class Derivatives {
public:
    /// Rows are filled up to a multiple of this many floats, so that loops have no remainder.
    static constexpr std::size_t padding = 8;

    explicit Derivatives(const SymmetryFunctions& functions);

    const SymmetryFunctions& functions() const { return functions_; }

    /// Gives a structure memory, if that of all structures, `used` bytes, so stays within the budget. Throws
    /// Error if `stored` has another number of derivatives than the structure.
    void reserve(Prepared& s, const Stored& stored, std::size_t budget, std::size_t& used);
    /// G, and the derivatives if there is memory for them, computed or taken from `stored`.
    void fill(Prepared& s, const Stored& stored, AtomScratch& scratch) const;
    /// The derivatives of all atoms; empty where they are recomputed.
    static std::vector<float> all(const Prepared& s);

    /// gradient [3 neighbours] = d(u.G_i)/dr_ij, and `padding` more, which may be overwritten.
    void vjp(const Prepared& s, std::size_t i, const double* u, double* gradient, AtomScratch& scratch) const;
    /// dG = sum of dG_i/dr_ij . v_ij, v [3 neighbours] and `padding` more, which are finite.
    void jvp(const Prepared& s, std::size_t i, const double* v, double* dG, AtomScratch& scratch) const;
    /// jvp for a step of `atom`, in all its places among the neighbours, against an axis: columns of
    /// derivatives that are kept.
    void jvp_of_neighbor(const Prepared& s,
                         std::size_t i,
                         std::size_t atom,
                         int axis,
                         double* dG,
                         AtomScratch& scratch) const;

private:
    // One element's part of an atom's derivatives: rows [functions][width] for 3 count columns.
    struct Block {
        const std::vector<int>* functions;
        std::size_t begin, count;  // neighbours, from the start of the row
        std::size_t width, offset;
    };

    template <class Visit>
    std::size_t for_each_block(const Prepared& s, std::size_t i, Visit visit) const;
    void load(const Prepared& s, std::size_t i, Environment& environment) const;
    void fill_atom(Prepared& s, std::size_t i, AtomScratch& scratch) const;

    SymmetryFunctions functions_;
    std::vector<std::vector<std::vector<int>>> relevant_;  // functions by centre and neighbour element
    LargePages<float> memory_;
};

}  // namespace sitewise
