#include "pair_sitewise_extrapolations.h"

#include <algorithm>
#include <cmath>

#include "comm.h"
#include "error.h"
#include "update.h"

using namespace LAMMPS_NS;

void SitewiseExtrapolations::set(bigint interval, bigint most) {
    interval_ = interval;
    most_ = most;
}

void SitewiseExtrapolations::begin() {
    reported_ = update->ntimestep;
}

void SitewiseExtrapolations::add(const sitewise::Ensemble& ensemble,
                                 const sitewise::Atoms& atoms,
                                 const std::vector<tagint>& tags,
                                 const std::vector<int>& counts) {
    for (int count : counts) sum_ += count;
    const auto most = std::max_element(counts.begin(), counts.end());
    if (most != counts.end() && *most > worst_.count) {
        const std::size_t k = most - counts.begin();
        find_worst(ensemble, atoms, k, tags[k], *most);
    }
    const bool due = interval_ > 0 && update->ntimestep - reported_ >= interval_;
    if (due || most_ >= 0) report(ensemble, due);
}

// Records atom k and its function that is farthest outside the range. It compares the atom with all others,
// which takes less than a step.
void SitewiseExtrapolations::find_worst(const sitewise::Ensemble& ensemble,
                                        const sitewise::Atoms& atoms,
                                        std::size_t k,
                                        tagint tag,
                                        int count) {
    const sitewise::SymmetryFunctions& functions = ensemble.functions();
    const sitewise::Scaling& scaling = ensemble.members().front().scaling();
    const int e = atoms.species[k], own = static_cast<int>(functions.count(e));
    std::vector<int> index;
    std::vector<double> vectors;
    for (std::size_t j = 0; j < atoms.size; ++j) {
        const double *p = atoms.positions + 3 * k, *q = atoms.positions + 3 * j;
        const double v[3] = {q[0] - p[0], q[1] - p[1], q[2] - p[2]};
        if (j == k || v[0] * v[0] + v[1] * v[1] + v[2] * v[2] >= ensemble.cutoff() * ensemble.cutoff())
            continue;
        index.push_back(static_cast<int>(j));
        vectors.insert(vectors.end(), v, v + 3);
    }
    std::vector<double> G(own);
    sitewise::Environment environment;
    functions.load(e, index.size(), index.data(), atoms.species, vectors.data(), environment);
    functions.evaluate(environment, G.data());
    const int f = scaling.farthest(e, G.data());
    const sitewise::FeatureStatistics& range = scaling.statistics(e);
    worst_ = {count, e, f, own, tag, update->ntimestep, G[f], range.min[f], range.max[f]};
    if (scaling.closest().empty()) return;
    double least = 1.0;  // ratio to the shortest distance in the training set
    for (std::size_t n = 0; n < index.size(); ++n) {
        const double* v = &vectors[3 * n];
        const int other = atoms.species[index[n]];
        const double shortest = scaling.closest()[e * ensemble.elements().size() + other];
        if (scaling.closer(e, 1, &index[n], atoms.species, v) == 0) continue;
        const double distance = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        if (distance >= least * shortest) continue;
        least = distance / shortest;
        worst_.neighbor = other;
        worst_.distance = distance;
        worst_.shortest = shortest;
    }
}

void SitewiseExtrapolations::report(const sitewise::Ensemble& ensemble, bool due) {
    bigint sum = 0;
    MPI_Allreduce(&sum_, &sum, 1, MPI_LMP_BIGINT, MPI_SUM, world);
    const bool stop = most_ >= 0 && total_ + sum > most_;
    if (sum > 0 && (due || stop)) {
        const std::string text = summary(ensemble, sum);
        if (stop) error->all(FLERR, text + "; maxew allows " + std::to_string(most_));
        if (comm->me == 0) error->warning(FLERR, text);
    }
    if (!due) return;
    total_ += sum;
    sum_ = worst_.count = 0;
    reported_ = update->ntimestep;
}

std::string SitewiseExtrapolations::summary(const sitewise::Ensemble& ensemble, bigint sum) {
    struct {
        int count, rank;
    } mine{worst_.count, comm->me}, most{};
    MPI_Allreduce(&mine, &most, 1, MPI_2INT, MPI_MAXLOC, world);
    MPI_Bcast(&worst_, sizeof worst_, MPI_BYTE, most.rank, world);
    const std::vector<std::string>& names = ensemble.elements();
    const bool close = worst_.neighbor >= 0;
    std::string text = fmt::format(
        "pair_style sitewise: outside the training range {} times from step {} to {} (functions{}, summed "
        "over atoms and steps); most at step {} for atom {} ({}) with {} functions{}, of which ",
        sum, reported_, update->ntimestep, close ? " and close neighbours" : "", worst_.step, worst_.atom,
        names[worst_.element], worst_.count, close ? " and close neighbours" : "");
    const bool outside = worst_.value < worst_.min || worst_.value > worst_.max;
    if (outside || !close)
        text += fmt::format("function {} of {} is at {:.6g}, the training range is {:.6g} to {:.6g}",
                            worst_.function + 1, worst_.functions, worst_.value, worst_.min, worst_.max);
    if (close)
        text +=
            fmt::format("{}{} is at {:.4g} Angstrom, the shortest in the training data is {:.4g}",
                        outside ? ", and " : "", names[worst_.neighbor], worst_.distance, worst_.shortest);
    return text;
}

void SitewiseExtrapolations::finish(const sitewise::Ensemble& ensemble) {
    if (interval_ > 0) report(ensemble, true);
}
