#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace sitewise {

/// Cutoff functions with the numbers of the n2p2 keyword `cutoff_type`.
enum class CutoffType {
    hard = 0,
    cosine = 1,
    tanhu = 2,
    tanh = 3,
    exponential = 4,
    poly1 = 5,
    poly2 = 6,
    poly3 = 7,
    poly4 = 8
};

/// fc(r) falls from 1 at alpha * rc to 0 at rc; `tanhu`, `tanh` and `hard` do not use alpha.
struct Cutoff {
    CutoffType type = CutoffType::cosine;
    double alpha = 0.0;  ///< 0 <= alpha < 1
};

/// Name of the instruction set that the kernels use: avx512, avx2 or baseline, the best that this machine has
/// or the one that the environment variable SITEWISE_ISA names when the library is first used. Results differ
/// between them by rounding. Throws Error where that name is unknown or not what this machine has.
const char* instruction_set();

/// One symmetry function, after J. Behler, J. Chem. Phys. 134, 074106 (2011), numbered as in n2p2:
///
///     2   sum_j     exp(-eta (r_ij - rs)^2) fc(r_ij)
///     3   2^(1-zeta) sum_{j<k} (1 + lambda cos t)^zeta R(r_ij) R(r_ik) R(r_jk)
///     9   2^(1-zeta) sum_{j<k} (1 + lambda cos t)^zeta R(r_ij) R(r_ik)
///
/// with R(r) = exp(-eta (r - rs)^2) fc(r). Elements are indices into the list of elements.
struct SymmetryFunction {
    int type = 2;
    int center = 0;
    int neighbor1 = 0;
    int neighbor2 = -1;   ///< -1 for type 2; otherwise neighbor1 <= neighbor2
    double eta = 0.0;     ///< 1/Angstrom^2
    double rs = 0.0;      ///< Angstrom
    double lambda = 0.0;  ///< angular types only
    double zeta = 0.0;    ///< angular types only
    double cutoff = 0.0;  ///< rc, Angstrom
};

/// The environment of one atom as the kernels want it: neighbours sorted by element in
/// structure-of-arrays order with tables of the radial functions.
/// Reused from atom to atom; one per thread.
class Environment {
public:
    Environment();
    ~Environment();
    Environment(Environment&&) noexcept;
    Environment& operator=(Environment&&) noexcept;

    struct Tables;  ///< of the library alone

private:
    friend class SymmetryFunctions;
    std::unique_ptr<Tables> tables_;
};

/// A set of symmetry functions compiled into a plan, and its three operators on one environment. With
/// G in R^n the functions of the centre's element and r in R^(m x 3) the neighbour vectors:
///
///     evaluate  r      -> G
///     vjp       r, u   -> (dG/dr)^T u
///     jvp       r, v   -> (dG/dr) v
class SymmetryFunctions {
public:
    /// Functions are brought into n2p2's order, the order of `scaling.data` (see functions()).
    /// Throws Error for a type other than 2, 3, 9 or parameters out of range.
    SymmetryFunctions(int n_elements, std::vector<SymmetryFunction> functions, Cutoff cutoff);
    int elements() const;
    double cutoff() const;  ///< the largest rc, Angstrom
    Cutoff cutoff_function() const;
    std::size_t count(int element) const;  ///< n of that element
    std::size_t max_count() const;
    /// Sorted by type, rc, eta, rs, zeta, lambda, neighbor1, neighbor2.
    const std::vector<SymmetryFunction>& functions(int element) const;

    /// Loads the environment of an atom of element `center`. `neighbors` are indices into `species` and
    /// `vectors` [size][3] the r_ij; neighbours beyond the cutoff are left out.
    void load(int center,
              std::size_t size,
              const int* neighbors,
              const int* species,
              const double* vectors,
              Environment& environment) const;
    /// G [count(center)].
    void evaluate(Environment& environment, double* G) const;
    /// gradient [size][3] = d(u.G)/dr_ij in the order of the neighbours given to load(); overwritten.
    /// Functions with u = 0 cost nothing where a whole group of them is zero.
    void vjp(Environment& environment, const double* u, double* gradient) const;
    /// dG [count(center)] = sum over neighbours of dG/dr_ij . v_ij, v [size][3].
    void jvp(Environment& environment, const double* v, double* dG) const;

private:
    struct Plan;
    std::shared_ptr<const Plan> plan_;  // immutable, so copies share it
};

}  // namespace sitewise
