"""Models whose atomic energies are judged: potentials, ASE calculators, and columns of files."""

from __future__ import annotations

import importlib
import re
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Error
from ..evaluation.comparison import evaluate_all
from ..io.dataset import Dataset
from ..potential import Evaluation, Potential
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Floats, Structure
from ..text import printable

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

UNEQUAL, ROUNDING = 1e-4, 1e-6  # eV/atom, and part of the total, by which a sum of atomic energies may differ from it
FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Model(ABC):
    """A model that divides total energies into atomic energies.

    Attributes
    ----------
    name
        Its name in messages.
    """

    name: str

    @abstractmethod
    def energies(self, structure: Structure) -> Floats:
        """Return the atomic energies of a structure [n], eV; raise Error, which names its source, if there are none."""

    def knows(self, structure: Structure) -> bool:
        """Return whether the model has atomic energies of a structure."""
        return True

    def of_all(self, data: Dataset, reporter: Reporter, ranks: Ranks | None = None) -> Floats:
        """Return the energies of all atoms of a data set [n], eV; ranks share those of a potential."""
        with reporter.task("atomic energies", data.n_atoms, lines=True) as advance:
            found = []
            for structure in data:
                found.append(self.energies(structure))
                advance(len(structure.atoms))
        return np.concatenate(found)


class PotentialModel(Model):
    """A potential of this package, in eV and Angstrom."""

    def __init__(self, potential: Potential, name: str = "potential") -> None:
        self.potential, self.name = potential, name

    def energies(self, structure: Structure) -> Floats:
        with structure.named():
            return self.potential.evaluate(structure.atoms).energies

    def of_all(self, data: Dataset, reporter: Reporter, ranks: Ranks | None = None) -> Floats:
        each = evaluate_all(self.potential, data, "atomic energies", reporter, _energies_of, ranks=ranks)
        return np.concatenate([*each])


def _energies_of(_: Structure, result: Evaluation) -> Floats:
    return result.energies


class CalculatorModel(Model):
    """A calculator of ASE that gives `energies`."""

    def __init__(self, calculator: Calculator, name: str) -> None:
        self.calculator, self.name = calculator, name

    def energies(self, structure: Structure) -> Floats:
        from ase.calculators.calculator import PropertyNotImplementedError

        atoms = structure.atoms.copy()
        try:
            total = float(self.calculator.get_property("energy", atoms))
            found = self.calculator.get_property("energies", atoms)
        except PropertyNotImplementedError:
            raise Error(
                f"{self.name} gives no `energies`, the atomic energies of ASE's calculators, but "
                f"{', '.join(map(str, self.calculator.implemented_properties)) or 'nothing'}"
            ) from None
        except Exception as error:  # whatever another code raises
            raise Error(f"{structure.source}: {self.name} fails: {_described(error)}") from error
        energies = _checked(found, structure, f"`energies` of {self.name}")
        off = abs(energies.sum() - total)
        if not (np.isfinite(total) and off <= UNEQUAL * len(atoms) + ROUNDING * abs(total)):
            raise Error(
                f"{structure.source}: the `energies` of {self.name} sum to {energies.sum():.6g} eV, its total is "
                f"{total:.6g} eV: atomic energies are expected whose sum is the total energy"
            )
        return energies


class ColumnModel(Model):
    """A column of extended XYZ with the atomic energies that another code wrote.

    Parameters
    ----------
    name
        Name of the column.
    unit
        Its unit in eV.
    """

    def __init__(self, name: str, unit: float) -> None:
        self.name, self._unit = name, unit

    def knows(self, structure: Structure) -> bool:
        return self.name in structure.atoms.arrays

    def energies(self, structure: Structure) -> Floats:
        if not self.knows(structure):
            raise Error(f"{structure.source}: has no column {printable(self.name)} of atomic energies")
        return self._unit * _checked(structure.atoms.arrays[self.name], structure, f"column {printable(self.name)}")


def load_model(given: str, cflength: float, cfenergy: float, unit: float) -> Model:
    """Return the model that a user names.

    Parameters
    ----------
    given
        Directory of a potential, or MODULE:NAME of a calculator of ASE (an instance, or a class or function that makes
        one when it is called), or the name of a column of the files with the structures.
    cflength, cfenergy
        Units of a potential, as of `Potential.load`.
    unit
        Unit of a column, eV.

    Raises
    ------
    Error
        There is no such directory, module or calculator.
    """
    if FACTORY.fullmatch(given) and not Path(given).exists():
        return CalculatorModel(load_calculator(given), given)
    if Path(given).exists() or not re.fullmatch(r"\w+", given):
        return PotentialModel(Potential.load(Path(given), cflength, cfenergy), given)
    return ColumnModel(given, unit)


def as_model(given: Potential | Model) -> Model:
    """Return a model as it is, and a potential as a model."""
    return given if isinstance(given, Model) else PotentialModel(given)


def load_calculator(given: str, where: Path | None = None) -> Any:
    """Return the calculator of ASE that MODULE:NAME names.

    Parameters
    ----------
    given
        MODULE:NAME.
    where
        Folder in which the module may be; by default the one in which the command runs.

    Raises
    ------
    Error
        The calculator cannot be imported or made, or is no calculator.
    """
    module, _, name = given.partition(":")
    folder = str(where or Path.cwd())
    sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        made = found() if isinstance(found, type) or _is_function(found) else found
    except Exception as error:  # whatever another code raises
        raise Error(f"{given}: cannot be loaded: {_described(error)}") from error
    finally:
        sys.path.remove(folder)
    if not hasattr(made, "get_property"):
        raise Error(f"{given}: is a {type(made).__name__}, expected a calculator of ASE or what makes one")
    return made


def _is_function(found: Any) -> bool:
    return callable(found) and not hasattr(found, "get_property")


def _checked(found: Any, structure: Structure, name: str) -> Floats:
    """Return atomic energies as an array [n]; raise Error if they are none."""
    try:
        energies = np.array(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise Error(f"{structure.source}: {name} is not an array of numbers") from None
    if energies.shape != (len(structure.atoms),):
        raise Error(f"{structure.source}: {name} has shape {energies.shape}, expected ({len(structure.atoms)},)")
    if not np.isfinite(energies).all():
        atom = int(np.flatnonzero(~np.isfinite(energies))[0])
        raise Error(f"{structure.source}: {name} is not finite at atom {atom}")
    return energies


def _described(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, 400)
