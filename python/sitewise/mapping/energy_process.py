"""Gaussian process of atomic energies in eV, from total energies and forces, with scales by marginal likelihood."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..progress import Advance
from ..structures import Floats, Structure, core_arrays
from .counts import compositions
from .gaussian import Span, farthest_points
from .gspace import Embedding, Integers, Placed

# Chosen on made-up systems by the errors of networks, see "Error bars" in docs/development/tried.md.
LENGTHS = (0.6, 1.2, 2.4)  # of the smooth part, distances in G space
MIDDLE = LENGTHS[1]
WITHIN = 0.5  # factor of the standard deviation of each length, beside the deviation between lengths
ROUGHER = 4.0  # length of the smooth part in units of that of the rough part
REPRESENTATIVES = 300  # atoms of an element at most, for each part
ELEMENT = 1.0  # eV, standard deviation of an element's energy about the least squares fit
LIKELY = np.log([1.0, 0.03, 0.001, 0.05])  # medians of `Scales` before any data
UNCERTAIN = np.array([0.5, 1.5, 1.5, 1.5])  # standard deviations of their logarithms
BOUNDS = np.log([(1e-3, 100.0), (1e-5, 10.0), (1e-5, 1.0), (1e-4, 10.0)])
ENERGY_NOISE, SLOPE_NOISE = 0.001, 0.1  # eV/atom, eV/Angstrom: networks follow no data more closely
STRUCTURES, FITTED = 800, 60  # at most: those that are measured, and of these the ones that scales are fitted to
SLOPES, DIRECTIONS = 1_000, 12  # of all structures, and of one, at most
ATOMS, BLOCK = 4_000, 2_000  # most atoms whose energies are taken as known; structures in memory at once
EVALUATIONS = 60  # of the likelihood at a length, at most
MORE = 10.0  # times as many data, of the same kinds


class Scales(NamedTuple):
    """What the likelihood chooses at a length.

    Attributes
    ----------
    smooth, rough
        Standard deviation of each part of an atomic energy, eV.
    energy_noise
        Standard deviation of what atomic energies do not explain of a total energy, eV/atom.
    slope_noise
        The same of the derivative of a total energy along a unit vector, eV/Angstrom.
    """

    smooth: float
    rough: float
    energy_noise: float
    slope_noise: float

    def of_networks(self) -> Scales:
        """Return the scales with the noise that a network leaves at least."""
        noise = np.hypot(self[2:], (ENERGY_NOISE, SLOPE_NOISE)).tolist()
        return Scales(self.smooth, self.rough, *noise)


class Rows(NamedTuple):
    """Energies per atom, or slopes, as linear functions of the coordinates of atomic energies.

    Attributes
    ----------
    smooth, rough
        Means or sums of the coordinates of each part [k, size].
    own
        Variances of what the coordinates leave of each part [k, 2], in units of the part's.
    composition
        Fraction of each element [k, e].
    """

    smooth: Floats
    rough: Floats
    own: Floats
    composition: Floats

    def of(self, chosen: Integers) -> Rows:
        """Return some of the rows."""
        return Rows(*(part[chosen] for part in self))

    def columns(self, scales: Scales) -> Floats:
        """Return the rows in eV: their prior covariance is the product of these with their transpose."""
        return np.hstack([scales.smooth * self.smooth, scales.rough * self.rough, ELEMENT * self.composition])

    def own_variance(self, scales: Scales) -> Floats:
        """Return the variance that the columns leave of each row [k], eV^2."""
        return np.asarray(self.own @ np.square(scales[:2]))


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
    """Coordinates of both parts of the atomic energies.

    An atomic energy is the sum of a smooth part, of a rough part with a shorter length, and of the element's energy.
    The rough part is what the smooth part and the symmetry functions miss: it is the same in equal environments, and
    averages out in disorder. Forces inform about the smooth part alone; those of the rough part are in their noise.

    Parameters
    ----------
    representatives
        Coordinates in G space of some atoms for each element, see `farthest_points`.
    length
        Length scale of the smooth part, a distance in G space.
    """

    def __init__(self, representatives: Sequence[Floats], length: float) -> None:
        self._smooth, self._rough = Span(representatives, length), Span(representatives, length / ROUGHER)

    def of_energies(self, placed: Placed) -> Rows:
        """Return the rows of the energy per atom of each structure."""
        (smooth, own), (rough, rest) = self._smooth.means(placed), self._rough.means(placed)
        return Rows(smooth, rough, np.stack([own, rest], axis=1), _fractions(placed))

    def of_measurements(self, placed: Placed, slopes: Sequence[Slopes]) -> Rows:
        """Return the rows of the energy per atom of each structure, then those of slopes."""
        energies = self.of_energies(placed)
        smooth = np.concatenate([energies.smooth, self._of_slopes(slopes)])
        lacking = (0, len(smooth) - len(energies.smooth))
        return Rows(smooth, *(np.pad(part, (lacking, (0, 0))) for part in energies[1:]))

    def _of_slopes(self, slopes: Sequence[Slopes]) -> Floats:
        first = np.concatenate([[0], np.cumsum([len(each.values) for each in slopes])]).astype(int)
        rows = np.zeros((first[-1], self._smooth.size))
        for element in sorted({element for each in slopes for element in each.changes}):
            mine = [k for k, each in enumerate(slopes) if element in each.changes]
            points, changes = ([getattr(slopes[k], name)[element] for k in mine] for name in ("points", "changes"))
            places = np.concatenate([np.arange(first[k], first[k + 1]) for k in mine])
            rows[places] += self._smooth.changes(element, points, changes)
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

    def noise(self, scales: Scales) -> Floats:
        """Return the variance of each value [k] that atomic energies do not explain."""
        energies = np.arange(len(self.values)) < self.placed.n_structures
        return np.where(energies, scales.energy_noise, scales.slope_noise) ** 2


class BayesianRegression:
    """What measurements say of linear functions of coordinates whose prior is of mean 0 and variance 1."""

    def __init__(self, columns: Floats, noise: Floats, values: Floats) -> None:
        from scipy.linalg import cho_solve, cholesky

        weighted = columns / noise[:, None]
        self._factor = cholesky(np.eye(columns.shape[1]) + columns.T @ weighted, lower=True)
        self._mean = cho_solve((self._factor, True), weighted.T @ values)

    def means(self, columns: Floats) -> Floats:
        """Return the expectation of each row [k]."""
        return np.asarray(columns @ self._mean)

    def variances(self, columns: Floats) -> Floats:
        """Return the variance of each row [k]."""
        return np.asarray((self.roots(columns) ** 2).sum(axis=1))

    def roots(self, columns: Floats) -> Floats:
        """Return R [k, n], where R R^T is the covariance of the rows."""
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self._factor, columns.T, lower=True).T)


class Model:
    """Gaussian process of atomic energies with one length, whose other scales are fitted.

    Attributes
    ----------
    scales
        The scales with the highest posterior density.
    """

    def __init__(self, measured: Measurements, representatives: Sequence[Floats], length: float) -> None:
        self._measured, self._parts = measured, Parts(representatives, length)
        self._rows = self._parts.of_measurements(measured.placed, measured.slopes)
        self.scales = fitted(measured, self._rows)
        self._assumed = self.scales.of_networks()
        self._posteriors: dict[float, BayesianRegression] = {}

    def posterior(self, times: float = 1.0) -> BayesianRegression:
        """Return the posterior if there were so many times as many data, of the same kinds; it is computed once."""
        if times not in self._posteriors:
            columns, noise = self._rows.columns(self._assumed), self._noise() / times
            self._posteriors[times] = BayesianRegression(columns, noise, self._measured.values)
        return self._posteriors[times]

    def posterior_of_atoms(self) -> BayesianRegression:
        """Return the posterior if the energies of the data's atoms were known: of ATOMS atoms, equally spaced."""
        atoms = self._measured.placed.single()
        spacing = -(-atoms.n_atoms // ATOMS)
        rows = self._parts.of_energies(atoms.of(np.arange(0, atoms.n_atoms, spacing)))
        noise = ENERGY_NOISE**2 + rows.own_variance(self._assumed)
        return BayesianRegression(rows.columns(self._assumed), noise, np.zeros(len(noise)))

    def judge(self, structures: Placed, *posteriors: BayesianRegression) -> Floats:
        """Return expectation and variance of the energy per atom of each structure by each posterior
        [posteriors, 2, s]."""
        return np.concatenate([self._judge(block, posteriors) for block in structures.blocks(BLOCK)], axis=2)

    def _judge(self, structures: Placed, posteriors: Sequence[BayesianRegression]) -> Floats:
        columns, own = self.energies(structures)
        return np.array([[each.means(columns), each.variances(columns) + own] for each in posteriors])

    def energies(self, structures: Placed) -> tuple[Floats, Floats]:
        """Return the energies per atom of structures as rows in eV [s, size], and the variance that is left [s]."""
        rows = self._parts.of_energies(structures)
        return rows.columns(self._assumed), rows.own_variance(self._assumed)

    def measurable(self, structures: Placed, slopes: Sequence[Slopes]) -> tuple[Floats, Floats]:
        """Return measurements of energies per atom, then of slopes, as rows [k, size], and their noise's variance."""
        rows = self._parts.of_measurements(structures, slopes)
        energies = np.arange(len(rows.own)) < structures.n_structures
        noise = np.where(energies, self._assumed.energy_noise, self._assumed.slope_noise) ** 2
        return rows.columns(self._assumed), noise + rows.own_variance(self._assumed)

    def roots(self, structures: Placed) -> Floats:
        """Return R [s, n]: R R^T is the covariance of the energies per atom, without what the coordinates leave."""
        return self.posterior().roots(self.energies(structures)[0])

    def left_out(self) -> Floats:
        """Return the error of each structure's energy [s] in units of its deviation, its energy and forces left out.

        In closed form, with K the covariance of the measurements (C. Rasmussen and C. Williams, Gaussian Processes for
        Machine Learning, eq. 5.12, for blocks).
        """
        columns, measured, noise = self._rows.columns(self._assumed), self._measured, self._noise()
        posterior = self.posterior()
        # K^-1 = N^-1 - N^-1 R R^T N^-1, with the noise's variances N and the posterior covariance R R^T of the columns
        weighted = (measured.values - posterior.means(columns)) / noise
        roots = posterior.roots(columns) / noise[:, None]
        errors = []
        for s in range(measured.placed.n_structures):
            mine = np.flatnonzero(measured.structure == s)
            block = np.linalg.inv(np.diag(1 / noise[mine]) - roots[mine] @ roots[mine].T)
            errors.append(block[0] @ weighted[mine] / np.sqrt(block[0, 0]))
        return np.array(errors)

    def _noise(self) -> Floats:
        return self._measured.noise(self._assumed) + self._rows.own_variance(self._assumed)


class EnergyProcess:
    """Atomic energies as far as energies and forces determine them for a network.

    It is a mixture of a Gaussian process for each of LENGTHS. Its variance is the mean of theirs, times WITHIN^2, and
    the variance of their expectations: what the data determine does not depend on the length.

    Parameters
    ----------
    measured
        The data.
    spanning
        Sets of atoms among which representatives are chosen.
    advance
        Called for each length that is done.

    Attributes
    ----------
    models
        The processes.
    calibration
        Factor of all standard deviations: RMS of the errors of energies whose structure is left out, in units of their
        standard deviation, if that is above 1.
    with_forces
        Whether data have forces.
    """

    def __init__(self, measured: Measurements, spanning: Sequence[Placed], advance: Advance) -> None:
        points = zip(*(placed.points for placed in spanning), strict=True)
        representatives = [farthest_points(np.concatenate(own), REPRESENTATIVES) for own in points]
        self.models, errors = [], []
        for length in LENGTHS:
            self.models.append(Model(measured, representatives, length))
            errors.append(self.models[-1].left_out())
            advance()
        self.calibration = max(1.0, float(np.sqrt(np.mean(np.square(errors)))))
        self.with_forces = bool(measured.slopes)

    def deviations(self, structures: Placed) -> Floats:
        """Return the standard deviation of the energy per atom of each structure [s], eV."""
        return self._mixed([model.judge(structures, model.posterior())[0] for model in self.models])

    def possible_deviations(self, structures: Placed) -> tuple[Floats, Floats, Floats]:
        """Return the deviations [s]; those if the data were MORE times as many, of the same kinds; and those if the
        energy of each atom of the data were known."""
        judged = [
            model.judge(structures, model.posterior(), model.posterior(MORE), model.posterior_of_atoms())
            for model in self.models
        ]
        now, more, known = (self._mixed(each) for each in zip(*judged, strict=True))
        return now, more, known

    def _mixed(self, judged: Sequence[Floats]) -> Floats:
        means, variances = np.moveaxis(np.array(judged), 1, 0)
        mixed = WITHIN**2 * variances.mean(axis=0) + means.var(axis=0)
        return np.asarray(self.calibration * np.sqrt(mixed))


def fitted(measured: Measurements, rows: Rows) -> Scales:
    """Return the scales with the highest posterior density: marginal likelihood of the first FITTED structures, times
    log-normal priors."""
    from scipy.optimize import minimize

    chosen = np.flatnonzero(measured.structure < FITTED)
    values, own = measured.values[chosen], rows.own[chosen]
    energies = chosen < measured.placed.n_structures
    one = rows.of(chosen)
    diagonals = [*own.T, energies * 1.0, ~energies * 1.0]
    products = [part @ part.T + np.diag(mine) for part, mine in zip(one[:2], diagonals, strict=False)]
    fixed = ELEMENT**2 * one.composition @ one.composition.T

    def loss(logs: Floats) -> tuple[float, Floats]:
        return _evidence(logs, values, products, diagonals[2:], fixed)

    found = minimize(loss, LIKELY, jac=True, method="L-BFGS-B", bounds=BOUNDS, options={"maxfun": EVALUATIONS})
    return Scales(*np.exp(found.x).tolist())


def _evidence(
    logs: Floats, values: Floats, products: Sequence[Floats], noises: Sequence[Floats], fixed: Floats
) -> tuple[float, Floats]:
    """Return minus the logarithm of likelihood and prior, and its gradient in the logarithms of the scales."""
    from scipy.linalg import cho_factor, cho_solve

    squares = np.exp(2 * logs)
    covariance = fixed + squares[0] * products[0] + squares[1] * products[1]
    covariance[np.diag_indices_from(covariance)] += squares[2] * noises[0] + squares[3] * noises[1]
    factor = cho_factor(covariance, lower=True)
    weighted = cho_solve(factor, values)
    away = (logs - LIKELY) / UNCERTAIN
    loss = 0.5 * (values @ weighted + away @ away) + np.log(np.diag(factor[0])).sum()
    slope = cho_solve(factor, np.eye(len(values))) - np.outer(weighted, weighted)
    traces = [(slope * product).sum() for product in products] + [np.diag(slope) @ noise for noise in noises]
    return float(loss), squares * traces + away / UNCERTAIN


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
