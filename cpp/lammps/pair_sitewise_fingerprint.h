#ifndef LMP_PAIR_SITEWISE_FINGERPRINT_H
#define LMP_PAIR_SITEWISE_FINGERPRINT_H

#include <cstdint>
#include <sitewise/ensemble.hpp>
#include <vector>

namespace LAMMPS_NS {

/// FNV-1a hash of the numbers that determine the results, by which ranks see that they have read the same
/// files.
class SitewiseFingerprint {
public:
    explicit SitewiseFingerprint(const sitewise::Ensemble& ensemble);
    std::uint64_t value() const { return hash_; }

private:
    void mix(const std::vector<double>& values);
    void add(const sitewise::Potential& potential);
    void add(const sitewise::Baseline& baseline);

    std::uint64_t hash_ = 14695981039346656037u;
};

}  // namespace LAMMPS_NS

#endif
