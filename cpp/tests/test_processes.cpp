// A process that was forked from one whose threads have computed computes the same, in no more than some
// seconds.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "check.hpp"
#include "samples.hpp"
#include "sitewise/training.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace sitewise;
using samples::Liquid;

namespace {

std::vector<double> compute(const Potential& potential, const Liquid& liquid, VerletList* list) {
    std::vector<double> results(1 + 3 * liquid.atoms.size);
    Potential::Output out;
    out.energy = results.data();
    out.forces = results.data() + 1;
    if (list)
        potential.compute(liquid.atoms, *list, out);
    else
        potential.compute(liquid.atoms, out);
    return results;
}

std::vector<double> train(const Potential& potential, const Liquid& liquid) {
    const std::vector<double> forces(3 * liquid.atoms.size, 0.1);
    const std::vector<Atoms> atoms(3, liquid.atoms);
    const std::vector<Labels> labels(3, Labels{-10.0, forces.data(), nullptr});
    TrainingSet set(potential.functions(), std::size_t(1) << 30);
    set.add(atoms.size(), atoms.data(), labels.data());
    const std::size_t n = potential.n_weights();
    std::vector<double> results(3 * n);
    set.loss(potential, {0, 1, 2}, {1.0, 0.0}, results.data());
    set.jacobian(potential, {2}, {{5}}, results.data() + n);
    return results;
}

std::vector<double> everything(const Potential& potential, const Liquid& liquid) {
    VerletList list(potential.cutoff(), 0.5);
    std::vector<double> all;
    for (const auto& part : {compute(potential, liquid, nullptr), compute(potential, liquid, &list),
                             compute(potential, liquid, &list), train(potential, liquid)})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

// NaN where they differ in number
double difference(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) return std::numeric_limits<double>::quiet_NaN();
    double most = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!(std::fabs(a[i] - b[i]) <= most)) most = std::fabs(a[i] - b[i]);
    return most;
}

// What work() returns in a forked process, which the alarm ends if it waits for ever
template <class Work>
bool holds_after_fork(Work work) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(100);
        _exit(work() ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

void check_children(const Potential& potential, const Liquid& liquid) {
    const auto expected = everything(potential, liquid);
    const auto same = [&] { return difference(everything(potential, liquid), expected) < 1e-8; };
    CHECK(same());
    CHECK(holds_after_fork(same));
    CHECK(holds_after_fork([&] { return holds_after_fork(same); }));
    CHECK(holds_after_fork([&] {
#ifdef _OPENMP
        omp_set_num_threads(3);
#endif
        return same();
    }));
    CHECK(!holds_after_fork([] { return false; }));
    CHECK(same());
}

void check_fork_of_a_thread(const Potential& potential, const Liquid& liquid) {
    bool good = false;
    std::thread([&] {
        const auto expected = everything(potential, liquid);
        good = holds_after_fork([&] { return difference(everything(potential, liquid), expected) < 1e-8; });
    }).join();
    CHECK(good);
}

}  // namespace

int main() {
#ifdef _OPENMP
    omp_set_num_threads(2);
#endif
    const Potential potential = samples::potential();
    const Liquid liquid(4, true);
    check_children(potential, liquid);
    check_fork_of_a_thread(potential, liquid);
    return check::failures() == 0 ? 0 : 1;
}
