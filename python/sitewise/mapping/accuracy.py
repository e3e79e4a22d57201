"""How well a model maps the data to atomic energies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..io.dataset import Dataset
from ..structures import Flags, Floats, Structure
from .bars import Bar, ErrorCause, cause_of_error, causes_at_crystals, error_bars
from .clusters import ClusteredAtoms
from .counts import comparison, compositions
from .diagnostic import Diagnostic
from .energy_process import EnergyProcess
from .gspace import Embedding, Placed
from .invariants import extrapolated, invariant_energy, is_invariant
from .models import Model


@dataclass(frozen=True, slots=True)
class InvariantPoint:
    """Error of the atomic energy of a crystal of equivalent atoms.

    Attributes
    ----------
    name
        Source of the crystal.
    delta
        Atomic energy - E/N, eV.
    extrapolation
        Whether the crystal is far from all data.
    volume
        Volume of an atom, cubic Angstrom.
    bar
        Error bar of the atomic energy before training, eV; None without energies of the data.
    cause
        Why it is wrong, see `causes_at_crystals`; None if it is not.
    """

    name: str
    delta: float
    extrapolation: bool
    volume: float
    bar: float | None
    cause: ErrorCause | None

    @property
    def counts(self) -> bool:
        """Whether the point tests the mapping."""
        return not self.extrapolation or self.cause == "mapping"


@dataclass(frozen=True, slots=True)
class TargetError:
    """Error of the energy of a target, eV/atom, and why it is wrong, see `cause_of_error`; None if it is not."""

    name: str
    error: float
    cause: ErrorCause | None


@dataclass(frozen=True, slots=True)
class ClusterDifference:
    """Difference of two models' means over a cluster, eV: what the data determine of it, and what they do not."""

    name: str
    determined: float
    undetermined: float


@dataclass(frozen=True, slots=True)
class ModelDifference:
    """Difference of two models, eV: RMS over atomic energies, RMS of both parts of the clusters' means."""

    rms: float
    determined_rms: float
    undetermined_rms: float
    clusters: list[ClusterDifference]


@dataclass(frozen=True, slots=True)
class Accuracy(Diagnostic):
    """How well a model maps the data.

    Attributes
    ----------
    energy_rmse
        RMSE of the total energies of the data, eV/atom; None without labels.
    invariants
        Errors at crystals of equivalent atoms.
    target_errors
        Errors at targets that have an energy.
    unlabelled_crystals
        Names of such crystals that lack an energy, or atomic energies of the model.
    split
        Difference from the elements' energies that fit the model's totals best: of the energies of the clusters, what
        the data determine and what they leave free.
    rigidity
        For each structure the last-layer rigidity of its atoms, without unit; None if the model is no potential.
    comparison
        Difference from another model; None without one.
    """

    energy_rmse: float | None
    invariants: list[InvariantPoint]
    target_errors: list[TargetError]
    unlabelled_crystals: list[str]
    split: ModelDifference
    rigidity: list[list[float]] | None
    comparison: ModelDifference | None = None


def energy_rmse(embedding: Embedding, energies: Floats) -> float | None:
    """Return the RMSE of the total energies, eV/atom; None without any label."""
    parts = zip(embedding.data, embedding.placed.split(energies), strict=True)
    errors = [(sum(own) - s.energy) / len(own) for s, own in parts if s.energy is not None]
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None


def find_crystals(sets: Iterable[Embedding]) -> list[Structure]:
    """Return the structures of some sets that are crystals of equivalent atoms."""
    return [s for part in sets for s in part.data if is_invariant(s.atoms)]


def invariant_points(
    embedding: Embedding,
    crystals: Sequence[Structure],
    model: Model,
    rmse: float | None,
    process: EnergyProcess | None,
    accuracy: float,
) -> list[InvariantPoint]:
    """Return the error of the atomic energy of each crystal, and why it is wrong."""
    if not crystals:
        return []
    far = _far_from_data(embedding, crystals).tolist()
    bars = _bars(embedding.embed(Dataset(crystals)).placed, process, accuracy)
    deltas = [float(model.energies(s)[0]) - invariant_energy(s) for s in crystals]
    elements = [int(s.atoms.numbers[0]) for s in crystals]
    causes = causes_at_crystals(deltas, rmse, bars, far, elements, accuracy)
    each = zip(crystals, deltas, far, bars, causes, strict=True)
    return [
        InvariantPoint(
            s.source, delta, outside, float(s.atoms.cell.volume) / len(s.atoms), bar.energy if bar else None, cause
        )
        for s, delta, outside, bar, cause in each
    ]


def target_errors(
    targets: Embedding, model: Model, rmse: float | None, process: EnergyProcess | None, accuracy: float
) -> list[TargetError]:
    """Return the error of each target that has an energy, and why it is wrong."""
    bars = _bars(targets.placed, process, accuracy)
    errors = []
    for s, bar in zip(targets.data, bars, strict=True):
        if s.energy is not None and model.knows(s):
            error = (float(model.energies(s).sum()) - s.energy) / len(s.atoms)
            errors.append(TargetError(s.source, error, cause_of_error(error, rmse, bar, far=False, accuracy=accuracy)))
    return errors


def _bars(structures: Placed, process: EnergyProcess | None, accuracy: float) -> Sequence[Bar | None]:
    """Return the error bar of each structure; None without a process."""
    return error_bars(process, structures, accuracy) if process else [None] * structures.n_structures


def _far_from_data(embedding: Embedding, crystals: Sequence[Structure]) -> Flags:
    """Return for each crystal whether it is extrapolation."""
    placed: list[Placed] = [embedding.embed(Dataset([s])).placed for s in crystals]
    elements = [own.elements[0] for own in placed]
    points = [own.points[e][0] for own, e in zip(placed, elements, strict=True)]
    far = np.zeros(len(crystals), dtype=np.bool_)
    for e in set(elements):
        mine = [i for i, element in enumerate(elements) if element == e]
        far[mine] = extrapolated(embedding.placed.points[e], np.array([points[i] for i in mine]))
    return far


def of_elements(placed: Placed, energies: Floats) -> Floats:
    """Return for each atom [n] the energy of its element that fits the sums of atomic energies [n] best, eV."""
    counts = compositions(placed)
    sums = np.bincount(placed.structure, energies, placed.n_structures)
    sizes = np.sqrt(counts.sum(axis=1))
    fitted = np.linalg.lstsq(counts / sizes[:, None], sums / sizes, rcond=1e-8)[0]
    found = np.zeros(placed.n_atoms)
    for e, energy in zip(placed.elements, fitted.tolist(), strict=True):
        found[placed.rows[e]] = energy
    return found


def compare(atoms: ClusteredAtoms, names: Sequence[str], difference: Floats) -> ModelDifference:
    """Return what the data determine of a difference of atomic energies [n], eV, and what they leave free."""
    sizes = atoms.sizes
    parts = comparison(atoms.null_space, np.bincount(atoms.labels, weights=difference) / sizes)

    def rms(values: Floats) -> float:
        return float(np.sqrt((sizes * values**2).sum() / sizes.sum()))

    rows = zip(names, parts.determined.tolist(), parts.undetermined.tolist(), strict=True)
    return ModelDifference(
        rms=float(np.sqrt(np.mean(difference**2))),
        determined_rms=rms(parts.determined),
        undetermined_rms=rms(parts.undetermined),
        clusters=[ClusterDifference(name, determined, free) for name, determined, free in rows],
    )
