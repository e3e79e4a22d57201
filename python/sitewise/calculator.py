"""A potential or an ensemble as a calculator for ASE."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase.calculators.calculator import Calculator, all_changes, compare_atoms

from . import _core
from ._core import Error
from .posterior import Bars
from .structures import VOIGT, Floats, core_arrays

if TYPE_CHECKING:
    from ase import Atoms


class ExtrapolationWarning(UserWarning):
    """A warning that an atom's environment is outside the range of the training set."""


class Model(Protocol):
    """What a calculator computes with: a `Potential` or an `Ensemble`."""

    @property
    def core(self) -> _core.Potential | _core.Ensemble: ...
    @property
    def elements(self) -> tuple[str, ...]: ...
    @property
    def cutoff(self) -> float: ...
    @property
    def device(self) -> str: ...
    def outside(self, atoms: Atoms, atom: int) -> str: ...
    def bars(self, atoms: Atoms) -> Bars: ...


@dataclass
class _State:
    """The state that each thread keeps for itself."""

    atoms: Atoms | None
    results: dict[str, Any]
    neighbors: _core.NeighborList
    extrapolations: int = 0
    silent: int = 0  # calculations until the next warning


class SitewiseCalculator(Calculator):
    """A calculator of energy, free_energy, energies, forces, stress and stresses for ASE.

    `Potential.calculator` and `Ensemble.calculator` make calculators. `results` also has `extrapolation` [n], the
    counts of `Evaluation.extrapolation`, for an ensemble `energy_spread` and `energies_spread`
    [n] (eV), and with `bars` the error bars `energy_bar`, `energies_bar` [n] (eV) and `forces_bar` [n, 3]
    (eV/Angstrom). `stresses` are divided among the atoms as the heat current requires, and add up to
    `stress`; both exist for structures that are periodic in three directions.

    Threads may share a calculator: `atoms`, `results`, `extrapolations` and the neighbour list belong to each thread. A
    copy, also one pickled for another process, has the same last calculation and its own neighbour list.

    Parameters
    ----------
    potential
        The potential or ensemble.
    skin
        How far the neighbour list reaches beyond the cutoff, Angstrom; it is rebuilt once atoms have moved by half of
        it.
    warn_every
        Give an `ExtrapolationWarning` at the first calculation outside the training range, then at most once per this
        many calculations; 0 disables.
    stop_after
        Raise Error once more functions than this have been outside the training range, summed over atoms and a thread's
        calculations; None for no limit.
    bars
        Compute error bars in each calculation; only a potential with a posterior has them.
    """

    # ASE declares it as an attribute of instances.
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012
    name = "sitewise"

    def __init__(
        self,
        potential: Model,
        skin: float = 1.0,
        warn_every: int = 1000,
        stop_after: int | None = None,
        bars: bool = False,
    ) -> None:
        self.potential = potential
        self.skin = skin
        self.warn_every = warn_every
        self.stop_after = stop_after
        self.bars = bars
        self._last: tuple[Atoms | None, dict[str, Any]] = (None, {})
        self._threads = threading.local()
        super().__init__()  # type: ignore[no-untyped-call]
        self._threads = threading.local()  # no thread has calculated yet

    @property
    def _own(self) -> _State:
        """Return this thread's state, which starts from the last calculation of any thread."""
        try:
            state: _State = self._threads.state
        except AttributeError:
            state = _State(*self._last, _core.NeighborList(self.potential.cutoff, self.skin))
            self._threads.state = state
        return state

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_threads": self._own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._threads = threading.local()
        self._threads.state = replace(state["_threads"], neighbors=copy(state["_threads"].neighbors))

    def __deepcopy__(self, memo: dict[int, Any]) -> SitewiseCalculator:
        """Return a calculator with its own neighbour list that shares the potential."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        memo[id(self.potential)] = self.potential
        copied.__setstate__(deepcopy(self.__getstate__(), memo))
        return copied

    @property
    def atoms(self) -> Atoms | None:
        """Return a copy of the structure of this thread's last calculation."""
        return self._own.atoms

    @atoms.setter
    def atoms(self, atoms: Atoms | None) -> None:
        self._own.atoms = atoms

    @property
    def results(self) -> dict[str, Any]:
        """Return the results of this thread's last calculation."""
        return self._own.results

    @results.setter
    def results(self, results: dict[str, Any]) -> None:
        self._own.results = results

    @property
    def extrapolations(self) -> int:
        """Return how many functions were outside the training range, over all atoms and calculations of this thread."""
        return self._own.extrapolations

    def reset(self) -> None:
        """Forget the last calculation."""
        super().reset()  # type: ignore[no-untyped-call]
        self._last = (None, {})

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """List what has changed since the last calculation of this thread, or of any thread for the same atoms."""
        changes: list[str] = super().check_state(atoms, tol)  # type: ignore[no-untyped-call]
        last, results = self._last
        if not changes or last is None or last is self.atoms or compare_atoms(last, atoms, tol):
            return changes
        self.atoms, self.results = last, results
        return []

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute `results`; ASE calls this.

        Raises
        ------
        Error
            As `Potential.evaluate`, and if `stop_after` is exceeded.
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        assert self.atoms is not None
        copied = self.atoms
        arrays = core_arrays(copied, self.potential.elements, "the potential")
        wanted = "stresses" in properties
        kept = self._own.neighbors if self.potential.device == "cpu" else None  # a device rebuilds its own faster
        result = self.potential.core.compute(*arrays, virials=wanted, neighbors=kept)
        self.results = {
            "energy": result["energy"],
            "free_energy": result["energy"],
            "energies": result["energies"],
            "forces": result["forces"],
            "extrapolation": result["extrapolations"],
            **{name: result[name] for name in ("energy_spread", "energies_spread") if name in result},
        }
        if self.bars:
            found = self.potential.bars(copied)
            self.results |= {f"{field.name}_bar": getattr(found, field.name) for field in fields(found)}
        if copied.pbc.all():
            self.results["stress"] = _voigt(result["virial"]) / copied.cell.volume
            if wanted:
                self.results["stresses"] = _voigt(result["virials"]) / copied.cell.volume
        self._last = (copied, self.results)
        self._watch(copied)

    def _watch(self, atoms: Atoms) -> None:
        """Warn of extrapolation, or raise Error beyond `stop_after`."""
        counts = self.results["extrapolation"]
        own = self._own
        own.extrapolations += int(counts.sum())
        stop = self.stop_after is not None and own.extrapolations > self.stop_after
        warn = self.warn_every > 0 and counts.any() and own.silent <= 0
        own.silent = self.warn_every if warn else own.silent
        own.silent -= 1
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
    """Return the symmetric parts of tensors [..., 3, 3] in ASE's order [..., 6]."""
    symmetric: Floats = (virial + np.swapaxes(virial, -1, -2)) / 2
    return symmetric[..., VOIGT[0], VOIGT[1]]
