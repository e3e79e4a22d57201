#ifndef LMP_PAIR_SITEWISE_EXTRAPOLATIONS_H
#define LMP_PAIR_SITEWISE_EXTRAPOLATIONS_H

#include <sitewise/ensemble.hpp>
#include <string>
#include <vector>

#include "pointers.h"

namespace LAMMPS_NS {

/// Sums up over atoms, steps and ranks how many functions are outside the training range, and remembers the
/// worst atom.
class SitewiseExtrapolations : protected Pointers {
public:
    explicit SitewiseExtrapolations(LAMMPS* lammps) : Pointers(lammps) {}

    /// Warns every `interval` steps unless that is 0, and ends the run after more than `most` unless that is
    /// negative.
    void set(bigint interval, bigint most);
    /// Begins at this step.
    void begin();
    /// Adds the counts of a step, one for each atom of the structure that is no ghost; tags [atoms.size]. All
    /// ranks call it at the same steps.
    void add(const sitewise::Ensemble& ensemble,
             const sitewise::Atoms& atoms,
             const std::vector<tagint>& tags,
             const std::vector<int>& counts);
    /// Warns of those since the last warning, at the end of a run.
    void finish(const sitewise::Ensemble& ensemble);

private:
    void find_worst(const sitewise::Ensemble& ensemble,
                    const sitewise::Atoms& atoms,
                    std::size_t k,
                    tagint tag,
                    int count);
    void report(const sitewise::Ensemble& ensemble, bool due);
    std::string summary(const sitewise::Ensemble& ensemble, bigint sum);

    bigint interval_ = 0, most_ = -1;
    bigint reported_ = 0;         // step of the last report
    bigint sum_ = 0, total_ = 0;  // since and before the last report
    struct {
        int count = 0, element = 0, function = 0, functions = 0;
        tagint atom = 0;
        bigint step = 0;
        double value = 0.0, min = 0.0, max = 0.0;
        int neighbor = -1;  // element of the closest neighbour, -1 if the training data have closer ones
        double distance = 0.0, shortest = 0.0;
    } worst_;  // atom with most outside since the last report, its farthest function and closest neighbour
};

}  // namespace LAMMPS_NS

#endif
