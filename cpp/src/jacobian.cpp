#include "jacobian.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <memory>

#include "parallel.hpp"
#include "pass.hpp"
#include "training_data.hpp"

namespace sitewise {

void compute_jacobian(const TrainingData& data,
                      const Potential& potential,
                      const JacobianRows& rows,
                      double* jacobian) {
    const std::size_t n_weights = potential.n_weights(), structures = rows.structures.size();
    std::vector<std::size_t> first(structures + 1, 0);
    for (std::size_t q = 0; q < structures; ++q) first[q + 1] = first[q] + rows.of(q);
    std::fill_n(jacobian, first.back() * n_weights, 0.0);
    FirstError error;
#pragma omp parallel num_threads(max_threads())
    {
        std::unique_ptr<Pass> pass;
        error.run([&] { pass = std::make_unique<Pass>(data.derivatives, potential); });
#pragma omp for schedule(dynamic)
        for (std::size_t q = 0; q < structures; ++q)
            error.run([&] {
                pass->clear();
                pass->add(data.structure(rows.structures[q]), true, false);
                pass->predict();
                double* row = jacobian + first[q] * n_weights;
                for (std::size_t component : rows.components[q])
                    pass->force_row(component / 3, static_cast<int>(component % 3), row += n_weights);
                pass->energy_row(jacobian + first[q] * n_weights);
            });
    }
    error.rethrow();
}

void compute_normal_matrix(const TrainingData& data,
                           const Potential& potential,
                           const JacobianRows& rows,
                           const double* scales,
                           double* matrix) {
    const auto n = static_cast<Eigen::Index>(potential.n_weights()),
               m = static_cast<Eigen::Index>(rows.size());
    Eigen::MatrixXd transposed(n, m);
    compute_jacobian(data, potential, rows, transposed.data());
    transposed *= Eigen::Map<const Eigen::VectorXd>(scales, m).asDiagonal();
    Eigen::Map<Eigen::MatrixXd> product(matrix, n, n);
    product.setZero();
    if (m == 0) return;  // Eigen would divide by it
    product.selfadjointView<Eigen::Lower>().rankUpdate(transposed);
    product.triangularView<Eigen::StrictlyUpper>() = product.transpose();
}

}  // namespace sitewise
