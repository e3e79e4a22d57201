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

// A function that is constant over the training set carries no information, so its factor is 0, not infinity.
double inverse(double spread) {
    return spread > 0.0 ? 1.0 / spread : 0.0;
}

}  // namespace

Scaling::Scaling(ScalingType type, double smin, double smax, std::vector<FeatureStatistics> statistics)
    : type_(type), smin_(smin), smax_(smax), statistics_(std::move(statistics)) {
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
