"""The posterior distribution of the weights after training, scaled by the errors of held-out data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._core import Error
from ..config import Training
from ..evaluation.comparison import Comparison, Pairs, compare
from ..evaluation.coverage import by_symmetry
from ..features.source import FeatureSource
from ..features.training_set import Rows, TrainingSet
from ..io.dataset import Dataset
from ..posterior import Posterior
from ..potential import Potential
from ..progress import Reporter
from ..structures import Floats
from .baseline import without_baseline
from .left_out import scaled_errors
from .optimizers import Objective
from .parameters import whitened_parameters
from .prepared import PreparedData
from .random_streams import Stream, random_numbers

DRAWS = 64
PRIOR = 3.0  # standard deviation of each parameter before any data, see "Error bars" in docs/development/tried.md
COVERED = 0.683  # of the errors are within one bar, as in a normal distribution
LARGEST = 2000  # parameters whose matrix is diagonalised
ROWS, FEW_ROWS = 10_000, 1500  # of energies and forces at most, with up to LARGEST parameters and with more
MOST = 30_000_000  # numbers in these rows
WIDEST = 100_000  # parameters that a posterior is made for
TOGETHER = 2000  # rows that are in memory at once
COMPONENTS = 1000  # of held-out forces at most
FEW = 8  # held-out energies, below which they say little
ALIKE = 10  # energies whose factor is known as well as it follows from that of forces
EXACT = 1e-9  # eV/atom or eV/Angstrom, below which an error counts as this
ROUNDS = 6  # until the scale no longer changes by the prior
TINY = 1e-9  # of the largest eigenvalue, the ridge that these begin with


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Eigenvalues [r] and eigenvectors [n, r] of a symmetric matrix [n, n], which is 0 on what they do not span."""

    values: Floats
    vectors: Floats

    @classmethod
    def of_rows(cls, rows: Floats) -> Spectrum:
        """Diagonalise J^T J for the rows of J [m, n]."""
        if len(rows) >= rows.shape[1]:
            return cls.of_matrix(rows.T @ rows)
        values, left = np.linalg.eigh(rows @ rows.T)
        kept = values > 1e-14 * values[-1]
        return cls(values[kept], rows.T @ (left[:, kept] / np.sqrt(values[kept])))

    @classmethod
    def of_matrix(cls, matrix: Floats) -> Spectrum:
        """Diagonalise a matrix without negative eigenvalues."""
        values, vectors = np.linalg.eigh(matrix)
        return cls(np.maximum(values, 0.0), vectors)

    def solve(self, vector: Floats, ridge: float) -> Floats:
        """Return (A + ridge)^-1 times a vector [n] that A's eigenvectors span."""
        return np.asarray(self.vectors @ (vector @ self.vectors / (self.values + ridge)))

    def bars(self, rows: Floats) -> Callable[[float], Floats]:
        """Return a function of the ridge that returns sqrt(g^T (A + ridge)^-1 g) of each row g [m, n]."""
        along = (rows @ self.vectors) ** 2
        beside = np.maximum(np.einsum("ij,ij->i", rows, rows) - along.sum(axis=1), 0.0)
        return lambda ridge: np.asarray(np.sqrt(along @ (1 / (self.values + ridge)) + beside / ridge))

    def draws(self, count: int, ridge: float, rng: np.random.Generator) -> Floats:
        """Return random vectors with the covariance (A + ridge)^-1 [count, n]."""
        z = rng.normal(size=(count, len(self.vectors)))
        change = 1 / np.sqrt(self.values + ridge) - 1 / np.sqrt(ridge)
        return np.asarray(z / np.sqrt(ridge) + (z @ self.vectors * change) @ self.vectors.T)


def make_posterior(
    objective: Objective,
    held_out: Mapping[str, PreparedData],
    comparisons: Mapping[str, Comparison],
    rng: np.random.Generator,
    reporter: Reporter,
) -> Posterior | None:
    """Return the posterior of the weights of a trained potential; None without energies and forces to scale it.

    Its covariance is s^2 (H + ridge)^-1 with the Gauss-Newton matrix H of the loss without L2. The ridge stands for a
    prior in which each parameter has the standard deviation PRIOR, far wider than the L2 of training: offsets that the
    data leave free are free here. With this prior the mean of the distribution is not the trained weights but one
    Gauss-Newton step from them; the errors that L2 causes are in that shift. The errors of held-out data set s, then a
    factor for bars of energies and one for bars of forces, so that 68 % of the errors are within one bar.

    Source: D. J. C. MacKay, Neural Comput. 4, 448 (1992); scales from held-out data take the place of the noise.

    Parameters
    ----------
    objective
        The loss of the training data, with the trained potential.
    held_out
        Held-out data by their names; the first with errors to compare with set the scale.
    comparisons
        Predictions and labels of "train" and of the held-out data.
    rng
        Random numbers for samples and draws.
    reporter
        Told of the progress, and of held-out data that are too few.
    """
    name = next((name for name in (*held_out, "train") if _has_scale(comparisons.get(name))), None)
    if name is None:
        return None
    if name == "train":
        reporter.warn("no data are held out: training errors scale the error bars, which are too small")
    test = PreparedData(objective.data, objective.prepared) if name == "train" else held_out[name]
    with reporter.task("posterior of the weights", 1) as advance:
        slope, spectrum = slope_and_spectrum(objective, comparisons["train"], rng)
        energies = _over_errors(objective, test, _energy_rows(test, comparisons[name].energy))
        forces = _over_errors(objective, test, _force_rows(comparisons[name].force, rng))
        both = [_Tested(rows, spectrum.bars(rows)) for rows in (energies, forces)]
        fit = _Fit.to(both, slope, spectrum)
        bars = [fit.bars(tested) for tested in both]
        factor = _factor(*bars)
        deviations = factor * np.vstack([fit.shift, fit.scale * spectrum.draws(DRAWS, fit.ridge, rng)])
        of_forces = _quantile(bars[1]) / factor if len(forces) else 1.0
        advance()
    if len(energies) < FEW:
        reporter.say(f"held-out energies that scale the error bars: {len(energies)}; {FEW} or more are better")
    mean = objective.potential.weights
    weights = np.array([objective.parameters.change(deviation, mean) for deviation in deviations])
    return Posterior(mean, weights[0], weights[1:], of_forces)


def _has_scale(comparison: Comparison | None) -> bool:
    """Return whether there are errors of energies, or of forces that are not 0 by symmetry."""
    return comparison is not None and bool(comparison.energy.errors.size or not by_symmetry(comparison.force).all())


class _Tested(NamedTuple):
    """Rows of held-out data, divided by their errors [m, n], and their bars by the ridge."""

    rows: Floats
    bars: Callable[[float], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The posterior of the parameters: its shift from the trained ones, and its covariance scale^2 (H + ridge)^-1."""

    shift: Floats
    scale: float
    ridge: float

    @classmethod
    def to(cls, both: Sequence[_Tested], slope: Floats, spectrum: Spectrum) -> _Fit:
        """Find the scale from energies and forces of held-out data, and the shift from the gradient of the loss. The
        scale and the ridge (scale/PRIOR)^2 depend on each other a little."""
        ridge = TINY * float(spectrum.values[-1])
        for _ in range(ROUNDS):
            shift = -spectrum.solve(slope, ridge)
            left = (tested.bars(ridge) / np.abs(1 + tested.rows @ shift) for tested in both)
            scale = _factor(*left)
            ridge = (scale / PRIOR) ** 2
        return cls(shift, scale, ridge)

    def bars(self, tested: _Tested) -> Floats:
        """Return the root mean square deviation of each row."""
        return np.asarray(np.hypot(self.scale * tested.bars(self.ridge), tested.rows @ self.shift))


def _factor(of_energies: Floats, of_forces: Floats) -> float:
    """Return the factor that bars of energies need, from the bars of energies and of forces divided by their errors.

    Both need about the same factor. Few energies tell it worse than the forces do, so its logarithm is a mean: n
    energies have the weight n, forces the weight ALIKE.
    """
    if not of_energies.size or not of_forces.size:
        return _quantile(of_energies if of_energies.size else of_forces)
    weight = of_energies.size / (of_energies.size + ALIKE)
    return float(_quantile(of_energies) ** weight * _quantile(of_forces) ** (1 - weight))


def _quantile(bars_over_errors: Floats) -> float:
    """Return the factor that makes COVERED of the errors lie within one bar."""
    return float(1 / np.quantile(bars_over_errors, 1 - COVERED))


def posterior_of(potential: Potential, train: Dataset, test: Dataset, seed: int, reporter: Reporter) -> Posterior:
    """Return the posterior of a potential that was trained elsewhere or without one, with the default recipe's weights
    of the loss.

    Parameters
    ----------
    potential
        The potential.
    train, test
        What it was trained on, and held-out data; the latter may be empty.
    seed
        Seed of samples and draws.
    reporter
        Receives the progress.

    Raises
    ------
    Error
        A structure cannot be evaluated, or no structure has energy or forces.
    """
    settings = Training.model_validate({"l2": 0.0, "stress_weight": 0.0})
    source = FeatureSource(round(settings.memory_budget * 1e9), reporter=reporter)
    sets = {"train": train, "test": test}
    prepared = [
        PreparedData(
            d, source.prepare(without_baseline(d, potential.core.baseline), potential.functions, f"{name} data")
        )
        for name, d in sets.items()
    ]
    comparisons = {name: compare(potential, d, f"{name} errors", reporter) for name, d in sets.items() if len(d)}
    parameters = whitened_parameters(potential.core, prepared[0].prepared)
    objective = Objective(prepared[0], potential.core, parameters, settings)
    rng = random_numbers(seed, Stream.POSTERIOR)
    found = make_posterior(objective, {"test": prepared[1]}, comparisons, rng, reporter)
    if found is None:
        raise Error("no structure has an energy or forces, which scale the error bars")
    return found


def slope_and_spectrum(
    objective: Objective, comparison: Comparison, rng: np.random.Generator
) -> tuple[Floats, Spectrum]:
    """Return the gradient of the loss without L2, and its Gauss-Newton matrix diagonalised. Both are those of all rows
    or, where there are many, of the same sample."""
    n = objective.parameters.size
    limit = ROWS if n <= LARGEST else min(FEW_ROWS, MOST // n)
    count = min(len(objective.data), limit // 2)
    rows = objective.sampled_rows(count, 1.0, limit - count, rng)
    slope, matrix, kept = np.zeros(n), np.zeros((n, n) if n <= LARGEST else 0), []
    for some in _parts(rows):
        J = _jacobian(objective, objective.prepared, some)
        slope += J.T @ np.concatenate(scaled_errors(some, comparison, some.structures))
        if n <= LARGEST:
            matrix += J.T @ J  # in single precision, small eigenvalues would be noise
        else:
            kept.append(J)
    return slope, Spectrum.of_matrix(matrix) if n <= LARGEST else Spectrum.of_rows(np.concatenate(kept))


def _jacobian(objective: Objective, prepared: TrainingSet, rows: Rows) -> Floats:
    """Return rows of the Jacobian by the parameters."""
    return prepared.scaled_jacobian(objective.potential, objective.parameters, rows).astype(np.float64)


def _parts(rows: Rows) -> Iterator[Rows]:
    """Divide rows into parts of about TOGETHER."""
    first = 0
    sizes = np.cumsum([len(scales) for scales in rows.scales])
    while first < len(sizes):
        before = sizes[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(sizes, before + TOGETHER, side="right")))
        yield Rows(rows.structures[first:last], rows.components[first:last], rows.scales[first:last])
        first = last


def _energy_rows(data: PreparedData, pairs: Pairs) -> Rows:
    """Return the rows of energies per atom, each divided by its error."""
    scales = [
        np.array([1 / (len(data.data[i].atoms) * error)])
        for i, error in zip(pairs.structure.tolist(), _not_exact(pairs.errors).tolist(), strict=True)
    ]
    return Rows(pairs.structure.tolist(), [[] for _ in scales], scales)


def _force_rows(pairs: Pairs, rng: np.random.Generator) -> Rows:
    """Return the rows of some force components, each divided by its error; those of the energies are 0."""
    chosen = np.sort(rng.permutation(np.flatnonzero(~by_symmetry(pairs)))[:COMPONENTS])
    of = pairs.structure[chosen]
    rows = Rows([], [], [])
    for structure in np.unique(of).tolist():
        mine = chosen[of == structure]
        rows.structures.append(structure)
        rows.components.append((mine - np.searchsorted(pairs.structure, structure)).tolist())
        rows.scales.append(np.append(0.0, 1 / _not_exact(pairs.where(mine).errors)))
    return rows


def _not_exact(errors: Floats) -> Floats:
    return np.where(np.abs(errors) < EXACT, EXACT, errors)


def _over_errors(objective: Objective, data: PreparedData, rows: Rows) -> Floats:
    """Return these rows of the Jacobian without those that are 0 [m, n]."""
    J = _jacobian(objective, data.prepared, rows)
    return J[np.any(J, axis=1)]
