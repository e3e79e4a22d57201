"""The potential as a calculator of ASE."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from . import _core
from ._core import Error
from .ensemble import Ensemble
from .potential import Potential
from .structures import VOIGT, Floats, core_arrays

if TYPE_CHECKING:
    from ase import Atoms


class ExtrapolationWarning(UserWarning):
    """An atom's environment is outside the range of the training set."""


class SitewiseCalculator(Calculator):
    """Energy, free_energy, energies, forces, stress and stresses for ASE's optimisers, dynamics and the rest.

    Made by `Potential.calculator` or `Ensemble.calculator`. `results` also has `extrapolation` [n], how many functions
    of each atom are outside the training range, and of an ensemble `energy_spread` and `energies_spread` [n] (eV).
    `stresses` are shared among atoms as the heat current needs it and add up to `stress`; both exist for structures
    that are periodic in three directions.

    Parameters
    ----------
    potential
        The potential or ensemble.
    skin
        By how much the neighbour list reaches beyond the cutoff, Angstrom; it is built anew once atoms have moved
        by half of it.
    warn_every
        An `ExtrapolationWarning` is given by the first calculation outside the training range, and then at most one
        each so many calculations; 0 for none.
    stop_after
        Raise Error once more functions have been outside, summed over atoms and calculations; None for no limit.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012
    name = "sitewise"

    def __init__(
        self, potential: Potential | Ensemble, skin: float = 1.0, warn_every: int = 1000, stop_after: int | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.potential = potential
        self.warn_every = warn_every
        self.stop_after = stop_after
        self.extrapolations = 0  # functions, summed over atoms and calculations
        self._neighbors = _core.NeighborList(potential.cutoff, skin)
        self._silent = 0  # calculations before the next warning

    def __deepcopy__(self, memo: dict[int, Any]) -> SitewiseCalculator:
        """A calculator with a neighbour list of its own, which shares the potential."""
        copied = SitewiseCalculator(self.potential, self._neighbors.skin, self.warn_every, self.stop_after)
        copied.atoms, copied.results = deepcopy((self.atoms, self.results), memo)
        copied.extrapolations, copied._silent = self.extrapolations, self._silent
        return copied

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fills `results`; called by ASE.

        Raises
        ------
        Error
            As `Potential.evaluate`, and where `stop_after` is exceeded.
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        assert self.atoms is not None
        copied = self.atoms
        arrays = core_arrays(copied, self.potential.elements, "the potential")
        wanted = "stresses" in properties
        kept = self._neighbors if self.potential.device == "cpu" else None  # a device builds its own in less time
        result = self.potential.core.compute(*arrays, virials=wanted, neighbors=kept)
        self.results: dict[str, Any] = {
            "energy": result["energy"],
            "free_energy": result["energy"],
            "energies": result["energies"],
            "forces": result["forces"],
            "extrapolation": result["extrapolations"],
            **{name: result[name] for name in ("energy_spread", "energies_spread") if name in result},
        }
        if copied.pbc.all():
            self.results["stress"] = _voigt(result["virial"]) / copied.cell.volume
            if wanted:
                self.results["stresses"] = _voigt(result["virials"]) / copied.cell.volume
        self._watch(copied)

    def _watch(self, atoms: Atoms) -> None:
        """Warns of extrapolation, or stops."""
        counts = self.results["extrapolation"]
        self.extrapolations += int(counts.sum())
        stop = self.stop_after is not None and self.extrapolations > self.stop_after
        warn = self.warn_every > 0 and counts.any() and self._silent <= 0
        self._silent = self.warn_every if warn else self._silent
        self._silent -= 1
        if not stop and not warn:
            return
        text = (
            f"{np.count_nonzero(counts)} of {len(counts)} atoms are outside the training range; "
            f"{self.potential.outside(atoms, int(counts.argmax()))}"
        )
        if stop:
            raise Error(f"{text}; {self.extrapolations} functions so far, stop_after allows {self.stop_after}")
        warnings.warn(text, ExtrapolationWarning, stacklevel=2)


def _voigt(virial: Floats) -> Floats:
    """Symmetric parts of tensors [..., 3, 3] in ASE's order [..., 6]."""
    symmetric: Floats = (virial + np.swapaxes(virial, -1, -2)) / 2
    return symmetric[..., VOIGT[0], VOIGT[1]]
