#pragma once

#include "math.hpp"

namespace sitewise::core {

/// The network input of a function G.
SITEWISE_INLINE double scaled(double G, double factor, double origin, double offset) {
    return factor * (G - origin) + offset;
}

/// True if G is outside the training range, with the tolerance of sitewise/scaling.hpp.
SITEWISE_INLINE bool outside(double G, double least, double most) {
    const double tolerance = 1e-9 * (most - least);
    return G < least - tolerance || G > most + tolerance;
}

/// Whether a neighbour at (x, y, z) is closer than any pair of these elements in the training set.
SITEWISE_INLINE bool closer(double x, double y, double z, double least) {
    constexpr double tolerance = 1e-6;  // for vectors in single precision
    const double bound = least * (1.0 - tolerance);
    return x * x + y * y + z * z < bound * bound;
}

}  // namespace sitewise::core
