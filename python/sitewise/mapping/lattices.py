"""Crystals that structures are parts of, and common prototypes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core import neighbor_list
from ..structures import Flags, Floats
from .gspace import Integers

if TYPE_CHECKING:
    from ase import Atoms

GAP = 5.0  # Angstrom without atoms along a direction, from which on it is vacuum
TOLERANCES = (1e-3, 0.05, 0.15, 0.3)  # Angstrom, of symmetry in structures that may be hot

# In units of the distance of nearest neighbours:
REACH = 3.2  # lengths of lattice vectors
SHELL, WIDER = 1.3, 1.7  # radii of the surroundings that a translation repeats, and in which they are sought
OFF = 0.28  # of an atom from where a translation puts another
SEEDS = 6  # atoms at most, the best surrounded ones, from which lattices are searched
LARGE = 1_500  # atoms of a structure, beyond which a part of it is searched
MOST = 40  # atoms of a primitive cell


class Made(NamedTuple):
    """A structure that was made, and a description of it."""

    atoms: Atoms
    what: str


class _Shell(NamedTuple):
    """Neighbours of an atom: vectors to them [n, 3], Angstrom, and their atomic numbers [n]."""

    vectors: Floats
    numbers: Integers

    def part_in(self, other: _Shell, off: float) -> float:
        """Return the part of the neighbours that have one of the same element in another shell within a distance."""
        if not len(self.vectors) or not len(other.vectors):
            return 0.0
        apart = np.linalg.norm(self.vectors[:, None] - other.vectors[None], axis=2)
        apart[self.numbers[:, None] != other.numbers[None]] = np.inf
        return float((apart.min(axis=1) < off).mean())


def without_periods(atoms: Atoms) -> Flags:
    """Return for each cell vector whether the structure ends along it, for lack of a period or by vacuum."""
    if not atoms.cell.volume:
        return np.asarray(~np.asarray(atoms.pbc) | ~atoms.cell.array.any(axis=1))
    scaled = np.sort(atoms.get_scaled_positions(wrap=True) % 1.0, axis=0)
    gaps: Floats = np.diff(np.vstack([scaled, scaled[:1] + 1]), axis=0).max(axis=0)
    return np.asarray(~np.asarray(atoms.pbc) | (gaps * face_distances(atoms) > GAP))


def face_distances(atoms: Atoms) -> Floats:
    """Return the distances between opposite faces of the cell, Angstrom."""
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0))


def primitive(atoms: Atoms, tolerance: float) -> Atoms | None:
    """Return the primitive cell with its symmetry made exact; None if spglib finds none."""
    return _standard(atoms, tolerance, True)


def conventional(atoms: Atoms) -> Atoms:
    """Return the conventional cell; the structure itself if spglib finds none."""
    return _standard(atoms, 0.01, False) or atoms


def _standard(atoms: Atoms, tolerance: float, to_primitive: bool) -> Atoms | None:
    from ase import Atoms

    found = _from_spglib("standardize_cell", atoms, to_primitive=to_primitive, no_idealize=False, symprec=tolerance)
    return None if found is None else Atoms(found[2], cell=found[0], scaled_positions=found[1], pbc=True)


def symmetry(atoms: Atoms) -> tuple[str, int]:
    """Return the international symbol and the number of the space group; ("P1", 1) if spglib finds none."""
    found = symmetry_dataset(atoms, 0.01)
    return ("P1", 1) if found is None else (str(found.international), int(found.number))


def symmetry_dataset(atoms: Atoms, tolerance: float) -> Any:
    """Return spglib's dataset of the symmetry within a tolerance, Angstrom; None if spglib finds none."""
    return _from_spglib("get_symmetry_dataset", atoms, symprec=tolerance)


def _from_spglib(name: str, atoms: Atoms, **settings: Any) -> Any:
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of spglib's own error handling, from version 2.7
        return getattr(spglib, name)((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), **settings)


def crystal_in(atoms: Atoms, parent: bool = False) -> Atoms | None:
    """Return the primitive cell of the crystal that a structure is, or is a part of; None if there is none.

    Parameters
    ----------
    atoms
        A crystal, cold or hot, with or without defects, a slab, a wire or a cluster.
    parent
        Whether to ignore the elements: all atoms of the cell are then the most frequent one.
    """
    own = atoms.copy()
    if parent:
        own.numbers[:] = np.bincount(atoms.numbers).argmax()
    found = [periodic_part(own)]
    if not without_periods(own).any() and len(own) <= LARGE:
        found += [primitive(own, tolerance) for tolerance in TOLERANCES]
    return min((one for one in found if one is not None and _is_simpler(one, own)), key=len, default=None)


def _is_simpler(crystal: Atoms, atoms: Atoms) -> bool:
    """Return whether a crystal has symmetry, and its cell few atoms."""
    small = len(crystal) <= len(atoms) // 2 or (len(crystal) <= len(atoms) and symmetry(crystal)[1] > 1)
    return small and len(crystal) <= MOST


def periodic_part(atoms: Atoms) -> Atoms | None:
    """Return the primitive cell that repeats inside a structure; None if its inside is not periodic.

    A translation from an atom to another repeats the atom's surroundings, each neighbour to within OFF. Three short
    ones are the lattice, whose vectors and sites are means over all that agree with them.
    """
    part = _carved(atoms)
    nearest = nearest_distance(part)
    if nearest is None:
        return None
    i, j, vectors, _ = neighbor_list(part.positions, part.cell.array, part.pbc, REACH * nearest)
    order = np.lexsort((np.linalg.norm(vectors, axis=1), i))
    i, j, vectors = i[order], j[order], vectors[order]
    starts = np.searchsorted(i, np.arange(len(part) + 1))
    lengths = np.linalg.norm(vectors, axis=1) / nearest
    inner, outer = (
        [
            _Shell(vectors[a:b][lengths[a:b] < radius], part.numbers[j[a:b]][lengths[a:b] < radius])
            for a, b in pairwise(starts)
        ]
        for radius in (SHELL, WIDER)
    )
    numbers = np.array([len(shell.vectors) for shell in inner])
    lean = np.array([np.linalg.norm(shell.vectors.sum(axis=0)) for shell in inner])
    for seed in np.lexsort((lean, -numbers))[:SEEDS]:
        mine = slice(starts[seed], starts[seed + 1])
        alike = [
            part.numbers[k] == part.numbers[seed]
            and inner[k].part_in(outer[seed], OFF * nearest) == 1
            and inner[seed].part_in(outer[k], OFF * nearest) >= 0.5
            for k in j[mine]
        ]
        cell = _lattice(vectors[mine][np.array(alike, dtype=bool)], nearest)
        if cell is None:
            continue
        found = _with_sites(cell, vectors[mine], part.numbers[j[mine]], int(part.numbers[seed]), nearest)
        if found is not None:
            return found
    return None


def nearest_distance(atoms: Atoms) -> float | None:
    """Return the median distance of an atom from its nearest neighbour, Angstrom; None if atoms are alone."""
    from ase.data import covalent_radii

    if not len(atoms):
        return None
    cutoff = 3.5 * float(covalent_radii[atoms.numbers].max())
    i, _, vectors, _ = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, np.linalg.norm(vectors, axis=1))
    found = float(np.median(nearest))
    return found if np.isfinite(found) else None


def _carved(atoms: Atoms) -> Atoms:
    """Return the structure, or the LARGE/2 atoms nearest to its middle if it is large."""
    if len(atoms) <= LARGE:
        return atoms
    away = np.linalg.norm(atoms.positions - np.median(atoms.positions, axis=0), axis=1)
    part = atoms[np.argsort(away, kind="stable")[: LARGE // 2]]
    part.pbc = False
    return part


def _lattice(translations: Floats, nearest: float) -> Floats | None:
    """Return three short vectors [3, 3] of which all translations [n, 3], sorted by length, are sums."""
    translations = np.concatenate([translations, -translations])
    translations = translations[np.argsort(np.linalg.norm(translations, axis=1).round(6), kind="stable")]
    chosen: list[Floats] = []
    for v in translations:
        trial = np.array([*chosen, v])
        lengths = np.linalg.norm(trial, axis=1)
        size = np.sqrt(np.linalg.det(trial @ trial.T).clip(0)) / np.prod(lengths)
        if size > 0.3:
            chosen.append(v)
        if len(chosen) == 3:
            break
    if len(chosen) < 3:
        return None
    cell = np.array(chosen)
    for _ in range(3):
        whole = np.round(translations @ np.linalg.inv(cell))
        good = np.linalg.norm(translations - whole @ cell, axis=1) < 2 * OFF * nearest
        if good.mean() < 0.8:
            return None
        cell = np.linalg.lstsq(whole[good], translations[good], rcond=None)[0]
    return cell if abs(np.linalg.det(cell)) > 0.3 * nearest**3 else None


def _with_sites(cell: Floats, vectors: Floats, species: Integers, seed: int, nearest: float) -> Atoms | None:
    """Return the crystal of a lattice whose sites are the atoms around one at the origin."""
    from ase import Atoms

    reach = 0.6 * np.linalg.norm(cell, axis=1).sum()
    near = np.linalg.norm(vectors, axis=1) < max(reach, 1.2 * nearest)
    sites, kinds, members = [np.zeros(3)], [seed], [[np.zeros(3)]]
    inverse = np.linalg.inv(cell)
    for v, kind in zip(vectors[near], species[near], strict=True):
        away = v - np.array(sites)
        away -= np.round(away @ inverse) @ cell
        apart = np.linalg.norm(away, axis=1)
        k = int(apart.argmin())
        if apart[k] > 0.5 * nearest:
            sites.append(v)
            kinds.append(int(kind))
            members.append([v])
        elif kinds[k] == kind:
            members[k].append(sites[k] + away[k])
    if len(sites) > MOST:
        return None
    found = Atoms(kinds, [np.mean(m, axis=0) for m in members], cell=cell, pbc=True)
    if np.linalg.det(cell) < 0:
        found.set_cell(-cell)
    for tolerance in TOLERANCES[::-1]:
        exact = primitive(found, tolerance)
        if exact is not None and len(exact) == len(found):
            distance = nearest_distance(exact)
            return exact if distance is not None and abs(distance - nearest) < OFF * nearest else None
    return None


def elemental(symbol: str, distance: float) -> Iterator[Made]:
    """Yield common crystals of an element at a distance of nearest neighbours, Angstrom."""
    from ase.build import bulk

    lattices = {"diamond": 4 / 3**0.5, "fcc": 2**0.5, "bcc": 2 / 3**0.5, "sc": 1.0}
    for name, factor in lattices.items():
        yield Made(bulk(symbol, name, a=factor * distance), f"primitive cell of {name}")
    yield Made(bulk(symbol, "hcp", a=distance, c=(8 / 3) ** 0.5 * distance), "primitive cell of hcp")


def binary(one: str, two: str, distance: float) -> Iterator[Made]:
    """Yield common crystals of two elements at a distance of unlike nearest neighbours, Angstrom."""
    from ase.build import bulk

    lattices = {"rocksalt": 2.0, "cesiumchloride": 2 / 3**0.5, "zincblende": 4 / 3**0.5}
    for name, factor in lattices.items():
        yield Made(bulk(one + two, name, a=factor * distance), f"primitive cell of {name}")
    for cell, name in ((bulk(one, "fcc", a=2**0.5 * distance, cubic=True), "L1_2"), (_l10(one, distance), "L1_0")):
        cell.symbols[0] = two
        yield Made(cell, f"primitive cell of {name}")


def _l10(symbol: str, distance: float) -> Atoms:
    from ase import Atoms

    return Atoms(
        [symbol] * 2, scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=np.array([1, 1, 2**0.5]) * distance, pbc=True
    )


def orderings(parent: Atoms, symbols: list[str]) -> Iterator[Made]:
    """Yield small cells of a parent lattice with one or two elements on its sites."""
    for symbol in symbols:
        pure = parent.copy()
        pure.symbols[:] = symbol
        yield Made(pure, "pure element on the lattice of the data")
    if len(parent) > 2:
        return
    for one, two in permutations(symbols, 2):
        for repeat in ((1, 1, 2), (2, 2, 1)):
            cell = parent * repeat
            cell.symbols[:] = one
            cell.symbols[: len(parent)] = two
            yield Made(cell, "ordered cell on the lattice of the data")
