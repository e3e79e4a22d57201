"""The cutoff of a preset, which follows the training data: functions that are spread over a shorter range resolve
distances better, but see fewer neighbours."""

from __future__ import annotations

from ..config import Config, Functions
from ..features.selection import choose_functions
from ..io.dataset import Dataset
from ..presets import DEFAULT_PRESET, PRESETS, nearest_distances
from ..progress import Reporter
from .linear_fits import fits_of, sample
from .settled import count_labels

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
    functions, some = choose_functions(table, data), sample(data)
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


def least_loss(config: Config, table: Functions, data: Dataset) -> float:
    """Return the least loss of a linear function of the symmetry functions."""
    return fits_of(config, choose_functions(table, data), data).least()
