"""What a training run starts with: its data, their features and derivatives, and the symmetry functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import _core
from ._core import Error
from .config import Data, Functions, Training
from .dataset import Dataset
from .label_units import implausible_stress
from .labels import LABELS, by_source, require_one_source
from .plausibility import doubt_cutoff
from .progress import Reporter
from .ranks import Ranks
from .structures import Floats, by_atomic_number
from .symmetry import SymmetryFunctions
from .training_set import SharedSet, TrainingSet, prepare

if TYPE_CHECKING:
    from ase import Atoms

# A function is dropped whose standard deviation is below CONSTANT of its size, whose range is below NEGLIGIBLE (scaled
# to [-1, 1] it would be rounding errors), or whose correlation with another one differs from 1 by less than CORRELATED.
CONSTANT, NEGLIGIBLE, CORRELATED = 1e-9, 1e-8, 1e-10

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


def choose_functions(table: Functions, elements: list[str], reporter: Reporter | None = None) -> SymmetryFunctions:
    """The symmetry functions that a RUN.toml asks for.

    Raises
    ------
    Error
        If the file's functions are not for these elements.
    """
    if table.file is None:
        return SymmetryFunctions.preset(table.preset or "simple-nn", elements, table.cutoff)
    functions = SymmetryFunctions.from_input(table.file, table.cflength)
    doubt_cutoff(functions, table.file, table.cflength, reporter or Reporter())
    if list(functions.elements) != elements:
        raise Error(
            f"{table.file}: has functions for {', '.join(functions.elements)}, "
            f"the training structures have {', '.join(elements)}"
        )
    return functions


def useless_functions(prepared: TrainingSet, functions: SymmetryFunctions) -> dict[tuple[str, int], str]:
    """Functions that tell nothing on these structures, by central element and place from 0, and why: those without
    variance, and those fully correlated with an earlier one. An element whose functions all lack variance keeps
    them."""
    reasons: dict[tuple[str, int], str] = {}
    statistics = prepared.statistics(range(len(prepared)))
    for e, element in enumerate(functions.elements):
        low, high, mean, sigma = statistics[e]
        constant = sigma <= CONSTANT * np.maximum(np.abs(low), np.abs(high))
        varies = ~constant & (high - low > NEGLIGIBLE)
        if not varies.any():
            continue
        correlation = _correlation(prepared, e, mean, np.where(varies, sigma, 1.0))
        for place in range(len(mean)):
            if not varies[place]:
                value = f"is {mean[place]:.3g} for all atoms"
                reasons[element, place] = (
                    value if constant[place] else f"varies by {np.ptp([low, high], 0)[place]:.3g} only"
                )
                continue
            same = [k for k in range(place) if varies[k] and abs(correlation[place, k]) > 1 - CORRELATED]
            if same:
                reasons[element, place] = f"is fully correlated with function {same[0] + 1}"
    return reasons


def unselected_functions(
    prepared: TrainingSet, functions: SymmetryFunctions, count: int, useless: Collection[tuple[str, int]]
) -> set[tuple[str, int]]:
    """All but `count` functions of each element, by central element and place from 0: those that CUR does not choose.

    A function is chosen by the largest component of the first principal vector of what the functions chosen before do
    not explain, G. Imbalzano et al., J. Chem. Phys. 148, 241730 (2018), section II.C; all have the same range here, so
    that those which only a few environments set off do not come first. The useless ones are not looked at, and none is
    chosen that is a linear combination of those chosen before.
    """
    unselected = set(useless)
    statistics = prepared.statistics(range(len(prepared)))
    for e, element in enumerate(functions.elements):
        low, high, mean, sigma = statistics[e]
        useful = np.array([place for place in range(len(mean)) if (element, place) not in useless])
        size = (sigma / np.where(high > low, high - low, np.inf))[useful]
        correlation = _correlation(prepared, e, mean, np.where(sigma > 0, sigma, 1.0))
        left = correlation[np.ix_(useful, useful)] * np.outer(size, size)
        chosen: set[int] = set()
        for _ in range(min(count, len(useful))):
            leading = np.linalg.eigh(left)[1][:, -1] ** 2
            best = int(np.argmax(np.where(np.diag(left) > CORRELATED * size**2, leading, 0.0)))
            if left[best, best] <= CORRELATED * size[best] ** 2:
                break
            chosen.add(best)
            left = left - np.outer(left[:, best], left[best]) / left[best, best]
        unselected |= {(element, int(place)) for k, place in enumerate(useful) if k not in chosen}
    return unselected


def _correlation(prepared: TrainingSet, element: int, mean: Floats, sigma: Floats) -> Floats:
    """Correlation matrix of the functions of an element; one structure at a time, see model.py."""
    total = np.zeros((mean.size, mean.size))
    atoms = 0
    for structure in range(len(prepared)):
        rows = prepared.features(structure)[prepared.species(structure) == element, : mean.size]
        standard = (rows - mean) / sigma
        total += standard.T @ standard
        atoms += len(rows)
    return total / atoms


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
