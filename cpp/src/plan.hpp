#pragma once

// The plan that SymmetryFunctions compiles for the kernels: plain arrays, in single or double precision.

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

/// R(r) = exp(-eta (r - rs)^2) f(r) with an envelope f, `numbered` ones times the neighbour's atomic number
template <class Real>
struct Shell {
    int envelope;
    Real eta, rs;
    bool numbered;
};

/// The values of a shell, times a weight, for the neighbours of one element
template <class Real>
struct ShellUse {
    int shell, element;
    Real weight;
};

/// G[output] += weight * sum of R over the neighbours of an element
template <class Real>
struct RadialTerm {
    int shell, element, output;
    Real weight;
};

/// The highest zeta whose T the processor computes as a polynomial of the cosine: all of a group together,
/// without a power of each. Higher ones would lose digits where they are small.
constexpr int most_degree = 4;

/// G[output] += norm * sum of R_j R_k (R_jk) T
template <class Real>
struct Member {
    int power, output;
    Real norm;
    Real expansion[most_degree + 1];  // norm T = sum of expansion[k] c^k, if it is such a polynomial
};

/// The members of a block that share a Gaussian. If its eta is a whole multiple of that of another group of
/// the family, it is computed as an integer power of that Gaussian, which is cheaper than an exponential. A
/// Gaussian below `least` counts as 0, because its powers would be denormal numbers, which are slow.
template <class Real>
struct Group {
    Real eta, rs;
    int first, count;
    int expanded, degree;  // the first `expanded` members are polynomials up to this degree, 0 if none is
    int source, power;     // -1 and 0 if there is no such group; a source has none itself
    Real least;
    int kept;  // place of the Gaussian in PairList::kept, if it has no source
};

/// The groups [first, first + count) of a block. They share an envelope, and either all or none of them have
/// the factor R(r_jk).
template <class Real>
struct Family {
    int envelope;
    bool triangle;
    int first, count;
    int kept;  // place in PairList::kept of F = f(r_j) f(r_k) f(r_jk); (dF/dr_jk)/r_jk follows
};

/// The angular functions of one pair of neighbour elements; they share the geometry of each j, k.
template <class Real>
struct Block {
    int element1, element2;
    Real rc2, rc2_jk;  // pairs beyond are skipped; rc2_jk is infinite if a family needs no r_jk
    bool lengths;      // r and 1/r_jk are needed, not only r^2
    bool angles;       // a power is a function of the angle, not of the cosine
    bool shifts;       // some rs is not 0
    int kept;          // number of values of PairList::kept
    int inverse;       // place of 1/r_jk in PairList::kept, if `shifts`
    int separate;      // the first powers are those of members that are no polynomials
    Span<Power<Real>> powers;
    Span<Member<Real>> members;
    Span<Group<Real>> groups;
    Span<Family<Real>> families;
};

/// The neighbours of all elements, where an element is asked for
constexpr int every_element = -1;

/// The moments of a shell over the neighbours of an element: M = sum over j of R(r_j) times each monomial of
/// the powers order - 1 and order of the unit vector u_j, in nodes from `node` on. Monomials of lower powers
/// are sums of these, as x^2 + y^2 + z^2 = 1.
struct Moment {
    int shell, element, order, node;
};

/// The node `node` is the sum of R^2 over the neighbours of an element.
struct Square {
    int shell, element, node;
};

/// weight * node a * node b
template <class Real>
struct Product {
    int a, b;
    Real weight;
};

/// G[output] = node
struct NodeOutput {
    int node, output;
};

/// What is computed from moments. Node 0 is 1, nodes up to `inputs` are moments and squares, and each further
/// one is a sum of products of nodes before it.
template <class Real>
struct Polynomials {
    int inputs;
    Span<Product<Real>> products;
    Span<int> ends;  // of the products of each node from `inputs` on
    Span<NodeOutput> outputs;

    SITEWISE_INLINE int nodes() const { return inputs + ends.size; }
};

/// All functions of one central element
template <class Real>
struct ElementPlan {
    std::uint64_t id;  // unique
    int outputs, elements;
    Real rc2;
    Span<core::Envelope<Real>> envelopes;
    Span<Shell<Real>> shells;
    Span<ShellUse<Real>> uses;
    Span<RadialTerm<Real>> radial;
    Span<Block<Real>> blocks;
    Span<Moment> moments;  // by element and order
    Span<Square> squares;
    Polynomials<Real> polynomials;
    int order;  // the largest of moments
};

/// Pairs are processed in chunks of at least this number, whose arrays stay in the processor's cache.
constexpr int chunk_size = 2048;

/// This many blocks keep their pairs, if they are one chunk, for the next operator on the same environment.
constexpr int kept_blocks = 3;

/// The pairs of one neighbour j, [begin, end) of the list. They were found among `vectors` vectors of
/// candidates, beginning with `first`.
struct PairRow {
    int j, begin, end, first, vectors;
};

/// Pairs of a block, row by row: all of them or, if there are more than chunk_size, a chunk.
template <class Real>
struct PairList {
    std::int32_t *j, *k;   // [pairs]
    Real *c, *kept;        // [pairs] cosines, [values][pairs]: see Family and Group
    PairRow* rows;         // [neighbours]
    std::uint32_t* masks;  // of the candidates of all rows
    int room;              // pairs
    int size, n_rows, n_masks;
    bool complete;  // has all pairs of the block and atom
};

/// The environment of one atom: its neighbours within the cutoff, sorted by element. The range of each
/// element is padded to whole vectors with neighbours beyond every cutoff. Arrays are [stride] or
/// [.][stride].
template <class Real>
struct Tables {
    int given, stride;
    int filling;         // first of a vector of padding after the neighbours
    int* order;          // place in the caller's list, -1 for padding
    int *first, *count;  // [elements]
    Real *x, *y, *z, *s, *r, *inverse_r;
    Real *f, *f_slope, *f_relative;             // [envelope], (df/dr)/r, and that divided by f
    Real *R, *R_slope;                          // [shell]
    Real *gx, *gy, *gz;                         // gradient or direction
    Real* nodes;                                // of Polynomials
    mutable PairList<Real> pairs[kept_blocks];  // made by the operator that first needs them
};

/// Memory of the loop over pairs; each thread has its own. [pairs] is chunk_size and one row more.
template <class Real>
struct PairScratch {
    mutable PairList<Real> pairs;      // for blocks that do not keep theirs
    Real *X, *A, *B;                   // [pairs], coefficients of vectors in the gradient
    Real* own[3];                      // [stride], the gradient of the first neighbours of pairs
    Real *power, *slope;               // [powers][lane]
    Real *sums, *polynomial_sums;      // [members][lane], [groups][most_degree + 1][lane]
    Real *weights, *polynomials;       // [members], [groups][most_degree + 1]
    int *live_groups, *live_families;  // true if one of their weights is not 0
    Real* monomials;                   // [monomials][stride]
    Real* bar;                         // derivatives by nodes, or of them along a direction
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

/// The number of atoms that a network evaluates together, by one matrix product per layer
constexpr int batch_size = 16;

}  // namespace sitewise
