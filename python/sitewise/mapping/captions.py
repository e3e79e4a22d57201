"""Words of the report: titles and captions of pictures, and terms."""

from __future__ import annotations

import numpy as np

from .clusters import ElementMerges
from .diagnosis import Diagnosis

TITLES = {
    "map": "Where the targets lie among the data",
    "invariants": "Crystals whose atoms are all equivalent",
    "atomic_energies": "Atomic energies by cluster",
    "dendrogram": "Dendrogram: which environments belong together",
    "merges": "Merge history: what counts as a big cluster",
    "barcode": "Barcode: how many combinations of the clusters' energies are free",
}

# In the order in which a reader meets them
TERMS = {
    "target": "A structure that you want to simulate (--target).",
    "error bar": "One standard deviation of an energy, before any training: what energies and forces of the data leave "
    "uncertain for a smooth function of the environments.",
    "open": "A target is open if its error bar is above the accuracy that you need (--accuracy), and determined "
    "otherwise. The open part of an atom is the part of its energy's variance that total energies do not determine.",
    "mapping": "A cause: the ratio of a target's environments to others hardly changes in the data, so that energy can "
    "move between them unseen. Another ratio helps: other sizes or thicknesses, or the crystal alone.",
    "extrapolation": "A cause: nothing in the data is like some environments of a target. Structures like it help.",
    "data": "A cause: there are too few data. More of the same kinds help.",
    "fit": "A cause of a model's errors: no ratio and no environment is missing in the data, but the model does not "
    "follow them. More data of the same kinds or a larger network help.",
    "candidate": "A structure that you could calculate next (--candidates).",
    "atomic energy": "The energy that a model gives to one atom. Their sum is the total energy.",
    "ad hoc mapping": "Atomic energies that are wrong although their sums over the training structures are right.",
    "invariant point": "A crystal whose atoms are all equivalent by symmetry: there each atomic energy is E/N "
    "in every model.",
    "G space": "The space of the symmetry functions of an atom, each scaled to [-1, 1] over the data. PC 1 and PC 2 "
    "are the two directions in which the data vary most.",
    "cluster": "Atoms of one element whose environments are connected by short steps in G space; A is the largest.",
    "free": "A combination of the clusters' energies is free if no total energy of the data changes with it.",
    "n_big": "Least number of atoms of a big cluster.",
    "r_g": "The distance in G space at which the two last big clusters meet. Freedom can hide where it is large.",
}


def sentence(line: str) -> str:
    """Return a line with a capital letter at its front."""
    return line[:1].upper() + line[1:]


def captions(diagnosis: Diagnosis) -> dict[str, str]:
    """Return a sentence for each picture, which describes what it shows."""
    return {
        "map": _map_shows(diagnosis),
        "invariants": _invariants_show(diagnosis),
        "atomic_energies": _energies_show(diagnosis),
        "dendrogram": _dendrogram_shows(diagnosis),
        "merges": _merges_show(diagnosis),
        "barcode": _barcode_shows(diagnosis),
    }


def _map_shows(diagnosis: Diagnosis) -> str:
    known = diagnosis.determinability.of_atoms
    line = (
        "Each point is an atom of the data in G space; yellow is open in all pictures. More than half of the variance "
        f"is open for {int((known < 0.5).sum())} of {len(known)} atoms"
    )
    if diagnosis.targets is None:
        return f"{line}."
    wanted = diagnosis.targets.known
    return f"{line}, and for {int((wanted < 0.5).sum())} of {len(wanted)} atoms of targets (stars)."


def _invariants_show(diagnosis: Diagnosis) -> str:
    points = diagnosis.accuracy.invariants if diagnosis.accuracy else []
    counted = [abs(point.delta) for point in points if point.counts]
    if not counted:
        return "All invariant points are extrapolation, so that none of them tests the atomic energies."
    return (
        f"A right model has its circles on the crosses. At the {len(counted)} invariant points that test the mapping, "
        f"its atomic energies are off by up to {1e3 * max(counted):.1f} meV; hollow ones are extrapolation."
    )


def _energies_show(diagnosis: Diagnosis) -> str:
    if diagnosis.energies is None:
        return ""
    sizes = np.bincount(diagnosis.labels)
    means = np.bincount(diagnosis.labels, diagnosis.energies) / sizes
    for element in diagnosis.partition.elements:
        mine = [k for k, name in enumerate(diagnosis.partition.names) if name.split()[0] == element]
        if len(mine) > 1:
            low, high = min(mine, key=means.__getitem__), max(mine, key=means.__getitem__)
            names, gap = diagnosis.partition.names, means[high] - means[low]
            free = "free" if diagnosis.partition.undetermined_offsets else "not free"
            return (
                f"The mean energies of clusters {names[low]} and {names[high]} differ by {1e3 * gap:.0f} meV; "
                f"combinations of the clusters' energies are {free}."
            )
    return "The atoms of each element form one cluster."


def _dendrogram_shows(diagnosis: Diagnosis) -> str:
    def line(element: str, merges: ElementMerges) -> str:
        if merges.r_g is None:
            return f"the atoms of {element} form one cluster of at least {merges.n_big} atoms"
        return f"the last two big clusters of {element} meet at r_g = {merges.r_g:.3g}"

    found = [line(element, merges) for element, merges in diagnosis.partition.elements.items()]
    return f"{sentence('; '.join(found))}. Branches that meet far up have few environments between them."


def _merges_show(diagnosis: Diagnosis) -> str:
    lines = []
    for element, part, n_big in zip(
        diagnosis.partition.elements, diagnosis.clustering.parts, diagnosis.clustering.n_big, strict=True
    ):
        around = [part.r_g(max(1, n_big // 2)), part.r_g(n_big), part.r_g(2 * n_big)]
        shown = ", ".join("none" if r_g is None else f"{r_g:.3g}" for r_g in around)
        lines.append(f"for half, once and twice n_big r_g of {element} is {shown}")
    return f"{sentence('; '.join(lines))}. A number that changes much shows little about the data."


def _barcode_shows(diagnosis: Diagnosis) -> str:
    chosen = diagnosis.partition.chosen
    if chosen is None:
        return ""
    what = f"{chosen.clusters} cluster{'' if chosen.clusters == 1 else 's'}"
    free = {0: "no combination of their energies is", 1: "1 combination of their energies is"}.get(
        chosen.nullity, f"{chosen.nullity} combinations of their energies are"
    )
    return f"The longest bar has {what} for cuts from {chosen.low:.3g} to {chosen.high:.3g}, and {free} free."
