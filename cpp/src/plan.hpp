#pragma once

// What SymmetryFunctions compiles and the kernels run: plain arrays, in single or double precision.

#include <cstddef>
#include <cstdint>

#include "angular.hpp"
#include "sitewise/network.hpp"

namespace sitewise {

using core::Power;

template <class T>
struct Span {
    const T* data = nullptr;
    int size = 0;

    SITEWISE_INLINE const T* begin() const { return data; }
    SITEWISE_INLINE const T* end() const { return data + size; }
    SITEWISE_INLINE const T& operator[](int i) const { return data[i]; }
};

/// R(r) = exp(-eta (r - rs)^2) f(r) with an envelope f
template <class Real>
struct Shell {
    int envelope;
    Real eta, rs;
};

/// The values of a shell for the neighbours of one element
struct ShellUse {
    int shell, element;
};

/// G[output] += weight * sum of R over the neighbours of an element
template <class Real>
struct RadialTerm {
    int shell, element, output;
    Real weight;
};

/// G[output] += norm * sum of R_j R_k (R_jk) T
template <class Real>
struct Member {
    int power, output;
    Real norm;
};

/// The members of a block that share a Gaussian. Where its eta is a whole multiple of that of another group
/// of the family, it is that Gaussian's integer power, which takes less than an exponential; below `least` it
/// counts as 0, as powers would be denormal numbers, which processors are slow with.
template <class Real>
struct Group {
    Real eta, rs;
    int first, count;
    int source, power;  // -1 and 0 where there is no such group
    Real least;
};

/// The groups of a block that share an envelope and whether R(r_jk) is there; [first, first + count) of its
/// groups
template <class Real>
struct Family {
    int envelope;
    bool triangle;
    int first, count;
};

/// The angular functions of one pair of neighbour elements; they share the geometry of each j, k.
template <class Real>
struct Block {
    int element1, element2;
    Real rc2, rc2_jk;  // pairs beyond are left out; rc2_jk is infinite if a family needs no r_jk
    bool lengths;      // r and 1/r_jk are needed, not r^2 alone
    bool angles;       // a power is a function of the angle, not of the cosine
    bool shifts;       // rs is not 0 somewhere
    Span<Power<Real>> powers;
    Span<Member<Real>> members;
    Span<Group<Real>> groups;
    Span<Family<Real>> families;
};

/// The moments of a shell over the neighbours of an element: M = sum over j of R(r_j) times each monomial of
/// the unit vector u_j
struct Moment {
    int shell, element;
};

/// S_p = sum over j, k of R_j R_k (u_j.u_k)^p from two moments, for the expansions [first, first + count)
struct Contraction {
    int moment1, moment2, first, count;
};

/// G[output] += sum over p of coefficients[p] S_p + self * sum of R^2: the binomial expansion of
/// (1 + lambda u_j.u_k)^zeta, and the terms j = k taken out
template <class Real>
struct Expansion {
    int output;
    Real self;
    const Real* coefficients;  // [order + 1]
};

/// All functions of one central element
template <class Real>
struct ElementPlan {
    std::uint64_t id;  // no other plan has it
    int outputs, elements;
    Real rc2;
    Span<core::Envelope<Real>> envelopes;
    Span<Shell<Real>> shells;
    Span<ShellUse> uses;
    Span<RadialTerm<Real>> radial;
    Span<Block<Real>> blocks;
    Span<Moment> moments;  // by element
    Span<Contraction> contractions;
    Span<Expansion<Real>> expansions;
    int order;  // of all moments, even
};

/// Pairs are worked on in chunks of at least this many, whose arrays stay near the processor.
constexpr int chunk_size = 512;

/// So many blocks keep their pairs, if they are one chunk, from one operator to the next on an environment.
constexpr int kept_blocks = 3;

/// A row of pairs: those of one neighbour j, [begin, end) of the list, found among `vectors` vectors of
/// candidates from `first` on.
struct PairRow {
    int j, begin, end, first, vectors;
};

/// Pairs of a block, row by row: all of them or, where they are more than chunk_size, a chunk.
template <class Real>
struct PairList {
    std::int32_t *j, *k;   // [pairs]
    Real *c, *sjk;         // [pairs]
    PairRow* rows;         // [neighbours]
    std::uint32_t* masks;  // of the candidates of all rows
    int size, n_rows, n_masks;
    bool complete;  // all pairs of the block and atom are there
};

/// The environment of one atom: neighbours within the cutoff sorted by element, each element's range filled
/// up to whole vectors with neighbours beyond every cutoff. Arrays are [stride] or [.][stride].
template <class Real>
struct Tables {
    int given, stride;
    int filling;         // first of a vector of fillings behind the neighbours
    int* order;          // place in what was given, -1 for filling
    int *first, *count;  // [elements]
    Real *x, *y, *z, *s, *r, *inverse_r;
    Real *f, *f_slope;                          // [envelope], and (df/dr)/r
    Real *R, *R_slope;                          // [shell]
    Real *gx, *gy, *gz;                         // gradient or direction
    Real* M;                                    // [moments][monomials]
    mutable PairList<Real> pairs[kept_blocks];  // made by the operator that first needs them
};

/// Memory of the loop over pairs, one per thread. [pairs] are chunk_size and a row more.
template <class Real>
struct PairScratch {
    mutable PairList<Real> pairs;      // of blocks that keep none
    Real *X, *A, *B;                   // [pairs], coefficients of vectors in the gradient
    Real *power, *slope;               // [powers][lane]
    Real* gaussian;                    // [groups][lane]
    Real *sums, *weights;              // [members][lane], [members]
    int *live_groups, *live_families;  // whether a weight of theirs is not 0
    Real* monomials;                   // [monomials][stride]
    Real* bar;                         // derivatives by moments [moments][monomials]
    Real* self_bar;                    // [moments]
};

/// A layer z = h W + b, h = f(scale z), with W [in][out]
template <class Real>
struct Layer {
    int in, out;
    const Real *W, *b;
    Activation activation;
    Real scale;
};

template <class Real>
struct NetworkView {
    Span<Layer<Real>> layers;
};

/// Atoms that go through the network together, as one matrix product a layer
constexpr int batch_size = 16;

}  // namespace sitewise
