"""Single-linkage clustering: the merge history, r_g and clusters at a cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._core import Error
from ..structures import Floats
from .gspace import Integers


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Single-linkage clustering of n points.

    Attributes
    ----------
    points
        [n, d].
    merges
        [n - 1, 4] in the form of `scipy.cluster.hierarchy.linkage`: two clusters, distance, size.
    """

    points: Floats
    merges: Floats

    def big_merges(self, n_big: int) -> list[tuple[float, int, int]]:
        """Distance and both sizes of each merge in which both sides have at least `n_big` members."""
        if n_big < 1:
            raise Error(f"n_big must be at least 1, found {n_big}")
        n = len(self.points)
        size = np.concatenate([np.ones(n), self.merges[:, 3]]).astype(np.int64)
        left, right = size[self.merges[:, 0].astype(np.int64)], size[self.merges[:, 1].astype(np.int64)]
        both = np.flatnonzero(np.minimum(left, right) >= n_big)
        return [(float(self.merges[i, 2]), int(left[i]), int(right[i])) for i in both]

    def r_g(self, n_big: int) -> float | None:
        """Distance at which the two last big clusters merge; None if there never were two of them."""
        merges = self.big_merges(n_big)
        return merges[-1][0] if merges else None

    def r_g_curve(self, sizes: Sequence[int]) -> list[tuple[int, float | None]]:
        """r_g for several n_big."""
        return [(n_big, self.r_g(n_big)) for n_big in sizes]

    def labels(self, cut: float, n_big: int) -> Integers:
        """Number of the cluster of each point [n] where the dendrogram is cut at a distance.

        Points of clusters below `n_big` go to the cluster of the nearest point that is in a big one. Without any
        big cluster all points are one.
        """
        from scipy.cluster.hierarchy import fcluster
        from scipy.spatial import cKDTree

        raw = np.asarray(fcluster(self.merges, cut, "distance"), dtype=np.int64)
        big = np.flatnonzero(np.bincount(raw) >= n_big)
        if not len(big):
            return np.zeros(len(raw), dtype=np.int64)
        inside = np.isin(raw, big)
        if not inside.all():
            nearest = cKDTree(self.points[inside]).query(self.points[~inside])[1]
            raw[~inside] = raw[inside][nearest]
        return np.asarray(np.searchsorted(big, raw))


def single_linkage(points: Floats) -> Clustering:
    """Exact single linkage in memory linear in the number of points (D. Muellner, J. Stat. Softw. 53 (9), 2013).

    Raises
    ------
    Error
        For fewer than two points or values that are not finite.
    """
    import fastcluster

    if len(points) < 2:
        raise Error(f"clustering needs at least two atoms of an element, found {len(points)}")
    if not np.isfinite(points).all():
        raise Error("clustering needs finite symmetry functions")
    merges = fastcluster.linkage_vector(points, method="single", metric="euclidean")
    return Clustering(points, np.asarray(merges, dtype=np.float64))


def default_n_big(n: int) -> int:
    """A twentieth of the points, at least three."""
    return max(3, n // 20)
