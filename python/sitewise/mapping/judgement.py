"""What the data leave open of the structures that a potential is made for, and which structures to add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from .clusters import ClusteredAtoms, cluster_counts
from .counts import null_fraction
from .diagnostic import Diagnostic
from .gaussian import SumProcess
from .gspace import Embedding

UNDETERMINED = 0.01  # part of a target that the data leave open, from which on it is undetermined


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
    """A structure that the potential is made for; determined if clusters and Gaussian process both say so."""

    determined: bool


@dataclass(frozen=True, slots=True)
class Candidate(OpenPart):
    """A structure that might be added; `gain` is the part of what is open that its energy would remove."""

    gain: float


@dataclass(frozen=True, slots=True)
class Judgement(Diagnostic):
    """Targets, and candidates in the order in which to add them.

    Attributes
    ----------
    undetermined_targets
        Names of the targets that are not determined.
    candidates
        The candidates, the best first.
    targets
        The targets, in the order of the data; None if none are given.
    """

    undetermined_targets: list[str]
    candidates: list[Candidate]
    targets: list[Target] | None = None


def judge(
    embedding: Embedding,
    atoms: ClusteredAtoms,
    process: SumProcess,
    candidates: Embedding | None,
    targets: Embedding | None,
) -> Judgement:
    """Judge targets, and rank candidates by their information on the targets or, without targets, on all structures."""
    judged = None
    if targets is not None:
        judged = [judge_target(part) for part in _open_parts(embedding, atoms, process, targets)]
    ranked: list[Candidate] = []
    if candidates is not None:
        pool = targets.placed if targets else embedding.placed.joined(candidates.placed)
        parts = list(_open_parts(embedding, atoms, process, candidates))
        ranked = [Candidate(**asdict(parts[k]), gain=gain) for k, gain in process.ranked(candidates.placed, pool)]
    return Judgement([target.name for target in judged or () if not target.determined], ranked, judged)


def judge_target(part: OpenPart) -> Target:
    """Return the target, determined if clusters and Gaussian process both find its energy determined."""
    return Target(**asdict(part), determined=max(part.null_fraction, part.unknown_energy) < UNDETERMINED)


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
