#include "sitewise/neighbors.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>

#include "kernels.hpp"
#include "parallel.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

using Vector = std::array<double, 3>;
using Triple = std::array<int, 3>;

constexpr double overlap = 1e-6;        // Angstrom; atoms closer than this are a mistake
constexpr std::size_t padding = 16;     // what the kernels may read or write behind arrays
constexpr double most_images = 2000.0;  // cells within the cutoff along one vector

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

// A direction at right angles to those given (at most two, independent).
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

// The box that bins are cut from: the periodic vectors, completed by unit vectors at right angles to
// them along the others, so that fractional coordinates exist for any cell.
struct Box {
    std::array<Vector, 3> vectors;
    std::array<Vector, 3> reciprocal;  // rows, reciprocal[a] . vectors[b] = delta_ab
    std::array<bool, 3> periodic;

    explicit Box(const Atoms& atoms) : periodic(atoms.periodic) {
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

    static void check_volume(const std::vector<Vector>& v) {
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

    // distance between the faces that vector a crosses
    double height(int a) const { return 1.0 / length(reciprocal[a]); }
};

// Atoms wrapped into the box, and sorted into bins at least as wide as they need to be for few bins.
struct Bins {
    Triple count{1, 1, 1};
    Triple reach{};                 // bins to look at on either side
    std::vector<Vector> positions;  // wrapped
    std::vector<Triple> wrap;       // original = wrapped + wrap . vectors
    std::vector<Triple> bin_of;
    std::vector<std::size_t> first;
    std::vector<int> members;
    std::array<std::vector<double>, 3> sorted;  // x, y, z of the members, and a vector's length more

    Bins(const Atoms& atoms, const Box& box, double cutoff) {
        positions.resize(atoms.size);
        wrap.assign(atoms.size, {});
        bin_of.resize(atoms.size);
        std::vector<Vector> fraction(atoms.size);
        for (std::size_t i = 0; i < atoms.size; ++i) place(atoms, box, i, fraction[i]);
        Vector low{}, span{1.0, 1.0, 1.0};
        bound(box, fraction, low, span);
        divide(box, span, cutoff, atoms.size);
        for (std::size_t i = 0; i < atoms.size; ++i)
            for (int a = 0; a < 3; ++a)
                bin_of[i][a] = std::clamp(static_cast<int>((fraction[i][a] - low[a]) / span[a] * count[a]), 0,
                                          count[a] - 1);
        sort();
    }

    std::size_t flat(const Triple& b) const {
        return (static_cast<std::size_t>(b[0]) * count[1] + b[1]) * count[2] + b[2];
    }

private:
    void place(const Atoms& atoms, const Box& box, std::size_t i, Vector& fraction) {
        const double* r = atoms.positions + 3 * i;
        Vector p{r[0], r[1], r[2]};
        for (double x : p)
            if (!std::isfinite(x))
                throw Error("atom " + std::to_string(i) + " has the coordinate " + text(x));
        for (int a = 0; a < 3; ++a) {
            fraction[a] = dot(p, box.reciprocal[a]);
            if (!box.periodic[a]) continue;
            const double cells = std::floor(fraction[a]);
            if (std::fabs(cells) > 1e9)
                throw Error("atom " + std::to_string(i) + " lies " + text(cells) + " cells away");
            wrap[i][a] = static_cast<int>(cells);
            fraction[a] -= cells;
        }
        for (int a = 0; a < 3; ++a)
            for (int c = 0; c < 3; ++c) p[c] -= wrap[i][a] * box.vectors[a][c];
        positions[i] = p;
    }

    void bound(const Box& box, const std::vector<Vector>& fraction, Vector& low, Vector& span) const {
        for (int a = 0; a < 3; ++a) {
            if (box.periodic[a] || fraction.empty()) continue;
            const auto less = [a](const Vector& x, const Vector& y) { return x[a] < y[a]; };
            const auto [least, most] = std::minmax_element(fraction.begin(), fraction.end(), less);
            low[a] = (*least)[a];
            span[a] = std::max((*most)[a] - low[a], 1e-3);
        }
    }

    // Bins of about half the cutoff, but not more of them than there are atoms.
    void divide(const Box& box, const Vector& span, double cutoff, std::size_t atoms) {
        double total = 1.0;
        Vector wanted;
        for (int a = 0; a < 3; ++a) {
            wanted[a] = std::max(1.0, span[a] * box.height(a) / (0.5 * cutoff));
            total *= wanted[a];
        }
        const double shrink = std::min(1.0, std::cbrt(std::max<double>(1.0, atoms) / total));
        for (int a = 0; a < 3; ++a) {
            count[a] = std::max(1, static_cast<int>(std::min(wanted[a] * shrink, 1e6)));
            const double width = span[a] * box.height(a) / count[a];
            const double bins = std::ceil(cutoff / width);
            if (box.periodic[a] && cutoff / box.height(a) > most_images)
                throw Error("the cell is " + text(box.height(a)) +
                            " Angstrom thin, too thin for a cutoff of " + text(cutoff));
            reach[a] = box.periodic[a] ? static_cast<int>(bins)
                                       : static_cast<int>(std::min<double>(bins, count[a] - 1));
        }
    }

    void sort() {
        first.assign(static_cast<std::size_t>(count[0]) * count[1] * count[2] + 1, 0);
        for (const Triple& b : bin_of) ++first[flat(b) + 1];
        for (std::size_t b = 1; b < first.size(); ++b) first[b] += first[b - 1];
        members.resize(bin_of.size());
        std::vector<std::size_t> next(first);
        for (std::size_t i = 0; i < bin_of.size(); ++i)
            members[next[flat(bin_of[i])]++] = static_cast<int>(i);
        for (int a = 0; a < 3; ++a) {
            sorted[a].reserve(members.size() + padding);
            for (int i : members) sorted[a].push_back(positions[i][a]);
            sorted[a].resize(members.size() + padding, 0.0);
        }
    }
};

// The rows of a part of the atoms, with room for more entries than there are.
struct Part {
    std::size_t begin = 0, end = 0;  // atoms
    std::size_t size = 0;            // entries
    std::vector<int> index;
    std::vector<double> vectors;
    std::vector<std::array<int, 3>> shifts;

    void reserve(std::size_t more) {
        if (size + more <= index.size()) return;
        const std::size_t room = size + more + size / 2 + 1024;
        index.resize(room);
        vectors.resize(3 * room);
        shifts.resize(room);
    }
    void trim() {
        index.resize(size);
        vectors.resize(3 * size);
        shifts.resize(size);
    }
};

// Finds the neighbours of a part's atoms. Bins follow one another in memory along the third axis, so that
// each row of them is one range of members, or one for each image of the cell.
class Search {
public:
    Search(const Box& box, const Bins& bins, double cutoff, Part& part)
        : box_(box), bins_(bins), cutoff2_(cutoff * cutoff), part_(part) {}

    void neighbors(std::size_t i) {
        const Triple &own = bins_.bin_of[i], &reach = bins_.reach;
        for (int x = own[0] - reach[0]; x <= own[0] + reach[0]; ++x) {
            for (int y = own[1] - reach[1]; y <= own[1] + reach[1]; ++y) {
                Triple b{x, y, 0}, cell{};
                if (!fold(0, b, cell) || !fold(1, b, cell)) continue;
                for (int z = own[2] - reach[2]; z <= own[2] + reach[2];) {
                    b[2] = z;
                    const bool inside = fold(2, b, cell);
                    const int length = std::min(own[2] + reach[2] - z + 1, bins_.count[2] - b[2]);
                    if (inside) in_row(i, b, length, cell);
                    z += inside ? length : 1;
                }
            }
        }
    }

private:
    // Brings a bin back into the box along one axis; false where there is none.
    bool fold(int a, Triple& b, Triple& cell) const {
        const int n = bins_.count[a];
        cell[a] = 0;
        if (b[a] >= 0 && b[a] < n) return true;
        if (!box_.periodic[a]) return false;
        cell[a] = (b[a] >= 0 ? b[a] : b[a] - n + 1) / n;
        b[a] -= cell[a] * n;
        return true;
    }

    void in_row(std::size_t i, const Triple& b, int length, const Triple& cell) {
        const std::size_t flat = bins_.flat(b), first = bins_.first[flat],
                          n = bins_.first[flat + length] - first;
        if (n == 0) return;
        Vector p = bins_.positions[i];
        for (int a = 0; a < 3; ++a)
            for (int c = 0; c < 3; ++c) p[c] -= cell[a] * box_.vectors[a][c];
        for (auto& r : r_)
            if (r.size() < n + padding) r.resize(n + padding);
        if (member_.size() < n + padding) member_.resize(n + padding);
        const auto& q = bins_.sorted;
        const std::size_t found =
            kernels().within(n, &q[0][first], &q[1][first], &q[2][first], p.data(), cutoff2_, member_.data(),
                             r_[0].data(), r_[1].data(), r_[2].data());
        part_.reserve(found);
        for (std::size_t h = 0; h < found; ++h) add(i, bins_.members[first + member_[h]], cell, h);
    }

    void add(std::size_t i, int j, const Triple& cell, std::size_t h) {
        if (static_cast<std::size_t>(j) == i && cell == Triple{}) return;
        const Vector r{r_[0][h], r_[1][h], r_[2][h]};
        if (dot(r, r) < overlap * overlap)
            throw Error("atoms " + std::to_string(std::min<std::size_t>(i, j)) + " and " +
                        std::to_string(std::max<std::size_t>(i, j)) + " are " + text(length(r)) +
                        " Angstrom apart");
        const std::size_t at = part_.size++;
        part_.index[at] = j;
        for (int a = 0; a < 3; ++a) {
            part_.vectors[3 * at + a] = r[a];
            part_.shifts[at][a] = cell[a] + bins_.wrap[i][a] - bins_.wrap[j][a];
        }
    }

    const Box& box_;
    const Bins& bins_;
    double cutoff2_;
    Part& part_;
    std::vector<std::int32_t> member_;
    std::array<std::vector<double>, 3> r_;
};

void find(const Box& box, const Bins& bins, double cutoff, Part& part, std::vector<std::size_t>& first) {
    Search search(box, bins, cutoff, part);
    for (std::size_t i = part.begin; i < part.end; ++i) {
        search.neighbors(i);
        first[i + 1] = part.size;
    }
    part.trim();
}

}  // namespace

NeighborList build_neighbors(const Atoms& atoms, double cutoff) {
    if (!(cutoff > 0.0) || !std::isfinite(cutoff))
        throw Error("the cutoff of the neighbour list is " + text(cutoff) + ", expected a positive number");
    const Box box(atoms);
    const Bins bins(atoms, box, cutoff);
    NeighborList list;
    list.first.assign(atoms.size + 1, 0);
    std::vector<Part> parts(max_threads());
    FirstError error;
#pragma omp parallel for schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p)
        error.run([&] {
            parts[p].begin = atoms.size * p / parts.size();
            parts[p].end = atoms.size * (p + 1) / parts.size();
            find(box, bins, cutoff, parts[p], list.first);
        });
    error.rethrow();
    std::size_t entries = 0;
    for (const Part& part : parts) {  // from counts within a part to places in the list
        for (std::size_t i = part.begin; i < part.end; ++i) list.first[i + 1] += entries;
        entries += part.index.size();
    }
    if (parts.size() == 1) {
        list.index = std::move(parts[0].index);
        list.vectors = std::move(parts[0].vectors);
        list.shifts = std::move(parts[0].shifts);
        return list;
    }
    list.index.resize(entries);
    list.vectors.resize(3 * entries);
    list.shifts.resize(entries);
#pragma omp parallel for schedule(static)
    for (std::size_t p = 0; p < parts.size(); ++p) {
        const Part& part = parts[p];
        const std::size_t at = list.first[part.begin];
        std::copy(part.index.begin(), part.index.end(), list.index.begin() + at);
        std::copy(part.vectors.begin(), part.vectors.end(), list.vectors.begin() + 3 * at);
        std::copy(part.shifts.begin(), part.shifts.end(), list.shifts.begin() + at);
    }
    return list;
}

}  // namespace sitewise
