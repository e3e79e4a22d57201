"""sitewise's own contenders: whole steps and symmetry functions."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

import sitewise
from common import Unavailable, Work
from sitewise import Potential, SymmetryFunctions
from sitewise.structures import core_arrays

NUDGE = 1e-9  # Angstrom, forth and back: no list may rest on positions that are the same as before
PRECISIONS = ("float64", "float32")


@dataclass(frozen=True)
class Source:
    """A potential's directory and its units."""

    name: str
    path: str
    cflength: float = 1.0
    cfenergy: float = 1.0

    def load(self, precision: str = "float64") -> Potential:
        """The potential in one of PRECISIONS."""
        units = (self.cflength, self.cfenergy)
        if precision == "float64":
            return Potential.load(self.path, *units)
        if "precision" not in inspect.signature(Potential.load).parameters:
            raise Unavailable("this sitewise has no precision")
        extra: dict[str, Any] = {"precision": precision}
        return Potential.load(self.path, *units, **extra)


def source(text: str) -> Source:
    """From `NAME=DIR[:cflength:cfenergy]`; the name may be left out. For argparse."""
    name, separator, rest = text.rpartition("=")
    path, *units = rest.rsplit(":", 2)
    try:
        cflength, cfenergy = map(float, units or (1, 1))
    except ValueError:
        path, cflength, cfenergy = rest, 1.0, 1.0
    if not Path(path).is_dir():
        raise argparse.ArgumentTypeError(f"{path}: no such directory, expected NAME=DIR[:cflength:cfenergy]")
    return Source(name if separator else Path(path).name, path, cflength, cfenergy)


def step(potential: Potential, atoms: Atoms, skin: float = 0.0) -> Callable[[int], None]:
    """Energy, forces and all else that `evaluate` gives; with a skin the list is kept while atoms stay in it."""
    atoms, extra = atoms.copy(), {}
    if skin:
        if not hasattr(sitewise, "NeighborList"):
            raise Unavailable("this sitewise has no NeighborList")
        extra["neighbors"] = sitewise.NeighborList(potential.cutoff, skin=skin)

    def run(steps: int) -> None:
        for number in range(steps):
            atoms.positions += NUDGE if number % 2 else -NUDGE
            potential.evaluate(atoms, **extra)

    return run


def features(functions: SymmetryFunctions, atoms: Atoms) -> Work:
    """The values G."""

    def run(steps: int) -> None:
        for _ in range(steps):
            functions.evaluate(atoms)

    return Work(f"sitewise, {len(functions)} functions", run, len(atoms), "values")


def contracted(functions: SymmetryFunctions, atoms: Atoms) -> Work:
    """(dG/dr)^T u, as forces need it; dG/dr itself is never stored."""
    arrays = core_arrays(atoms, functions.elements, "the set of symmetry functions")
    u = np.random.default_rng(2).normal(size=functions.core.evaluate(*arrays).shape)

    def run(steps: int) -> None:
        for _ in range(steps):
            functions.core.evaluate(*arrays)
            functions.core.vjp(*arrays, u)

    return Work(f"sitewise, {len(functions)} functions, (dG/dr)^T u", run, len(atoms), "derivatives")


def precision_errors(origin: Source, atoms: Atoms) -> dict[str, Any]:
    """Largest force difference and energy difference of float32 and float64."""
    double, single = (origin.load(precision).evaluate(atoms) for precision in PRECISIONS)
    return {
        "name": origin.name,
        "atoms": len(atoms),
        "force_eV_per_angstrom": float(np.abs(single.forces - double.forces).max()),
        "energy_meV_per_atom": float(single.energy - double.energy) * 1000 / len(atoms),
    }
