"""Invariant points: crystals whose atoms are all equivalent have atomic energy E/N, whatever the partition."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from .._core import Error
from ..dataset import Structure
from ..structures import Floats

if TYPE_CHECKING:
    from ase import Atoms

SYMMETRY_PRECISION = 1e-3  # Angstrom
SMALLEST = 0.010  # eV: no warning below
TIMES_RMSE = 10.0
STALLED = 0.8  # of the error a fifth of the run ago


def is_invariant(atoms: Atoms) -> bool:
    """Whether the structure is periodic in three directions with all atoms equivalent by symmetry."""
    import spglib

    if not len(atoms) or not np.all(atoms.pbc) or not abs(atoms.cell.volume) > 0:
        return False
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of spglib's own error handling, from version 2.7
        found = spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_PRECISION)
    return found is not None and len(set(found.equivalent_atoms)) == 1


def invariant_energy(structure: Structure) -> float:
    """Atomic energy E/N of an invariant point, eV.

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


def is_extrapolation(training: Floats, point: Floats) -> bool:
    """Whether the nearest training environment is farther than any of these is from its own nearest.

    Parameters
    ----------
    training
        Coordinates in G space [n, d], at least two.
    point
        [d].
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(training)
    spread = float(tree.query(training, k=2)[0][:, 1].max())
    return not float(tree.query(point)[0]) <= spread


def adhoc_warning(delta: Floats, rmse: float) -> str | None:
    """Warning where totals are right and the mapping is wrong.

    Parameters
    ----------
    delta
        Error of the atomic energy at one invariant point at equal intervals of the run, eV.
    rmse
        RMSE of the total energies, eV/atom.
    """
    now, before = abs(float(delta[-1])), abs(float(delta[-1 - max(1, len(delta) // 5)] if len(delta) > 1 else np.inf))
    if now <= max(SMALLEST, TIMES_RMSE * rmse) or now <= STALLED * before:
        return None
    return (
        f"the atomic energy of a crystal is wrong by {1e3 * now:.0f} meV and no longer improves, while total energies "
        f"are right to {1e3 * rmse:.1f} meV/atom: the mapping is ad hoc; add structures that contain this crystal"
    )
