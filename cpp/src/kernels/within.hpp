#pragma once

// The search for neighbours among ranges of atoms.

#include "kernels.hpp"
#include "simd.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

std::size_t within(std::size_t n_ranges,
                   const AtomRange* ranges,
                   const double* const* sorted,
                   const double* p,
                   double cutoff2,
                   std::size_t* ends,
                   std::int32_t* number,
                   double* const* vectors) {
    using V = Vector<double>;
    constexpr int L = lanes<double>;
    double *dx = vectors[0], *dy = vectors[1], *dz = vectors[2];
    std::size_t found = 0;
    for (std::size_t q = 0; q < n_ranges; ++q) {
        const AtomRange& range = ranges[q];
        const double px = p[0] - range.shift[0], py = p[1] - range.shift[1], pz = p[2] - range.shift[2];
        for (std::int32_t left = range.count, i = range.first; left > 0; left -= L, i += L) {
            const V rx = load(sorted[0] + i) - px, ry = load(sorted[1] + i) - py,
                    rz = load(sorted[2] + i) - pz;
            std::uint32_t inside = below(V(rx * rx + ry * ry + rz * rz), cutoff2);
            if (left < L) inside &= (1u << left) - 1;
            compress_numbers<double>(number + found, inside, i);
            compress(dx + found, inside, rx);
            compress(dy + found, inside, ry);
            compress(dz + found, inside, rz);
            found += static_cast<std::size_t>(__builtin_popcount(inside));
        }
        ends[q] = found;
    }
    return found;
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
