"""Predictions of a potential beside the labels of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from .._core import Error
from ..ensemble import Ensemble
from ..io.dataset import Dataset
from ..potential import Evaluation, Potential
from ..progress import Reporter
from ..ranks import Ranks
from ..scratch import Column, release
from ..structures import Flags, Floats, Ints, Structure

KINDS = {"energy": "eV/atom", "force": "eV/Angstrom", "stress": "eV/Angstrom^3"}

Of = TypeVar("Of")

TOGETHER = 20_000  # atoms that a device computes together
BLOCK = 1 << 17  # rows of `Pairs` that are looked at together


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

    def of(self, structure: int) -> Pairs:
        """Return the rows of a structure."""
        return self.where(slice(*np.searchsorted(self.structure, [structure, structure + 1])))

    def where(self, rows: Flags | npt.NDArray[np.signedinteger[Any]] | slice) -> Pairs:
        """Return some of the rows."""
        bar = None if self.bar is None else self.bar[rows]
        return Pairs(self.reference[rows], self.predicted[rows], self.structure[rows], bar)

    def blocks(self) -> Iterator[Pairs]:
        """Yield the rows, a part of them at a time: what is computed of all at once would take as much memory again."""
        for first in range(0, len(self.reference), BLOCK):
            yield self.where(slice(first, first + BLOCK))
            for column in (self.reference, self.predicted, self.structure, self.bar):
                release(column)


class Totals(NamedTuple):
    """What errors of one kind add up to, of each structure [n]: their number, the sums of their sizes and squares, and
    the largest size."""

    number: Floats
    sizes: Floats
    squares: Floats
    largest: Floats

    @classmethod
    def of(cls, pairs: Pairs, structures: int) -> Totals:
        """Add up the errors of each structure."""
        made = cls(*np.zeros((4, structures)))
        for block in pairs.blocks():
            sizes = np.abs(block.errors)
            first, last = block.structure[0], block.structure[-1] + 1
            here, place = slice(first, last), block.structure - first
            made.number[here] += np.bincount(place)
            made.sizes[here] += np.bincount(place, sizes)
            made.squares[here] += np.bincount(place, sizes**2)
            np.maximum.at(made.largest, block.structure, sizes)
        return made

    def summary(self, structures: Sequence[int] | slice = slice(None)) -> Summary | None:
        """Return root mean square, mean and largest error of some structures; None if they have no label."""
        number = self.number[structures].sum()
        if not number:
            return None
        squares, sizes = (float(values[structures].sum() / number) for values in (self.squares, self.sizes))
        return Summary(squares**0.5, sizes, float(self.largest[structures].max()))


class Summary(NamedTuple):
    """Errors of some structures."""

    rmse: float
    mae: float
    max: float


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

    def totals(self, kind: str) -> Totals:
        """Return what the errors of a kind add up to in each structure."""
        return Totals.of(getattr(self, kind), len(self.data))


class _Work(NamedTuple):
    """What ranks need to evaluate structures."""

    potential: Potential | Ensemble
    of: Callable[[Structure, Evaluation], Any]
    bars: bool


def evaluate_all(
    potential: Potential | Ensemble,
    data: Dataset,
    title: str,
    reporter: Reporter,
    of: Callable[[Structure, Evaluation], Of],
    bars: bool = False,
    ranks: Ranks | None = None,
) -> Iterator[Of]:
    """Yield `of(structure, evaluation)` for each structure. A device computes many structures together.

    Parameters
    ----------
    potential, data
        What is evaluated.
    title, reporter
        Report the progress.
    of
        What is wanted of a structure, on the rank that evaluates it; ranks import it by its name.
    bars
        Whether evaluations have error bars.
    ranks
        The ranks that share the structures; this process alone by default.

    Raises
    ------
    Error
        With file and number of the structure that cannot be evaluated; if bars are asked for and there is no posterior.
    """
    ranks = ranks or Ranks()
    number = ranks.share(_Work(potential, of, bars))
    try:
        with reporter.task(title, len(data)) as advance:
            for part in ranks.map(_evaluate_part, number, _parts(potential, data)):
                for found in part:
                    yield found
                    advance()
    finally:
        ranks.forget(number)


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


def _evaluate_part(work: _Work, part: list[Structure]) -> list[Any]:
    """Return what is wanted of some structures."""
    return [work.of(structure, result) for structure, result in zip(part, _results(work, part), strict=True)]


def _results(work: _Work, part: list[Structure]) -> Iterator[Evaluation]:
    potential = work.potential
    for structure, result in zip(part, _evaluations(potential, part), strict=True):
        yield replace(result, bars=potential.bars(structure.atoms)) if work.bars else result


def _evaluations(potential: Potential | Ensemble, part: list[Structure]) -> Iterator[Evaluation]:
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
    potential: Potential | Ensemble,
    data: Dataset,
    title: str,
    reporter: Reporter,
    bars: bool = False,
    ranks: Ranks | None = None,
) -> Comparison:
    """Evaluate a data set and return the predictions beside its labels, with error bars if these are asked for.

    Raises
    ------
    Error
        As `evaluate_all`.
    """
    rows = {kind: _Rows() for kind in KINDS}
    for found in evaluate_all(potential, data, title, reporter, _rows, bars, ranks):
        for kind, of_kind in rows.items():
            of_kind.append(found.get(kind))
    return Comparison(data, **{kind: of_kind.pairs() for kind, of_kind in rows.items()})


class _Row(NamedTuple):
    """Labels, predictions and error bars of one kind, of a structure."""

    reference: Floats
    predicted: Floats
    bar: Floats | None = None


class _Rows:
    """Rows of one structure after another."""

    def __init__(self) -> None:
        self._columns = [Column(kind, "predictions") for kind in "ddid"]
        self._structures = 0

    def append(self, row: _Row | None) -> None:
        """Add the rows of the next structure; None if it has none."""
        if row is not None:
            of = np.full(len(row.reference), self._structures, dtype=np.int32)
            for column, values in zip(self._columns, (row.reference, row.predicted, of, row.bar), strict=True):
                if values is not None:
                    column.append(values)
        self._structures += 1

    def pairs(self) -> Pairs:
        reference, predicted, structure, bar = (column.whole() for column in self._columns)
        return Pairs(reference, predicted, structure, bar if bar.size else None)


def _rows(structure: Structure, result: Evaluation) -> dict[str, _Row]:
    """Return what is compared of a structure, by kind."""
    n, found = len(structure.atoms), result.bars
    rows = {}
    if structure.energy is not None:
        bar = None if found is None else np.array([found.energy / n])
        rows["energy"] = _Row(np.array([structure.energy / n]), np.array([result.energy / n]), bar)
    if structure.forces is not None:
        bar = None if found is None else found.forces.ravel()
        rows["force"] = _Row(structure.forces.ravel(), result.forces.ravel(), bar)
    if structure.stress is not None and result.stress is not None:
        rows["stress"] = _Row(structure.stress, result.stress)
    return rows
