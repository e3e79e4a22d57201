#pragma once

// Evaluates the network on a batch of atoms by matrix products. The atoms of a batch are the lanes.

#include "activation.hpp"
#include "elementary.hpp"
#include "plan.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

template <class Real>
struct Batch {
    using V = Vector<Real>;
    static constexpr int L = lanes<Real>;
    static constexpr int vectors = batch_size / L;
    // rows of a product that are computed together, as many as the registers hold
    static constexpr int rows = vectors < 8 ? 8 / vectors : (many_registers ? 2 : 1);

    // y[r] = start[r] + sum over i of a[i * step + r * next] x[i] for `count` rows r of a matrix
    template <int count>
    static SITEWISE_INLINE void product(int n,
                                        const Real* a,
                                        int step,
                                        int next,
                                        const Real* x,
                                        V (&y)[count][vectors]) {
        for (int i = 0; i < n; ++i)
#pragma GCC unroll 8
            for (int r = 0; r < count; ++r)
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v)
                    y[r][v] += a[i * step + r * next] * load(x + i * batch_size + v * L);
    }

    // Sets h, scale f' and, unless null, scale^2 f'' of `count` nodes, beginning with o.
    template <int count>
    static SITEWISE_INLINE void forward(const Layer<Real>& l,
                                        int o,
                                        const Real* x,
                                        Real* h,
                                        Real* slope,
                                        Real* curvature) {
        V z[count][vectors];
        for (int r = 0; r < count; ++r)
            for (int v = 0; v < vectors; ++v) z[r][v] = broadcast(l.b[o + r]);
        product<count>(l.in, l.W + o, l.out, 1, x, z);
        for (int r = 0; r < count; ++r)
            for (int v = 0; v < vectors; ++v) {
                const auto f = core::activate(l.activation, V(l.scale * z[r][v]));
                const int at = (o + r) * batch_size + v * L;
                store(h + at, f.value);
                store(slope + at, V(l.scale * f.first));
                if (curvature) store(curvature + at, V(l.scale * l.scale * f.second));
            }
    }

    // Sets dE/dh of `count` inputs, beginning with i, times their slope unless null; also dE/dh times
    // curvature.
    template <int count>
    static SITEWISE_INLINE void backward(const Layer<Real>& l,
                                         int i,
                                         const Real* zbar,
                                         const Real* slope,
                                         Real* below,
                                         Real* curvature) {
        V g[count][vectors] = {};
        product<count>(l.out, l.W + i * l.out, 1, l.out, zbar, g);
        for (int r = 0; r < count; ++r)
            for (int v = 0; v < vectors; ++v) {
                const int at = (i + r) * batch_size + v * L;
                store(below + at, slope ? V(g[r][v] * load(slope + at)) : g[r][v]);
                if (curvature) store(curvature + at, V(g[r][v] * load(curvature + at)));
            }
    }
};

// Sets energies [batch] and, unless null, dedx [n][batch] for x [n][batch]. scratch is [3 nodes][batch].
template <class Real>
void network(const NetworkView<Real>& net, const Real* x, Real* energies, Real* dedx, Real* scratch) {
    using B = Batch<Real>;
    const Real* h = x;
    Real* slope = scratch;
    for (const Layer<Real>& l : net.layers) {
        Real* next = slope + l.out * batch_size;
        int o = 0;
        for (; o + B::rows <= l.out; o += B::rows)
            B::template forward<B::rows>(l, o, h, next, slope, nullptr);
        for (; o < l.out; ++o) B::template forward<1>(l, o, h, next, slope, nullptr);
        h = next;
        slope = next + l.out * batch_size;
    }
    for (int b = 0; b < batch_size; ++b) energies[b] = h[b];
    if (!dedx) return;
    // zbar of the last layer is its slope. Below it, zbar is dE/dh times the slopes of the layer before.
    Real* below = slope;
    const Real* zbar = h - batch_size;
    for (int q = net.layers.size; q-- > 0;) {
        const Layer<Real>& l = net.layers[q];
        const Real* slope_below = nullptr;
        Real* out = dedx;
        if (q > 0) {
            // slopes and values of layer q-1 precede those of layer q
            h -= (l.out + l.in) * batch_size;
            slope_below = h - l.in * batch_size;
            out = below;
            below += l.in * batch_size;
        }
        int i = 0;
        for (; i + B::rows <= l.in; i += B::rows)
            B::template backward<B::rows>(l, i, zbar, slope_below, out, nullptr);
        for (; i < l.in; ++i) B::template backward<1>(l, i, zbar, slope_below, out, nullptr);
        zbar = out;
    }
}

// The change of an energy with a deviation W', b' of the weights is the sum over layers of zbar . (h W' +
// b'), where h are the values of the layer below and zbar = dE/dz.
template <class Real>
void network_changes(const NetworkView<Real>& net,
                     const Real* x,
                     const Real* scratch,
                     int count,
                     const Real* deviations,
                     Real* changes) {
    using B = Batch<Real>;
    using V = Vector<Real>;
    int nodes = 0;
    for (const Layer<Real>& l : net.layers) nodes += l.out;
    for (int d = 0; d < count; ++d) {
        V sum[B::vectors] = {};
        const Real* h = x;
        int before = 0;  // nodes of the layers below
        for (const Layer<Real>& l : net.layers) {
            // zbar of the last layer is its slope. The others lie behind all values and slopes, the top
            // first.
            const bool top = before + l.out == nodes;
            const Real* zbar = scratch + (top ? 2 * before : 3 * nodes - 1 - before - l.out) * batch_size;
            const Real* b = deviations + l.in * l.out;
            const auto add = [&](auto rows, int o) __attribute__((always_inline)) {
                constexpr int n = decltype(rows)::value;
                V z[n][B::vectors];
                for (int r = 0; r < n; ++r)
                    for (int v = 0; v < B::vectors; ++v) z[r][v] = broadcast(b[o + r]);
                B::template product<n>(l.in, deviations + o, l.out, 1, h, z);
                for (int r = 0; r < n; ++r)
                    for (int v = 0; v < B::vectors; ++v)
                        sum[v] += z[r][v] * load(zbar + (o + r) * batch_size + v * B::L);
            };
            int o = 0;
            for (; o + B::rows <= l.out; o += B::rows) add(Count<B::rows>{}, o);
            for (; o < l.out; ++o) add(Count<1>{}, o);
            deviations = b + l.out;
            h = scratch + (2 * before + l.out) * batch_size;
            before += l.out;
        }
        for (int v = 0; v < B::vectors; ++v) store(changes + d * batch_size + v * B::L, sum[v]);
    }
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
