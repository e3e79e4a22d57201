"""Pictures of a diagnosis: dendrogram, merge history, barcode, maps of G space, atomic energies, invariant points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..figures import COLORS, plain_log_ticks, save_figure, tiles
from ..structures import Floats
from ..text import for_picture
from .clustering import Clustering
from .diagnosis import Diagnosis
from .gspace import Integers, principal_components
from .invariants import invariant_energy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

LEAVES = 40  # most branches of a dendrogram
SHOWN, TARGETS = 6_000, 200  # most atoms of a map, of the data and of targets
COLUMNS = 2  # of the map
OPEN = "open part of the energy's variance"
TYPES = 12  # structure types with a colour of their own
GREY = "#bbbbbb"
LEAST_UNKNOWN = 1e-4  # lower end of the colours
LEAST_SHOWN = 1.0  # meV, end of an axis: smaller errors need no look
PIXELS = 1_000  # of a panel, about


def save_diagnosis(folder: Path, diagnosis: Diagnosis) -> list[Path]:
    """Draw all pictures that a diagnosis has data for, as PNG, and return the files."""
    makers = {
        "dendrogram": save_dendrogram,
        "merges": save_merges,
        "barcode": save_barcode,
        "map": save_map,
        "atomic_energies": save_atomic_energies,
        "invariants": save_invariants,
    }
    paths = []
    for name, make in makers.items():
        path = folder / f"{name}.png"
        if make(path, diagnosis):
            paths.append(path)
    return paths


def save_dendrogram(path: Path, diagnosis: Diagnosis) -> bool:
    """Draw the last merges of each element's single linkage, with r_g and the cut."""
    clustering, elements, chosen = diagnosis.clustering, diagnosis.placed.elements, diagnosis.partition.chosen
    figure, axes = tiles(len(elements))
    highest = max(_top(part, n_big) for part, n_big in zip(clustering.parts, clustering.n_big, strict=True))
    for k, (ax, part, n_big, e) in enumerate(zip(axes, clustering.parts, clustering.n_big, elements, strict=True)):
        _dendrogram(ax, part, n_big, of_element(k))
        ax.set_ylim(0, highest)  # distances of all elements are on one scale
        if chosen:
            ax.axhline(chosen.cut, color="black", linestyle=":", label=f"cut {chosen.cut:.3f}")
        ax.set(title=diagnosis.functions.elements[e], ylabel="distance in G space", xticks=[])
        ax.set_xlabel("clusters, as wide as they have atoms")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize="small")
    save_figure(figure, path)
    return True


def of_element(k: int) -> str:
    """Return the colour of the k-th element in all pictures."""
    return COLORS[k % len(COLORS)]


def _top(part: Clustering, n_big: int) -> float:
    """Return the distance up to which a dendrogram is drawn."""
    r_g = part.r_g(n_big)
    return 1.4 * r_g if r_g else 1.05 * float(part.merges[-1, 2]) or 1.0


def _dendrogram(ax: Axes, part: Clustering, n_big: int, color: str) -> None:
    """Draw branches of at least n_big atoms, each over its atoms; smaller ones that join them are left out."""
    n = len(part.points)
    size = np.concatenate([np.ones(n), part.merges[:, 3]]).astype(int)
    height = np.concatenate([np.zeros(n), part.merges[:, 2]])
    least = max(2, min(n_big, n // LEAVES))
    todo = [(2 * n - 2, 0.0, height[-1] * 1.05)]
    while todo:
        node, left, top = todo.pop()
        # Small clusters that join one by one do not end a branch.
        centre, bottom = left + size[node] / 2, node
        while bottom >= n:
            children = part.merges[bottom - n, :2].astype(int)
            children = children[np.argsort(-size[children])]
            if size[children[1]] >= least:
                break
            bottom = int(children[0])
        low = height[bottom]
        ax.plot([centre, centre], [low, top], color=color, linewidth=1.2)
        if bottom < n:
            continue
        first = centre - size[bottom] / 2
        second = first + size[children[0]]
        ends = [first + size[children[0]] / 2, second + size[children[1]] / 2]
        ax.plot(ends, [low, low], color=color, linewidth=1.2)
        todo += [(int(child), x, low) for child, x in zip(children, (first, second), strict=True)]
    r_g = part.r_g(n_big)
    if r_g is not None:
        ax.axhline(r_g, color="black", linewidth=1.2, linestyle="--", label=f"r_g {r_g:.3f} (n_big {n_big})")
    ax.set_xlim(-0.02 * n, 1.02 * n)


def save_merges(path: Path, diagnosis: Diagnosis) -> bool:
    """Draw the merge history: the size of the smaller cluster of each merge, and r_g as a function of n_big."""
    figure, axes = tiles(2)
    for k, (part, e) in enumerate(zip(diagnosis.clustering.parts, diagnosis.placed.elements, strict=True)):
        color, name = of_element(k), diagnosis.functions.elements[e]
        size = np.concatenate([np.ones(len(part.points)), part.merges[:, 3]])
        smaller = size[part.merges[:, :2].astype(int)].min(axis=1)
        kept = _distinct(part.merges[:, 2], smaller)
        axes[0].plot(part.merges[kept, 2], smaller[kept], ".", color=color, markersize=4, label=name)
        axes[0].axhline(diagnosis.clustering.n_big[k], color=color, linestyle="--", linewidth=0.9)
        sizes = np.unique(np.geomspace(1, max(len(part.points) // 2, 2), 40).astype(int))
        curve = [(n, r) for n, r in part.r_g_curve(sizes.tolist()) if r is not None]
        if curve:
            axes[1].step(*zip(*curve, strict=True), where="post", color=color, label=name)
        axes[1].axvline(diagnosis.clustering.n_big[k], color=color, linestyle="--", linewidth=0.9)
    axes[0].set(xlabel="distance of the merge in G space", ylabel="atoms of the smaller cluster", yscale="log")
    axes[1].set(xlabel="n_big (atoms); dashed: the one used", ylabel="r_g, distance in G space", xscale="log")
    axes[1].set_ylim(bottom=0)
    if len(diagnosis.placed.elements) > 1:
        axes[1].legend(frameon=False)
    axes[0].set_title("dashed: n_big", fontsize=9)
    save_figure(figure, path)
    return True


def _distinct(distances: Floats, sizes: Floats) -> Integers:
    """Return indices of points that cover, in a picture, all points."""
    width = float(distances.max()) / PIXELS or 1.0
    return np.sort(np.unique(np.stack([np.round(distances / width), sizes]), axis=1, return_index=True)[1])


def save_barcode(path: Path, diagnosis: Diagnosis) -> bool:
    """Draw nullity and number of clusters against the cut."""
    entries, chosen = diagnosis.partition.barcode, diagnosis.partition.chosen
    if not entries:
        return False
    figure, (ax,) = tiles(1)
    for number, entry in enumerate(entries):
        color = COLORS[1] if entry.nullity else COLORS[2]
        best = entry is chosen
        ax.plot([entry.low, entry.high], [number] * 2, color=color, linewidth=8 if best else 4, solid_capstyle="butt")
        offsets = f", {entry.nullity} free" if entry.nullity else ""
        text = f"{entry.clusters} {'cluster' if entry.clusters == 1 else 'clusters'}{offsets}"
        ax.annotate(text, (entry.high, number), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    low, high = entries[0].low, entries[-1].high
    ax.set(yticks=[], ylim=(-1, len(entries)), xlabel="cut of the dendrogram, distance in G space")
    if high / low > 5:
        ax.set(xscale="log", xlim=(low * 0.9, high * (high / low) ** 0.6))
        plain_log_ticks(ax.xaxis)
    else:
        ax.set_xlim(low - 0.1 * (high - low), high + 0.6 * (high - low))
    ax.set_title("orange: offsets are free; thick: persists longest", fontsize=9)
    save_figure(figure, path)
    return True


def save_map(path: Path, diagnosis: Diagnosis) -> bool:
    """Draw the first two principal components of G space by open part, cluster, type and atomic energy.

    Atoms of targets are stars.
    """
    from matplotlib.colors import LogNorm, Normalize

    placed, clusters, energies = diagnosis.placed, diagnosis.partition.names, diagnosis.energies
    titles = ("open part", "cluster", "structure type", *(() if energies is None else ("atomic energy",)))
    per_element = -(-len(titles) // COLUMNS) * COLUMNS
    figure, axes = tiles(COLUMNS, rows=per_element // COLUMNS * len(placed.elements), square=True)
    known, kinds, least = diagnosis.determinability.of_atoms, types(diagnosis), least_open(diagnosis)
    types_, names = list(dict.fromkeys(kinds)), sorted(clusters)
    for number, e in enumerate(placed.elements):
        atoms = placed.rows[e]
        chosen = np.random.default_rng(0).permutation(len(atoms))[:SHOWN]
        places, mine = on_plane(placed.points[e])[chosen], axes[number * per_element : (number + 1) * per_element]
        atoms = atoms[chosen]
        _coloured(mine[0], places, np.clip(1 - known[atoms], least, 1), OPEN, LogNorm(least, 1), "viridis")
        _labelled(mine[1], places, [clusters[k] for k in diagnosis.labels[atoms]], names)
        _labelled(mine[2], places, [kinds[s] for s in placed.structure[atoms]], types_)
        if energies is not None:
            values = energies[atoms]
            ends = Normalize(*np.quantile(values, [0.01, 0.99]))
            _coloured(mine[3], places, values, "atomic energy (eV)", ends, "coolwarm")
        for ax, title in zip(mine, titles, strict=False):
            _targets(ax, diagnosis, e)
            ax.set(xlabel="PC 1", ylabel="PC 2", title=f"{diagnosis.functions.elements[e]}: {title}")
        for ax in mine[len(titles) :]:
            ax.remove()
    save_figure(figure, path)
    return True


def _targets(ax: Axes, diagnosis: Diagnosis, element: int) -> None:
    """Draw the atoms of targets over those of the data."""
    if diagnosis.targets is None or not len(points := diagnosis.targets.embedding.placed.points[element]):
        return
    places = on_plane(points, diagnosis.placed.points[element])
    chosen = np.random.default_rng(0).permutation(len(places))[:TARGETS]
    ax.plot(*places[chosen].T, "*", markersize=9, mew=0.8, mec="black", mfc="white", zorder=5, label="targets")
    _legend(ax)


def least_open(diagnosis: Diagnosis) -> float:
    """Return the lower end of the colours of open parts, a power of ten; the upper end is 1, and yellow."""
    smallest = float(1 - diagnosis.determinability.of_atoms.max())
    return float(10 ** np.floor(np.log10(np.clip(smallest, LEAST_UNKNOWN, 0.1))))


def _coloured(ax: Axes, places: Floats, values: Floats, label: str, norm: Normalize, colors: str) -> None:
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    order = np.argsort(values)  # the highest on top
    drawn = ax.scatter(
        places[order, 0], places[order, 1], c=values[order], s=_size(places) ** 2, cmap=colors, norm=norm, linewidths=0
    )
    bar = ax.figure.colorbar(drawn, ax=ax, label=label)
    if isinstance(norm, LogNorm):
        bar.locator = LogLocator(subs=(1.0, 2.0, 5.0))
        bar.formatter = StrMethodFormatter("{x:g}")
        bar.update_ticks()


def _labelled(ax: Axes, places: Floats, labels: Sequence[str], names: Sequence[str]) -> None:
    """Draw each of the first names in its own colour, and the rest in grey."""
    found = np.array(labels, dtype=object)  # objects need not be as wide as the longest
    for k, name in enumerate(names[:TYPES]):
        here = places[found == name]
        color, marker = style_of(k)
        if len(here):
            label = for_picture(name)
            ax.plot(*here.T, marker, color=color, markersize=_size(places), markeredgewidth=0, label=label)
    rest = np.isin(found, names[TYPES:])
    if rest.any():
        label = f"{len(set(found[rest]))} more"
        ax.plot(*places[rest].T, ".", color=GREY, markersize=2, label=label, zorder=0)
    _legend(ax)


def _legend(ax: Axes) -> None:
    """Draw the legend with markers that can be seen."""
    for handle in ax.legend(frameon=False, fontsize="x-small").legend_handles:
        if handle is not None:
            handle.set(markersize=7)


def _size(places: Floats) -> float:
    """Return the diameter of points, larger where they are few."""
    return float(np.clip(60 / np.sqrt(len(places)), 2, 5))


def style_of(k: int) -> tuple[str, str]:
    """Return colour and marker of the k-th cluster or type, counted over all elements."""
    return COLORS[k % len(COLORS)], "os^"[k // len(COLORS) % 3]


def save_atomic_energies(path: Path, diagnosis: Diagnosis) -> bool:
    """Draw histograms of the atomic energies by cluster, for each element."""
    if diagnosis.energies is None:
        return False
    placed, names = diagnosis.placed, sorted(diagnosis.partition.names)
    figure, axes = tiles(len(placed.elements))
    for ax, e in zip(axes, placed.elements, strict=True):
        atoms = placed.rows[e]
        values, labels = diagnosis.energies[atoms], diagnosis.labels[atoms]
        low, high = (float(x) for x in np.quantile(values, [0.001, 0.999]))
        bins = np.linspace(low - 1e-3, high + 1e-3, 60).tolist()
        sizes = np.bincount(labels)
        for label in np.argsort(-sizes, kind="stable")[: (sizes > 0).sum()]:
            cluster = diagnosis.partition.clusters[label]
            color, _ = style_of(names.index(cluster.name))
            text = f"{cluster.name}: {sizes[label]} atoms"
            if cluster.determinability < 1 - 1e-6:
                text += f", determinability {cluster.determinability:.2f}"
            ax.hist(values[labels == label], bins, histtype="step", color=color, label=text)
        ax.set(xlabel="atomic energy (eV)", ylabel="atoms", title=diagnosis.functions.elements[e])
        ax.locator_params(axis="x", nbins=5)
        ax.margins(y=0.25)
        ax.legend(frameon=False, fontsize="small")
    save_figure(figure, path)
    return True


def save_invariants(path: Path, diagnosis: Diagnosis) -> bool:
    """Draw E(V) of invariant points, as calculated and as mapped, and delta at each; extrapolation is hollow."""
    points = diagnosis.accuracy.invariants if diagnosis.accuracy else []
    if not points:
        return False
    volume = np.array([point.volume for point in points])
    reference = np.array([invariant_energy(s) for s in diagnosis.crystals])
    delta = np.array([point.delta for point in points])
    inside = np.array([point.counts for point in points])
    figure, axes = tiles(2)
    kinds = [str(s.atoms.info.get("kind", s.group)) or "crystal" for s in diagnosis.crystals]
    names = sorted(set(kinds), key=kinds.index)
    for k, name in enumerate(names):
        color, mine = COLORS[k % len(COLORS)], np.array([kind == name for kind in kinds])
        order = np.flatnonzero(mine)[np.argsort(volume[mine])]
        style = "-" if _is_curve(volume[order]) else ""
        axes[0].plot(volume[order], reference[order], f"{style}x", color="black", markersize=4, linewidth=0.7)
        for filled in (True, False):
            chosen = order[inside[order] == filled]
            face = color if filled else "none"
            label = for_picture(name) if k < TYPES and filled == inside[order].any() else None
            for ax, values in ((axes[0], reference + delta), (axes[1], 1e3 * delta)):
                ax.plot(volume[chosen], values[chosen], "o", color=color, mfc=face, markersize=4.5, label=label)
    axes[0].plot([], [], "x", color="black", markersize=4, label="E/N of the data")
    axes[1].axhline(0, color="black", linewidth=0.7)
    axes[0].set(xlabel="volume (Å³/atom)", ylabel="atomic energy of a crystal (eV)")
    axes[0].ticklabel_format(useOffset=False)
    axes[1].set(xlabel="volume (Å³/atom)", ylabel="atomic energy - E/N (meV)")
    low, high = axes[1].get_ylim()
    axes[1].set_ylim(min(low, -LEAST_SHOWN), max(high, LEAST_SHOWN))
    axes[1].set_title("hollow: extrapolation", fontsize=9)
    axes[0].legend(frameon=False, fontsize="x-small", loc="best")
    save_figure(figure, path)
    return True


def _is_curve(volumes: Floats) -> bool:
    """Return whether each point has a volume of its own."""
    return len(volumes) > 3 and bool(np.diff(volumes).min() > 1e-3 * volumes.mean())


def on_plane(points: Floats, of: Floats | None = None) -> Floats:
    """Return the first two principal components [n, 2], along the axes of some points, by default of these."""
    found = principal_components(points, of)[:, :2]
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def types(diagnosis: Diagnosis) -> list[str]:
    """Return the type of each structure: its group or, without one, its file."""
    return [s.group or Path(s.source.rpartition(", structure ")[0]).name or "data" for s in diagnosis.data]
