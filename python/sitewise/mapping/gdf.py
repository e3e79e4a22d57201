"""Weights of forces by the sparsity of their environments in the training set, W. Jeong et al., J. Phys. Chem. C 122,
22790 (2018): what is rare in the data, as a step or a defect, counts as much as what fills it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..features.sets import TrainingSet
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
    """Weights of the forces on the atoms of each structure.

    The weight of an atom is 1/rho, divided by its mean over the atoms of the element, where rho = mean_j
    exp(-d_ij^2 / (2 width^2)) over the atoms j of the same element and d is the distance in G space (the
    paper's further function of 1/rho is left out, as it is in SIMPLE-NN unless asked for). Atoms whose forces are
    not known take no part, and have weight 1.

    Parameters
    ----------
    data, prepared
        The structures, and their features.
    functions
        Of the features.
    width
        A distance in G space; automatic if not given, see `automatic_width`.
    reporter
        Told of the progress, and of widths and weights.

    Returns
    -------
    list
        An array [n] for each structure.
    """
    known = [i for i, structure in enumerate(data) if structure.forces is not None]
    weights = [np.ones(len(structure.atoms)) for structure in data]
    if not known:
        return weights
    environments = _environments(prepared, known)
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
    """A third of the largest distance of a point to its nearest, as in SIMPLE-NN: neighbours of the loneliest point
    are just not its equals. Points within SAME count as one; 0 where all are.

    Parameters
    ----------
    points
        Coordinates in G space [n, d].
    reporter
        Told of the progress.
    """
    largest = 0.0
    for squares in _squared_distances(points, "distances of environments", reporter):
        nearest = np.where(squares > SAME**2, squares, np.inf).min(axis=1)
        largest = max(largest, float(nearest.max(where=np.isfinite(nearest), initial=0.0)))
    return PER_NEAREST * float(np.sqrt(largest))


def density(points: Floats, width: float, reporter: Reporter) -> Floats:
    """rho of each point [n], between 1/n and 1; parameters as above."""
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


def _environments(prepared: TrainingSet, structures: Sequence[int]) -> Environments:
    features = [np.nan_to_num(prepared.features(i)) for i in structures]
    species = [prepared.species(i) for i in structures]
    structure = np.repeat(np.arange(len(species)), [len(s) for s in species])
    return Environments(np.concatenate(features), np.concatenate(species).astype(np.int64), structure)


def _squared_distances(points: Floats, title: str, reporter: Reporter) -> Iterator[Floats]:
    """Of a block of points to all [block, n]; a product of matrices, so its rounding errors are about 1e-15."""
    norms = np.einsum("nd,nd->n", points, points)
    with reporter.task(title, len(points), lines=True) as advance:
        for first in range(0, len(points), BLOCK):
            block = slice(first, first + BLOCK)
            squares = norms[block, None] + norms - 2 * points[block] @ points.T
            yield np.maximum(squares, 0.0, out=squares)
            advance(len(squares))
