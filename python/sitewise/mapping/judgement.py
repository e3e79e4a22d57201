"""What the data leave open of the structures that a potential is made for, and which structures to add."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ..progress import Reporter
from ..structures import Floats, Structure
from .acquisition import logarithms, ranked_by_bars
from .bars import Bar, Cause, bars_of_atoms, error_bars
from .clusters import ClusteredAtoms, cluster_counts
from .counts import null_fraction
from .diagnostic import Diagnostic
from .energy_process import EnergyProcess
from .gaussian import PICKED, SumProcess
from .gspace import Embedding, Placed

COST_EXPONENT = 3  # of the number of atoms, as in density functional theory
SUGGESTED, WORTH = 10, 0.01  # suggestions at most, and the part of what is open that each must remove
UNDETERMINED = 0.01  # part of a target that is left open, from which on it is undetermined if there are no labels


@dataclass(frozen=True, slots=True)
class OpenPart:
    """What the data leave open of a structure.

    Attributes
    ----------
    name
        Source of the structure.
    null_fraction
        Part of its counts of atoms in clusters that lies in free combinations.
    unknown_energy
        Part of the variance of its energy that is open.
    unknown
        Part of the variance of its least known atom's energy that is open.
    """

    name: str
    null_fraction: float
    unknown_energy: float
    unknown: float


@dataclass(frozen=True, slots=True)
class Target(OpenPart):
    """A structure that the potential is made for.

    Attributes
    ----------
    bar
        Error bar of its energy, eV/atom; None without labels.
    bar_atoms
        Error bars of its atomic energies, eV; None without labels.
    open
        Whether the bar is above the accuracy. Without labels: whether clusters or the Gaussian process leave open
        UNDETERMINED or more.
    cause
        Why it is open, see `Bar`; None if it is not, and without labels.
    """

    bar: float | None
    bar_atoms: list[float] | None
    open: bool
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class Mended:
    """A target whose error bar a candidate lowers.

    Attributes
    ----------
    name
        Source of the target.
    before, after
        Its error bar without new data, and with this candidate and all before it, eV/atom.
    """

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Candidate(OpenPart):
    """A structure that might be added.

    What is open is the geometric mean of the error bars of targets or, without targets, of data and candidates. Bars
    far below the accuracy count as a quarter of it. Without labels it is the part of the variance of their atoms.

    Attributes
    ----------
    n_atoms
        Number of atoms.
    cost
        Number of atoms cubed.
    gain
        Part of what is open that it would remove after all before it.
    left
        Part of what is open that is left with it and all before it.
    before, after
        RMS of these error bars without new data, and with it and all before it, eV/atom; None without labels.
    mends
        The target whose error bar it lowers by the largest factor; None without labels.
    """

    n_atoms: int
    cost: float
    gain: float
    left: float
    before: float | None
    after: float | None
    mends: Mended | None


@dataclass(frozen=True, slots=True)
class Suggestion(Candidate):
    """A structure that was made to be added; `what` describes it."""

    what: str


@dataclass(frozen=True, slots=True)
class Judgement(Diagnostic):
    """Targets, and candidates in the order in which to add them.

    Attributes
    ----------
    accuracy
        Up to this error bar targets are determined, eV/atom.
    undetermined_targets
        Names of the targets that are open.
    candidates
        The candidates, the best first.
    targets
        The targets, in the order of the data; None if none are given.
    suggestions
        Structures that were made, those to add first; None if none were asked for.
    """

    accuracy: float
    undetermined_targets: list[str]
    candidates: list[Candidate]
    targets: list[Target] | None = None
    suggestions: list[Suggestion] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What judges and ranks structures.

    Attributes
    ----------
    embedding
        The data.
    atoms
        Its clusters.
    process
        Process of parts of variances.
    energies
        Process of error bars; None without labels. Then structures are judged by parts of variances.
    targets
        Structures that the potential is made for.
    accuracy
        Up to this error bar targets are determined, eV/atom.
    reporter
        Receives the progress.
    """

    embedding: Embedding
    atoms: ClusteredAtoms
    process: SumProcess
    energies: EnergyProcess | None
    targets: Embedding | None
    accuracy: float
    reporter: Reporter

    def judgement(
        self, candidates: Embedding | None, made: Embedding | None, named: Callable[[int], list[str]]
    ) -> tuple[Judgement, list[Structure]]:
        """Return the judgement, and the structures of its suggestions.

        Parameters
        ----------
        candidates
            Structures that might be added.
        made
            Structures that were made to be added; their sources describe them.
        named
            Gives the names of a number of suggestions.
        """
        targets = self.judged()
        undetermined = [target.name for target in targets or () if target.open]
        ranked = [row for _, row in self.ranked(candidates)] if candidates else []
        if made is None:
            return Judgement(self.accuracy, undetermined, ranked, targets), []
        first = [(k, row) for k, row in self.ranked(made, SUGGESTED)[:SUGGESTED] if row.gain > WORTH]
        names = named(len(first))
        suggested = [_suggestion(row, name) for (_, row), name in zip(first, names, strict=True)]
        return Judgement(self.accuracy, undetermined, ranked, targets, suggested), [made.data[k] for k, _ in first]

    def judged(self) -> list[Target] | None:
        """Return the targets; None without any."""
        if self.targets is None:
            return None
        parts = list(_open_parts(self.embedding, self.atoms, self.process, self.targets))
        if self.energies is None:
            return [target_without_bar(part) for part in parts]
        bars = error_bars(self.energies, self.targets.placed, self.accuracy)
        of_atoms = bars_of_atoms(self.energies, self.targets.placed)
        return [target_with_bar(*row) for row in zip(parts, bars, of_atoms, strict=True)]

    def ranked(self, candidates: Embedding, at_most: int = PICKED) -> list[tuple[int, Candidate]]:
        """Return candidates in the order in which to add them, with their indices.

        They are ranked by their information on the targets or, without targets, on data and candidates. The order of
        the first `at_most` accounts for those before.
        """
        pool = self.targets.placed if self.targets else self.embedding.placed.joined(candidates.placed)
        sizes = [len(s.atoms) for s in candidates.data]
        costs = np.array(sizes, dtype=np.float64) ** COST_EXPONENT
        parts = list(_open_parts(self.embedding, self.atoms, self.process, candidates))
        by = self._by_bars if self.energies else self._by_variances
        return [
            (k, Candidate(**asdict(parts[k]), n_atoms=sizes[k], cost=costs[k], **row))
            for k, row in by(candidates, pool, costs, at_most)
        ]

    def _by_variances(
        self, candidates: Embedding, pool: Placed, costs: Floats, at_most: int
    ) -> list[tuple[int, dict[str, Any]]]:
        left, rows = 1.0, []
        for number, (k, gain) in enumerate(self.process.ranked(candidates.placed, pool, costs, at_most)):
            rows.append(
                (k, {"gain": gain, "left": max(left - gain, 0.0), "before": None, "after": None, "mends": None})
            )
            left -= gain if number < at_most else 0.0
        return rows

    def _by_bars(
        self, candidates: Embedding, pool: Placed, costs: Floats, at_most: int
    ) -> list[tuple[int, dict[str, Any]]]:
        assert self.energies
        names = [
            s.source for part in ([self.targets] if self.targets else [self.embedding, candidates]) for s in part.data
        ]
        with self.reporter.task("ranking", min(at_most, len(costs))) as advance:
            before, judges, order = ranked_by_bars(
                self.energies, candidates, pool, costs, self.accuracy, advance, at_most
            )
        start = last = logarithms(before, self.accuracy)
        rows = []
        for number, pick in enumerate(order):
            now = logarithms(pick.reached, self.accuracy)
            best = int(np.argmin(now - last))
            left = float(np.exp((now - start).mean()))
            row = {
                "gain": float(np.exp((last - start).mean())) - left,
                "left": left,
                "before": _rms(before),
                "after": _rms(pick.reached),
                "mends": Mended(names[judges[best]], float(before[best]), float(pick.reached[best])),
            }
            rows.append((pick.candidate, row))
            last = now if number < at_most else last
        return rows


def _suggestion(row: Candidate, name: str) -> Suggestion:
    """Return a candidate whose name describes it as a suggestion with a name."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    if row.mends is not None and row.mends.name == row.name:
        values["mends"] = replace(row.mends, name=name)
    return Suggestion(**{**values, "name": name}, what=row.name)


def _rms(bars: Floats) -> float:
    return float(np.sqrt(np.mean(bars**2)))


def target_with_bar(part: OpenPart, bar: Bar, of_atoms: list[float]) -> Target:
    """Return the target, open if its bar has a cause."""
    return Target(**asdict(part), bar=bar.energy, bar_atoms=of_atoms, open=bar.cause is not None, cause=bar.cause)


def target_without_bar(part: OpenPart) -> Target:
    """Return the target without labels, open if clusters or Gaussian process leave it open."""
    left = max(part.null_fraction, part.unknown_energy) >= UNDETERMINED
    return Target(**asdict(part), bar=None, bar_atoms=None, open=left, cause=None)


def _open_parts(
    embedding: Embedding, atoms: ClusteredAtoms, process: SumProcess, others: Embedding
) -> Iterator[OpenPart]:
    """Yield what the data leave open of each of some other structures."""
    placed = others.placed
    unknown = placed.split(1 - process.determinability(placed))
    energies = 1 - process.energy_determinability(placed)
    counts = cluster_counts(embedding, atoms, placed)
    for s, structure in enumerate(others.data):
        free = null_fraction(atoms.null_space, counts[s])
        yield OpenPart(structure.source, free, float(energies[s]), max(unknown[s]))
