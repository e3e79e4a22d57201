#include "pair_sitewise_exclusions.h"

#include <algorithm>

#include "atom.h"
#include "error.h"
#include "group.h"
#include "neighbor.h"

using namespace LAMMPS_NS;

namespace {

constexpr int all = 0;  // the number of this group

}  // namespace

void SitewiseExclusions::read() {
    absent_ = 0;
    types_ = neighbor->nex_type > 0;
    molecules_ = neighbor->nex_mol > 0;
    groups_ = bonds_ = false;
    for (int m = 0; m < neighbor->nex_group; ++m) {
        const int a = neighbor->ex1_group[m], b = neighbor->ex2_group[m];
        if (a == all || b == all)
            absent_ |= group->bitmask[std::max(a, b)];
        else
            groups_ = true;
    }
    for (int kind = 1; kind <= 3; ++kind)
        bonds_ |= atom->molecular != Atom::ATOMIC && neighbor->special_flag[kind] == 0;
    if (bonds_ && atom->molecular == Atom::TEMPLATE)
        error->all(FLERR,
                   "pair_style sitewise: special_bonds keeps bonded atoms of molecule templates out of each "
                   "other's neighbours, expected special_bonds lj/coul 1 1 1, or factors that are tiny where "
                   "they are 0");
}

bool SitewiseExclusions::absent(int i) const {
    return atom->mask[i] & absent_;
}

std::string SitewiseExclusions::between(int i, int j) const {
    const bool rule = by_rule(i, j);
    if (!rule && !(bonds_ && by_bond(i, j))) return "";
    return fmt::format("{} keeps atom {} out of the neighbours of atom {}, expected {}",
                       rule ? "neigh_modify exclude" : "special_bonds", atom->tag[j], atom->tag[i],
                       rule ? "neigh_modify exclude none, or exclude group ID all for atoms that shall have "
                              "no energy and be in no environment"
                            : "special_bonds lj/coul 1 1 1, or factors that are tiny where they are 0");
}

bool SitewiseExclusions::by_rule(int i, int j) const {
    if (types_ && neighbor->ex_type[atom->type[i]][atom->type[j]]) return true;
    const int a = atom->mask[i], b = atom->mask[j];
    for (int m = 0; m < neighbor->nex_group; ++m) {
        const int one = neighbor->ex1_bit[m], two = neighbor->ex2_bit[m];
        if ((a & one && b & two) || (a & two && b & one)) return true;
    }
    for (int m = 0; m < neighbor->nex_mol; ++m) {
        const bool within = atom->molecule[i] == atom->molecule[j];
        if (a & b & neighbor->ex_mol_bit[m] && within == (neighbor->ex_mol_intra[m] != 0)) return true;
    }
    return false;
}

// An atom knows those up to three bonds away by their tags.
bool SitewiseExclusions::by_bond(int i, int j) const {
    const tagint* of = atom->special[i];
    const int *ends = atom->nspecial[i], n = static_cast<int>(std::find(of, of + ends[2], atom->tag[j]) - of);
    const int kind = n < ends[0] ? 1 : n < ends[1] ? 2 : 3;
    return n < ends[2] && neighbor->special_flag[kind] == 0;
}
