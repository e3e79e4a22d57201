#pragma once

#include <cstddef>
#include <cstdint>

namespace sitewise {

/// The loops over neighbours and pairs of neighbours that take the time, built once for each instruction set
/// and chosen when the library is first used. They know arrays alone: no container or other template of the
/// standard library may be compiled for an instruction set, as the linker would keep one copy of it for all.
struct Kernels {
    const char* name;

    double (*sum)(std::size_t n, const double* x);
    /// out[m] = x . y[m], [count] arrays
    void (*dots)(std::size_t n, std::size_t count, const double* x, const double* const* y, double* out);
    /// y = sum over m of a[m] x[m], [count] arrays
    void (*combine)(std::size_t n, std::size_t count, const double* a, const double* const* x, double* y);
    /// R(r) of s = r^2 and, where slope is not null, (dR/dr)/r, from the coefficients of t = scale s - 1, or
    /// of t = scale r - 1; 0 from s = rc2 on. The degree is even, from 8 to 28.
    void (*polynomial)(std::size_t n,
                       int degree,
                       const double* coefficients,
                       bool of_r,
                       double scale,
                       double rc2,
                       const double* s,
                       double* value,
                       double* slope);

    /// cos t and r_jk^2 of the neighbour at (x, y, z) with s = r^2 and those in arrays
    void (*row)(std::size_t n,
                const double* xyzs,
                const double* x,
                const double* y,
                const double* z,
                const double* s,
                const double* inverse_r,
                double* c,
                double* sjk);

    /// Powers T = p^zeta of p = max(1 + lambda c, 0) and, where D is not null, D = dT/dc: zeta = 1, twice the
    /// zeta of (T0, D0), and one more than it.
    void (*first_power)(std::size_t n, double lambda, const double* c, double* T, double* D);
    void (*square_power)(std::size_t n, const double* T0, const double* D0, double* T, double* D);
    void (*next_power)(std::size_t n,
                       double lambda,
                       const double* c,
                       const double* T0,
                       const double* D0,
                       double* T,
                       double* D);

    /// The pairs of a row: of n neighbours those with s < rc2 and sjk < rc2_jk; their numbers plus `first` go
    /// to k, and their c and sjk to the front. Returns how many there are; n more entries of the outputs may
    /// be touched.
    std::size_t (*select)(std::size_t n,
                          std::int32_t row,
                          std::int32_t first,
                          double rc2,
                          double rc2_jk,
                          const double* s,
                          const double* row_c,
                          const double* row_s,
                          std::int32_t* j,
                          std::int32_t* k,
                          double* c,
                          double* sjk);

    /// R = P[j] P[k] v, with v null for 1
    void (*product)(std::size_t n,
                    const std::int32_t* j,
                    const std::int32_t* k,
                    const double* P,
                    const double* v,
                    double* R);
    /// The same with its derivatives with respect to r_j, r_k and r_jk, each divided by that distance, from
    /// tables P of R and Q of its slope, and v, w of r_jk
    void (*derivatives)(std::size_t n,
                        const std::int32_t* j,
                        const std::int32_t* k,
                        const double* P,
                        const double* Q,
                        const double* v,
                        const double* w,
                        double* R,
                        double* Rj,
                        double* Rk,
                        double* Rjk);
    /// fc += V R, fs += U Rjk, cj += U (Rj + Rjk), ck += U (Rk + Rjk)
    void (*coefficients)(std::size_t n,
                         const double* const* UVR,
                         double* fc,
                         double* fs,
                         double* cj,
                         double* ck);
    /// The coefficients of a pair's vectors in the gradient, X = fc ij ik - fs, A = cj - fc c ij^2 (in place
    /// of cj), B = ck - fc c ik^2 (in place of ck), with ij, ik = 1/r
    void (*vectors)(std::size_t n,
                    const std::int32_t* j,
                    const std::int32_t* k,
                    const double* inverse_r,
                    const double* c,
                    const double* fc,
                    double* fs,
                    double* cj,
                    double* ck);
    /// With a row's X and B: g += B r + X r_a over the neighbours r of the row; xs += sum of X r, [3]
    void (*spread)(std::size_t n,
                   const double* r_a,
                   const double* X,
                   const double* B,
                   const double* const* r,
                   double* const* g,
                   double* xs);

    /// Cached derivatives D [count][width] of the functions f[count]: y += sum of u[f] D_f
    void (*pull)(std::size_t count,
                 std::size_t width,
                 const int* f,
                 const float* D,
                 const double* u,
                 double* y);
    /// t[f] += D_f . w
    void (*push)(std::size_t count,
                 std::size_t width,
                 const int* f,
                 const float* D,
                 const double* w,
                 double* t);
};

/// The kernels of the best instruction set that this machine has, or of the one that the environment variable
/// SITEWISE_ISA names (baseline, avx2, avx512). Throws Error where that is unknown or not there.
const Kernels& kernels();

}  // namespace sitewise
