#pragma once

// Builds the neighbour list of a batch of structures by a cell list on the device.

#include <vector>

#include "memory.cuh"
#include "sitewise/types.hpp"

namespace sitewise::cuda {

/// A full neighbour list on the device. Row i is [first[i], first[i + 1]). An entry e has the neighbour
/// index[e] and the vector r_ij, whose components are `entries` apart. The entries with neighbour j are
/// [incoming_first[j], incoming_first[j + 1]) of `incoming`. All orders are fixed.
template <class Real>
struct List {
    const int *first, *index;
    const Real* vectors;  // [3][entries]
    const int *incoming_first, *incoming;
    int entries;
    int widest;  // entries of the longest row
};

/// A structure of a batch. Its atoms and bins are ranges of the batch's atoms and bins.
struct Grid {
    double vectors[3][3], reciprocal[3][3];
    double low[3], span[3];  // fractional coordinates that bins fill
    int periodic[3], count[3], reach[3];
    int first_atom, atoms, first_bin;
};

/// The arrays of the search's kernels. Arrays of vectors are [3][atoms].
struct SearchView {
    int atoms, structures, bins;
    double cutoff2;
    const Grid* grids;
    const int* structure;     // [atoms]
    const double* positions;  // [atoms][3]
    double *wrapped, *fraction, *sorted;
    int* wrap;
    int *bin, *members;  // [atoms]
    int *first, *next;   // [bins + 1]
    int* summary;        // the first wrong structure, the length of the longest row
};

/// The search and its memory, which is reused from batch to batch.
class Search {
public:
    /// Finds all pairs of each structure with |r_ij| < cutoff, in the order of build_neighbors. `positions`
    /// [atoms][3] are on the device; positions in `structures` are ignored. Throws Error as build_neighbors
    /// does.
    void find(const std::vector<Atoms>& structures,
              const double* positions,
              double cutoff,
              cudaStream_t stream);

    /// The list, with vectors in single or double precision. Valid until the next search.
    template <class Real>
    List<Real> list(cudaStream_t stream);
    const int* shifts() const { return shifts_.data(); }  ///< S of entries, [3][entries]
    int entries() const { return entries_; }

private:
    void bound(const std::vector<Atoms>& structures, std::vector<Grid>& grids, cudaStream_t stream);
    void sort(cudaStream_t stream);
    void make_rows(cudaStream_t stream);
    [[noreturn]] void report(const Atoms& atoms, const Grid& grid, double cutoff, cudaStream_t stream) const;

    SearchView view_{};
    int entries_ = 0, widest_ = 0;
    Packet packet_;
    Buffer<double> coordinates_, bounds_, vectors_;
    Buffer<float> vectors32_;
    Buffer<int> integers_, bins_, summary_, scratch_, first_, index_, shifts_, incoming_;
};

}  // namespace sitewise::cuda
