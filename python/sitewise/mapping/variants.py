"""Structures made from others: strained, cut, grown, with defects, of other composition."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..structures import Floats
from .gspace import Integers
from .lattices import (
    TOLERANCES,
    Made,
    conventional,
    crystal_in,
    face_distances,
    nearest_distance,
    primitive,
    without_periods,
)

if TYPE_CHECKING:
    from ase import Atoms

STRAINS = (0.94, 0.97, 1.03, 1.06)  # of lengths
SHEAR, SHIFT = 0.05, 0.06  # standard deviations of strain components, and of displacements in nearest distances
SUPERCELL = 8, 36  # atoms at least and at most of a cell with a defect
LAYERS = (2, 4, 6)  # of slabs, repetitions of the conventional cell along the normal in halves
SLAB_ATOMS = 24  # at most
SIZES = (0.4, 0.6, 0.8, 1.3)  # of clusters, in units of those that are there
LARGEST = 150  # atoms of what variants are made of
FRAGMENT, PURE = 30, 8  # atoms of a molecule at most, and of one of a single element
BOND = 1.15  # of the sum of covalent radii, the longest bond
VACUUM = 6.0  # Angstrom on each side of slabs and clusters


def random(atoms: Atoms) -> np.random.Generator:
    """Return a generator that depends on the structure alone."""
    return np.random.default_rng(zlib.crc32(atoms.positions.tobytes()))


def shaken(atoms: Atoms, part: float = SHIFT) -> Atoms:
    """Return a copy with normal displacements, in units of the distance of nearest neighbours."""
    copy: Atoms = atoms.copy()
    copy.positions += random(atoms).normal(0, part * (nearest_distance(atoms) or 0.0), copy.positions.shape)
    return copy


def strained(crystal: Made) -> Iterator[Made]:
    """Yield a crystal with other volumes, with a random strain, and with displaced sublattices."""
    atoms, what = crystal
    for factor in STRAINS:
        copy = atoms.copy()
        copy.set_cell(factor * atoms.cell, scale_atoms=True)
        yield Made(copy, f"{what}, lengths times {factor:g}")
    strain = random(atoms).normal(0, SHEAR, (3, 3))
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
    yield Made(copy, f"{what}, strained")
    if len(atoms) > 1:
        yield Made(shaken(copy), f"{what}, strained, sublattices shifted")


def defects(crystal: Made, symbols: Sequence[str]) -> Iterator[Made]:
    """Yield small cells of a crystal with displaced atoms, a vacancy, an interstitial atom and a substitution."""
    atoms, what = crystal
    of = what.removeprefix("primitive cell of ")
    for atom_number in SUPERCELL:
        cell = supercell(atoms, atom_number)
        if len(cell) == len(atoms):
            continue
        yield Made(shaken(cell), f"cell of {of}, atoms displaced")
        moved = shaken(cell, SHIFT / 3)
        yield Made(moved, f"cell of {of}, atoms displaced a little")
        yield from taken_out(Made(moved, of), 1)
        yield from put_in(Made(moved, of), symbols[:2])
        yield from swapped(Made(moved, of), symbols)


def supercell(atoms: Atoms, at_most: int) -> Atoms:
    """Return a compact supercell: the shortest vector is repeated as long as the number of atoms allows."""
    cell = atoms
    repeat = [1, 1, 1]
    while True:
        lengths = cell.cell.lengths()
        axis = int(np.argmin(lengths.round(6)))
        trial = list(repeat)
        trial[axis] += 1
        if len(atoms) * int(np.prod(trial)) > at_most:
            return cell
        repeat = trial
        cell = atoms * repeat


def taken_out(source: Made, n: int) -> Iterator[Made]:
    """Yield the structure without n adjacent atoms of an element, for each element."""
    atoms, what = source
    if len(atoms) <= 2 * n:
        return
    rng = random(atoms)
    for symbol in sorted(set(atoms.symbols)):
        mine = np.flatnonzero(atoms.symbols == symbol)
        if len(mine) <= n:
            continue
        first = int(rng.choice(mine))
        nearest = mine[np.argsort(atoms.get_distances(first, mine, mic=True), kind="stable")[:n]]
        copy = atoms.copy()
        del copy[nearest.tolist()]
        yield Made(copy, f"{what}, {n} {symbol} taken out")


def put_in(source: Made, symbols: Sequence[str]) -> Iterator[Made]:
    """Yield the structure with an atom in its largest hole, for each element."""
    atoms, what = source
    site = largest_hole(atoms)
    for symbol in symbols if site is not None else ():
        copy = atoms.copy()
        copy.append(symbol)
        copy.positions[-1] = site
        yield Made(copy, f"{what}, {symbol} put in")


def largest_hole(atoms: Atoms) -> Floats | None:
    """Return the point of a grid that is farthest from all atoms; None in structures with vacuum."""
    from scipy.spatial import cKDTree

    if without_periods(atoms).any():
        return None
    n = np.clip(np.ceil(atoms.cell.lengths() / 0.4).astype(int), 4, 30)
    grid = np.stack(np.meshgrid(*(np.arange(k) / k for k in n), indexing="ij"), axis=-1).reshape(-1, 3)
    images = np.stack(np.meshgrid(*([-1, 0, 1],) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    scaled = atoms.get_scaled_positions() % 1.0
    around = ((scaled[None] + images[:, None]).reshape(-1, 3)) @ atoms.cell.array
    points = grid @ atoms.cell.array
    distances = cKDTree(around).query(points)[0]
    return np.asarray(points[int(np.argmax(distances))])


def swapped(source: Made, symbols: Sequence[str]) -> Iterator[Made]:
    """Yield the structure with one, half and all atoms of an element replaced by another."""
    atoms, what = source
    present = sorted(set(atoms.symbols))
    rng = random(atoms)
    for one in present:
        for two in symbols:
            if one == two:
                continue
            mine = np.flatnonzero(atoms.symbols == one)
            for n in sorted({1, len(mine) // 2, len(mine)}):
                if not 0 < n <= len(mine):
                    continue
                copy = atoms.copy()
                copy.symbols[rng.permutation(mine)[:n]] = two
                yield Made(copy, f"{what}, {n} {one} replaced by {two}")


def slabs(crystal: Made) -> Iterator[Made]:
    """Yield small slabs of a crystal with low-index faces, ideal and with displaced atoms."""
    from ase.build import surface

    atoms, what = crystal
    cell = conventional(atoms)
    of = what.removeprefix("primitive cell of ")
    for face in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (0, 0, 1)):
        for layers in LAYERS:
            slab = surface(cell, face, layers, vacuum=VACUUM)
            slab.pbc = True
            small = primitive(slab, 1e-3)
            if small is None or not 1 < len(small) <= SLAB_ATOMS or without_periods(small).sum() != 1:
                continue
            name = "".join(str(k) for k in face)
            yield Made(shaken(small, SHIFT / 3), f"slab of {of}, face {name}, {layers} layers")


def smallest_cell(source: Made) -> Iterator[Made]:
    """Yield the smallest cell along the periods of a slab or wire, with its symmetry made exact."""
    atoms, what = source
    boxed = in_a_cell(atoms)
    boxed.pbc = True
    for tolerance in TOLERANCES:
        found = primitive(boxed, tolerance)
        if found is not None and len(found) < len(atoms):
            yield Made(found, f"smallest cell of {what}")
            return


def thicker(source: Made) -> Iterator[Made]:
    """Yield a slab with a part of its inside taken out, and with the same put in once more.

    A translation between atoms of the inside, with a part along the normal, moves one half from or to the other.
    """
    atoms, what = source.atoms.copy(), source.what
    open_axes = np.flatnonzero(without_periods(atoms))
    vector = _step(atoms, int(open_axes[0])) if len(open_axes) == 1 else None
    if vector is None:
        return
    axis = int(open_axes[0])
    normal, heights = _normal(atoms, axis), _heights(atoms, axis)
    step = float(vector @ normal)
    cut = _between(heights, step)
    if cut is None:
        return
    thinner = atoms[heights < cut] + _moved(atoms[heights >= cut + step], -vector)
    thicker = atoms[heights < cut + step] + _moved(atoms[heights >= cut], vector)
    for made, word, sign in ((thinner, "thinner", -1), (thicker, "thicker", 1)):
        made.set_cell(atoms.cell.array)
        made.pbc = atoms.pbc
        made.cell[axis] *= 1 + sign * step / float(atoms.cell.array[axis] @ normal) if made.cell[axis].any() else 1
        if len(made) > 1:
            yield Made(made, f"{what}, {abs(len(made) - len(atoms))} atoms {word}")


def _between(heights: Floats, step: float) -> float | None:
    """Return the height near the middle that, together with the height a step above it, is farthest from all atoms."""
    low, high = float(heights.min()), float(heights.max())
    trials = np.linspace(low, high - step, 201)[1:-1]
    if high - low < 1.5 * step:
        return None
    apart = [min(np.abs(heights - z).min(), np.abs(heights - z - step).min()) for z in trials]
    central = np.abs(trials - (low + high - step) / 2) / (high - low)
    return float(trials[int(np.argmax(np.array(apart) - 0.2 * central))])


def _moved(atoms: Atoms, vector: Floats) -> Atoms:
    atoms.positions += vector
    return atoms


def _normal(atoms: Atoms, axis: int) -> Floats:
    """Return the unit vector normal to the other two cell vectors, on the side of this one."""
    cell = atoms.cell.complete().array
    normal = np.cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3])
    return np.asarray(normal / np.linalg.norm(normal))


def _heights(atoms: Atoms, axis: int) -> Floats:
    """Return heights along the normal from the middle of the vacuum; positions are moved to be above it."""
    normal = _normal(atoms, axis)
    heights = atoms.positions @ normal
    if atoms.pbc[axis]:
        period = float(atoms.cell.array[axis] @ normal)
        ordered = np.sort(heights % period)
        gaps = np.diff([*ordered, ordered[0] + period])
        bottom = ordered[(int(np.argmax(gaps)) + 1) % len(ordered)] - 1e-6
        turns = np.floor((heights - bottom) / period)
        atoms.positions -= turns[:, None] * atoms.cell.array[axis]
        heights = heights - turns * period
    return np.asarray(heights)


def _step(atoms: Atoms, axis: int) -> Floats | None:
    """Return the shortest translation of the inside with a part along the normal, of the same elements if possible."""
    normal = _normal(atoms, axis)
    for parent in (False, True):
        crystal = crystal_in(atoms, parent)
        translations = np.zeros((0, 3)) if crystal is None else _combinations(crystal.cell.array)
        along = translations[translations @ normal > 0.5]
        if len(along):
            return np.asarray(along[np.argmin(np.linalg.norm(along, axis=1).round(6))])
    return None


def _combinations(cell: Floats) -> Floats:
    numbers = np.stack(np.meshgrid(*([-1, 0, 1],) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(numbers @ cell)


def smaller(source: Made) -> Iterator[Made]:
    """Yield the inner parts of a cluster."""
    atoms, what = source
    away = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
    order = np.argsort(away, kind="stable")
    for n in sorted({int(part * len(atoms)) for part in SIZES if part < 1}):
        if n > 1:
            yield Made(atoms[order[:n]], f"{what}, its {n} inner atoms")


def balls(crystal: Made, sizes: Sequence[int]) -> Iterator[Made]:
    """Yield clusters cut from a crystal around a point off its sites, with displaced atoms."""
    atoms, what = crystal
    of = what.removeprefix("primitive cell of ")
    for n in sizes:
        radius = (n * atoms.cell.volume / len(atoms)) ** (1 / 3)
        repeat = np.ceil(2 * radius / face_distances(atoms)).astype(int) + 1
        large = atoms * repeat.tolist()
        centre = large.cell.array.sum(axis=0) / 2 + np.array([0.11, 0.07, 0.03]) * radius
        chosen = np.argsort(np.linalg.norm(large.positions - centre, axis=1), kind="stable")[:n]
        yield Made(in_vacuum(shaken(large[chosen], SHIFT / 3), True), f"cluster of {of}")


def in_vacuum(atoms: Atoms, box: bool, room: float = VACUUM) -> Atoms:
    """Return a copy in a box of its own, with periods, or without cell."""
    copy: Atoms = atoms.copy()
    if box:
        copy.center(vacuum=room)
    else:
        copy.set_cell(None)
    copy.pbc = box
    return copy


def in_a_cell(atoms: Atoms, room: float = VACUUM) -> Atoms:
    """Return a copy whose directions without period have a cell vector, with `room` on each side."""
    copy: Atoms = atoms.copy()
    open_axes = np.flatnonzero(~atoms.pbc).tolist()
    if open_axes:
        copy.center(vacuum=room, axis=open_axes)
    return copy


def molecules(atoms: Atoms) -> list[Atoms]:
    """Return the molecules of a structure, each in one piece; none if bonds make it one network, or there are none."""
    if len(atoms) > 20 * LARGEST:
        return []
    i, j, vectors = _bonds(atoms)
    parts = _connected(len(atoms), i, j)
    largest = max(parts, key=len)
    if not 1 < len(largest) <= (FRAGMENT if len(set(atoms.numbers[largest])) > 1 else PURE):
        return []
    found = [_whole(atoms, part, i, j, vectors) for part in parts]
    return [one for one in found if one is not None] if None not in found else []


def fragments(source: Made) -> Iterator[Made]:
    """Yield both parts of a molecule that a broken bond makes, of each composition once."""
    atoms, what = source
    i, j, _ = _bonds(atoms)
    found: dict[str, Atoms] = {}
    for a, b in zip(i, j, strict=True):
        kept = ~((i == a) & (j == b) | (i == b) & (j == a))
        parts = _connected(len(atoms), i[kept], j[kept])
        for part in parts if len(parts) == 2 else ():
            piece = atoms[part]
            found.setdefault(piece.get_chemical_formula(), piece)
    for piece in found.values():
        if len(piece) > 1:
            yield Made(piece, f"fragment of {what} {atoms.get_chemical_formula()}")


def _bonds(atoms: Atoms) -> tuple[Integers, Integers, Floats]:
    """Return atoms i and j of the bonds, both ways, and the vectors between them."""
    from ase.neighborlist import natural_cutoffs, neighbor_list

    i, j, vectors = neighbor_list("ijD", atoms, natural_cutoffs(atoms, mult=BOND))
    return i, j, vectors


def _connected(n: int, i: Integers, j: Integers) -> list[Integers]:
    """Return the atoms of each connected part."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    parts, labels = connected_components(coo_matrix((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)
    return [np.flatnonzero(labels == k) for k in range(parts)]


def _whole(atoms: Atoms, part: Integers, i: Integers, j: Integers, vectors: Floats) -> Atoms | None:
    """Return a molecule whose atoms are not divided by the faces of a cell; None if it is bound to its own images."""
    places = {int(part[0]): atoms.positions[part[0]]}
    ahead = [int(part[0])]
    while ahead:
        k = ahead.pop()
        for pair in np.flatnonzero(i == k):
            other = int(j[pair])
            if other not in places:
                places[other] = places[k] + vectors[pair]
                ahead.append(other)
    inside = np.isin(i, part)
    bent = [
        np.linalg.norm(places[a] + v - places[b]) for a, b, v in zip(i[inside], j[inside], vectors[inside], strict=True)
    ]
    if max(bent, default=0.0) > 1e-6:
        return None
    found = atoms[sorted(places)]
    found.positions = [places[k] for k in sorted(places)]
    return found
