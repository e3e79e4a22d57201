"""Which structures to calculate next, by the error bars that targets would have with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from ..progress import Advance
from ..structures import Floats
from .energy_process import EnergyProcess, Slopes, slopes_of
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
    """Rows as the process sees them.

    Attributes
    ----------
    roots
        Their posterior covariance is the product of these with their transpose [n, p].
    own
        Variance of each row alone [n]: what coordinates leave, and the noise of measurements.
    """

    roots: Floats
    own: Floats

    def of(self, rows: Integers) -> _Seen:
        return _Seen(self.roots[rows], self.own[rows])

    def variances(self) -> Floats:
        return np.asarray((self.roots**2).sum(axis=1) + self.own)


class _Belief:
    """The process about some targets, and its changes by picked candidates.

    A measurement of rows B with covariance S = L L^T changes the covariance of rows x and x' by
    -cov(x, B) S^-1 cov(B, x'), whatever is measured.
    """

    def __init__(self, process: EnergyProcess, targets: Placed) -> None:
        self._process = process
        self._updates: list[tuple[Floats, Floats]] = []
        self.targets = self._current(*process.energies(targets))

    def sees(self, structures: Placed, slopes: Sequence[Slopes] = ()) -> _Seen:
        """Return the energies per atom of structures, then slopes, as measurements."""
        return self._current(*self._process.measurable(structures, slopes))

    def bars(self) -> Floats:
        """Return the error bars of the targets [t], eV/atom."""
        return _deviations(self.targets.variances())

    def reached(self, measured: _Seen) -> Floats:
        """Return the error bars [t] once rows are measured."""
        gain = solve_triangular(_root(measured), measured.roots @ self.targets.roots.T, lower=True)
        return _deviations(self.targets.variances() - (gain**2).sum(axis=0))

    def reached_by_energies(self, measured: _Seen) -> Floats:
        """Return the same [c, t] for each of many single energies."""
        drops = (measured.roots @ self.targets.roots.T) ** 2 / measured.variances()[:, None]
        return _deviations(self.targets.variances() - drops)

    def learn(self, measured: _Seen, *others: _Seen) -> None:
        """Condition the targets, `others` and all later rows on rows that are taken as measured."""
        # The square root of I - A S^-1 A^T, with A = Q R, is I - Q kept Q^T.
        q, r = np.linalg.qr(measured.roots.T)
        part = solve_triangular(_root(measured), r.T, lower=True)
        values, vectors = np.linalg.eigh(part.T @ part)
        self._updates.append((q, (vectors * (1 - np.sqrt(np.clip(1 - values, 0, None)))) @ vectors.T))
        for rows in (self.targets, *others):
            rows.roots = _updated(rows.roots, *self._updates[-1])

    def _current(self, columns: Floats, own: Floats) -> _Seen:
        roots = self._process.posterior.roots(columns)
        for update in self._updates:
            roots = _updated(roots, *update)
        return _Seen(roots, own)


def _root(measured: _Seen) -> Floats:
    return np.asarray(np.linalg.cholesky(measured.roots @ measured.roots.T + np.diag(measured.own)))


def _deviations(variances: Floats) -> Floats:
    return np.asarray(np.sqrt(np.clip(variances, 0, None)))


def _updated(roots: Floats, q: Floats, kept: Floats) -> Floats:
    return np.asarray(roots - ((roots @ q) @ kept) @ q.T)


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
    it is calculated: variances do not depend on the values. The best candidate, or a cheaper one that is nearly as
    good, is picked (see `cheapest`), then the best of the others if that one is known, and so on for `at_most`. The
    others follow in the order of what their energies would add to these.

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
    belief = _Belief(process, targets.of(judges))
    before = belief.bars()
    screened = np.argsort(measure(_by_energies(belief, candidates.placed), accuracy), kind="stable")[:SCREENED]
    places = np.sort(screened)
    slopes = [slopes_of(candidates, int(place), DIRECTIONS) for place in places] if process.with_forces else []
    numbers = np.arange(len(places))
    owners = np.concatenate([numbers, np.repeat(numbers, [len(one.values) for one in slopes] if slopes else 0)])
    own = [np.flatnonzero(owners == k) for k in range(len(places))]
    seen = belief.sees(candidates.placed.of(places), slopes)
    picks: list[Pick] = []
    left, now = list(range(len(places))), float(measure(before, accuracy))
    while left and len(picks) < at_most:
        reached = np.array([belief.reached(seen.of(own[k])) for k in left])
        opened = measure(reached, accuracy)
        best = cheapest(now, opened, costs[places[left]])
        now = float(opened[best])
        k = left.pop(best)
        picks.append(Pick(int(places[k]), reached[best]))
        belief.learn(seen.of(own[k]), seen)
        advance()
    rest = np.setdiff1d(np.arange(len(costs)), [pick.candidate for pick in picks])
    return before, judges, picks + _rest(belief, candidates.placed, rest, lambda bars: measure(bars, accuracy))


def _by_energies(belief: _Belief, candidates: Placed) -> Floats:
    """Return the bars that targets would have with the energy of each candidate [c, t]."""
    return np.concatenate([belief.reached_by_energies(belief.sees(block)) for block in candidates.blocks(BLOCK)])


def _rest(belief: _Belief, candidates: Placed, rest: Integers, measure: Callable[[Floats], Floats]) -> list[Pick]:
    """Return candidates in the order of what their energies add to all that is picked."""
    if not len(rest):
        return []
    reached = _by_energies(belief, candidates.of(rest))
    order = np.argsort(measure(reached), kind="stable")
    return [Pick(int(rest[k]), reached[k]) for k in order]
