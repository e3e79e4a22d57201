"""Sets of symmetry functions for given elements: named presets, files, and an automatic choice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import _core
from ._core import Error, SymmetryFunction
from .progress import Reporter
from .structures import Floats, by_atomic_number, core_arrays
from .text import PATH, printable

if TYPE_CHECKING:
    from ase import Atoms

TYPES = {kind.number: kind for kind in _core.function_types()}
RADIAL, ANGULAR, WIDE_ANGULAR = 2, 3, 9  # not weighted, not compact

# The stock set of SIMPLE-NN (K. Lee et al., Comput. Phys. Commun. 242, 95 (2019)); eta in 1/Angstrom^2.
SIMPLE_NN_CUTOFF = 6.0
SIMPLE_NN_RADIAL = (0.003214, 0.035711, 0.071421, 0.124987, 0.214264, 0.357106, 0.714213, 1.428426)
SIMPLE_NN_ANGULAR = [
    (eta, zeta, lambda_) for eta in (0.000357, 0.028569, 0.089277) for zeta in (1, 2, 4) for lambda_ in (-1, 1)
]

# Functions of type 9 with zeta up to 4 need only moments up to order 4, whose cost is linear in the neighbours.
FAST_CUTOFF = 5.0
FAST_ANGULAR = [(eta, zeta, lambda_) for eta in (0.000357, 0.05, 0.15) for zeta in (1, 2, 3, 4) for lambda_ in (-1, 1)]

POOL_LENGTHS = 8

LARGEST_CUTOFF = 9.0  # Angstrom


class SymmetryFunctions:
    """The functions that describe the environment of an atom, and the elements that they are for.

    Parameters
    ----------
    elements
        Chemical symbols, sorted by atomic number.
    core
        The functions; their element indices refer to `elements`.

    Raises
    ------
    Error
        If the number of elements differs.
    """

    def __init__(self, elements: Sequence[str], core: _core.SymmetryFunctions) -> None:
        if len(elements) != core.n_elements:
            raise Error(f"{len(elements)} elements are given, the functions are for {core.n_elements}")
        self.elements = tuple(elements)
        self.core = core

    @classmethod
    def preset(cls, name: str, elements: Sequence[str], cutoff: float | None = None) -> SymmetryFunctions:
        """Make a preset set of functions.

        Parameters
        ----------
        name
            - "simple-nn": the stock set of SIMPLE-NN, K. Lee et al., Comput. Phys. Commun. 242, 95 (2019). For each
              neighbour element it has 8 functions of type 2 with r_s = 0, for each unordered pair of elements 18 of
              type 3; cutoff 6 Angstrom.
            - "fast": the same functions of type 2 and, for each pair, 24 of type 9 that are computed from moments,
              several times faster; cutoff 5 Angstrom.
            - "auto" and "pool": see the methods; cutoff 6 Angstrom.
        elements
            Chemical symbols in any order.
        cutoff
            Angstrom; that of the preset if not given.

        Raises
        ------
        Error
            If there is no such preset or element, or if the cutoff is not positive and finite.
        """
        if name not in PRESETS:
            raise Error(f'there is no preset "{name}" of symmetry functions, expected {" or ".join(PRESETS)}')
        make, own_cutoff = PRESETS[name]
        return make(elements, own_cutoff if cutoff is None else cutoff)

    @classmethod
    def auto(cls, elements: Sequence[str], cutoff: float) -> SymmetryFunctions:
        """Make a set for the size of the elements and the cutoff (Angstrom), without data.

        For each neighbour element it has 8 functions of type 2, shifted to equispaced r_s from 0.8 times the sum of the
        covalent radii up to one spacing D before the cutoff, with eta = 1/(2 D^2) (the shifted set of M. Gastegger et
        al., J. Chem. Phys. 148, 241709 (2018)). For each unordered pair of elements it has 16 functions of type 3: eta
        = 1/(2 w^2) with the widths w = cutoff and cutoff/2, zeta 1, 2, 4, 16 and lambda -1, 1 (after G. Imbalzano et
        al., J. Chem. Phys. 148, 241730 (2018)).

        Raises
        ------
        Error
            If there is no such element, or if the cutoff does not reach beyond the bonds.
        """
        from ase.data import atomic_numbers, covalent_radii

        elements = by_atomic_number(elements)
        radii = [float(covalent_radii[atomic_numbers[symbol]]) for symbol in elements]

        def radial(center: int, neighbor: int) -> Iterator[tuple[float, float]]:
            first = 0.8 * (radii[center] + radii[neighbor])
            if cutoff < 1.5 * first:
                raise Error(
                    f"a cutoff of {cutoff:g} Angstrom is too short for "
                    f"{elements[center]}-{elements[neighbor]}, expected at least {1.5 * first:.2f}"
                )
            spacing = (cutoff - first) / 8
            return ((1 / (2 * spacing**2), first + k * spacing) for k in range(8))

        angular = [
            (1 / (2 * width**2), zeta, lambda_)
            for width in (cutoff, cutoff / 2)
            for zeta in (1, 2, 4, 16)
            for lambda_ in (-1, 1)
        ]
        return cls(elements, _build(len(elements), radial, angular, cutoff))

    @classmethod
    def pool(cls, elements: Sequence[str], cutoff: float) -> SymmetryFunctions:
        """Make a large set to choose from, after G. Imbalzano et al., J. Chem. Phys. 148, 241730 (2018), section II.B.

        The lengths R_m = cutoff/n^(m/n) with n = 8 form a geometric series. For each neighbour element the set has
        functions of type 2 with r_s = 0 and eta = 1/R_m^2 (m = 0..n), and with r_s = R_m and eta = 1/(R_(m-1) - R_m)^2
        (m = 1..n). For each unordered pair of elements it has functions of type 3 with eta = 1/R_m^2, zeta 1, 4, 16 and
        lambda -1, 1. These are 71 functions for one element, and 196 for each of two.

        Raises
        ------
        Error
            If there is no such element, or if the cutoff (Angstrom) is not positive and finite.
        """
        elements = by_atomic_number(elements)
        lengths = [cutoff / POOL_LENGTHS ** (m / POOL_LENGTHS) for m in range(POOL_LENGTHS + 1)]
        shifted = [(1 / (longer - length) ** 2, length) for longer, length in pairwise(lengths)]

        def radial(_center: int, _neighbor: int) -> Iterator[tuple[float, float]]:
            return iter([*((1 / length**2, 0.0) for length in lengths), *shifted])

        angular = [(1 / length**2, zeta, lambda_) for length in lengths for zeta in (1, 4, 16) for lambda_ in (-1, 1)]
        return cls(elements, _build(len(elements), radial, angular, cutoff))

    @classmethod
    def from_input(cls, path: str, cflength: float = 1.0) -> SymmetryFunctions:
        """Read the functions of an `input.nn`; its networks and scaling need not exist.

        Parameters
        ----------
        path
            The file.
        cflength
            1 Angstrom in the file's unit of length: 1.8897261328 for a file in Bohr.

        Raises
        ------
        Error
            If the file is missing or wrong, with its name and line.
        """
        return cls(*_core.read_functions(str(path), cflength))

    @property
    def cutoff(self) -> float:
        """Return the largest cutoff, Angstrom."""
        return self.core.cutoff

    def of(self, element: str) -> list[SymmetryFunction]:
        """Return the functions of a central element, in the order of the features."""
        return self.core.functions(self.elements.index(element))

    def without(self, dropped: Collection[tuple[str, int]]) -> SymmetryFunctions:
        """Return the set without some functions, each given by its central element and its place from 0."""
        kept = [
            function
            for element in self.elements
            for place, function in enumerate(self.of(element))
            if (element, place) not in dropped
        ]
        return _of(self.elements, kept, self.core.cutoff_type, self.core.alpha)

    def evaluate(self, atoms: Atoms) -> Floats:
        """Compute the raw functions G of each atom.

        Returns
        -------
        array [n, max_count]
            Not scaled; NaN behind the last function of an atom's element.

        Raises
        ------
        Error
            If the structure has an element that the functions are not for, or bad coordinates.
        """
        arrays = core_arrays(atoms, self.elements, "the set of symmetry functions")
        return self.core.evaluate(*arrays)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield a printable row for each function: the columns of `COLUMNS`, empty if a type has no such parameter."""
        for center in self.elements:
            for number, f in enumerate(self.of(center), start=1):
                neighbors = [self.elements[k] for k in (f.neighbor1, f.neighbor2) if k >= 0]
                head = (center, str(number), str(f.type), " ".join(neighbors) or "all")
                yield (*head, *_shape(f), f"{f.cutoff:g}")

    def __len__(self) -> int:
        return sum(self.core.count(e) for e in range(len(self.elements)))

    def __repr__(self) -> str:
        counts = ", ".join(f"{e} {self.core.count(i)}" for i, e in enumerate(self.elements))
        return f"SymmetryFunctions({counts}; cutoff {self.cutoff:g} Angstrom)"

    def __str__(self) -> str:
        columns = [(title, *cells) for title, *cells in zip(COLUMNS, *self.rows(), strict=True) if any(cells)]
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in zip(*columns, strict=True)
        ]
        return "\n".join([repr(self), *lines])


def _of(
    elements: Sequence[str], functions: Sequence[SymmetryFunction], cutoff_type: int, alpha: float
) -> SymmetryFunctions:
    from ase.data import atomic_numbers

    numbers = [atomic_numbers[element] for element in elements]
    core = _core.SymmetryFunctions(len(elements), functions, cutoff_type, alpha, numbers)
    return SymmetryFunctions(elements, core)


# The attributes that define a function
PARAMETERS = (
    *("type", "center", "neighbor1", "neighbor2", "eta", "rs", "lambda_", "zeta", "cutoff"),
    *("left", "angle_left", "angle_right", "subtype"),
)

# Columns of parameters that only some types have: title, columns of input.nn that it stands for, format of a cell
SHOWN = (
    ("eta (1/A^2)", {"eta"}, "{0.eta:.6g}"),
    ("r_s (A)", {"rs", "[rs]"}, "{0.rs:.4g}"),
    ("lambda", {"lambda"}, "{0.lambda_:+g}"),
    ("zeta", {"zeta"}, "{0.zeta:g}"),
    ("shape", {"subtype"}, "{0.subtype}"),
    ("left (A)", {"rl"}, "{0.left:g}"),
    ("angles (deg)", {"angle_left", "angle_right"}, "{0.angle_left:g} to {0.angle_right:g}"),
)

COLUMNS = ("atom", "no.", "type", "neighbours", *(title for title, _, _ in SHOWN), "cutoff (A)")


def _shape(f: SymmetryFunction) -> Iterator[str]:
    """Yield the cells of `SHOWN`, empty for what the type does not have."""
    own = TYPES[f.type].columns
    return (form.format(f) if columns.intersection(own) else "" for _, columns, form in SHOWN)


def _simple_nn(elements: Sequence[str], cutoff: float) -> SymmetryFunctions:
    symbols = by_atomic_number(elements)
    return SymmetryFunctions(symbols, _build(len(symbols), _simple_nn_radial, SIMPLE_NN_ANGULAR, cutoff))


def _fast(elements: Sequence[str], cutoff: float) -> SymmetryFunctions:
    symbols = by_atomic_number(elements)
    return SymmetryFunctions(symbols, _build(len(symbols), _simple_nn_radial, FAST_ANGULAR, cutoff, WIDE_ANGULAR))


def _simple_nn_radial(_center: int, _neighbor: int) -> Iterator[tuple[float, float]]:
    return ((eta, 0.0) for eta in SIMPLE_NN_RADIAL)


def _build(
    n_elements: int,
    radial: Callable[[int, int], Iterator[tuple[float, float]]],
    angular: Sequence[tuple[float, float, float]],
    cutoff: float,
    angular_type: int = ANGULAR,
) -> _core.SymmetryFunctions:
    """Make the functions of every centre: (eta, r_s) of each neighbour element, (eta, zeta, lambda) of each pair."""
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise Error(f"the cutoff is {cutoff:g} Angstrom, expected a positive length")
    indices = range(n_elements)
    functions = [
        SymmetryFunction(RADIAL, center, neighbor, eta=eta, rs=rs, cutoff=cutoff)
        for center in indices
        for neighbor in indices
        for eta, rs in radial(center, neighbor)
    ]
    functions += [
        SymmetryFunction(angular_type, center, j, k, eta=eta, zeta=zeta, lambda_=lambda_, cutoff=cutoff)
        for center in indices
        for j, k in combinations_with_replacement(indices, 2)
        for eta, zeta, lambda_ in angular
    ]
    return _core.SymmetryFunctions(n_elements, functions)


# The function that makes each preset, and its own cutoff in Angstrom
PRESETS: dict[str, tuple[Callable[[Sequence[str], float], SymmetryFunctions], float]] = {
    "simple-nn": (_simple_nn, SIMPLE_NN_CUTOFF),
    "fast": (_fast, FAST_CUTOFF),
    "auto": (SymmetryFunctions.auto, SIMPLE_NN_CUTOFF),
    "pool": (SymmetryFunctions.pool, SIMPLE_NN_CUTOFF),
}


def doubt_cutoff(functions: SymmetryFunctions, path: str | Path, cflength: float, reporter: Reporter) -> None:
    """Warn if the cutoff of a file's functions is so large that it may be in Bohr."""
    if cflength == 1 and functions.cutoff > LARGEST_CUTOFF:
        reporter.warn(
            f"{printable(path, PATH)}: the cutoff of the symmetry functions is {functions.cutoff:.4g} Angstrom: it may "
            "be in Bohr (cflength 1.8897261328)"
        )
