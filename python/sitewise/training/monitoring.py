"""Invariant points during a training run: their errors, and the warning of an ad hoc mapping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import _core
from .._core import Error
from ..features.sets import TrainingSet
from ..io.dataset import Dataset
from ..mapping.gspace import Environments, GSpace
from ..mapping.invariants import adhoc_warning, extrapolated, invariant_energy, is_invariant, short_name
from ..progress import Reporter
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions

SAME = 1e-4  # distance in G space below which two points are one crystal, differently turned
COLUMN, OUTSIDE = "delta ", " (extrapolation)"


class Monitor:
    """delta = e_NN - E/N at crystals whose atoms are all equivalent, the direct test of atomic energies.

    Attributes
    ----------
    names
        Of the points.
    counted
        Whether a point tells of the mapping: not where it is an extrapolation.

    Parameters
    ----------
    points
        Invariant points with energies. Crystals that differ by a rotation count once.
    functions
        Of the potential.
    training
        Environments that it is trained on.

    Raises
    ------
    Error
        For a structure that is not an invariant point, has no energy or an element without functions.
    """

    def __init__(self, points: Sequence[Structure], functions: SymmetryFunctions, training: Environments) -> None:
        counts = [functions.core.count(e) for e in range(len(functions.elements))]
        space = GSpace(training, counts)
        self.names: list[str] = []
        self._crystals: list[tuple[int, Floats, float]] = []  # element, features [1, count], energy
        places: dict[int, list[Floats]] = {e: [] for e in range(len(counts))}
        order: dict[int, list[int]] = {e: [] for e in places}
        for structure in points:
            energy = invariant_energy(structure)
            own = Environments.of(Dataset([structure]), functions)
            element = int(own.species[0])
            place = space.coordinates(own, element)[0]
            if any(np.linalg.norm(place - other) < SAME for other in places[element]):
                continue
            order[element].append(len(self.names))
            places[element].append(place)
            self.names.append(short_name(structure))
            self._crystals.append((element, own.features[:1, : counts[element]], energy))
        self.counted = np.zeros(len(self.names), dtype=bool)
        for element in (e for e in places if places[e]):
            known = space.coordinates(training, element)
            self.counted[order[element]] = ~extrapolated(known, np.array(places[element]))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `log.csv`, eV."""
        notes = ["" if counted else OUTSIDE for counted in self.counted]
        return [f"{COLUMN}{name}{note}" for name, note in zip(self.names, notes, strict=True)]

    def deltas(self, potential: _core.Potential) -> list[float]:
        """Error of the atomic energy at each point, eV, of a potential in eV and Angstrom."""
        networks, scaling, offsets = potential.networks, potential.scaling, potential.atom_energies
        return [
            networks[e].evaluate(scaling.apply(e, features))[0].item() + offsets[e] - energy
            for e, features, energy in self._crystals
        ]

    def note(self, deltas: Sequence[float]) -> str:
        """The largest error that counts, for the progress display; "" without one."""
        worst = self._worst(deltas)
        return "" if worst is None else f" Δ {1e3 * deltas[worst]:+.1f} meV"

    def warning(self, log: Floats, rmse: float, window: int) -> str | None:
        """Warning of an ad hoc mapping at the worst point that shows one.

        Parameters
        ----------
        log
            Errors of all points at equal intervals of the run [times, points], eV.
        rmse
            RMSE of the total energies now, eV/atom.
        window
            Intervals in a fifth of the run.
        """
        order = [int(k) for k in np.argsort(-np.abs(log[-1])) if self.counted[k]]
        found = (adhoc_warning(self.names[k], log[:, k], rmse, window) for k in order)
        return next((text for text in found if text), None)

    def table(self, potential: _core.Potential) -> list[dict[str, object]]:
        """Name, delta in eV and whether it is an extrapolation, of each point."""
        rows = zip(self.names, self.deltas(potential), self.counted.tolist(), strict=True)
        return [{"name": name, "delta": delta, "extrapolation": not counted} for name, delta, counted in rows]

    def summary(self, deltas: Sequence[float]) -> str:
        """The errors in a sentence."""
        worst, outside = self._worst(deltas), int((~self.counted).sum())
        note = f"; {outside} not counted as extrapolation" if outside else ""
        if worst is None:
            return f"invariant points: all {outside} are extrapolation and tell nothing of the mapping"
        rms = float(np.sqrt(np.mean(np.array(deltas)[self.counted] ** 2)))
        return (
            f"invariant points: atomic energies wrong by {1e3 * rms:.1f} meV (RMS of {self.counted.sum()}), "
            f"at most {1e3 * deltas[worst]:+.1f} meV at {self.names[worst]}{note}"
        )

    def _worst(self, deltas: Sequence[float]) -> int | None:
        if not self.counted.any():
            return None
        return int(np.argmax(np.where(self.counted, np.abs(deltas), -1.0)))


def make_monitor(
    given: Dataset | None,
    data: Dataset,
    functions: SymmetryFunctions,
    training_set: TrainingSet,
    reporter: Reporter,
) -> Monitor | None:
    """Monitor of the given points or, without them, of those among the data; None where there are none.

    Raises
    ------
    Error
        For a given point that is none.
    """
    if given is not None:
        unknown = set(given.elements) - set(functions.elements)
        if unknown:
            raise Error(f"[invariants] data has {', '.join(sorted(unknown))}, which no training structure has")
    points = list(given) if given is not None else [s for s in data if s.energy is not None and is_invariant(s.atoms)]
    if not points:
        reporter.say("no crystal with equivalent atoms is among the data: nothing tests the atomic energies")
        return None
    monitor = Monitor(points, functions, Environments.prepared(training_set))
    outside = int((~monitor.counted).sum())
    reporter.say(f"{len(monitor.names)} invariant points are followed, {outside} of them extrapolation")
    return monitor
