#pragma once

#include <cstddef>
#include <vector>

#include "memory.hpp"
#include "prepared.hpp"

namespace sitewise {

/// Memory that one thread uses for one atom at a time.
struct AtomScratch {
    Environment environment;
    std::vector<double> unit, gradient, G;
    std::vector<float> stored;
};

/// The operators on the atoms of prepared structures. The derivatives dG/dr are in memory, in a file, or
/// recomputed.
///
/// The stored derivatives of an atom form one block per element of its neighbours. A block has one row per
/// function that depends on the element. A row has 3 columns per neighbour and is padded with zeros.
class Derivatives {
public:
    /// Rows are padded to a multiple of this number of floats, so that loops have no remainder.
    static constexpr std::size_t padding = 8;

    explicit Derivatives(const SymmetryFunctions& functions);

    const SymmetryFunctions& functions() const { return functions_; }

    /// Allocates memory for a structure, provided that the memory of all structures, `used` bytes, stays
    /// within the budget. Throws Error if `stored` does not have as many derivatives as the structure.
    void reserve(Prepared& s, const Stored& stored, std::size_t budget, std::size_t& used);
    /// Sets G and, if there is memory for them, the derivatives. Computes both or takes them from `stored`.
    void fill(Prepared& s, const Stored& stored, AtomScratch& scratch) const;
    /// The derivatives of all atoms; empty if they are recomputed.
    static std::vector<float> all(const Prepared& s);

    /// gradient [3 neighbours] = d(u.G_i)/dr_ij. It has room for `padding` more, which may be overwritten.
    void vjp(const Prepared& s, std::size_t i, const double* u, double* gradient, AtomScratch& scratch) const;
    /// dG = sum of dG_i/dr_ij . v_ij. v has [3 neighbours] and `padding` more, which must be finite.
    void jvp(const Prepared& s, std::size_t i, const double* v, double* dG, AtomScratch& scratch) const;
    /// jvp for a step of `atom` and all its images among the neighbours, opposite to an axis. Reads columns
    /// of the stored derivatives.
    void jvp_of_neighbor(const Prepared& s,
                         std::size_t i,
                         std::size_t atom,
                         int axis,
                         double* dG,
                         AtomScratch& scratch) const;

private:
    // The derivatives of an atom by its neighbours of one element: rows [functions][width] of 3 count
    // columns.
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
