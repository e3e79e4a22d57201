"""A potential fitted to total energies alone, in memory."""

from __future__ import annotations

import numpy as np

from ..config import NetworkShape, Training
from ..dataset import Dataset
from ..model import Parameters, atomic_offsets, initial_potential
from ..optimizers import Objective, make_optimizer
from ..potential import Potential
from ..preparation import PreparedData
from ..progress import Reporter
from ..symmetry import SymmetryFunctions
from ..training import STREAMS, WEIGHTS

QUIET = Reporter(quiet=True)


def fit(data: Dataset, span: Dataset, functions: SymmetryFunctions, settings: Training) -> Potential:
    """Fits a network of the default shape, as `train` does.

    Parameters
    ----------
    data
        Structures with energies.
    span
        Structures whose atoms give the scaling and the principal components of the inputs, so that these do not
        depend on the size of the training set.
    functions
        The inputs.
    settings
        Optimiser, its length, L2 and seed.
    """
    prepared = PreparedData(data, functions, 0, QUIET, "").prepared
    range_of = PreparedData(span, functions, 0, QUIET, "").prepared
    core = initial_potential(functions, "minmax", NetworkShape(), range_of, atomic_offsets(data, functions.elements))
    parameters = Parameters(core, range_of, whiten=True)
    objective = Objective(data, prepared, core, parameters, settings)
    total = settings.total_iterations(len(data))
    optimizer = make_optimizer(objective, lambda use, n: _rng(settings.seed, STREAMS[use], n), total)
    theta = parameters.initial(_rng(settings.seed, WEIGHTS))
    memory = optimizer.start(theta)
    for iteration in range(total):
        before = theta
        theta, _ = optimizer.step(before, memory, iteration)
        if theta is before:
            break  # the lowest that rounding lets it reach
    core.weights = parameters.weights(theta)
    return Potential(core)


def _rng(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(numbers)
