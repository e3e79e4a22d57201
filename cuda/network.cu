#include <algorithm>
#include <string>

#include "activation.hpp"
#include "memory.cuh"
#include "network.cuh"
#include "warp.cuh"

namespace sitewise::cuda {
namespace {

// A block evaluates a tile of atoms, which are the lanes of its warps. A layer is a matrix product. Each warp
// holds 8 rows of the result in registers at a time, and the matrix passes through shared memory in panels.
constexpr int tile = warp_size, warp_rows = 8, panel_depth = 32;
constexpr int network_warps = 4, gradient_warps = 8, reduction_warps = 8;
constexpr int most_layers = 32, most_blocks = 512;
constexpr int network_arrays = 2, gradient_arrays = 5;  // [node][tile], of all nodes but the inputs

template <class Real>
struct Layers {
    Layer<Real> layer[most_layers];
    int size, nodes, weights;  // nodes of all layers but the inputs
};

/// As many numbers as one instruction can load
template <class Real>
struct alignas(16) Pack {
    static constexpr int size = 16 / sizeof(Real);
    Real v[size];
};

/// A panel [panel_depth][rows] of a matrix; a pack of padding serves writes across the rows
template <class Real, int warps>
struct Panel {
    static constexpr int rows = warps * warp_rows, packs = rows / Pack<Real>::size + 1;
    Pack<Real> pack[panel_depth * packs];
};

/// The atom in the tile and the warp in the block
struct Thread {
    int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / warp_size;
};

// Loads rows [o, ...) and columns [k, k + depth) of W^T or, if transposed, of W. Zeros follow the last row.
template <bool transposed, int warps, class Real>
__device__ void stage(const Layer<Real>& l, int o, int k, int depth, Panel<Real, warps>& panel) {
    using P = Panel<Real, warps>;
    const int rows = transposed ? l.in : l.out;
    for (int q = static_cast<int>(threadIdx.x); q < panel_depth * P::rows; q += warps * tile) {
        const int c = transposed ? q % panel_depth : q / P::rows,
                  r = transposed ? q / panel_depth : q % P::rows;
        if (c >= depth) continue;
        const std::size_t row = o + r, column = k + c;
        const std::size_t at = transposed ? row * l.out + column : column * l.out + row;
        panel.pack[c * P::packs + r / Pack<Real>::size].v[r % Pack<Real>::size] =
            o + r < rows ? l.W[at] : Real(0);
    }
}

// y += panel x for the first `packs` packs of the warp's rows
template <int packs, class Real>
__device__ void accumulate(int depth,
                           const Pack<Real>* panel,
                           int step,
                           const Real* x,
                           std::size_t ld,
                           Real (&y)[warp_rows]) {
    constexpr int width = Pack<Real>::size;
    SITEWISE_UNROLL_BY(4)
    for (int k = 0; k < depth; ++k) {
        const Real xk = x[k * ld];
        SITEWISE_UNROLL
        for (int p = 0; p < packs; ++p) {
            const Pack<Real> a = panel[k * step + p];
            SITEWISE_UNROLL
            for (int c = 0; c < width; ++c) y[p * width + c] += a.v[c] * xk;
        }
    }
}

// Calls finish(row, y) for each row of y = W^T x or, if transposed, of W x. x is [.][ld] and begins at the
// lane's atom. The function waits for other threads that have written x. A barrier is needed before reading
// what finish writes.
template <bool transposed, int warps, class Real, class Finish>
__device__ void product(const Layer<Real>& l,
                        const Real* x,
                        std::size_t ld,
                        Panel<Real, warps>& panel,
                        Finish finish) {
    using P = Panel<Real, warps>;
    const int n = transposed ? l.out : l.in, rows = transposed ? l.in : l.out;
    const int first = Thread().warp * warp_rows;
    for (int o = 0; o < rows; o += P::rows) {
        Real y[warp_rows] = {};
        for (int k = 0; k < n; k += panel_depth) {
            const int depth = n - k < panel_depth ? n - k : panel_depth;
            __syncthreads();
            stage<transposed>(l, o, k, depth, panel);
            __syncthreads();
            const Pack<Real>* packs = panel.pack + first / Pack<Real>::size;
            if (o + first + Pack<Real>::size < rows)
                accumulate<warp_rows / Pack<Real>::size>(depth, packs, P::packs, x + k * ld, ld, y);
            else if (o + first < rows)
                accumulate<1>(depth, packs, P::packs, x + k * ld, ld, y);
        }
        SITEWISE_UNROLL
        for (int r = 0; r < warp_rows; ++r)
            if (o + first + r < rows) finish(o + first + r, y[r]);
    }
}

// For each layer, calls finish(node, y) for all rows y = W^T h, then done(layer, node of the first row). h is
// x
// [.][ld] for the first layer, and `below` [node][tile], which may be in shared memory, for the others.
template <int warps, class Real, class Finish, class Done>
__device__ void forward_products(const Layers<Real>& net,
                                 const Real* x,
                                 std::size_t ld,
                                 const Real* below,
                                 Panel<Real, warps>& panel,
                                 Finish finish,
                                 Done done) {
    int at = Thread().lane;
    const auto run = [&](const Layer<Real>& l, const Real* h, std::size_t step) {
        product<false>(l, h, step, panel, [&](int o, Real y) { finish(at + o * tile, y); });
        done(l, at);
        at += l.out * tile;
    };
    run(net.layer[0], x, ld);
    for (int q = 1; q < net.size; ++q) run(net.layer[q], below + at - net.layer[q].in * tile, tile);
}

// Computes h, scale f' and, unless null, scale^2 f'' of all nodes [node][tile].
template <int warps, class Real>
__device__ void forward(const Layers<Real>& net,
                        const Real* x,
                        std::size_t ld,
                        Real* value,
                        Real* slope,
                        Real* curvature,
                        Panel<Real, warps>& panel) {
    const auto activate = [&](const Layer<Real>& l, int at) {
        __syncthreads();
        const int warp = Thread().warp;
        for (int o = warp; o < l.out; o += warps) {
            const int to = at + o * tile;
            const auto f = core::activate(l.activation, l.scale * (value[to] + l.b[o]));
            value[to] = f.value;
            slope[to] = l.scale * f.first;
            if (curvature) curvature[to] = l.scale * l.scale * f.second;
        }
    };
    forward_products(net, x, ld, value, panel, [&](int to, Real z) { value[to] = z; }, activate);
}

// Goes down from the last layer. Computes g = dE/dh of the layer below from dE/dz, and calls finish(node, g).
template <int warps, class Real, class Finish>
__device__ void backward(const Layers<Real>& net,
                         const Real* zbar,
                         Panel<Real, warps>& panel,
                         Finish finish) {
    int at = net.nodes * tile + Thread().lane;
    for (int q = net.size - 1; q > 0; --q) {
        const Layer<Real>& l = net.layer[q];
        at -= l.out * tile;
        const int below = at - l.in * tile;
        product<true>(l, zbar + at, tile, panel, [&](int i, Real g) { finish(below + i * tile, g); });
    }
}

/// The arrays of a block, in shared memory or in its part of `scratch`
template <bool shared, class Real>
__device__ Real* block_memory(Real* scratch, std::size_t size) {
    SITEWISE_DYNAMIC_SHARED(Real, memory);
    return shared ? memory : scratch + blockIdx.x * size;
}

template <class Real, bool shared>
__global__ void __launch_bounds__(network_warps* tile, 4) evaluate_network(Layers<Real> net,
                                                                           int tiles,
                                                                           std::size_t ld,
                                                                           const Real* x,
                                                                           Real* energies,
                                                                           Real* dedx,
                                                                           Real* scratch) {
    using P = Panel<Real, network_warps>;
    SITEWISE_SHARED(P, panel, 1);
    const std::size_t size = static_cast<std::size_t>(net.nodes) * tile;
    Real* const value = block_memory<shared>(scratch, network_arrays * size);
    Real* const slope = value + size;
    const Thread thread;
    for (int t = static_cast<int>(blockIdx.x); t < tiles; t += static_cast<int>(gridDim.x)) {
        const std::size_t atom = static_cast<std::size_t>(t) * tile + thread.lane;
        forward(net, x + atom, ld, value, slope, static_cast<Real*>(nullptr), panel[0]);
        const std::size_t last = size - tile + thread.lane;
        if (thread.warp == 0) {
            energies[atom] = value[last];
            value[last] = slope[last];  // dE/dz replaces the values, which are no longer needed
        }
        if (!dedx) continue;
        backward(net, value, panel[0], [&](int i, Real g) { value[i] = g * slope[i]; });
        product<true>(net.layer[0], value + thread.lane, tile, panel[0],
                      [&](int i, Real g) { dedx[i * ld + atom] = g; });
    }
}

/// An array [node][ld] of the atoms of a tile
template <class Real>
struct Rows {
    const Real* data;
    std::size_t ld;
};

// sum[r][c] += left[i + r] . right[o + c], summed over the atoms of a tile. The row after the last one of
// `left` is the input of the biases. Lanes begin at different atoms, and so at different banks of shared
// memory.
template <int n, class Real>
__device__ void add_products(Rows<Real> left,
                             int i,
                             int rows,
                             Real bias,
                             const Real* right,
                             int o,
                             int columns,
                             double (&sum)[n][n]) {
    SITEWISE_UNROLL_BY(2)
    for (int s = 0; s < tile; ++s) {
        const int b = (s + Thread().lane) % tile;
        double y[n];
        SITEWISE_UNROLL
        for (int c = 0; c < n; ++c) y[c] = right[(o + c < columns ? o + c : o) * tile + b];
        SITEWISE_UNROLL
        for (int r = 0; r < n; ++r) {
            const double x = i + r < rows ? left.data[(i + r) * left.ld + b] : bias;
            SITEWISE_UNROLL
            for (int c = 0; c < n; ++c) sum[r][c] += x * y[c];
        }
    }
}

// Adds h z + d q of the atoms of a tile to `partial` [in + 1][out]. Biases are the weights of an input that
// is 1.
template <int warps, class Real>
__device__ void outer_products(const Layer<Real>& l,
                               Rows<Real> h,
                               Rows<Real> d,
                               const Real* z,
                               const Real* q,
                               bool first,
                               double* partial) {
    constexpr int n = 4;
    const int columns = (l.out + n - 1) / n, units = (l.in + n) / n * columns;
    for (int unit = static_cast<int>(threadIdx.x); unit < units; unit += warps * tile) {
        const int i = unit / columns * n, o = unit % columns * n;
        double sum[n][n] = {};
        add_products(h, i, l.in, Real(1), z, o, l.out, sum);
        if (d.data) add_products(d, i, l.in, Real(0), q, o, l.out, sum);
        SITEWISE_UNROLL
        for (int r = 0; r < n; ++r) {
            SITEWISE_UNROLL
            for (int c = 0; c < n; ++c) {
                if (i + r > l.in || o + c >= l.out) continue;
                double& to = partial[static_cast<std::size_t>(i + r) * l.out + o + c];
                to = first ? sum[r][c] : to + sum[r][c];
            }
        }
    }
}

// Computes tangents d along t of all nodes, and zbar = g f'' u with u = d W, which overwrites g f''.
template <int warps, class Real>
__device__ void forward_tangents(const Layers<Real>& net,
                                 const Real* t,
                                 std::size_t ld,
                                 const Real* slope,
                                 Real* d,
                                 Real* zbar,
                                 Panel<Real, warps>& panel) {
    const auto finish = [&](int to, Real u) {
        d[to] = slope[to] * u;
        zbar[to] *= u;
    };
    forward_products(net, t, ld, d, panel, finish, [](const Layer<Real>&, int) {});
}

/// The tiles of each block: those from first[block] to first[block + 1] or, if null, every one in a number of
/// blocks of all
struct Tiles {
    int all;
    const int* first;

    __device__ int begin() const { return first ? first[blockIdx.x] : static_cast<int>(blockIdx.x); }
    __device__ int end() const { return first ? first[blockIdx.x + 1] : all; }
    __device__ int step() const { return first ? 1 : static_cast<int>(gridDim.x); }
};

// Sets partial [blocks][stride] for each block and its tiles. The formulas are those of
// cpp/src/kernels/network_gradient.hpp. Curvature and zbar share an array.
template <class Real, bool shared>
__global__ void __launch_bounds__(gradient_warps* tile, shared ? 2 : 1) partial_gradients(Layers<Real> net,
                                                                                          Tiles tiles,
                                                                                          std::size_t ld,
                                                                                          const Real* x,
                                                                                          const Real* a,
                                                                                          const Real* t,
                                                                                          double* partial,
                                                                                          std::size_t stride,
                                                                                          Real* scratch) {
    using P = Panel<Real, gradient_warps>;
    SITEWISE_SHARED(P, panel, 1);
    const std::size_t size = static_cast<std::size_t>(net.nodes) * tile;
    Real* const value = block_memory<shared>(scratch, gradient_arrays * size);
    Real *const slope = value + size, *const adjoint = slope + size, *const zbar = adjoint + size,
                *const d = zbar + size;
    partial += blockIdx.x * stride;
    const Thread thread;
    for (int k = tiles.begin(); k < tiles.end(); k += tiles.step()) {
        const std::size_t first = static_cast<std::size_t>(k) * tile, atom = first + thread.lane;
        const std::size_t last = size - tile + thread.lane;
        forward(net, x + atom, ld, value, slope, zbar, panel[0]);
        if (thread.warp == 0) adjoint[last] = slope[last];
        backward(net, adjoint, panel[0], [&](int i, Real g) {
            adjoint[i] = g * slope[i];
            zbar[i] *= g;
        });
        if (t) forward_tangents(net, t + atom, ld, slope, d, zbar, panel[0]);
        __syncthreads();
        for (int o = thread.warp; !t && o < net.nodes; o += gradient_warps) zbar[o * tile + thread.lane] = 0;
        __syncthreads();
        if (thread.warp == 0) zbar[last] += slope[last] * a[atom];
        backward(net, zbar, panel[0], [&](int i, Real hbar) { zbar[i] += slope[i] * hbar; });
        __syncthreads();
        double* to = partial;
        std::size_t at = 0;
        const auto add = [&](const Layer<Real>& l, Rows<Real> h, Rows<Real> tangents) {
            outer_products<gradient_warps>(l, h, tangents, zbar + at, adjoint + at, k == tiles.begin(), to);
            to += static_cast<std::size_t>(l.in + 1) * l.out;
            at += static_cast<std::size_t>(l.out) * tile;
        };
        add(net.layer[0], {x + first, ld}, {t ? t + first : nullptr, ld});
        for (int q = 1; q < net.size; ++q) {
            const std::size_t below = at - static_cast<std::size_t>(net.layer[q].in) * tile;
            add(net.layer[q], {value + below, tile}, {t ? d + below : nullptr, tile});
        }
    }
}

// gradient += sum over blocks of partial [blocks][weights], always in the same order
__global__ void __launch_bounds__(reduction_warps* tile)
    add_partials(int blocks, int weights, const double* partial, double* gradient) {
    SITEWISE_SHARED(double, part, reduction_warps* tile);
    const Thread thread;
    const int w = static_cast<int>(blockIdx.x) * tile + thread.lane;
    double sum = 0;
    for (int b = thread.warp; w < weights && b < blocks; b += reduction_warps)
        sum += partial[static_cast<std::size_t>(b) * weights + w];
    part[threadIdx.x] = sum;
    __syncthreads();
    if (thread.warp > 0 || w >= weights) return;
    for (int r = 1; r < reduction_warps; ++r) sum += part[r * tile + thread.lane];
    gradient[w] += sum;
}

template <class Real>
Layers<Real> layers_of(const NetworkView<Real>& net) {
    if (net.layers.size > most_layers)
        throw Error("CUDA: a network has " + std::to_string(net.layers.size) + " layers, expected at most " +
                    std::to_string(most_layers));
    Layers<Real> all{};
    for (const Layer<Real>& l : net.layers) {
        all.layer[all.size++] = l;
        all.nodes += l.out;
        all.weights += (l.in + 1) * l.out;
    }
    return all;
}

int tiles_of(int n) {
    return (n + tile - 1) / tile;
}

/// The bytes of `arrays` arrays of all nodes for a block
template <class Real>
std::size_t block_bytes(const Layers<Real>& net, int arrays) {
    return sizeof(Real) * arrays * net.nodes * tile;
}

/// True if the arrays of a block do not fit into shared memory with the larger of the panels.
bool is_large(std::size_t bytes) {
    static const std::size_t most = most_shared() - sizeof(Panel<double, gradient_warps>);
    return bytes > most;
}

/// The number of blocks for n atoms. It is limited if blocks use scratch memory instead of shared memory.
int blocks_of(int n, bool limited) {
    return limited ? std::min(tiles_of(n), most_blocks) : tiles_of(n);
}

template <class Kernel, class... Arguments>
void launch_blocks(const char* name,
                   Kernel kernel,
                   int blocks,
                   int warps,
                   std::size_t shared,
                   cudaStream_t stream,
                   Arguments... arguments) {
    check(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
    launch(name, kernel, dim3(blocks), dim3(warps * tile), shared, stream, arguments...);
    check(cudaGetLastError());
}

}  // namespace

template <class Real>
std::size_t network_scratch(const NetworkView<Real>& net, int n) {
    const Layers<Real> layers = layers_of(net);
    const std::size_t bytes = block_bytes(layers, gradient_arrays), blocks = blocks_of(n, true);
    // evaluate_network has fewer arrays, and no partial gradients
    return blocks * (layers.weights + (is_large(bytes) ? bytes / sizeof(double) : 0));
}

template <class Real>
void launch_network(const NetworkView<Real>& net,
                    int n,
                    std::size_t ld,
                    const Real* x,
                    Real* energies,
                    Real* dedx,
                    double* scratch,
                    cudaStream_t stream) {
    if (n == 0) return;
    const Layers<Real> layers = layers_of(net);
    const std::size_t bytes = block_bytes(layers, network_arrays);
    const bool large = is_large(bytes);
    launch_blocks("evaluate_network", large ? evaluate_network<Real, false> : evaluate_network<Real, true>,
                  blocks_of(n, large), network_warps, large ? 0 : bytes, stream, layers, tiles_of(n), ld, x,
                  energies, dedx, reinterpret_cast<Real*>(scratch));
}

template <class Real>
void launch_weight_gradient(const NetworkView<Real>& net,
                            int n,
                            std::size_t ld,
                            const Real* x,
                            const Real* a,
                            const Real* t,
                            double* gradient,
                            double* scratch,
                            cudaStream_t stream) {
    if (n == 0) return;
    const Layers<Real> layers = layers_of(net);
    const std::size_t bytes = block_bytes(layers, gradient_arrays);
    const bool large = is_large(bytes);
    const int blocks = blocks_of(n, true);
    double* const memory = large ? scratch + static_cast<std::size_t>(blocks) * layers.weights : nullptr;
    launch_blocks("partial_gradients", large ? partial_gradients<Real, false> : partial_gradients<Real, true>,
                  blocks, gradient_warps, large ? 0 : bytes, stream, layers, Tiles{tiles_of(n), nullptr}, ld,
                  x, a, t, scratch, std::size_t(layers.weights), reinterpret_cast<Real*>(memory));
    launch_blocks("add_partials", add_partials, tiles_of(layers.weights), reduction_warps, 0, stream, blocks,
                  layers.weights, scratch, gradient);
}

template <class Real>
std::size_t rows_scratch(const NetworkView<Real>& net) {
    const std::size_t bytes = block_bytes(layers_of(net), gradient_arrays);
    return is_large(bytes) ? most_blocks * (bytes / sizeof(double)) : 0;
}

template <class Real>
void launch_gradient_rows(const NetworkView<Real>& net,
                          int rows,
                          const int* first_tile,
                          std::size_t ld,
                          const Real* x,
                          const Real* a,
                          const Real* t,
                          double* gradients,
                          std::size_t stride,
                          double* scratch,
                          cudaStream_t stream) {
    const Layers<Real> layers = layers_of(net);
    const std::size_t bytes = block_bytes(layers, gradient_arrays);
    const bool large = is_large(bytes);
    for (int first = 0; first < rows; first += most_blocks)
        launch_blocks("partial_gradients",
                      large ? partial_gradients<Real, false> : partial_gradients<Real, true>,
                      std::min(rows - first, most_blocks), gradient_warps, large ? 0 : bytes, stream, layers,
                      Tiles{0, first_tile + first}, ld, x, a, t, gradients + first * stride, stride,
                      reinterpret_cast<Real*>(scratch));
}

#define SITEWISE_INSTANTIATE(Real)                                                                          \
    template std::size_t network_scratch(const NetworkView<Real>&, int);                                    \
    template void launch_network(const NetworkView<Real>&, int, std::size_t, const Real*, Real*, Real*,     \
                                 double*, cudaStream_t);                                                    \
    template void launch_weight_gradient(const NetworkView<Real>&, int, std::size_t, const Real*,           \
                                         const Real*, const Real*, double*, double*, cudaStream_t);         \
    template std::size_t rows_scratch(const NetworkView<Real>&);                                            \
    template void launch_gradient_rows(const NetworkView<Real>&, int, const int*, std::size_t, const Real*, \
                                       const Real*, const Real*, double*, std::size_t, double*,             \
                                       cudaStream_t);
SITEWISE_INSTANTIATE(float)
SITEWISE_INSTANTIATE(double)

}  // namespace sitewise::cuda
