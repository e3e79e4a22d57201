// Compiled once for each instruction set, see kernels.hpp and CMakeLists.txt; SITEWISE_ISA is its name.

#include "kernels.hpp"

#include "kernels/cached.hpp"
#include "kernels/environment.hpp"
#include "kernels/network.hpp"
#include "kernels/network_gradient.hpp"
#include "kernels/within.hpp"

#define SITEWISE_TEXT(x) #x
#define SITEWISE_STRING(x) SITEWISE_TEXT(x)

namespace sitewise::SITEWISE_ISA {
namespace {

template <class Real>
void activate(Activation activation, int n, const Real* z, Real* value, Real* slope) {
    for (int i = 0; i < n; i += lanes<Real>) {
        const auto f = core::activate(activation, load(z + i));
        store(value + i, f.value);
        store(slope + i, f.first);
    }
}

template <class Real>
constexpr Operators<Real> operators_of{load_environment<Real>,
                                       contract<Real>,
                                       contract_atoms<Real>,
                                       contract_atoms_back<Real>,
                                       evaluate<Real>,
                                       gradient_of<Real>,
                                       vjp<Real>,
                                       jvp<Real>,
                                       network<Real>,
                                       network_changes<Real>,
                                       activate<Real>};

}  // namespace

extern const Kernels table;
const Kernels table{SITEWISE_STRING(SITEWISE_ISA),
                    lanes<double>,
                    operators_of<double>,
                    operators_of<float>,
                    within,
                    trace,
                    weight_gradient,
                    cached_vjp,
                    cached_jvp};

}  // namespace sitewise::SITEWISE_ISA
