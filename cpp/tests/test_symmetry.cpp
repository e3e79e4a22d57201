// The operators on environments of all sizes, so that a sanitizer sees every kernel's loads and stores; the
// name of the instruction set may be given, and 77 is returned where the machine lacks it.

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.hpp"
#include "samples.hpp"
#include "sitewise/symmetry.hpp"

using namespace sitewise;

namespace {

std::vector<SymmetryFunction> functions() {
    std::vector<SymmetryFunction> all;
    const auto add = [&](int type, int n1, int n2, double eta, double rs, double lambda, double zeta,
                         double rc) {
        SymmetryFunction f;
        f.type = type;
        f.neighbor1 = n1;
        f.neighbor2 = n2;
        f.eta = eta;
        f.rs = rs;
        f.lambda = lambda;
        f.zeta = zeta;
        f.cutoff = rc;
        all.push_back(f);
    };
    for (int e : {0, 1})
        for (double rs : {0.0, 1.5}) add(2, e, -1, 0.3, rs, 0, 0, 5.0);
    for (int type : {3, 9})
        for (double zeta : {1.0, 2.0, 3.0, 8.0, 16.0, 2.5})
            for (double lambda : {-1.0, 1.0}) {
                // what moments cannot express has exponents of its own, or the others would share its loop
                const double more = zeta == 16.0 || zeta == 2.5 ? 0.01 : 0.0;
                add(type, 0, 0, 0.02 + more, 0.0, lambda, zeta, 5.0);
                add(type, 0, 1, 0.05 + more, 0.0, lambda, zeta, 4.0);
                add(type, 1, 1, 0.05, 0.7, lambda, zeta, 4.5);
            }
    add(12, -1, -1, 0.2, 1.0, 0, 0, 5.0);
    add(13, -1, -1, 0.05, 0.3, 1.0, 2.0, 5.0);
    for (int type = 20; type <= 25; ++type)
        for (const char* subtype : {"p1", "p2a", "p3", "p4a", "e"}) {
            const bool weighted = type >= 23, angular = type != 20 && type != 23;
            add(type, weighted ? -1 : 0, weighted || !angular ? -1 : 1, 0, 0, 0, 0, 5.0);
            all.back().left = 0.5;
            all.back().angle_left = 40.0;
            all.back().angle_right = 140.0;
            set_subtype(all.back(), subtype);
        }
    return all;
}

struct Neighborhood {
    std::vector<double> vectors;
    std::vector<int> index, species;
    Environment environment;

    Neighborhood(std::size_t size, std::mt19937& random) : vectors(3 * size), index(size), species(size) {
        std::normal_distribution<double> normal;
        for (std::size_t i = 0; i < size; ++i) {
            index[i] = static_cast<int>(i);
            species[i] = static_cast<int>(random() % 2);
        }
        for (double& x : vectors) x = 2.5 * normal(random);
    }
    void load(const SymmetryFunctions& set) {
        set.load(0, index.size(), index.data(), species.data(), vectors.data(), environment);
    }
};

// Numbers that are not finite, as of a training run that diverges, must not stay in memory that is used
// again.
void compute_nan(const SymmetryFunctions& set, std::mt19937& random) {
    constexpr std::size_t size = 80;
    Neighborhood atom(size, random);
    atom.load(set);
    std::vector<double> u(set.count(0), std::nan("")), gradient(3 * size);
    set.vjp(atom.environment, u.data(), gradient.data());
    CHECK(std::any_of(gradient.begin(), gradient.end(), [](double g) { return std::isnan(g); }));
}

void check_environment(const SymmetryFunctions& set, std::size_t size, std::mt19937& random) {
    std::normal_distribution<double> normal;
    Neighborhood atom(size, random);
    atom.load(set);
    const std::size_t n = set.count(0);
    std::vector<double> G(n), dG(n), u(n), v(3 * size), gradient(3 * size), alone(3 * size);
    for (double& x : v) x = normal(random);
    for (double& x : u) x = normal(random);
    set.evaluate(atom.environment, G.data());
    set.vjp(atom.environment, u.data(), gradient.data());
    set.jvp(atom.environment, v.data(), dG.data());
    double forward = 0.0, reverse = 0.0, scale = 1e-30;
    for (std::size_t f = 0; f < n; ++f) {
        CHECK(std::isfinite(G[f]));
        forward += u[f] * dG[f];
        scale += std::fabs(u[f] * dG[f]);
    }
    for (std::size_t i = 0; i < 3 * size; ++i) reverse += gradient[i] * v[i];
    CHECK(std::fabs(forward - reverse) <= 1e-11 * scale);
    // what an operator leaves for the next one changes nothing
    atom.load(set);
    set.vjp(atom.environment, u.data(), alone.data());
    CHECK(alone == gradient);
}

}  // namespace

int main(int argc, char** argv) {
    if (!samples::choose_instruction_set(argc, argv)) return samples::skipped;
    std::mt19937 random(7);
    for (Moments moments : {Moments::never, Moments::always}) {
        const SymmetryFunctions set(2, functions(), {}, {8, 14}, moments);
        CHECK((set.from_moments(0) > 0) == (moments == Moments::always));
        for (std::size_t size = 0; size < 70; ++size) {
            compute_nan(set, random);
            check_environment(set, size, random);
        }
    }
    return check::failures() == 0 ? 0 : 1;
}
