"""The cutoff of the preset "accurate", which follows the training data: functions that are spread over a shorter range
resolve distances better, but see fewer neighbours."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..config import Config, Functions
from ..features.selection import choose_functions
from ..features.source import FeatureSource
from ..io.dataset import Dataset
from ..presets import ACCURATE_SHORT, nearest_distances
from ..progress import Reporter
from .optimizers import Objective
from .parameters import atomic_offsets, plain_parameters
from .prepared import PreparedData
from .settled import count_labels

ATOMS = 5000  # of the structures that cutoffs are compared on
ROUNDING = 1e-10  # of the largest eigenvalue of the scaled normal equations; smaller ones are rounding errors
LABELS = 3  # of the comparison for each function, at least
BETTER = 0.95  # of the loss with the preset's usual cutoff: what the shorter one has to be below


def settled_cutoff(config: Config, data: Dataset, reporter: Reporter, least: float = 0.0) -> Config:
    """Return the configuration with a cutoff for the preset "accurate", if none is given and there is one element.

    Of two cutoffs it takes the shorter one if linear functions of the symmetry functions then fit the labels better,
    with the weights of the loss; see "The cutoff of accurate" in docs/development/tried.md. The preset's own cutoff
    stays where there are too few labels to compare.

    Parameters
    ----------
    config
        The configuration; its other settings have values.
    data
        The training structures, with the labels that are left to learn.
    reporter
        Reports the cutoff.
    least
        The reach of the pair potentials, Angstrom, which no cutoff may be shorter than.
    """
    table = config.symmetry_functions
    if table.preset != "accurate" or table.cutoff is not None or len(data.elements) != 1:
        return config
    functions, some = choose_functions(table, data), _some(data)
    usual, short = functions.cutoff, round(ACCURATE_SHORT * float(nearest_distances(data, data.elements)[0, 0]), 3)
    if not least <= short < usual or count_labels(some) < LABELS * len(functions):
        return config
    losses = [least_loss(config, table.model_copy(update={"cutoff": cutoff}), some) for cutoff in (short, usual)]
    chosen = short if losses[0] < BETTER * losses[1] else usual
    ratio = losses[0] / losses[1]
    reporter.say(
        f"cutoff {chosen:g} Angstrom; the loss of a linear fit with {short:g} is {ratio:.3g} times that with {usual:g}"
    )
    return config.model_copy(update={"symmetry_functions": table.model_copy(update={"cutoff": chosen})})


def _some(data: Dataset) -> Dataset:
    """Return structures at even steps, with about ATOMS atoms at most."""
    return data[:: max(1, -(-data.n_atoms // ATOMS))]


def least_loss(config: Config, table: Functions, data: Dataset) -> float:
    """Return the least loss of a linear function of the symmetry functions, without L2 and stresses."""
    functions = choose_functions(table, data)
    settings = config.training.model_copy(update={"l2": 0.0, "stress_weight": 0.0})
    train = PreparedData(data, FeatureSource().prepare_here(data, functions))
    train.weigh(settings)
    count = functions.core.count(0)
    scaling = _core.Scaling("center", 0.0, 1.0, train.prepared.statistics(range(len(data))), np.empty((0, 0)))
    network = _core.Network([count, 1], "l")
    offsets = atomic_offsets(data, functions.elements)
    potential = _core.Potential(functions.elements, functions.core, scaling, [network], offsets)
    parameters = plain_parameters(potential)
    objective = Objective(train, potential, parameters, settings)
    loss, slope = objective(np.zeros(parameters.size))
    everything = objective.sampled_rows(len(data), 1.0, objective.forces, np.random.default_rng(0))
    rows = train.prepared.scaled_jacobian(potential, parameters, everything).astype(np.float64)
    matrix = rows.T @ rows
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    step = scale * np.linalg.lstsq(matrix * np.outer(scale, scale), scale * slope, rcond=ROUNDING)[0]
    return max(loss - 0.5 * float(slope @ step), np.finfo(float).tiny)
