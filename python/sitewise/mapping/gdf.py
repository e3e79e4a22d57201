"""Weights of forces by the sparsity of their environments in the training set.

Rare environments, such as a step or a defect, count as much as frequent ones (W. Jeong et al., J. Phys. Chem. C 122,
22790 (2018)).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..progress import Reporter
from ..structures import Floats
from ..symmetry import SymmetryFunctions
from .gspace import Environments, GSpace

BLOCK = 200  # environments whose distances to all others are held at once
SAME = 1e-6  # distance in G space below which two environments are one
PER_NEAREST = 1 / 3  # automatic width over the largest distance of an environment to its nearest


def gdf_weights(
    data: Dataset, prepared: TrainingSet, functions: SymmetryFunctions, width: float | None, reporter: Reporter
) -> list[Floats]:
    """Return weights of the forces on the atoms of each structure.

    The weight of an atom is 1/rho, divided by its mean over the atoms of the element, where rho = mean_j
    exp(-d_ij^2 / (2 width^2)) over the atoms j of the same element and d is the distance in G space. The paper's
    further function of 1/rho is left out, as it is by default in SIMPLE-NN. Atoms whose forces are not known are not
    counted, and have weight 1.

    Parameters
    ----------
    data, prepared
        The structures, and their features.
    functions
        Symmetry functions of the features.
    width
        A distance in G space; automatic if not given, see `automatic_width`.
    reporter
        Receives the progress, widths and weights.

    Returns
    -------
    list
        An array [n] for each structure.
    """
    known = [i for i, structure in enumerate(data) if structure.forces is not None]
    weights = [np.ones(len(structure.atoms)) for structure in data]
    if not known:
        return weights
    environments = Environments.prepared(prepared, known)
    counts = [functions.core.count(e) for e in range(len(functions.elements))]
    space = GSpace(environments, counts)
    each = np.ones(len(environments.species))
    for e, element in enumerate(functions.elements):
        mine = environments.species == e
        if mine.any():
            points = space.coordinates(environments, e)
            each[mine] = _of_element(points, width, element, reporter)
    for place, i in enumerate(known):
        weights[i] = each[environments.structure == place]
    return weights


def automatic_width(points: Floats, reporter: Reporter) -> float:
    """Return a third of the largest distance of a point to its nearest, as in SIMPLE-NN.

    Points within SAME count as one; the width is 0 where all points do.

    Parameters
    ----------
    points
        Coordinates in G space [n, d].
    reporter
        Receives the progress.
    """
    largest = 0.0
    for squares in _squared_distances(points, "distances of environments", reporter):
        nearest = np.where(squares > SAME**2, squares, np.inf).min(axis=1)
        largest = max(largest, float(nearest.max(where=np.isfinite(nearest), initial=0.0)))
    return PER_NEAREST * float(np.sqrt(largest))


def density(points: Floats, width: float, reporter: Reporter) -> Floats:
    """Return rho of each point [n], between 1/n and 1, for a width in G space."""
    blocks = _squared_distances(points, "densities of environments", reporter)
    return np.concatenate([np.exp(squares / (-2 * width**2)).mean(axis=1) for squares in blocks])


def _of_element(points: Floats, width: float | None, element: str, reporter: Reporter) -> Floats:
    width = automatic_width(points, reporter) if width is None else width
    if width == 0:
        return np.ones(len(points))
    sparsity = 1 / density(points, width, reporter)
    weights: Floats = sparsity / sparsity.mean()
    reporter.say(
        f"weights of the forces on {element} are from {weights.min():.3g} to {weights.max():.3g}, width {width:.3g}"
    )
    return weights


def _squared_distances(points: Floats, title: str, reporter: Reporter) -> Iterator[Floats]:
    """Yield squared distances of a block of points to all [block, n]; as a product of matrices they round to 1e-15."""
    norms = np.einsum("nd,nd->n", points, points)
    with reporter.task(title, len(points), lines=True) as advance:
        for first in range(0, len(points), BLOCK):
            block = slice(first, first + BLOCK)
            squares = norms[block, None] + norms - 2 * points[block] @ points.T
            yield np.maximum(squares, 0.0, out=squares)
            advance(len(squares))
