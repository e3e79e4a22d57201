"""The optimisers. Each keeps its whole state in arrays, so a run continues from a file bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import scipy.optimize

from .. import _core
from ..config import Training
from ..features.training_set import Rows
from ..structures import Floats
from .curvature import Curvature, FewRows, Product, Whole
from .parameters import Parameters
from .prepared import PreparedData
from .random_streams import Stream

Memory = dict[str, Floats]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # D. P. Kingma and J. Ba, arXiv:1412.6980
PAIRS = 20  # steps and gradient differences that L-BFGS remembers
TINY = 1e-250  # their least product, far above where squares become 0

# The Gauss-Newton matrix is made of this many structures, and of this part of their force components, which are at most
# MOST_FORCES. So its memory is bounded: with more than 2 MOST_FORCES parameters it is not made, see FEW.
SAMPLED_STRUCTURES, SAMPLED_FORCES, MOST_FORCES = 54, 0.2, 5000
FEW = 2  # parameters for each of these rows, beyond which the matrix is not made: products with it take longer
DAMPING = 1e-2  # of the mean diagonal element, added to the diagonal
REBUILT = 25  # iterations between two matrices of `gn-lbfgs`
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-4, 1e-9, 1e6  # of `lm`

Random = Callable[[Stream, int], np.random.Generator]  # of a purpose and a number


class Point(NamedTuple):
    """Parameters theta [n], the loss there and its gradient [n]."""

    theta: Floats
    loss: float
    gradient: Floats


class Step(NamedTuple):
    """The next theta [n], and the loss that the optimiser found on the way to it."""

    theta: Floats
    loss: float


class Sample(NamedTuple):
    """Places that were chosen at random, in order, and the chance that each had."""

    places: npt.NDArray[np.int64]
    chances: Floats


class Objective:
    """The loss of the training set with L2, as a function of theta.

    Parameters
    ----------
    train
        The training set.
    potential
        The potential that is trained; its weights are overwritten.
    parameters
        What theta stands for.
    settings
        Weights of the loss.
    """

    def __init__(
        self, train: PreparedData, potential: _core.Potential, parameters: Parameters, settings: Training
    ) -> None:
        self.data, self.prepared = train.data, train.prepared
        self.potential, self.parameters, self.settings = potential, parameters, settings
        self.weights = settings.loss_weights
        self.everything = list(range(len(train.data)))
        self.energies = train.data.count("energy")
        self.forces = train.data.n_force_components

    def __call__(self, theta: Floats, structures: Sequence[int] | None = None) -> tuple[float, Floats]:
        """Return the loss, infinite where it cannot be computed, and its gradient [n], of all structures unless some
        are given."""
        if not np.all(np.isfinite(theta)):
            return np.inf, np.zeros_like(theta)
        ridge = self.weights.l2 * self.parameters.penalized * theta
        self.potential.weights = self.parameters.weights(theta)
        loss, gradient = self.prepared.loss(
            self.potential,
            self.everything if structures is None else structures,
            self.weights.force,
            self.weights.stress,
        )
        assert gradient is not None
        slope = self.parameters.gradient(gradient, self.potential.weights)
        return loss["value"] + float(ridge @ theta), slope + 2 * ridge

    def curvature(self, theta: Floats, rng: np.random.Generator) -> Curvature:
        """Return the Gauss-Newton matrix of the loss, 2 J^T J of a random sample of energies and forces, with the
        second derivative of the L2 term; it is kept as its rows if these are few. Stresses are left out.

        Source: J. Martens, ICML 2010, section 4; the sample takes the place of all rows of J.
        """
        rows = self.sampled_rows(SAMPLED_STRUCTURES, SAMPLED_FORCES, MOST_FORCES, rng)
        self.potential.weights = self.parameters.weights(theta)
        ridge = 2 * self.weights.l2 * self.parameters.penalized
        if FEW * rows.number < self.parameters.size:
            return FewRows(self.prepared.scaled_jacobian(self.potential, self.parameters, rows), ridge)
        matrix = self.prepared.gauss_newton(self.potential, self.parameters, rows)
        matrix[np.diag_indices_from(matrix)] += ridge
        return Whole(matrix)

    def sampled_rows(self, count: int, part: float, most: int, rng: np.random.Generator) -> Rows:
        """Return the rows of the energies of `count` structures and of a part of their force components, about `most`
        at most, chosen at random and with the scales of the Gauss-Newton matrix. What weighs more is sampled more often
        and counts less each time, so the mean of J^T J over samples is the matrix of all rows."""
        of_atoms = [self.prepared.weights(i)[1] for i in self.everything]
        weight = np.array([self.prepared.weights(i)[0] for i in self.everything])
        importance = (weight + np.array([np.mean(of) for of in of_atoms])) / 2
        structures, chances = sample(importance, count, rng)
        there = sum(3 * len(of_atoms[i]) for i in structures)
        part = min(part, most / max(there, 1))
        components: list[list[int]] = []
        scales: list[Floats] = []  # square roots of twice the weights of the squares of its rows
        for i, chance in zip(structures, chances, strict=True):
            known = self.data[i].energy is not None
            energy = weight[i] / chance / self.energies if known else 0.0
            chosen, chances_of_forces = self._sampled_forces(i, np.repeat(of_atoms[i], 3), part, rng)
            forces = of_atoms[i][chosen // 3] / (chance * chances_of_forces) / max(self.forces, 1)
            of_energy = np.sqrt(2 * energy) / len(self.data[i].atoms)
            scales.append(np.append(of_energy, np.sqrt(2 * self.weights.force * forces)))
            components.append(chosen.tolist())
        return Rows(structures.tolist(), components, scales)

    def _sampled_forces(self, structure: int, weights: Floats, part: float, rng: np.random.Generator) -> Sample:
        if self.data[structure].forces is None or self.weights.force == 0:
            return Sample(np.empty(0, dtype=np.int64), np.empty(0))
        return sample(weights, max(1, round(part * weights.size)), rng)


def sample(importance: Floats, count: int, rng: np.random.Generator) -> Sample:
    """Choose `count` places at random. The chance of each is proportional to its importance, or 1; those without
    importance are never chosen.

    Source: W. G. Madow, Ann. Math. Stat. 20, 333 (1949), systematic sampling with unequal probabilities.
    """
    count = min(count, int(np.count_nonzero(importance)))
    chances = _chances(importance, count)
    order = rng.permutation(len(chances))
    places = np.searchsorted(np.cumsum(chances[order]), rng.random() + np.arange(count), side="right")
    chosen = np.unique(order[np.minimum(places, len(order) - 1)])
    chosen = chosen[chances[chosen] > 0]
    return Sample(chosen, chances[chosen])


def _chances(importance: Floats, count: int) -> Floats:
    """Return chances that are proportional to the importance, at most 1, and have the sum `count`."""
    certain = np.zeros(len(importance), dtype=bool)
    while True:
        rest = np.where(certain, 0.0, importance)
        chances = np.where(certain, 1.0, rest * ((count - certain.sum()) / max(rest.sum(), 1e-300)))
        if not np.any(chances > 1):
            return chances
        certain |= chances > 1


class Optimizer(Protocol):
    """An optimiser. All its memory is the dict that `start` makes and `step` changes, of arrays with these
    `dimensions`."""

    dimensions: ClassVar[Mapping[str, int]]

    def start(self, theta: Floats) -> Memory:
        """Return the memory before the first iteration."""

    def step(self, theta: Floats, memory: Memory, iteration: int) -> Step:
        """Do an iteration; it is the same whenever it is done."""


class Adam:
    """Adam, D. P. Kingma and J. Ba, arXiv:1412.6980, algorithm 1, on batches; each epoch has an order of its own."""

    dimensions: ClassVar[Mapping[str, int]] = {"mean": 1, "square": 1}

    def __init__(self, objective: Objective, random: Random, total: int) -> None:
        self.objective, self.random, self.total = objective, random, total
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def start(self, theta: Floats) -> Memory:
        return {"mean": np.zeros_like(theta), "square": np.zeros_like(theta)}

    def step(self, theta: Floats, memory: Memory, iteration: int) -> Step:
        loss, gradient = self.objective(theta, self._batch(iteration))
        memory["mean"] = BETA1 * memory["mean"] + (1 - BETA1) * gradient
        memory["square"] = BETA2 * memory["square"] + (1 - BETA2) * gradient**2
        mean = memory["mean"] / (1 - BETA1 ** (iteration + 1))
        square = memory["square"] / (1 - BETA2 ** (iteration + 1))
        rate = self.objective.settings.rate(iteration / self.total)
        return Step(theta - rate * mean / (np.sqrt(square) + EPSILON), loss)

    def _batch(self, iteration: int) -> list[int]:
        n = len(self.objective.data)
        size = self.objective.settings.batch(n)
        epoch, batch = divmod(iteration, -(-n // size))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.random(Stream.BATCHES, epoch).permutation(n)
        return [int(i) for i in self._order[batch * size : (batch + 1) * size]]


class LBFGS:
    """L-BFGS on all structures, J. Nocedal and S. J. Wright, Numerical Optimization (2006), algorithms 7.4 and 7.5,
    with scipy's strong Wolfe line search.

    If it is `preconditioned`, the two loops start from the inverse of a sampled Gauss-Newton matrix instead of a
    multiple of 1.
    """

    dimensions: ClassVar[Mapping[str, int]] = {"value": 0, "slope": 1, "steps": 2, "changes": 2, "anchor": 1}

    def __init__(self, objective: Objective, random: Random, preconditioned: bool) -> None:
        self.objective, self.random, self.preconditioned = objective, random, preconditioned
        self._inverted: tuple[int, Product] | None = None  # number of the matrix, its inverse

    def start(self, theta: Floats) -> Memory:
        value, gradient = self.objective(theta)
        none = np.empty((0, theta.size))
        return {"value": np.array(value), "slope": gradient, "steps": none, "changes": none, "anchor": theta}

    def step(self, theta: Floats, memory: Memory, iteration: int) -> Step:
        if self.preconditioned and iteration % REBUILT == 0:
            memory["anchor"] = theta
            memory["steps"] = memory["changes"] = np.empty((0, theta.size))  # the new matrix knows better
        point = Point(theta, float(memory["value"]), memory["slope"])
        for _ in range(2):
            found = self._search(point, self._direction(memory, iteration))
            if found is not None:
                break
            memory["steps"] = memory["changes"] = np.empty((0, theta.size))  # they misled
        else:
            return Step(theta, point.loss)  # the lowest that rounding lets it reach
        step, change = found.theta - theta, found.gradient - point.gradient
        if step @ change > 1e-12 * (step @ step) + TINY:
            memory["steps"] = np.vstack([memory["steps"], step])[-PAIRS:]
            memory["changes"] = np.vstack([memory["changes"], change])[-PAIRS:]
        memory["value"], memory["slope"] = np.array(found.loss), found.gradient
        return Step(found.theta, found.loss)

    def _direction(self, memory: Memory, iteration: int) -> Floats:
        """Return minus the inverse Hessian times the gradient, by the two loops."""
        q = memory["slope"].copy()
        pairs = list(zip(memory["steps"], memory["changes"], strict=True))
        parts = []
        for s, y in reversed(pairs):
            parts.append((s @ q) / (s @ y))
            q -= parts[-1] * y
        apply = self._inverse(memory, iteration)
        r = apply(q)
        if pairs:
            s, y = pairs[-1]
            r *= (s @ y) / (y @ apply(y))
        elif not self.preconditioned:
            r *= min(1.0, 1.0 / np.abs(q).sum())  # the first step, of length 1 at most
        for (s, y), part in zip(pairs, reversed(parts), strict=True):
            r += s * (part - (y @ r) / (s @ y))
        return -r

    def _inverse(self, memory: Memory, iteration: int) -> Product:
        if not self.preconditioned:
            return np.copy
        number = iteration // REBUILT
        if self._inverted is None or self._inverted[0] != number:
            self._inverted = None  # two would need twice the memory
            matrix = self.objective.curvature(memory["anchor"], self.random(Stream.CURVATURE, number))
            self._inverted = number, matrix.inverse(DAMPING)
        return self._inverted[1]

    def _search(self, start: Point, direction: Floats) -> Point | None:
        """Return a lower point in this direction; None if the line search finds none."""
        theta, value, gradient = start
        if not gradient @ direction < 0:
            return None
        known: dict[bytes, tuple[float, Floats]] = {theta.tobytes(): (value, gradient)}

        def at(x: Floats) -> tuple[float, Floats]:
            key = x.tobytes()
            if key not in known:
                known[key] = self.objective(x)
            return known[key]

        with np.errstate(all="ignore"):
            length = scipy.optimize.line_search(
                lambda x: at(x)[0], lambda x: at(x)[1], theta, direction, gradient, value, c2=0.9, maxiter=20
            )[0]
        if length is None:
            return None
        new = theta + length * direction
        found = Point(new, *at(new))
        return found if found.loss < value else None


class LevenbergMarquardt:
    """Levenberg-Marquardt: damped Gauss-Newton steps, each with a new sample, accepted where the loss of all structures
    falls. The damping follows the ratio of found and predicted gain, H. B. Nielsen, report IMM-REP-1999-05."""

    dimensions: ClassVar[Mapping[str, int]] = {"value": 0, "slope": 1, "damping": 0, "growth": 0}

    def __init__(self, objective: Objective, random: Random) -> None:
        self.objective, self.random = objective, random

    def start(self, theta: Floats) -> Memory:
        value, gradient = self.objective(theta)
        return {
            "value": np.array(value),
            "slope": gradient,
            "damping": np.array(FIRST_DAMPING),
            "growth": np.array(2.0),
        }

    def step(self, theta: Floats, memory: Memory, iteration: int) -> Step:
        value, gradient, damping = float(memory["value"]), memory["slope"], float(memory["damping"])
        matrix = self.objective.curvature(theta, self.random(Stream.CURVATURE, iteration))
        move = -matrix.solve(damping, gradient)
        found, new_gradient = self.objective(theta + move)
        gain = (value - found) / float(-0.5 * (gradient @ move))
        if not gain > 0:
            memory["damping"] = np.array(min(damping * float(memory["growth"]), MOST_DAMPING))
            memory["growth"] = 2 * memory["growth"]
            return Step(theta, value)
        memory["damping"] = np.array(max(damping * max(1 / 5, 1 - (2 * gain - 1) ** 3), LEAST_DAMPING))
        memory["growth"] = np.array(2.0)
        memory["value"], memory["slope"] = np.array(found), new_gradient
        return Step(theta + move, found)


@contextmanager
def silent_line_searches() -> Iterator[None]:
    """Silence line searches in this block: they return None if they fail. Filters of warnings hold for all
    threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The line search algorithm did not converge")
        yield


def make_optimizer(objective: Objective, random: Random, total: int) -> Optimizer:
    """Return the optimiser that the settings name, for a run of `total` iterations."""
    name = objective.settings.optimizer
    if name == "adam":
        return Adam(objective, random, total)
    if name == "lm":
        return LevenbergMarquardt(objective, random)
    return LBFGS(objective, random, preconditioned=name == "gn-lbfgs")
