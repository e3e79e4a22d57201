#ifndef LMP_PAIR_SITEWISE_EXCLUSIONS_H
#define LMP_PAIR_SITEWISE_EXCLUSIONS_H

#include <string>

#include "pointers.h"

namespace LAMMPS_NS {

/// What commands take out of LAMMPS's neighbour lists. The pair style finds neighbours by itself, so these
/// commands have no effect on it: atoms that are excluded from all others are left out of environments, and
/// everything else that a user has excluded is refused.
class SitewiseExclusions : protected Pointers {
public:
    explicit SitewiseExclusions(LAMMPS* lammps) : Pointers(lammps) {}

    /// Reads the commands in force, at the beginning of a run, when fixes have added their exclusions.
    void read();
    /// True for an atom of a group that is excluded from all.
    bool absent(int i) const;
    /// True if pairs of atoms may be excluded.
    bool some() const { return types_ || groups_ || molecules_ || bonds_; }
    /// Describes what keeps the neighbours i and j, of which i is an own atom, apart; empty if nothing does.
    std::string between(int i, int j) const;

private:
    bool by_rule(int i, int j) const;
    bool by_bond(int i, int j) const;

    int absent_ = 0;  // bits of the groups
    bool types_ = false, groups_ = false, molecules_ = false, bonds_ = false;
};

}  // namespace LAMMPS_NS

#endif
