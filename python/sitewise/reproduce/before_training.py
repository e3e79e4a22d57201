"""What training structures determine of a crystal before any training, and the picture of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import COLORS
from ..io.dataset import Dataset
from ..mapping.clustering import default_n_big, single_linkage
from ..mapping.counts import barcode, count_matrix, determine, longest, null_fraction
from ..mapping.gaussian import gaussian_determinability
from ..mapping.gspace import Environments, GSpace, Integers
from ..mapping.invariants import extrapolated
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LENGTH = 0.2  # of the Gaussian process


def diagnose_crystal(data: Dataset, crystal: Structure) -> dict[str, Any]:
    """Return what the training structures determine of the energy of the crystal's atoms.

    Returns
    -------
    dict
        r_g and n_big; r_g_curve: pairs of n_big and r_g; barcode: for each of its cuts low, high, clusters, nullity and
        `unknown`, the fraction of the crystal's counts in the null space; longest: the entry of the barcode that
        persists longest, or None; determinability of the crystal's atoms by the Gaussian process.
    """
    points, structure, (target,) = _places(data, [crystal])
    clustering, n_big = single_linkage(points), default_n_big(len(points))
    nearest = int(np.argmin(((points - target) ** 2).sum(axis=1)))
    sizes = np.unique(np.geomspace(1, max(len(points) // 2, 2), 40).astype(int)).tolist()
    found = barcode(clustering, structure, n_big)
    best = longest(found)
    entries = []
    for entry in found:
        labels = clustering.labels(entry.cut, n_big)
        counts = count_matrix(labels, structure)
        mine = np.zeros(counts.shape[1])
        mine[labels[nearest]] = 1.0
        entries.append({**asdict(entry), "unknown": null_fraction(determine(counts), mine)})
    known = float(gaussian_determinability(points, structure, target[None], LENGTH)[0])
    return {
        "r_g": clustering.r_g(n_big),
        "n_big": n_big,
        "r_g_curve": clustering.r_g_curve(sizes),
        "barcode": entries,
        "longest": entries[found.index(best)] if best else None,
        "determinability": known,
    }


def extrapolations(data: Dataset, crystals: Sequence[Structure]) -> list[bool]:
    """Return for each crystal whether its atoms are farther from those of the data than these from each other."""
    points, _, targets = _places(data, crystals)
    return [bool(outside) for outside in extrapolated(points, targets)]


def _places(data: Dataset, crystals: Sequence[Structure]) -> tuple[Floats, Integers, Floats]:
    """Return the data's atoms in G space, their structures, and the first atom of each crystal in G space."""
    functions = SymmetryFunctions.preset("simple-nn", data.elements)
    environments = Environments.of(data, functions)
    space = GSpace.of(environments, [functions.core.count(0)])
    first = [space.coordinates(Environments.of(Dataset([c]), functions), 0)[0] for c in crystals]
    return space.coordinates(environments, 0), environments.structure, np.array(first)


def draw_barcodes(ax: Axes, diagnoses: Mapping[str, dict[str, Any]]) -> None:
    """Draw the cuts of each training set's dendrogram, coloured by nullity, with the unknown part of the crystal."""
    for nullity in sorted({entry["nullity"] for d in diagnoses.values() for entry in d["barcode"]}):
        ax.barh(0, 0, color=COLORS[nullity], alpha=0.7, label=f"nullity {nullity}")
    for row, d in enumerate(diagnoses.values()):
        for entry in d["barcode"]:
            low, high = entry["low"], entry["high"]
            ax.barh(row, high - low, 0.5, low, color=COLORS[entry["nullity"]], alpha=0.7, edgecolor="white")
            if high > 1.4 * low:
                text = f"{100 * entry['unknown']:.0f} %"
                ax.text(np.sqrt(low * high), row, text, ha="center", va="center", fontsize="small")
    ax.set_yticks(range(len(diagnoses)), [name.replace("-", "\n") for name in diagnoses])
    ax.set(xlabel="cut, distance in G space", xscale="log", xlim=(0.01, 1.0), ylim=(len(diagnoses) - 0.4, -1.0))
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
    ax.minorticks_off()
    ax.set_title("before training: unknown part of the crystal", fontsize="medium")
    ax.legend(frameon=False, ncols=3, loc="upper left", fontsize="small")
