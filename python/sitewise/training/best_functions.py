"""The functions of the preset "accurate" for one element, which linear fits of the training data choose from a pool."""

from __future__ import annotations

from ..config import Config
from ..features.selection import choose_functions
from ..io.dataset import Dataset
from ..presets import accurate_pool, nearest_distances
from ..progress import Reporter
from ..symmetry import SymmetryFunctions
from .linear_fits import fits_of, sample


def best_functions(config: Config, data: Dataset, reporter: Reporter) -> SymmetryFunctions:
    """Choose functions for the preset "accurate" by the loss of linear fits with them.

    See "Functions that follow the data" in docs/development/tried.md.

    Parameters
    ----------
    config
        The configuration; its other settings have values.
    data
        The training structures, with the labels that are left to learn.
    reporter
        Reports the number of functions.
    """
    table = config.symmetry_functions
    assert table.select is not None
    distance = float(nearest_distances(data, data.elements)[0, 0])
    pool = SymmetryFunctions(data.elements, accurate_pool(distance, choose_functions(table, data).cutoff))
    fits = fits_of(config, pool, sample(data))
    best = fits.best(table.select)
    ratio = fits.of(best) / fits.least()
    reporter.say(
        f"{len(best)} of {len(pool)} functions are chosen; a linear fit with them has {ratio:.3g} times the loss of all"
    )
    return pool.without({(data.elements[0], place) for place in set(range(len(pool))) - set(best.tolist())})
