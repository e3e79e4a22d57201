"""What a training run starts with: its data, their features and derivatives, and the symmetry functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import Error
from ..config import Data, Training
from ..evaluation.label_units import implausible_stress
from ..features.sets import SharedSet, TrainingSet, prepare
from ..io.dataset import Dataset
from ..io.labels import LABELS, by_source, require_one_source
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Floats, by_atomic_number
from ..symmetry import SymmetryFunctions

if TYPE_CHECKING:
    from ase import Atoms

LOSSES = ("loss", "energy_rmse", "force_rmse", "stress_rmse")


def read_data(table: Data, rng: np.random.Generator, reporter: Reporter) -> tuple[Dataset, Dataset]:
    """Reads training and test data; `rng` chooses what is held out.

    Raises
    ------
    Error
        If a file is bad, if the test data have an element that no training structure has, or if their labels have
        other sources.
    """
    everything = Dataset.read(table.train, reporter=reporter, **table.reading())
    if isinstance(table.test, list):
        test = Dataset.read(table.test, reporter=reporter, **table.reading())
        unknown = set(test.elements) - set(everything.elements)
        if unknown:
            raise Error(f"[data] test has {', '.join(sorted(unknown))}, which no training structure has")
        if not table.mixed_labels:
            require_one_source(by_source(s.sources for s in [*everything, *test]), "[data] train and test")
        _warn_of_shared(everything, test, reporter)
        return everything, test
    if table.test == 0:
        return everything, Dataset([])
    train, test = everything.split(table.test, rng)
    reporter.say(f"{len(train)} structures to train on, {len(test)} held out")
    missing = set(everything.elements) - set(train.elements)
    if missing:
        raise Error(f"no structure with {', '.join(sorted(missing))} is left to train on, choose another seed")
    _warn_of_shared(train, test, reporter)
    return train, test


def _warn_of_shared(train: Dataset, test: Dataset, reporter: Reporter) -> None:
    """Warns of test structures that are trained on: their errors say nothing of others."""
    known = {_coordinates(s.atoms) for s in train}
    shared = [s.source for s in test if _coordinates(s.atoms) in known]
    if shared:
        reporter.warn(
            f"{len(shared)} of {len(test)} test structures are also trained on, which makes test errors too small; the "
            f"first is {shared[0]}"
        )


def _coordinates(atoms: Atoms) -> tuple[bytes, ...]:
    return tuple(np.asarray(x).tobytes() for x in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc))


def check_labels(data: Dataset, settings: Training, reporter: Reporter) -> None:
    """Says what the training structures do not have.

    Raises
    ------
    Error
        If a weight is given for a label that no structure has.
    """
    hint = "".join(f"; {sentence}" for sentence in data.unused_labels())
    for weight, label in (("force_weight", "forces"), ("stress_weight", "stress")):
        value = getattr(settings, weight)
        if not value or data.count(label):
            continue
        lack = f"no training structure has {'a stress' if label == 'stress' else label}"
        if weight in settings.model_fields_set:
            raise Error(f"[training] {weight} is {value:g}, but {lack}{hint}")
        reporter.say(f"{lack}: only the other labels count")
    stress = implausible_stress(data)
    if stress:
        reporter.warn(stress)
    if not data.count("energy"):
        reporter.warn(f"no training structure has an energy: only differences of energies will have a meaning{hint}")
        return
    unknown = set(data.elements) - set(Dataset(s for s in data if s.energy is not None).elements)
    if unknown:
        names = ", ".join(by_atomic_number(sorted(unknown)))
        reporter.warn(f"no structure with {names} has an energy: total energies of structures with it are arbitrary")


class PreparedData:
    """A data set of a run with its features and derivatives.

    Parameters
    ----------
    data, functions, budget, reporter, what, cache
        See `prepare`, for which `data` are shared among the ranks.
    ranks
        Of the run, this process alone if not given.
    """

    def __init__(
        self,
        data: Dataset,
        functions: SymmetryFunctions,
        budget: int,
        reporter: Reporter,
        what: str,
        cache: Path | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.data = data
        self.prepared: TrainingSet
        if ranks is None or ranks.size == 1:
            self.prepared = prepare(data, functions, budget, reporter, what, cache)
        else:
            self.prepared = SharedSet(ranks, data, functions, budget, reporter, what, cache)

    def weigh(self, weight: Callable[[str], float], of_forces: Sequence[Floats] | None = None) -> None:
        """Sets the weights in the loss: of the structures by their group and, beside them, of the forces on the atoms
        of each."""
        self.prepared.weigh([weight(structure.group) for structure in self.data], of_forces)

    def losses(
        self, potential: _core.Potential, structures: Sequence[int], force_weight: float, stress_weight: float
    ) -> list[float]:
        """Loss and RMSE, in the order of LOSSES, over some structures; NaN where there is no label."""
        if not structures:
            return [np.nan] * len(LOSSES)
        loss, _ = self.prepared.loss(potential, structures, force_weight, stress_weight, gradient=False)
        squares = {"energy": loss["energy"], "forces": loss["force"], "stress": loss["stress"]}
        known = {label: any(getattr(self.data[i], label) is not None for i in structures) for label in LABELS}
        return [loss["value"], *(float(np.sqrt(squares[k])) if known[k] else np.nan for k in LABELS)]
