#include "pair_sitewise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <numeric>
#include <sitewise/ensemble.hpp>
#include <sitewise/error.hpp>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
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

constexpr double overlap = 1e-6;  // atoms closer than this are an error, Angstrom

double squared_distance(const double* a, const double* b) {
    double sum = 0.0;
    for (int k = 0; k < 3; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sum;
}

// Sorts atoms into cubes. All atoms within an edge of a place are in the 27 cubes around it.
class Cubes {
public:
    explicit Cubes(double edge) : edge_(edge) {}
    void add(int i, const double* x) { atoms_[cube(x)].push_back(i); }

    template <typename Visit>
    void around(const double* x, Visit visit) const {
        const Cube center = cube(x);
        for (int n = 0; n < 27; ++n) {
            const auto found =
                atoms_.find({center[0] + n / 9 - 1, center[1] + n / 3 % 3 - 1, center[2] + n % 3 - 1});
            if (found == atoms_.end()) continue;
            for (int i : found->second) visit(i);
        }
    }

private:
    using Cube = std::array<std::int64_t, 3>;
    Cube cube(const double* x) const {
        Cube c;
        for (int a = 0; a < 3; ++a) c[a] = static_cast<std::int64_t>(std::floor(x[a] / edge_));
        return c;
    }

    double edge_;
    std::map<Cube, std::vector<int>> atoms_;
};

constexpr double boltzmann = 8.617343e-5;  // eV/K as LAMMPS has it, Force::boltz of units metal

// FNV-1a hash of the numbers that determine the results
class Fingerprint {
public:
    explicit Fingerprint(const sitewise::Ensemble& ensemble) {
        for (const sitewise::Potential& member : ensemble.members()) add(member);
    }
    std::uint64_t value() const { return hash_; }

private:
    void mix(const std::vector<double>& values) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
        for (std::size_t i = 0; i < values.size() * sizeof(double); ++i)
            hash_ = (hash_ ^ bytes[i]) * 1099511628211u;
    }

    void add(const sitewise::Potential& potential) {
        const auto& scaling = potential.scaling();
        const auto& unit = potential.normalization();
        const auto cutoff = potential.functions().cutoff_function();
        mix(potential.weights());
        mix(potential.atom_energies());
        mix(scaling.closest());
        mix({unit.mean_energy, unit.conv_energy, double(scaling.type()), scaling.smin(), scaling.smax(),
             double(cutoff.type), cutoff.alpha});
        add(potential.baseline());
        for (std::size_t e = 0; e < potential.elements().size(); ++e) {
            const int element = static_cast<int>(e);
            mix({double(potential.atomic_numbers()[e]),
                 double(potential.network(element).normalize_nodes())});
            if (potential.bar_parts() > 0) mix(potential.deviations(element));
            for (auto activation : potential.network(element).activations()) mix({double(activation)});
            const auto& statistics = scaling.statistics(element);
            for (const auto* values : {&statistics.min, &statistics.max, &statistics.mean, &statistics.sigma})
                mix(*values);
            for (const auto& f : potential.functions().functions(element))
                mix({double(f.type),
                     double(f.neighbor1),
                     double(f.neighbor2),
                     f.eta,
                     f.rs,
                     f.lambda,
                     f.zeta,
                     f.cutoff,
                     f.left,
                     f.angle_left,
                     f.angle_right,
                     double(f.compact),
                     double(f.asymmetric),
                     double(f.neighbor3),
                     double(f.neighbor4),
                     f.eta2,
                     f.eta3,
                     f.eta4,
                     f.rs2,
                     f.rs3,
                     f.rs4,
                     f.power1,
                     f.power2,
                     f.power3,
                     f.power4});
        }
    }

    void add(const sitewise::Baseline& baseline) {
        const int n = static_cast<int>(baseline.atomic_numbers().size());
        mix({baseline.inner(), baseline.outer()});
        for (int a = 0; a < n; ++a)
            for (int b = 0; b <= a; ++b) {
                const sitewise::PairTable& table = baseline.table(a, b);
                for (const auto* values : {&table.distances(), &table.energies(), &table.slopes()})
                    mix(*values);
            }
    }

    std::uint64_t hash_ = 14695981039346656037u;
};

}  // namespace

PairSitewise::PairSitewise(LAMMPS* lammps) : Pair(lammps) {
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
            settings_.interval = count("showewsum", value);
        else if (keyword == "maxew")
            settings_.most = count("maxew", value);
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
        hash = Fingerprint(*ensemble_).value();
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
    neighbor->add_request(this, NeighConst::REQ_FULL);
    warn_of_masses();
    reported_ = update->ntimestep;
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
    return ensemble_->cutoff() * angstrom_;
}

void PairSitewise::compute(int eflag, int vflag) {
    if (!ready_)
        error->all(FLERR, "pair_style sitewise: after a new pair_coeff the run must not begin with pre no");
    ev_init(eflag, vflag);
    if (!begun_) read_exclusions();
    begun_ = true;
    number_atoms();
    fill_rows();
    if (neighbor->ago == 0) check_list();
    if (!overlap_.empty()) error->one(FLERR, "pair_style sitewise: {}", overlap_);
    energies_.assign(first_.size() - 1, 0.0);
    uncertainties_.assign(first_.size() - 1, 0.0);
    parts_.assign(settings_.draws > 0 ? settings_.draws + 1 : ensemble_->members().size(), 0.0);
    extrapolations_.assign(first_.size() - 1, 0);
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
#ifdef _OPENMP
    omp_set_num_threads(comm->nthreads);  // LAMMPS may bring an OpenMP library of its own
#endif
    try {
        ensemble_->compute({first_.size() - 1, first_.data(), index_.data(), vectors_.data()},
                           species_.data(), atoms_.size(), out);
    } catch (const std::exception& failure) {
        error->one(FLERR, "pair_style sitewise: {}", failure.what());
    }
    if (eflag_global) eng_vdwl += energy * electronvolt_;
    if (eflag_global && nextra) add_uncertainty();
    if (vflag_global)
        for (int a = 0; a < 6; ++a)
            virial[a] -=
                electronvolt_ * (strain[3 * row[a] + column[a]] + strain[3 * column[a] + row[a]]) / 2;
    add_results();
    count_extrapolations();
}

void PairSitewise::check_ghosts() {
    const double reach = comm->get_comm_cutoff() / angstrom_, cutoff = ensemble_->cutoff();
    if (!(reach >= cutoff))
        error->all(FLERR,
                   "pair_style sitewise: ghost atoms reach {:.6g} Angstrom, the potential's cutoff is {:.6g}",
                   reach, cutoff);
}

// Finds what LAMMPS's lists leave out in this run. It is called after initialization, when fixes have added
// their exclusions.
void PairSitewise::read_exclusions() {
    absent_ = 0;
    gaps_ = neighbor->nex_type > 0 || neighbor->nex_mol > 0;
    for (int m = 0; m < neighbor->nex_group; ++m) {
        const int a = neighbor->ex1_group[m], b = neighbor->ex2_group[m];  // the first group is "all"
        if (a == 0 || b == 0)
            absent_ |= group->bitmask[std::max(a, b)];
        else
            gaps_ = true;
    }
    for (int kind = 1; kind <= 3; ++kind)
        gaps_ |= atom->molecular != Atom::ATOMIC && neighbor->special_flag[kind] == 0;
    check_types();
    if (absent_) warn_of_absent_atoms();
}

// Refuses pairs that another style of pair_style hybrid has taken.
void PairSitewise::check_types() {
    if (!list->iskip) return;
    for (int i = 1; i <= atom->ntypes; ++i)
        for (int j = 1; j <= atom->ntypes; ++j)
            if (map[i] >= 0 && map[j] >= 0 && (list->iskip[i] || list->ijskip[i][j]))
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
    return map[atom->type[i]] >= 0 && !(atom->mask[i] & absent_);
}

// Called at each step, because fixes change types and groups between lists.
void PairSitewise::number_atoms() {
    const int all = atom->nlocal + atom->nghost;
    atoms_.clear();
    place_.assign(all, -1);
    const auto add = [&](int i) {
        if (!takes_part(i)) return;
        place_[i] = static_cast<int>(atoms_.size());
        atoms_.push_back(i);
    };
    for (int k = 0; k < list->inum; ++k) add(list->ilist[k]);
    first_.assign(atoms_.size() + 1, 0);
    for (int i = 0; i < all; ++i)
        if (place_[i] < 0) add(i);
    species_.resize(atoms_.size());
    for (std::size_t k = 0; k < atoms_.size(); ++k) species_[k] = map[atom->type[atoms_[k]]];
}

// Called by all ranks at each new list.
void PairSitewise::check_list() {
    check_ghosts();
    std::string failure = atom_left_out(neighbor->includegroup, "neigh_modify include");
    if (failure.empty()) failure = atom_left_out(GhostGroup::of(comm), "comm_modify group");
    if (failure.empty()) failure = overlap_;
    if (failure.empty() && gaps_) failure = neighbor_left_out();
    report_failure(failure);
}

std::string PairSitewise::atom_left_out(int chosen, const char* command) const {
    for (int i = 0; chosen > 0 && i < atom->nlocal; ++i)
        if (takes_part(i) && !(atom->mask[i] & group->bitmask[chosen]))
            return fmt::format("{} leaves out atom {}, expected a group of all atoms with an element",
                               command, atom->tag[i]);
    return "";
}

// Compares the list with all atoms nearby. It stops a little short of the list's reach, because some fixes
// displace atoms after the list is built.
std::string PairSitewise::neighbor_left_out() const {
    const double reach = ensemble_->cutoff() * (1.0 - 1e-12) * angstrom_ + 0.99 * neighbor->skin;
    double** x = atom->x;
    Cubes cubes(reach);
    for (int i : atoms_) cubes.add(i, x[i]);
    std::vector<int> seen(place_.size(), -1);  // the atom that has last seen each
    for (std::size_t k = 0; k + 1 < first_.size(); ++k) {
        const int i = seen[atoms_[k]] = atoms_[k];
        int lost = -1;
        for (int n = 0; n < list->numneigh[i]; ++n) seen[list->firstneigh[i][n] & NEIGHMASK] = i;
        cubes.around(x[i], [&](int j) {
            if (seen[j] != i && squared_distance(x[i], x[j]) < reach * reach) lost = j;
        });
        if (lost >= 0) return why_left_out(i, lost);
    }
    return "";
}

std::string PairSitewise::why_left_out(int i, int j) const {
    bool bonded = !neighbor->exclude;
    if (neighbor->exclude && atom->molecular == Atom::MOLECULAR) {
        const tagint *begin = atom->special[i], *end = begin + atom->nspecial[i][2];
        bonded = std::find(begin, end, atom->tag[j]) != end;
    }
    return fmt::format("{} keeps atom {} out of the neighbours of atom {}, expected {}",
                       bonded ? "special_bonds" : "neigh_modify exclude", atom->tag[j], atom->tag[i],
                       bonded
                           ? "special_bonds lj/coul 1 1 1, or factors that are tiny where they are 0"
                           : "neigh_modify exclude none, or exclude group ID all for atoms that shall have "
                             "no energy and be in no environment");
}

void PairSitewise::fill_rows() {
    const double reach = ensemble_->cutoff() * ensemble_->cutoff(), scale = 1.0 / angstrom_;
    double** x = atom->x;
    std::size_t entries = 0;
    overlap_.clear();
    for (std::size_t k = 0; k + 1 < first_.size(); ++k) {
        const int i = atoms_[k], count = list->numneigh[i];
        if (index_.size() < entries + count) {
            index_.resize(2 * (entries + count));
            vectors_.resize(3 * index_.size());
        }
        for (int n = 0; n < count; ++n) {
            const int j = list->firstneigh[i][n] & NEIGHMASK;
            const double r[3] = {(x[j][0] - x[i][0]) * scale, (x[j][1] - x[i][1]) * scale,
                                 (x[j][2] - x[i][2]) * scale};
            const double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
            if (square >= reach || place_[j] < 0) continue;
            if (square < overlap * overlap) note_overlap(i, j, std::sqrt(square));
            index_[entries] = place_[j];
            std::copy_n(r, 3, &vectors_[3 * entries++]);
        }
        first_[k + 1] = entries;
    }
}

void PairSitewise::note_overlap(int i, int j, double distance) {
    const auto [first, second] = std::minmax(atom->tag[i], atom->tag[j]);
    overlap_ = fmt::format("atoms {} and {} are {:.6g} Angstrom apart", first, second, distance);
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
    for (std::size_t k = 0; k < extrapolations_.size(); ++k) {
        extrapolation_[atoms_[k]] = extrapolations_[k];
        sum_ += extrapolations_[k];
    }
    const auto most = std::max_element(extrapolations_.begin(), extrapolations_.end());
    if (most != extrapolations_.end() && *most > worst_.count) find_worst(most - extrapolations_.begin());
    const bool due = settings_.interval > 0 && update->ntimestep - reported_ >= settings_.interval;
    if (due || settings_.most >= 0) report_extrapolations(due);
}

// Records atom k of the list, and its function that is farthest outside the range.
void PairSitewise::find_worst(std::size_t k) {
    const sitewise::SymmetryFunctions& functions = ensemble_->functions();
    const sitewise::Scaling& scaling = ensemble_->members().front().scaling();
    const int e = species_[k], count = static_cast<int>(functions.count(e));
    std::vector<double> G(count);
    sitewise::Environment environment;
    functions.load(e, first_[k + 1] - first_[k], index_.data() + first_[k], species_.data(),
                   vectors_.data() + 3 * first_[k], environment);
    functions.evaluate(environment, G.data());
    const int f = scaling.farthest(e, G.data());
    const sitewise::FeatureStatistics& range = scaling.statistics(e);
    worst_ = {extrapolations_[k], e,           f, count, atom->tag[atoms_[k]], update->ntimestep, G[f],
              range.min[f],       range.max[f]};
    if (scaling.closest().empty()) return;
    double least = 1.0;  // ratio to the shortest distance in the training set
    for (std::size_t n = first_[k]; n < first_[k + 1]; ++n) {
        const double* v = &vectors_[3 * n];
        const int other = species_[index_[n]];
        const double shortest = scaling.closest()[e * ensemble_->elements().size() + other];
        if (scaling.closer(e, 1, &index_[n], species_.data(), v) == 0) continue;
        const double distance = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        if (distance >= least * shortest) continue;
        least = distance / shortest;
        worst_.neighbor = other;
        worst_.distance = distance;
        worst_.shortest = shortest;
    }
}

// Sums over ranks; all ranks call it at the same steps.
void PairSitewise::report_extrapolations(bool due) {
    bigint sum = 0;
    MPI_Allreduce(&sum_, &sum, 1, MPI_LMP_BIGINT, MPI_SUM, world);
    const bool stop = settings_.most >= 0 && total_ + sum > settings_.most;
    if (sum > 0 && (due || stop)) {
        const std::string text = summary(sum);
        if (stop) error->all(FLERR, text + "; maxew allows " + std::to_string(settings_.most));
        if (comm->me == 0) error->warning(FLERR, text);
    }
    if (!due) return;
    total_ += sum;
    sum_ = worst_.count = 0;
    reported_ = update->ntimestep;
}

std::string PairSitewise::summary(bigint sum) {
    struct {
        int count, rank;
    } mine{worst_.count, comm->me}, most{};
    MPI_Allreduce(&mine, &most, 1, MPI_2INT, MPI_MAXLOC, world);
    MPI_Bcast(&worst_, sizeof worst_, MPI_BYTE, most.rank, world);
    const std::vector<std::string>& names = ensemble_->elements();
    const bool close = worst_.neighbor >= 0;
    std::string text = fmt::format(
        "pair_style sitewise: outside the training range {} times from step {} to {} (functions{}, summed "
        "over atoms and steps); most at step {} for atom {} ({}) with {} functions{}, of which ",
        sum, reported_, update->ntimestep, close ? " and close neighbours" : "", worst_.step, worst_.atom,
        names[worst_.element], worst_.count, close ? " and close neighbours" : "");
    const bool outside = worst_.value < worst_.min || worst_.value > worst_.max;
    if (outside || !close)
        text += fmt::format("function {} of {} is at {:.6g}, the training range is {:.6g} to {:.6g}",
                            worst_.function + 1, worst_.functions, worst_.value, worst_.min, worst_.max);
    if (close)
        text +=
            fmt::format("{}{} is at {:.4g} Angstrom, the shortest in the training data is {:.4g}",
                        outside ? ", and " : "", names[worst_.neighbor], worst_.distance, worst_.shortest);
    return text;
}

// Reports the extrapolations since the last report, at the end of a run.
void PairSitewise::finish() {
    if (settings_.interval > 0) report_extrapolations(true);
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
    return Pair::memory_usage() + bytes(index_) + bytes(vectors_) + bytes(forces_) + bytes(virials_) +
           bytes(energies_) + bytes(uncertainties_) + bytes(extrapolation_) + bytes(uncertainty_);
}
