#include <algorithm>

#include "jacobian.cuh"
#include "memory.cuh"
#include "scaling.hpp"
#include "warp.cuh"

namespace sitewise::cuda {
namespace {

constexpr int threads = 128;

// The change of a function of atom m with the vectors to its neighbours, as atom i moves opposite to an axis
template <class Real>
__device__ double change_with(const List<Real>& list, int m, int i, const Real* derivative) {
    double change = 0.0;
    for (int e = list.first[m]; e < list.first[m + 1]; ++e)
        change += ((m == i) - (list.index[e] == i)) * static_cast<double>(derivative[e]);
    return change;
}

// A thread for each column and function
template <class Real>
__global__ void __launch_bounds__(threads) contribute(ContributionsView c,
                                                      Centers centers,
                                                      List<Real> list,
                                                      ScalingView scaling,
                                                      double unit,
                                                      const Real* G,
                                                      const Real* derivatives,
                                                      Real* x,
                                                      Real* t,
                                                      Real* a) {
    const int b = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), f = static_cast<int>(blockIdx.y);
    if (b >= c.ld) return;
    double input = 0.0, change = 0.0, weight = 0.0;
    if (c.column[b] >= 0) {
        const int component = c.component[c.row[b]];
        const double scale = c.scale[c.row[b]] * unit;
        input = core::scaled(G[static_cast<std::size_t>(f) * centers.ld + c.column[b]], scaling.factor[f],
                             scaling.origin[f], scaling.offset);
        if (component < 0)
            weight = scale;
        else
            change =
                scale * scaling.factor[f] *
                change_with(list, centers.atoms[c.column[b]], component / 3,
                            derivatives + (static_cast<std::size_t>(f) * 3 + component % 3) * list.entries);
    }
    const std::size_t at = static_cast<std::size_t>(f) * c.ld + b;
    x[at] = static_cast<Real>(input);
    t[at] = static_cast<Real>(change);
    if (f == 0) a[b] = static_cast<Real>(weight);
}

// A block computes a square of the matrix, and each of its threads 4 by 4 numbers of it. Rows pass through
// shared memory, `depth` at a time.
constexpr int side = 64, depth = 16, each = 4, across = side / each;

__device__ void stage(int rows, int n, const double* J, int k, int first, double* panel) {
    for (int q = static_cast<int>(threadIdx.x); q < depth * side; q += across * across) {
        const int row = k + q / side, column = first + q % side;
        panel[q] = row < rows && column < n ? J[static_cast<std::size_t>(row) * n + column] : 0.0;
    }
}

// The matrix is symmetric: a block below the diagonal writes its square twice, one above it nothing.
__global__ void __launch_bounds__(across* across)
    multiply_rows(int rows, int n, const double* J, double* matrix) {
    SITEWISE_SHARED(double, left, depth* side);
    SITEWISE_SHARED(double, right, depth* side);
    const int first = static_cast<int>(blockIdx.x) * side, second = static_cast<int>(blockIdx.y) * side;
    if (second > first) return;
    const int p = static_cast<int>(threadIdx.x) / across, q = static_cast<int>(threadIdx.x) % across;
    double sum[each][each] = {};
    for (int k = 0; k < rows; k += depth) {
        __syncthreads();
        stage(rows, n, J, k, first, left);
        stage(rows, n, J, k, second, right);
        __syncthreads();
        SITEWISE_UNROLL_BY(4)
        for (int r = 0; r < depth; ++r) {
            double x[each], y[each];
            SITEWISE_UNROLL
            for (int c = 0; c < each; ++c) {
                x[c] = left[r * side + p + c * across];
                y[c] = right[r * side + q + c * across];
            }
            SITEWISE_UNROLL
            for (int c = 0; c < each; ++c) {
                SITEWISE_UNROLL
                for (int d = 0; d < each; ++d) sum[c][d] += x[c] * y[d];
            }
        }
    }
    SITEWISE_UNROLL
    for (int c = 0; c < each; ++c) {
        SITEWISE_UNROLL
        for (int d = 0; d < each; ++d) {
            const int i = first + p + c * across, j = second + q + d * across;
            if (i >= n || j >= n) continue;
            const double total = matrix[static_cast<std::size_t>(i) * n + j] += sum[c][d];
            if (first != second) matrix[static_cast<std::size_t>(j) * n + i] = total;
        }
    }
}

// Appends the atoms that contribute to a row, which has the next number.
void add_row(const LabelledBatch& batch,
             const std::vector<int>& column,
             std::vector<int> atoms,
             int component,
             Contributions& c) {
    const int row = static_cast<int>(c.component.size());
    c.component.push_back(component);
    std::sort(atoms.begin(), atoms.end());
    atoms.erase(std::unique(atoms.begin(), atoms.end()), atoms.end());
    for (int m : atoms) c.elements[batch.species[m]].column.push_back(column[m]);
    for (Contributions::OfElement& of : c.elements) {
        of.column.resize(leading_dimension(static_cast<int>(of.column.size())), -1);
        of.row.resize(of.column.size(), row);
        of.first_tile.push_back(static_cast<int>(of.column.size()) / warp_size);
    }
}

}  // namespace

Contributions contributions(const LabelledBatch& batch,
                            int elements,
                            const std::vector<std::vector<std::size_t>>& components,
                            const std::vector<double>& scales) {
    std::vector<int> column, number(elements, 0);  // the atoms of an element are columns in their order
    for (int e : batch.species) column.push_back(number[e]++);
    Contributions c;
    c.scale = scales;
    c.elements.resize(elements);
    for (Contributions::OfElement& of : c.elements) of.first_tile = {0};
    for (std::size_t s = 0; s < components.size(); ++s) {
        const int first = batch.first_atom[s], end = batch.first_atom[s + 1];
        std::vector<int> all;
        for (int m = first; m < end; ++m) all.push_back(m);
        add_row(batch, column, all, -1, c);
        for (std::size_t component : components[s]) {
            const int i = first + static_cast<int>(component / 3);
            std::vector<int> near(batch.index.begin() + batch.first[i],
                                  batch.index.begin() + batch.first[i + 1]);
            near.push_back(i);
            add_row(batch, column, near, 3 * i + static_cast<int>(component % 3), c);
        }
    }
    return c;
}

template <class Real>
void launch_contributions(const ContributionsView& contributions,
                          const Centers& centers,
                          const List<Real>& list,
                          const ScalingView& scaling,
                          double unit,
                          const Real* G,
                          const Real* derivatives,
                          Real* x,
                          Real* t,
                          Real* a,
                          cudaStream_t stream) {
    dim3 grid = blocks_for(contributions.ld, threads);
    grid.y = scaling.functions;
    SITEWISE_LAUNCH(contribute<Real>, grid, dim3(threads), 0, stream, contributions, centers, list, scaling,
                    unit, G, derivatives, x, t, a);
}

void launch_normal_matrix(int rows, int n, const double* J, double* matrix, cudaStream_t stream) {
    const int squares = (n + side - 1) / side;
    SITEWISE_LAUNCH(multiply_rows, dim3(squares, squares), dim3(across * across), 0, stream, rows, n, J,
                    matrix);
}

#define SITEWISE_CONTRIBUTIONS(Real)                                                                       \
    template void launch_contributions(const ContributionsView&, const Centers&, const List<Real>&,        \
                                       const ScalingView&, double, const Real*, const Real*, Real*, Real*, \
                                       Real*, cudaStream_t);
SITEWISE_CONTRIBUTIONS(float)
SITEWISE_CONTRIBUTIONS(double)

}  // namespace sitewise::cuda
