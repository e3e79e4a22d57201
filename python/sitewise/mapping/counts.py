"""What total energies determine of the energies of clusters: the null space of the count matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .._core import Error
from ..structures import Flags, Floats
from .clustering import Clustering, JointClustering
from .gspace import Integers, Placed

RANK_TOLERANCE = 1e-8  # of the largest singular value


@dataclass(frozen=True, slots=True, eq=False)
class NullSpace:
    """Null space of a count matrix C whose structures have N atoms.

    Attributes
    ----------
    rank
        Rank of C/sqrt(N).
    null
        Orthonormal basis Q [clusters, nullity] of offsets that change no total energy.
    determined
        d_k = 1 - sum_n Q_kn^2 [clusters]: 1 is fixed, 0 is free.
    """

    rank: int
    null: Floats
    determined: Floats

    @property
    def nullity(self) -> int:
        return int(self.null.shape[1])


@dataclass(frozen=True, slots=True)
class BarcodeEntry:
    """Clusters, rank and nullity at a cut; they are the same from distance `low` to `high`."""

    cut: float
    low: float
    high: float
    clusters: int
    rank: int
    nullity: int


class Difference(NamedTuple):
    """Parts of a difference of two potentials' cluster means [clusters], eV."""

    determined: Floats
    undetermined: Floats


def count_matrix(labels: Integers, structure: Integers) -> Floats:
    """Return C[s, k], the number of atoms of structure s in cluster k."""
    counts = np.zeros((int(structure.max()) + 1, int(labels.max()) + 1))
    np.add.at(counts, (structure, labels), 1.0)
    return counts


def compositions(placed: Placed) -> Floats:
    """Return C[s, e], the number of atoms of structure s of each element that is there."""
    counts = [np.bincount(placed.owners(e), minlength=placed.n_structures) for e in placed.elements]
    return np.stack(counts, axis=1).astype(np.float64)


def determine(counts: Floats) -> NullSpace:
    """Return rank, null space and determinability of a count matrix (also of the matrix of compositions).

    Raises
    ------
    Error
        If a structure has no atoms, or a count is negative or not finite.
    """
    if counts.ndim != 2 or not np.isfinite(counts).all() or (counts < 0).any():
        raise Error("a count matrix needs counts that are finite and not negative")
    sizes = counts.sum(axis=1, keepdims=True)
    if not sizes.size or (sizes == 0).any():
        raise Error("a count matrix needs at least one atom in each structure")
    _, values, basis = np.linalg.svd(np.unique(counts / np.sqrt(sizes), axis=0))
    rank = int((values > RANK_TOLERANCE * values[0]).sum())
    null = basis[rank:].T
    return NullSpace(rank, null, 1 - (null**2).sum(axis=1))


def barcode(clustering: Clustering, structure: Integers, n_big: int) -> list[BarcodeEntry]:
    """Return clusters, rank and nullity of one element's atoms between each two successive merges of big clusters.

    The first entry lies below the first such merge, from 0.6 of its distance.
    """
    return joint_barcode(JointClustering([clustering], [np.arange(len(structure))], [n_big]), structure)


def joint_barcode(clustering: JointClustering, structure: Integers, known: Flags | None = None) -> list[BarcodeEntry]:
    """Return clusters, rank and nullity of all elements' atoms between each two successive merges of big clusters.

    `known` are the structures whose energies are known, by default all.
    """
    distances = [merge.distance for merge in clustering.big_merges() if merge.distance > 0]
    edges = [0.6 * distances[0], *distances] if distances else []
    entries = []
    for low, high in pairwise(edges):
        if high <= low:
            continue
        cut = float(np.sqrt(low * high))
        counts = count_matrix(clustering.labels(cut), structure)
        found = determine(counts if known is None else counts[known])
        entries.append(BarcodeEntry(cut, low, high, counts.shape[1], found.rank, found.nullity))
    return entries


def longest(entries: Sequence[BarcodeEntry]) -> BarcodeEntry | None:
    """Return the entry that persists longest, by the ratio of its distances; None without entries.

    The first has no end below and counts only where it is alone.
    """
    return max(entries[1:] or entries, key=lambda entry: entry.high / entry.low, default=None)


def null_fraction(found: NullSpace, target: Floats) -> float:
    """Return |Q^T c|^2/|c|^2 of a structure with counts c [clusters]: 0 is determined.

    Raises
    ------
    Error
        If the structure has no atoms.
    """
    norm = float(target @ target)
    if not norm > 0:
        raise Error("a target needs at least one atom")
    return float(((found.null.T @ target) ** 2).sum() / norm)


def comparison(found: NullSpace, difference: Floats) -> Difference:
    """Divide a difference of two potentials' cluster means [clusters], eV, by what total energies determine of it."""
    undetermined = found.null @ (found.null.T @ difference)
    return Difference(difference - undetermined, undetermined)
