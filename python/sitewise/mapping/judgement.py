"""What the data leave open of the structures that a potential is made for, and which structures to add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from .bars import ACCURACY, Bar, Cause, error_bars
from .clusters import ClusteredAtoms, cluster_counts
from .counts import null_fraction
from .diagnostic import Diagnostic
from .energy_process import EnergyProcess
from .gaussian import SumProcess
from .gspace import Embedding

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
class Candidate(OpenPart):
    """A structure that might be added; `gain` is the part of what is open that its energy would remove."""

    gain: float


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
    """

    accuracy: float
    undetermined_targets: list[str]
    candidates: list[Candidate]
    targets: list[Target] | None = None


def judge(
    embedding: Embedding,
    atoms: ClusteredAtoms,
    process: SumProcess,
    candidates: Embedding | None,
    targets: Embedding | None,
    energies: EnergyProcess | None = None,
    accuracy: float = ACCURACY,
) -> Judgement:
    """Judge targets, and rank candidates by their information on the targets or, without targets, on all structures.

    `energies` gives the error bars of targets; without it, for lack of labels, they are judged by parts of variances.
    """
    judged = None
    if targets is not None:
        parts = list(_open_parts(embedding, atoms, process, targets))
        bars = error_bars(energies, targets.placed, accuracy) if energies else [None] * len(parts)
        judged = [judge_target(part, bar) for part, bar in zip(parts, bars, strict=True)]
    ranked: list[Candidate] = []
    if candidates is not None:
        pool = targets.placed if targets else embedding.placed.joined(candidates.placed)
        open_parts = list(_open_parts(embedding, atoms, process, candidates))
        ranked = [Candidate(**asdict(open_parts[k]), gain=gain) for k, gain in process.ranked(candidates.placed, pool)]
    return Judgement(accuracy, [target.name for target in judged or () if target.open], ranked, judged)


def judge_target(part: OpenPart, bar: Bar | None) -> Target:
    """Return the target, open if its bar has a cause or, without bar, if clusters or Gaussian process leave it open."""
    if bar is not None:
        return Target(**asdict(part), bar=bar.energy, bar_atoms=bar.atoms, open=bar.cause is not None, cause=bar.cause)
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
