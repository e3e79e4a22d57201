"""Invariant points in the course of a run: their errors, and the warning of an ad hoc mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import NamedTuple, get_args

import numpy as np

from .. import _core
from .._core import Error
from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..mapping.bars import ACCURACY, Bar, ErrorCause, causes_at_crystals, error_bars
from ..mapping.energy_process import EnergyProcess, Measurements
from ..mapping.gspace import Embedding, Environments, GSpace
from ..mapping.invariants import (
    adhoc_warning,
    distances,
    invariant_energy,
    is_invariant,
    sampled,
    short_name,
    usual,
)
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Flags, Floats, Ints, Structure
from ..symmetry import SymmetryFunctions

SAME = 1e-4  # distance in G space below which two points are one crystal, differently turned
COLUMN, OUTSIDE = "delta ", " (extrapolation)"


class Crystal(NamedTuple):
    """An invariant point: all its atoms have the same environment.

    Attributes
    ----------
    name
        Name of the structure.
    element
        Index of its element.
    features
        Symmetry functions of an atom [1, count].
    place
        Coordinates of an atom in G space [count].
    energy
        Energy of an atom, eV.
    """

    name: str
    element: int
    features: Floats
    place: Floats
    energy: float


class CrystalBars:
    """Error bars of crystals before training, which are computed when they are asked for, once.

    Parameters
    ----------
    data
        The training structures with their labels.
    functions
        The functions of the potential.
    training
        The same structures, prepared.
    crystals
        The crystals.
    """

    def __init__(
        self,
        data: Dataset,
        functions: SymmetryFunctions,
        training: TrainingSet,
        crystals: Sequence[Structure],
    ) -> None:
        self._data, self._functions, self._training, self._crystals = data, functions, training, crystals
        self._lock = Lock()  # replicas ask at the same time
        self._found: list[Bar] | None = None

    def __call__(self) -> Sequence[Bar | None]:
        """Return the bar of the energy per atom of each crystal; None without energies of the data."""
        if not self._data.count("energy"):
            return [None] * len(self._crystals)
        with self._lock:
            if self._found is None:
                data = Embedding.prepared(self._data, self._functions, self._training)
                crystals = data.embed(Dataset(self._crystals)).placed
                process = EnergyProcess(Measurements.of(data), [data.placed])
                self._found = error_bars(process, crystals, ACCURACY)
            return self._found


@dataclass(frozen=True, slots=True, eq=False)
class Monitor:
    """Follows delta = e_NN - E/N at crystals whose atoms are all equivalent, the direct test of atomic energies.

    Attributes
    ----------
    crystals
        The invariant points.
    counted
        Whether a point is near the training data [points]: others are an extrapolation.
    bars
        Returns the error bar of each point before training; None without energies of the data.
    """

    crystals: list[Crystal]
    counted: Flags
    bars: Callable[[], Sequence[Bar | None]]

    @classmethod
    def of(
        cls,
        points: Sequence[Structure],
        functions: SymmetryFunctions,
        training: TrainingSet,
        data: Dataset,
    ) -> Monitor:
        """Make the monitor of some points.

        Parameters
        ----------
        points
            Invariant points with energies. Crystals that differ by a rotation count once.
        functions
            The functions of the potential.
        training
            The structures that it is trained on, prepared.
        data
            The same structures with their labels.

        Raises
        ------
        Error
            A structure is not an invariant point, or has no energy or an element without functions.
        """
        space = GSpace.prepared(training, [functions.core.count(e) for e in range(len(functions.elements))])
        crystals: list[Crystal] = []
        different: list[Structure] = []
        for structure in points:
            crystal = _crystal(structure, functions, space)
            others = (other.place for other in crystals if other.element == crystal.element)
            if not any(np.linalg.norm(crystal.place - other) < SAME for other in others):
                crystals.append(crystal)
                different.append(structure)
        counted = np.zeros(len(crystals), dtype=bool)
        for element in {crystal.element for crystal in crystals}:
            mine = [k for k, crystal in enumerate(crystals) if crystal.element == element]
            counted[mine] = _near(training, space, element, np.array([crystals[k].place for k in mine]))
        return cls(crystals, counted, CrystalBars(data, functions, training, different))

    @property
    def names(self) -> list[str]:
        """Names of the points."""
        return [crystal.name for crystal in self.crystals]

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `log.csv`, whose values are in eV."""
        notes = ["" if counted else OUTSIDE for counted in self.counted]
        return [f"{COLUMN}{name}{note}" for name, note in zip(self.names, notes, strict=True)]

    def deltas(self, potential: _core.Potential) -> list[float]:
        """Return the error of the atomic energy at each point, eV, of a potential in eV and Angstrom."""
        networks, scaling, offsets = potential.networks, potential.scaling, potential.atom_energies
        return [
            networks[c.element].evaluate(scaling.apply(c.element, c.features))[0].item() + offsets[c.element] - c.energy
            for c in self.crystals
        ]

    def note(self, deltas: Sequence[float]) -> str:
        """Return the largest error that counts, for the progress display; "" without one."""
        worst = self._worst(deltas)
        return "" if worst is None else f" Δ {1e3 * deltas[worst]:+.1f} meV"

    def warning(self, log: Floats, rmse: float, window: int) -> str | None:
        """Return the warning of an ad hoc mapping at the worst point that shows one; None without any.

        A point shows one if its error is large, hardly improves and is one of the mapping by its error bar.

        Parameters
        ----------
        log
            Errors of all points at equal intervals of the run [times, points], eV.
        rmse
            RMSE of the total energies now, eV/atom.
        window
            Number of intervals in a fifth of the run.
        """
        names = self.names
        found = ((k, adhoc_warning(names[k], log[:, k], rmse, window)) for k in np.argsort(-np.abs(log[-1])).tolist())
        return next((text for k, text in found if text and self.causes(log[-1], rmse)[k] == "mapping"), None)

    def causes(self, deltas: Sequence[float] | Floats, rmse: float | None) -> list[ErrorCause | None]:
        """Return why each point is wrong, for an RMSE of the total energies in eV/atom; None where it is not."""
        if not any(abs(delta) > ACCURACY for delta in deltas):
            return [None] * len(deltas)
        elements = [crystal.element for crystal in self.crystals]
        return causes_at_crystals(deltas, rmse, self.bars(), (~self.counted).tolist(), elements)

    def table(self, deltas: Sequence[float], causes: Sequence[ErrorCause | None]) -> list[dict[str, object]]:
        """Return name, delta in eV, whether it is an extrapolation, and why it is wrong, of each point."""
        rows = zip(self.names, deltas, self.counted.tolist(), causes, strict=True)
        return [
            {"name": name, "delta": delta, "extrapolation": not counted, "cause": cause}
            for name, delta, counted, cause in rows
        ]

    def summary(self, deltas: Sequence[float], causes: Sequence[ErrorCause | None]) -> str:
        """Return a sentence on the errors and their causes."""
        wrong = [f"{word} at {causes.count(word)}" for word in get_args(ErrorCause) if word in causes]
        return self._errors(deltas) + (f"; wrong by {', '.join(wrong)}" if wrong else "")

    def _errors(self, deltas: Sequence[float]) -> str:
        worst, outside = self._worst(deltas), int((~self.counted).sum())
        note = f"; {outside} not counted, far from the data" if outside else ""
        if worst is None:
            return f"invariant points: all {outside} are extrapolation and do not test the mapping"
        rms = float(np.sqrt(np.mean(np.array(deltas)[self.counted] ** 2)))
        return (
            f"invariant points: atomic energies wrong by {1e3 * rms:.1f} meV (RMS of {self.counted.sum()}), "
            f"at most {1e3 * deltas[worst]:+.1f} meV at {self.names[worst]}{note}"
        )

    def _worst(self, deltas: Sequence[float]) -> int | None:
        if not self.counted.any():
            return None
        return int(np.argmax(np.where(self.counted, np.abs(deltas), -1.0)))


def _near(training: TrainingSet, space: GSpace, element: int, places: Floats) -> Flags:
    """Return whether places in G space [m, d] are not `extrapolated`. The atoms stay where they are."""
    atoms = np.array([*training.each(partial(_number, element), range(len(training)))])
    ends = np.cumsum(atoms)
    sample = sampled(int(ends[-1]))
    owner = np.searchsorted(ends, sample, side="right")
    row = sample - (ends - atoms)[owner]
    points = np.empty((len(sample) + len(places), places.shape[1]))
    points[len(sample) :] = places
    owners = [(i, np.flatnonzero(owner == i)) for i in np.unique(owner).tolist()]
    for i, mine in owners:
        points[mine] = space.of_atoms(training.features(i), training.species(i), element)[row[mine]]
    others = np.ones(len(training), dtype=bool)
    others[owner] = False
    nearest = training.least(partial(_distances, space, element, points), np.flatnonzero(others).tolist())
    for i, mine in owners:
        here = space.of_atoms(training.features(i), training.species(i), element)
        nearest = np.minimum(nearest, distances(points, here, (mine, row[mine])))
    return np.asarray(nearest[len(sample) :] <= usual(nearest[: len(sample)]))


def _number(element: int, features: Floats, species: Ints) -> int:
    return int(np.count_nonzero(species == element))


def _distances(space: GSpace, element: int, points: Floats, features: Floats, species: Ints) -> Floats:
    return distances(points, space.of_atoms(features, species, element))


def _crystal(structure: Structure, functions: SymmetryFunctions, space: GSpace) -> Crystal:
    energy = invariant_energy(structure)
    own = Environments.of(Dataset([structure]), functions)
    element = int(own.species[0])
    features = own.features[:1, : functions.core.count(element)]
    return Crystal(short_name(structure), element, features, space.coordinates(own, element)[0], energy)


@dataclass(slots=True, eq=False)
class AdHocWatch:
    """Warns once of an ad hoc mapping, in the second half of a run.

    Attributes
    ----------
    monitor
        The invariant points; None without any.
    points
        Number of log points of the whole run.
    reporter
        Gives the warning.
    warned
        Whether it has been given.
    """

    monitor: Monitor | None
    points: int
    reporter: Reporter
    warned: bool = False

    def look(self, log: Floats, rmse: float) -> None:
        """Look at the errors of all invariant points so far [times, points], eV, and at the RMSE of the total energies
        now, eV/atom."""
        if self.monitor is None or self.warned or 2 * len(log) < self.points:
            return
        warning = self.monitor.warning(log, rmse, max(1, round(self.points / 5)))
        if warning:
            self.warned = True
            self.reporter.warn(warning)


def _points(sets: Iterable[Dataset], ranks: Ranks) -> Iterator[Structure]:
    """Yield the invariant points of data sets."""
    for data in sets:
        for k, found in enumerate(ranks.map(_is_point, 0, data)):
            if found:
                yield data[k]


def _is_point(_: object, structure: Structure) -> bool:
    return structure.energy is not None and is_invariant(structure.atoms)


def make_monitor(
    given: Dataset | None,
    train: Dataset,
    test: Dataset,
    functions: SymmetryFunctions,
    training_set: TrainingSet,
    reporter: Reporter,
    ranks: Ranks,
) -> Monitor | None:
    """Make the monitor of the given points or, without them, of those among the data; None if there are none. The ranks
    share the search for them.

    Raises
    ------
    Error
        A given structure is not an invariant point, or has no energy or an element that is not trained on.
    """
    if given is not None:
        unknown = set(given.elements) - set(functions.elements)
        if unknown:
            raise Error(f"[invariants] data has {', '.join(sorted(unknown))}, which no training structure has")
    points = [*(_points((train, test), ranks) if given is None else given)]
    if not points:
        reporter.say("no crystal with equivalent atoms is among the data: nothing tests the atomic energies")
        return None
    monitor = Monitor.of(points, functions, training_set, train)
    outside = int((~monitor.counted).sum())
    reporter.say(f"{len(monitor.crystals)} invariant points are followed, {outside} of them extrapolation")
    return monitor
