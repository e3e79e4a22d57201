"""Determinability of each atom by a Gaussian process whose data are sums over structures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .._core import Error
from ..progress import Advance
from ..structures import Floats
from .gspace import Integers, Placed

NOISE = 1e-6  # variance of an energy per atom, in units of the prior's variance
BLOCK = 4_000  # atoms at once
REPRESENTATIVES = 800  # atoms of an element at most
PICKED = 50  # candidates whose order takes account of those before
FAITHFUL = 1e-9  # pivots of the kernel below are rounding


class SumProcess:
    """Gaussian process of the atomic energies, with the total energies per atom as its data.

    The prior of each element has variance 1 and the kernel exp(-d^2/(2 length^2)), d the distance in G space; elements
    are independent. It is spanned by the kernel's columns at some representative atoms, so that an atom has
    coordinates phi = L^-1 k with L L^T the kernel between these (the Nystroem approximation; exact where all
    atoms are representatives). What phi leaves of an atom's variance is its own: it is noise in the sums, and remains
    unknown (M. Titsias, AISTATS 2009, and the FITC of E. Snelson and Z. Ghahramani, NIPS 2005, for sums).

    Parameters
    ----------
    training
        Atoms of the structures with energies.
    representatives
        Coordinates of some atoms for each element, see `farthest_points`.
    length
        Length scale of the kernel, a distance in G space.
    advance
        Told of each atom that is done.

    Raises
    ------
    Error
        For a length scale that is not positive.
    """

    def __init__(
        self, training: Placed, representatives: Sequence[Floats], length: float, advance: Advance | None = None
    ) -> None:
        from scipy.linalg import cho_factor

        if not length > 0:
            raise Error(f"the length scale must be positive, found {length}")
        self.length = length
        self._bases = [_Basis(points, length) for points in representatives]
        self._starts = np.concatenate([[0], np.cumsum([basis.size for basis in self._bases])]).astype(int)
        rows, own = self._sums(training, advance)
        weighted = rows / (NOISE + own)[:, None]
        self._precision = cho_factor(np.eye(self._starts[-1]) + rows.T @ weighted, lower=True)

    def determinability(self, atoms: Placed, advance: Advance | None = None) -> Floats:
        """d_i = 1 - var_i/prior of each atom [n], between 0 (nothing is known) and 1."""
        from scipy.linalg import solve_triangular

        known = np.zeros(atoms.n_atoms)
        for element, rows, phi in self._blocks(atoms, advance):
            whole = np.zeros((self._starts[-1], len(phi)))
            whole[self._part(element)] = phi.T
            left = solve_triangular(self._precision[0], whole, lower=True, check_finite=False)
            known[rows] = (phi**2).sum(axis=1) - (left**2).sum(axis=0)
        return np.clip(known, 0.0, 1.0)

    def energy_determinability(self, structures: Placed) -> Floats:
        """1 - var/prior of the energy per atom of each structure [s]."""
        rows, own = self._sums(structures)
        prior = (rows**2).sum(axis=1)
        return np.asarray(np.clip((prior - (rows * self._solve(rows)).sum(axis=1)) / (prior + own), 0.0, 1.0))

    def ranked(self, candidates: Placed, pool: Placed) -> list[tuple[int, float]]:
        """Candidates in the order in which to add them, each with the part of the pool's unknown variance it removes.

        Learning the energy of structure c lowers var_i by cov(i, c)^2/(var_c + noise), whatever the energy is, so the
        best is found before any is calculated, then the best of the others once that one is known, and so on (A.
        Krause, A. Singh and C. Guestrin, J. Mach. Learn. Res. 9, 235 (2008)). Those after the first PICKED stand in
        the order of what each would add to these. The variance is the mean over the structures of the pool of the mean
        over their atoms: a large cell counts as much as a small one.

        Returns
        -------
        list
            Number of the candidate and its gain after those before it, between 0 and 1.
        """
        rows, own = self._sums(candidates)
        moments, unknown = self._moments(pool)
        change = self._solve(rows)  # of the coordinates of the energies, by a candidate's
        seen = change @ moments
        variance = (change * rows).sum(axis=1) + NOISE + own
        left, order = np.ones(len(rows), dtype=bool), []
        for _ in range(min(PICKED, len(rows))):
            gains = np.where(left, (change * seen).sum(axis=1) / variance, -1.0)
            best = int(np.argmax(gains))
            order.append((best, float(gains[best] / unknown)))
            left[best] = False
            part = rows @ change[best] / variance[best]
            variance = variance - part * (change[best] @ rows.T)
            change, seen = change - np.outer(part, change[best]), seen - np.outer(part, seen[best])
        rest = (change * seen).sum(axis=1) / variance / unknown
        return order + sorted(((int(k), float(rest[k])) for k in np.flatnonzero(left)), key=lambda pair: -pair[1])

    def _moments(self, pool: Placed) -> tuple[Floats, float]:
        """Sums of phi phi^T and of the unknown variance over the atoms of a pool, each structure weighing the same."""
        total = np.zeros((self._starts[-1], self._starts[-1]))
        weights = 1 / np.bincount(pool.structure, minlength=pool.n_structures)[pool.structure]
        for element, atoms, phi in self._blocks(pool):
            part = self._part(element)
            total[part, part] += phi.T @ (weights[atoms, None] * phi)
        return total, max(float(weights @ (1 - self.determinability(pool))), NOISE)

    def _solve(self, rows: Floats) -> Floats:
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve(self._precision, rows.T).T)

    def _part(self, element: int) -> slice:
        return slice(int(self._starts[element]), int(self._starts[element + 1]))

    def _sums(self, structures: Placed, advance: Advance | None = None) -> tuple[Floats, Floats]:
        """Mean of phi over the atoms of each structure, and the variance of the mean of what phi leaves."""
        sizes = np.bincount(structures.structure, minlength=structures.n_structures)
        rows, own = np.zeros((len(sizes), self._starts[-1])), np.zeros(len(sizes))
        for element, atoms, phi in self._blocks(structures, advance):
            owner = structures.structure[atoms]
            np.add.at(rows[:, self._part(element)], owner, phi / sizes[owner, None])
            np.add.at(own, owner, np.clip(1 - (phi**2).sum(axis=1), 0, None) / sizes[owner] ** 2)
        return rows, own

    def _blocks(self, atoms: Placed, advance: Advance | None = None) -> Iterator[tuple[int, Integers, Floats]]:
        """Element, numbers of the atoms and phi [m, size], a block of atoms at a time."""
        for element, (rows, points) in enumerate(zip(atoms.rows, atoms.points, strict=True)):
            for first in range(0, len(rows), BLOCK):
                chosen = slice(first, first + BLOCK)
                yield element, rows[chosen], self._bases[element].coordinates(points[chosen])
                if advance:
                    advance(len(rows[chosen]))


class _Basis:
    """Coordinates phi in which the kernel is phi . phi, by a pivoted Cholesky factor between representatives."""

    def __init__(self, points: Floats, length: float) -> None:
        from scipy.linalg.lapack import dpstrf

        self.length = length
        if not len(points):
            self.points, self.factor, self.size = points, np.zeros((0, 0)), 0
            return
        factor, pivots, self.size, _ = dpstrf(_kernel(points, points, length), lower=1, tol=FAITHFUL)
        self.factor = np.tril(factor[: self.size, : self.size])
        self.points = points[pivots[: self.size] - 1]

    def coordinates(self, points: Floats) -> Floats:
        from scipy.linalg import solve_triangular

        if not self.size:
            return np.zeros((len(points), 0))
        kernel = _kernel(self.points, points, self.length)
        return np.asarray(solve_triangular(self.factor, kernel, lower=True, check_finite=False).T)


def farthest_points(points: Floats, at_most: int = REPRESENTATIVES) -> Floats:
    """Representatives: each the point farthest from those before (T. Gonzalez, Theor. Comput. Sci. 38, 293 (1985)).

    The first is nearest to the mean. Rare environments come early, copies never.
    """
    if not len(points):
        return points
    chosen = [int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < min(at_most, len(points)):
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        farthest = int(nearest.argmax())
        if not nearest[farthest] > 0:
            break
        chosen.append(farthest)
    return points[chosen]


def gaussian_determinability(points: Floats, structure: Integers, targets: Floats, length: float) -> Floats:
    """d_i = 1 - var_i/prior of the atomic energy at each target, given the energies per atom of all structures.

    Parameters
    ----------
    points
        Coordinates in G space of the training atoms [n, d], of one element.
    structure
        [n], index of the structure of each; each index from 0 has atoms.
    targets
        Coordinates [m, d].
    length
        Length scale of the squared-exponential kernel, a distance in G space.

    Returns
    -------
    Floats
        [m], between 0 (nothing is known) and 1.
    """
    everything = np.concatenate([points, targets])
    process = SumProcess(Placed.of_one(points, structure), [farthest_points(everything)], length)
    return process.determinability(Placed.of_one(targets, np.zeros(len(targets), dtype=np.int64)))


def _kernel(a: Floats, b: Floats, length: float) -> Floats:
    from scipy.spatial.distance import cdist

    return np.asarray(np.exp(cdist(a, b, "sqeuclidean") / (-2 * length**2)))
