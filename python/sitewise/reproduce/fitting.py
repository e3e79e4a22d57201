"""Fit of a potential to total energies alone, in memory, and its inputs."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..config import PAPER_HIDDEN, NetworkShape, Training
from ..features.source import FeatureSource
from ..io.dataset import Dataset
from ..potential import Potential
from ..presets import RADIAL
from ..symmetry import SymmetryFunctions
from ..training.optimizers import LBFGS, Objective, silent_line_searches
from ..training.parameters import atomic_offsets, initial_potential, plain_parameters
from ..training.prepared import PreparedData
from ..training.random_streams import Stream, random_numbers


def shifted_functions(first: float, last: float, cutoff: float) -> SymmetryFunctions:
    """Return eight functions G2 of silicon, as wide as their spacing from `first` to `last`, Angstrom."""
    shifts = np.linspace(first, last, 8)
    eta = 0.5 / (shifts[1] - shifts[0]) ** 2
    functions = [_core.SymmetryFunction(RADIAL, 0, 0, eta=eta, rs=rs, cutoff=cutoff) for rs in shifts]
    return SymmetryFunctions(["Si"], _core.SymmetryFunctions(1, functions))


def fit(data: Dataset, span: Dataset, functions: SymmetryFunctions, seed: int, iterations: int) -> Potential:
    """Fit a network of the default shape by plain L-BFGS with the paper's L2 regularisation.

    Inputs are scaled to [-1, 1] as in the paper and not whitened. Whitening gives faint components as much weight as
    others, and is harmful if there are only a hundred energies to learn from.

    Parameters
    ----------
    data
        Structures with energies.
    span
        Structures whose atoms set the scaling of the inputs, so that it is the same for training sets of all sizes.
    functions
        The inputs.
    seed
        Seed of the initial weights.
    iterations
        Largest number of iterations; the fit ends earlier if the loss stops falling.
    """
    recipe = {"recipe": "seed-lbfgs", "force_weight": 0.0, "iterations": iterations, "seed": seed}
    settings = Training.model_validate(recipe)
    source = FeatureSource(budget=0)
    train = PreparedData(data, source.prepare_here(data, functions))
    range_of = source.prepare_here(span, functions)
    offsets = atomic_offsets(data, functions.elements)
    core = initial_potential(functions, "minmax", NetworkShape(hidden=PAPER_HIDDEN), range_of, offsets)
    parameters = plain_parameters(core)
    objective = Objective(train, core, parameters, settings)
    optimizer = LBFGS(objective, lambda _, n: np.random.default_rng(n), preconditioned=False)
    theta = parameters.initial(random_numbers(seed, Stream.WEIGHTS))
    memory = optimizer.start(theta)
    with silent_line_searches():
        for iteration in range(iterations):
            before = theta
            theta, _ = optimizer.step(before, memory, iteration)
            if theta is before:
                break  # rounding errors allow no lower loss
    core.weights = parameters.weights(theta)
    return Potential(core)
