"""Weights of forces by the sparsity of their environments in the training set.

Rare environments, such as a step or a defect, count as much as frequent ones (W. Jeong et al., J. Phys. Chem. C 122,
22790 (2018)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import numpy as np

from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Floats
from ..symmetry import SymmetryFunctions
from .gspace import Environments, GSpace

Found = TypeVar("Found")

BLOCK = 200  # environments whose distances to all others are held at once
SAME = 1e-6  # distance in G space below which two environments are one
PER_NEAREST = 1 / 3  # automatic width over the largest distance of an environment to its nearest


def gdf_weights(
    data: Dataset,
    prepared: TrainingSet,
    functions: SymmetryFunctions,
    width: float | None,
    reporter: Reporter,
    ranks: Ranks | None = None,
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
    ranks
        The ranks that share the work; this process alone by default.

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
    space = GSpace.of(environments, counts)
    each = np.ones(len(environments.species))
    for e, element in enumerate(functions.elements):
        mine = environments.species == e
        if mine.any():
            points = space.coordinates(environments, e)
            each[mine] = _of_element(points, width, element, reporter, ranks or Ranks())
    for place, i in enumerate(known):
        weights[i] = each[environments.structure == place]
    return weights


def automatic_width(points: Floats, reporter: Reporter, ranks: Ranks | None = None) -> float:
    """Return a third of the largest distance of a point to its nearest, as in SIMPLE-NN.

    Points within SAME count as one; the width is 0 where all points do.

    Parameters
    ----------
    points
        Coordinates in G space [n, d].
    reporter
        Receives the progress.
    ranks
        The ranks that share the work; this process alone by default.
    """
    blocks = _over_blocks(_largest_nearest, points, "distances of environments", reporter, ranks or Ranks())
    return PER_NEAREST * float(np.sqrt(max(blocks, default=0.0)))


def density(points: Floats, width: float, reporter: Reporter, ranks: Ranks | None = None) -> Floats:
    """Return rho of each point [n], between 1/n and 1, for a width in G space; ranks share the points."""
    rho = partial(_density, width)
    return np.concatenate([*_over_blocks(rho, points, "densities of environments", reporter, ranks or Ranks())])


def _of_element(points: Floats, width: float | None, element: str, reporter: Reporter, ranks: Ranks) -> Floats:
    width = automatic_width(points, reporter, ranks) if width is None else width
    if width == 0:
        return np.ones(len(points))
    sparsity = 1 / density(points, width, reporter, ranks)
    weights: Floats = sparsity / sparsity.mean()
    reporter.say(
        f"weights of the forces on {element} are from {weights.min():.3g} to {weights.max():.3g}, width {width:.3g}"
    )
    return weights


def _over_blocks(
    function: Callable[[Floats, int], Found], points: Floats, title: str, reporter: Reporter, ranks: Ranks
) -> Iterator[Found]:
    """Yield `function(points, first)` for each block of points, from `first` on."""
    number = ranks.share(points)
    with reporter.task(title, len(points), lines=True) as advance:
        for found in ranks.map(function, number, range(0, len(points), BLOCK)):
            yield found
            advance(BLOCK)
    ranks.forget(number)


def _largest_nearest(points: Floats, first: int) -> float:
    """Return the largest squared distance of the points of a block to their nearest ones."""
    squares = _squared_distances(points, first)
    nearest = np.where(squares > SAME**2, squares, np.inf).min(axis=1)
    return float(nearest.max(where=np.isfinite(nearest), initial=0.0))


def _density(width: float, points: Floats, first: int) -> Floats:
    return np.asarray(np.exp(_squared_distances(points, first) / (-2 * width**2)).mean(axis=1))


def _squared_distances(points: Floats, first: int) -> Floats:
    """Return the squared distances of a block of points to all [block, n]; as a product of matrices they round to
    1e-15."""
    norms = np.einsum("nd,nd->n", points, points)
    block = slice(first, first + BLOCK)
    squares: Floats = norms[block, None] + norms - 2 * points[block] @ points.T
    np.maximum(squares, 0.0, out=squares)
    return squares
