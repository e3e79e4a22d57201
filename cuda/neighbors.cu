#include <algorithm>
#include <limits>

#include "bins.hpp"
#include "neighbor_search.hpp"
#include "neighbors.cuh"
#include "scan.cuh"
#include "sitewise/error.hpp"
#include "warp.cuh"

namespace sitewise::cuda {
namespace {

constexpr int threads = 128;

__device__ int thread_number() {
    return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

// Wraps each atom into its cell, and finds coordinates that are not finite.
__global__ void __launch_bounds__(threads) wrap_atoms(SearchView s) {
    const int i = thread_number();
    if (i >= s.atoms) return;
    const Grid& grid = s.grids[s.structure[i]];
    double p[3];
    bool good = true;
    for (int c = 0; c < 3; ++c) {
        p[c] = s.positions[3 * static_cast<std::size_t>(i) + c];
        good = good && p[c] - p[c] == 0;  // false for infinities and NaN
    }
    int cells[3];
    for (int a = 0; a < 3; ++a) {
        const double* b = grid.reciprocal[a];
        double fraction = p[0] * b[0] + p[1] * b[1] + p[2] * b[2], whole = 0;
        if (grid.periodic[a]) whole = floor(fraction);
        good = good && whole < 1e9 && whole > -1e9;
        cells[a] = good ? static_cast<int>(whole) : 0;
        s.fraction[a * s.atoms + i] = good ? fraction - whole : 0.0;
        s.wrap[a * s.atoms + i] = cells[a];
    }
    for (int c = 0; c < 3; ++c) {
        double x = p[c];
        for (int a = 0; a < 3; ++a) x -= cells[a] * grid.vectors[a][c];
        s.wrapped[c * s.atoms + i] = x;
    }
    if (!good) atomicMin(&s.summary[0], s.structure[i]);
}

// Sets bounds [structures][3][2] to the least and the largest fractional coordinate of each structure along
// each axis.
__global__ void __launch_bounds__(threads) bound_fractions(SearchView s, double* bounds) {
    SITEWISE_SHARED(double, least, threads);
    SITEWISE_SHARED(double, most, threads);
    const Grid& grid = s.grids[blockIdx.x];
    const int t = static_cast<int>(threadIdx.x);
    const double* x = s.fraction + static_cast<std::size_t>(blockIdx.y) * s.atoms + grid.first_atom;
    double low = 1e300, high = -1e300;
    for (int i = t; i < grid.atoms; i += threads) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    least[t] = low;
    most[t] = high;
    for (int half = threads / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t >= half) continue;
        least[t] = least[t + half] < least[t] ? least[t + half] : least[t];
        most[t] = most[t + half] > most[t] ? most[t + half] : most[t];
    }
    if (t > 0) return;
    bounds[6 * blockIdx.x + 2 * blockIdx.y] = least[0];
    bounds[6 * blockIdx.x + 2 * blockIdx.y + 1] = most[0];
}

__device__ int flat(const Grid& grid, int x, int y, int z) {
    return grid.first_bin + (x * grid.count[1] + y) * grid.count[2] + z;
}

__global__ void __launch_bounds__(threads) count_bins(SearchView s) {
    const int i = thread_number();
    if (i >= s.atoms) return;
    const Grid& grid = s.grids[s.structure[i]];
    int b[3];
    for (int a = 0; a < 3; ++a)
        b[a] = core::bin_of(s.fraction[a * s.atoms + i], grid.low[a], grid.span[a], grid.count[a]);
    s.bin[i] = flat(grid, b[0], b[1], b[2]);
    atomicAdd(&s.first[s.bin[i]], 1);
}

__global__ void __launch_bounds__(threads) fill_bins(SearchView s) {
    const int i = thread_number();
    if (i < s.atoms) s.members[atomicAdd(&s.next[s.bin[i]], 1)] = i;
}

// Sorts the atoms of a bin by their numbers, so that the list does not depend on the order of threads.
__global__ void __launch_bounds__(threads) order_bins(SearchView s) {
    const int b = thread_number();
    if (b >= s.bins) return;
    for (int k = s.first[b] + 1; k < s.first[b + 1]; ++k) {
        const int moved = s.members[k];
        int at = k;
        for (; at > s.first[b] && s.members[at - 1] > moved; --at) s.members[at] = s.members[at - 1];
        s.members[at] = moved;
    }
}

__global__ void __launch_bounds__(threads) sort_positions(SearchView s) {
    const int k = thread_number();
    if (k >= s.atoms) return;
    for (int c = 0; c < 3; ++c) s.sorted[c * s.atoms + k] = s.wrapped[c * s.atoms + s.members[k]];
}

// Calls visit(first, count, cell) for the ranges of sorted atoms in the bins around bin b, in the order of
// the host's NeighborSearch.
template <class Visit>
__device__ void for_each_range(const SearchView& s, const Grid& grid, int b, const Visit& visit) {
    b -= grid.first_bin;
    const int bz = b % grid.count[2], by = b / grid.count[2] % grid.count[1],
              bx = b / grid.count[2] / grid.count[1];
    const int* reach = grid.reach;
    for (int x = bx - reach[0]; x <= bx + reach[0]; ++x)
        for (int y = by - reach[1]; y <= by + reach[1]; ++y) {
            int cell[3], fx = x, fy = y;
            if (!core::fold(grid.count[0], grid.periodic[0], fx, cell[0])) continue;
            if (!core::fold(grid.count[1], grid.periodic[1], fy, cell[1])) continue;
            for (int z = bz - reach[2]; z <= bz + reach[2];) {
                int fz = z;
                const bool inside = core::fold(grid.count[2], grid.periodic[2], fz, cell[2]);
                const int rest = bz + reach[2] - z + 1, to_end = grid.count[2] - fz;
                const int length = rest < to_end ? rest : to_end;
                if (inside) {
                    const int from = flat(grid, fx, fy, fz), first = s.first[from];
                    visit(first, s.first[from + length] - first, cell);
                }
                z += inside ? length : 1;
            }
        }
}

// When rows are counted, row [i] is set to the number of neighbours; when they are filled, it is their place.
template <class Real>
struct RowsOut {
    int *row, *index, *shifts;
    Real* vectors;
    int entries;
};

// A warp finds the neighbours of one atom; each lane tests one atom of a range at a time.
template <bool fill>
__global__ void __launch_bounds__(threads) find_rows(SearchView s, RowsOut<double> out) {
    const int w = warp_index(), lane = lane_index();
    if (w >= s.atoms) return;
    const int i = s.members[w];
    const Grid& grid = s.grids[s.structure[i]];
    const double p[3] = {s.sorted[w], s.sorted[s.atoms + w], s.sorted[2 * s.atoms + w]};
    const int base = fill ? out.row[i] : 0;
    int found = 0, overlapping = 0;
    for_each_range(s, grid, s.bin[i], [&](int first, int count, const int* cell) {
        double shift[3];
        for (int c = 0; c < 3; ++c)
            shift[c] =
                cell[0] * grid.vectors[0][c] + cell[1] * grid.vectors[1][c] + cell[2] * grid.vectors[2][c];
        for (int q = 0; q < count; q += warp_size) {
            const int k = first + q + lane;
            double r[3] = {}, square = s.cutoff2;
            if (q + lane < count) {
                // exactly the opposite of the vector that the other atom finds
                for (int c = 0; c < 3; ++c) r[c] = (s.sorted[c * s.atoms + k] - p[c]) + shift[c];
                square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
            }
            const bool same = square < overlap * overlap, inside = square < s.cutoff2 && !same;
            const unsigned mask = __ballot_sync(all_lanes, inside);
            overlapping += __popc(__ballot_sync(all_lanes, same));
            if (fill && inside) {
                const int at = base + found + lanes_before(mask), j = s.members[k];
                out.index[at] = j;
                for (int c = 0; c < 3; ++c) {
                    out.vectors[static_cast<std::size_t>(c) * out.entries + at] = r[c];
                    out.shifts[static_cast<std::size_t>(c) * out.entries + at] =
                        cell[c] + s.wrap[c * s.atoms + i] - s.wrap[c * s.atoms + j];
                }
            }
            found += __popc(mask);
        }
    });
    if (fill || lane > 0) return;
    out.row[i] = found;
    atomicMax(&s.summary[1], found);
    if (overlapping > 1) atomicMin(&s.summary[0], s.structure[i]);
}

// Finds the reverse entry (j, i, -S) of each entry (i, j, S). The shift S is needed, because in small cells a
// pair of atoms has many entries.
__global__ void __launch_bounds__(threads) find_reverse(int atoms,
                                                        int entries,
                                                        const int* first,
                                                        const int* index,
                                                        const int* shifts,
                                                        int* reverse) {
    const int i = warp_index();
    if (i >= atoms) return;
    const int *x = shifts, *y = x + entries, *z = y + entries;
    for (int e = first[i] + lane_index(); e < first[i + 1]; e += warp_size) {
        const int j = index[e];
        int r = first[j];
        while (!(index[r] == i && x[r] == -x[e] && y[r] == -y[e] && z[r] == -z[e])) ++r;
        reverse[e] = r;
    }
}

template <class To, class From>
__global__ void __launch_bounds__(threads) convert(std::size_t n, const From* from, To* to) {
    const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) to[i] = static_cast<To>(from[i]);
}

Grid grid_of(const Box& box, const Atoms& atoms, int first_atom) {
    Grid grid{};
    for (int a = 0; a < 3; ++a) {
        std::copy_n(box.vectors[a].data(), 3, grid.vectors[a]);
        std::copy_n(box.reciprocal[a].data(), 3, grid.reciprocal[a]);
        grid.periodic[a] = box.periodic[a];
        grid.span[a] = 1.0;
    }
    grid.first_atom = first_atom;
    grid.atoms = static_cast<int>(atoms.size);
    return grid;
}

std::vector<int> structure_of_atoms(const std::vector<Atoms>& structures) {
    std::vector<int> numbers;
    for (std::size_t s = 0; s < structures.size(); ++s)
        numbers.insert(numbers.end(), structures[s].size, static_cast<int>(s));
    return numbers;
}

}  // namespace

void Search::find(const std::vector<Atoms>& structures,
                  const double* positions,
                  double cutoff,
                  cudaStream_t stream) {
    check_cutoff(cutoff);
    std::vector<Grid> grids;
    std::vector<Box> boxes;
    int atoms = 0;
    for (const Atoms& a : structures) {
        boxes.emplace_back(a);
        grids.push_back(grid_of(boxes.back(), a, atoms));
        atoms += static_cast<int>(a.size);
    }
    view_ = {};
    view_.atoms = atoms;
    view_.structures = static_cast<int>(structures.size());
    view_.cutoff2 = cutoff * cutoff;
    view_.positions = positions;
    const std::size_t n = atoms;
    view_.wrapped = coordinates_.reserve(9 * n);
    view_.fraction = view_.wrapped + 3 * n;
    view_.sorted = view_.fraction + 3 * n;
    view_.wrap = integers_.reserve(5 * n);
    view_.bin = view_.wrap + 3 * n;
    view_.members = view_.bin + n;
    bound(structures, grids, stream);
    for (std::size_t q = 0; q < grids.size(); ++q) {
        Box::Vector span;
        std::copy_n(grids[q].span, 3, span.data());
        const Bins bins = divide(boxes[q], cutoff, span, structures[q].size);
        std::copy_n(bins.count.data(), 3, grids[q].count);
        std::copy_n(bins.reach.data(), 3, grids[q].reach);
        grids[q].first_bin = view_.bins;
        view_.bins += bins.count[0] * bins.count[1] * bins.count[2];
    }
    const std::vector<int> numbers = structure_of_atoms(structures);
    packet_.pack(
        [&](Packet& p) {
            view_.grids = p.add(grids);
            view_.structure = p.add(numbers);
        },
        stream);
    sort(stream);
    make_rows(stream);
    const int wrong = download(view_.summary, 1, stream)[0];
    if (wrong < view_.structures) report(structures[wrong], grids[wrong], cutoff, stream);
}

// Wraps atoms and finds the extent of structures along open directions.
void Search::bound(const std::vector<Atoms>& structures, std::vector<Grid>& grids, cudaStream_t stream) {
    const std::vector<int> numbers = structure_of_atoms(structures);
    packet_.pack(
        [&](Packet& p) {
            view_.grids = p.add(grids);
            view_.structure = p.add(numbers);
        },
        stream);
    const int summary[2] = {view_.structures, 0};
    view_.summary = summary_.upload(summary, 2, stream);
    if (view_.atoms == 0) return;
    SITEWISE_LAUNCH(wrap_atoms, blocks_for(view_.atoms, threads), dim3(threads), 0, stream, view_);
    bool open = false;
    for (const Grid& g : grids) open = open || !(g.periodic[0] && g.periodic[1] && g.periodic[2]);
    if (!open) return;
    double* bounds = bounds_.reserve(6 * grids.size());
    SITEWISE_LAUNCH(bound_fractions, dim3(view_.structures, 3), dim3(threads), 0, stream, view_, bounds);
    const std::vector<double> found = download(bounds, 6 * grids.size(), stream);
    for (std::size_t q = 0; q < grids.size(); ++q)
        for (int a = 0; a < 3; ++a) {
            if (grids[q].periodic[a] || grids[q].atoms == 0) continue;
            grids[q].low[a] = found[6 * q + 2 * a];
            grids[q].span[a] = std::max(found[6 * q + 2 * a + 1] - grids[q].low[a], 1e-3);
        }
}

void Search::sort(cudaStream_t stream) {
    const std::size_t bins = view_.bins;
    view_.first = bins_.reserve(2 * (bins + 1));
    view_.next = view_.first + bins + 1;
    check(cudaMemsetAsync(view_.first, 0, (bins + 1) * sizeof(int), stream));
    const dim3 grid = blocks_for(view_.atoms, threads);
    SITEWISE_LAUNCH(count_bins, grid, dim3(threads), 0, stream, view_);
    launch_scan(view_.first, bins, scratch_, stream);
    check(cudaMemcpyAsync(view_.next, view_.first, bins * sizeof(int), cudaMemcpyDeviceToDevice, stream));
    SITEWISE_LAUNCH(fill_bins, grid, dim3(threads), 0, stream, view_);
    SITEWISE_LAUNCH(order_bins, blocks_for(bins, threads), dim3(threads), 0, stream, view_);
    SITEWISE_LAUNCH(sort_positions, grid, dim3(threads), 0, stream, view_);
}

void Search::make_rows(cudaStream_t stream) {
    const std::size_t n = view_.atoms;
    RowsOut<double> out{first_.reserve(n + 1), nullptr, nullptr, nullptr, 0};
    const dim3 grid = blocks_for(n * warp_size, threads);
    SITEWISE_LAUNCH(find_rows<false>, grid, dim3(threads), 0, stream, view_, out);
    launch_scan(out.row, n, scratch_, stream);
    entries_ = download(out.row + n, 1, stream)[0];
    widest_ = download(view_.summary + 1, 1, stream)[0];
    if (static_cast<double>(widest_) * view_.atoms > std::numeric_limits<int>::max())
        throw Error("CUDA: the neighbour list of " + std::to_string(n) + " atoms is too long");
    const std::size_t entries = entries_;
    out.index = index_.reserve(entries);
    out.shifts = shifts_.reserve(3 * entries);
    out.vectors = vectors_.reserve(3 * entries);
    out.entries = entries_;
    incoming_.reserve(entries);
    if (entries == 0) return;
    SITEWISE_LAUNCH(find_rows<true>, grid, dim3(threads), 0, stream, view_, out);
}

// The host's search throws the error of a structure that is wrong.
void Search::report(const Atoms& atoms, const Grid& grid, double cutoff, cudaStream_t stream) const {
    const std::vector<double> positions =
        download(view_.positions + 3 * static_cast<std::size_t>(grid.first_atom), 3 * atoms.size, stream);
    Atoms copy = atoms;
    copy.positions = positions.data();
    const NeighborSearch search(copy, cutoff);
    NeighborSearch::Scratch scratch;
    NeighborRow row;
    for (std::size_t i = 0; i < copy.size; ++i) search.find(i, false, scratch, row);
    throw Error("CUDA: the neighbour search failed");
}

template <class Real>
List<Real> Search::list(cudaStream_t stream) {
    const std::size_t n = 3 * static_cast<std::size_t>(entries_);
    List<Real> list{first_.data(),    index_.data(), nullptr, first_.data(),
                    incoming_.data(), entries_,      widest_};
    if (n > 0)
        SITEWISE_LAUNCH(find_reverse, blocks_for(static_cast<std::size_t>(view_.atoms) * warp_size, threads),
                        dim3(threads), 0, stream, view_.atoms, entries_, list.first, list.index,
                        shifts_.data(), incoming_.data());
    if constexpr (sizeof(Real) == 8) {
        list.vectors = vectors_.data();
    } else {
        list.vectors = vectors32_.reserve(n);
        if (n > 0)
            SITEWISE_LAUNCH((convert<Real, double>), blocks_for(n, threads), dim3(threads), 0, stream, n,
                            vectors_.data(), vectors32_.data());
    }
    return list;
}

template List<double> Search::list<double>(cudaStream_t);
template List<float> Search::list<float>(cudaStream_t);

}  // namespace sitewise::cuda
