// The backend of cpp/src/backend.hpp on the first CUDA device, in a stream of its own.

#include <algorithm>
#include <cmath>
#include <mutex>

#include "backend.hpp"
#include "checks.hpp"
#include "sitewise/error.hpp"
#include "training.cuh"

namespace sitewise {
namespace cuda {
namespace {

void add(const double* values, std::size_t n, double* sum) {
    for (std::size_t i = 0; sum && i < n; ++i) sum[i] += values[i];
}

class Stream {
public:
    Stream() { check(cudaStreamCreate(&stream_)); }
    ~Stream() { cudaStreamDestroy(stream_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    operator cudaStream_t() const { return stream_; }

private:
    cudaStream_t stream_{};
};

class CudaBackend : public DeviceBackend {
    // Defined before its uses, because its return type is that of `work`.
    template <class Work>
    auto in_precision_of(const Members& members, Work work) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return members.front()->precision() == Precision::float32 ? work(float32_) : work(float64_);
    }

public:
    Device device() const override { return Device::cuda; }

    NeighborList neighbors(const Atoms& atoms, double cutoff) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        const double* positions = positions_.upload(atoms.positions, 3 * atoms.size, stream_);
        search_.find({atoms}, positions, cutoff, stream_);
        const List<double> list = search_.list<double>(stream_);
        const std::size_t n = list.entries;
        const std::vector<int> first = download(list.first, atoms.size + 1, stream_),
                               shifts = download(search_.shifts(), 3 * n, stream_);
        const std::vector<double> vectors = download(list.vectors, 3 * n, stream_);
        NeighborList result;
        result.first.assign(first.begin(), first.end());
        result.index = download(list.index, n, stream_);
        result.vectors.resize(3 * n);
        result.shifts.resize(n);
        for (std::size_t e = 0; e < n; ++e)
            for (int c = 0; c < 3; ++c) {
                result.vectors[3 * e + c] = vectors[c * n + e];
                result.shifts[e][c] = shifts[c * n + e];
            }
        return result;
    }

    void evaluate(const SymmetryFunctions& functions, const Atoms& atoms, double* G) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        load(functions, atoms);
        float64_.evaluate();
        float64_.write_rows(float64_.G(), G);
    }

    void vjp(const SymmetryFunctions& functions,
             const Atoms& atoms,
             const double* u,
             double* gradient,
             double* strain) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        load(functions, atoms);
        float64_.read_rows(u, float64_.dG());
        Results results = float64_.reserve(true);
        float64_.vjp(results);
        const std::vector<double> forces = download(results.forces, 3 * atoms.size, stream_),
                                  virial = download(results.virial, 9, stream_);
        for (std::size_t q = 0; q < forces.size(); ++q) gradient[q] = -forces[q];
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) strain[3 * a + b] = virial[3 * b + a];
    }

    void jvp(const SymmetryFunctions& functions,
             const Atoms& atoms,
             const double* v,
             const double* strain,
             double* dG) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        load(functions, atoms);
        std::vector<double> opposite(v, v + 3 * atoms.size);  // r_ij changes by v_j - v_i
        for (double& x : opposite) x = -x;
        const double* direction = v_.upload(opposite.data(), opposite.size(), stream_);
        float64_.jvp(direction, strain_.upload(strain, 9, stream_));
        float64_.write_rows(float64_.dG(), dG);
    }

    std::vector<double> compute(const Members& members,
                                const NeighborView& neighbors,
                                const int* species,
                                std::size_t n_atoms,
                                Potential::Output out) override {
        for (std::size_t i = 0; i < neighbors.centers; ++i) check_vectors(neighbors, i);
        return in_precision_of(members, [&](auto& engine) {
            engine.load(members.front()->functions(), members);
            engine.load(neighbors, species, n_atoms);
            return run(engine, {out});
        });
    }

    std::vector<double> compute(const Members& members,
                                const std::vector<Atoms>& structures,
                                const std::vector<Potential::Output>& out) override {
        return in_precision_of(members, [&](auto& engine) {
            engine.load(members.front()->functions(), members);
            engine.load(structures, members.front()->cutoff());
            return run(engine, out);
        });
    }

    void compute_on_device(const Members& members,
                           const Atoms& atoms,
                           Potential::Output out,
                           void* ready) override {
        in_precision_of(members, [&](auto& engine) {
            check(cudaStreamSynchronize(static_cast<cudaStream_t>(ready)));
            engine.load(members.front()->functions(), members);
            engine.load(std::vector<Atoms>{atoms}, members.front()->cutoff(), atoms.positions);
            const bool gradients = out.forces || out.virial;
            Results results = engine.reserve(gradients);
            engine.evaluate();
            engine.networks(gradients, results.energies);
            if (gradients) engine.vjp(results);
            double* energy = energy_.reserve(1);
            launch_sums(1, engine.first_atom_on_device(), 1, results.energies, energy, stream_);
            copy(energy, 1, out.energy);
            copy(results.energies, atoms.size, out.energies);
            copy(results.forces, 3 * atoms.size, out.forces);
            copy(results.virial, 9, out.virial);
            check(cudaStreamSynchronize(stream_));
            return 0;
        });
    }

    Loss loss(const TrainingData& data,
              const Potential& potential,
              const std::vector<std::size_t>& structures,
              LossWeights weights,
              double* gradient) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (potential.precision() == Precision::float32)
            return trainer32_.loss(data, potential, structures, weights, gradient);
        return trainer64_.loss(data, potential, structures, weights, gradient);
    }

    void jacobian(const TrainingData& data,
                  const Potential& potential,
                  const JacobianRows& rows,
                  double* jacobian) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (potential.precision() == Precision::float32)
            return differentiator32_.jacobian(data, potential, rows, jacobian);
        differentiator64_.jacobian(data, potential, rows, jacobian);
    }

    void normal_matrix(const TrainingData& data,
                       const Potential& potential,
                       const JacobianRows& rows,
                       const double* scales,
                       double* matrix) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (potential.precision() == Precision::float32)
            return differentiator32_.normal_matrix(data, potential, rows, scales, matrix);
        differentiator64_.normal_matrix(data, potential, rows, scales, matrix);
    }

    void* allocate(std::size_t bytes) override {
        void* memory = nullptr;
        check(cudaMalloc(&memory, bytes));
        return memory;
    }
    void release(void* memory) override { cudaFree(memory); }
    void upload(void* to, const void* from, std::size_t bytes) override {
        check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
    }
    void download(void* to, const void* from, std::size_t bytes) override {
        check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
    }

private:
    template <class T>
    std::vector<T> download(const T* data, std::size_t n, cudaStream_t stream) const {
        return cuda::download(data, n, stream);
    }
    void copy(const double* from, std::size_t n, double* to) {
        if (to && n > 0)
            check(cudaMemcpyAsync(to, from, n * sizeof(double), cudaMemcpyDeviceToDevice, stream_));
    }

    void load(const SymmetryFunctions& functions, const Atoms& atoms) {
        float64_.load(functions);
        float64_.load({atoms}, functions.cutoff());
    }

    // Runs a whole step, with an `out` for each structure. Returns the atomic energies [members][centers].
    template <class Real>
    std::vector<double> run(Engine<Real>& engine, const std::vector<Potential::Output>& out) {
        bool gradients = false, virials = false;
        for (const Potential::Output& o : out) {
            gradients = gradients || o.forces || o.virial || o.virials;
            virials = virials || o.virials;
        }
        Results results = engine.reserve(gradients);
        engine.evaluate();
        engine.networks(gradients, results.energies);
        if (gradients) engine.vjp(results);
        const std::size_t n = engine.atoms(), members = engine.members();
        const std::vector<double> energies = download(results.energies, members * engine.centers(), stream_);
        std::vector<double> forces, virial, parts;
        if (gradients) {
            forces = download(results.forces, 3 * n, stream_);
            virial = download(results.virial, 9 * out.size(), stream_);
        }
        if (virials) parts = download(results.virials, 9 * n, stream_);
        require_finite(engine, energies, virial, out.size());
        for (std::size_t s = 0; s < out.size(); ++s) {
            const std::size_t first = engine.first_atom()[s], count = engine.first_atom()[s + 1] - first;
            if (!gradients) break;
            add(forces.data() + 3 * first, 3 * count, out[s].forces);
            add(virial.data() + 9 * s, 9, out[s].virial);
            if (virials) add(parts.data() + 9 * first, 9 * count, out[s].virials);
        }
        add_energies(engine, energies, members, out);
        write_features(engine, out);
        return energies;
    }

    template <class Real>
    void require_finite(const Engine<Real>& engine,
                        const std::vector<double>& energies,
                        const std::vector<double>& virial,
                        std::size_t structures) const {
        const auto& first = engine.first_atom();
        for (std::size_t k = 0; k < energies.size(); ++k) {
            const int i = static_cast<int>(k % engine.centers());
            const auto next = std::upper_bound(first.begin(), first.begin() + structures, i);
            require_finite_energy(energies[k], static_cast<std::size_t>(i - *std::prev(next)));
        }
        for (std::size_t v = 0; v < virial.size(); v += 9) require_finite_virial(&virial[v]);
    }

    template <class Real>
    void add_energies(const Engine<Real>& engine,
                      const std::vector<double>& energies,
                      std::size_t members,
                      const std::vector<Potential::Output>& out) const {
        const std::size_t centers = engine.centers();
        for (std::size_t s = 0; s < out.size(); ++s) {
            const std::size_t first = engine.first_atom()[s],
                              end = std::min<std::size_t>(engine.first_atom()[s + 1], centers);
            for (std::size_t i = first; i < end; ++i) {
                double mean = 0.0;
                for (std::size_t m = 0; m < members; ++m) mean += energies[m * centers + i];
                mean /= static_cast<double>(members);
                if (out[s].energies) out[s].energies[i - first] += mean;
                if (out[s].energy) *out[s].energy += mean;
            }
        }
    }

    template <class Real>
    void write_features(Engine<Real>& engine, const std::vector<Potential::Output>& out) {
        const std::size_t centers = engine.centers(), width = engine.width();
        bool features = false, counts = false;
        for (const Potential::Output& o : out) {
            features = features || o.features;
            counts = counts || o.extrapolations;
        }
        std::vector<double> rows(features ? centers * width : 0);
        std::vector<int> outside(counts ? centers : 0);
        if (features) engine.write_rows(engine.x(), rows.data());
        if (counts) engine.extrapolations(outside.data());
        for (std::size_t s = 0; s < out.size(); ++s) {
            const std::size_t first = engine.first_atom()[s],
                              count = std::min<std::size_t>(engine.first_atom()[s + 1], centers) - first;
            if (out[s].features) std::copy_n(rows.data() + first * width, count * width, out[s].features);
            if (out[s].extrapolations) std::copy_n(outside.data() + first, count, out[s].extrapolations);
        }
    }

    std::mutex mutex_;
    Stream stream_;
    Engine<double> float64_{stream_};
    Engine<float> float32_{stream_};
    Trainer<double> trainer64_{stream_};
    Trainer<float> trainer32_{stream_};
    Differentiator<double> differentiator64_{stream_};
    Differentiator<float> differentiator32_{stream_};
    Search search_;
    Buffer<double> positions_, v_, strain_, energy_;
};

// Returns the driver's reason why there is no device; empty if there is one.
std::string missing() {
    int devices = 0;
    const cudaError_t code = cudaGetDeviceCount(&devices);
    if (code != cudaSuccess) return cudaGetErrorString(code);
    return devices > 0 ? "" : "no device";
}

}  // namespace
}  // namespace cuda

std::string cuda_status() {
    const std::string reason = cuda::missing();
    return reason.empty() ? cuda::device_name() : "no GPU: " + reason;
}

std::shared_ptr<DeviceBackend> cuda_backend() {
    static std::mutex mutex;
    static std::shared_ptr<DeviceBackend> backend;
    const std::lock_guard<std::mutex> lock(mutex);
    if (backend) {
        backend->require_own_process();
        return backend;
    }
    const std::string reason = cuda::missing();
    if (!reason.empty()) throw Error("device cuda: no GPU: " + reason);
    return backend = std::make_shared<cuda::CudaBackend>();
}

}  // namespace sitewise
