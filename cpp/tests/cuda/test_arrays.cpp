// Scans of more values than a block has, and rows sorted into columns.
#include <numeric>

#include "../check.hpp"
#include "columns.cuh"
#include "device.hpp"
#include "scan.cuh"

using namespace sitewise;

namespace {

void test_scan(int n) {
    std::vector<int> counts(n + 1, 0), places(n + 1, 0);
    for (int i = 0; i < n; ++i) counts[i] = i * 7919 % 13;
    std::partial_sum(counts.begin(), counts.end() - 1, places.begin() + 1);
    device::Uploaded<int> values(counts);
    cuda::Buffer<int> scratch;
    cuda::launch_scan(values.data(), n, scratch, nullptr);
    CHECK(cuda::download(values.data(), n + 1, nullptr) == places);
}

template <class Real>
void test_columns() {
    const int n = 5, functions = 3, width = 4, ld = cuda::leading_dimension(n);
    const std::vector<int> order{3, 0, 4, 1, 2};
    device::Uploaded<int> atoms(order);
    const device::Numbers given = device::random_numbers(n * width, 1.0);
    device::Uploaded<double> rows(given);
    cuda::Buffer<Real> columns;
    cuda::launch_to_columns<Real>({atoms.data(), n, ld}, functions, width, rows.data(),
                                  columns.reserve(functions * ld), nullptr);
    const std::vector<Real> found = cuda::download(columns.data(), functions * ld, nullptr);
    for (int f = 0; f < functions; ++f)
        for (int b = 0; b < ld; ++b)
            CHECK(found[f * ld + b] == (b < n ? static_cast<Real>(given[order[b] * width + f]) : Real(0)));
}

}  // namespace

int main() {
    test_scan(10);
    test_scan(700);
    test_columns<double>();
    test_columns<float>();
    return check::failures() == 0 ? 0 : 1;
}
