#include "pair_sitewise_fingerprint.h"

using namespace LAMMPS_NS;

SitewiseFingerprint::SitewiseFingerprint(const sitewise::Ensemble& ensemble) {
    for (const sitewise::Potential& member : ensemble.members()) add(member);
}

void SitewiseFingerprint::mix(const std::vector<double>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    for (std::size_t i = 0; i < values.size() * sizeof(double); ++i)
        hash_ = (hash_ ^ bytes[i]) * 1099511628211u;
}

void SitewiseFingerprint::add(const sitewise::Potential& potential) {
    const auto& scaling = potential.scaling();
    const auto& unit = potential.normalization();
    const auto cutoff = potential.functions().cutoff_function();
    mix(potential.weights());
    mix(potential.atom_energies());
    mix(scaling.closest());
    mix({unit.mean_energy, unit.conv_energy, double(scaling.type()), scaling.smin(), scaling.smax(),
         double(cutoff.type), cutoff.alpha});
    add(potential.baseline());
    for (std::size_t e = 0; e < potential.elements().size(); ++e) {
        const int element = static_cast<int>(e);
        mix({double(potential.atomic_numbers()[e]), double(potential.network(element).normalize_nodes())});
        if (potential.bar_parts() > 0) mix(potential.deviations(element));
        for (auto activation : potential.network(element).activations()) mix({double(activation)});
        const auto& statistics = scaling.statistics(element);
        for (const auto* values : {&statistics.min, &statistics.max, &statistics.mean, &statistics.sigma})
            mix(*values);
        for (const auto& f : potential.functions().functions(element))
            mix({double(f.type),
                 double(f.neighbor1),
                 double(f.neighbor2),
                 f.eta,
                 f.rs,
                 f.lambda,
                 f.zeta,
                 f.cutoff,
                 f.left,
                 f.angle_left,
                 f.angle_right,
                 double(f.compact),
                 double(f.asymmetric),
                 double(f.neighbor3),
                 double(f.neighbor4),
                 f.eta2,
                 f.eta3,
                 f.eta4,
                 f.rs2,
                 f.rs3,
                 f.rs4,
                 f.power1,
                 f.power2,
                 f.power3,
                 f.power4});
    }
}

void SitewiseFingerprint::add(const sitewise::Baseline& baseline) {
    const int n = static_cast<int>(baseline.atomic_numbers().size());
    mix({baseline.inner(), baseline.outer()});
    for (int a = 0; a < n; ++a)
        for (int b = 0; b <= a; ++b) {
            const sitewise::PairTable& table = baseline.table(a, b);
            for (const auto* values : {&table.distances(), &table.energies(), &table.slopes()}) mix(*values);
        }
}
