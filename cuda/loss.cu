#include "loss.cuh"
#include "warp.cuh"

namespace sitewise::cuda {
namespace {

constexpr int warps = 4, threads = warps * warp_size;

struct Errors {
    double value = 0.0, energy = 0.0, force = 0.0, stress = 0.0;
};

// True if the label is known and the loss has labels of its kind.
__device__ bool counts(double label, double labels) {
    return label == label && labels > 0.0;
}

// Adds a label's share to the loss and to the mean `error`. Returns the derivative by the prediction.
__device__ double add_error(double difference, double weight, double labels, double& error, double& value) {
    error += difference * difference / labels;
    value += weight * difference * difference / labels;
    return 2.0 * weight * difference / labels;
}

__device__ void add_forces(const LossInput& in, int s, double* v, Errors& sum) {
    const std::size_t begin = 3 * static_cast<std::size_t>(in.first_atom[s]),
                      end = 3 * static_cast<std::size_t>(in.first_atom[s + 1]);
    for (std::size_t q = begin + threadIdx.x; q < end; q += threads) {
        v[q] = 0.0;
        if (counts(in.force[q], in.n_forces))
            v[q] = add_error(in.forces[q] - in.force[q], in.force_weight[q / 3] * in.weights.force,
                             in.n_forces, sum.force, sum.value);
    }
}

__device__ double add_energy(const LossInput& in, int s, Errors& sum) {
    if (!counts(in.energy[s], in.n_energies)) return 0.0;
    const double atoms = in.first_atom[s + 1] - in.first_atom[s];
    const double difference = (in.energies[s] - in.energy[s]) / atoms;
    return add_error(difference, in.weight[s], in.n_energies, sum.energy, sum.value) / atoms;
}

__device__ void add_stress(const LossInput& in, int s, double* strain, Errors& sum) {
    const double* virial = in.virials + 9 * static_cast<std::size_t>(s);
    const double volume = in.volumes[s];
    for (int q = 0; q < 6; ++q) {
        // rows and columns of xx yy zz yz xz xy
        const int a = q < 3 ? q : (q == 3 ? 1 : 0), b = q < 3 ? q : (q == 5 ? 1 : 2);
        const double label = in.stress[6 * static_cast<std::size_t>(s) + q];
        double slope = 0.0;
        if (counts(label, in.n_stresses)) {
            const double predicted = 0.5 * (virial[3 * a + b] + virial[3 * b + a]) / volume;
            slope = add_error(predicted - label, in.weight[s] * in.weights.stress, in.n_stresses, sum.stress,
                              sum.value) /
                    volume;
        }
        strain[3 * a + b] = strain[3 * b + a] = a == b ? slope : 0.5 * slope;
    }
}

// A block for each structure; parts [structures][4]
__global__ void __launch_bounds__(threads)
    errors_of_structures(LossInput in, double* a, double* v, double* strain, double* parts) {
    SITEWISE_SHARED(double, part, 2 * warps);
    const int s = static_cast<int>(blockIdx.x), warp = static_cast<int>(threadIdx.x) / warp_size;
    Errors sum;
    add_forces(in, s, v, sum);
    sum.value = warp_sum(sum.value);
    sum.force = warp_sum(sum.force);
    if (lane_index() == 0) {
        part[warp] = sum.value;
        part[warps + warp] = sum.force;
    }
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int w = 1; w < warps; ++w) {
        sum.value += part[w];
        sum.force += part[warps + w];
    }
    a[s] = add_energy(in, s, sum);
    add_stress(in, s, strain + 9 * static_cast<std::size_t>(s), sum);
    double* to = parts + 4 * static_cast<std::size_t>(s);
    to[0] = sum.value;
    to[1] = sum.energy;
    to[2] = sum.force;
    to[3] = sum.stress;
}

// One block, a warp for each of the sums
__global__ void __launch_bounds__(threads) add_parts(int structures, const double* parts, double* loss) {
    const int q = static_cast<int>(threadIdx.x) / warp_size;
    double sum = 0.0;
    for (int s = lane_index(); s < structures; s += warp_size)
        sum += parts[4 * static_cast<std::size_t>(s) + q];
    sum = warp_sum(sum);
    if (lane_index() == 0) loss[q] = sum;
}

}  // namespace

std::size_t loss_scratch(const LossInput& input) {
    return 4 * static_cast<std::size_t>(input.structures);
}

void launch_loss(const LossInput& input,
                 double* a,
                 double* v,
                 double* strain,
                 double* loss,
                 double* scratch,
                 cudaStream_t stream) {
    if (input.structures > 0)
        SITEWISE_LAUNCH(errors_of_structures, dim3(input.structures), dim3(threads), 0, stream, input, a, v,
                        strain, scratch);
    SITEWISE_LAUNCH(add_parts, dim3(1), dim3(threads), 0, stream, input.structures, scratch, loss);
}

}  // namespace sitewise::cuda
