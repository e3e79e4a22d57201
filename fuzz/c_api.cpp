// The C API with cells, positions, species and neighbour lists of any kind, on the potentials of the corpus.

#include "sitewise/c_api.h"

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "common.hpp"

namespace {

fuzz::Counter counter{"c_api"};

std::vector<sitewise_potential*> potentials;

class Case {
public:
    Case(const std::uint8_t* data, std::size_t size) : data_(data, size) {}

    void run() {
        const sitewise_potential* potential =
            potentials[data_.ConsumeIntegralInRange<std::size_t>(0, potentials.size() - 1)];
        n_ = data_.ConsumeIntegralInRange<std::size_t>(0, 5);
        spread_ = data_.ConsumeBool() ? 3.0 : 6.0;
        for (std::size_t i = 0; i < n_; ++i)
            species_.push_back(rarely() ? data_.ConsumeIntegral<int>()
                                        : data_.ConsumeIntegralInRange<int>(0, 1));
        results();
        if (data_.ConsumeBool())
            compute(potential);
        else
            compute_list(potential);
    }

private:
    using Vector = std::array<double, 3>;
    FuzzedDataProvider data_;
    std::size_t n_ = 0;
    double spread_ = 3.0, energy_ = 0.0;
    std::vector<int> species_, extrapolations_;
    std::vector<double> energies_, forces_, virial_, spreads_;
    sitewise_output out_{};

    bool rarely() { return data_.ConsumeIntegral<std::uint8_t>() > 253; }

    // In a range of some Angstrom, or anything
    double length() {
        if (rarely()) return data_.ConsumeFloatingPoint<double>();
        if (rarely()) {
            const double odd[] = {0.0, -0.0, NAN, INFINITY, 1e-7, 1e-5, 1e6, 1e15, 1e300, 5e-324, 1e-300};
            return odd[data_.ConsumeIntegralInRange<int>(0, 10)];
        }
        return spread_ * (data_.ConsumeIntegral<std::uint16_t>() / 32768.0 - 1.0);
    }

    void results() {
        energies_.assign(n_ + 1, 0.0);
        forces_.assign(3 * n_ + 1, 0.0);
        virial_.assign(9, 0.0);
        spreads_.assign(n_ + 1, 0.0);
        extrapolations_.assign(n_ + 1, 0);
        const int wanted = data_.ConsumeIntegral<std::uint8_t>();
        if (wanted & 1) out_.energy = &energy_;
        if (wanted & 2) out_.energies = energies_.data();
        if (wanted & 4) out_.forces = forces_.data();
        if (wanted & 8) out_.virial = virial_.data();
        if (wanted & 16) out_.extrapolations = extrapolations_.data();
        if (wanted & 32) out_.energies_spread = spreads_.data();
    }

    // 0 and finite numbers, or 1, a sentence and nothing added
    void check(int status) {
        const auto finite = [](const std::vector<double>& all) {
            return std::all_of(all.begin(), all.end(), [](double x) { return std::isfinite(x); });
        };
        ++counter.read;
        if (status != 0) {
            fuzz::require(status == 1 && std::strlen(sitewise_error()) > 5, "a failure has a sentence");
            const auto zero = [](double x) { return x == 0.0; };
            const bool nothing = energy_ == 0.0 && std::all_of(energies_.begin(), energies_.end(), zero) &&
                                 std::all_of(forces_.begin(), forces_.end(), zero) &&
                                 std::all_of(virial_.begin(), virial_.end(), zero);
            fuzz::require(nothing, "a failure adds nothing");
            return;
        }
        ++counter.computed;
        fuzz::require(std::isfinite(energy_) && finite(energies_), "energies are finite");
        fuzz::require(finite(forces_) && finite(virial_), "forces and virial are finite");
        double sum = 0.0, size = 1.0;
        for (double e : energies_) sum += e, size += std::fabs(e);
        if (out_.energy && out_.energies)
            fuzz::require(std::fabs(sum - energy_) <= 1e-9 * size,
                          "the energy is the sum of the atomic ones");
    }

    // The part of a that is perpendicular to b, or a itself where b is zero
    static Vector without(const Vector& a, const Vector& b) {
        const double along = dot(a, b), square = dot(b, b);
        Vector result = a;
        for (int x = 0; x < 3 && square > 0.0; ++x) result[x] -= along / square * b[x];
        return result;
    }

    static double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

    // Atoms in all images of the cell within the cutoff, about
    double crowd(const double* cell, const int* periodic, double cutoff) const {
        std::vector<Vector> known;
        for (int k = 0; k < 3; ++k)
            if (periodic[k]) known.push_back({cell[3 * k], cell[3 * k + 1], cell[3 * k + 2]});
        double atoms = static_cast<double>(n_);
        for (std::size_t k = 0; k < known.size(); ++k) {
            Vector rest = known[k];
            if (known.size() == 2) rest = without(rest, known[1 - k]);
            if (known.size() == 3) {
                const Vector& b = known[(k + 1) % 3];
                rest = without(without(rest, b), without(known[(k + 2) % 3], b));
            }
            atoms *= 1.0 + 2.0 * cutoff / std::sqrt(dot(rest, rest));
        }
        return atoms;
    }

    void compute(const sitewise_potential* potential) {
        double cell[9];
        const double edge = data_.ConsumeIntegralInRange<int>(20, 120) / 10.0;
        for (int k = 0; k < 9; ++k)
            cell[k] = k % 4 == 0 && !rarely() ? edge : data_.ConsumeBool() ? 0.0 : length();
        int periodic[3];
        for (int& p : periodic) p = rarely() ? data_.ConsumeIntegral<int>() : data_.ConsumeBool();
        const double neighbors = crowd(cell, periodic, sitewise_cutoff(potential));
        const bool refused = !(neighbors < 1e8);  // as flat or tiny cells are
        if (!refused && (neighbors > 200.0 || (neighbors > 25.0 && !rarely()))) return;  // it would take long
        std::vector<double> positions;
        for (std::size_t k = 0; k < 3 * n_ + 1; ++k) positions.push_back(length());
        const bool in_cell = data_.ConsumeBool();
        const int status =
            sitewise_compute(potential, n_, species_.data(), rarely() ? nullptr : positions.data(),
                             in_cell ? cell : nullptr, in_cell || rarely() ? periodic : nullptr, out_);
        check(status);
        if (status == 0 && out_.forces) balanced();
    }

    // No force on the whole
    void balanced() const {
        double sum[3] = {}, size = 1.0;
        for (std::size_t k = 0; k < 3 * n_; ++k) sum[k % 3] += forces_[k], size += std::fabs(forces_[k]);
        for (double s : sum) fuzz::require(std::fabs(s) <= 1e-8 * size, "forces add up to zero");
    }

    void compute_list(const sitewise_potential* potential) {
        const std::size_t centers = rarely() ? n_ + 1 : data_.ConsumeIntegralInRange<std::size_t>(0, n_);
        std::vector<std::size_t> first{rarely() ? 3u : 0u};
        std::size_t entries = first[0];
        for (std::size_t i = 0; i < centers; ++i) {
            const std::size_t next = first.back() + data_.ConsumeIntegralInRange<std::size_t>(0, 6);
            first.push_back(rarely() ? data_.ConsumeIntegralInRange<std::size_t>(0, next) : next);
            entries = std::max(entries, next);
        }
        std::vector<int> index(entries + 1);
        std::vector<double> vectors(3 * entries + 3);
        for (int& j : index)
            j = rarely() ? data_.ConsumeIntegral<int>()
                         : data_.ConsumeIntegralInRange<int>(0, n_ ? static_cast<int>(n_) - 1 : 0);
        for (double& x : vectors) x = length();
        check(sitewise_compute_list(potential, n_, species_.data(), centers, first.data(),
                                    rarely() ? nullptr : index.data(), rarely() ? nullptr : vectors.data(),
                                    out_));
    }
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    std::atexit([] {
        counter.print();
        for (sitewise_potential* potential : potentials) sitewise_free(potential);
    });
    std::vector<fuzz::fs::path> paths;
    for (const auto& entry : fuzz::fs::directory_iterator(SITEWISE_CORPUS "/potential"))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    fuzz::Folder folder("potential");
    for (const fuzz::fs::path& path : paths) {
        std::ifstream file(path);
        std::stringstream content;
        content << file.rdbuf();
        folder.write(fuzz::unpack(content.str()));
        potentials.push_back(sitewise_load(folder.path().c_str(), 1.0, 1.0));
        fuzz::require(potentials.back() != nullptr, sitewise_error());
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ++counter.inputs;
    Case(data, size).run();
    return 0;
}
