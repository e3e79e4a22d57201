// The cell list against all pairs of all images.

#include <algorithm>
#include <cmath>
#include <random>
#include <tuple>
#include <vector>

#include "check.hpp"
#include "sitewise/error.hpp"
#include "sitewise/neighbors.hpp"

using namespace sitewise;

namespace {

using Entry = std::tuple<int, int, int, int, int>;  // i, j, S

struct Case {
    std::vector<double> positions;
    std::vector<int> species;
    Atoms atoms;

    Case(int n, double size, double spread, std::array<bool, 3> periodic, unsigned seed) : species(n, 0) {
        std::mt19937 random(seed);
        std::normal_distribution<double> normal;
        for (int i = 0; i < 3 * n; ++i) positions.push_back(spread * normal(random));
        atoms.size = n;
        atoms.species = species.data();
        atoms.positions = positions.data();
        atoms.periodic = periodic;
        for (int a = 0; a < 3; ++a)
            for (int c = 0; c < 3; ++c) atoms.cell[a][c] = size * ((a == c) + 0.25 * normal(random));
    }
};

std::vector<Entry> entries(const NeighborList& list) {
    std::vector<Entry> found;
    for (std::size_t i = 0; i < list.centers(); ++i)
        for (std::size_t e = list.first[i]; e < list.first[i + 1]; ++e)
            found.emplace_back(i, list.index[e], list.shifts[e][0], list.shifts[e][1], list.shifts[e][2]);
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<Entry> all_pairs(const Atoms& atoms, double cutoff, int images) {
    std::vector<Entry> found;
    const auto range = [&](int a) { return atoms.periodic[a] ? images : 0; };
    for (int i = 0; i < static_cast<int>(atoms.size); ++i)
        for (int j = 0; j < static_cast<int>(atoms.size); ++j)
            for (int x = -range(0); x <= range(0); ++x)
                for (int y = -range(1); y <= range(1); ++y)
                    for (int z = -range(2); z <= range(2); ++z) {
                        double r2 = 0.0;
                        for (int c = 0; c < 3; ++c) {
                            const double d = atoms.positions[3 * j + c] - atoms.positions[3 * i + c] +
                                             x * atoms.cell[0][c] + y * atoms.cell[1][c] +
                                             z * atoms.cell[2][c];
                            r2 += d * d;
                        }
                        const bool itself = i == j && x == 0 && y == 0 && z == 0;
                        if (!itself && r2 < cutoff * cutoff) found.emplace_back(i, j, x, y, z);
                    }
    std::sort(found.begin(), found.end());
    return found;
}

void equal_to_all_pairs() {
    for (unsigned seed = 0; seed < 40; ++seed) {
        const std::array<bool, 3> periodic{seed % 2 == 0, seed % 3 != 0, seed % 5 != 0};
        const Case c(1 + seed % 7, 2.5 + 0.1 * seed, 4.0, periodic, seed);
        const double cutoff = 1.0 + 0.1 * seed;
        const NeighborList list = build_neighbors(c.atoms, cutoff);
        CHECK(entries(list) == all_pairs(c.atoms, cutoff, 14));
        for (std::size_t i = 0; i < list.centers(); ++i)
            for (std::size_t e = list.first[i]; e < list.first[i + 1]; ++e)
                for (int a = 0; a < 3; ++a) {
                    double r = c.positions[3 * list.index[e] + a] - c.positions[3 * i + a];
                    for (int b = 0; b < 3; ++b) r += list.shifts[e][b] * c.atoms.cell[b][a];
                    CHECK_CLOSE(list.vectors[3 * e + a], r, 1e-10);
                }
    }
}

void extremes() {
    Case none(0, 5.0, 1.0, {true, true, true}, 1);
    CHECK(build_neighbors(none.atoms, 3.0).centers() == 0);
    // Two atoms lost in space: memory must not follow the volume.
    Case far(2, 5.0, 1e7, {false, false, false}, 1);
    far.atoms.cell = {};
    CHECK(build_neighbors(far.atoms, 6.0).index.empty());
    // One atom in a cell a tenth of the cutoff.
    Case tiny(1, 0.6, 1.0, {true, true, true}, 3);
    CHECK(entries(build_neighbors(tiny.atoms, 6.0)) == all_pairs(tiny.atoms, 6.0, 40));
}

void errors() {
    Case good(3, 6.0, 2.0, {true, true, true}, 7);
    CHECK_THROWS(build_neighbors(good.atoms, 0.0), "cutoff");
    CHECK_THROWS(build_neighbors(good.atoms, NAN), "cutoff");
    Case bad = good;
    bad.atoms.positions = bad.positions.data();
    bad.positions[4] = NAN;
    CHECK_THROWS(build_neighbors(bad.atoms, 3.0), "atom 1");
    std::copy_n(&bad.positions[0], 3, &bad.positions[3]);
    CHECK_THROWS(build_neighbors(bad.atoms, 3.0), "atoms 0 and 1");
    Atoms flat = good.atoms;
    flat.cell[2] = flat.cell[1];
    CHECK_THROWS(build_neighbors(flat, 3.0), "no volume");
    flat.periodic[2] = false;
    CHECK(build_neighbors(flat, 3.0).centers() == 3);
    flat.cell[0][0] = INFINITY;
    CHECK_THROWS(build_neighbors(flat, 3.0), "cell");
    Atoms thin = good.atoms;
    for (double& x : thin.cell[0]) x *= 1e-5;
    CHECK_THROWS(build_neighbors(thin, 6.0), "thin");
}

}  // namespace

int main() {
    equal_to_all_pairs();
    extremes();
    errors();
    return check::failures() == 0 ? 0 : 1;
}
