"""The potential of F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985), for silicon.

The energy of an atom is half of its pair energies plus the three-body energies of which it is the centre. This choice
makes atomic energies known, as far as they have a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from .. import _core
from ..structures import Floats, Ints, Structure, core_arrays

if TYPE_CHECKING:
    from ase import Atoms

# Table I and eq. 2.7 there, with EPSILON for a cohesive energy of 4.337 eV.
EPSILON, SIGMA, REACH = 2.1683, 2.0951, 1.80 * 2.0951  # eV, Angstrom, Angstrom
A, B, P = 7.049556277, 0.6022245584, 4
LAMBDA, GAMMA, COSINE = 21.0, 1.20 * SIGMA, -1 / 3
NEAR = 1e-6  # Angstrom; closer to REACH all terms are 0 to rounding


def stillinger_weber(atoms: Atoms) -> tuple[Floats, Floats]:
    """Return atomic energies [n], eV, and forces [n, 3], eV/Angstrom."""
    _, positions, cell, pbc = core_arrays(atoms, ["Si"], "the potential of Stillinger and Weber")
    i, j, vectors, _ = _core.neighbor_list(positions, cell, pbc, REACH - NEAR)
    r = np.linalg.norm(vectors, axis=1)
    pair, pair_slope = _pair(r)
    energies: Floats = np.bincount(i, 0.5 * pair, len(atoms)).astype(np.float64)
    pulls = 0.5 * (pair_slope / r)[:, None] * vectors  # dE/d(vector)
    first, second = _pairs_of_neighbors(i, len(atoms))
    e, d_first, d_second = _triple(vectors[first], vectors[second], r[first], r[second])
    energies += np.bincount(i[first], e, len(atoms))
    pulls += _summed(first, d_first, len(r)) + _summed(second, d_second, len(r))
    return energies, _summed(i, pulls, len(atoms)) - _summed(j, pulls, len(atoms))


def _summed(owner: Ints, vectors: Floats, n: int) -> Floats:
    """Return the sum of the vectors of each owner [n, 3]."""
    return np.stack([np.bincount(owner, vectors[:, k], n) for k in range(3)], axis=1)


def labelled(atoms: Atoms, group: str, info: Mapping[str, Any] | None = None) -> Structure:
    """Return a copy of the geometry, with energy and forces, as a structure of a group."""
    from ase import Atoms

    copy = Atoms(atoms.symbols, atoms.get_positions(), cell=atoms.cell, pbc=atoms.pbc, info=dict(info or {}))
    energies, forces = stillinger_weber(copy)
    return Structure(copy, float(energies.sum()), forces, None, group, group)


class StillingerWeber(Calculator):
    """A calculator of energy, energies and forces for ASE."""

    implemented_properties = ["energy", "energies", "forces"]  # noqa: RUF012 -- ASE declares it of instances

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute everything."""
        assert atoms is not None
        Calculator.calculate(self, atoms, properties, system_changes)
        energies, forces = stillinger_weber(atoms)
        self.results = {"energy": float(energies.sum()), "energies": energies, "forces": forces}


def _pair(r: Floats) -> tuple[Floats, Floats]:
    """Return the energy of a pair, eq. 2.3, and its derivative."""
    x, cut = (SIGMA / r) ** P, np.exp(SIGMA / (r - REACH))
    energy = A * EPSILON * (B * x - 1) * cut
    slope = A * EPSILON * cut * (-P * B * x / r - (B * x - 1) * SIGMA / (r - REACH) ** 2)
    return energy, slope


def _triple(u: Floats, v: Floats, ru: Floats, rv: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the energy of an angle between two neighbours, eq. 2.5, and its derivatives by their vectors."""
    cosine = np.einsum("tx,tx->t", u, v) / (ru * rv)
    bend = cosine - COSINE
    size = LAMBDA * EPSILON * np.exp(GAMMA / (ru - REACH) + GAMMA / (rv - REACH))
    energy = size * bend**2
    along = 2 * size * bend  # dE/d(cosine)

    def by(u: Floats, v: Floats, ru: Floats, rv: Floats) -> Floats:
        turning = along[:, None] * (v / (ru * rv)[:, None] - cosine[:, None] * u / ru[:, None] ** 2)
        return np.asarray(turning - (energy * GAMMA / ((ru - REACH) ** 2 * ru))[:, None] * u)

    return energy, by(u, v, ru, rv), by(v, u, rv, ru)


def _pairs_of_neighbors(i: Ints, n: int) -> tuple[Ints, Ints]:
    """Return the indices in the neighbour list of both members of all pairs of neighbours of an atom."""
    order = np.argsort(i, kind="stable")
    ends = np.cumsum(np.bincount(i, minlength=n))
    partners = ends[i[order]] - np.arange(len(i)) - 1  # the later neighbours of the same atom
    first = np.repeat(np.arange(len(i)), partners)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    return np.asarray(order[first]), np.asarray(order[second])
