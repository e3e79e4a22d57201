#pragma once

#include <string>
#include <vector>

namespace sitewise {

/// The posterior distribution of a potential's weights [n], from which error bars follow. A prediction with
/// the derivative g by the weights has the bar
///
///     sqrt((g.shift)^2 + mean over the draws of (g.draw)^2),
///
/// its root mean square deviation, if it is linearised about the weights.
struct Posterior {
    std::vector<double> weights;             ///< of the potential, see Potential::weights
    std::vector<double> shift;               ///< the mean of the distribution less the weights
    std::vector<std::vector<double>> draws;  ///< random deviations from the mean
    double force_factor = 1.0;               ///< of bars of forces, which are calibrated apart

    /// Read the file posterior.data in the directory of a potential. Throws Error with file and line.
    static Posterior load(const std::string& directory);
};

}  // namespace sitewise
