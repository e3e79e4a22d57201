// Potential::load of any files; what is loaded computes, and a share is saved and loaded to the same numbers.

#include <cmath>
#include <cstring>

#include "common.hpp"
#include "sitewise/ensemble.hpp"
#include "sitewise/error.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

using sitewise::Atoms;
using sitewise::Error;
using sitewise::Potential;

fuzz::Counter counter{"potential"};

struct Result {
    std::vector<double> energies, forces, virial, features;
    std::vector<int> extrapolations;
};

constexpr std::size_t n = 4;
const double places[3 * n] = {0.0, 0.0, 0.0, 1.1, 0.9, 0.8, 2.3, 0.1, 0.4, 0.2, 2.2, 1.9};

// Four atoms of all elements, alone or in a cell
Result compute(const Potential& potential, bool periodic) {
    std::vector<int> species(n);
    for (std::size_t i = 0; i < n; ++i) species[i] = static_cast<int>(i % potential.elements().size());
    Atoms atoms;
    atoms.size = n;
    atoms.species = species.data();
    atoms.positions = places;
    atoms.cell = {{{4.5, 0.0, 0.0}, {0.4, 4.4, 0.0}, {0.2, -0.3, 4.6}}};
    atoms.periodic = {periodic, periodic, periodic};
    Result r;
    r.energies.resize(n);
    r.forces.resize(3 * n);
    r.virial.resize(9);
    r.features.resize(n * potential.functions().max_count());
    r.extrapolations.resize(n);
    Potential::Output out;
    out.energies = r.energies.data();
    out.forces = r.forces.data();
    out.virial = r.virial.data();
    out.features = r.features.data();
    out.extrapolations = r.extrapolations.data();
    potential.compute(atoms, out);
    return r;
}

bool same(const std::vector<double>& a, const std::vector<double>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), fuzz::same);
}

void check_saved(const Potential& potential, bool periodic, const Result& before) {
    static const std::string folder = fuzz::scratch() / "saved";
    potential.save(folder, "of the fuzzer");
    Result after;
    try {
        after = compute(Potential::load(folder), periodic);
    } catch (const Error& error) {
        fuzz::require(false, error.what());
    }
    fuzz::require(same(before.energies, after.energies), "energies of what is saved are the same");
    fuzz::require(same(before.forces, after.forces), "forces of what is saved are the same");
    fuzz::require(same(before.virial, after.virial), "the virial of what is saved is the same");
    fuzz::require(same(before.features, after.features), "features of what is saved are the same");
    fuzz::require(before.extrapolations == after.extrapolations, "extrapolations are the same");
}

// A cluster, or for a share a cell where the cutoff does not make it dear; another share is saved too.
void check(const Potential& potential, std::size_t share) {
    const bool periodic = share % 8 == 0 && potential.cutoff() < 6.0;
    const Result result = compute(potential, periodic);
    if (share / 8 % 16 == 0) check_saved(potential, periodic, result);
}

// Refusals are sentences.
void check_sentence(const Error& error) {
    fuzz::require(std::strlen(error.what()) > 5, "an error has a sentence");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    std::atexit([] { counter.print(); });
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ++counter.inputs;
    static fuzz::Folder folder("potential");
    const std::string text(reinterpret_cast<const char*>(data), size);
    folder.write(fuzz::unpack(text));
    try {
        const Potential potential = Potential::load(folder.path());
        ++counter.read;
        fuzz::Mutator::remember(text);
        check(potential, std::hash<std::string>()(text));
        ++counter.computed;
    } catch (const Error& error) {
        check_sentence(error);
    }
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data,
                                               std::size_t size,
                                               std::size_t most,
                                               unsigned seed) {
    if (seed % 16 == 0) return LLVMFuzzerMutate(data, size, most);
    const std::string made = fuzz::Mutator(seed).mutate({reinterpret_cast<char*>(data), size});
    if (made.size() > most) return LLVMFuzzerMutate(data, size, most);
    std::memcpy(data, made.data(), made.size());
    return made.size();
}
