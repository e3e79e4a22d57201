// Reads the scaling of symmetry functions: its keywords, and the statistics in scaling.data.

#include <cmath>
#include <cstddef>
#include <utility>

#include "format/read.hpp"
#include "sitewise/error.hpp"

namespace sitewise {
namespace {

namespace fs = std::filesystem;

ScalingType read_scaling_type(const Input& input) {
    const bool scale = input.has("scale_symmetry_functions"), center = input.has("center_symmetry_functions");
    if (scale) return center ? ScalingType::minmax_center : ScalingType::minmax;
    if (center) return ScalingType::center;
    return input.has("scale_symmetry_functions_sigma") ? ScalingType::sigma : ScalingType::none;
}

// Statistics that no set of values can have
void check_statistics(const FeatureStatistics& s, bool need_mean, const Place& place) {
    const double min = s.min.back(), max = s.max.back(), mean = s.mean.back();
    const double rounding = 1e-6 * (std::fabs(min) + std::fabs(max)) + 1e-8;
    if (min > max) place.fail("the minimum " + exact(min) + " is above the maximum " + exact(max));
    if (need_mean && (mean < min - rounding || mean > max + rounding))
        place.fail("the mean " + exact(mean) + " is not between minimum " + exact(min) + " and maximum " +
                   exact(max));
    if (s.sigma.back() < 0.0) place.fail("sigma is " + exact(s.sigma.back()) + ", expected 0 or more");
}

// One row: element and function counted from 1, min, max, mean and, in newer files, sigma.
void read_row(const Line& line,
              std::size_t element,
              std::size_t function,
              ScalingType type,
              FeatureStatistics& s) {
    const std::size_t n = line.words.size();
    if (n < 5 || (type == ScalingType::sigma && n < 6))
        line.place.fail(std::to_string(n) + " values, expected element, function, min, max, mean and sigma");
    const int e = parse_integer(line.words[0], line.place), f = parse_integer(line.words[1], line.place);
    if (e != static_cast<int>(element) + 1 || f != static_cast<int>(function) + 1)
        line.place.fail("row of element " + shown(line.words[0]) + ", function " + shown(line.words[1]) +
                        "; expected " + std::to_string(element + 1) + ", " + std::to_string(function + 1));
    s.min.push_back(parse_number(line.words[2], line.place));
    s.max.push_back(parse_number(line.words[3], line.place));
    s.mean.push_back(parse_number(line.words[4], line.place));
    s.sigma.push_back(n > 5 ? parse_number(line.words[5], line.place) : 0.0);
    check_statistics(s, type != ScalingType::none && type != ScalingType::minmax, line.place);
}

// The shortest distances of pairs of elements in the training set, which sitewise writes as comments, so that
// other programs pass over them. Empty if there are none.
std::vector<double> read_closest(const fs::path& path, std::size_t elements, double cflength) {
    std::vector<double> closest;
    LineReader reader(path, "");
    std::size_t found = 0;
    for (Line line; reader.next(line);) {
        const Words& words = line.words;
        if (words.size() < 2 || words[0] != "#" || words[1] != "closest_pair") continue;
        if (words.size() != 5) line.place.fail("closest_pair needs two elements and a distance");
        const int a = parse_integer(words[2], line.place), b = parse_integer(words[3], line.place);
        const double distance = parse_number(words[4], line.place) / cflength;
        const auto known = [&](int e) { return e >= 1 && static_cast<std::size_t>(e) <= elements; };
        if (!known(a) || !known(b) || !(distance > 0.0))
            line.place.fail("closest_pair has elements " + shown(words[2]) + " and " + shown(words[3]) +
                            " and distance " + shown(words[4]) + ", expected elements from 1 to " +
                            std::to_string(elements) + " and a distance above 0");
        closest.resize(elements * elements, 0.0);
        double &one = closest[(a - 1) * elements + (b - 1)], &other = closest[(b - 1) * elements + (a - 1)];
        if (one > 0.0) line.place.fail("closest_pair of these elements stands twice");
        one = other = distance;
        ++found;
    }
    if (found > 0 && found != elements * (elements + 1) / 2)
        throw Error(path.string() + ": has closest_pair of " + std::to_string(found) +
                    " pairs of elements, expected all " + std::to_string(elements * (elements + 1) / 2));
    return closest;
}

// Without scaling.data the training range is unknown, so no value lies outside it.
std::vector<FeatureStatistics> unbounded(const SymmetryFunctions& functions) {
    constexpr double huge = 1e300;
    std::vector<FeatureStatistics> statistics;
    for (int e = 0; e < functions.elements(); ++e) {
        const std::size_t n = functions.count(e);
        statistics.push_back({std::vector<double>(n, -huge), std::vector<double>(n, huge),
                              std::vector<double>(n, 0.0), std::vector<double>(n, 1.0)});
    }
    return statistics;
}

}  // namespace

Scaling read_scaling(const Input& input,
                     const fs::path& directory,
                     const SymmetryFunctions& functions,
                     double cflength) {
    const ScalingType type = read_scaling_type(input);
    const double smin = input.number("scale_min_short", 0.0), smax = input.number("scale_max_short", 1.0);
    if (!(smin < smax))
        input.whole().fail("scale_min_short is " + exact(smin) + " and scale_max_short " + exact(smax) +
                           ", expected a maximum above the minimum");
    const fs::path path = directory / "scaling.data";
    std::error_code code;
    if (type == ScalingType::none && !fs::exists(path, code)) return {type, smin, smax, unbounded(functions)};
    std::vector<FeatureStatistics> statistics(functions.elements());
    std::size_t at = 0, expected = 0;
    for (int e = 0; e < functions.elements(); ++e) expected += functions.count(e);
    LineReader reader(path, "#");
    Line line;
    for (int e = 0; e < functions.elements(); ++e)
        for (std::size_t f = 0; f < functions.count(e); ++f, ++at) {
            if (!reader.next(line))
                throw Error(path.string() + ": " + std::to_string(at) + " rows, expected " +
                            std::to_string(expected) + "; is the file cut short?");
            read_row(line, e, f, type, statistics[e]);
        }
    // RuNNer writes the range of energies in a last line of two numbers.
    if (bool more = reader.next(line); more && (line.words.size() != 2 || reader.next(line)))
        line.place.fail("one row more than the " + std::to_string(expected) + " symmetry functions");
    return {type, smin, smax, std::move(statistics),
            read_closest(path, static_cast<std::size_t>(functions.elements()), cflength)};
}

}  // namespace sitewise
