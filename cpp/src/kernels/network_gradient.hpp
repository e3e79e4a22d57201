#pragma once

// Computes derivatives of energies and forces with respect to the weights of a network, for blocks of
// batch_size atoms. Each array of a block is [node][batch_size], and the atoms are the lanes.

#include <cstddef>

#include "network.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

using std::size_t;
using BatchOfDoubles = Batch<double>;

// Calls work(number of nodes as a Count, first node) for `rows` nodes at a time, then for single nodes.
template <int rows, class Work>
SITEWISE_INLINE void by_rows(int n, Work work) {
    int o = 0;
    for (; o + rows <= n; o += rows) work(Count<rows>{}, o);
    for (; o < n; ++o) work(Count<1>{}, o);
}

SITEWISE_INLINE int count_nodes(const NetworkView<double>& net) {
    int nodes = 0;
    for (const Layer<double>& l : net.layers) nodes += l.out;
    return nodes;
}

// Goes down from dE/dz of the layer above. Sets, with g = dE/dh of each layer, its adjoint g slope and its
// curvature g scale^2 f''.
SITEWISE_INLINE void trace_down(const NetworkView<double>& net,
                                double* slope,
                                double* adjoint,
                                double* curvature,
                                double* dedx) {
    using B = BatchOfDoubles;
    const Layer<double>& last = net.layers[net.layers.size - 1];
    int at = (count_nodes(net) - last.out) * batch_size;
    for (int b = 0; b < batch_size; b += B::L) store(adjoint + at + b, load(slope + at + b));
    for (int q = net.layers.size; q-- > 0;) {
        const Layer<double>& l = net.layers[q];
        const double* zbar = adjoint + at;
        at -= l.in * batch_size;
        by_rows<B::rows>(
            l.in, [&](auto count, int i) __attribute__((always_inline)) {
                if (q > 0)
                    B::backward<decltype(count)::value>(l, i, zbar, slope + at, adjoint + at, curvature + at);
                else
                    B::backward<decltype(count)::value>(l, i, zbar, nullptr, dedx, nullptr);
            });
    }
}

void trace(const NetworkView<double>& net, size_t blocks, const double* x, double* trace, double* dedx) {
    using B = BatchOfDoubles;
    const int n = net.layers[0].in * batch_size, nodes = count_nodes(net) * batch_size;
    for (size_t block = 0; block < blocks; ++block) {
        double *value = trace + 4 * block * nodes, *slope = value + nodes, *curvature = slope + 2 * nodes;
        const double* h = x + block * n;
        int at = 0;
        for (const Layer<double>& l : net.layers) {
            by_rows<B::rows>(
                l.out, [&](auto count, int o) __attribute__((always_inline)) {
                    B::forward<decltype(count)::value>(l, o, h, value + at, slope + at, curvature + at);
                });
            h = value + at;
            at += l.out * batch_size;
        }
        if (dedx) trace_down(net, slope, slope + nodes, curvature, dedx + block * n);
    }
}

// Computes tangents d along t, and zbar, the derivative of a e + t . de/dx with respect to z. With g = dE/dh
// of the first pass, u = d W and f'(z), f''(z) of the layer, zbar = g f'' u + f' hbar.
SITEWISE_INLINE void gradient_of_block(const NetworkView<double>& net,
                                       const double* trace,
                                       const double* a,
                                       const double* t,
                                       double* d,
                                       double* zbar) {
    using B = BatchOfDoubles;
    using V = B::V;
    const int nodes = count_nodes(net) * batch_size;
    const double *slope = trace + nodes, *curvature = trace + 3 * nodes;
    int at = 0;
    for (const Layer<double>& l : net.layers) {
        by_rows<B::rows>(
            l.out, [&](auto count, int o) __attribute__((always_inline)) {
                constexpr int rows = decltype(count)::value;
                V u[rows][B::vectors] = {};
                if (t) B::product<rows>(l.in, l.W + o, l.out, 1, t, u);
                for (int r = 0; r < rows; ++r)
                    for (int v = 0; v < B::vectors; ++v) {
                        const int to = at + (o + r) * batch_size + v * B::L;
                        store(d + to, V(load(slope + to) * u[r][v]));
                        store(zbar + to, t ? V(load(curvature + to) * u[r][v]) : V{});
                    }
            });
        if (t) t = d + at;
        at += l.out * batch_size;
    }
    const auto add = [&](int to, V hbar) __attribute__((always_inline)) {
        store(zbar + to, V(load(zbar + to) + load(slope + to) * hbar));
    };
    at = nodes - batch_size;
    for (int b = 0; b < batch_size; b += B::L) add(at + b, load(a + b));
    for (int q = net.layers.size; q-- > 1;) {
        const Layer<double>& l = net.layers[q];
        const double* above = zbar + at;
        at -= l.in * batch_size;
        by_rows<B::rows>(
            l.in, [&](auto count, int i) __attribute__((always_inline)) {
                constexpr int rows = decltype(count)::value;
                V hbar[rows][B::vectors] = {};
                B::product<rows>(l.out, l.W + i * l.out, 1, l.out, above, hbar);
                for (int r = 0; r < rows; ++r)
                    for (int v = 0; v < B::vectors; ++v)
                        add(at + (i + r) * batch_size + v * B::L, hbar[r][v]);
            });
    }
}

// An array of all blocks, which has [node][batch_size] at `data` + block * `step`
struct Blocks {
    const double* data;
    size_t step;
};

// g[i][o] += sum over atoms of h[i] z[o] + d[i] q[o]; the lanes are summed at the end.
template <int ins, int outs>
SITEWISE_INLINE void
outer_product(size_t blocks, int i, int o, Blocks h, Blocks z, Blocks d, Blocks q, int width, double* g) {
    using V = Vector<double>;
    V sum[ins][outs] = {};
    const auto add = [&](const double* left, const double* right) __attribute__((always_inline)) {
        for (int b = 0; b < batch_size; b += lanes<double>)
#pragma GCC unroll 4
            for (int r = 0; r < ins; ++r)
#pragma GCC unroll 4
                for (int c = 0; c < outs; ++c)
                    sum[r][c] +=
                        load(left + (i + r) * batch_size + b) * load(right + (o + c) * batch_size + b);
    };
    for (size_t block = 0; block < blocks; ++block) {
        add(h.data + block * h.step, z.data + block * z.step);
        if (d.data) add(d.data + block * d.step, q.data + block * q.step);
    }
    for (int r = 0; r < ins; ++r) {
        double total[outs];
        if constexpr (outs == 4)
            sums<double>(sum[r][0], sum[r][1], sum[r][2], sum[r][3], total);
        else
            total[0] = sitewise::SITEWISE_ISA::sum<double>(sum[r][0]);
        for (int c = 0; c < outs; ++c) g[(i + r) * width + o + c] += total[c];
    }
}

void weight_gradient(const NetworkView<double>& net,
                     size_t blocks,
                     const double* x,
                     const double* trace,
                     const double* a,
                     const double* t,
                     double* scratch,
                     double* gradient) {
    const int n = net.layers[0].in * batch_size, nodes = count_nodes(net) * batch_size;
    for (size_t block = 0; block < blocks; ++block)
        gradient_of_block(net, trace + 4 * block * nodes, a + block * batch_size, t ? t + block * n : nullptr,
                          scratch + 2 * block * nodes, scratch + (2 * block + 1) * nodes);
    const size_t of_trace = 4 * static_cast<size_t>(nodes), of_scratch = 2 * static_cast<size_t>(nodes);
    Blocks h{x, static_cast<size_t>(n)}, d{t, static_cast<size_t>(n)};
    int at = 0;
    constexpr int ins = many_registers ? 4 : 2;
    for (const Layer<double>& l : net.layers) {
        const Blocks z{scratch + nodes + at, of_scratch}, q{trace + 2 * nodes + at, of_trace};
        by_rows<ins>(
            l.in, [&](auto count, int i) __attribute__((always_inline)) {
                by_rows<4>(
                    l.out, [&](auto outs, int o) __attribute__((always_inline)) {
                        outer_product<decltype(count)::value, decltype(outs)::value>(blocks, i, o, h, z, d, q,
                                                                                     l.out, gradient);
                    });
            });
        gradient += l.in * l.out;
        for (int o = 0; o < l.out; ++o) {
            Vector<double> sum{};
            for (size_t block = 0; block < blocks; ++block)
                for (int b = 0; b < batch_size; b += lanes<double>)
                    sum += load(z.data + block * z.step + o * batch_size + b);
            gradient[o] += sitewise::SITEWISE_ISA::sum<double>(sum);
        }
        gradient += l.out;
        h = {trace + at, of_trace};
        if (t) d = {scratch + at, of_scratch};
        at += l.out * batch_size;
    }
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
