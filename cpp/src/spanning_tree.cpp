#include "spanning_tree.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "parallel.hpp"

namespace sitewise {
namespace {

constexpr std::size_t LEAF = 16;  // points at most
constexpr std::size_t HEAD = 4;   // coordinates that decide for most points
constexpr int MIXED = -1;
constexpr double FAR = std::numeric_limits<double>::infinity();

double square_of_distance(const double* a, const double* b, std::size_t dimension, double limit) {
    double sum = 0;
    const std::size_t head = std::min(HEAD, dimension);
    for (std::size_t k = 0; k < head; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
    if (sum >= limit) return sum;
    for (std::size_t k = head; k < dimension; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sum;
}

int root(std::vector<int>& parent, int tree) {
    while (parent[tree] != tree) tree = parent[tree] = parent[parent[tree]];
    return tree;
}

}  // namespace

SpanningTree::SpanningTree(const double* points, std::size_t size, std::size_t dimension)
    : dimension_(dimension),
      order_(size),
      points_(points, points + size * dimension),
      tree_(size),
      near_(size),
      members_(size),
      starts_(size + 1) {
    std::iota(order_.begin(), order_.end(), 0);
    nodes_.push_back({0, size, 0, MIXED});
    for (std::size_t node = 0; node < nodes_.size(); ++node) build(node);
    for (std::size_t p = 0; p < size; ++p)
        std::copy_n(points + order_[p] * dimension, dimension, points_.begin() + p * dimension);
    std::iota(tree_.begin(), tree_.end(), 0);
    members_ = tree_;
    std::iota(starts_.begin(), starts_.end(), std::size_t{0});
    for (std::size_t p = 0; p < size; ++p) near_[p] = {0, static_cast<int>(p)};
}

// Put a box around the points of a node, and divide them at the median of its longest side. Here points_ is
// in the order that was given.
void SpanningTree::build(std::size_t node) {
    const auto [begin, end, child, tree] = nodes_[node];
    std::vector<double> low(dimension_, FAR), high(dimension_, -FAR);
    for (std::size_t p = begin; p < end; ++p)
        for (std::size_t k = 0; k < dimension_; ++k) {
            const double x = points_[order_[p] * dimension_ + k];
            low[k] = std::min(low[k], x);
            high[k] = std::max(high[k], x);
        }
    boxes_.insert(boxes_.end(), low.begin(), low.end());
    boxes_.insert(boxes_.end(), high.begin(), high.end());
    if (end - begin <= LEAF) return;
    std::size_t longest = 0;
    for (std::size_t k = 1; k < dimension_; ++k)
        if (high[k] - low[k] > high[longest] - low[longest]) longest = k;
    const std::size_t middle = begin + (end - begin) / 2;
    std::nth_element(
        order_.begin() + begin, order_.begin() + middle, order_.begin() + end,
        [&](int a, int b) { return points_[a * dimension_ + longest] < points_[b * dimension_ + longest]; });
    nodes_[node].child = nodes_.size();
    nodes_.push_back({begin, middle, 0, MIXED});
    nodes_.push_back({middle, end, 0, MIXED});
}

std::size_t SpanningTree::grow() {
    const auto trees = static_cast<int>(starts_.size()) - 1;
    int largest = 0;
    for (int t = 1; t < trees; ++t)
        if (starts_[t + 1] - starts_[t] > starts_[largest + 1] - starts_[largest]) largest = t;
    std::vector<Edge> chosen(trees, Edge{FAR, 0, 0});
#pragma omp parallel for num_threads(max_threads()) schedule(dynamic, 16)
    for (int t = 0; t < trees; ++t)
        if (t != largest) chosen[t] = shortest(t);
    const std::size_t left = join(chosen);
    label_nodes();
    return left;
}

// The shortest edge from a tree to another one. Points whose nearest point has joined the tree are searched
// again only if they may be nearer than all others.
SpanningTree::Edge SpanningTree::shortest(int tree) {
    Edge best{FAR, 0, 0};
    for (std::size_t m = starts_[tree]; m < starts_[tree + 1]; ++m) {
        const int p = members_[m];
        if (tree_[near_[p].point] != tree && near_[p].square < best.square)
            best = {near_[p].square, p, near_[p].point};
    }
    for (std::size_t m = starts_[tree]; m < starts_[tree + 1]; ++m) {
        const int p = members_[m];
        if (tree_[near_[p].point] != tree || near_[p].square >= best.square) continue;
        Near found{best.square, p};
        nearest(0, points_.data() + p * dimension_, tree, found);
        near_[p] = found;
        if (found.point != p) best = {found.square, p, found.point};
    }
    return best;
}

void SpanningTree::nearest(std::size_t node, const double* x, int tree, Near& found) const {
    const Node& here = nodes_[node];
    if (here.tree == tree) return;
    if (!here.child) {
        for (std::size_t q = here.begin; q < here.end; ++q) {
            if (tree_[q] == tree) continue;
            const double square =
                square_of_distance(x, points_.data() + q * dimension_, dimension_, found.square);
            if (square < found.square) found = {square, static_cast<int>(q)};
        }
        return;
    }
    const double squares[2] = {square_to_box(here.child, x), square_to_box(here.child + 1, x)};
    const int first = squares[1] < squares[0];
    for (const int side : {first, 1 - first})
        if (squares[side] < found.square) nearest(here.child + side, x, tree, found);
}

double SpanningTree::square_to_box(std::size_t node, const double* x) const {
    const double* low = boxes_.data() + 2 * node * dimension_;
    const double* high = low + dimension_;
    double sum = 0;
    for (std::size_t k = 0; k < dimension_; ++k) {
        const double outside = std::max(std::max(low[k] - x[k], x[k] - high[k]), 0.0);
        sum += outside * outside;
    }
    return sum;
}

// Join the trees by the edges that they chose. An edge between trees that are joined by now has the same
// length as another one that was chosen, and is left out.
std::size_t SpanningTree::join(const std::vector<Edge>& chosen) {
    std::vector<int> parent(chosen.size());
    std::iota(parent.begin(), parent.end(), 0);
    for (const Edge& edge : chosen) {
        if (edge.square == FAR) continue;
        const int a = root(parent, tree_[edge.from]), b = root(parent, tree_[edge.to]);
        if (a == b) continue;
        parent[std::max(a, b)] = std::min(a, b);
        edges_.push_back({order_[edge.from], order_[edge.to]});
    }
    std::vector<int> number(chosen.size());
    int trees = 0;
    for (std::size_t t = 0; t < chosen.size(); ++t) {  // a root comes before the others of its tree
        const int r = root(parent, static_cast<int>(t));
        number[t] = r == static_cast<int>(t) ? trees++ : number[r];
    }
    starts_.assign(trees + 1, 0);
    for (int& t : tree_) ++starts_[(t = number[t]) + 1];
    std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
    std::vector<std::size_t> next(starts_.begin(), starts_.end() - 1);
    for (std::size_t p = 0; p < tree_.size(); ++p) members_[next[tree_[p]]++] = static_cast<int>(p);
    return trees;
}

void SpanningTree::label_nodes() {
    for (std::size_t n = nodes_.size(); n-- > 0;) {  // children come after their parents
        Node& node = nodes_[n];
        if (node.child) {
            const int first = nodes_[node.child].tree;
            node.tree = first == nodes_[node.child + 1].tree ? first : MIXED;
        } else {
            const auto begin = tree_.begin() + node.begin, end = tree_.begin() + node.end;
            node.tree = std::all_of(begin, end, [&](int t) { return t == *begin; }) ? *begin : MIXED;
        }
    }
}

}  // namespace sitewise
