"""Oracles that label structures: a calculator of ASE, a command, or the user during a pause."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Error
from ..files import make_folder, remove_leftovers
from ..io.dataset import Dataset
from ..io.extxyz import write_structures
from ..mapping.models import load_calculator
from ..progress import Reporter, Silent
from ..structures import Structure
from ..text import printable
from .commands import run_command
from .settings import Oracle

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator

INPUTS, OUTPUTS = "inputs", "outputs"
MOVED = 1e-3  # Angstrom, by which an output may differ from its input


class Waiting(Exception):
    """Labels are missing; the message names them and what the user is to do."""


def labelled(
    table: Oracle, given: BaseCalculator | None, structures: Dataset, folder: Path, reporter: Reporter
) -> Dataset:
    """Return structures with labels; those at which a calculator fails are left out with a warning.

    Parameters
    ----------
    table
        The oracle.
    given
        A calculator that replaces the oracle's; None for the oracle's own.
    structures
        Structures without labels.
    folder
        Folder for inputs and outputs, one file for each structure; existing outputs are not computed again.
    reporter
        Reports the progress.

    Raises
    ------
    Error
        The oracle fails (a calculator: at all structures), or its labels are not those of the structures.
    Waiting
        The inputs are written, and outputs are missing.
    """
    for part in (INPUTS, OUTPUTS):
        remove_leftovers(folder / part)
    make_folder(folder / OUTPUTS)
    names = [f"{k:03d}.xyz" for k in range(len(structures))]
    asked = dict(zip(names, structures, strict=True))
    if given is not None or table.calculator:
        calculator = given or load_calculator(str(table.calculator), Path(table.folder))
        _calculate(calculator, table.calculator or "the oracle", asked, folder, reporter)
        names = [name for name in names if (folder / OUTPUTS / name).exists()]
    else:
        _obtain(table, asked, folder, reporter)
    return Dataset([_read(folder / OUTPUTS / name, structures[int(name[:-4])]) for name in names])


def _calculate(
    calculator: Any, name: str, structures: Mapping[str, Structure], folder: Path, reporter: Reporter
) -> None:
    """Write each output as soon as it is computed, which may take hours."""
    failure = ""
    with reporter.task("labels", len(structures), lines=True) as advance:
        for file, s in structures.items():
            if not (folder / OUTPUTS / file).exists():
                try:
                    found = labelled_by(calculator, s)
                except Exception as error:  # whatever another code raises
                    failure = f"{s.source}: {name} fails: {type(error).__name__}: {printable(error, 400)}"
                    reporter.warn(f"{failure}; it is left out")
                else:
                    write_structures(folder / OUTPUTS / file, [found])
            advance()
    if not any((folder / OUTPUTS / file).exists() for file in structures):
        raise Error(failure)


def labelled_by(calculator: Any, s: Structure) -> Structure:
    """Return a structure with a calculator's labels; raise Error if one is not finite, or what the calculator does."""
    atoms = s.atoms.copy()
    atoms.calc = calculator
    energy, forces, stress = float(atoms.get_potential_energy()), np.array(atoms.get_forces(), dtype=np.float64), None
    if atoms.pbc.all():
        with suppress(NotImplementedError):  # ASE's PropertyNotImplementedError is one
            stress = np.array(atoms.get_stress(), dtype=np.float64)
    if not all(np.isfinite(label).all() for label in (energy, forces, *(() if stress is None else (stress,)))):
        raise Error("energy, forces or stress are not finite")
    return Structure(s.atoms, energy, forces, stress, s.group, s.source)


def _obtain(table: Oracle, structures: Mapping[str, Structure], folder: Path, reporter: Reporter) -> None:
    inputs, outputs = folder / INPUTS, folder / OUTPUTS
    make_folder(inputs)
    for name, s in structures.items():
        if not (inputs / name).exists():
            write_structures(inputs / name, [s])
    missing = [name for name in structures if not (outputs / name).exists()]
    if missing and table.pause:
        raise Waiting(
            f"label the structures in {inputs} and write them to {outputs} under the same names "
            f"({len(missing)} of {len(structures)} are missing), then run the same command again"
        )
    if missing:
        assert table.command is not None
        reporter.say(f"{table.command}: {len(structures)} structures to label")
        run_command(table.command, Path(table.folder), inputs, outputs)
        missing = [name for name in structures if not (outputs / name).exists()]
        if missing:
            raise Error(f"{table.command}: has not written {outputs / missing[0]}")


def _read(path: Path, expected: Structure) -> Structure:
    """Read a labelled structure; raise Error if it is another one than expected or has no energy or forces."""
    found = Dataset.read(path, reporter=Silent())
    if len(found) != 1:
        raise Error(f"{path}: has {len(found)} structures, expected 1")
    s = found[0]
    one, other = s.atoms, expected.atoms
    same = np.array_equal(one.numbers, other.numbers) and np.array_equal(one.pbc, other.pbc)
    if not same or max(np.abs(one.positions - other.positions).max(), np.abs(one.cell - other.cell).max()) > MOVED:
        raise Error(f"{path}: is not the input, expected the same elements, order, positions, cell and periodicity")
    for label in ("energy", "forces"):
        if getattr(s, label) is None:
            raise Error(f"{path}: has no {label}")
    return Structure(expected.atoms, s.energy, s.forces, s.stress, expected.group, str(path))
