#include "compiler/moments.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "monomials.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

bool expands(const SymmetryFunction& f) {
    return !f.is_compact() && !f.is_weighted() && !f.has_triangle() && f.zeta == std::floor(f.zeta) &&
           f.zeta <= most_order && std::fabs(f.lambda) <= 1.0;
}

int zeta_of(const Term& term) {
    return static_cast<int>(term.function->zeta);
}

// x^a y^b z^c
struct Exponents {
    int a, b, c;

    int power() const { return a + b + c; }
    Exponents operator+(const Exponents& o) const { return {a + o.a, b + o.b, c + o.c}; }
};

// All of a power p, which are the components of a symmetric tensor of rank p
std::vector<Exponents> components(int p) {
    std::vector<Exponents> all;
    for (int a = p; a >= 0; --a)
        for (int b = p - a; b >= 0; --b) all.push_back({a, b, p - a - b});
    return all;
}

// How often the component stands in the tensor, p!/(a! b! c!)
double times(const Exponents& e) {
    return binomial(e.power(), e.a) * binomial(e.b + e.c, e.b);
}

// The least order that there are kernels for
int order_for(int power) {
    for (int order : moment_orders)
        if (power <= order) return order;
    return most_order;
}

// A sum of products of two nodes with weights. Equal products come together.
using Terms = std::map<std::pair<int, int>, double>;

void add(Terms& terms, int a, int b, double weight) {
    terms[{std::min(a, b), std::max(a, b)}] += weight;
}

constexpr int one = 0;                            // the node that is 1
constexpr std::size_t most_products = 1'000'000;  // of all nodes, far beyond what is of use

// The moments and squares that functions need, with their nodes
class Inputs {
public:
    void need(int shell, int element, int power) {
        int& most = powers_[{element, shell}];
        most = std::max(most, power);
    }
    void need_square(int shell, int element) { squares_.insert({shell, element}); }

    // Numbers the nodes, from 1 on.
    void number() {
        for (const auto& [key, power] : powers_)
            moments_.push_back({key.second, key.first, order_for(power), 0});
        std::stable_sort(moments_.begin(), moments_.end(), [](const Moment& a, const Moment& b) {
            return std::tie(a.element, a.order) < std::tie(b.element, b.order);
        });
        for (Moment& m : moments_) {
            m.node = nodes_;
            nodes_ += top_monomials(m.order);
        }
        for (const auto& [shell, element] : squares_) square_nodes_.push_back({shell, element, nodes_++});
    }

    const Moment& moment(int shell, int element) const {
        return *std::find_if(moments_.begin(), moments_.end(),
                             [&](const Moment& m) { return m.shell == shell && m.element == element; });
    }
    int square(int shell, int element) const {
        return std::find_if(square_nodes_.begin(), square_nodes_.end(),
                            [&](const Square& s) { return s.shell == shell && s.element == element; })
            ->node;
    }
    const std::vector<Moment>& moments() const { return moments_; }
    const std::vector<Square>& squares() const { return square_nodes_; }
    int nodes() const { return nodes_; }

private:
    std::map<std::pair<int, int>, int> powers_;  // by element and shell
    std::set<std::pair<int, int>> squares_;
    std::vector<Moment> moments_;
    std::vector<Square> square_nodes_;
    int nodes_ = 1;
};

// The nodes behind the inputs. What is computed twice becomes one node.
class Graph {
public:
    explicit Graph(const Inputs& inputs) : inputs_(inputs) {}

    bool has(const Terms& terms) const { return trivial(terms) || known_.count(terms) != 0; }

    int node(const Terms& terms) {
        if (trivial(terms)) return terms.begin()->first.second;
        const auto [at, is_new] = known_.emplace(terms, inputs_.nodes() + static_cast<int>(nodes_.size()));
        if (!is_new) return at->second;
        nodes_.push_back(at->first);
        products_ += terms.size();
        if (products_ > most_products)
            throw Error(
                "the symmetry functions of an element that are computed from moments take more than " +
                std::to_string(most_products) + " products of sums, the most that is supported");
        return at->second;
    }

    // Of a moment. One of a power that is not summed over neighbours is a trace, as x^2 + y^2 + z^2 = 1.
    int component(const Moment& m, const Exponents& e) {
        if (e.power() >= m.order - 1)
            return m.node + monomial_number(e.a, e.b, e.c) - monomials_up_to(m.order - 2);
        Terms trace;
        for (const Exponents& two : {Exponents{2, 0, 0}, Exponents{0, 2, 0}, Exponents{0, 0, 2}})
            add(trace, one, component(m, e + two), 1.0);
        return node(trace);
    }

    // Full contraction of two moments' tensors of rank p
    Terms product(const Moment& m1, const Moment& m2, int p) {
        Terms terms;
        for (const Exponents& e : components(p)) add(terms, component(m1, e), component(m2, e), times(e));
        return terms;
    }

    // That of ranks left + p and p + right over p indices; component (l, r) of what is left
    void add_product(Terms& terms,
                     double weight,
                     const Moment& m1,
                     const Exponents& l,
                     int p,
                     const Exponents& r,
                     const Moment& m2) {
        for (const Exponents& e : components(p))
            add(terms, component(m1, l + e), component(m2, e + r), weight * times(e));
    }

    const std::vector<Terms>& nodes() const { return nodes_; }

private:
    static bool trivial(const Terms& terms) {
        return terms.size() == 1 && terms.begin()->first.first == one && terms.begin()->second == 1.0;
    }

    const Inputs& inputs_;
    std::map<Terms, int> known_;
    std::vector<Terms> nodes_;
    std::size_t products_ = 0;
};

// A contraction as the sum of products of two sums
struct Part {
    Terms left, right;
    double weight;
};

struct RingShape {
    const Moment* moment;
    int power;
};

// Three shells: the first two are contracted, and what is left is made symmetric and contracted with the
// third.
std::vector<Part> parts_of_three(Graph& graph, const std::vector<RingShape>& ring) {
    const Moment &m1 = *ring[0].moment, &m2 = *ring[1].moment, &m3 = *ring[2].moment;
    std::map<int, Part> by_component;
    for (const Exponents& l : components(ring[2].power))
        for (const Exponents& r : components(ring[1].power)) {
            const int third = graph.component(m3, r + l);
            Part& part = by_component[third];
            part.right = {{{one, third}, 1.0}};
            part.weight = 1.0;
            graph.add_product(part.left, times(l) * times(r), m1, l, ring[0].power, r, m2);
        }
    std::vector<Part> parts;
    for (auto& [third, part] : by_component) parts.push_back(std::move(part));
    return parts;
}

// Four shells: the first two and the last two are contracted, and then these with each other.
std::vector<Part> parts_of_four(Graph& graph, const std::vector<RingShape>& ring) {
    std::vector<Part> parts;
    for (const Exponents& l : components(ring[3].power))
        for (const Exponents& r : components(ring[1].power)) {
            Part part{{}, {}, times(l) * times(r)};
            graph.add_product(part.left, 1.0, *ring[0].moment, l, ring[0].power, r, *ring[1].moment);
            graph.add_product(part.right, 1.0, *ring[2].moment, r, ring[2].power, l, *ring[3].moment);
            parts.push_back(std::move(part));
        }
    return parts;
}

// New products that it takes
std::size_t cost(const Graph& graph, const std::vector<Part>& parts) {
    std::size_t products = parts.size();
    std::set<Terms> counted;
    for (const Part& part : parts)
        for (const Terms* terms : {&part.left, &part.right})
            if (!graph.has(*terms) && counted.insert(*terms).second) products += terms->size();
    return products;
}

// The node of a contraction, begun at the shell from which it takes the fewest products that are not there
int node_of_ring(Graph& graph, std::vector<RingShape> ring) {
    if (ring.size() == 2) return graph.node(graph.product(*ring[0].moment, *ring[1].moment, ring[0].power));
    std::vector<Part> best;
    const std::size_t turns = ring.size() == 3 ? 3 : 2;  // after two, four shells come in the same pairs
    for (std::size_t turn = 0; turn < turns; ++turn) {
        std::vector<Part> parts = ring.size() == 3 ? parts_of_three(graph, ring) : parts_of_four(graph, ring);
        if (best.empty() || cost(graph, parts) < cost(graph, best)) best = std::move(parts);
        std::rotate(ring.begin(), ring.begin() + 1, ring.end());
    }
    Terms total;
    for (const Part& part : best) {
        const int left = graph.node(part.left), right = graph.node(part.right);
        add(total, left, right, part.weight);
    }
    return graph.node(total);
}

// The binomial expansion of 2^(1-zeta) (1 + lambda u_j.u_k)^zeta. The sum over j < k is half of the sum over
// all j, k without j = k, if the elements are the same.
int node_of_term(Graph& graph,
                 const Inputs& inputs,
                 const Term& term,
                 int shell,
                 int element1,
                 int element2) {
    const bool same = element1 == element2;
    const SymmetryFunction& f = *term.function;
    const int zeta = zeta_of(term);
    const double norm = std::pow(2.0, 1.0 - zeta) * (same ? 0.5 : 1.0);
    const Moment &m1 = inputs.moment(shell, element1), &m2 = inputs.moment(shell, element2);
    Terms total;
    for (int p = 0; p <= zeta; ++p)
        if (const double c = norm * binomial(zeta, p) * std::pow(f.lambda, p); c != 0.0)
            add(total, one, graph.node(graph.product(m1, m2, p)), c);
    if (same) add(total, one, inputs.square(shell, element1), -norm * std::pow(1.0 + f.lambda, zeta));
    return graph.node(total);
}

// Sorts the nodes behind the inputs into levels, in which none needs another. Within a level the number of
// products increases, as processors foresee the end of loops of one length.
void sort_nodes(int inputs, std::vector<Terms>& nodes, std::vector<NodeOutput>& outputs) {
    std::vector<int> level(inputs + nodes.size(), 0), order(nodes.size()), place(level.size());
    for (std::size_t k = 0; k < nodes.size(); ++k)
        for (const auto& [factors, weight] : nodes[k])
            level[inputs + k] =
                std::max({level[inputs + k], level[factors.first] + 1, level[factors.second] + 1});
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return std::make_tuple(level[inputs + a], nodes[a].size()) <
               std::make_tuple(level[inputs + b], nodes[b].size());
    });
    std::iota(place.begin(), place.end(), 0);
    for (std::size_t q = 0; q < order.size(); ++q) place[inputs + order[q]] = inputs + static_cast<int>(q);
    std::vector<Terms> sorted(nodes.size());
    for (std::size_t q = 0; q < order.size(); ++q)
        for (const auto& [factors, weight] : nodes[order[q]])
            add(sorted[q], place[factors.first], place[factors.second], weight);
    nodes = std::move(sorted);
    for (NodeOutput& o : outputs) o.node = place[o.node];
}

}  // namespace

bool by_moments(const Bundle& bundle, bool same, int n_elements, Moments wanted) {
    int order = 0;
    double rc = 0.0;
    for (const Term& term : bundle.terms) {
        const SymmetryFunction& f = *term.function;
        if (!expands(f)) return false;
        order = std::max(order, zeta_of(term));
        rc = std::max(rc, f.cutoff);
    }
    if (wanted != Moments::automatic) return wanted == Moments::always;
    // Operations of both methods, forward and backward, for the number of neighbours in a typical solid.
    const double density = 0.05;  // atoms/Angstrom^3
    const double n = density * 4.0 / 3.0 * core::pi * rc * rc * rc / n_elements;
    const double pairs = same ? 0.5 * n * n : n * n, members = static_cast<double>(bundle.terms.size());
    return 8.0 * monomials_up_to(order) * (same ? n : 2.0 * n) < (30.0 + 4.0 * members) * pairs;
}

template <class Real>
void MomentCompiler::compile(CompiledPlan<Real>& plan) const {
    Inputs inputs;
    for (const auto& [element1, element2, bundle] : bundles_) {
        for (const Term& term : bundle.terms)
            for (int element : {element1, element2}) inputs.need(bundle.shell, element, zeta_of(term));
        if (element1 == element2) inputs.need_square(bundle.shell, element1);
    }
    for (const Ring& ring : rings_)
        for (std::size_t s = 0; s < ring.shells.size(); ++s) {
            const int before = ring.shells[(s + ring.shells.size() - 1) % ring.shells.size()].power;
            inputs.need(ring.shells[s].shell, ring.shells[s].element, before + ring.shells[s].power);
        }
    inputs.number();
    Graph graph(inputs);
    for (const auto& [element1, element2, bundle] : bundles_)
        for (const Term& term : bundle.terms)
            plan.outputs.push_back(
                {node_of_term(graph, inputs, term, bundle.shell, element1, element2), term.output});
    for (const Ring& ring : rings_) {
        std::vector<RingShape> shape;
        for (const RingMoment& s : ring.shells)
            shape.push_back({&inputs.moment(s.shell, s.element), s.power});
        plan.outputs.push_back({node_of_ring(graph, std::move(shape)), ring.output});
    }
    std::vector<Terms> nodes = graph.nodes();
    sort_nodes(inputs.nodes(), nodes, plan.outputs);
    for (const Terms& terms : nodes) {
        for (const auto& [factors, weight] : terms)
            plan.products.push_back({factors.first, factors.second, static_cast<Real>(weight)});
        plan.ends.push_back(static_cast<int>(plan.products.size()));
    }
    plan.moments = inputs.moments();
    plan.squares = inputs.squares();
    plan.plan.polynomials.inputs = inputs.nodes();
    for (const Moment& m : plan.moments) plan.plan.order = std::max(plan.plan.order, m.order);
}

template void MomentCompiler::compile(CompiledPlan<double>&) const;
template void MomentCompiler::compile(CompiledPlan<float>&) const;

}  // namespace sitewise
