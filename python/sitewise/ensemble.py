"""Ensembles: potentials trained on the same data from different first weights, their mean and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._core import Error
from .merging import merged
from .posterior import Bars
from .potential import Device, Evaluation, Potential, Precision
from .structures import Floats
from .symmetry import SymmetryFunctions, doubt_cutoff

if TYPE_CHECKING:
    from ase import Atoms

    from .calculator import SitewiseCalculator
    from .progress import Reporter


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleEvaluation(Evaluation):
    """The means over the members, and their sample standard deviations.

    Replicas that `train` makes disagree about atomic energies that the data leave open, so their spread shows these. It
    does not include errors that all members share, which have the same data and functions.

    Attributes
    ----------
    energy_spread
        Of the total energy, eV.
    energies_spread
        Of the atomic energies [n], eV.
    forces_spread
        Of the forces [n, 3], eV/Angstrom.
    """

    energy_spread: float
    energies_spread: Floats
    forces_spread: Floats


class Ensemble:
    """Several potentials of the same elements and symmetry functions, used as one.

    Parameters
    ----------
    members
        The potentials.

    Raises
    ------
    Error
        If there are fewer than two members, or if their elements or functions differ.
    """

    def __init__(self, members: Sequence[Potential]) -> None:
        self.members = tuple(members)
        if len(self.members) < 2:
            raise Error(f"an ensemble needs at least 2 potentials, found {len(self.members)}")
        self.core = _core.Ensemble([member.core for member in self.members])

    @classmethod
    def load(
        cls,
        path: str | Path,
        cflength: float = 1.0,
        cfenergy: float = 1.0,
        precision: Precision = "float64",
        device: Device = "cpu",
    ) -> Ensemble:
        """Read a directory whose subdirectories are potentials; see `Potential.load`.

        The subdirectories are 0, 1, ... or, as in committees of n2p2, RuNNer and CP2K, NAME1, NAME2, ... with the same
        NAME, for example nnp-1, nnp-2, ...

        Raises
        ------
        Error
            If a member is missing, if there are several NAMEs, or if `committee_size` is not the number of members.
        """
        members = _core.ensemble_members(str(path))
        return cls([Potential.load(member, cflength, cfenergy, precision, device) for member in members])

    def save(self, path: str | Path, comments: str = "") -> None:
        """Write the directory that `load` reads.

        Parameters
        ----------
        path
            The directory; member k is the subdirectory k, from 0.
        comments
            Lines for the head of each `input.nn`.

        Raises
        ------
        Error
            If the directory holds a larger ensemble, or cannot be written.
        """
        path = Path(path)
        names = {str(number) for number in range(len(self.members))}
        others = [member for member in _core.ensemble_members(str(path)) if Path(member).name not in names]
        if others:
            raise Error(f"{others[0]}: belongs to a larger ensemble")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Error(f"{path}: cannot be made: {error.strerror}") from None
        for number, member in enumerate(self.members):
            member.save(path / str(number), comments)

    def merged(self) -> Potential:
        """Return one potential with the means of energies and forces, to rounding: the networks side by side.

        It needs little more time than one member and is a potential for every code, but has no spreads.

        Raises
        ------
        Error
            If the networks cannot be merged: their layers or activations differ, they have `normalize_nodes` or no
            hidden layer, or their output is not linear.
        """
        return Potential(merged([member.core for member in self.members]))

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self.members)

    def evaluate(self, atoms: Atoms, neighbors: _core.NeighborList | None = None) -> EnsembleEvaluation:
        """Return the mean and the spread for a structure; see `Potential.evaluate`.

        `features` and `extrapolation` are those of the first member.
        """
        results = [member.evaluate(atoms, neighbors) for member in self.members]
        first = results[0]
        energy, energies, forces = (
            np.array([getattr(r, name) for r in results]) for name in ("energy", "energies", "forces")
        )
        stresses = [r.stress for r in results if r.stress is not None]
        return EnsembleEvaluation(
            energy=float(energy.mean()),
            energies=energies.mean(axis=0),
            forces=forces.mean(axis=0),
            stress=np.mean(stresses, axis=0) if stresses else None,
            features=first.features,
            extrapolation=first.extrapolation,
            energy_spread=float(energy.std(ddof=1)),
            energies_spread=energies.std(axis=0, ddof=1),
            forces_spread=forces.std(axis=0, ddof=1),
        )

    def evaluate_many(self, structures: Sequence[Atoms]) -> list[EnsembleEvaluation]:
        """Return the result of `evaluate` for each structure."""
        return [self.evaluate(atoms) for atoms in structures]

    def calculator(
        self, skin: float = 1.0, warn_every: int = 1000, stop_after: int | None = None
    ) -> SitewiseCalculator:
        """Return a calculator of the mean for ASE; see `Potential.calculator`.

        Its `results` also have `energy_spread` and `energies_spread`. It costs little more than the calculator of one
        member.
        """
        from .calculator import SitewiseCalculator

        return SitewiseCalculator(self, skin, warn_every, stop_after)

    def bars(self, atoms: Atoms) -> Bars:
        """Raise Error: an ensemble has no posterior; its members may have."""
        raise Error("an ensemble has no error bars, only its spread; one of its members may have them")

    def outside(self, atoms: Atoms, atom: int) -> str:
        """Return how far an atom is outside the training range of the first member; see `Potential.outside`."""
        return self.members[0].outside(atoms, atom)

    @property
    def device(self) -> str:
        """Return where the ensemble computes; see `Potential.device`."""
        return self.members[0].device

    @property
    def elements(self) -> tuple[str, ...]:
        """Return the chemical symbols, sorted by atomic number."""
        return self.members[0].elements

    @property
    def cutoff(self) -> float:
        """Return the largest cutoff of the symmetry functions, Angstrom."""
        return self.members[0].cutoff

    @property
    def functions(self) -> SymmetryFunctions:
        """Return the symmetry functions, in the order of the features."""
        return self.members[0].functions

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies and pickles possible: the object of the extension is made anew."""
        state = {name: value for name, value in self.__dict__.items() if name != "core"}
        return _remade, (type(self), self.members), state

    def __repr__(self) -> str:
        return f"Ensemble({len(self.members)} x {self.members[0]!r})"


def _remade(kind: type[Ensemble], members: Sequence[Potential]) -> Ensemble:
    ensemble = kind.__new__(kind)
    Ensemble.__init__(ensemble, members)
    return ensemble


SPREADS = tuple(field.name for field in fields(EnsembleEvaluation) if field.name.endswith("_spread"))


def load_potential(
    path: str | Path,
    cflength: float = 1.0,
    cfenergy: float = 1.0,
    device: Device = "cpu",
    reporter: Reporter | None = None,
) -> Potential | Ensemble:
    """Load a potential or an ensemble, whichever the directory or the folder of a training run holds; see
    `Potential.load`.

    The reporter, if given, warns of a cutoff that may be in another unit.

    Raises
    ------
    Error
        As `Potential.load` and `Ensemble.load`.
    """
    kind = Ensemble if _core.ensemble_members(str(path)) else Potential
    loaded: Potential | Ensemble = kind.load(path, cflength, cfenergy, device=device)
    if reporter is not None:
        doubt_cutoff(loaded.functions, path, cflength, reporter)
    return loaded
