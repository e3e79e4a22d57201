"""Elements between which energy moves freely, so that atomic energies of one of them mean nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from .counts import compositions, determine
from .diagnostic import Diagnostic
from .gspace import Embedding

LINKED = 1e-8  # element of the projection on free combinations, above which two elements share one


@dataclass(frozen=True, slots=True)
class Gauge:
    """Elements between which energy moves freely.

    Attributes
    ----------
    elements
        Their symbols, two or more.
    by
        "composition": the compositions of the data fix only sums of their energies. "pairs": they are together in a
        structure, and the energy of a pair of atoms may be counted at either atom.
    """

    elements: list[str]
    by: Literal["composition", "pairs"]


@dataclass(frozen=True, slots=True)
class Gauges(Diagnostic):
    """Splits of energy between elements that no data of this kind can fix.

    Attributes
    ----------
    meaningless
        Groups of elements whose split of energy is free.
    """

    meaningless: list[Gauge]


def gauges(embedding: Embedding) -> Gauges:
    """Return the elements between which energy moves freely, among the structures whose energies are known.

    Elements that no energy informs about are left out, see `Contents`.
    """
    counts = compositions(embedding.placed)[embedding.informing]
    names = [embedding.functions.elements[e] for e in embedding.placed.elements]
    groups = [[names[e] for e in group] for group in _groups(counts)]
    together = [(a, b) for a, b in combinations(range(len(names)), 2) if np.any(counts[:, a] * counts[:, b])]
    pairs = [[names[a], names[b]] for a, b in together]
    alone = [pair for pair in pairs if not any(set(pair) <= set(group) for group in groups)]
    return Gauges([*(Gauge(group, "composition") for group in groups), *(Gauge(pair, "pairs") for pair in alone)])


def _groups(counts: np.ndarray) -> list[list[int]]:
    """Return groups of elements that are linked by free combinations of their energies."""
    from scipy.sparse.csgraph import connected_components

    null = determine(counts).null
    linked = np.abs(null @ null.T) > LINKED
    number, label = connected_components(linked, directed=False)
    groups = [np.flatnonzero(label == k).tolist() for k in range(number)]
    return [group for group in groups if len(group) > 1]
