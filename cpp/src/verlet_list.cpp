#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "neighbor_rows.hpp"
#include "parallel.hpp"
#include "sitewise/error.hpp"
#include "sitewise/neighbors.hpp"
#include "verlet_rows.hpp"

namespace sitewise {
namespace {

using Matrix = Eigen::Matrix3d;
using Cell = std::array<std::array<double, 3>, 3>;

// lattice vectors as columns
Matrix matrix(const Cell& cell) {
    Matrix m;
    for (int a = 0; a < 3; ++a)
        for (int c = 0; c < 3; ++c) m(c, a) = cell[a][c];
    return m;
}

using Shift = std::array<int, 3>;

// The distinct shifts of the cells, by number
class Images {
public:
    int number(const Shift& shift) {
        if (!shifts.empty() && shifts[last_] == shift)
            return last_;  // entries come in runs with the same shift
        last_ = known_.try_emplace(shift, static_cast<int>(shifts.size())).first->second;
        if (last_ == static_cast<int>(shifts.size())) shifts.push_back(shift);
        return last_;
    }
    std::vector<Shift> shifts;

private:
    std::map<Shift, int> known_;
    int last_ = 0;
};

}  // namespace

// The rows of some of the atoms
struct VerletList::Part {
    VerletList* list;
    std::vector<int> index, image;
    Images images;
    std::vector<int> number;  // of each of these images in the list

    explicit Part(VerletList* of) : list(of) {}
    void keep(const NeighborRow& row) {
        index.insert(index.end(), row.index.begin(), row.index.begin() + row.size);
        for (std::size_t k = 0; k < row.size; ++k) image.push_back(images.number(row.shifts[k]));
    }
    void place(std::size_t from, std::size_t n, std::size_t at) const {
        std::copy_n(index.begin() + from, n, list->index_.begin() + at);
        for (std::size_t k = 0; k < n; ++k) list->image_[at + k] = number[image[from + k]];
    }
};

VerletList::VerletList(double cutoff, double skin) : cutoff_(cutoff), skin_(skin) {
    if (!(cutoff > 0.0) || !std::isfinite(cutoff))
        throw Error("the cutoff of the neighbour list is " + std::to_string(cutoff) +
                    " Angstrom, expected a positive number");
    if (!(skin >= 0.0) || !std::isfinite(skin))
        throw Error("the skin of the neighbour list is " + std::to_string(skin) +
                    " Angstrom, expected a number that is not negative");
}

NeighborView VerletList::update(const Atoms& atoms) {
    if (!valid(atoms)) build(atoms);
    if (list_.first.empty()) sort_rows();
    refresh(atoms);
    return list_.view();
}

std::size_t VerletList::bytes() const {
    const auto of = [](const auto& values) { return values.capacity() * sizeof(values[0]); };
    return of(order_.atoms) + of(order_.centers) + of(first_) + of(index_) + of(image_) + of(list_.first) +
           of(list_.index) + of(list_.vectors) + of(positions_);
}

// With r = F (r0 + ...) + u_j - u_i, where F is the strain since the list was built and s its smallest
// stretch, |r| < cutoff implies |r0| < (cutoff + 2 max|u|)/s, which must be within cutoff + skin.
bool VerletList::valid(const Atoms& atoms) const {
    if (builds_ == 0 || positions_.size() != 3 * atoms.size || order_.ghosts != atoms.ghosts ||
        periodic_ != atoms.periodic)
        return false;
    Matrix F = Matrix::Identity();
    double stretch = 1.0;
    if (cell_ != atoms.cell) {
        const Matrix before = matrix(cell_);
        if (!(std::fabs(before.determinant()) > 0.0)) return false;
        F = matrix(atoms.cell) * before.inverse();
        stretch = F.jacobiSvd().singularValues()[2];
    }
    const double allowed = 0.5 * (stretch * (cutoff_ + skin_) - cutoff_);
    if (!(allowed > 0.0)) return false;
    double most = 0.0;
#pragma omp parallel for num_threads(max_threads()) schedule(static) reduction(max : most)
    for (std::size_t i = 0; i < atoms.size; ++i) {
        const double *p = atoms.positions + 3 * i, *q = &positions_[3 * i];
        double square = 0.0;
        for (int a = 0; a < 3; ++a) {
            const double u = p[a] - (F(a, 0) * q[0] + F(a, 1) * q[1] + F(a, 2) * q[2]);
            square += u * u;
        }
        most = std::max(most,
                        square < INFINITY ? square : INFINITY);  // NaN rebuilds the list, which refuses it
    }
    return most < allowed * allowed;
}

void VerletList::build(const Atoms& atoms) {
    positions_.clear();  // not valid if this throws
    const NeighborSearch search(atoms, cutoff_ + skin_);
    order_ = search.order();
    list_ = {};
    std::vector<Part> parts;
    for (int p = 0; p < max_threads(); ++p) parts.emplace_back(this);
    Images all;
    const auto row = [](std::size_t k) { return k; };
    find_rows(search, row, first_, parts, [&](std::size_t entries) {
        for (Part& part : parts)
            for (const Shift& shift : part.images.shifts) part.number.push_back(all.number(shift));
        index_.resize(entries);
        image_.resize(entries);
    });
    shifts_ = std::move(all.shifts);
    positions_.assign(atoms.positions, atoms.positions + 3 * atoms.size);
    cell_ = atoms.cell;
    periodic_ = atoms.periodic;
    ++builds_;
}

std::vector<std::array<double, 3>> VerletList::translations(const Atoms& atoms) const {
    std::vector<std::array<double, 3>> of(shifts_.size());
    for (std::size_t s = 0; s < shifts_.size(); ++s)
        for (int c = 0; c < 3; ++c)
            of[s][c] = shifts_[s][0] * atoms.cell[0][c] + shifts_[s][1] * atoms.cell[1][c] +
                       shifts_[s][2] * atoms.cell[2][c];
    return of;
}

// Makes the rows of list_ in the order of the atoms.
void VerletList::sort_rows() {
    const std::size_t n = order_.count();
    list_.first.assign(n + 1, 0);
    for (std::size_t k = 0; k < n; ++k)
        list_.first[order_.atom(order_.place(k)) + 1] = first_[k + 1] - first_[k];
    for (std::size_t i = 0; i < n; ++i) list_.first[i + 1] += list_.first[i];
    list_.index.resize(index_.size());
    list_.vectors.resize(3 * index_.size());
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t k = 0; k < n; ++k) {
        std::size_t to = list_.first[order_.atom(order_.place(k))];
        for (std::size_t e = first_[k]; e < first_[k + 1]; ++e) list_.index[to++] = order_.atoms[index_[e]];
    }
}

void VerletList::refresh(const Atoms& atoms) {
    const std::vector<std::array<double, 3>> translations = this->translations(atoms);
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t k = 0; k < order_.count(); ++k) {
        const std::size_t i = order_.atom(order_.place(k));
        const double* p = atoms.positions + 3 * i;
        double* to = list_.vectors.data() + 3 * list_.first[i];
        for (std::size_t e = first_[k]; e < first_[k + 1]; ++e, to += 3) {
            const double *q = atoms.positions + 3 * order_.atom(index_[e]),
                         *t = translations[image_[e]].data();
            for (int a = 0; a < 3; ++a) to[a] = (q[a] - p[a]) + t[a];
        }
    }
}

VerletRows::VerletRows(VerletList& list, const Atoms& atoms) : list_(list) {
    if (!list.valid(atoms)) list.build(atoms);
    translations_ = list.translations(atoms);
    positions_.resize(atoms.size);
#pragma omp parallel for num_threads(max_threads()) schedule(static)
    for (std::size_t k = 0; k < atoms.size; ++k)
        std::copy_n(atoms.positions + 3 * order().atom(k), 3, positions_[k].begin());
}

void VerletRows::find(std::size_t number, Scratch& scratch, NeighborRow& row) const {
    const std::size_t first = list_.first_[number], n = list_.first_[number + 1] - first;
    const int *index = list_.index_.data() + first, *image = list_.image_.data() + first;
    NearAtoms& near = scratch.near;
    near.reserve(n, 1);
    for (auto& x : scratch.candidates) x.resize(near.number.size());
    double* r[3];
    for (int a = 0; a < 3; ++a) r[a] = scratch.candidates[a].data();
    const double* p = positions_[order().place(number)].data();
    for (std::size_t k = 0; k < n; ++k) {
        const double *q = positions_[index[k]].data(), *t = translations_[image[k]].data();
        for (int a = 0; a < 3; ++a) r[a][k] = (q[a] - p[a]) + t[a];
    }
    const AtomRange all{0, static_cast<std::int32_t>(n), {}};
    const double origin[3] = {};
    const std::size_t found = near.search(1, &all, r, origin, list_.cutoff_);
    row.reserve(found, false);
    const auto take = [&](std::size_t h, std::size_t at) { row.index[at] = index[near.number[h]]; };
    if (near.collect(found, row, take) == 0) return;
    for (std::size_t h = 0; h < found; ++h)
        if (near.distance(h) < overlap)
            throw OverlapError(order().atom(order().place(number)), order().atom(index[near.number[h]]),
                               near.distance(h));
}

}  // namespace sitewise
