"""Which structures to calculate next, by the error bars that targets would have with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from ..progress import Advance
from ..structures import Floats
from .energy_process import WITHIN, EnergyProcess, Model, Slopes, slopes_of
from .gaussian import PICKED, cheapest
from .gspace import Embedding, Integers, Placed

SCREENED = 80  # candidates at most whose forces are considered: those whose energies alone lower bars most
BLOCK = 1_000  # candidates whose energies are judged at once
DIRECTIONS = 24  # along which a candidate's forces are considered, at most
JUDGES = 300  # targets at most that the ranking is for, evenly chosen
KNOWN = 0.25  # part of the accuracy: to lower bars further is not worth a calculation


class Pick(NamedTuple):
    """A candidate in its place of the order.

    Attributes
    ----------
    candidate
        Its index.
    reached
        Error bars of the targets [t], eV/atom, with it and all that are picked before it.
    """

    candidate: int
    reached: Floats


@dataclass(slots=True)
class _Seen:
    """Rows as one process sees them.

    Attributes
    ----------
    whitened
        Their posterior covariance is the product of its transpose with it [p, n].
    means
        Expectations [n, 1 + k]: a constant, then the coefficients of k standard normal numbers, by which the values of
        picked candidates differ from what was expected.
    own
        Variance of each row alone [n]: what coordinates leave, and the noise of measurements.
    """

    whitened: Floats
    means: Floats
    own: Floats

    def of(self, rows: Integers) -> _Seen:
        return _Seen(self.whitened[:, rows], self.means[rows], self.own[rows])

    def variances(self) -> Floats:
        return np.asarray((self.whitened**2).sum(axis=0) + self.own)

    def covariance(self) -> Floats:
        return np.asarray(self.whitened.T @ self.whitened + np.diag(self.own))


class _Belief:
    """One process, and its changes by picked candidates.

    A measurement y of rows B with covariance S changes the expectation of a row x by cov(x, B) S^-1 (y - mean(B)) and
    the covariance of x and x' by -cov(x, B) S^-1 cov(B, x').
    """

    def __init__(self, model: Model) -> None:
        self._model, self._posterior = model, model.posterior()
        self._updates: list[_Update] = []

    def sees(self, structures: Placed, slopes: Sequence[Slopes] = ()) -> _Seen:
        """Return the energies per atom of structures, then slopes, as measurements."""
        columns, noise = self._model.measurable(structures, slopes)
        return self._current(columns, noise)

    def sees_energies(self, structures: Placed) -> _Seen:
        """Return the energies per atom of structures, without noise of a measurement."""
        return self._current(*self._model.energies(structures))

    def _current(self, columns: Floats, own: Floats) -> _Seen:
        seen = _Seen(self._posterior.roots(columns).T, self._posterior.means(columns)[:, None], own)
        for update in self._updates:
            update.apply(seen)
        return seen

    def learn(self, update: _Update) -> None:
        """Keep a change, which later rows are subject to."""
        self._updates.append(update)


class _Update:
    """The change of one process by a measurement.

    Parameters
    ----------
    measured
        Rows of the measurement.
    expected
        What it is expected to be by all processes together, see `_expected`.
    """

    def __init__(self, measured: _Seen, expected: Floats) -> None:
        root = np.linalg.cholesky(measured.covariance())
        self._whitened = measured.whitened
        self._shift = cho_solve((root, True), expected - _wider(measured.means, expected))
        # The square root of I - A S^-1 A^T, with A = Q R, is I - Q kept Q^T.
        self._q, r = np.linalg.qr(self._whitened)
        part = solve_triangular(root, r.T, lower=True)
        values, vectors = np.linalg.eigh(part.T @ part)
        self._kept = (vectors * (1 - np.sqrt(np.clip(1 - values, 0, None)))) @ vectors.T

    def apply(self, seen: _Seen) -> None:
        """Change rows in place."""
        seen.means = _wider(seen.means, self._shift) + seen.whitened.T @ (self._whitened @ self._shift)
        seen.whitened = seen.whitened - self._q @ (self._kept @ (self._q.T @ seen.whitened))


def _wider(means: Floats, like: Floats) -> Floats:
    """Return expectations with as many coefficients as others have."""
    return np.pad(means, ((0, 0), (0, like.shape[1] - means.shape[1])))


def _expected(measured: Sequence[_Seen]) -> Floats:
    """Return what all processes together expect of a measurement, as `_Seen.means`.

    It is the mean of their expectations, plus a normal deviation of each row with the covariance of the mixture.
    """
    means = np.array([one.means for one in measured])
    away = means - means.mean(axis=0)
    between = np.einsum("kbc,kdc->bd", away, away) / len(means)
    within = np.mean([one.covariance() for one in measured], axis=0)
    return np.hstack([means.mean(axis=0), np.linalg.cholesky(WITHIN**2 * within + between)])


class _Mixture:
    """The processes of all lengths together, see `EnergyProcess`, about some targets."""

    def __init__(self, process: EnergyProcess, targets: Placed) -> None:
        self.calibration = process.calibration
        self.beliefs = [_Belief(model) for model in process.models]
        self.targets = [belief.sees_energies(targets) for belief in self.beliefs]

    def bars(self) -> Floats:
        """Return the error bars of the targets [t], eV/atom."""
        variances = np.mean([seen.variances() for seen in self.targets], axis=0)
        return self._mixed(variances, np.var([seen.means for seen in self.targets], axis=0).sum(axis=-1))

    def reached(self, measured: Sequence[_Seen]) -> Floats:
        """Return the expected error bars [t] once rows are measured, for each process as it sees them."""
        drops, shifts, expected = [], [], _expected(measured)
        for one, targets in zip(measured, self.targets, strict=True):
            root = np.linalg.cholesky(one.covariance())
            gain = solve_triangular(root, one.whitened.T @ targets.whitened, lower=True)
            found = solve_triangular(root, expected - _wider(one.means, expected), lower=True)
            drops.append((gain**2).sum(axis=0))
            shifts.append(_wider(targets.means, expected) + gain.T @ found)
        variances = np.mean([seen.variances() for seen in self.targets], axis=0) - np.mean(drops, axis=0)
        return self._mixed(variances, np.var(shifts, axis=0).sum(axis=-1))

    def reached_by_energies(self, measured: Sequence[_Seen]) -> Floats:
        """Return the same [c, t] for each of many single energies."""
        drops, gains, shifts = [], [], []
        means = np.array([one.means for one in measured])
        surprise = WITHIN**2 * np.mean([one.variances() for one in measured], axis=0) + means.var(axis=0).sum(axis=-1)
        for one, targets in zip(measured, self.targets, strict=True):
            covariance = one.whitened.T @ targets.whitened
            gain = covariance / one.variances()[:, None]
            drops.append(gain * covariance)
            gains.append(gain * np.sqrt(surprise)[:, None])
            shifts.append(targets.means + gain[:, :, None] * (means.mean(axis=0) - one.means)[:, None])
        variances = np.mean([seen.variances() for seen in self.targets], axis=0) - np.mean(drops, axis=0)
        return self._mixed(variances, np.var(shifts, axis=0).sum(axis=-1) + np.var(gains, axis=0))

    def learn(self, measured: Sequence[_Seen], others: Sequence[_Seen]) -> None:
        """Condition the targets, `others` and all later rows on rows that are taken as measured."""
        expected = _expected(measured)
        for belief, one, *seen in zip(self.beliefs, measured, self.targets, others, strict=True):
            update = _Update(one, expected)
            belief.learn(update)
            for rows in seen:
                update.apply(rows)

    def _mixed(self, variances: Floats, between: Floats) -> Floats:
        return np.asarray(self.calibration * np.sqrt(WITHIN**2 * np.clip(variances, 0, None) + between))


def openness(bars: Floats, accuracy: float) -> Floats:
    """Return the mean over targets of the logarithm of error bars [..., t], which levels off below the accuracy."""
    return np.asarray(logarithms(bars, accuracy).mean(axis=-1))


def openness_of_rms(bars: Floats, accuracy: float) -> Floats:
    """Return the logarithm of the RMS over targets of error bars [..., t], which levels off below the accuracy."""
    return np.asarray(np.log(np.mean(np.square(bars), axis=-1) + (KNOWN * accuracy) ** 2) / 2)


def logarithms(bars: Floats, accuracy: float) -> Floats:
    """Return the logarithms of error bars, which level off at the KNOWN part of the accuracy."""
    return np.asarray(np.log(np.hypot(bars, KNOWN * accuracy)))


def ranked_by_bars(
    process: EnergyProcess,
    candidates: Embedding,
    targets: Placed,
    costs: Floats,
    accuracy: float,
    advance: Advance,
    at_most: int = PICKED,
    measure: Callable[[Floats, float], Floats] = openness,
) -> tuple[Floats, Integers, list[Pick]]:
    """Return the bars of targets now [t], the indices of these targets, and all candidates in the order to add them.

    The bars that targets would have with a candidate's energy and, if the data have forces, its forces follow before
    it is calculated: variances do not depend on the values, and expectations change linearly with them. The best
    candidate, or a cheaper one that is nearly as good, is picked (see `cheapest`), then the best of the others if that
    one is known, and so on for `at_most`. The others follow in the order of what their energies would add to these.

    Parameters
    ----------
    process
        Atomic energies as the data determine them.
    candidates
        Structures that might be added.
    targets
        Structures whose error bars matter.
    costs
        Of calculating each candidate [c].
    accuracy
        Error bar that is good enough, eV/atom.
    advance
        Called for each pick.
    at_most
        Number of picks that account for those before.
    measure
        What is lowered, a function of bars and accuracy: `openness` or `openness_of_rms`.
    """
    judges = np.unique(np.linspace(0, targets.n_structures - 1, JUDGES).astype(int))
    mixture = _Mixture(process, targets.of(judges))
    before = mixture.bars()
    screened = np.argsort(measure(_by_energies(mixture, candidates.placed), accuracy), kind="stable")[:SCREENED]
    places = np.sort(screened)
    slopes = [slopes_of(candidates, int(place), DIRECTIONS) for place in places] if process.with_forces else []
    numbers = np.arange(len(places))
    owners = np.concatenate([numbers, np.repeat(numbers, [len(one.values) for one in slopes] if slopes else 0)])
    own = [np.flatnonzero(owners == k) for k in range(len(places))]
    seen = [belief.sees(candidates.placed.of(places), slopes) for belief in mixture.beliefs]
    picks: list[Pick] = []
    left, now = list(range(len(places))), float(measure(before, accuracy))
    while left and len(picks) < at_most:
        reached = np.array([mixture.reached([one.of(own[k]) for one in seen]) for k in left])
        opened = measure(reached, accuracy)
        best = cheapest(now, opened, costs[places[left]])
        now = float(opened[best])
        k = left.pop(best)
        picks.append(Pick(int(places[k]), reached[best]))
        mixture.learn([one.of(own[k]) for one in seen], seen)
        advance()
    rest = np.setdiff1d(np.arange(len(costs)), [pick.candidate for pick in picks])
    return before, judges, picks + _rest(mixture, candidates.placed, rest, lambda bars: measure(bars, accuracy))


def _by_energies(mixture: _Mixture, candidates: Placed) -> Floats:
    """Return the bars that targets would have with the energy of each candidate [c, t]."""
    blocks = candidates.blocks(BLOCK)
    return np.concatenate(
        [mixture.reached_by_energies([one.sees(block) for one in mixture.beliefs]) for block in blocks]
    )


def _rest(mixture: _Mixture, candidates: Placed, rest: Integers, measure: Callable[[Floats], Floats]) -> list[Pick]:
    """Return candidates in the order of what their energies add to all that is picked."""
    if not len(rest):
        return []
    reached = _by_energies(mixture, candidates.of(rest))
    order = np.argsort(measure(reached), kind="stable")
    return [Pick(int(rest[k]), reached[k]) for k in order]
