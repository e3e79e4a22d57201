#pragma once

#include <cstddef>
#include <vector>

namespace sitewise {

/// The scalings of n2p2, x(G) as network input:
///
///     none         G
///     minmax       smin + (smax - smin) (G - min) / (max - min)
///     center       G - mean
///     minmax_center smin + (smax - smin) (G - mean) / (max - min)
///     sigma        smin + (smax - smin) (G - mean) / sigma
enum class ScalingType { none, minmax, center, minmax_center, sigma };

/// Statistics of the symmetry functions of one element over a training set; [count] each.
struct FeatureStatistics {
    std::vector<double> min, max, mean, sigma;
};

/// The scaling x = factor * (G - origin) + offset, the same mathematics for all types and elements. A
/// function without spread (max = min or sigma = 0) has factor 0.
class Scaling {
public:
    Scaling() = default;
    /// `closest` [elements][elements] has the shortest distance of each pair of elements in the training set,
    /// Angstrom; it is empty if these are unknown. Throws Error if a vector's length is not the number of
    /// functions, a value is not finite, or `closest` is not symmetric and positive.
    Scaling(ScalingType type,
            double smin,
            double smax,
            std::vector<FeatureStatistics> statistics,
            std::vector<double> closest = {});

    int elements() const { return static_cast<int>(statistics_.size()); }
    ScalingType type() const { return type_; }
    double smin() const { return smin_; }
    double smax() const { return smax_; }
    const FeatureStatistics& statistics(int element) const { return statistics_[element]; }
    const std::vector<double>& factor(int element) const { return factor_[element]; }
    const std::vector<double>& origin(int element) const { return origin_[element]; }
    double offset() const { return offset_; }
    /// Scale the functions G of one atom to x, in place.
    void apply(int element, double* G) const;
    /// Return the number of functions of one atom outside [min, max] of the training set. A tolerance of 1e-9
    /// of the range keeps the training set itself inside after a file has rounded it.
    int extrapolations(int element, const double* G) const;
    const std::vector<double>& closest() const { return closest_; }
    /// Return the number of neighbours of one atom that are closer to it than any pair of these elements in
    /// the training set; 0 if `closest` is unknown. The vectors [n][3] lead to the neighbours, whose elements
    /// are species[index]. A tolerance of 1e-6 allows for rounding in single precision.
    int closer(int element, std::size_t n, const int* index, const int* species, const double* vectors) const;
    /// Return the function of one atom that is farthest outside of [min, max], relative to that range, or
    /// nearest to one of its ends if all are inside.
    int farthest(int element, const double* G) const;

private:
    ScalingType type_ = ScalingType::none;
    double smin_ = 0.0, smax_ = 1.0;
    std::vector<FeatureStatistics> statistics_;
    std::vector<std::vector<double>> factor_, origin_;
    std::vector<double> closest_;
    double offset_ = 0.0;
};

}  // namespace sitewise
