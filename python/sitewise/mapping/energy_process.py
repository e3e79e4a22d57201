"""Gaussian process of atomic energies in eV, from total energies and forces, with scales by marginal likelihood."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..structures import Floats, Structure, core_arrays
from .counts import compositions
from .gaussian import Span, farthest_points
from .gspace import Embedding, Integers, Placed

# Chosen on made-up systems by the errors of networks, see "Error bars" in docs/development/tried.md.
REPRESENTATIVES = 300  # atoms of an element at most, for each part
ELEMENT = 1.0  # eV, standard deviation of an element's energy about the least squares fit
LIKELY = (0.001, 0.05)  # medians of the noise of energies and slopes before any data, see `Scales`
UNCERTAIN = 1.5  # standard deviation of the logarithms of all scales
BOUNDS = ((1e-5, 300.0), (1e-5, 1.0), (1e-4, 10.0))  # of a part, and of the noise of energies and slopes
ENERGY_NOISE, SLOPE_NOISE = 0.001, 0.1  # eV/atom, eV/Angstrom: networks follow no data more closely
STRUCTURES, FITTED = 800, 60  # at most: those that are measured, and of these the ones that scales are fitted to
SLOPES, DIRECTIONS = 1_000, 12  # of all structures, and of one, at most
ATOMS, BLOCK = 4_000, 2_000  # most atoms whose energies are taken as known; structures in memory at once
EVALUATIONS = 80  # of the likelihood, at most
MORE = 10.0  # times as many data, of the same kinds


class Part(NamedTuple):
    """Length of a part of the atomic energies, a distance in G space, and median of its standard deviation, eV."""

    length: float
    likely: float


PARTS = (Part(2.4, 8.0), Part(9.6, 32.0), Part(0.6, 0.03))  # the smooth ones, then the rough one


class Scales(NamedTuple):
    """What the likelihood chooses.

    Attributes
    ----------
    parts
        Standard deviation of each part of an atomic energy, eV.
    energy_noise
        Standard deviation of what atomic energies do not explain of a total energy, eV/atom.
    slope_noise
        The same of the derivative of a total energy along a unit vector, eV/Angstrom.
    """

    parts: Floats
    energy_noise: float
    slope_noise: float

    def of_networks(self) -> Scales:
        """Return the scales with the noise that a network leaves at least."""
        noise = np.hypot(self[1:], (ENERGY_NOISE, SLOPE_NOISE)).tolist()
        return Scales(self.parts, *noise)


class Rows(NamedTuple):
    """Energies per atom, or slopes, as linear functions of the coordinates of atomic energies.

    Attributes
    ----------
    parts
        Means or sums of the coordinates of each part [k, size].
    own
        Variances of what the coordinates leave of each part [k, parts], in units of the part's.
    composition
        Fraction of each element [k, e].
    """

    parts: list[Floats]
    own: Floats
    composition: Floats

    def of(self, chosen: Integers) -> Rows:
        """Return some of the rows."""
        return Rows([part[chosen] for part in self.parts], self.own[chosen], self.composition[chosen])

    def columns(self, scales: Scales) -> Floats:
        """Return the rows in eV: their prior covariance is the product of these with their transpose."""
        scaled = [scale * part for scale, part in zip(scales.parts, self.parts, strict=True)]
        return np.hstack([*scaled, ELEMENT * self.composition])

    def own_variance(self, scales: Scales) -> Floats:
        """Return the variance that the columns leave of each row [k], eV^2."""
        return np.asarray(self.own @ np.square(scales.parts))


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Derivatives of a structure's energy along some directions.

    Attributes
    ----------
    values
        eV/Angstrom [k].
    points, changes
        For each element of the structure the coordinates of its atoms in G space [n_e, d], and their derivatives
        [k, n_e, d], 1/Angstrom.
    """

    values: Floats
    points: dict[int, Floats]
    changes: dict[int, Floats]


class Parts:
    """Coordinates of the parts of the atomic energies.

    An atomic energy is the sum of the element's energy, smooth parts and a rough part. The smooth part of the longest
    length has the slopes that continue outside of the data. The smooth parts are 0 at the first representative,
    which is in the middle of the others, so that only the element's energy shifts all atoms alike. The rough part is
    what these and the symmetry functions miss: it is the same in equal environments, and averages out in disorder.
    Forces inform about the smooth parts alone; those of the rough part are in their noise.

    Parameters
    ----------
    representatives
        Coordinates in G space of some atoms for each element, see `farthest_points`.
    lengths
        Of each part; the last is the rough one.
    """

    def __init__(self, representatives: Sequence[Floats], lengths: Sequence[float]) -> None:
        self._spans = [Span(representatives, length) for length in lengths]
        middle = Placed.apart([own[:1] for own in representatives])
        self._middle, self._elements = [span.means(middle)[0] for span in self._spans[:-1]], middle.elements

    def of_energies(self, placed: Placed) -> Rows:
        """Return the rows of the energy per atom of each structure."""
        means, own = zip(*(span.means(placed) for span in self._spans), strict=True)
        fractions = _fractions(placed)
        for part, middle in zip(means, self._middle, strict=False):
            part -= fractions[:, self._elements] @ middle
        return Rows(list(means), np.stack(own, axis=1), fractions)

    def of_measurements(self, placed: Placed, slopes: Sequence[Slopes]) -> Rows:
        """Return the rows of the energy per atom of each structure, then those of slopes."""
        energies = self.of_energies(placed)
        number = sum(len(each.values) for each in slopes)
        changes = [*(_changes(span, slopes) for span in self._spans[:-1]), np.zeros((number, self._spans[-1].size))]
        parts = [np.concatenate(both) for both in zip(energies.parts, changes, strict=True)]
        return Rows(parts, *(np.pad(part, ((0, number), (0, 0))) for part in energies[1:]))


def _changes(span: Span, slopes: Sequence[Slopes]) -> Floats:
    first = np.concatenate([[0], np.cumsum([len(each.values) for each in slopes])]).astype(int)
    rows = np.zeros((first[-1], span.size))
    for element in sorted({element for each in slopes for element in each.changes}):
        mine = [k for k, each in enumerate(slopes) if element in each.changes]
        points, changes = ([getattr(slopes[k], name)[element] for k in mine] for name in ("points", "changes"))
        places = np.concatenate([np.arange(first[k], first[k + 1]) for k in mine])
        rows[places] += span.changes(element, points, changes)
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """Energies per atom of structures, then slopes.

    Attributes
    ----------
    placed
        Atoms of the structures.
    slopes
        Those of each structure that has forces.
    values
        eV, less a least squares fit of the elements' energies, and eV/Angstrom [k].
    structure
        Index of the structure of each value [k].
    """

    placed: Placed
    slopes: list[Slopes]
    values: Floats
    structure: Integers

    @classmethod
    def of(cls, data: Embedding) -> Measurements:
        """Return measurements of STRUCTURES structures with energies at most.

        These and their order depend on their content, not on the order of the data.
        """
        known = [(_fingerprint(s), k) for k, s in enumerate(data.data) if s.energy is not None]
        measured = data.some(np.array([k for _, k in sorted(known)[:STRUCTURES]], dtype=np.int64))
        structures = measured.data
        fractions = _fractions(measured.placed)
        energies = np.array([s.energy / len(s.atoms) for s in structures if s.energy is not None])
        energies -= fractions @ np.linalg.lstsq(fractions, energies, rcond=1e-8)[0]
        most = int(np.clip(SLOPES // len(structures), 1, DIRECTIONS))
        slopes = {k: slopes_of(measured, k, most) for k, s in enumerate(structures) if s.forces is not None}
        numbers = [np.arange(len(structures)), *(np.full(len(one.values), k) for k, one in slopes.items())]
        values = np.concatenate([energies, *(one.values for one in slopes.values())])
        return cls(measured.placed, list(slopes.values()), values, np.concatenate(numbers))


class Posterior:
    """What measurements say of linear functions of coordinates whose prior is of mean 0 and variance 1."""

    def __init__(self, columns: Floats, noise: Floats) -> None:
        from scipy.linalg import cholesky

        self._factor = cholesky(np.eye(columns.shape[1]) + columns.T @ (columns / noise[:, None]), lower=True)

    def variances(self, columns: Floats) -> Floats:
        """Return the variance of each row [k]."""
        return np.asarray((self.roots(columns) ** 2).sum(axis=1))

    def roots(self, columns: Floats) -> Floats:
        """Return R [k, n], where R R^T is the covariance of the rows."""
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self._factor, columns.T, lower=True).T)


class EnergyProcess:
    """Gaussian process of atomic energies as far as energies and forces determine them for a network.

    Parameters
    ----------
    measured
        The data.
    spanning
        Sets of atoms among which representatives are chosen.
    parts
        Of the atomic energies.

    Attributes
    ----------
    scales
        The scales with the highest posterior density.
    with_forces
        Whether data have forces.
    """

    def __init__(self, measured: Measurements, spanning: Sequence[Placed], parts: Sequence[Part] = PARTS) -> None:
        points = zip(*(placed.points for placed in spanning), strict=True)
        representatives = [farthest_points(np.concatenate(own), REPRESENTATIVES) for own in points]
        self._parts = Parts(representatives, [part.length for part in parts])
        self._measured, self.with_forces = measured, bool(measured.slopes)
        self._rows = self._parts.of_measurements(measured.placed, measured.slopes)
        self.scales = fitted(measured, self._rows, [part.likely for part in parts])
        self._assumed = self.scales.of_networks()

    @cached_property
    def posterior(self) -> Posterior:
        """What the data say of the atomic energies."""
        return self._posterior(1.0)

    def _posterior(self, times: float) -> Posterior:
        """Return the posterior if there were so many times as many data, of the same kinds."""
        columns, noise = self._noisy(self._rows, self._measured.placed.n_structures)
        return Posterior(columns, noise / times)

    def _posterior_of_atoms(self) -> Posterior:
        """Return the posterior if the energies of the data's atoms were known: of ATOMS atoms, equally spaced."""
        atoms = self._measured.placed.single()
        spacing = -(-atoms.n_atoms // ATOMS)
        rows = self._parts.of_energies(atoms.of(np.arange(0, atoms.n_atoms, spacing)))
        noise = ENERGY_NOISE**2 + rows.own_variance(self._assumed)
        return Posterior(rows.columns(self._assumed), noise)

    def deviations(self, structures: Placed) -> Floats:
        """Return the standard deviation of the energy per atom of each structure [s], eV."""
        return np.asarray(self._deviations(structures, self.posterior)[0])

    def possible_deviations(self, structures: Placed) -> tuple[Floats, Floats, Floats]:
        """Return the deviations [s]; those if the data were MORE times as many, of the same kinds; and those if the
        energy of each atom of the data were known."""
        now, more, known = self._deviations(
            structures, self.posterior, self._posterior(MORE), self._posterior_of_atoms()
        )
        return now, more, known

    def _deviations(self, structures: Placed, *posteriors: Posterior) -> Floats:
        """Return the deviations by each posterior [posteriors, s]."""
        found = []
        for block in structures.blocks(BLOCK):
            columns, own = self.energies(block)
            found.append(np.sqrt([each.variances(columns) + own for each in posteriors]))
        return np.concatenate(found, axis=1)

    def energies(self, structures: Placed) -> tuple[Floats, Floats]:
        """Return the energies per atom of structures as rows in eV [s, size], and the variance that is left [s]."""
        rows = self._parts.of_energies(structures)
        return rows.columns(self._assumed), rows.own_variance(self._assumed)

    def measurable(self, structures: Placed, slopes: Sequence[Slopes]) -> tuple[Floats, Floats]:
        """Return measurements of energies per atom, then of slopes, as rows [k, size], and their noise's variance."""
        return self._noisy(self._parts.of_measurements(structures, slopes), structures.n_structures)

    def _noisy(self, rows: Rows, n_energies: int) -> tuple[Floats, Floats]:
        energies = np.arange(len(rows.own)) < n_energies
        noise = np.where(energies, self._assumed.energy_noise, self._assumed.slope_noise) ** 2
        return rows.columns(self._assumed), noise + rows.own_variance(self._assumed)

    def roots(self, structures: Placed) -> Floats:
        """Return R [s, n]: R R^T is the covariance of the energies per atom, without what the coordinates leave."""
        return self.posterior.roots(self.energies(structures)[0])


def fitted(measured: Measurements, rows: Rows, likely: Sequence[float]) -> Scales:
    """Return the scales with the highest posterior density: marginal likelihood of the first FITTED structures, times
    log-normal priors, of which the medians of the parts are given."""
    from scipy.optimize import minimize

    chosen = np.flatnonzero(measured.structure < FITTED)
    values, own = measured.values[chosen], rows.own[chosen]
    energies = chosen < measured.placed.n_structures
    one = rows.of(chosen)
    products = [part @ part.T + np.diag(mine) for part, mine in zip(one.parts, own.T, strict=True)]
    noises = np.array([energies, ~energies], dtype=np.float64)
    fixed = ELEMENT**2 * one.composition @ one.composition.T

    prior = np.log([*likely, *LIKELY])
    bounds = np.log([BOUNDS[0]] * len(likely) + [*BOUNDS[1:]])

    def loss(logs: Floats) -> tuple[float, Floats]:
        value, slope = _evidence(logs, values, products, noises, fixed)
        away = (logs - prior) / UNCERTAIN
        return value + 0.5 * float(away @ away), slope + away / UNCERTAIN

    found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxfun": EVALUATIONS})
    *parts, energy_noise, slope_noise = np.exp(found.x).tolist()
    return Scales(np.array(parts), energy_noise, slope_noise)


def _evidence(
    logs: Floats, values: Floats, products: Sequence[Floats], noises: Floats, fixed: Floats
) -> tuple[float, Floats]:
    """Return minus the logarithm of the likelihood, and its gradient in the logarithms of the scales."""
    from scipy.linalg import cho_factor, cho_solve

    squares = np.exp(2 * logs)
    covariance = fixed + sum(square * product for square, product in zip(squares, products, strict=False))
    covariance[np.diag_indices_from(covariance)] += squares[-2:] @ noises
    factor = cho_factor(covariance, lower=True)
    weighted = cho_solve(factor, values)
    loss = 0.5 * values @ weighted + np.log(np.diag(factor[0])).sum()
    slope = cho_solve(factor, np.eye(len(values))) - np.outer(weighted, weighted)
    traces = [(slope * product).sum() for product in products] + [np.diag(slope) @ noise for noise in noises]
    return float(loss), squares * traces


def _fractions(placed: Placed) -> Floats:
    """Return the fraction of each element [s, e] in each structure."""
    counts = np.zeros((placed.n_structures, len(placed.points)))
    counts[:, placed.elements] = compositions(placed)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def slopes_of(structures: Embedding, k: int, most: int) -> Slopes:
    """Return derivatives of the energy of a structure along `most` random unit vectors; NaN without forces."""
    structure, placed, functions = structures.data[k], structures.placed, structures.functions
    vectors = np.random.default_rng(_fingerprint(structure)).normal(size=(most, len(structure.atoms), 3))
    vectors /= np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    arrays = core_arrays(structure.atoms, functions.elements, "the set of symmetry functions")
    changes = np.array([functions.core.jvp(*arrays, v, np.zeros((3, 3))) for v in vectors])
    elements = np.unique(arrays[0]).tolist()
    forces = np.full((len(structure.atoms), 3), np.nan) if structure.forces is None else structure.forces
    return Slopes(
        -np.einsum("kna,na->k", vectors, forces),
        {e: placed.points[e][placed.owners(e) == k] for e in elements},
        {e: structures.space.changes(changes[:, arrays[0] == e], e) for e in elements},
    )


def _fingerprint(structure: Structure) -> int:
    """Return a number that depends on elements and positions alone."""
    return zlib.crc32(structure.atoms.positions.tobytes(), zlib.crc32(structure.atoms.numbers.tobytes()))
