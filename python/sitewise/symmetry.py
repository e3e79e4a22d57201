"""Sets of symmetry functions for given elements, from presets and files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import _core
from ._core import Error, SymmetryFunction
from .presets import CONTRACTIONS, PRESETS, covalent_distances
from .progress import Reporter
from .structures import Floats, by_atomic_number, core_arrays
from .text import PATH, printable

if TYPE_CHECKING:
    from ase import Atoms

TYPES = {kind.number: kind for kind in _core.function_types()}
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
    def preset(
        cls, name: str, elements: Sequence[str], cutoff: float | None = None, distances: Floats | None = None
    ) -> SymmetryFunctions:
        """Make a preset set of functions; docs/reference.md describes each.

        Parameters
        ----------
        name
            Name of the preset.
        elements
            Chemical symbols in any order.
        cutoff
            Angstrom; that of the preset if not given.
        distances
            Nearest distances of the data [n, n], Angstrom, see `presets.nearest_distances`; the sums of the covalent
            radii if not given.

        Raises
        ------
        Error
            If there is no such preset or element, or if the cutoff is not positive and finite.
        """
        if name not in PRESETS:
            raise Error(f'there is no preset "{name}" of symmetry functions, expected {" or ".join(PRESETS)}')
        symbols = by_atomic_number(elements)
        lengths = covalent_distances(symbols) if distances is None else distances
        preset = PRESETS[name]
        length = preset.cutoff(lengths) if cutoff is None else cutoff
        if not (np.isfinite(length) and length > 0):
            raise Error(f"the cutoff is {length:g} Angstrom, expected a positive length")
        return cls(symbols, preset.make(symbols, lengths, length))

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
                neighbors = [self.elements[k] if k >= 0 else SUMS[k] for k in _neighbors(f) if k != -1]
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
    *("neighbor3", "neighbor4", "eta2", "eta3", "eta4", "rs2", "rs3", "rs4"),
    *("power1", "power2", "power3", "power4"),
)

# What stands for an element where a shell of types 33 to 35 has them all
SUMS = {SymmetryFunction.all: "all", SymmetryFunction.all_by_number: "Z"}

# Columns of parameters that only some types have: title, columns of input.nn that it stands for with their formats,
# and what stands between them
SHOWN: tuple[tuple[str, dict[str, str], str], ...] = (
    ("eta (1/A^2)", {c: f"{{0.{c}:.6g}}" for c in ("eta", "eta2", "eta3", "eta4")}, " "),
    ("r_s (A)", {"[rs]": "{0.rs:.4g}", **{c: f"{{0.{c}:.4g}}" for c in ("rs", "rs2", "rs3", "rs4")}}, " "),
    ("lambda", {"lambda": "{0.lambda_:+g}"}, ""),
    ("zeta", {"zeta": "{0.zeta:g}"}, ""),
    ("powers", {f"p{k}": f"{{0.power{k}:g}}" for k in (1, 2, 3, 4)}, " "),
    ("shape", {"subtype": "{0.subtype}"}, ""),
    ("left (A)", {"rl": "{0.left:g}"}, ""),
    ("angles (deg)", {"angle_left": "{0.angle_left:g}", "angle_right": "{0.angle_right:g}"}, " to "),
)

COLUMNS = ("atom", "no.", "type", "neighbours", *(title for title, _, _ in SHOWN), "cutoff (A)")


def _shape(f: SymmetryFunction) -> Iterator[str]:
    """Yield the cells of `SHOWN`, empty for what the type does not have."""
    own = TYPES[f.type].columns
    return (between.join(form.format(f) for c, form in columns.items() if c in own) for _, columns, between in SHOWN)


def _neighbors(f: SymmetryFunction) -> tuple[int, int, int, int]:
    return f.neighbor1, f.neighbor2, f.neighbor3, f.neighbor4


def only_here(functions: SymmetryFunctions) -> bool:
    """Return whether some functions are of types that no other code has."""
    return any(f.type in CONTRACTIONS for element in functions.elements for f in functions.of(element))


def doubt_cutoff(functions: SymmetryFunctions, path: str | Path, cflength: float, reporter: Reporter) -> None:
    """Warn if the cutoff of a file's functions is so large that it may be in Bohr."""
    if cflength == 1 and functions.cutoff > LARGEST_CUTOFF:
        reporter.warn(
            f"{printable(path, PATH)}: the cutoff of the symmetry functions is {functions.cutoff:.4g} Angstrom: it may "
            "be in Bohr (cflength 1.8897261328)"
        )
