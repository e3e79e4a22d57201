"""Single-linkage clustering to r_g: the supplement's section D and Fig. S5.

Each point starts as a cluster of its own. Small clusters merge early. A few large and many tiny clusters are left late.
r_g is the distance at which the two last large clusters merge. The first example has points of the plane, for which r_g
is the gap between two clouds; the second has the environments of silicon slabs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import COLORS, panels, save_figure
from ..io.dataset import Dataset
from ..mapping.clustering import Clustering, CurvePoint, default_n_big, single_linkage
from ..mapping.gspace import Environments, GSpace, Integers
from ..mapping.plots import on_plane
from ..progress import Silent
from ..structures import Floats
from ..symmetry import SymmetryFunctions
from .frame import Check, Folder, Outcome
from .silicon import DATA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLOUD, CENTRES = 60, ((0.0, 0.0), (4.0, 1.0))  # points of each cloud, and the centres
DUST, AWAY = 14, (2.6, 4.0)  # points around the clouds, and bounds of the distance to the nearest centre
EARLY = 0.5  # of all merges
TINY = 3  # smaller clusters are not coloured
STEPS = ("early", "late", "last")


@dataclass(frozen=True)
class Settings:
    """Step from one slab to the next that is used."""

    every: int = 1


def run(settings: Settings, folder: Folder) -> Outcome:
    """Cluster both sets of points and show three steps of each."""
    plane, clouds = points_of_the_plane()
    data = Dataset.read(DATA / "slab.xyz.xz", reporter=Silent())[:: settings.every]
    with folder.reporter.task("clustering", 2, lines=True) as advance:
        clusterings = {"plane": single_linkage(plane)}
        advance()
        clusterings["slabs"] = single_linkage(environments_of(data))
        advance()
    rows = [(name, *row) for name, clustering in clusterings.items() for row in _rows(clustering)]
    draw(folder, clusterings)
    columns = ("points", "step", "distance", "clusters", "large", "points in large ones")
    r_g = {name: [{"n_big": n, "r_g": r} for n, r in _curve(c)] for name, c in clusterings.items()}
    return Outcome(columns, rows, checks(clusterings, clouds), {"r_g_curve": r_g})


def points_of_the_plane() -> tuple[Floats, Integers]:
    """Return two clouds and dust around them [n, 2], and the cloud of each point, -1 for dust."""
    rng = np.random.default_rng(5)
    clouds = [centre + rng.normal(0, (0.55, 0.45), (CLOUD, 2)) for centre in np.array(CENTRES)]
    dust: list[Floats] = []
    while len(dust) < DUST:
        point = rng.uniform((-4, -4), (8, 5))
        distances = np.linalg.norm(point - np.array(CENTRES), axis=1)
        if distances.min() > AWAY[0] and distances.min() < AWAY[1]:
            dust.append(point)
    return np.concatenate([*clouds, dust]), np.repeat([0, 1, -1], [CLOUD, CLOUD, DUST])


def environments_of(data: Dataset) -> Floats:
    """Return the coordinates of all atoms in G space [n, functions]."""
    functions = SymmetryFunctions.preset("simple-nn", data.elements)
    environments = Environments.of(data, functions)
    return GSpace.of(environments, [functions.core.count(0)]).coordinates(environments, 0)


# ---- steps


def cuts(clustering: Clustering, n_big: int) -> dict[str, float]:
    """Return the distances of three steps: after half of all merges, just before r_g, and at r_g."""
    r_g = clustering.r_g(n_big)
    assert r_g is not None, "there are always two large clusters in these data"
    heights = clustering.merges[:, 2]
    before = heights[heights < r_g]
    return dict(zip(STEPS, (float(heights[int(EARLY * len(heights))]), float(before[-1]), r_g), strict=True))


def labels_at(clustering: Clustering, cut: float) -> Integers:
    """Return the cluster of each point, 0 for the largest."""
    from scipy.cluster.hierarchy import fcluster

    found = np.asarray(fcluster(clustering.merges, cut, "distance"), dtype=np.int64)
    order = np.argsort(-np.bincount(found), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[found]


def link(clustering: Clustering) -> tuple[int, int, float]:
    """Return the nearest two points of the two last large clusters, and their distance."""
    from scipy.spatial.distance import cdist

    steps = cuts(clustering, default_n_big(len(clustering.points)))
    before, after = labels_at(clustering, steps["late"]), labels_at(clustering, steps["last"])
    first, second = (np.flatnonzero(before == label) for label in np.unique(before[after == 0]))
    distances = cdist(clustering.points[first], clustering.points[second])
    i, j = np.unravel_index(distances.argmin(), distances.shape)
    return int(first[i]), int(second[j]), float(distances[i, j])


def _rows(clustering: Clustering) -> Iterator[tuple[Any, ...]]:
    n_big = default_n_big(len(clustering.points))
    for step, cut in cuts(clustering, n_big).items():
        sizes = np.bincount(labels_at(clustering, cut))
        sizes = sizes[sizes > 0]
        large = sizes[sizes >= n_big]
        yield step, cut, len(sizes), len(large), int(large.sum())


def _curve(clustering: Clustering) -> list[CurvePoint]:
    sizes = np.unique(np.geomspace(1, len(clustering.points) // 2, 30).astype(int))
    return clustering.r_g_curve(sizes.tolist())


# ---- results


def checks(clusterings: dict[str, Clustering], clouds: Integers) -> list[Check]:
    """Check that r_g is the gap between the clouds and between the two last large clusters, and the merges by scipy."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import cdist

    plane = clusterings["plane"]
    gap = cdist(plane.points[clouds == 0], plane.points[clouds == 1]).min()
    other = linkage(plane.points, "single")[:, 2]
    r_g = plane.r_g(default_n_big(len(plane.points))) or np.nan
    result = [
        Check("plane: r_g against the gap between the clouds", float(abs(r_g - gap)), below=1e-12),
        Check("plane: merges against those of scipy", float(np.abs(plane.merges[:, 2] - other).max()), below=1e-12),
    ]
    for name, clustering in clusterings.items():
        r_g, (_, _, shortest) = clustering.r_g(default_n_big(len(clustering.points))) or np.nan, link(clustering)
        what = f"{name}: r_g against the shortest distance between the two last large clusters"
        result.append(Check(what, float(abs(r_g - shortest)), below=1e-12))
    return result


def draw(folder: Folder, clusterings: dict[str, Clustering]) -> None:
    """Draw `clustering.png`: early, late and last step, of the plane above and of the slabs below."""
    figure, axes = panels(3, rows=2, square=True)
    titles = {
        "early": "early: small clusters grow",
        "late": "late: large clusters, tiny ones",
        "last": "last: the two last large ones merge",
    }
    for row, (name, clustering) in enumerate(clusterings.items()):
        places = clustering.points if name == "plane" else on_plane(clustering.points)
        n_big = default_n_big(len(places))
        for ax, (step, cut) in zip(axes[3 * row :], cuts(clustering, n_big).items(), strict=False):
            _draw_step(ax, clustering, places, cut, n_big)
            if step != "early":
                ends = places[list(link(clustering)[:2])]
                ax.plot(*ends.T, color="black", linewidth=1.5)
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
                ax.annotate("r_g", ends.mean(axis=0), textcoords="offset points", xytext=(-6, 14), bbox=box)
            units = ("x", "y") if name == "plane" else ("PC 1 of G space, slabs of silicon", "PC 2")
            ax.set(xlabel=units[0], ylabel=units[1], title=f"{titles[step]}\nd = {cut:.3g}")
            ax.title.set_fontsize("medium")
            if name == "plane":
                _draw_tree(ax, places, cut)
                ax.set_aspect("equal", adjustable="datalim")
    save_figure(figure, folder.path / "clustering.png")


def _draw_step(ax: Axes, clustering: Clustering, places: Floats, cut: float, n_big: int) -> None:
    """Draw clusters in colours, and tiny ones in grey."""
    labels = labels_at(clustering, cut)
    sizes = np.bincount(labels)
    size = 5.0 if len(places) < 1000 else 1.5
    tiny = sizes[labels] < TINY
    ax.plot(*places[tiny].T, ".", color="#aaaaaa", markersize=size, label=f"smaller than {TINY}")
    for label in np.flatnonzero(sizes >= TINY)[::-1]:
        color = COLORS[label % (len(COLORS) - 1)]
        large = sizes[label] >= n_big
        name = f"{sizes[label]} points" if large else None
        ax.plot(*places[labels == label].T, "o", color=color, markersize=size, markeredgewidth=0, label=name)
    ax.legend(frameon=False, fontsize="x-small", loc="lower right", markerscale=5.0 / size)


def _draw_tree(ax: Axes, places: Floats, cut: float) -> None:
    """Draw the lines that hold the clusters together: the minimum spanning tree up to the cut."""
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import cdist

    tree = minimum_spanning_tree(cdist(places, places)).tocoo()
    for i, j, length in zip(tree.row, tree.col, tree.data, strict=True):
        if length < cut:
            ax.plot(*places[[i, j]].T, color="black", linewidth=0.6, zorder=0)
