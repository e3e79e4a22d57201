"""Errors of structures as if they had been left out of the training, from the curvature of the loss."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.linalg

from .. import _core
from ..evaluation.comparison import Comparison, compare
from ..features.training_set import Rows
from ..io.dataset import Dataset
from ..progress import Reporter
from ..structures import Floats
from .baseline import with_baseline
from .optimizers import Objective

BLOCK = 5  # consecutive structures that are left out together: neighbours in a trajectory are alike
KNOWN, LEFT_OUT = 30_000, 10_000  # labels of the second derivative and among them those that are left out, about
MOST = 10  # times that a part of the errors becomes as large, see "The share of the fit" in docs/development/tried.md
ROUNDING = 1e-10  # of the diagonal of the second derivative, which rounding may make singular


def left_out_errors(objective: Objective, baseline: _core.Baseline | None, reporter: Reporter) -> Floats:
    """Return what the errors of some labels would be, about, if the potential had been trained without them, each times
    the square root of twice its weight in the loss.

    Blocks B of structures are left out in turn. If energies were linear in the parameters, and the loss at its minimum,
    their errors e would become (1 - K)^-1 e with K = J_B H^-1 J_B^T, their Jacobian J_B and the second derivative
    H = J^T J + 2 l2 of the loss. A network is linear only near its weights, so no part of e becomes more than MOST
    times as large. Where H is known of a part p of the labels, the others are taken to be like these, and the change of
    e is p times as large.

    Source: D. M. Allen, Technometrics 16, 125 (1974), here for blocks of rows.

    Parameters
    ----------
    objective
        The loss of the training data, with the trained potential.
    baseline
        What the potential is added to.
    reporter
        Receives the progress.
    """
    potential, parameters, prepared = objective.potential, objective.parameters, objective.prepared
    labels = objective.energies + objective.forces
    blocks = _blocks(objective)
    known = _evenly(blocks, KNOWN / labels)
    left_out = _evenly(known, LEFT_OUT / min(labels, KNOWN))
    part = len(known) / len(blocks)
    second = np.diag(2 * objective.weights.l2 * part * parameters.penalized)
    for block in known:
        J = prepared.scaled_jacobian(potential, parameters, block).astype(np.float64)
        second += J.T @ J  # in single precision, small eigenvalues would be noise
    scale = 1 / np.sqrt(np.maximum(np.diag(second), np.finfo(float).tiny))
    root = np.linalg.cholesky(second * np.outer(scale, scale) + ROUNDING * np.eye(len(scale)))
    chosen = Dataset(objective.data[i] for block in left_out for i in block.structures)
    errors = compare(with_baseline(potential, baseline), chosen, "errors of left-out structures", reporter)
    found, first = [], 0
    for block in left_out:
        own = np.concatenate(scaled_errors(block, errors, range(first, first + len(block.structures))))
        J = prepared.scaled_jacobian(potential, parameters, block) * scale
        G = scipy.linalg.solve_triangular(root, J.T, lower=True, check_finite=False)
        values, vectors = np.linalg.eigh((G.T @ G).astype(np.float32))
        growth = 1 / np.maximum(1 - values, 1 / MOST) - 1
        found.append(own + vectors @ (part * growth * (own @ vectors)))
        first += len(block.structures)
    return np.concatenate(found)


def _blocks(objective: Objective) -> list[Rows]:
    """Return all rows, in blocks of structures."""
    labels = objective.energies + objective.forces
    every = objective.sampled_rows(len(objective.data), 1.0, labels, np.random.default_rng(0))
    slices = (slice(first, first + BLOCK) for first in range(0, len(every.structures), BLOCK))
    return [Rows(every.structures[own], every.components[own], every.scales[own]) for own in slices]


def _evenly(blocks: list[Rows], part: float) -> list[Rows]:
    """Return about a part of the blocks, at even steps, or all of them."""
    count = min(max(1, round(part * len(blocks))), len(blocks))
    return [blocks[k * len(blocks) // count] for k in range(count)]


def scaled_errors(rows: Rows, comparison: Comparison, places: Iterable[int]) -> list[Floats]:
    """Return the errors of the rows of each structure times their scales; `places` are those of the structures in the
    comparison."""
    found = []
    for place, components, scales in zip(places, rows.components, rows.scales, strict=True):
        energy, forces = (pairs.of(place).errors for pairs in (comparison.energy, comparison.force))
        total = energy * len(comparison.data[place].atoms) if energy.size else np.zeros(1)
        found.append(scales * np.concatenate([total, forces[components]]))
    return found
