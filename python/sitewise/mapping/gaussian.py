"""Determinability of each atom by a Gaussian process whose data are sums over structures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .._core import Error
from ..progress import Advance
from ..structures import Floats
from .gspace import Integers, Placed

NOISE = 1e-6  # variance of an energy per atom, in units of the prior's variance
BLOCK = 4_000  # atoms of a block
REPRESENTATIVES = 800  # atoms of an element at most
PICKED = 50  # candidates whose order accounts for those before
NEARLY = 1.5  # times the error bar that the best candidate leaves, a cheaper one may leave
ALIKE = 2.0  # factor between costs that count as equal
FAITHFUL = 1e-12  # smaller pivots of the kernel are rounding errors


def cheapest(now: float, left: Floats, costs: Floats) -> int:
    """Return the candidate to pick: the best one, or the cheapest of those that are nearly as good.

    These leave at most NEARLY times the error bar that the best one leaves, and gain at least half as much. The best of
    those that cost at most ALIKE times as much as the cheapest one is picked.

    Parameters
    ----------
    now
        Logarithm of the error bar.
    left
        The same with each candidate [c].
    costs
        Of calculating each [c].
    """
    best = left.min()
    near = np.flatnonzero(left <= min(best + np.log(NEARLY), max((now + best) / 2, best)))
    cheap = near[costs[near] <= ALIKE * costs[near].min()]
    return int(cheap[np.argmin(left[cheap])])


class Gain(NamedTuple):
    """Index of a candidate and the part of the unknown variance that it removes, between 0 and 1."""

    candidate: int
    gain: float


class SumProcess:
    """Gaussian process of the atomic energies, with the total energies per atom as its data.

    The prior of each element has variance 1 and the kernel exp(-d^2/(2 length^2)), d being the distance in G space.
    Elements are independent. The kernel's columns at some representative atoms span the prior: an atom has coordinates
    phi = L^-1 k, where L L^T is the kernel between the representatives (the Nystroem approximation; exact where all
    atoms are representatives). The part of an atom's variance outside of phi is the atom's own. It is noise in the
    sums, and remains unknown (M. Titsias, AISTATS 2009, and the FITC of E. Snelson and Z. Ghahramani, NIPS 2005, for
    sums).

    Parameters
    ----------
    training
        Atoms of the structures with energies.
    representatives
        Coordinates of some atoms for each element, see `farthest_points`.
    length
        Length scale of the kernel, a distance in G space.
    advance
        Called for each block of atoms that is done, with their number.

    Raises
    ------
    Error
        For a length scale that is not positive.
    """

    def __init__(
        self, training: Placed, representatives: Sequence[Floats], length: float, advance: Advance | None = None
    ) -> None:
        from scipy.linalg import cho_factor

        self._span = Span(representatives, length)
        rows, own = self._span.means(training, advance)
        weighted = rows / (NOISE + own)[:, None]
        self._precision = cho_factor(np.eye(self._span.size) + rows.T @ weighted, lower=True)

    def determinability(self, atoms: Placed, advance: Advance | None = None) -> Floats:
        """Return d_i = 1 - var_i/prior of each atom [n], between 0 (nothing is known) and 1."""
        from scipy.linalg import solve_triangular

        known = np.zeros(atoms.n_atoms)
        for element, rows, phi in self._span.blocks(atoms, advance):
            whole = np.zeros((self._span.size, len(phi)))
            whole[self._span.part(element)] = phi.T
            left = solve_triangular(self._precision[0], whole, lower=True, check_finite=False)
            known[rows] = np.einsum("ij,ij->i", phi, phi) - np.einsum("ij,ij->j", left, left)
        return np.clip(known, 0.0, 1.0)

    def energy_determinability(self, structures: Placed) -> Floats:
        """Return 1 - var/prior of the energy per atom of each structure [s]."""
        rows, own = self._span.means(structures)
        prior = (rows**2).sum(axis=1)
        return np.asarray(np.clip((prior - (rows * self._solve(rows)).sum(axis=1)) / (prior + own), 0.0, 1.0))

    def ranked(
        self, candidates: Placed, pool: Placed, costs: Floats | None = None, at_most: int | None = None
    ) -> list[Gain]:
        """Return candidates in the order in which to add them, each with its gain after those before it.

        The gain is the part of the pool's unknown variance that the candidate removes. The energy of structure c lowers
        var_i by cov(i, c)^2/(var_c + noise), whatever the energy is. The best candidate is therefore found before any
        is calculated, then the best of the others once that one is known, and so on (A. Krause, A. Singh and C.
        Guestrin, J. Mach. Learn. Res. 9, 235 (2008)). With costs, a cheaper candidate that is nearly as good comes
        before it, see `cheapest`. Candidates after the first `at_most` (PICKED if not given) are in the order of what
        each would add to these. The variance is the mean over the structures of the pool of the mean over their
        atoms: a large cell counts as much as a small one.
        """
        rows, own = self._span.means(candidates)
        moments, unknown = self._moments(pool)
        change = self._solve(rows)  # of the energies' coordinates, by the energy of each candidate
        seen = change @ moments
        variance = (change * rows).sum(axis=1) + NOISE + own
        costs = np.ones(len(rows)) if costs is None else costs
        left, remaining = np.ones(len(rows), dtype=bool), unknown
        order: list[Gain] = []
        for _ in range(min(PICKED if at_most is None else at_most, len(rows))):
            gains = (change * seen).sum(axis=1) / variance
            after = np.maximum(remaining - gains, NOISE * unknown)
            best = cheapest(np.log(remaining) / 2, np.where(left, np.log(after) / 2, np.inf), costs)
            order.append(Gain(best, float(gains[best] / unknown)))
            left[best], remaining = False, float(after[best])
            part = rows @ change[best] / variance[best]
            variance = variance - part * (change[best] @ rows.T)
            change, seen = change - np.outer(part, change[best]), seen - np.outer(part, seen[best])
        rest = (change * seen).sum(axis=1) / variance / unknown
        return order + sorted((Gain(int(k), float(rest[k])) for k in np.flatnonzero(left)), key=lambda one: -one.gain)

    def _moments(self, pool: Placed) -> tuple[Floats, float]:
        """Return sums of phi phi^T and of the unknown variance over the atoms of a pool; structures weigh the same."""
        total = np.zeros((self._span.size, self._span.size))
        weights = 1 / np.bincount(pool.structure, minlength=pool.n_structures)[pool.structure]
        for element, atoms, phi in self._span.blocks(pool):
            part = self._span.part(element)
            total[part, part] += phi.T @ (weights[atoms, None] * phi)
        return total, max(float(weights @ (1 - self.determinability(pool))), NOISE)

    def _solve(self, rows: Floats) -> Floats:
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve(self._precision, rows.T).T)


class Span:
    """Coordinates phi of the atoms of all elements, in which the kernel of a Gaussian process is phi . phi.

    Parameters
    ----------
    representatives
        Coordinates in G space of some atoms for each element, see `farthest_points`.
    length
        Length scale of the squared-exponential kernel, a distance in G space.

    Attributes
    ----------
    size
        Number of coordinates of all elements together; those of other elements than an atom's are 0.

    Raises
    ------
    Error
        For a length scale that is not positive.
    """

    def __init__(self, representatives: Sequence[Floats], length: float) -> None:
        if not length > 0:
            raise Error(f"the length scale must be positive, found {length}")
        self._bases = [_Basis(points, length) for points in representatives]
        self._starts = np.concatenate([[0], np.cumsum([basis.size for basis in self._bases])]).astype(int)
        self.size = int(self._starts[-1])

    def part(self, element: int) -> slice:
        """Return which coordinates are those of an element."""
        return slice(int(self._starts[element]), int(self._starts[element + 1]))

    def means(self, structures: Placed, advance: Advance | None = None) -> tuple[Floats, Floats]:
        """Return the mean of phi over the atoms of each structure, and the variance of the mean of what phi leaves."""
        from scipy.sparse import csr_matrix

        sizes = np.bincount(structures.structure, minlength=structures.n_structures)
        rows, own = np.zeros((len(sizes), self.size)), np.zeros(len(sizes))
        for element, atoms, phi in self.blocks(structures, advance):
            owner = structures.structure[atoms]
            here, place = np.unique(owner, return_inverse=True)
            weights = csr_matrix((1 / sizes[owner], (place, np.arange(len(phi)))))
            rows[here, self.part(element)] += weights @ phi
            left = np.clip(1 - np.einsum("ij,ij->i", phi, phi), 0, None) / sizes[owner] ** 2
            own += np.bincount(owner, left, len(sizes))
        return rows, own

    def changes(self, element: int, points: Sequence[Floats], along: Sequence[Floats]) -> Floats:
        """Return the changes [sum of k, size] of the sum of phi over each set of atoms of an element, as their points
        [n, d] change by each of `along` [k, n, d]."""
        rows = np.zeros((sum(map(len, along)), self.size))
        rows[:, self.part(element)] = self._bases[element].changes(points, along)
        return rows

    def blocks(self, atoms: Placed, advance: Advance | None = None) -> Iterator[tuple[int, Integers, Floats]]:
        """Yield element, indices of the atoms and their own coordinates [m, size of the part] of blocks of atoms."""
        for element, (rows, points) in enumerate(zip(atoms.rows, atoms.points, strict=True)):
            for first in range(0, len(rows), BLOCK):
                chosen = slice(first, first + BLOCK)
                yield element, rows[chosen], self._bases[element].coordinates(points[chosen])
                if advance:
                    advance(len(rows[chosen]))


class _Basis:
    """Coordinates phi in which the kernel is phi . phi, by a pivoted Cholesky factor of the representatives' kernel."""

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

    def changes(self, points: Sequence[Floats], along: Sequence[Floats]) -> Floats:
        """Return the changes [sum of k, size] of the sum of the coordinates of each set of points [n, d] along each of
        `along` [k, n, d]: L^-1 sum_i k(z, x_i) (z - x_i) . dx_i / length^2."""
        from scipy.linalg import solve_triangular

        inner = [np.zeros((0, self.size)), *map(self._towards, points, along)]
        if not self.size:
            return np.concatenate(inner)
        return np.asarray(solve_triangular(self.factor, np.concatenate(inner).T, lower=True, check_finite=False).T)

    def _towards(self, points: Floats, along: Floats) -> Floats:
        if not self.size:
            return np.zeros((len(along), 0))
        kernel = _kernel(self.points, points, self.length)
        towards = np.einsum("mkd,md->km", np.tensordot(kernel, along, axes=(1, 1)), self.points)
        return np.asarray((towards - np.einsum("nd,knd->kn", points, along) @ kernel.T) / self.length**2)


def farthest_points(points: Floats, at_most: int = REPRESENTATIVES) -> Floats:
    """Return representatives, each the point farthest from those before; see `farthest`."""
    return points[farthest(points, at_most)]


def farthest(points: Floats, at_most: int) -> list[int]:
    """Return the places of representatives, each the point farthest from those before.

    The first is the nearest to the mean. Rare environments come early, and copies never (T. Gonzalez, Theor. Comput.
    Sci. 38, 293 (1985)).
    """
    if not len(points):
        return []
    chosen = [int(_squares(points, points.mean(axis=0)).argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < min(at_most, len(points)):
        nearest = np.minimum(nearest, _squares(points, points[chosen[-1]]))
        last = int(nearest.argmax())
        if not nearest[last] > 0:
            break
        chosen.append(last)
    return chosen


def _squares(points: Floats, point: Floats) -> Floats:
    """Return the square of the distance of each of some points [n, d], block by block: these stay in the cache."""
    found = np.empty(len(points))
    for first in range(0, len(points), BLOCK):
        away = points[first : first + BLOCK] - point
        np.einsum("ij,ij->i", away, away, out=found[first : first + BLOCK])
    return found


def gaussian_determinability(points: Floats, structure: Integers, targets: Floats, length: float) -> Floats:
    """Return d_i = 1 - var_i/prior of the atomic energy at each target [m], between 0 (nothing is known) and 1.

    The energies per atom of all structures are given.

    Parameters
    ----------
    points
        Coordinates in G space of the training atoms [n, d], of one element.
    structure
        Index of the structure of each atom [n]; each index from 0 has atoms.
    targets
        Coordinates of the targets [m, d].
    length
        Length scale of the squared-exponential kernel, a distance in G space.

    Raises
    ------
    Error
        For a length scale that is not positive.
    """
    everything = np.concatenate([points, targets])
    process = SumProcess(Placed.of_one(points, structure), [farthest_points(everything)], length)
    return process.determinability(Placed.of_one(targets, np.zeros(len(targets), dtype=np.int64)))


def _kernel(a: Floats, b: Floats, length: float) -> Floats:
    from scipy.spatial.distance import cdist

    kernel = cdist(a, b, "sqeuclidean")
    kernel /= -2 * length**2
    return np.asarray(np.exp(kernel, out=kernel))
