"""Linear functions of the symmetry functions that fit the labels best: a cheap measure of what a set of functions
sees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..config import Config, Training
from ..features.source import FeatureSource
from ..features.training_set import Rows
from ..io.dataset import Dataset
from ..structures import Floats
from ..symmetry import SymmetryFunctions
from .optimizers import Objective
from .parameters import atomic_offsets, plain_parameters
from .prepared import PreparedData

ATOMS = 5000  # of the structures that are fitted
ROUNDING = 1e-10  # of the largest eigenvalue of the scaled normal equations; smaller ones are rounding errors
RIDGE = 1e-8  # of a coefficient while functions are removed, over the scale of the normal equations
TOGETHER = 4  # structures whose rows are in memory at a time
RENEWED = 20  # removals between two inversions, whose rounding errors add up


Places = npt.NDArray[np.int64]


class LinearFits(NamedTuple):
    """The loss of a linear function of the symmetry functions of one element, without L2 and stresses: with
    coefficients c of the functions and, as the last one, of 1, it is `loss` + `slope` c + c `matrix` c / 2.

    Attributes
    ----------
    matrix
        Second derivatives [functions + 1, functions + 1].
    slope
        First derivatives at c = 0 [functions + 1].
    loss
        Loss at c = 0, the mean energy of an atom.
    potential
        A network without hidden layers, whose weights are c.
    """

    matrix: Floats
    slope: Floats
    loss: float
    potential: _core.Potential

    @property
    def scale(self) -> Floats:
        """Factors of the coefficients that make the diagonal of the matrix 1 [functions + 1]."""
        return np.asarray(1 / np.sqrt(np.maximum(np.diag(self.matrix), np.finfo(float).tiny)))

    def fitted(self) -> _core.Potential:
        """Return the potential with the least loss."""
        self.potential.weights = self.best_coefficients()
        return self.potential

    def best_coefficients(self) -> Floats:
        """Return the coefficients of the least loss [functions + 1]."""
        scale = self.scale
        matrix = self.matrix * np.outer(scale, scale)
        return np.asarray(scale * np.linalg.lstsq(matrix, -scale * self.slope, rcond=ROUNDING)[0])

    def least(self) -> float:
        """Return the least loss."""
        return max(self.loss + 0.5 * float(self.slope @ self.best_coefficients()), np.finfo(float).tiny)

    def of(self, places: Places) -> float:
        """Return the least loss with some of the functions."""
        kept = np.append(places, len(self.matrix) - 1)
        some = self._replace(matrix=self.matrix[np.ix_(kept, kept)], slope=self.slope[kept])
        return some.least()

    def best(self, count: int) -> Places:
        """Choose `count` functions by backward elimination, and return their places, in order: the next function to
        remove is the one whose removal raises the least loss least.

        Removing function j from a fit with coefficients c and inverse matrix V raises the loss by c_j^2/(2 V_jj), A. J.
        Miller, Subset Selection in Regression (2002), section 3.
        """
        scale = self.scale
        matrix, target = self.matrix * np.outer(scale, scale), -scale * self.slope
        kept = np.arange(len(matrix))
        inverse: Floats = np.empty((0, 0))
        coefficients: Floats = np.empty(0)
        while len(kept) - 1 > count:
            if len(kept) == len(matrix) or len(kept) % RENEWED == 0:
                inverse = np.array(np.linalg.inv(matrix[np.ix_(kept, kept)] + RIDGE * np.eye(len(kept))))
                coefficients = np.asarray(inverse @ target[kept])
            worst = int(np.argmin((coefficients**2 / np.diag(inverse))[:-1]))  # the constant stays
            column = inverse[:, worst] / inverse[worst, worst]
            left = np.arange(len(kept)) != worst
            coefficients = (coefficients - column * coefficients[worst])[left]
            inverse = (inverse - np.outer(column, inverse[worst]))[np.ix_(left, left)]
            kept = kept[left]
        return kept[:-1]


def sample(data: Dataset) -> Dataset:
    """Return structures at even steps, with about ATOMS atoms at most."""
    return data[:: max(1, -(-data.n_atoms // ATOMS))]


def linear_fits(train: PreparedData, functions: SymmetryFunctions, settings: Training) -> LinearFits:
    """Return the loss of linear functions of the symmetry functions, with the weights of a run.

    Parameters
    ----------
    train
        Structures with the labels that are left to learn, and their weights.
    functions
        The symmetry functions, of one element.
    settings
        Those of the run, with values.
    """
    settings = settings.model_copy(update={"l2": 0.0, "stress_weight": 0.0})
    statistics = train.prepared.statistics(range(len(train.data)))
    scaling = _core.Scaling("center", 0.0, 1.0, statistics, np.empty((0, 0)))
    network = _core.Network([functions.core.count(0), 1], "l")
    offsets = atomic_offsets(train.data, functions.elements)
    potential = _core.Potential(functions.elements, functions.core, scaling, [network], offsets)
    parameters = plain_parameters(potential)
    objective = Objective(train, potential, parameters, settings)
    loss, slope = objective(np.zeros(parameters.size))
    every = objective.sampled_rows(len(train.data), 1.0, objective.forces, np.random.default_rng(0))
    matrix = np.zeros((parameters.size, parameters.size))
    for first in range(0, len(every.structures), TOGETHER):
        part = slice(first, first + TOGETHER)
        some = Rows(every.structures[part], every.components[part], every.scales[part])
        rows = train.prepared.scaled_jacobian(potential, parameters, some).astype(np.float64)
        matrix += rows.T @ rows
    return LinearFits(matrix, slope, loss, potential)


def fits_of(config: Config, functions: SymmetryFunctions, data: Dataset) -> LinearFits:
    """Return the same for a few structures, whose features are computed; see `linear_fits`."""
    source = FeatureSource(round(config.training.memory_budget * 1e9))
    train = PreparedData(data, source.prepare_here(data, functions))
    train.weigh(config.training)
    return linear_fits(train, functions, config.training)
