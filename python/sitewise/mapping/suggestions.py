"""Structures that are made to be added to the data: cells of nearby phases, and variants of the structures given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from .._core import neighbor_list
from ..io.dataset import Dataset
from ..io.plausibility import radii
from ..progress import Reporter
from ..structures import Floats, Structure, by_atomic_number
from . import variants
from .lattices import (
    Made,
    binary,
    crystal_in,
    elemental,
    nearest_distance,
    orderings,
    symmetry,
    without_periods,
)
from .variants import LARGEST, in_vacuum

if TYPE_CHECKING:
    from ase import Atoms

SOURCES = 10  # structures at most of which others are made, of as many kinds as possible
MEASURED = 200  # structures at most whose distances are measured
CLOSE, UNKNOWN = 0.93, 0.85  # of the least distance in the data, and of the sum of radii of a pair that is not there
SMALLEST = 6  # atoms of a periodic structure of which variants are made
FAR = 1.6  # of radii, up to which every atom but a single one has a neighbour
ELEMENTS = 4  # whose pairs are combined
STRAINED = 8  # crystals at most, of which others are made
MADE = 300  # structures at most


class Distances:
    """Distances of neighbours in some structures.

    Parameters
    ----------
    structures
        The structures.
    symbols
        Their elements.

    Attributes
    ----------
    least
        Least distance of each pair of atomic numbers, Angstrom, above which a structure is plausible.
    usual
        Median distance of an atom from its nearest neighbour of each element; the sum of radii for pairs that are not
        in contact.
    touching
        Pairs that are in contact; all if none is.
    """

    def __init__(self, structures: Sequence[Atoms], symbols: Sequence[str]) -> None:
        from ase.data import atomic_numbers

        numbers = [atomic_numbers[symbol] for symbol in symbols]
        sums = {(a, b): float(radii()[a] + radii()[b]) for a in numbers for b in numbers}
        found: dict[tuple[int, int], list[Floats]] = {pair: [] for pair in sums}
        for atoms in structures:
            i, j, vectors, _ = neighbor_list(
                atoms.positions, atoms.cell.array, atoms.pbc, FAR * 2 * max(radii()[numbers])
            )
            lengths = np.linalg.norm(vectors, axis=1)
            for a, b in sums:
                mine = (atoms.numbers[i] == a) & (atoms.numbers[j] == b)
                nearest = np.full(len(atoms), np.inf)
                np.minimum.at(nearest, i[mine], lengths[mine])
                found[a, b].append(nearest[nearest < FAR * sums[a, b]])
        joined = {pair: np.concatenate(each) for pair, each in found.items()}
        self.least = {
            pair: CLOSE * float(each.min()) if len(each) else UNKNOWN * sums[pair] for pair, each in joined.items()
        }
        self.usual = {pair: float(np.median(each)) if len(each) else sums[pair] for pair, each in joined.items()}
        self.touching = [pair for pair, each in joined.items() if len(each)] or list(sums)
        self._radii = radii()

    def plausible(self, atoms: Atoms) -> bool:
        """Return whether no atoms are too close, and none is alone among others."""
        numbers = atoms.numbers
        if len(atoms) == 1 and not atoms.pbc.any():
            return True
        reach = FAR * 2 * float(self._radii[numbers].max())
        i, j, vectors, _ = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
        lengths = np.linalg.norm(vectors, axis=1)
        least = np.array([self.least[pair] for pair in zip(numbers[i].tolist(), numbers[j].tolist(), strict=True)])
        if (lengths < least).any():
            return False
        near = lengths < FAR * (self._radii[numbers[i]] + self._radii[numbers[j]])
        return len(atoms) == 1 or len(np.unique(i[near])) == len(atoms)


def suggestions(data: Dataset, targets: Dataset | None, cutoff: float, reporter: Reporter) -> Dataset:
    """Return structures that might help, without labels; the source of each describes it.

    They are variants of the kinds of structures in data and targets, and have their elements alone. No pair of atoms is
    closer than CLOSE times the closest such pair in the data.

    Parameters
    ----------
    data
        Training structures.
    targets
        Structures that the potential is made for.
    cutoff
        Of the symmetry functions, Angstrom: free atoms in a box are farther from their images.
    reporter
        Receives the progress.
    """
    symbols = by_atomic_number([symbol for s in data for symbol in set(s.atoms.symbols)])
    frames = [s.atoms for s in data]
    aims = _kinds([s.atoms for s in targets]) if targets else []
    sources = [*_kinds(frames), *aims]
    measured = frames[:: -(-len(frames) // MEASURED)]
    distances = Distances(measured, symbols)
    found: dict[tuple[int, ...], Structure] = {}
    with reporter.task("suggestions", None) as advance:
        for made in _all(sources, aims, symbols, distances, cutoff):
            key = _key(made.atoms)
            if key not in found and distances.plausible(made.atoms):
                what = f"{made.atoms.get_chemical_formula()}, {made.what}"
                found[key] = Structure(made.atoms, None, None, None, "suggestion", what)
                advance()
            if len(found) == MADE:
                break
    return Dataset(list(found.values()))


def _kinds(frames: Sequence[Atoms]) -> list[Atoms]:
    """Return some structures of different compositions, sizes and periods."""
    kinds: dict[str, Atoms] = {}
    for atoms in frames:
        kinds.setdefault(f"{atoms.symbols.formula.reduce()[0]} {len(atoms)} {atoms.pbc}", atoms)
    firsts = list(kinds.values())
    return [firsts[k] for k in np.unique(np.linspace(0, len(firsts) - 1, SOURCES).astype(int))]


def _key(atoms: Atoms) -> tuple[int, ...]:
    """Return numbers that are the same for copies: composition, volume, and distances of atoms."""
    lengths = np.zeros(0)
    if len(atoms) <= LARGEST:
        reach = 5.0
        lengths = np.linalg.norm(neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)[2], axis=1)
    volume = round(20 * atoms.cell.volume / len(atoms)) if atoms.pbc.all() and not without_periods(atoms).any() else 0
    return (*sorted(atoms.numbers.tolist()), volume, len(lengths), round(10 * float(lengths.sum())))


def _all(
    sources: Sequence[Atoms], aims: Sequence[Atoms], symbols: list[str], distances: Distances, cutoff: float
) -> Iterator[Made]:
    """Yield structures made of others, and small targets themselves, which help most if nothing is like them."""
    surfaces = max((int(without_periods(atoms).sum()) for atoms in sources), default=0)
    whole = [found for atoms in sources if (found := crystal_in(atoms)) is not None]
    own = list(_crystals(sources, whole, symbols, distances))
    molecular = 2 * sum(bool(variants.molecules(atoms)) for atoms in sources) > len(sources)
    common = [] if molecular else list(_prototypes(symbols, distances))
    yield from _free_atoms(sources, symbols, cutoff)
    yield from own
    yield from (Made(atoms, "one of the targets") for atoms in aims if 1 < len(atoms) <= LARGEST)
    yield from common
    own = own or common
    for crystal in own[:STRAINED]:
        yield from variants.strained(crystal)
    for crystal in own[: len(symbols) + 2]:
        yield from variants.defects(crystal, symbols)
        if surfaces:
            yield from variants.slabs(crystal)
        if surfaces == 3:
            n = [len(atoms) for atoms in sources if without_periods(atoms).all()]
            yield from variants.balls(
                crystal, sorted({max(2, round(part * k)) for k in n[:2] for part in variants.SIZES})
            )
    for atoms in sources:
        if SMALLEST <= len(atoms) <= LARGEST or not atoms.pbc.any():
            yield from _variants(Made(atoms, f"{atoms.get_chemical_formula()} of the data or targets"), symbols, cutoff)


def _free_atoms(sources: Sequence[Atoms], symbols: list[str], cutoff: float) -> Iterator[Made]:
    from ase import Atoms

    box = any(atoms.pbc.any() for atoms in sources)
    for symbol in symbols:
        yield Made(in_vacuum(Atoms(symbol), box, 0.55 * cutoff), "free atom")


def _crystals(
    sources: Sequence[Atoms], whole: Sequence[Atoms], symbols: list[str], distances: Distances
) -> Iterator[Made]:
    """Yield primitive cells of the crystals that structures are or are parts of, then others on their lattices."""
    kinds: dict[tuple[str, str], Atoms] = {}
    for crystal in whole:
        kinds.setdefault((crystal.get_chemical_formula(), symmetry(crystal)[0]), crystal)
    for crystal in kinds.values():
        yield Made(crystal, f"primitive cell of {_name(crystal)}")
    if len(symbols) == 1:
        return
    mixed = [atoms for atoms in sources if len(set(atoms.symbols)) > 1]
    found = (crystal_in(atoms, parent=True) for atoms in mixed[::-1])
    parents = {len(parent): parent for parent in found if parent is not None}
    for parent in parents.values():
        for made in orderings(parent, symbols[:ELEMENTS]):
            yield made
            yield _scaled(made, distances)


def _scaled(made: Made, distances: Distances) -> Made:
    """Return the structure with the volume that follows from the radii of its atoms."""
    sizes = np.array([distances.usual[number, number] for number in made.atoms.numbers])
    nearest = nearest_distance(made.atoms)
    copy = made.atoms.copy()
    if nearest:
        copy.set_cell(copy.cell.array * float(np.cbrt(np.mean(sizes**3))) / nearest, scale_atoms=True)
    return Made(copy, f"{made.what}, volume of its radii")


def _name(crystal: Atoms) -> str:
    """Return the name of a common crystal, or its space group."""
    symbol, number = symmetry(crystal)
    kind = (number, len(crystal), len(set(crystal.symbols)))
    common = {(227, 2, 1): "diamond", (225, 1, 1): "fcc", (229, 1, 1): "bcc", (194, 2, 1): "hcp", (221, 1, 1): "sc"}
    common |= {(225, 2, 2): "rocksalt", (221, 2, 2): "CsCl", (216, 2, 2): "zincblende", (221, 4, 2): "L1_2"}
    return common.get(kind, f"space group {symbol}")


def _prototypes(symbols: list[str], distances: Distances) -> Iterator[Made]:
    from ase.data import atomic_numbers

    for symbol in symbols:
        number = atomic_numbers[symbol]
        if (number, number) in distances.touching:
            yield from elemental(symbol, distances.usual[number, number])
    for one, two in combinations(symbols[:ELEMENTS], 2):
        numbers = atomic_numbers[one], atomic_numbers[two]
        for first, second in ((one, two), (two, one)) if numbers in distances.touching else ():
            yield from binary(first, second, distances.usual[numbers])


def _variants(source: Made, symbols: list[str], cutoff: float) -> Iterator[Made]:
    """Yield structures like one of the data."""
    atoms = source.atoms
    open_axes = int(without_periods(atoms).sum())
    parts = variants.molecules(atoms)
    if parts:
        yield from _of_molecules(parts, bool(atoms.pbc.any()), cutoff)
        if len(parts) == 1:
            return
        yield Made(variants.shaken(atoms, variants.SHIFT / 2), f"{source.what}, atoms displaced")
        return
    if open_axes in (1, 2):
        yield from variants.smallest_cell(source)
    if open_axes == 1:
        yield from variants.thicker(source)
    if open_axes == 3:
        yield from variants.smaller(source)
    for n in (1, 2):
        yield from variants.taken_out(source, n)
    yield from variants.put_in(source, symbols)
    yield from variants.swapped(source, symbols)


def _of_molecules(parts: Sequence[Atoms], box: bool, cutoff: float) -> Iterator[Made]:
    """Yield each kind of molecule alone, with displaced atoms, without an atom, and two of them."""
    kinds: dict[str, list[Atoms]] = {}
    for part in parts:
        kinds.setdefault(part.get_chemical_formula(), []).append(part)
    for group in kinds.values():
        one = in_vacuum(group[0], box, cutoff / 1.8)
        yield Made(one, "molecule")
        if len(one) > 1:
            for size in (0.03, 0.07):
                yield Made(variants.shaken(one, size), "molecule, atoms displaced")
            for factor in (0.96, 1.05):
                copy = one.copy()
                copy.positions = (copy.positions - copy.positions.mean(axis=0)) * factor + copy.positions.mean(axis=0)
                yield Made(copy, f"molecule, lengths times {factor:g}")
        if len(one) > 2:
            yield from variants.fragments(Made(one, "molecule"))
            yield from variants.taken_out(Made(one, "molecule"), 1)
    for n in (2, 3, 4):
        cluster = _nearest(parts, n)
        if cluster is not None:
            yield Made(in_vacuum(cluster, box, cutoff / 1.8), f"{n} molecules")


def _nearest(parts: Sequence[Atoms], n: int) -> Atoms | None:
    """Return n molecules that are near to each other; None if there are fewer."""
    if len(parts) < n:
        return None
    centres = np.array([part.positions.mean(axis=0) for part in parts])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    order = np.sort(apart, axis=1)[:, :n].sum(axis=1)
    chosen = np.argsort(apart[int(order.argmin())], kind="stable")[:n]
    found: Atoms = parts[chosen[0]].copy()
    for k in chosen[1:]:
        found += parts[k]
    return found
