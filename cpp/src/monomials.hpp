#pragma once

namespace sitewise {

/// The highest power of moments; the expansion of higher powers loses digits.
constexpr int most_order = 8;

/// The orders of moments that there are kernels for
constexpr int moment_orders[] = {2, 3, 4, 6, most_order};

/// The number of monomials in x, y, z up to a power
constexpr int monomials_up_to(int order) {
    return (order + 1) * (order + 2) * (order + 3) / 6;
}

/// That of the powers order - 1 and order
constexpr int top_monomials(int order) {
    return monomials_up_to(order) - monomials_up_to(order - 2);
}

/// The place of x^a y^b z^c. Monomials are sorted by p = a + b + c, then from (p, 0, 0) to (0, 0, p).
constexpr int monomial_number(int a, int b, int c) {
    const int p = a + b + c, rest = b + c;
    return monomials_up_to(p - 1) + rest * (rest + 1) / 2 + c;
}

/// All monomials x^a y^b z^c up to an order
template <int Order>
struct Monomials {
    static constexpr int size = monomials_up_to(Order);
    static constexpr int top = monomials_up_to(Order - 2);  ///< the first of the powers Order - 1 and Order
    int axis[size]{}, parent[size]{};                       ///< a monomial is its parent times x, y or z
    int exponent[size][3]{}, lower[size][3]{};  ///< a derivative is exponent times the lower monomial

    constexpr Monomials() {
        for (int p = 0; p <= Order; ++p)
            for (int rest = 0; rest <= p; ++rest)
                for (int c = 0; c <= rest; ++c) add(p - rest, rest - c, c);
    }

private:
    constexpr void add(int a, int b, int c) {
        const int i = monomial_number(a, b, c);
        exponent[i][0] = a;
        exponent[i][1] = b;
        exponent[i][2] = c;
        if (a > 0) lower[i][0] = monomial_number(a - 1, b, c);
        if (b > 0) lower[i][1] = monomial_number(a, b - 1, c);
        if (c > 0) lower[i][2] = monomial_number(a, b, c - 1);
        axis[i] = a > 0 ? 0 : (b > 0 ? 1 : 2);
        parent[i] = lower[i][axis[i]];
    }
};

}  // namespace sitewise
