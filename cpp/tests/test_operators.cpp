// The operators on whole structures: against differences by displacements and by strain, against each other
// and against the forces of a potential. The name of the instruction set may be given, and 77 is returned
// where the machine lacks it.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "check.hpp"
#include "samples.hpp"
#include "sitewise/operators.hpp"

using namespace sitewise;
using samples::Liquid;

namespace {

std::vector<double> random_numbers(std::size_t n) {
    std::normal_distribution<double> normal;
    std::vector<double> x(n);
    for (double& value : x) value = normal(samples::source);
    return x;
}

// NaN behind the last function of an element counts as 0.
double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += std::isnan(a[i]) ? 0.0 : a[i] * b[i];
    return sum;
}

// The liquid after a step along v and a strain
Liquid moved(Liquid liquid, double step, const std::vector<double>& v, const std::vector<double>& strain) {
    const auto stretch = [&](double* r) {
        const double old[3] = {r[0], r[1], r[2]};
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) r[a] += step * strain[3 * a + b] * old[b];
    };
    for (std::size_t i = 0; i < liquid.atoms.size; ++i) stretch(&liquid.positions[3 * i]);
    for (auto& vector : liquid.atoms.cell) stretch(vector.data());
    for (std::size_t q = 0; q < v.size(); ++q) liquid.positions[q] += step * v[q];
    return liquid;
}

std::vector<double> functions_of(const SymmetryFunctions& set, Liquid liquid) {
    liquid.atoms.positions = liquid.positions.data();
    liquid.atoms.species = liquid.species.data();
    std::vector<double> G(liquid.atoms.size * set.max_count());
    evaluate(set, liquid.atoms, G.data());
    return G;
}

void check_derivatives(const SymmetryFunctions& set, const Liquid& liquid) {
    constexpr double h = 1e-4;
    const std::size_t n = liquid.atoms.size;
    const std::vector<double> v = random_numbers(3 * n), strain = random_numbers(9),
                              u = random_numbers(n * set.max_count());
    std::vector<double> gradient(3 * n), of_strain(9), dG(u.size());
    vjp(set, liquid.atoms, u.data(), gradient.data(), of_strain.data());
    jvp(set, liquid.atoms, v.data(), strain.data(), dG.data());
    const auto at = [&](double step) { return dot(functions_of(set, moved(liquid, step, v, strain)), u); };
    const double expected = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    CHECK_CLOSE(dot(gradient, v) + dot(of_strain, strain), expected, 1e-7 * std::fabs(expected));
    CHECK_CLOSE(dot(dG, u), expected, 1e-7 * std::fabs(expected));
}

// Forces are -gradient and the virial is that of the strain where u = dE/dG.
void check_forces(const Potential& p, const Liquid& liquid) {
    const std::size_t n = liquid.atoms.size, width = p.functions().max_count();
    std::vector<double> u(n * width, std::nan("")), gradient(3 * n), strain(9), forces(3 * n), virial(9);
    std::vector<double> G = functions_of(p.functions(), liquid);
    for (std::size_t i = 0; i < n; ++i) {
        const int e = liquid.species[i];
        double energy;
        p.scaling().apply(e, &G[i * width]);
        p.network(e).evaluate(1, &G[i * width], &energy, &u[i * width]);
        for (std::size_t f = 0; f < p.functions().count(e); ++f) u[i * width + f] *= p.scaling().factor(e)[f];
    }
    vjp(p.functions(), liquid.atoms, u.data(), gradient.data(), strain.data());
    Potential::Output out;
    out.forces = forces.data();
    out.virial = virial.data();
    p.compute(liquid.atoms, out);
    for (std::size_t q = 0; q < 3 * n; ++q) CHECK_CLOSE(gradient[q], -forces[q], 1e-11);
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) CHECK_CLOSE(strain[3 * a + b], virial[3 * b + a], 1e-9);
}

void check_refusals(const SymmetryFunctions& set) {
    const int species = 2;
    const double position[3] = {};
    Atoms atom;
    atom.size = 1;
    atom.species = &species;
    atom.positions = position;
    std::vector<double> G(set.max_count());
    CHECK_THROWS(evaluate(set, atom, G.data()), "atom 0 has element index 2, there are 2 elements");
    evaluate(set, Atoms{}, nullptr);
    const std::string status = cuda_status();
    if (status == "built without CUDA" || status.find("no GPU") == 0) {
        CHECK_THROWS(evaluate(set, Atoms{}, nullptr, Device::cuda), "device cuda");
        CHECK_THROWS(build_neighbors(Atoms{}, 1.0, Device::cuda), "device cuda");
    } else {
        const Liquid liquid(2, true);
        std::vector<double> on_device(liquid.atoms.size * set.max_count());
        evaluate(set, liquid.atoms, on_device.data(), Device::cuda);
        const std::vector<double> expected = functions_of(set, liquid);
        for (std::size_t q = 0; q < expected.size(); ++q)
            if (!std::isnan(expected[q])) CHECK_CLOSE(on_device[q], expected[q], 1e-11);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (!samples::choose_instruction_set(argc, argv)) return samples::skipped;
    const Potential p = samples::potential({CutoffType::poly4, 0.0});  // smooth, for differences
    for (bool bulk : {false, true}) {
        const Liquid liquid(3, bulk);
        check_derivatives(p.functions(), liquid);
        check_forces(p, liquid);
    }
    check_refusals(p.functions());
    return check::failures() == 0 ? 0 : 1;
}
