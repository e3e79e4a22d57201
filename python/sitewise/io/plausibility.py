"""Checks whether structures and labels look as if they had other units than those in which they were read.

Each bound is far from all data that we know: crystals, alloys, slabs, clusters, liquids and molecules, strained,
compressed and hot. Each wrong unit is beyond one of the bounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core import Error, neighbor_list
from ..ranks import Ranks
from ..structures import Flags, Floats, Ints
from ..text import PATH, printable
from ..threads import one_thread
from ..units import Units

if TYPE_CHECKING:
    from ..structures import Structure

SAMPLE = 200  # most structures that are judged, evenly chosen
SAMPLE_ATOMS = 20_000  # most atoms of these structures in all
PAIRS = 1e6  # most pairs of atoms in a structure

# Distances are in units of the sum of two radii.
OVERLAP = 0.5  # of covalent radii; no two atoms are closer
NEAR, FAR = 0.65, 1.5  # bounds of the median distance of nearest neighbours
GAS = 2.6  # an atom without a neighbour within this distance has no neighbour
FEW_NEAR = 1.25  # unless the atoms are a gas, one in twenty has its nearest neighbour within this distance

# Stiffness of bonds: force times distance over the relative spread of the nearest neighbours' distances of one kind.
# Crystals of Cs have 5 eV, of Li 15, metals 60 to 120, water 40.
SPREAD, MEMBERS = 0.01, 4  # least spread, and least number of distances of one kind in a structure
ALIKE = 8  # least number of molecules of the same atoms
NOBLE = (2, 10, 18, 36, 54, 86)  # elements whose atoms have no bonds between them
SOFT, SOFT_TOP = 4.5, 8.0  # lower bounds of median and 90th percentile, eV
STRETCHED = 1.0  # in crystals whose nearest neighbours are farther, bonds may be half as stiff
HARD, DENSE = 250.0, 0.85  # upper bound of the 10th percentile, eV, unless nearest neighbours are closer than DENSE

# Energies against forces times displacements between two consecutive structures.
STEP = 1.0  # Angstrom that an atom moves at most
FEWEST_PAIRS, CORRELATED, FACTOR = 3, 0.9, 2.0

# Scatter of energies per atom against the energy of the displaced atoms, and against its thermal fluctuations.
SCATTER, FLUCTUATION = 0.06, 0.55
WITHOUT_FORCES = 50.0, 0.1, 0.15  # stiffness in eV that is assumed without forces, and the two bounds with it
LARGEST_SCATTER = 5.0  # eV/atom

RADIUS = {"fcc": 0.5**0.5 / 2, "bcc": 0.75**0.5 / 2, "diamond": 3**0.5 / 8}  # in lattice constants


def implausible(structures: Sequence[Structure], path: str, units: Units, ranks: Ranks | None = None) -> Iterator[str]:
    """Yield a sentence for each thing that is implausible about the structures of a file.

    Parameters
    ----------
    structures
        In eV and Angstrom. All are searched for overlapping atoms; the rest is judged by SAMPLE of them.
    path
        The file.
    units
        The units in which it was read.
    ranks
        The ranks that share the search for overlapping atoms; this process alone by default.
    """
    with one_thread():
        found = [*_doubts(structures, units, ranks or Ranks())]
    yield from (f"{printable(path, PATH)}: {text}" for text in found)


def _doubts(structures: Sequence[Structure], units: Units, ranks: Ranks) -> Iterator[str]:
    """Yield what seems to be wrong with lengths, or else with single pairs, and then with energies and forces.

    The tests of energies and forces do not depend on the unit of length.
    """
    step = max(1, -(-len(structures) // SAMPLE), _n_atoms(structures) // SAMPLE_ATOMS)
    some = structures[::step]
    nearest = [found for s in some if (found := Nearest.of(s)) is not None]
    lengths = [*_lengths(nearest, units)]
    yield from lengths or _overlaps(structures, ranks)
    energies = chain(_forces(nearest, units), _derivatives(structures, step), _energies(some, nearest, units))
    yield from islice(energies, 1)


class Bonds(NamedTuple):
    """Force times distance (eV; NaN without forces) and the relative spread of distances.

    `work` is the root mean square over the atoms, `usual` the root of the median square.
    """

    work: float
    usual: float
    spread: float

    @classmethod
    def of(cls, forces: Floats | None, distances: Floats, spread: float) -> Bonds:
        """Make the bonds of atoms with forces [n, 3]."""
        if forces is None:
            return cls(np.nan, np.nan, spread)
        with np.errstate(over="ignore"):  # forces in an unknown unit may overflow
            squares = np.mean(forces**2, axis=1)
        length = float(distances.mean())
        return cls(length * float(np.sqrt(squares.mean())), length * float(np.sqrt(np.median(squares))), spread)


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The atoms of a structure that have a neighbour, each with the neighbour that is nearest in units of the radii."""

    structure: Structure
    first: Ints
    second: Ints
    distances: Floats  # Angstrom
    ratios: Floats

    @classmethod
    def of(cls, structure: Structure) -> Nearest | None:
        """Find the nearest neighbours of a structure; return None if no atom has one."""
        numbers, sizes = structure.atoms.numbers, radii()
        i, j, distances = _pairs(structure, 2 * GAS * float(sizes[numbers].max(initial=0)))
        ratios = distances / (sizes[numbers[i]] + sizes[numbers[j]])
        order = np.lexsort((ratios, i))
        order = order[ratios[order] < GAS]
        _, places = np.unique(i[order], return_index=True)
        k = order[places]
        return cls(structure, i[k], j[k], distances[k], ratios[k]) if len(k) else None

    def bonds(self) -> Bonds | None:
        """Return the bonds of pairs of each kind together; None if their distances hardly differ."""
        numbers = self.structure.atoms.numbers
        pairs = np.sort([numbers[self.first], numbers[self.second]], axis=0)
        _, kind, count = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
        kind = kind.ravel()
        lengths = np.log(self.distances)
        deviations = lengths - (np.bincount(kind, lengths) / count)[kind]
        many = (count[kind] >= MEMBERS) & self._bonded()
        spread = float(np.sqrt(np.mean(deviations[many] ** 2))) if many.any() else 0.0
        if spread < SPREAD:
            return None
        forces = self.structure.forces
        return Bonds.of(None if forces is None else forces[self.first[many]], self.distances[many], spread)

    def _bonded(self) -> Flags:
        """Test which pairs may have a bond."""
        numbers = self.structure.atoms.numbers
        noble = np.isin(numbers[self.first], NOBLE) & np.isin(numbers[self.second], NOBLE)
        bonded: Flags = ~noble
        return bonded


def _molecules(nearest: Sequence[Nearest]) -> Iterator[Bonds]:
    """Yield the bonds of molecules of the same atoms, over structures, for molecules too small for `Nearest.bonds`."""
    alike: dict[bytes, list[Nearest]] = defaultdict(list)
    for each in nearest:
        known = each.structure.forces is not None and not each.structure.atoms.pbc.any()
        if known and each.bonds() is None and len(each.first) == len(each.structure.atoms) and each._bonded().all():
            alike[each.structure.atoms.numbers.tobytes()].append(each)
    for members in alike.values():
        lengths = np.log([each.distances for each in members])
        spread = float(np.sqrt(np.mean((lengths - lengths.mean(axis=0)) ** 2)))
        if len(members) >= ALIKE and spread >= SPREAD:
            forces = [each.structure.forces for each in members if each.structure.forces is not None]
            yield Bonds.of(np.concatenate(forces), np.concatenate([each.distances for each in members]), spread)


@cache
def radii() -> Floats:
    """Return half the distance of neighbours in the crystal of each element.

    For elements whose crystal ASE does not know it is the covalent radius, which is too large for some metals by a
    fifth.
    """
    from ase.data import covalent_radii, reference_states

    found = np.array(covalent_radii, dtype=np.float64)
    states: list[dict[str, Any] | None] = reference_states
    for number, state in enumerate(states[: len(found)]):
        if state is None:
            continue
        if state["symmetry"] in RADIUS:
            found[number] = state["a"] * RADIUS[state["symmetry"]]
        elif state["symmetry"] == "diatom":
            found[number] = state["d"] / 2
        elif state["symmetry"] == "hcp" and 1.5 < state["c/a"] < 1.9:  # not the chains of Se and Te
            found[number] = state["a"] / 2
    return found


def _pairs(structure: Structure, most: float) -> tuple[Ints, Ints, Floats]:
    """Return atoms i and j of the pairs within `most`, and their distances.

    The cutoff is smaller if there would be too many pairs.
    """
    atoms = structure.atoms
    with np.errstate(over="ignore", invalid="ignore"):  # coordinates in an unknown unit may overflow
        extent: float = float(np.prod(np.ptp(atoms.positions, axis=0) + 0.5)) if len(atoms) else 1.0
        volume: float = min(extent, float(atoms.cell.volume)) if atoms.pbc.all() else extent
    expected: float = 4.2 * len(atoms) ** 2 * most**3 / max(volume, 1e-9)
    cutoff = most * min(1.0, float(PAIRS / max(expected, 1.0)) ** (1 / 3))
    try:
        i, j, vectors, _ = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    except Error:  # the computation reports what is wrong
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)
    return i, j, np.linalg.norm(vectors, axis=1)


def _n_atoms(structures: Sequence[Structure]) -> int:
    return sum(len(s.atoms) for s in structures)


def _overlaps(structures: Sequence[Structure], ranks: Ranks) -> Iterator[str]:
    """Yield a sentence on the closest pair of all structures, if it is too close."""
    found = [each for each in ranks.map(_overlap, 0, structures) if each is not None]
    if found:
        yield min(found)[1] + (f"; {len(found)} structures have such pairs" if len(found) > 1 else "")


def _overlap(_: None, structure: Structure) -> tuple[float, str] | None:
    """Return the distance of the closest pair over the sum of radii, and a sentence, if it is too close."""
    from ase.data import covalent_radii

    numbers = structure.atoms.numbers
    i, j, distances = _pairs(structure, 2 * OVERLAP * float(covalent_radii[numbers].max(initial=0)))
    sums = covalent_radii[numbers[i]] + covalent_radii[numbers[j]]
    ratios = distances / sums
    if ratios.min(initial=1.0) >= OVERLAP:
        return None
    k = int(ratios.argmin())
    symbols = structure.atoms.symbols
    where = structure.source.rsplit(", ", 1)[-1]
    return float(ratios[k]), (
        f"{where} has atoms {i[k]} ({symbols[i[k]]}) and {j[k]} ({symbols[j[k]]}) at {distances[k]:.3g} Angstrom, "
        f"expected at least {OVERLAP * sums[k]:.3g}"
    )


def _lengths(nearest: Sequence[Nearest], units: Units) -> Iterator[str]:
    """Judge whether most atoms are too far from or too near to their neighbours."""
    if not nearest:
        return
    ratios = np.concatenate([each.ratios for each in nearest])
    typical = float(np.median(ratios))
    if typical > FAR and np.quantile(ratios, 0.05) > FEW_NEAR:
        what, meant = "far", "Bohr"
    elif typical < NEAR:
        what, meant = "close", "Angstrom"
    else:
        return
    yield (
        f"nearest neighbours are too {what}, typically {typical:.2f} times as distant as expected: lengths may be in "
        f"{_meant(meant, units.names[1])} (length_unit)"
    )


def _meant(unit: str, read: str) -> str:
    """Name the unit that may be meant, and the unit in which the numbers were read."""
    return f"{unit if unit != read else 'another unit'}, but were read in {read}"


def _forces(nearest: Sequence[Nearest], units: Units) -> Iterator[str]:
    """Judge whether forces are too small or too large for the spread of distances."""
    bonds = [found for each in nearest if (found := each.bonds()) is not None and np.isfinite(found.work)]
    bonds += _molecules(nearest)
    if not bonds:
        return
    middle, high = np.quantile([each.work / each.spread for each in bonds], [0.5, 0.9])
    low, usual = np.quantile([each.usual / each.spread for each in bonds], [0.1, 0.5])
    typical = float(np.median(np.concatenate([each.ratios for each in nearest])))
    torn = STRETCHED < typical < FAR and all(each.structure.atoms.pbc.any() for each in nearest)
    dense, part = NEAR < typical < DENSE, 0.5 if torn else 1.0
    if middle < part * SOFT and high < part * SOFT_TOP:
        what, stiffness = ("small", "Hartree"), middle
    elif low > HARD and not dense:
        what, stiffness = ("large", "eV"), usual
    else:
        return
    yield (
        f"forces are too {what[0]} for how much distances of neighbours differ (a stiffness of {stiffness:.3g} eV, "
        f"expected 10 to 150): they may be in {_meant(what[1], units.names[0])} (energy_unit)"
    )


def _derivatives(structures: Sequence[Structure], step: int) -> Iterator[str]:
    """Judge whether energies change as the forces require, between consecutive structures."""
    changes = [
        found
        for k in range(0, len(structures) - 1, step)
        if (found := _change(structures[k], structures[k + 1])) is not None
    ]
    if len(changes) < FEWEST_PAIRS:
        return
    by_forces, by_energies = np.array(changes).T
    both = by_forces @ by_energies
    sizes = float((by_forces @ by_forces) * (by_energies @ by_energies))
    if sizes == 0 or both**2 < CORRELATED**2 * sizes:
        return
    factor = both / (by_forces @ by_forces)
    if not 1 / FACTOR < factor < FACTOR:
        yield (
            f"energies change by {factor:.3g} times what forces and displacements give, expected 1 (in "
            f"{len(changes)} pairs of structures): energies and forces have different units or signs"
        )


def _change(one: Structure, two: Structure) -> tuple[float, float] | None:
    """Return the change of the energy by the forces and by the energies, for two structures with small displacements.

    Return None if the structures differ otherwise, or lack energies or forces.
    """
    from ase.geometry import find_mic

    a, b = one.atoms, two.atoms
    if one.energy is None or two.energy is None or one.forces is None or two.forces is None:
        return None
    if not np.array_equal(a.numbers, b.numbers) or not np.allclose(a.cell.array, b.cell.array, rtol=0, atol=1e-6):
        return None
    moved, distances = find_mic(b.positions - a.positions, a.cell, a.pbc)
    if not 0 < distances.max(initial=0) < STEP:
        return None
    return -0.5 * float(np.sum((one.forces + two.forces) * moved)), two.energy - one.energy


def _energies(structures: Sequence[Structure], nearest: Sequence[Nearest], units: Units) -> Iterator[str]:
    """Judge whether energies per atom scatter too little or too much, apart from what the composition explains."""
    known = [s for s in structures if s.energy is not None]
    sizes = np.array([len(s.atoms) for s in known], dtype=np.float64)
    elements = sorted({int(z) for s in known for z in s.atoms.numbers})
    if len(known) < 2 * len(elements) + 4:
        return
    parts = np.array([[np.count_nonzero(s.atoms.numbers == z) for z in elements] for s in known]) / sizes[:, None]
    energies = np.array([s.energy for s in known]) / sizes
    rest = energies - parts @ np.linalg.lstsq(parts, energies, rcond=None)[0]
    scatter = 1.48 * float(np.median(np.abs(rest - np.median(rest))))
    size = float(np.median(sizes))
    if scatter > LARGEST_SCATTER:
        what = "much", "eV"
    elif _too_little(scatter, len(known), size, nearest):
        what = "little", "Hartree"
    else:
        return
    yield (
        f"energies per atom scatter by {scatter:.3g} eV, too {what[0]} for these structures: they may be in "
        f"{_meant(what[1], units.names[0])} (energy_unit)"
    )


def _too_little(scatter: float, number: int, size: float, nearest: Sequence[Nearest]) -> bool:
    """Test whether energies per atom scatter less than the displacements explain.

    There are `number` energies, of structures of `size` atoms.
    """
    bonds = np.array([found for each in nearest if (found := each.bonds()) is not None])
    if len(bonds) < len(nearest) / 2 or not len(bonds):
        return False
    part, fluctuation = SCATTER, FLUCTUATION
    work, _, spread = bonds.T
    if np.isnan(work).any():
        stiffness, part, fluctuation = WITHOUT_FORCES
        work = stiffness * spread
    fluctuation *= max(0.0, 1 - 2 / number**0.5)  # few energies may be close to each other by chance
    energy = 1.5 * float(np.median(work * spread))
    return scatter < part * energy and scatter < fluctuation * energy * (2 / (3 * size)) ** 0.5
