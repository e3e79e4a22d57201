#include "sitewise/scaling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "scaling.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

void check_statistics(const FeatureStatistics& s, std::size_t element) {
    const std::size_t n = s.min.size();
    for (const auto* values : {&s.min, &s.max, &s.mean, &s.sigma}) {
        if (values->size() != n)
            throw Error("scaling of element " + std::to_string(element) + ": " + std::to_string(n) +
                        " minima but " + std::to_string(values->size()) + " other values");
        for (double v : *values)
            if (!std::isfinite(v))
                throw Error("scaling of element " + std::to_string(element) + ": a value is not finite");
    }
}

void check_closest(const std::vector<double>& closest, std::size_t elements) {
    if (closest.empty()) return;
    if (closest.size() != elements * elements)
        throw Error("scaling: " + std::to_string(closest.size()) + " closest distances, expected " +
                    std::to_string(elements * elements));
    for (std::size_t a = 0; a < elements; ++a)
        for (std::size_t b = 0; b < elements; ++b) {
            const double d = closest[a * elements + b];
            if (!(d > 0.0) || !std::isfinite(d) || d != closest[b * elements + a])
                throw Error("scaling: the closest distances are not positive and symmetric");
        }
}

// A function that is constant over the training set carries no information, so its factor is 0, not infinity.
double inverse(double spread) {
    return spread > 0.0 ? 1.0 / spread : 0.0;
}

}  // namespace

Scaling::Scaling(ScalingType type,
                 double smin,
                 double smax,
                 std::vector<FeatureStatistics> statistics,
                 std::vector<double> closest)
    : type_(type),
      smin_(smin),
      smax_(smax),
      statistics_(std::move(statistics)),
      closest_(std::move(closest)) {
    check_closest(closest_, statistics_.size());
    const bool shifted =
        type == ScalingType::minmax || type == ScalingType::minmax_center || type == ScalingType::sigma;
    offset_ = shifted ? smin : 0.0;
    for (std::size_t e = 0; e < statistics_.size(); ++e) {
        const FeatureStatistics& s = statistics_[e];
        check_statistics(s, e);
        const std::size_t n = s.min.size();
        std::vector<double> factor(n, 1.0), origin(n, 0.0);
        for (std::size_t i = 0; i < n; ++i) {
            if (type == ScalingType::minmax || type == ScalingType::minmax_center)
                factor[i] = (smax - smin) * inverse(s.max[i] - s.min[i]);
            if (type == ScalingType::sigma) factor[i] = (smax - smin) * inverse(s.sigma[i]);
            if (type == ScalingType::minmax)
                origin[i] = s.min[i];
            else if (type != ScalingType::none)
                origin[i] = s.mean[i];
        }
        factor_.push_back(std::move(factor));
        origin_.push_back(std::move(origin));
    }
}

void Scaling::apply(int element, double* G) const {
    const auto& factor = factor_[element];
    const auto& origin = origin_[element];
    for (std::size_t i = 0; i < factor.size(); ++i) G[i] = core::scaled(G[i], factor[i], origin[i], offset_);
}

int Scaling::extrapolations(int element, const double* G) const {
    const FeatureStatistics& s = statistics_[element];
    int outside = 0;
    for (std::size_t i = 0; i < s.min.size(); ++i) outside += core::outside(G[i], s.min[i], s.max[i]);
    return outside;
}

int Scaling::closer(int element,
                    std::size_t n,
                    const int* index,
                    const int* species,
                    const double* vectors) const {
    if (closest_.empty()) return 0;
    const double* least = closest_.data() + static_cast<std::size_t>(element) * statistics_.size();
    int count = 0;
    for (std::size_t k = 0; k < n; ++k)
        count +=
            core::closer(vectors[3 * k], vectors[3 * k + 1], vectors[3 * k + 2], least[species[index[k]]]);
    return count;
}

int Scaling::farthest(int element, const double* G) const {
    const FeatureStatistics& s = statistics_[element];
    int worst = 0;
    double most = -std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < s.min.size(); ++i) {
        const double range = std::max(s.max[i] - s.min[i], std::numeric_limits<double>::min());
        const double excess = std::max(s.min[i] - G[i], G[i] - s.max[i]) / range;
        if (excess > most) worst = static_cast<int>(i);
        most = std::max(most, excess);
    }
    return worst;
}

}  // namespace sitewise
