"""Clusters that are cut out of large structures, so that their labels cost little."""

from __future__ import annotations

import numpy as np

from .._core import Error, neighbor_list
from ..structures import Structure

WIDER = 1.25  # factor by which the radius of the search grows


def cut(s: Structure, center: int, size: int, cutoff: float) -> Structure:
    """Return the atoms nearest to one of them, in a vacuum; the info has their number before as `cut_from`.

    If the structure is periodic, so is the cluster, in a cube in which the vacuum is as wide as the cutoff.

    Parameters
    ----------
    s
        A structure without labels.
    center
        Index of the atom.
    size
        Number of atoms that are kept.
    cutoff
        Radius of the environments, Angstrom.

    Raises
    ------
    Error
        The environment of the atom does not fit into the cluster.
    """
    from ase import Atoms

    atoms, reach = s.atoms, cutoff
    while True:
        i, j, vectors, _ = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
        others, places = j[i == center], vectors[i == center]
        if len(others) >= size - 1 or (not atoms.pbc.any() and len(others) == len(atoms) - 1):
            break
        reach *= WIDER
    distances = np.linalg.norm(places, axis=1)
    order = np.argsort(distances, kind="stable")[: size - 1]
    within = 1 + int((distances < cutoff).sum())
    if within > size:
        raise Error(
            f"{s.source}: atom {center} and its neighbours within the cutoff are {within} atoms, but [explore] "
            f"max_atoms is {size}, expected {within} or more"
        )
    found = Atoms(
        numbers=atoms.numbers[[center, *others[order]]],
        positions=np.vstack([np.zeros(3), places[order]]),
        info=atoms.info | {"cut_from": len(atoms)},
    )
    if atoms.pbc.any():
        found.pbc = True
        found.cell = np.eye(3) * (np.ptp(found.positions, axis=0).max() + cutoff)
    return Structure(found, None, None, None, s.group, s.source)
