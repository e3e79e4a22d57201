"""Invariant points: crystals whose atoms are all equivalent have atomic energy E/N, whatever the partition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import Error
from ..structures import Flags, Floats, Structure
from .bars import ACCURACY, TIMES_RMSE
from .lattices import symmetry_dataset

if TYPE_CHECKING:
    from ase import Atoms

    from .gspace import Integers

SYMMETRY_PRECISION = 1e-3  # Angstrom
EQUALLY_NEAR = 10 * SYMMETRY_PRECISION  # both ends of several pairs, and the cell, may be off by the precision
STALLED = 0.8  # of the error a fifth of the run ago
SPREAD, SAMPLE = 0.99, 2_000  # quantile of the distances to the nearest neighbour, and size of the sample


def is_invariant(atoms: Atoms) -> bool:
    """Return whether the structure is periodic in three directions with all atoms equivalent by symmetry."""
    if not len(atoms) or not np.all(atoms.pbc) or not abs(atoms.cell.volume) > 0 or not _equally_near(atoms):
        return False
    found = symmetry_dataset(atoms, SYMMETRY_PRECISION)
    return found is not None and len(set(found.equivalent_atoms)) == 1


def _equally_near(atoms: Atoms) -> bool:
    """Return whether all atoms are equally far from their nearest neighbours: a fast test that excludes disorder."""
    cutoff = 2 * (abs(atoms.cell.volume) / len(atoms)) ** (1 / 3)
    pairs = _core.neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    nearest = np.full(len(atoms), cutoff)
    np.minimum.at(nearest, pairs[0], np.linalg.norm(pairs[2], axis=1))
    return bool(np.ptp(nearest) <= EQUALLY_NEAR)


def invariant_energy(structure: Structure) -> float:
    """Return the atomic energy E/N of an invariant point, eV.

    Raises
    ------
    Error
        If the structure has no energy or atoms that are not equivalent.
    """
    with structure.named():
        if not is_invariant(structure.atoms):
            raise Error("is not an invariant point: a crystal whose atoms are all equivalent by symmetry is expected")
        if structure.energy is None:
            raise Error("an invariant point needs an energy, there is none")
    return structure.energy / len(structure.atoms)


def short_name(structure: Structure) -> str:
    """Return file and number of a structure, as in "crystals:3", for tables and pictures."""
    file, _, number = structure.source.rpartition(", structure ")
    return f"{Path(file).name.split('.')[0]}:{number}" if file else structure.source


def spread(points: Floats) -> float:
    """Return the distance to the nearest other point that a fraction SPREAD of the points do not exceed.

    A single outlier would set the largest distance.
    """
    sample = sampled(len(points))
    nearest = np.full(len(sample), np.inf)
    for first in range(0, len(points), SAMPLE):
        part = points[first : first + SAMPLE]
        here = np.flatnonzero((sample >= first) & (sample < first + SAMPLE))
        nearest = np.minimum(nearest, distances(points[sample], part, (here, sample[here] - first)))
    return usual(nearest)


def sampled(points: int) -> Integers:
    """Return the points whose nearest others are looked for, of a number of points."""
    return np.random.default_rng(0).permutation(points)[:SAMPLE]


def usual(nearest: Floats) -> float:
    """Return the distance that a fraction SPREAD of some points have to their nearest others; 0 if there are none."""
    return float(np.quantile(nearest, SPREAD, method="higher")) if len(nearest) > 1 else 0.0


def distances(points: Floats, others: Floats, same: tuple[Integers, Integers] | None = None) -> Floats:
    """Return the distance of each point [m, d] to the nearest of others [n, d], infinite if there are none.

    Parameters
    ----------
    same
        Points and others that are the same, which are not their own neighbours.
    """
    if not len(others):
        return np.full(len(points), np.inf)
    # |a - b|^2 - |a|^2 by a product of matrices has its least value at the nearest point.
    squares = np.einsum("ij,ij->i", others, others) - 2 * points @ others.T
    if same is not None:
        squares[same] = np.inf
    found = np.asarray(np.linalg.norm(points - others[np.argmin(squares, axis=1)], axis=1))
    found[np.isinf(squares.min(axis=1))] = np.inf
    return found


def extrapolated(training: Floats, points: Floats) -> Flags:
    """Return for each point [m] whether it is farther from the training environments than their `spread`.

    Parameters
    ----------
    training
        Coordinates of the training environments in G space [n, d].
    points
        Coordinates [m, d].
    """
    limit = spread(training)
    nearest = np.array([((training - point) ** 2).sum(axis=1).min() for point in points])
    return np.asarray(~(np.sqrt(nearest) <= limit))


def adhoc_warning(name: str, delta: Floats, rmse: float, window: int) -> str | None:
    """Return a warning if totals are right and an atomic energy is wrong and hardly improves, else None.

    It is for points whose error is one of the mapping, see `cause_of_error`.

    Parameters
    ----------
    name
        Name of the invariant point.
    delta
        Errors of its atomic energy at equal intervals of the run, eV.
    rmse
        RMSE of the total energies, eV/atom.
    window
        Number of intervals in a fifth of the run.
    """
    if len(delta) <= window:
        return None
    now, before = abs(float(delta[-1])), abs(float(delta[-1 - window]))
    if not (now > ACCURACY and now > TIMES_RMSE * rmse and now > STALLED * before):
        return None
    return (
        f"ad hoc mapping: the atomic energy of the crystal {name} is wrong by {1e3 * delta[-1]:+.0f} meV and hardly "
        f"improves, while total energies are right to {1e3 * rmse:.1f} meV/atom. The training structures hold these "
        "atoms and others always in about the same ratio, so energy may move between them unseen. Add structures with "
        "another ratio: cells of this crystal alone, or slabs of another thickness, clusters of another size, cells "
        "with another number of defects; `sitewise diagnose --target --suggest` makes them"
    )
