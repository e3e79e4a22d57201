#pragma once

#include <cstddef>
#include <memory>
#include <string>
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

/// A cutoff function fc(r). It falls from 1 at alpha * rc to 0 at rc; `tanhu`, `tanh` and `hard` do not use
/// alpha.
struct Cutoff {
    CutoffType type = CutoffType::cosine;
    double alpha = 0.0;  ///< 0 <= alpha < 1
};

/// Return the name of the instruction set that the kernels use: avx512, avx2 or baseline. It is the best that
/// this machine has, or the one that the environment variable SITEWISE_ISA names when the library is first
/// used. Results differ between instruction sets by rounding. Throws Error if that name is unknown or this
/// machine does not have the instruction set.
const char* instruction_set();

/// One symmetry function, numbered as in n2p2: after J. Behler, J. Chem. Phys. 134, 074106 (2011),
///
///     2   sum_j     exp(-eta (r_ij - rs)^2) fc(r_ij)
///     3   2^(1-zeta) sum_{j<k} (1 + lambda cos t)^zeta R(r_ij) R(r_ik) R(r_jk)
///     9   2^(1-zeta) sum_{j<k} (1 + lambda cos t)^zeta R(r_ij) R(r_ik)
///
/// with R(r) = exp(-eta (r - rs)^2) fc(r); weighted by atomic numbers and summed over all neighbour elements,
/// after M. Gastegger et al., J. Chem. Phys. 148, 241709 (2018),
///
///     12  sum_j Z_j R(r_ij)
///     13  2^(1-zeta) sum_{j<k} Z_j Z_k (1 + lambda cos t)^zeta R(r_ij) R(r_ik) R(r_jk)
///
/// and with compact support, M. P. Bircher, A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026
/// (2021),
///
///     20, 23  sum_j C(r_ij), sum_j Z_j C(r_ij)
///     21, 24  sum_{j<k} C(t) C(r_ij) C(r_ik) C(r_jk), the same times Z_j Z_k
///     22, 25  sum_{j<k} C(t) C(r_ij) C(r_ik), the same times Z_j Z_k
///
/// where C(a) = f(|a - center| / width) is 0 outside of [left, cutoff] or [angle_left, angle_right]. These
/// numbers are n2p2's. Three more types, which n2p2 and RuNNer refuse, contract moments of two, three and
/// four shells R_s(r) = exp(-eta_s (r - rs_s)^2) fc(r), whose etas, shifts and neighbour elements may differ,
/// as the basis functions of moment tensor potentials do, A. V. Shapeev, Multiscale Model. Simul. 14, 1153
/// (2016):
///
///     33  sum_{j,k}     R_1(r_ij) R_2(r_ik) (u_j.u_k)^p1
///     34  sum_{j,k,l}   R_1(r_ij) R_2(r_ik) R_3(r_il) (u_j.u_k)^p1 (u_k.u_l)^p2 (u_l.u_j)^p3
///     35  sum_{j,k,l,m} R_1(r_ij) R_2(r_ik) R_3(r_il) R_4(r_im)
///                       (u_j.u_k)^p1 (u_k.u_l)^p2 (u_l.u_m)^p3 (u_m.u_j)^p4
///
/// with the unit vectors u_j = r_ij/r_ij and whole powers p. Each index runs over all neighbours of its
/// shell's element; indices may be equal, which is the convention of moment tensor potentials and of the
/// atomic cluster expansion. The cost is linear in the number of neighbours. Elements are indices into the
/// list of elements; a shell of types 33 to 35 may also have all neighbours (`all`), or all of them weighted
/// by their atomic numbers (`all_by_number`).
struct SymmetryFunction {
    static constexpr int all = -2, all_by_number = -3;

    int type = 2;
    int center = 0;
    int neighbor1 = -1;  ///< -1 for the weighted types
    int neighbor2 = -1;  ///< -1 for the radial and the weighted types; otherwise neighbor1 <= neighbor2
    double eta = 0.0;    ///< 1/Angstrom^2; of the first shell, where there are several
    double rs = 0.0;     ///< Angstrom
    double lambda = 0.0;
    double zeta = 0.0;
    double cutoff = 0.0;                         ///< rc, Angstrom
    double left = 0.0;                           ///< rl of the compact types, Angstrom; may be negative
    double angle_left = 0.0, angle_right = 0.0;  ///< degrees
    CutoffType compact = CutoffType::poly2;      ///< f, n2p2's subtype: poly1 to poly4 or exponential
    bool asymmetric = false;                     ///< f((2 - x) x) in place of f(x) in the radial factors
    int neighbor3 = -1, neighbor4 = -1;          ///< of the further shells
    double eta2 = 0.0, eta3 = 0.0, eta4 = 0.0;
    double rs2 = 0.0, rs3 = 0.0, rs4 = 0.0;
    double power1 = 0.0, power2 = 0.0, power3 = 0.0, power4 = 0.0;  ///< p; the two of a shell: at most 6

    bool is_angular() const;      ///< a sum over pairs of neighbours, of types 3, 9, 13, 21, 22, 24 and 25
    bool is_compact() const;      ///< with C(r) in place of R(r)
    bool is_weighted() const;     ///< weighted by atomic numbers
    bool has_triangle() const;    ///< with a factor of r_jk
    std::string subtype() const;  ///< n2p2's name of f: p1 to p4, with an a for asymmetric, or e
};

/// Set f by a name as in subtype(). Throws Error if there is no such name.
void set_subtype(SymmetryFunction& f, const std::string& name);

/// How to compute functions of type 9 with integer zeta up to 8 and |lambda| <= 1: from moments, at a cost
/// linear in the number of neighbours, or by the loop over pairs. `automatic` takes what an estimate finds
/// cheaper. Results are the same to rounding.
enum class Moments { automatic, never, always };

/// The environment of one atom as the kernels need it: neighbours sorted by element, in structure-of-arrays
/// order, with tables of the radial functions. It is reused from atom to atom; each thread has its own.
class Environment {
public:
    Environment();
    ~Environment();
    Environment(Environment&&) noexcept;
    Environment& operator=(Environment&&) noexcept;

private:
    friend class SymmetryFunctions;
    struct Memory;
    std::unique_ptr<Memory> memory_;
};

/// A set of symmetry functions compiled into a plan, and its three operators on one environment. With G in
/// R^n the functions of the centre's element and r in R^(m x 3) the neighbour vectors they are
///
///     evaluate  r      -> G
///     vjp       r, u   -> (dG/dr)^T u
///     jvp       r, v   -> (dG/dr) v
class SymmetryFunctions {
public:
    /// Sort the functions into n2p2's order, the order of `scaling.data` (see functions()). The atomic
    /// numbers of the elements are the weights of weighted functions, and may be left out if there are none.
    /// Throws Error for an unknown type or parameters out of range.
    SymmetryFunctions(int n_elements,
                      std::vector<SymmetryFunction> functions,
                      Cutoff cutoff,
                      const std::vector<int>& atomic_numbers = {},
                      Moments moments = Moments::automatic);
    int elements() const;
    double cutoff() const;  ///< the largest rc, Angstrom
    Cutoff cutoff_function() const;
    const std::vector<int>& atomic_numbers() const;  ///< as given
    Moments moments() const;                         ///< as given
    std::size_t count(int element) const;            ///< n of that element
    std::size_t max_count() const;
    std::size_t from_moments(int element) const;  ///< number of functions computed from moments
    /// Return the functions of an element, sorted by type, rc, eta, rs, zeta, lambda, neighbor1, neighbor2;
    /// those with compact support by type, subtype, neighbor1, neighbor2, rc, left, angle_left, angle_right;
    /// those of several shells by type, rc, powers, etas, shifts and elements, with the shells and powers in
    /// the order that comes first of those that mean the same.
    const std::vector<SymmetryFunction>& functions(int element) const;

    /// Load the environment of an atom of element `center`. `neighbors` are indices into `species`, and
    /// `vectors` [size][3] are the r_ij; neighbours beyond the cutoff are left out.
    void load(int center,
              std::size_t size,
              const int* neighbors,
              const int* species,
              const double* vectors,
              Environment& environment) const;
    /// Compute G [count(center)].
    void evaluate(Environment& environment, double* G) const;
    /// Compute gradient [size][3] = d(u.G)/dr_ij in the order of the neighbours given to load(); it is
    /// overwritten. Functions with u = 0 cost nothing if their whole group has u = 0.
    void vjp(Environment& environment, const double* u, double* gradient) const;
    /// Compute dG [count(center)], the sum over neighbours of dG/dr_ij . v_ij, for v [size][3].
    void jvp(Environment& environment, const double* v, double* dG) const;

private:
    friend struct PlanAccess;
    struct Plan;
    std::shared_ptr<const Plan> plan_;  // immutable, so copies share it
};

}  // namespace sitewise
