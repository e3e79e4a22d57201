"""Predictions of a potential beside the labels of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .._core import Error
from ..ensemble import Ensemble
from ..io.dataset import Dataset
from ..potential import Evaluation, Potential
from ..progress import Reporter
from ..structures import Flags, Floats, Ints, Structure

KINDS = {"energy": "eV/atom", "force": "eV/Angstrom", "stress": "eV/Angstrom^3"}

TOGETHER = 20_000  # atoms that a device computes together


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Labels and predictions of one kind, one per row; `structure` gives the structure of each row, and `bar` the error
    bar of each prediction, if these were asked for."""

    reference: Floats
    predicted: Floats
    structure: Ints
    bar: Floats | None = None

    @property
    def errors(self) -> Floats:
        """Return predicted - reference."""
        return self.predicted - self.reference

    def of(self, structures: Iterable[int]) -> Pairs:
        """Return the rows of some of the structures."""
        return self.where(np.isin(self.structure, list(structures)))

    def where(self, rows: Flags) -> Pairs:
        """Return some of the rows."""
        bar = None if self.bar is None else self.bar[rows]
        return Pairs(self.reference[rows], self.predicted[rows], self.structure[rows], bar)


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
    potential: Potential | Ensemble, data: Dataset, title: str, reporter: Reporter, bars: bool = False
) -> Iterator[Evaluation]:
    """Yield the result for each structure, with error bars if these are asked for. A device computes many structures
    together.

    Raises
    ------
    Error
        With file and number of the structure that cannot be evaluated; if bars are asked for and there is no posterior.
    """
    with reporter.task(title, len(data)) as advance:
        for part in _parts(potential, data):
            for structure, result in zip(part, _evaluate_part(potential, part), strict=True):
                yield replace(result, bars=potential.bars(structure.atoms)) if bars else result
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


def compare(
    potential: Potential | Ensemble, data: Dataset, title: str, reporter: Reporter, bars: bool = False
) -> Comparison:
    """Evaluate a data set and return the predictions beside its labels, with error bars if these are asked for.

    Raises
    ------
    Error
        As `evaluate_all`.
    """
    rows: dict[str, list[_Row]] = {kind: [] for kind in KINDS}
    results = evaluate_all(potential, data, title, reporter, bars)
    for number, (structure, result) in enumerate(zip(data, results, strict=True)):
        n, found = len(structure.atoms), result.bars
        if structure.energy is not None:
            bar = None if found is None else np.array([found.energy / n])
            rows["energy"].append(_Row(np.array([structure.energy / n]), np.array([result.energy / n]), number, bar))
        if structure.forces is not None:
            bar = None if found is None else found.forces.ravel()
            rows["force"].append(_Row(structure.forces.ravel(), result.forces.ravel(), number, bar))
        if structure.stress is not None and result.stress is not None:
            rows["stress"].append(_Row(structure.stress, result.stress, number))
    return Comparison(data, **{kind: _pairs(of_kind) for kind, of_kind in rows.items()})


class _Row(NamedTuple):
    """Labels, predictions and error bars of one kind, of a structure."""

    reference: Floats
    predicted: Floats
    structure: int
    bar: Floats | None = None


def _pairs(rows: list[_Row]) -> Pairs:
    reference, predicted = (np.concatenate([np.empty(0), *(row[k] for row in rows)]) for k in (0, 1))
    structure = np.repeat(np.array([row.structure for row in rows], dtype=np.int32), [len(r.reference) for r in rows])
    bars = [row.bar for row in rows if row.bar is not None]
    return Pairs(reference, predicted, structure, np.concatenate(bars) if bars else None)
