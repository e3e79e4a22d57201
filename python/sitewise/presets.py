"""Named sets of symmetry functions. docs/reference.md describes each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, combinations_with_replacement, pairwise, permutations, product
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from . import _core
from ._core import Error, SymmetryFunction
from .ranks import Ranks
from .scratch import Column
from .structures import Floats, Ints, Structure, core_arrays

RADIAL, ANGULAR, WIDE_ANGULAR = 2, 3, 9  # not weighted, not compact
TWO_SHELLS, THREE_SHELLS = 33, 34
CONTRACTIONS = (TWO_SHELLS, THREE_SHELLS, 35)  # of moments; no other code has them

# The stock set of SIMPLE-NN (K. Lee et al., Comput. Phys. Commun. 242, 95 (2019)); eta in 1/Angstrom^2.
SIMPLE_NN_CUTOFF = 6.0
SIMPLE_NN_RADIAL = (0.003214, 0.035711, 0.071421, 0.124987, 0.214264, 0.357106, 0.714213, 1.428426)
SIMPLE_NN_ANGULAR = [
    (eta, 0.0, zeta, lambda_) for eta in (0.000357, 0.028569, 0.089277) for zeta in (1, 2, 4) for lambda_ in (-1, 1)
]

# Functions of type 9 with zeta up to 4 need only moments up to order 4, whose cost is linear in the neighbours.
FAST_CUTOFF = 5.0
FAST_ANGULAR = [
    (eta, 0.0, zeta, lambda_) for eta in (0.000357, 0.05, 0.15) for zeta in (1, 2, 3, 4) for lambda_ in (-1, 1)
]

POOL_LENGTHS = 8

# Found by cross-validation on training sets alone, see "Preset accurate" in docs/development/tried.md. Lengths in units
# of the nearest distances.
ACCURATE_CUTOFF, ACCURATE_FIRST = 2.1, 0.8
ACCURATE_LEAST = 4.8  # Angstrom, of the cutoff
ACCURATE_OTHERS = {1.75: 0.95}  # see Preset
ACCURATE_RADIAL, ACCURATE_SHELLS, ACCURATE_WIDTH = 8, 4, 1.5
POOL_RADIAL = 12  # of the pool that linear fits choose from
PAIR_POWERS = (1, 2, 3, 4)
TRIPLE_POWERS = ((1, 1, 0), (2, 1, 0), (3, 1, 0), (2, 2, 0), (1, 1, 1), (2, 1, 1), (3, 1, 1), (2, 2, 1), (2, 2, 2))

# Found by cross-validation on training sets alone, see "Defaults" and "Six shells" in docs/development/tried.md. The
# cutoff is STANDARD_CUTOFF times the largest distance of an element to its nearest neighbour, and not below
# STANDARD_LEAST_CUTOFF (Angstrom). STANDARD_RADIAL is eta times the square of the pair's nearest distance. Widths of
# shells are in spacings. The powers (zeta, lambda) of a shell span the polynomials of the cosine up to its degree,
# which need moments up to that order alone. Six shells are more accurate for one element, not for several.
STANDARD_CUTOFF, STANDARD_LEAST_CUTOFF = 2.0, 5.0
STANDARD_OTHERS = {1.75: 0.95, 2.15: 0.8}  # see Preset; a step with the longer one takes longer
STANDARD_RADIAL = (0.02, 0.2, 0.4, 0.7, 1.1, 1.9, 3.8, 7.6)
STANDARD_FIRST_SHELL = 0.85
STANDARD_WIDTH, STANDARD_DEGREES = 2.0, (4, 4, 4, 2, 2, 2)  # of one element
STANDARD_NARROW, STANDARD_SHELLS = 0.85, 3  # of several, beside a shell with eta = 0
POWERS = {2: ((1, -1), (1, 1), (2, 1)), 4: ((1, -1), (1, 1), (2, 1), (4, -1), (4, 1))}
PAIRWISE = 3  # elements; with more of them angular functions sum over the neighbours of all elements

# Neighbours of all elements, with weight 1 and weighted by atomic numbers
TOGETHER = (SymmetryFunction.all, SymmetryFunction.all_by_number)

REACH = 6.0  # Angstrom, beyond which atoms are not each other's nearest neighbours


Shell = tuple[float, float]  # eta (1/Angstrom^2) and r_s (Angstrom) of a Gaussian


def nearest_distances(data: Iterable[Structure], elements: Sequence[str], ranks: Ranks | None = None) -> Floats:
    """Find how far the nearest neighbours of each pair of elements are.

    Parameters
    ----------
    data
        Structures; each may have some of the elements.
    elements
        Chemical symbols, sorted by atomic number.
    ranks
        The ranks that share the structures; this process alone by default.

    Returns
    -------
    array [n, n]
        Angstrom, symmetric: the median over the atoms of one element of the distance to the nearest atom of the other,
        the shorter one of both ways. It is the sum of the covalent radii if no two such atoms are within 6 Angstrom.

    Raises
    ------
    Error
        Names the structure with another element or bad coordinates.
    """
    n = len(elements)
    found = [[Column("d", "distances") for _ in range(n)] for _ in range(n)]
    for nearest, species in (ranks or Ranks()).map(partial(_nearest, list(elements)), 0, data):
        for a in range(n):
            of_element = nearest[species == a]
            for b in range(n):
                found[a][b].append(of_element[np.isfinite(of_element[:, b]), b])
    distances = covalent_distances(elements)
    for a, b in combinations_with_replacement(range(n), 2):
        both = [found[c][d].whole() for c, d in ((a, b), (b, a))]
        if both[0].size:
            distances[a, b] = distances[b, a] = min(float(np.median(one)) for one in both)
    return distances


def _nearest(elements: Sequence[str], _: None, structure: Structure) -> tuple[Floats, Ints]:
    """Return the distance of each atom to the nearest one of each element [atoms, n], and the element of each atom."""
    with structure.named():
        species, positions, cell, pbc = core_arrays(structure.atoms, elements, "the set of symmetry functions")
        i, j, vectors, _offsets = _core.neighbor_list(positions, cell, pbc, REACH)
    nearest = np.full((len(species), len(elements)), np.inf)
    np.minimum.at(nearest, (i, species[j]), np.linalg.norm(vectors, axis=1))
    return nearest, species


def closest_distances(
    data: Iterable[Structure], elements: Sequence[str], cutoff: float, ranks: Ranks | None = None
) -> Floats:
    """Return the shortest distance of each pair of elements [n, n], Angstrom; the cutoff where no pair is within it.

    Raises
    ------
    Error
        As `nearest_distances`.
    """
    n = len(elements)
    closest = np.full((n, n), cutoff)
    for of_structure in (ranks or Ranks()).map(partial(_closest, list(elements), cutoff), 0, data):
        closest = np.minimum(closest, of_structure)
    return np.asarray(np.minimum(closest, closest.T))


def _closest(elements: Sequence[str], cutoff: float, _: None, structure: Structure) -> Floats:
    with structure.named():
        species, positions, cell, pbc = core_arrays(structure.atoms, elements, "the set of symmetry functions")
        i, j, vectors, _offsets = _core.neighbor_list(positions, cell, pbc, cutoff)
    closest = np.full((len(elements), len(elements)), cutoff)
    np.minimum.at(closest, (species[i], species[j]), np.linalg.norm(vectors, axis=1))
    return closest


def covalent_distances(elements: Sequence[str]) -> Floats:
    """Return the sums of the covalent radii of each pair of elements [n, n], Angstrom."""
    from ase.data import covalent_radii

    radii: Floats = covalent_radii[_numbers(elements)]
    return np.asarray(radii[:, None] + radii)


class Preset(NamedTuple):
    """How a named set is made.

    Attributes
    ----------
    make
        Makes the functions from chemical symbols [n] sorted by atomic number, the distances [n, n] of
        `nearest_distances`, and the cutoff (Angstrom).
    cutoff
        Gives the usual cutoff (Angstrom) from the distances, where the user gives none.
    others
        Cutoffs in units of the nearest distance that a run with one element compares with the usual one, each with the
        part of the usual one's loss that its loss has to be below.
    """

    make: Callable[[Sequence[str], Floats, float], _core.SymmetryFunctions]
    cutoff: Callable[[Floats], float]
    others: Mapping[float, float] = MappingProxyType({})


def _standard(elements: Sequence[str], distances: Floats, cutoff: float) -> _core.SymmetryFunctions:
    first = min(STANDARD_FIRST_SHELL * float(distances.min()), cutoff / 2)
    if len(elements) == 1:
        return _standard_of_one(float(distances[0, 0]), first, cutoff)

    def radial(center: int, neighbor: int) -> Iterator[Shell]:
        return _nested(STANDARD_RADIAL, float(distances[center, neighbor]))

    shells = [(0.0, 0.0), *_equispaced(first, cutoff, STANDARD_SHELLS, STANDARD_NARROW)]
    if len(elements) <= PAIRWISE:
        angular = [(*shell, *power) for shell in shells for power in POWERS[4]]
        return _build(len(elements), radial, angular, cutoff, WIDE_ANGULAR)
    functions = [*_radial(len(elements), radial, cutoff)]
    for center, neighbor, shell in product(range(len(elements)), TOGETHER, shells):
        functions += _two_shells(center, neighbor, (shell, shell), cutoff)
    return _core.SymmetryFunctions(len(elements), functions, atomic_numbers=_numbers(elements))


def _standard_of_one(nearest: float, first: float, cutoff: float) -> _core.SymmetryFunctions:
    """Give functions of type 2 the shells of the angular ones, too, which are computed once for both."""
    shells = list(_equispaced(first, cutoff, len(STANDARD_DEGREES), STANDARD_WIDTH))
    angular = [
        (*shell, *power) for shell, degree in zip(shells, STANDARD_DEGREES, strict=True) for power in POWERS[degree]
    ]
    return _build(1, lambda *_: chain(_nested(STANDARD_RADIAL[::2], nearest), shells), angular, cutoff, WIDE_ANGULAR)


def _nested(ratios: Iterable[float], nearest: float) -> Iterator[Shell]:
    """Yield Gaussians around the atom, of these eta times the square of the nearest distance."""
    return ((ratio / nearest**2, 0.0) for ratio in ratios)


def _standard_cutoff(distances: Floats) -> float:
    return max(STANDARD_CUTOFF * float(distances.min(axis=1).max()), STANDARD_LEAST_CUTOFF)


def _accurate(elements: Sequence[str], distances: Floats, cutoff: float) -> _core.SymmetryFunctions:
    """Contract moments of shells. With several elements the shells have all neighbours, once with weight 1 and once
    weighted by atomic numbers, so the number of contractions does not grow with the elements."""

    def radial(center: int, neighbor: int) -> Iterator[Shell]:
        return iter(_accurate_shells(distances[center, neighbor], cutoff, ACCURATE_RADIAL))

    functions = [*_radial(len(elements), radial, cutoff)]
    for center in range(len(elements)):
        shells = _accurate_shells(distances[center].min(), cutoff, ACCURATE_SHELLS)
        for neighbor in TOGETHER if len(elements) > 1 else (center,):
            for pair in combinations_with_replacement(shells, 2):
                functions += _two_shells(center, neighbor, pair, cutoff)
            for shell, powers in product(shells, TRIPLE_POWERS):
                functions.append(_three_shells(center, neighbor, (shell,) * 3, powers, cutoff))
    return _core.SymmetryFunctions(len(elements), functions, atomic_numbers=_numbers(elements))


def accurate_pool(distance: float, cutoff: float) -> _core.SymmetryFunctions:
    """Return what the functions of the preset "accurate" are chosen from for one element: all contractions of two and
    three of its shells, equal or not, and more functions of type 2.

    Parameters
    ----------
    distance
        The nearest distance of the element, Angstrom.
    cutoff
        Angstrom.
    """
    shells = _accurate_shells(distance, cutoff, ACCURATE_SHELLS)
    functions = [*_radial(1, lambda *_: iter(_accurate_shells(distance, cutoff, POOL_RADIAL)), cutoff)]
    for pair in combinations_with_replacement(shells, 2):
        functions += _two_shells(0, 0, pair, cutoff)
    rings = {
        _same_ring(triple, order)
        for triple in combinations_with_replacement(shells, 3)
        for powers in TRIPLE_POWERS
        for order in permutations(powers)
    }
    functions += [_three_shells(0, 0, triple, powers, cutoff) for triple, powers in sorted(rings)]
    return _core.SymmetryFunctions(1, functions)


def _same_ring(triple: Sequence[Shell], powers: Sequence[int]) -> tuple[tuple[Shell, ...], tuple[int, ...]]:
    """Return the first of the orders of three shells, and of the powers between each and the next, that mean the
    same."""
    between = {frozenset((k, (k + 1) % 3)): powers[k] for k in range(3)}
    return min(
        (
            tuple(triple[k] for k in order),
            tuple(between[frozenset((order[k], order[(k + 1) % 3]))] for k in range(3)),
        )
        for order in permutations(range(3))
    )


def _accurate_cutoff(distances: Floats) -> float:
    """Reach beyond the nearest neighbour of each element; a rare pair that is far apart does not count."""
    return max(ACCURATE_LEAST, ACCURATE_CUTOFF * float(distances.min(axis=1).max()))


def _accurate_shells(distance: float, cutoff: float, count: int) -> list[Shell]:
    """Begin below the nearest neighbours; where the cutoff hardly reaches these, at half of it."""
    return list(_equispaced(min(ACCURATE_FIRST * distance, cutoff / 2), cutoff, count, ACCURATE_WIDTH))


def _two_shells(center: int, neighbor: int, pair: tuple[Shell, Shell], cutoff: float) -> Iterator[SymmetryFunction]:
    """Yield the contractions of two shells (eta, r_s), with all powers."""
    (eta, rs), (eta2, rs2) = pair
    for power in PAIR_POWERS:
        f = SymmetryFunction(TWO_SHELLS, center, neighbor, neighbor, eta=eta, rs=rs, power1=power, cutoff=cutoff)
        f.eta2, f.rs2 = eta2, rs2
        yield f


def _three_shells(
    center: int, neighbor: int, triple: Sequence[Shell], powers: Sequence[int], cutoff: float
) -> SymmetryFunction:
    """Return the contraction of three shells (eta, r_s); powers are those between each shell and the next."""
    (eta, rs), (eta2, rs2), (eta3, rs3) = triple
    f = SymmetryFunction(THREE_SHELLS, center, neighbor, neighbor, eta=eta, rs=rs, cutoff=cutoff)
    f.neighbor3 = neighbor
    f.eta2, f.rs2, f.eta3, f.rs3 = eta2, rs2, eta3, rs3
    f.power1, f.power2, f.power3 = powers
    return f


def _equispaced(first: float, cutoff: float, count: int, width: float) -> Iterator[Shell]:
    """Yield eta and r_s of Gaussians from r_s = `first` to one spacing before the cutoff; 1/sqrt(eta) is `width`
    spacings."""
    spacing = (cutoff - first) / count
    return ((1 / (width * spacing) ** 2, first + k * spacing) for k in range(count))


def _simple_nn(elements: Sequence[str], _distances: Floats, cutoff: float) -> _core.SymmetryFunctions:
    return _build(len(elements), _simple_nn_radial, SIMPLE_NN_ANGULAR, cutoff)


def _fast(elements: Sequence[str], _distances: Floats, cutoff: float) -> _core.SymmetryFunctions:
    return _build(len(elements), _simple_nn_radial, FAST_ANGULAR, cutoff, WIDE_ANGULAR)


def _simple_nn_radial(_center: int, _neighbor: int) -> Iterator[Shell]:
    return ((eta, 0.0) for eta in SIMPLE_NN_RADIAL)


def _auto(elements: Sequence[str], _distances: Floats, cutoff: float) -> _core.SymmetryFunctions:
    """Shift type 2 as M. Gastegger et al., J. Chem. Phys. 148, 241709 (2018) do, from 0.8 times the sum of the covalent
    radii to one spacing D before the cutoff, with eta = 1/(2 D^2)."""
    bonds = covalent_distances(elements)

    def radial(center: int, neighbor: int) -> Iterator[Shell]:
        first = 0.8 * float(bonds[center, neighbor])
        if cutoff < 1.5 * first:
            raise Error(
                f"a cutoff of {cutoff:g} Angstrom is too short for "
                f"{elements[center]}-{elements[neighbor]}, expected at least {1.5 * first:.2f}"
            )
        spacing = (cutoff - first) / 8
        return ((1 / (2 * spacing**2), first + k * spacing) for k in range(8))

    angular = [
        (1 / (2 * width**2), 0.0, zeta, lambda_)
        for width in (cutoff, cutoff / 2)
        for zeta in (1, 2, 4, 16)
        for lambda_ in (-1, 1)
    ]
    return _build(len(elements), radial, angular, cutoff)


def _pool(elements: Sequence[str], _distances: Floats, cutoff: float) -> _core.SymmetryFunctions:
    """Make a large set to choose from, after G. Imbalzano et al., J. Chem. Phys. 148, 241730 (2018), section II.B."""
    lengths = [cutoff / POOL_LENGTHS ** (m / POOL_LENGTHS) for m in range(POOL_LENGTHS + 1)]
    shifted = [(1 / (longer - length) ** 2, length) for longer, length in pairwise(lengths)]

    def radial(_center: int, _neighbor: int) -> Iterator[Shell]:
        return iter([*((1 / length**2, 0.0) for length in lengths), *shifted])

    angular = [(1 / length**2, 0.0, zeta, lambda_) for length in lengths for zeta in (1, 4, 16) for lambda_ in (-1, 1)]
    return _build(len(elements), radial, angular, cutoff)


def _build(
    n_elements: int,
    radial: Callable[[int, int], Iterator[Shell]],
    angular: Sequence[tuple[float, float, float, float]],
    cutoff: float,
    angular_type: int = ANGULAR,
) -> _core.SymmetryFunctions:
    """Make the functions of every centre: (eta, r_s) of each neighbour element, (eta, r_s, zeta, lambda) of each
    pair."""
    indices = range(n_elements)
    angular_functions = (
        SymmetryFunction(angular_type, center, j, k, eta=eta, rs=rs, zeta=zeta, lambda_=lambda_, cutoff=cutoff)
        for center in indices
        for j, k in combinations_with_replacement(indices, 2)
        for eta, rs, zeta, lambda_ in angular
    )
    return _core.SymmetryFunctions(n_elements, [*_radial(n_elements, radial, cutoff), *angular_functions])


def _radial(
    n_elements: int, radial: Callable[[int, int], Iterator[Shell]], cutoff: float
) -> Iterator[SymmetryFunction]:
    """Yield the functions of type 2: (eta, r_s) of each neighbour element of every centre."""
    for center, neighbor in product(range(n_elements), repeat=2):
        for eta, rs in radial(center, neighbor):
            yield SymmetryFunction(RADIAL, center, neighbor, eta=eta, rs=rs, cutoff=cutoff)


def _numbers(elements: Sequence[str]) -> list[int]:
    from ase.data import atomic_numbers

    return [atomic_numbers[element] for element in elements]


DEFAULT_PRESET = "standard"
PRESETS = {
    "standard": Preset(_standard, _standard_cutoff, STANDARD_OTHERS),
    "accurate": Preset(_accurate, _accurate_cutoff, ACCURATE_OTHERS),
    "simple-nn": Preset(_simple_nn, lambda _: SIMPLE_NN_CUTOFF),
    "fast": Preset(_fast, lambda _: FAST_CUTOFF),
    "auto": Preset(_auto, lambda _: SIMPLE_NN_CUTOFF),
    "pool": Preset(_pool, lambda _: SIMPLE_NN_CUTOFF),
}
