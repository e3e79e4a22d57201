"""Choice of symmetry functions: those that a run asks for, and those of them that carry information."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np

from .._core import Error
from ..config import Functions
from ..io.dataset import Dataset
from ..presets import DEFAULT_PRESET, nearest_distances
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Floats, Ints
from ..symmetry import SymmetryFunctions, doubt_cutoff
from .training_set import TrainingSet

# A function is dropped if its standard deviation is below CONSTANT times its size, if its range is below NEGLIGIBLE
# (scaled to [-1, 1] it would be rounding errors), or if its correlation with another one differs from 1 by less than
# CORRELATED.
CONSTANT, NEGLIGIBLE, CORRELATED = 1e-9, 1e-8, 1e-10


def choose_functions(
    table: Functions, data: Dataset, reporter: Reporter | None = None, ranks: Ranks | None = None
) -> SymmetryFunctions:
    """Return the symmetry functions that a RUN.toml asks for. Those of a preset follow the distances in the data, which
    the ranks find.

    Raises
    ------
    Error
        The file cannot be read, or its functions are not for the elements of the data.
    """
    if table.file is None:
        distances = nearest_distances(data, data.elements, ranks)
        return SymmetryFunctions.preset(table.preset or DEFAULT_PRESET, data.elements, table.cutoff, distances)
    functions = SymmetryFunctions.from_input(table.file, table.cflength)
    doubt_cutoff(functions, table.file, table.cflength, reporter or Reporter())
    if list(functions.elements) != data.elements:
        raise Error(
            f"{table.file}: has functions for {', '.join(functions.elements)}, "
            f"the training structures have {', '.join(data.elements)}"
        )
    return functions


def useless_functions(prepared: TrainingSet, functions: SymmetryFunctions) -> dict[tuple[str, int], str]:
    """Find the functions without information on these structures.

    These are the functions without variance, and those fully correlated with an earlier one. An element whose functions
    all lack variance keeps them.

    Returns
    -------
    dict
        Why each of them is useless, by its central element and its place from 0.
    """
    reasons: dict[tuple[str, int], str] = {}
    statistics = prepared.statistics(range(len(prepared)))
    for e, element in enumerate(functions.elements):
        low, high, mean, sigma = statistics[e]
        constant = sigma <= CONSTANT * np.maximum(np.abs(low), np.abs(high))
        varies = ~constant & (high - low > NEGLIGIBLE)
        if not varies.any():
            continue
        correlation = _correlation(prepared, e, mean, np.where(varies, sigma, 1.0))
        for place in range(len(mean)):
            if not varies[place]:
                value = f"is {mean[place]:.3g} for all atoms"
                reasons[element, place] = (
                    value if constant[place] else f"varies by {np.ptp([low, high], 0)[place]:.3g} only"
                )
                continue
            same = [k for k in range(place) if varies[k] and abs(correlation[place, k]) > 1 - CORRELATED]
            if same:
                reasons[element, place] = f"is fully correlated with function {same[0] + 1}"
    return reasons


def unselected_functions(
    prepared: TrainingSet, functions: SymmetryFunctions, count: int, useless: Collection[tuple[str, int]]
) -> set[tuple[str, int]]:
    """Choose `count` functions of each element by CUR, and return all others, by central element and place from 0.

    The next function is that with the largest component in the first principal vector of what the functions chosen
    before do not explain, G. Imbalzano et al., J. Chem. Phys. 148, 241730 (2018), section II.C. All functions have the
    same range here; otherwise those come first that only a few environments set off. Useless functions and linear
    combinations of those chosen before are never chosen.
    """
    unselected = set(useless)
    statistics = prepared.statistics(range(len(prepared)))
    for e, element in enumerate(functions.elements):
        low, high, mean, sigma = statistics[e]
        useful = np.array([place for place in range(len(mean)) if (element, place) not in useless])
        size = (sigma / np.where(high > low, high - low, np.inf))[useful]
        correlation = _correlation(prepared, e, mean, np.where(sigma > 0, sigma, 1.0))
        left = correlation[np.ix_(useful, useful)] * np.outer(size, size)
        chosen: set[int] = set()
        for _ in range(min(count, len(useful))):
            leading = np.linalg.eigh(left)[1][:, -1] ** 2
            best = int(np.argmax(np.where(np.diag(left) > CORRELATED * size**2, leading, 0.0)))
            if left[best, best] <= CORRELATED * size[best] ** 2:
                break
            chosen.add(best)
            left = left - np.outer(left[:, best], left[best]) / left[best, best]
        unselected |= {(element, int(place)) for k, place in enumerate(useful) if k not in chosen}
    return unselected


def _correlation(prepared: TrainingSet, element: int, mean: Floats, sigma: Floats) -> Floats:
    """Return the correlation matrix of the functions of an element."""
    total = np.zeros((mean.size, mean.size))
    atoms = 0
    for product, own in prepared.each(partial(_product, element, mean, sigma), range(len(prepared))):
        total += product
        atoms += own
    return total / atoms


def _product(element: int, mean: Floats, sigma: Floats, features: Floats, species: Ints) -> tuple[Floats, int]:
    """Return the sum of the products of standardised functions over the atoms of an element, and their number."""
    rows = (features[species == element, : mean.size] - mean) / sigma
    return rows.T @ rows, len(rows)
