"""The cutoff of a preset, which follows the training data: functions that are spread over a shorter range resolve
distances better, but see fewer neighbours."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..config import Config, Functions
from ..features.selection import choose_functions
from ..features.source import FeatureSource
from ..io.dataset import Dataset
from ..presets import DEFAULT_PRESET, PRESETS, nearest_distances
from ..progress import Reporter
from .optimizers import Objective
from .parameters import atomic_offsets, plain_parameters
from .prepared import PreparedData
from .settled import count_labels

ATOMS = 5000  # of the structures that cutoffs are compared on
ROUNDING = 1e-10  # of the largest eigenvalue of the scaled normal equations; smaller ones are rounding errors
LABELS = 3  # of the comparison for each function, at least


def settled_cutoff(config: Config, data: Dataset, reporter: Reporter, least: float = 0.0) -> Config:
    """Return the configuration with a cutoff for a preset that has others beside its usual one, if none is given and
    there is one element.

    Linear functions of the symmetry functions are fitted to the labels with each cutoff, with the weights of the loss.
    The cutoff with the least loss is taken if that is below the preset's part of the loss with the usual one; see "The
    cutoff of accurate" and "Six shells" in docs/development/tried.md. The usual cutoff stays where there are too few
    labels to compare.

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
    others = PRESETS[table.preset or DEFAULT_PRESET].others
    if table.file is not None or not others or table.cutoff is not None or len(data.elements) != 1:
        return config
    functions, some = choose_functions(table, data), _some(data)
    if count_labels(some) < LABELS * len(functions):
        return config
    usual, nearest = functions.cutoff, float(nearest_distances(data, data.elements)[0, 0])
    parts = {round(factor * nearest, 3): part for factor, part in others.items()}
    parts = {cutoff: part for cutoff, part in parts.items() if cutoff >= least}
    if not parts:
        return config
    losses = {cutoff: least_loss(config, _with_cutoff(table, cutoff), some) for cutoff in (usual, *parts)}
    ratios = {cutoff: losses[cutoff] / losses[usual] for cutoff in parts}
    chosen = min((cutoff for cutoff in parts if ratios[cutoff] < parts[cutoff]), key=ratios.__getitem__, default=usual)
    compared = ", ".join(f"{ratio:.3g} with {cutoff:g}" for cutoff, ratio in ratios.items())
    reporter.say(f"cutoff {chosen:g} Angstrom; losses of linear fits over that with {usual:g}: {compared}")
    return config.model_copy(update={"symmetry_functions": _with_cutoff(table, chosen)})


def _with_cutoff(table: Functions, cutoff: float) -> Functions:
    return table.model_copy(update={"cutoff": cutoff})


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
