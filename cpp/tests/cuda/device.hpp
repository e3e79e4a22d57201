#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "memory.cuh"

/// What tests of kernels share.
namespace device {

using Numbers = std::vector<double>;

/// An array on the device with the values of one of the host
template <class T>
struct Uploaded : sitewise::cuda::Buffer<T> {
    explicit Uploaded(const std::vector<T>& values) { this->upload(values.data(), values.size(), nullptr); }
};

inline Numbers random_numbers(std::size_t n, double scale) {
    static std::mt19937 engine(7);
    std::normal_distribution<double> normal(0.0, scale);
    Numbers x(n);
    for (double& value : x) value = normal(engine);
    return x;
}

/// The largest difference relative to the largest number of b; NaN is far from everything.
inline double difference(const Numbers& a, const Numbers& b) {
    double most = 0.0, scale = 1e-300;
    if (a.size() != b.size()) return HUGE_VAL;
    for (std::size_t i = 0; i < b.size(); ++i) {
        scale = std::max(scale, std::fabs(b[i]));
        if (std::isnan(a[i] - b[i])) return HUGE_VAL;
        most = std::max(most, std::fabs(a[i] - b[i]));
    }
    return most / scale;
}

}  // namespace device
