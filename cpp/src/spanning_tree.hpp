#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace sitewise {

/// A minimum spanning tree of points with the Euclidean distance, by the algorithm of O. Boruvka (1926) on a
/// k-d tree (W. March, P. Ram and A. Gray, KDD 2010, with one tree for all points): in each round every tree
/// but the largest grows by its shortest edge to another one. It is exact. It is fast if the first few
/// coordinates vary most, as principal components do.
class SpanningTree {
public:
    /// `points` [size][dimension] are finite; they are copied.
    SpanningTree(const double* points, std::size_t size, std::size_t dimension);

    /// Do one round, and return how many trees are left. The edges do not depend on the number of threads.
    std::size_t grow();

    /// The edges until now, by the places of their ends in `points`.
    const std::vector<std::array<int, 2>>& edges() const { return edges_; }

private:
    struct Node {
        std::size_t begin, end;  // points
        std::size_t child;       // the first of two; 0 for a leaf
        int tree;                // of all points, or MIXED
    };
    // The nearest point of another tree; if `point` is of the own tree, a lower bound of its distance
    struct Near {
        double square;
        int point;
    };
    struct Edge {
        double square;
        int from, to;
    };

    void build(std::size_t node);
    void nearest(std::size_t node, const double* x, int tree, Near& found) const;
    double square_to_box(std::size_t node, const double* x) const;
    Edge shortest(int tree);
    std::size_t join(const std::vector<Edge>& chosen);
    void label_nodes();

    std::size_t dimension_;
    std::vector<int> order_;  // place of each point in those that were given
    std::vector<double> points_;
    std::vector<Node> nodes_;
    std::vector<double> boxes_;  // [nodes][2][dimension]
    std::vector<int> tree_;      // of each point
    std::vector<Near> near_;
    std::vector<int> members_;         // points, tree by tree
    std::vector<std::size_t> starts_;  // [trees + 1], in members_
    std::vector<std::array<int, 2>> edges_;
};

}  // namespace sitewise
