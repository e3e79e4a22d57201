"""Predictions of a potential beside the labels of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .._core import Error
from ..ensemble import Ensemble
from ..io.dataset import Dataset
from ..potential import Evaluation, Potential
from ..progress import Reporter
from ..structures import Floats, Ints, Structure

KINDS = {"energy": "eV/atom", "force": "eV/Angstrom", "stress": "eV/Angstrom^3"}

TOGETHER = 20_000  # atoms that a device computes together


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Labels and predictions of one kind, one per row; `structure` gives the structure of each row."""

    reference: Floats
    predicted: Floats
    structure: Ints

    @property
    def errors(self) -> Floats:
        """Return predicted - reference."""
        return self.predicted - self.reference

    def of(self, structures: Iterable[int]) -> Pairs:
        """Return the rows of some of the structures."""
        rows = np.isin(self.structure, list(structures))
        return Pairs(self.reference[rows], self.predicted[rows], self.structure[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The labels and predictions of a data set.

    Attributes
    ----------
    data
        The structures.
    energy, force, stress
        Energies per atom (eV/atom), force components (eV/Angstrom) and stress components (eV/Angstrom^3).
    """

    data: Dataset
    energy: Pairs
    force: Pairs
    stress: Pairs


def evaluate_all(
    potential: Potential | Ensemble, data: Dataset, title: str, reporter: Reporter
) -> Iterator[Evaluation]:
    """Yield the result for each structure. A device computes many structures together.

    Raises
    ------
    Error
        With file and number of the structure that cannot be evaluated.
    """
    with reporter.task(title, len(data)) as advance:
        for part in _parts(potential, data):
            for result in _evaluate_part(potential, part):
                yield result
                advance()


def _parts(potential: Potential | Ensemble, data: Dataset) -> Iterator[list[Structure]]:
    """Yield the structures to evaluate together: enough atoms to fill a device, one structure at a time on the
    processor."""
    at_most = TOGETHER if isinstance(potential, Potential) and potential.device == "cuda" else 0
    part: list[Structure] = []
    atoms = 0
    for structure in data:
        if part and atoms + len(structure.atoms) > at_most:
            yield part
            part, atoms = [], 0
        part.append(structure)
        atoms += len(structure.atoms)
    if part:
        yield part


def _evaluate_part(potential: Potential | Ensemble, part: list[Structure]) -> Iterator[Evaluation]:
    if isinstance(potential, Potential) and len(part) > 1:
        try:
            return iter(potential.evaluate_many([structure.atoms for structure in part]))
        except Error:
            pass  # one by one, to find which
    return _one_by_one(potential, part)


def _one_by_one(potential: Potential | Ensemble, part: list[Structure]) -> Iterator[Evaluation]:
    for structure in part:
        with structure.named():
            result = potential.evaluate(structure.atoms)
        yield result


def compare(potential: Potential | Ensemble, data: Dataset, title: str, reporter: Reporter) -> Comparison:
    """Evaluate a data set and return the predictions beside its labels.

    Raises
    ------
    Error
        As `evaluate_all`.
    """
    rows: dict[str, list[tuple[Floats, Floats, int]]] = {kind: [] for kind in KINDS}
    results = evaluate_all(potential, data, title, reporter)
    for number, (structure, result) in enumerate(zip(data, results, strict=True)):
        n = len(structure.atoms)
        if structure.energy is not None:
            rows["energy"].append((np.array([structure.energy / n]), np.array([result.energy / n]), number))
        if structure.forces is not None:
            rows["force"].append((structure.forces.ravel(), result.forces.ravel(), number))
        if structure.stress is not None and result.stress is not None:
            rows["stress"].append((structure.stress, result.stress, number))
    return Comparison(data, **{kind: _pairs(of_kind) for kind, of_kind in rows.items()})


def _pairs(rows: list[tuple[Floats, Floats, int]]) -> Pairs:
    none = (np.empty(0), np.empty(0), 0)
    reference, predicted, numbers = zip(none, *rows, strict=True)
    structure = np.repeat(np.array(numbers, dtype=np.int32), [len(r) for r in reference])
    return Pairs(np.concatenate(reference), np.concatenate(predicted), structure)
