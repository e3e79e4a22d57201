// Compiled once for each instruction set, see kernels.hpp and CMakeLists.txt; SITEWISE_ISA is its name.

#include "kernels.hpp"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define SITEWISE_TEXT(x) #x
#define SITEWISE_STRING(x) SITEWISE_TEXT(x)

namespace sitewise::SITEWISE_ISA {
namespace {

using std::int32_t;
using std::size_t;

double sum(size_t n, const double* x) {
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (size_t i = 0; i < n; ++i) total += x[i];
    return total;
}

double dot(size_t n, const double* x, const double* y) {
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (size_t i = 0; i < n; ++i) total += x[i] * y[i];
    return total;
}

// Four at a time, so that x is loaded once for them.
void dots(size_t n, size_t count, const double* x, const double* const* y, double* out) {
    size_t m = 0;
    for (; m + 4 <= count; m += 4) {
        const double *y0 = y[m], *y1 = y[m + 1], *y2 = y[m + 2], *y3 = y[m + 3];
        double t0 = 0.0, t1 = 0.0, t2 = 0.0, t3 = 0.0;
#pragma omp simd reduction(+ : t0, t1, t2, t3)
        for (size_t i = 0; i < n; ++i) {
            t0 += x[i] * y0[i];
            t1 += x[i] * y1[i];
            t2 += x[i] * y2[i];
            t3 += x[i] * y3[i];
        }
        out[m] = t0;
        out[m + 1] = t1;
        out[m + 2] = t2;
        out[m + 3] = t3;
    }
    for (; m < count; ++m) out[m] = dot(n, x, y[m]);
}

// Four arrays at a time, so that y is loaded and stored once for them.
void combine(size_t n, size_t count, const double* a, const double* const* x, double* y) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) y[i] = 0.0;
    size_t m = 0;
    for (; m + 4 <= count; m += 4) {
        const double a0 = a[m], a1 = a[m + 1], a2 = a[m + 2], a3 = a[m + 3];
        const double *x0 = x[m], *x1 = x[m + 1], *x2 = x[m + 2], *x3 = x[m + 3];
#pragma omp simd
        for (size_t i = 0; i < n; ++i) y[i] += (a0 * x0[i] + a1 * x1[i]) + (a2 * x2[i] + a3 * x3[i]);
    }
    for (; m < count; ++m) {
        const double b = a[m];
        const double* xm = x[m];
#pragma omp simd
        for (size_t i = 0; i < n; ++i) y[i] += b * xm[i];
    }
}

template <int degree, bool with_slope, bool of_r>
void run_polynomial(size_t n,
                    const double* c,
                    double scale,
                    double rc2,
                    const double* s,
                    double* value,
                    double* slope) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        const double r = of_r ? __builtin_sqrt(s[i]) : 0.0;
        const double t = scale * (of_r ? r : s[i]) - 1.0;
        double p = c[degree], dp = 0.0;
#pragma GCC unroll 32
        for (int k = degree - 1; k >= 0; --k) {
            if (with_slope) dp = dp * t + p;
            p = p * t + c[k];
        }
        const double inside = s[i] < rc2 ? 1.0 : 0.0;
        value[i] = inside * p;
        if (with_slope) slope[i] = inside * scale * dp * (of_r ? 1.0 / r : 2.0);
    }
}

template <bool with_slope, bool of_r>
void choose_degree(size_t n,
                   int degree,
                   const double* c,
                   double scale,
                   double rc2,
                   const double* s,
                   double* v,
                   double* d) {
    switch (degree) {
        case 8:
            return run_polynomial<8, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 10:
            return run_polynomial<10, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 12:
            return run_polynomial<12, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 14:
            return run_polynomial<14, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 16:
            return run_polynomial<16, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 18:
            return run_polynomial<18, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 20:
            return run_polynomial<20, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 22:
            return run_polynomial<22, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 24:
            return run_polynomial<24, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        case 26:
            return run_polynomial<26, with_slope, of_r>(n, c, scale, rc2, s, v, d);
        default:
            return run_polynomial<28, with_slope, of_r>(n, c, scale, rc2, s, v, d);
    }
}

void polynomial(size_t n,
                int degree,
                const double* c,
                bool of_r,
                double scale,
                double rc2,
                const double* s,
                double* v,
                double* d) {
    const auto run = d ? (of_r ? choose_degree<true, true> : choose_degree<true, false>)
                       : (of_r ? choose_degree<false, true> : choose_degree<false, false>);
    run(n, degree, c, scale, rc2, s, v, d);
}

void row(size_t n,
         const double* xyzs,
         const double* x,
         const double* y,
         const double* z,
         const double* s,
         const double* inverse_r,
         double* c,
         double* sjk) {
    const double xa = xyzs[0], ya = xyzs[1], za = xyzs[2], sa = xyzs[3], ia = xyzs[4];
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        const double d = xa * x[i] + ya * y[i] + za * z[i];
        c[i] = d * ia * inverse_r[i];
        sjk[i] = sa + s[i] - 2.0 * d;
    }
}

inline double base(double lambda, double c) {
    const double p = 1.0 + lambda * c;
    return p > 0.0 ? p : 0.0;  // n2p2 too sets the function to 0 where p <= 0
}

void first_power(size_t n, double lambda, const double* c, double* T, double* D) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) T[i] = base(lambda, c[i]);
    if (!D) return;
#pragma omp simd
    for (size_t i = 0; i < n; ++i) D[i] = 1.0 + lambda * c[i] > 0.0 ? lambda : 0.0;
}

void square_power(size_t n, const double* T0, const double* D0, double* T, double* D) {
    if (!D) {
#pragma omp simd
        for (size_t i = 0; i < n; ++i) T[i] = T0[i] * T0[i];
        return;
    }
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        D[i] = 2.0 * T0[i] * D0[i];
        T[i] = T0[i] * T0[i];
    }
}

void next_power(size_t n,
                double lambda,
                const double* c,
                const double* T0,
                const double* D0,
                double* T,
                double* D) {
    if (D) {
#pragma omp simd
        for (size_t i = 0; i < n; ++i) D[i] = D0[i] * base(lambda, c[i]) + lambda * T0[i];
    }
#pragma omp simd
    for (size_t i = 0; i < n; ++i) T[i] = T0[i] * base(lambda, c[i]);
}

// No branch: half of the candidates miss.
size_t select_rest(size_t i,
                   size_t n,
                   int32_t row,
                   int32_t first,
                   double rc2,
                   double rc2_jk,
                   const double* s,
                   const double* row_c,
                   const double* row_s,
                   int32_t* j,
                   int32_t* k,
                   double* c,
                   double* sjk,
                   size_t found) {
    for (; i < n; ++i) {
        j[found] = row;
        k[found] = first + static_cast<int32_t>(i);
        c[found] = row_c[i];
        sjk[found] = row_s[i];
        found += (s[i] < rc2) & (row_s[i] < rc2_jk);
    }
    return found;
}

size_t select(size_t n,
              int32_t row,
              int32_t first,
              double rc2,
              double rc2_jk,
              const double* s,
              const double* row_c,
              const double* row_s,
              int32_t* j,
              int32_t* k,
              double* c,
              double* sjk) {
    size_t i = 0, found = 0;
#ifdef __AVX512F__
    const __m512d limit = _mm512_set1_pd(rc2), limit_jk = _mm512_set1_pd(rc2_jk);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (; i + 8 <= n; i += 8) {
        const __m512d rs = _mm512_loadu_pd(row_s + i);
        const __mmask8 inside = _mm512_cmp_pd_mask(_mm512_loadu_pd(s + i), limit, _CMP_LT_OQ) &
                                _mm512_cmp_pd_mask(rs, limit_jk, _CMP_LT_OQ);
        const __m256i number = _mm256_add_epi32(_mm256_set1_epi32(first + static_cast<int32_t>(i)), lanes);
        // Compressed in the register: a store of all lanes is much faster than a compressing store.
        _mm512_storeu_pd(c + found, _mm512_maskz_compress_pd(inside, _mm512_loadu_pd(row_c + i)));
        _mm512_storeu_pd(sjk + found, _mm512_maskz_compress_pd(inside, rs));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(j + found), _mm256_set1_epi32(row));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(k + found),
                            _mm256_maskz_compress_epi32(inside, number));
        found += static_cast<size_t>(__builtin_popcount(inside));
    }
#endif
    return select_rest(i, n, row, first, rc2, rc2_jk, s, row_c, row_s, j, k, c, sjk, found);
}

void product(size_t n, const int32_t* j, const int32_t* k, const double* P, const double* v, double* R) {
    if (!v) {
#pragma omp simd
        for (size_t i = 0; i < n; ++i) R[i] = P[j[i]] * P[k[i]];
        return;
    }
#pragma omp simd
    for (size_t i = 0; i < n; ++i) R[i] = P[j[i]] * P[k[i]] * v[i];
}

void derivatives(size_t n,
                 const int32_t* j,
                 const int32_t* k,
                 const double* P,
                 const double* Q,
                 const double* v,
                 const double* w,
                 double* R,
                 double* Rj,
                 double* Rk,
                 double* Rjk) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        const double Pj = P[j[i]], Pk = P[k[i]], Pjk = Pj * Pk;
        R[i] = Pjk * v[i];
        Rj[i] = Q[j[i]] * Pk * v[i];
        Rk[i] = Pj * Q[k[i]] * v[i];
        Rjk[i] = Pjk * w[i];
    }
}

void coefficients(size_t n, const double* const* UVR, double* fc, double* fs, double* cj, double* ck) {
    const double *U = UVR[0], *V = UVR[1], *R = UVR[2], *Rj = UVR[3], *Rk = UVR[4], *Rjk = UVR[5];
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        const double u = U[i], e = u * Rjk[i];
        fc[i] += V[i] * R[i];
        fs[i] += e;
        cj[i] += u * Rj[i] + e;
        ck[i] += u * Rk[i] + e;
    }
}

void vectors(size_t n,
             const int32_t* j,
             const int32_t* k,
             const double* inverse_r,
             const double* c,
             const double* fc,
             double* fs,
             double* cj,
             double* ck) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        const double f = fc[i], fcc = f * c[i], ij = inverse_r[j[i]], ik = inverse_r[k[i]];
        fs[i] = f * ij * ik - fs[i];
        cj[i] -= fcc * ij * ij;
        ck[i] -= fcc * ik * ik;
    }
}

void spread(size_t n,
            const double* r_a,
            const double* X,
            const double* B,
            const double* const* r,
            double* const* g,
            double* xs) {
    const double xa = r_a[0], ya = r_a[1], za = r_a[2];
    const double *x = r[0], *y = r[1], *z = r[2];
    double *gx = g[0], *gy = g[1], *gz = g[2];
    double sx = 0.0, sy = 0.0, sz = 0.0;
#pragma omp simd reduction(+ : sx, sy, sz)
    for (size_t i = 0; i < n; ++i) {
        gx[i] += B[i] * x[i] + X[i] * xa;
        gy[i] += B[i] * y[i] + X[i] * ya;
        gz[i] += B[i] * z[i] + X[i] * za;
        sx += X[i] * x[i];
        sy += X[i] * y[i];
        sz += X[i] * z[i];
    }
    xs[0] += sx;
    xs[1] += sy;
    xs[2] += sz;
}

// Four rows at a time, so that y, or w, is loaded once for them.
void pull(size_t count, size_t width, const int* f, const float* D, const double* u, double* y) {
    size_t q = 0;
    for (; q + 4 <= count; q += 4) {
        const double a = u[f[q]], b = u[f[q + 1]], c = u[f[q + 2]], d = u[f[q + 3]];
        const float *A = D + q * width, *B = A + width, *C = B + width, *E = C + width;
#pragma omp simd
        for (size_t k = 0; k < width; ++k) y[k] += (a * A[k] + b * B[k]) + (c * C[k] + d * E[k]);
    }
    for (; q < count; ++q) {
        const double a = u[f[q]];
        const float* A = D + q * width;
#pragma omp simd
        for (size_t k = 0; k < width; ++k) y[k] += a * A[k];
    }
}

void push(size_t count, size_t width, const int* f, const float* D, const double* w, double* t) {
    size_t q = 0;
    for (; q + 4 <= count; q += 4) {
        const float *A = D + q * width, *B = A + width, *C = B + width, *E = C + width;
        double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
#pragma omp simd reduction(+ : a, b, c, d)
        for (size_t k = 0; k < width; ++k) {
            a += A[k] * w[k];
            b += B[k] * w[k];
            c += C[k] * w[k];
            d += E[k] * w[k];
        }
        t[f[q]] += a;
        t[f[q + 1]] += b;
        t[f[q + 2]] += c;
        t[f[q + 3]] += d;
    }
    for (; q < count; ++q) {
        const float* A = D + q * width;
        double a = 0.0;
#pragma omp simd reduction(+ : a)
        for (size_t k = 0; k < width; ++k) a += A[k] * w[k];
        t[f[q]] += a;
    }
}

}  // namespace

extern const Kernels table;
const Kernels table{SITEWISE_STRING(SITEWISE_ISA),
                    sum,
                    dots,
                    combine,
                    polynomial,
                    row,
                    first_power,
                    square_power,
                    next_power,
                    select,
                    product,
                    derivatives,
                    coefficients,
                    vectors,
                    spread,
                    pull,
                    push};

}  // namespace sitewise::SITEWISE_ISA
