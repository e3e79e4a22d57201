#pragma once

// The search for neighbours among the atoms of a row of bins.

#include "simd.hpp"

namespace sitewise::SITEWISE_ISA {
namespace {

std::size_t within(std::size_t n,
                   const double* x,
                   const double* y,
                   const double* z,
                   const double* p,
                   double cutoff2,
                   std::int32_t* number,
                   double* dx,
                   double* dy,
                   double* dz) {
    using V = Vector<double>;
    constexpr std::size_t L = lanes<double>;
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; i += L) {
        const V rx = load(x + i) - p[0], ry = load(y + i) - p[1], rz = load(z + i) - p[2];
        std::uint32_t inside = below(V(rx * rx + ry * ry + rz * rz), cutoff2);
        if (n - i < L) inside &= (1u << (n - i)) - 1;
        compress_numbers<double>(number + found, inside, static_cast<std::int32_t>(i));
        compress(dx + found, inside, rx);
        compress(dy + found, inside, ry);
        compress(dz + found, inside, rz);
        found += static_cast<std::size_t>(__builtin_popcount(inside));
    }
    return found;
}

}  // namespace
}  // namespace sitewise::SITEWISE_ISA
