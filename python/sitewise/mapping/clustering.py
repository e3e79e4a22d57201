"""Single-linkage clustering: the merge history, r_g and clusters at a cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._core import Error, SpanningTree
from ..progress import Reporter, Silent
from ..structures import Floats, Ints
from .gspace import Integers, principal_components


class Merge(NamedTuple):
    """Merge of two clusters: its distance, and the sizes of both."""

    distance: float
    left: int
    right: int


class CurvePoint(NamedTuple):
    """r_g, the distance at which the two last clusters of at least n_big atoms merge; None without such a merge."""

    n_big: int
    r_g: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Single-linkage clustering of n points.

    Attributes
    ----------
    points
        Coordinates [n, d].
    merges
        Merge history [n - 1, 4] in the form of `scipy.cluster.hierarchy.linkage`: two clusters, distance, size.
    """

    points: Floats
    merges: Floats

    def big_merges(self, n_big: int) -> list[Merge]:
        """Return each merge in which both clusters have at least `n_big` members, in order of the distance.

        Raises
        ------
        Error
            If `n_big` is below 1.
        """
        if n_big < 1:
            raise Error(f"n_big must be at least 1, found {n_big}")
        n = len(self.points)
        size = np.concatenate([np.ones(n), self.merges[:, 3]]).astype(np.int64)
        left, right = size[self.merges[:, 0].astype(np.int64)], size[self.merges[:, 1].astype(np.int64)]
        both = np.flatnonzero(np.minimum(left, right) >= n_big)
        return [Merge(float(self.merges[i, 2]), int(left[i]), int(right[i])) for i in both]

    def r_g(self, n_big: int) -> float | None:
        """Return the distance at which the two last big clusters merge; None if there never were two of them."""
        merges = self.big_merges(n_big)
        return merges[-1].distance if merges else None

    def r_g_curve(self, sizes: Sequence[int]) -> list[CurvePoint]:
        """Return r_g for several n_big."""
        return [CurvePoint(n_big, self.r_g(n_big)) for n_big in sizes]

    def labels(self, cut: float, n_big: int) -> Integers:
        """Return the cluster of each point [n] where the dendrogram is cut at a distance.

        Points of clusters below `n_big` go to the cluster of the nearest point in a big cluster. Without any big
        cluster, all points form one.
        """
        from scipy.cluster.hierarchy import fcluster
        from scipy.spatial import cKDTree

        raw = np.asarray(fcluster(self.merges, cut, "distance"), dtype=np.int64)
        big = np.flatnonzero(np.bincount(raw) >= n_big)
        if not len(big):
            return np.zeros(len(raw), dtype=np.int64)
        inside = np.isin(raw, big)
        if not inside.all():
            places = principal_components(self.points)  # a tree of these is searched much faster
            nearest = cKDTree(places[inside]).query(places[~inside])[1]
            raw[~inside] = raw[inside][nearest]
        return np.asarray(np.searchsorted(big, raw))


@dataclass(frozen=True, slots=True, eq=False)
class JointClustering:
    """Clusters of all elements, cut at one distance: total energies couple them.

    Attributes
    ----------
    parts
        Clustering of each element that is there, with at least two atoms.
    rows
        Indices of the atoms of each part among all.
    n_big
        Least size of a big cluster of each part.
    """

    parts: list[Clustering]
    rows: list[Integers]
    n_big: list[int]

    def big_merges(self) -> list[Merge]:
        """Return the merges of big clusters of all parts, in order of the distance."""
        pairs = zip(self.parts, self.n_big, strict=True)
        return sorted(merge for part, n_big in pairs for merge in part.big_merges(n_big))

    def labels(self, cut: float) -> Integers:
        """Return the cluster of each atom [n]; atoms of different elements are in different clusters."""
        found = np.zeros(sum(len(rows) for rows in self.rows), dtype=np.int64)
        first = 0
        for part, rows, n_big in zip(self.parts, self.rows, self.n_big, strict=True):
            found[rows] = first + part.labels(cut, n_big)
            first = int(found[rows].max()) + 1
        return found


def single_linkage(points: Floats, reporter: Reporter | None = None) -> Clustering:
    """Return the exact single linkage, in memory linear in the number of points.

    Its merges are the edges of the minimum spanning tree, in order of their length (J. Gower and G. Ross, J. R. Stat.
    Soc. C 18, 54 (1969)).

    Parameters
    ----------
    points
        Coordinates [n, d].
    reporter
        Receives the progress.

    Raises
    ------
    Error
        For fewer than two points or values that are not finite.
    """
    n = len(points)
    if n < 2:
        raise Error(f"clustering needs at least two atoms of an element, found {n}")
    if not np.isfinite(points).all():
        raise Error("clustering needs finite symmetry functions")
    tree = SpanningTree(principal_components(points))
    with (reporter or Silent()).task(f"clustering {n} atoms", n - 1, lines=True) as advance:
        left = n
        while left > 1:
            before, left = left, tree.grow()
            advance(before - left)
    edges = tree.edges()
    # Rounding makes copies of a point unequal as they are turned: distances are those of the points themselves.
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    order = np.argsort(lengths, kind="stable")
    return Clustering(points, _merges(edges[order], lengths[order]))


def _merges(edges: Ints, lengths: Floats) -> Floats:
    """Return the merge history of a spanning tree whose edges [n - 1, 2] are in order of their lengths [n - 1]."""
    n = len(edges) + 1
    parent, size = list(range(2 * n - 1)), [1] * n
    merges = []
    for node, ((a, b), length) in enumerate(zip(edges.tolist(), lengths.tolist(), strict=True), n):
        first, second = sorted((_root(parent, a), _root(parent, b)))
        parent[first] = parent[second] = node
        size.append(size[first] + size[second])
        merges.append((first, second, length, size[node]))
    return np.array(merges, dtype=np.float64)


def _root(parent: list[int], node: int) -> int:
    while parent[node] != node:
        parent[node] = node = parent[parent[node]]
    return node


def default_n_big(n: int) -> int:
    """Return a twentieth of the points, at least three."""
    return max(3, n // 20)
