#include "sitewise/symmetry.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "compiler/compile.hpp"
#include "environment.hpp"
#include "sitewise/error.hpp"
#include "symmetry_function.hpp"

namespace sitewise {

struct SymmetryFunctions::Plan {
    Cutoff cutoff;
    std::vector<int> atomic_numbers;
    Moments moments = Moments::automatic;
    double rc = 0.0;
    std::vector<std::vector<SymmetryFunction>> functions;  // [element]
    std::vector<CompiledPlan<double>> float64;
    std::vector<CompiledPlan<float>> float32;
};

SymmetryFunctions::SymmetryFunctions(int n_elements,
                                     std::vector<SymmetryFunction> functions,
                                     Cutoff cutoff,
                                     const std::vector<int>& atomic_numbers,
                                     Moments moments) {
    if (cutoff.alpha < 0.0 || cutoff.alpha >= 1.0 || std::isnan(cutoff.alpha))
        throw Error("cutoff function: alpha is " + std::to_string(cutoff.alpha) +
                    ", expected 0 <= alpha < 1");
    if (!atomic_numbers.empty() && atomic_numbers.size() != static_cast<std::size_t>(n_elements))
        throw Error("symmetry functions: " + std::to_string(atomic_numbers.size()) + " atomic numbers for " +
                    std::to_string(n_elements) + " elements");
    auto plan = std::make_shared<Plan>();
    plan->cutoff = cutoff;
    plan->atomic_numbers = atomic_numbers;
    plan->moments = moments;
    plan->functions.resize(n_elements);
    for (const SymmetryFunction& given : functions) {
        const SymmetryFunction f = canonical(given);
        check_function(f, n_elements, !atomic_numbers.empty());
        plan->functions[f.center].push_back(f);
        plan->rc = std::max(plan->rc, f.cutoff);
    }
    for (auto& list : plan->functions) {
        std::sort(list.begin(), list.end(), comes_before);
        plan->float64.push_back(compile<double>(list, cutoff, n_elements, atomic_numbers, moments));
        plan->float32.push_back(compile<float>(list, cutoff, n_elements, atomic_numbers, moments));
    }
    plan_ = std::move(plan);
}

int SymmetryFunctions::elements() const {
    return static_cast<int>(plan_->functions.size());
}
double SymmetryFunctions::cutoff() const {
    return plan_->rc;
}
Cutoff SymmetryFunctions::cutoff_function() const {
    return plan_->cutoff;
}
const std::vector<int>& SymmetryFunctions::atomic_numbers() const {
    return plan_->atomic_numbers;
}
Moments SymmetryFunctions::moments() const {
    return plan_->moments;
}
std::size_t SymmetryFunctions::count(int element) const {
    return functions(element).size();
}

std::size_t SymmetryFunctions::max_count() const {
    std::size_t n = 0;
    for (const auto& list : plan_->functions) n = std::max(n, list.size());
    return n;
}

std::size_t SymmetryFunctions::from_moments(int element) const {
    return plan_->float64[element].outputs.size();
}

const std::vector<SymmetryFunction>& SymmetryFunctions::functions(int element) const {
    return plan_->functions[element];
}

template <>
const ElementPlan<double>& PlanAccess::plan(const SymmetryFunctions& functions, int element) {
    return functions.plan_->float64[element].plan;
}
template <>
const ElementPlan<float>& PlanAccess::plan(const SymmetryFunctions& functions, int element) {
    return functions.plan_->float32[element].plan;
}

// -- the operators -------------------------------------------------------------------------------------

struct Environment::Memory {
    int center = 0;
    EnvironmentOf<double> of;
};

Environment::Environment() : memory_(std::make_unique<Memory>()) {}
Environment::~Environment() = default;
Environment::Environment(Environment&&) noexcept = default;
Environment& Environment::operator=(Environment&&) noexcept = default;

void SymmetryFunctions::load(int center,
                             std::size_t size,
                             const int* neighbors,
                             const int* species,
                             const double* vectors,
                             Environment& environment) const {
    environment.memory_->center = center;
    const auto& plan = PlanAccess::plan<double>(*this, center);
    environment.memory_->of.load(plan, size, neighbors, species, vectors);
    operators<double>().contract(plan, environment.memory_->of.tables());
}

void SymmetryFunctions::evaluate(Environment& environment, double* G) const {
    const auto& plan = PlanAccess::plan<double>(*this, environment.memory_->center);
    const Tables<double>& t = environment.memory_->of.tables();
    operators<double>().evaluate(plan, t, scratch_of_thread(plan, t.stride), G);
}

void SymmetryFunctions::vjp(Environment& environment, const double* u, double* gradient) const {
    const auto& plan = PlanAccess::plan<double>(*this, environment.memory_->center);
    const Tables<double>& t = environment.memory_->of.tables();
    operators<double>().vjp(plan, t, scratch_of_thread(plan, t.stride), u, gradient);
}

void SymmetryFunctions::jvp(Environment& environment, const double* v, double* dG) const {
    const auto& plan = PlanAccess::plan<double>(*this, environment.memory_->center);
    const Tables<double>& t = environment.memory_->of.tables();
    operators<double>().jvp(plan, t, scratch_of_thread(plan, t.stride), v, dG);
}

}  // namespace sitewise
