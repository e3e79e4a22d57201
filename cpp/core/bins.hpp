#pragma once

#include "math.hpp"

namespace sitewise::core {

/// The bin of a fractional coordinate, if there are `count` bins along the axis.
SITEWISE_INLINE int bin_of(double fraction, double low, double span, int count) {
    const int b = static_cast<int>((fraction - low) / span * count);
    return b < 0 ? 0 : (b < count ? b : count - 1);
}

/// Wraps a bin into the box along one axis and sets its image `cell`; returns false if there is no such bin.
SITEWISE_INLINE bool fold(int count, bool periodic, int& b, int& cell) {
    cell = 0;
    if (b >= 0 && b < count) return true;
    if (!periodic) return false;
    cell = (b >= 0 ? b : b - count + 1) / count;
    b -= cell * count;
    return true;
}

}  // namespace sitewise::core
