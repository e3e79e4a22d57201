#include "neighbor_search.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "bins.hpp"
#include "checks.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

using Vector = Box::Vector;

constexpr std::size_t padding = 16;     // values that kernels may read or write after an array
constexpr double most_images = 2000.0;  // cells within the cutoff along one vector
constexpr double most_bins = 1e6;       // along one direction
constexpr double most_cells = 1e6;      // within the cutoff altogether, one more along each vector

double dot(const Vector& a, const Vector& b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

Vector cross(const Vector& a, const Vector& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double length(const Vector& a) {
    return std::sqrt(dot(a, a));
}

Vector scaled(const Vector& a, double s) {
    return {a[0] * s, a[1] * s, a[2] * s};
}

std::string text(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.6g", value);
    return buffer;
}

// A direction perpendicular to the given ones, which are independent and at most two.
Vector perpendicular(const std::vector<Vector>& to) {
    if (to.size() == 2) return scaled(cross(to[0], to[1]), 1.0 / length(cross(to[0], to[1])));
    if (to.empty()) return {1.0, 0.0, 0.0};
    const Vector& a = to[0];
    const int smallest = static_cast<int>(
        std::min_element(a.begin(), a.end(), [](double x, double y) { return std::fabs(x) < std::fabs(y); }) -
        a.begin());
    Vector axis{};
    axis[smallest] = 1.0;
    const Vector v = cross(a, axis);
    return scaled(v, 1.0 / length(v));
}

void check_volume(const std::vector<Vector>& v) {
    for (const Vector& a : v)
        for (double x : a)
            if (!std::isfinite(x)) throw Error("the cell has the value " + text(x));
    double product = 1.0, extent = 1.0;
    for (const Vector& a : v) product *= length(a);
    if (v.size() == 1) extent = length(v[0]);
    if (v.size() == 2) extent = length(cross(v[0], v[1]));
    if (v.size() == 3) extent = std::fabs(dot(v[0], cross(v[1], v[2])));
    if (!v.empty() && !(extent > 1e-10 * product && extent > 0.0))
        throw Error("the periodic cell has no volume: its vectors are zero or lie in one plane");
}

// The numbers of bins for `atoms`; fewer than `wanted` if most bins would be empty. The cube root assumes
// three long directions. Atoms far apart along one or two directions would still have too many bins.
std::array<int, 3> bin_counts(const Vector& wanted, double atoms) {
    const double shrink = std::min(1.0, std::cbrt(atoms / (wanted[0] * wanted[1] * wanted[2])));
    std::array<int, 3> count;
    for (int a = 0; a < 3; ++a)
        count[a] = std::max(1, static_cast<int>(std::min(wanted[a] * shrink, most_bins)));
    while (double(count[0]) * count[1] * count[2] > std::max(1000.0, 8.0 * atoms)) {
        int& most = *std::max_element(count.begin(), count.end());
        most = (most + 1) / 2;
    }
    return count;
}

}  // namespace

Box::Box(const Atoms& atoms) : periodic(atoms.periodic) {
    std::vector<Vector> known;
    for (int a = 0; a < 3; ++a) {
        if (!periodic[a]) continue;
        vectors[a] = atoms.cell[a];
        known.push_back(vectors[a]);
    }
    check_volume(known);
    for (int a = 0; a < 3; ++a) {
        if (periodic[a]) continue;
        vectors[a] = perpendicular(known);
        known.push_back(vectors[a]);
    }
    const double volume = dot(vectors[0], cross(vectors[1], vectors[2]));
    for (int a = 0; a < 3; ++a)
        reciprocal[a] = scaled(cross(vectors[(a + 1) % 3], vectors[(a + 2) % 3]), 1.0 / volume);
}

double Box::height(int a) const {
    return 1.0 / length(reciprocal[a]);
}

void NeighborRow::reserve(std::size_t n, bool with_shifts) {
    if (n > index.size()) {
        index.resize(n + n / 2);
        vectors.resize(3 * index.size());
    }
    if (with_shifts && shifts.size() < index.size()) shifts.resize(index.size());
}

void NearAtoms::reserve(std::size_t candidates, std::size_t ranges) {
    ends.resize(ranges);
    if (number.size() >= candidates + padding) return;
    number.resize(candidates + padding);
    for (auto& x : vectors) x.resize(candidates + padding);
}

std::size_t NearAtoms::search(std::size_t n_ranges,
                              const AtomRange* ranges,
                              const double* const* sorted,
                              const double* p,
                              double cutoff) {
    double* found[3] = {vectors[0].data(), vectors[1].data(), vectors[2].data()};
    return kernels().within(n_ranges, ranges, sorted, p, cutoff * cutoff, ends.data(), number.data(), found);
}

double NearAtoms::distance(std::size_t h) const {
    return length({vectors[0][h], vectors[1][h], vectors[2][h]});
}

void check_cutoff(double cutoff) {
    if (!(cutoff > 0.0) || !std::isfinite(cutoff))
        throw Error("the cutoff of the neighbour list is " + text(cutoff) + ", expected a positive number");
}

NeighborSearch::NeighborSearch(const Atoms& atoms, double cutoff) : box_(atoms), cutoff_(cutoff) {
    check_cutoff(cutoff);
    order_.ghosts = atoms.ghosts;
    positions_.resize(atoms.size);
    wrap_.resize(atoms.size);
    bin_of_.resize(atoms.size);
    std::vector<Vector> fraction(atoms.size);
    FirstError error;
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t i = 0; i < atoms.size; ++i) error.run([&] { wrap(atoms, i, fraction[i]); });
    error.rethrow();
    Vector low{}, span{1.0, 1.0, 1.0};
    bound(fraction, low, span);
    bins_ = divide(box_, cutoff_, span, size());
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t i = 0; i < atoms.size; ++i)
        for (int a = 0; a < 3; ++a)
            bin_of_[i][a] = core::bin_of(fraction[i][a], low[a], span[a], bins_.count[a]);
    sort();
}

void NeighborSearch::wrap(const Atoms& atoms, std::size_t i, Vector& fraction) {
    const double* r = atoms.positions + 3 * i;
    Vector p{r[0], r[1], r[2]};
    wrap_[i] = {};
    for (double x : p)
        if (!std::isfinite(x)) throw Error("atom " + std::to_string(i) + " has the coordinate " + text(x));
    for (int a = 0; a < 3; ++a) {
        fraction[a] = dot(p, box_.reciprocal[a]);
        if (!box_.periodic[a]) continue;
        const double cells = std::floor(fraction[a]);
        if (!(std::fabs(cells) <= 1e9))  // NaN if products overflow
            throw Error("atom " + std::to_string(i) + " lies " + text(cells) + " cells away");
        wrap_[i][a] = static_cast<int>(cells);
        fraction[a] -= cells;
    }
    for (int a = 0; a < 3; ++a)
        for (int c = 0; c < 3; ++c) p[c] -= wrap_[i][a] * box_.vectors[a][c];
    positions_[i] = p;
}

void NeighborSearch::bound(const std::vector<Vector>& fraction, Vector& low, Vector& span) const {
    for (int a = 0; a < 3; ++a) {
        if (box_.periodic[a] || fraction.empty()) continue;
        const auto less = [a](const Vector& x, const Vector& y) { return x[a] < y[a]; };
        const auto [least, most] = std::minmax_element(fraction.begin(), fraction.end(), less);
        low[a] = (*least)[a];
        span[a] = std::max((*most)[a] - low[a], 1e-3);
    }
}

Bins divide(const Box& box, double cutoff, const Box::Vector& span, std::size_t atoms) {
    Vector wanted;
    for (double x : span)
        if (!std::isfinite(x)) throw Error("the atoms lie too far apart for any number");
    for (int a = 0; a < 3; ++a)
        wanted[a] = std::clamp(span[a] * box.height(a) / ((a == 2 ? 1.0 : 0.5) * cutoff), 1.0, 1e90);
    Bins bins;
    bins.count = bin_counts(wanted, std::max<double>(1.0, atoms));
    double cells = 1.0;
    for (int a = 0; a < 3; ++a) {
        const double width = span[a] * box.height(a) / bins.count[a];
        const double reach = std::ceil(cutoff / width);
        if (box.periodic[a] && cutoff / box.height(a) > most_images)
            throw Error("the cell is " + text(box.height(a)) + " Angstrom thin, too thin for a cutoff of " +
                        text(cutoff));
        if (box.periodic[a]) cells *= 2.0 * std::ceil(cutoff / box.height(a)) + 1.0;
        bins.reach[a] = box.periodic[a] ? static_cast<int>(reach)
                                        : static_cast<int>(std::min<double>(reach, bins.count[a] - 1));
    }
    if (cells > most_cells)
        throw Error("the cell is so small that a cutoff of " + text(cutoff) + " reaches " + text(cells) +
                    " images of it");
    return bins;
}

void NeighborSearch::sort() {
    first_.assign(static_cast<std::size_t>(bins_.count[0]) * bins_.count[1] * bins_.count[2] + 1, 0);
    for (const Triple& b : bin_of_) ++first_[flat(b) + 1];
    for (std::size_t b = 1; b < first_.size(); ++b) first_[b] += first_[b - 1];
    order_.atoms.resize(size());
    std::vector<std::size_t> next(first_);
    for (std::size_t i = 0; i < size(); ++i) order_.atoms[next[flat(bin_of_[i])]++] = static_cast<int>(i);
    if (order_.ghosts > 0)
        for (std::size_t k = 0; k < size(); ++k)
            if (order_.atom(k) < order_.count()) order_.centers.push_back(static_cast<int>(k));
    for (auto& x : sorted_) x.resize(size() + padding);
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t k = 0; k < size(); ++k)
        for (int a = 0; a < 3; ++a) sorted_[a][k] = positions_[order_.atoms[k]][a];
}

// Lists the ranges of atoms in the bins around a bin.
void NeighborSearch::look_around(const Triple& bin, Scratch& scratch) const {
    scratch.bin = bin;
    scratch.ranges.clear();
    scratch.cells.clear();
    const Triple& reach = bins_.reach;
    const auto fold = [&](int a, Triple& b, Triple& cell) {
        return core::fold(bins_.count[a], box_.periodic[a], b[a], cell[a]);
    };
    for (int x = bin[0] - reach[0]; x <= bin[0] + reach[0]; ++x) {
        for (int y = bin[1] - reach[1]; y <= bin[1] + reach[1]; ++y) {
            Triple b{x, y, 0}, cell{};
            if (!fold(0, b, cell) || !fold(1, b, cell)) continue;
            for (int z = bin[2] - reach[2]; z <= bin[2] + reach[2];) {
                b[2] = z;
                const bool inside = fold(2, b, cell);
                const int length = std::min(bin[2] + reach[2] - z + 1, bins_.count[2] - b[2]);
                if (inside) add_range(b, length, cell, scratch);
                z += inside ? length : 1;
            }
        }
    }
    std::size_t candidates = 0;
    for (const AtomRange& range : scratch.ranges) candidates += range.count;
    scratch.near.reserve(candidates, scratch.ranges.size());
}

// Adds the atoms of `length` bins, beginning with b, in the image `cell`.
void NeighborSearch::add_range(const Triple& b, int length, const Triple& cell, Scratch& scratch) const {
    const std::size_t from = flat(b), first = first_[from], n = first_[from + length] - first;
    if (n == 0) return;
    AtomRange range{static_cast<std::int32_t>(first), static_cast<std::int32_t>(n), {}};
    for (int a = 0; a < 3; ++a)
        for (int c = 0; c < 3; ++c) range.shift[c] += cell[a] * box_.vectors[a][c];
    scratch.ranges.push_back(range);
    scratch.cells.push_back(cell);
}

void NeighborSearch::find(std::size_t place, bool with_shifts, Scratch& scratch, NeighborRow& row) const {
    const std::size_t i = order_.atom(place);
    if (bin_of_[i] != scratch.bin) look_around(bin_of_[i], scratch);
    const double* sorted[3] = {sorted_[0].data(), sorted_[1].data(), sorted_[2].data()};
    NearAtoms& near = scratch.near;
    const std::size_t n =
        near.search(scratch.ranges.size(), scratch.ranges.data(), sorted, positions_[i].data(), cutoff_);
    row.reserve(n, with_shifts);
    std::size_t q = 0;
    const std::size_t overlapping = near.collect(n, row, [&](std::size_t h, std::size_t at) {
        row.index[at] = near.number[h];
        if (!with_shifts) return;
        const std::size_t j = order_.atom(near.number[h]);
        while (h >= near.ends[q]) ++q;
        for (int a = 0; a < 3; ++a) row.shifts[at][a] = scratch.cells[q][a] + wrap_[i][a] - wrap_[j][a];
    });
    if (overlapping > 1) report_overlapping(place, near);  // one is the atom itself
}

void NeighborSearch::report_overlapping(std::size_t place, const NearAtoms& near) const {
    const std::size_t i = order_.atom(place);
    bool self = false;
    for (std::size_t h = 0;; ++h) {
        const std::size_t j = order_.atom(near.number[h]);
        if (near.distance(h) >= overlap) continue;
        if (j == i && !self) {  // the atom itself, and not an image of it
            self = true;
            continue;
        }
        throw OverlapError(i, j, near.distance(h));
    }
}

}  // namespace sitewise
