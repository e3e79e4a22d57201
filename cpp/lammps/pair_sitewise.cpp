#include "pair_sitewise.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <sitewise/ensemble.hpp>
#include <sitewise/error.hpp>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "memory.h"
#include "neighbor.h"
#include "pair_sitewise_fingerprint.h"
#include "update.h"
#include "utils.h"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace LAMMPS_NS;

namespace {

// LAMMPS orders virials as xx yy zz xy xz yz yx zx zy, the library by rows.
constexpr int row[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, column[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};

// Reads a protected member: the group of comm_modify group, whose atoms alone become ghosts.
struct GhostGroup : Comm {
    static int of(const Comm* comm) { return comm->*(&GhostGroup::bordergroup); }
};

constexpr double boltzmann = 8.617343e-5;  // eV/K as LAMMPS has it, Force::boltz of units metal

}  // namespace

PairSitewise::PairSitewise(LAMMPS* lammps) : Pair(lammps), exclusions_(lammps), counted_(lammps) {
    single_enable = 0;
    restartinfo = 0;
    one_coeff = 1;
    manybody_flag = 1;
    no_virial_fdotr_compute = 1;  // the library's own virial is exact and cheap
    centroidstressflag = CENTROID_AVAIL;
}

PairSitewise::~PairSitewise() {
    if (!allocated) return;
    memory->destroy(setflag);
    memory->destroy(cutsq);
    delete[] pvector;
}

double PairSitewise::factor(const char* keyword, const char* value) const {
    constexpr double least = 1e-25, most = 1e25;  // no two units differ by more
    char* end = nullptr;
    const double result = std::strtod(value, &end);
    if (end == value || *end != '\0' || !(result > least && result < most))
        error->all(FLERR, "pair_style sitewise: {} is {}, expected a number above 0 and below 1e25", keyword,
                   value);
    return result;
}

bigint PairSitewise::count(const char* keyword, const char* value) const {
    constexpr double most = 9007199254740992.0;  // a double holds every whole number up to this
    char* end = nullptr;
    const double result = std::strtod(value, &end);
    if (end == value || *end != '\0' || !(result >= 0.0 && result <= most) || result != std::floor(result))
        error->all(FLERR,
                   "pair_style sitewise: {} is {}, expected a number of 0 or more, whole and up to 2^53",
                   keyword, value);
    return static_cast<bigint>(result);
}

void PairSitewise::settings(int argc, char** argv) {
    settings_ = {};
    bigint interval = 1000, most = -1;
    if (allocated) forget_coeff();
    for (int i = 0; i < argc; i += 2) {
        const std::string keyword = argv[i];
        if (i + 1 == argc) error->all(FLERR, "pair_style sitewise: {} lacks its value", keyword);
        const char* value = argv[i + 1];
        if (keyword == "cflength")
            settings_.cflength = factor("cflength", value);
        else if (keyword == "cfenergy")
            settings_.cfenergy = factor("cfenergy", value);
        else if (keyword == "showewsum")
            interval = count("showewsum", value);
        else if (keyword == "maxew")
            most = count("maxew", value);
        else if (keyword == "bars")
            settings_.draws = count("bars", value);
        else if (keyword == "precision" && (!strcmp(value, "float64") || !strcmp(value, "float32")))
            settings_.single = !strcmp(value, "float32");
        else if (keyword == "precision")
            error->all(FLERR, "pair_style sitewise: precision is {}, expected float64 or float32", value);
        else if (keyword == "device" && (!strcmp(value, "cpu") || !strcmp(value, "cuda")))
            settings_.cuda = !strcmp(value, "cuda");
        else if (keyword == "device")
            error->all(FLERR, "pair_style sitewise: device is {}, expected cpu or cuda", value);
        else
            error->all(FLERR,
                       "pair_style sitewise: keyword {} is unknown, expected cflength, cfenergy, precision, "
                       "device, showewsum, maxew or bars",
                       keyword);
    }
    counted_.set(interval, most);
}

void PairSitewise::coeff(int argc, char** argv) {
    const int types = atom->ntypes;
    if (argc != 3 + types)
        error->all(
            FLERR,
            "pair_coeff of pair_style sitewise has {} arguments, expected * * DIRECTORY and an element "
            "or NULL for each of the {} atom types",
            argc, types);
    if (!allocated) allocate();
    find_units();
    load(argv[2]);
    const std::vector<std::string>& known = ensemble_->elements();
    for (int type = 1; type <= types; ++type) {
        const std::string symbol = argv[2 + type];
        const auto found = std::find(known.begin(), known.end(), symbol);
        map[type] = found == known.end() ? -1 : static_cast<int>(found - known.begin());
        if (map[type] >= 0 || symbol == "NULL") continue;
        std::string list;
        for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
        error->all(FLERR, "pair_coeff of pair_style sitewise: the potential {} has {}, not {} (atom type {})",
                   argv[2], list, symbol, type);
    }
    for (int i = 1; i <= types; ++i)
        for (int j = 1; j <= types; ++j) setflag[i][j] = map[i] >= 0 && map[j] >= 0;
}

// Sets the values of an Angstrom and an eV in LAMMPS's units. The latter is the ratio of Boltzmann's constant
// to that of units metal, so that temperatures agree.
void PairSitewise::find_units() {
    if (!strcmp(update->unit_style, "lj"))
        error->all(
            FLERR,
            "pair_style sitewise: units lj have no Angstrom and no eV, expected units metal, real, electron, "
            "si, cgs, micro or nano before the box is made");
    angstrom_ = force->angstrom;
    electronvolt_ = force->boltz / boltzmann;
}

// Each rank reads the files. All ranks report an error of any rank. They compare fingerprints, because a file
// that changes meanwhile would give them different potentials.
void PairSitewise::load(const char* directory) {
    std::string failure;
    std::uint64_t hash = 0, low = 0, high = 0;
    const double cflength = settings_.cflength ? *settings_.cflength * angstrom_ : 1.0;
    const double cfenergy = settings_.cfenergy ? *settings_.cfenergy * electronvolt_ : 1.0;
    try {
        ensemble_ = std::make_unique<sitewise::Ensemble>(read(directory, cflength, cfenergy));
        if (settings_.single) ensemble_->set_precision(sitewise::Precision::float32);
        if (settings_.cuda) ensemble_->set_device(sitewise::Device::cuda);
        hash = SitewiseFingerprint(*ensemble_).value();
    } catch (const std::exception& error) {
        failure = error.what();
    }
    report_failure(failure);
    MPI_Allreduce(&hash, &low, 1, MPI_UINT64_T, MPI_MIN, world);
    MPI_Allreduce(&hash, &high, 1, MPI_UINT64_T, MPI_MAX, world);
    if (low != high) error->all(FLERR, "pair_style sitewise: {} changed while MPI ranks read it", directory);
    ready_ = false;
    nextra = settings_.draws > 0 || ensemble_->members().size() > 1 ? 1 : 0;
    if (!pvector) pvector = new double[1]();
}

sitewise::Ensemble PairSitewise::read(const char* directory, double cflength, double cfenergy) const {
    if (settings_.draws == 0) return sitewise::Ensemble::load(directory, cflength, cfenergy);
    if (settings_.cuda) throw sitewise::Error("bars need device cpu, found device cuda");
    if (!sitewise::ensemble_members(directory).empty())
        throw sitewise::Error(std::string(directory) + ": an ensemble has no error bars, only its spread");
    sitewise::Potential potential = sitewise::Potential::load(directory, cflength, cfenergy);
    potential.set_posterior(sitewise::Posterior::load(directory), settings_.draws);
    return sitewise::Ensemble({potential});
}

// Ends the run with the message of the first rank that has one.
void PairSitewise::report_failure(std::string text) {
    int mine = text.empty() ? comm->nprocs : comm->me, first = 0;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
    if (first == comm->nprocs) return;
    int size = static_cast<int>(text.size());
    MPI_Bcast(&size, 1, MPI_INT, first, world);
    text.resize(size);
    MPI_Bcast(text.data(), size, MPI_CHAR, first, world);
    error->all(FLERR, "pair_style sitewise: {}", text);
}

void PairSitewise::allocate() {
    const int n = atom->ntypes + 1;
    memory->create(setflag, n, n, "pair:setflag");
    memory->create(cutsq, n, n, "pair:cutsq");
    map = new int[n];  // Pair deletes it
    allocated = 1;
    forget_coeff();
}

// Requires a new pair_coeff, because the potential was loaded with the previous settings.
void PairSitewise::forget_coeff() {
    for (int i = 0; i <= atom->ntypes; ++i) std::fill_n(setflag[i], atom->ntypes + 1, 0);
}

void PairSitewise::init_style() {
    if (!force->newton_pair) error->all(FLERR, "pair_style sitewise needs newton on, found newton off");
    if (!atom->tag_enable) error->all(FLERR, "pair_style sitewise needs atom IDs, found atom_modify id no");
    neighbors_.emplace(ensemble_->cutoff(), neighbor->skin / angstrom_);
    taken_.assign((atom->ntypes + 1) * (atom->ntypes + 1), false);
    warn_of_masses();
    counted_.begin();
    ready_ = true;
    begun_ = false;
}

// Warns once of a type whose mass is another element's: the elements of pair_coeff may be in the wrong order.
void PairSitewise::warn_of_masses() {
    constexpr double most = 0.2;  // of the element's mass; isotopes but those of hydrogen differ by less
    if (!atom->mass || comm->me != 0) return;
    const double unit = grams_per_mole();
    for (int type = 1; type <= atom->ntypes; ++type) {
        if (map[type] < 0 || !atom->mass_setflag[type]) continue;
        const std::string& symbol = ensemble_->elements()[map[type]];
        const double usual = sitewise::atomic_mass(symbol), mass = atom->mass[type] * unit;
        const bool hydrogen = symbol == "H" && mass < 3.1;
        if (usual > 0.0 && !hydrogen && std::fabs(mass / usual - 1.0) > most) {
            error->warning(
                FLERR,
                "pair_style sitewise: atom type {} is {} in pair_coeff, but its mass is {:.4g} g/mol, "
                "expected about {:.4g}: are the elements in the order of the types?",
                type, symbol, mass, usual);
            return;
        }
    }
}

// Returns LAMMPS's unit of mass: kg, g, pg and ag, or g/mol.
double PairSitewise::grams_per_mole() const {
    const std::string units = update->unit_style;
    if (units == "si") return 6.02214076e26;
    if (units == "cgs") return 6.02214076e23;
    if (units == "micro") return 6.02214076e11;
    if (units == "nano") return 6.02214076e5;
    return 1.0;
}

double PairSitewise::init_one(int i, int j) {
    setflag[j][i] = setflag[i][j];
    taken_[i * (atom->ntypes + 1) + j] = true;
    return ensemble_->cutoff() * angstrom_;
}

void PairSitewise::compute(int eflag, int vflag) {
    if (!ready_)
        error->all(FLERR, "pair_style sitewise: after a new pair_coeff the run must not begin with pre no");
    ev_init(eflag, vflag);
    if (!begun_) begin_run();
    begun_ = true;
    gather_atoms();
    if (neighbor->ago == 0) check_environments();
    energies_.assign(centers_, 0.0);
    uncertainties_.assign(centers_, 0.0);
    parts_.assign(settings_.draws > 0 ? settings_.draws + 1 : ensemble_->members().size(), 0.0);
    extrapolations_.assign(centers_, 0);
    forces_.assign(3 * atoms_.size(), 0.0);
    virials_.assign(vflag_atom || cvflag_atom ? 9 * atoms_.size() : 0, 0.0);
    double energy = 0.0, strain[9] = {};
    sitewise::Ensemble::Output out;
    out.energy = &energy;
    out.energies = energies_.data();
    out.forces = forces_.data();
    out.virial = strain;
    out.virials = virials_.empty() ? nullptr : virials_.data();
    out.extrapolations = extrapolations_.data();
    if (nextra) {
        (settings_.draws > 0 ? out.energies_bar : out.energies_spread) = uncertainties_.data();
        (settings_.draws > 0 ? out.energy_bar_parts : out.member_energies) = parts_.data();
    }
    require([&] {
        if (neighbors_->skin() > 0.0)
            ensemble_->compute(structure(), *neighbors_, out);
        else
            ensemble_->compute(structure(), out);
    });
    if (eflag_global) eng_vdwl += energy * electronvolt_;
    if (eflag_global && nextra) add_uncertainty();
    if (vflag_global)
        for (int a = 0; a < 6; ++a)
            virial[a] -=
                electronvolt_ * (strain[3 * row[a] + column[a]] + strain[3 * column[a] + row[a]]) / 2;
    add_results();
    count_extrapolations();
}

// Called after initialization, when fixes have added their exclusions.
void PairSitewise::begin_run() {
    exclusions_.read();
    check_types();
    warn_of_absent_atoms();
}

// Refuses pairs that another style of pair_style hybrid has taken: LAMMPS has asked only the other for a
// cutoff.
void PairSitewise::check_types() {
    const int n = atom->ntypes;
    for (int i = 1; i <= n; ++i)
        for (int j = i; j <= n; ++j)
            if (map[i] >= 0 && map[j] >= 0 && !taken_[i * (n + 1) + j])
                error->all(
                    FLERR,
                    "pair_style sitewise: a pair_coeff of another style takes atom types {} and {}, which "
                    "have elements, expected hybrid/overlay, or NULL for one of them",
                    i, j);
}

// There are none between the trials of fix gcmc and similar fixes.
void PairSitewise::warn_of_absent_atoms() {
    bigint mine = 0, sum = 0;
    for (int i = 0; i < atom->nlocal; ++i) mine += map[atom->type[i]] >= 0 && !takes_part(i);
    MPI_Allreduce(&mine, &sum, 1, MPI_LMP_BIGINT, MPI_SUM, world);
    if (sum > 0 && comm->me == 0)
        error->warning(
            FLERR,
            "pair_style sitewise: {} atoms that neigh_modify exclude keeps from all others have no "
            "energy and are in no environment",
            sum);
}

bool PairSitewise::takes_part(int i) const {
    return map[atom->type[i]] >= 0 && !exclusions_.absent(i);
}

// Called at each step, because fixes change types and groups between lists.
void PairSitewise::gather_atoms() {
    const double scale = 1.0 / angstrom_;
    double** x = atom->x;
    atoms_.clear();
    species_.clear();
    tags_.clear();
    positions_.clear();
    const auto add = [&](int begin, int end) {
        for (int i = begin; i < end; ++i) {
            if (!takes_part(i)) continue;
            atoms_.push_back(i);
            species_.push_back(map[atom->type[i]]);
            tags_.push_back(atom->tag[i]);
            for (int a = 0; a < 3; ++a) positions_.push_back(x[i][a] * scale);
        }
    };
    add(0, atom->nlocal);
    centers_ = atoms_.size();
    add(atom->nlocal, atom->nlocal + atom->nghost);
}

sitewise::Atoms PairSitewise::structure() const {
    return {atoms_.size(), species_.data(), positions_.data(), {}, {}, atoms_.size() - centers_};
}

// Called by all ranks when LAMMPS has new ghosts.
void PairSitewise::check_environments() {
    check_ghosts();
    std::string failure = atom_left_out(neighbor->includegroup, "neigh_modify include");
    if (failure.empty()) failure = atom_left_out(GhostGroup::of(comm), "comm_modify group");
    report_failure(failure);
    if (!exclusions_.some()) return;
    require([&] { failure = neighbor_left_out(); });
    report_failure(failure);
}

void PairSitewise::check_ghosts() {
    const double reach = comm->get_comm_cutoff() / angstrom_, cutoff = ensemble_->cutoff();
    if (!(reach >= cutoff))
        error->all(FLERR,
                   "pair_style sitewise: ghost atoms reach {:.6g} Angstrom, the potential's cutoff is {:.6g}",
                   reach, cutoff);
}

std::string PairSitewise::atom_left_out(int chosen, const char* command) const {
    for (int i = 0; chosen > 0 && i < atom->nlocal; ++i)
        if (takes_part(i) && !(atom->mask[i] & group->bitmask[chosen]))
            return fmt::format("{} leaves out atom {}, expected a group of all atoms with an element",
                               command, atom->tag[i]);
    return "";
}

std::string PairSitewise::neighbor_left_out() const {
    const sitewise::NeighborList near =
        sitewise::build_neighbors(structure(), neighbors_->cutoff() + neighbors_->skin());
    for (std::size_t k = 0; k < centers_; ++k)
        for (std::size_t n = near.first[k]; n < near.first[k + 1]; ++n) {
            const std::string found = exclusions_.between(atoms_[k], atoms_[near.index[n]]);
            if (!found.empty()) return found;
        }
    return "";
}

// Ends the run if the library refuses the work. All ranks report this together when LAMMPS has new ghosts,
// because both ranks of a pair see two atoms at one place.
void PairSitewise::require(const std::function<void()>& work) {
#ifdef _OPENMP
    omp_set_num_threads(comm->nthreads);  // LAMMPS may bring an OpenMP library of its own
#endif
    std::string failure;
    try {
        work();
    } catch (const sitewise::OverlapError& pair) {
        const auto [first, second] = std::minmax(tags_[pair.first], tags_[pair.second]);
        failure = fmt::format("atoms {} and {} are {:.6g} Angstrom apart", first, second, pair.distance);
    } catch (const std::exception& other) {
        failure = other.what();
        for (std::size_t k = 0; k < positions_.size(); ++k)
            if (!std::isfinite(positions_[k]))
                failure = fmt::format("atom {} has the coordinate {}", tags_[k / 3], positions_[k]);
    }
    if (neighbor->ago == 0)
        report_failure(failure);
    else if (!failure.empty())
        error->one(FLERR, "pair_style sitewise: {}", failure);
}

void PairSitewise::add_results() {
    const double unit = electronvolt_ / angstrom_;
    for (std::size_t k = 0; k < atoms_.size(); ++k)
        for (int a = 0; a < 3; ++a) atom->f[atoms_[k]][a] += forces_[3 * k + a] * unit;
    if (eflag_atom)
        for (std::size_t k = 0; k < energies_.size(); ++k) eatom[atoms_[k]] += energies_[k] * electronvolt_;
    if (nextra) {
        uncertainty_.assign(std::max(atom->nmax, 1), 0.0);
        for (std::size_t k = 0; k < uncertainties_.size(); ++k)
            uncertainty_[atoms_[k]] = uncertainties_[k] * electronvolt_;
    }
    if (virials_.empty()) return;
    for (std::size_t k = 0; k < atoms_.size(); ++k) {
        const double* w = &virials_[9 * k];
        if (vflag_atom)
            for (int a = 0; a < 6; ++a)
                vatom[atoms_[k]][a] -=
                    electronvolt_ * (w[3 * row[a] + column[a]] + w[3 * column[a] + row[a]]) / 2;
        if (cvflag_atom)
            for (int a = 0; a < 9; ++a) cvatom[atoms_[k]][a] -= electronvolt_ * w[3 * row[a] + column[a]];
    }
}

// Sets the energy's error bar, or its spread over an ensemble, on the first rank; compute pair sums over
// ranks.
void PairSitewise::add_uncertainty() {
    std::vector<double> sums(parts_.size());
    MPI_Reduce(parts_.data(), sums.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM, 0, world);
    const double found = settings_.draws > 0
                             ? std::sqrt(std::inner_product(sums.begin(), sums.end(), sums.begin(), 0.0))
                             : sitewise::spread(sums);
    pvector[0] = comm->me == 0 ? found * electronvolt_ : 0.0;
}

void PairSitewise::count_extrapolations() {
    extrapolation_.assign(std::max(atom->nmax, 1), 0.0);
    for (std::size_t k = 0; k < centers_; ++k) extrapolation_[atoms_[k]] = extrapolations_[k];
    counted_.add(*ensemble_, structure(), tags_, extrapolations_);
}

void PairSitewise::finish() {
    counted_.finish(*ensemble_);
}

void* PairSitewise::extract_peratom(const char* name, int& columns) {
    const bool uncertainty = !strcmp(name, settings_.draws > 0 ? "energies_bar" : "energies_spread");
    if (uncertainty ? !nextra : strcmp(name, "extrapolation") != 0) return nullptr;
    std::vector<double>& values = uncertainty ? uncertainty_ : extrapolation_;
    columns = 0;
    values.resize(std::max<std::size_t>(values.size(), atom->nmax));
    return values.data();
}

double PairSitewise::memory_usage() {
    const auto bytes = [](const auto& values) { return double(values.capacity() * sizeof(values[0])); };
    return Pair::memory_usage() + bytes(atoms_) + bytes(species_) + bytes(tags_) + bytes(positions_) +
           (neighbors_ ? neighbors_->bytes() : 0) + bytes(forces_) + bytes(virials_) + bytes(energies_) +
           bytes(uncertainties_) + bytes(extrapolation_) + bytes(uncertainty_);
}
