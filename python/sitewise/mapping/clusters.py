"""Clusters of the data's atoms, and what total energies determine of the clusters' energies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._core import Error
from ..progress import Reporter
from ..structures import Floats
from .clustering import Clustering, CurvePoint, JointClustering, default_n_big, single_linkage
from .counts import BarcodeEntry, NullSpace, compositions, count_matrix, determine, joint_barcode, longest
from .diagnostic import Diagnostic
from .gspace import Embedding, Integers, Placed

N_BIG = (3, 10, 30, 100, 300, 1000)  # of the curve of r_g


@dataclass(frozen=True, slots=True, eq=False)
class ClusteredAtoms:
    """Atoms of the data in clusters, at the cut that persists longest.

    Attributes
    ----------
    clustering
        Clustering of all elements.
    barcode
        Clusters and nullity at all cuts.
    labels
        Cluster of each atom [n].
    null_space
        Null space of the count matrix of these clusters, over the structures whose energies are known.
    """

    clustering: JointClustering
    barcode: list[BarcodeEntry]
    labels: Integers
    null_space: NullSpace

    @property
    def sizes(self) -> Integers:
        """Number of atoms of each cluster."""
        return np.bincount(self.labels)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, named by its element and, if the element has several, a letter: A is the largest."""

    name: str
    n_atoms: int
    determinability: float


@dataclass(frozen=True, slots=True)
class ElementMerges:
    """Merges of the clusters of one element; r_g is None if no two big clusters merge."""

    n_atoms: int
    n_big: int
    r_g: float | None
    r_g_curve: list[CurvePoint]


@dataclass(frozen=True, slots=True)
class Partition(Diagnostic):
    """Clusters of the atoms, and the combinations of their energies that total energies leave free.

    Attributes
    ----------
    n_big, r_g
        Those of the element whose two last big clusters are farthest apart.
    barcode
        Clusters and nullity at all cuts.
    clusters
        The clusters at the cut that persists longest.
    undetermined_offsets
        Orthonormal offsets of these clusters [nullity][clusters] that change no total energy, eV.
    composition_nullity
        Combinations of offsets of the elements that total energies leave free.
    elements
        Merges of each element.
    """

    n_big: int
    r_g: float | None
    barcode: list[BarcodeEntry]
    clusters: list[Cluster]
    undetermined_offsets: list[list[float]]
    composition_nullity: int
    elements: dict[str, ElementMerges]

    @property
    def names(self) -> list[str]:
        return [cluster.name for cluster in self.clusters]

    @property
    def chosen(self) -> BarcodeEntry | None:
        """Entry of the barcode that persists longest; None if the atoms form one cluster."""
        return longest(self.barcode)


def cluster_atoms(embedding: Embedding, n_big: int | None, reporter: Reporter) -> ClusteredAtoms:
    """Cluster the atoms of each element and cut all dendrograms where the clusters persist longest.

    Raises
    ------
    Error
        For an element with one atom only.
    """
    placed = embedding.placed
    rows = [placed.rows[e] for e in placed.elements]
    sizes = [n_big or default_n_big(len(own)) for own in rows]
    parts: list[Clustering] = []
    for e in placed.elements:
        if len(placed.points[e]) < 2:
            element = embedding.functions.elements[e]
            raise Error(f"the data have a single atom of {element}, at least two are needed")
        parts.append(single_linkage(placed.points[e], reporter))
    clustering = JointClustering(parts, rows, sizes)
    barcode = joint_barcode(clustering, placed.structure, embedding.informing)
    chosen = longest(barcode)
    labels = clustering.labels(chosen.cut if chosen else np.inf)
    null_space = determine(count_matrix(labels, placed.structure)[embedding.informing])
    return ClusteredAtoms(clustering, barcode, labels, null_space)


def partition(embedding: Embedding, atoms: ClusteredAtoms) -> Partition:
    """Return the clusters and what total energies leave free of them."""
    placed, elements = embedding.placed, embedding.functions.elements
    merges = [_merges(part, n) for part, n in zip(atoms.clustering.parts, atoms.clustering.n_big, strict=True)]
    farthest = max(merges, key=lambda merge: (-1.0 if merge.r_g is None else merge.r_g, merge.n_big))
    rows = zip(_names(embedding, atoms.labels), atoms.sizes.tolist(), atoms.null_space.determined.tolist(), strict=True)
    return Partition(
        n_big=farthest.n_big,
        r_g=farthest.r_g,
        barcode=atoms.barcode,
        clusters=[Cluster(name, n, determined) for name, n, determined in rows],
        undetermined_offsets=atoms.null_space.null.T.tolist(),
        composition_nullity=determine(compositions(placed)[embedding.informing]).nullity,
        elements={elements[e]: merge for e, merge in zip(placed.elements, merges, strict=True)},
    )


def cluster_counts(embedding: Embedding, atoms: ClusteredAtoms, others: Placed) -> Floats:
    """Return C[s, k] of other structures, whose atoms go to the cluster of the nearest atom of the data."""
    from scipy.spatial import cKDTree

    placed = embedding.placed
    labels = np.zeros(others.n_atoms, dtype=np.int64)
    for e in placed.elements:
        nearest = cKDTree(placed.points[e]).query(others.points[e])[1]
        labels[others.rows[e]] = atoms.labels[placed.rows[e]][nearest]
    counts = np.zeros((others.n_structures, len(atoms.sizes)))
    np.add.at(counts, (others.structure, labels), 1.0)
    return counts


def _merges(part: Clustering, n_big: int) -> ElementMerges:
    return ElementMerges(len(part.points), n_big, part.r_g(n_big), part.r_g_curve(N_BIG))


def _names(embedding: Embedding, labels: Integers) -> list[str]:
    """Return the name of each cluster: the element and, where it has several, a letter, the largest cluster being A."""
    names = [""] * (int(labels.max()) + 1)
    for e in embedding.placed.elements:
        found, sizes = np.unique(labels[embedding.placed.rows[e]], return_counts=True)
        for place, k in enumerate(found[np.argsort(-sizes, kind="stable")]):
            names[int(k)] = embedding.functions.elements[e] + (f" {_letter(place)}" if len(found) > 1 else "")
    return names


def _letter(number: int) -> str:
    """Return A, B, ..., Z, A1, B1, ..."""
    return chr(ord("A") + number % 26) + (str(number // 26) if number >= 26 else "")
