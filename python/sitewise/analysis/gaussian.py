"""Determinability of each atom by a Gaussian process whose data are sums over structures."""

from __future__ import annotations

import numpy as np

from .._core import Error
from ..structures import Floats
from .gspace import Integers

NOISE = 1e-6  # variance of an energy per atom, in units of the prior's variance
BLOCK = 2_000  # atoms whose kernel with all others is held at once


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
    if not length > 0:
        raise Error(f"the length scale must be positive, found {length}")
    sizes = np.bincount(structure)
    means = _means(points, points, structure, sizes, length)
    sums = np.zeros((len(sizes), len(sizes)))
    np.add.at(sums, structure, means)
    sums = sums / sizes[:, None] + NOISE * np.eye(len(sizes))
    known = _means(targets, points, structure, sizes, length)
    return np.asarray(np.einsum("ms,sm->m", known, np.linalg.solve(sums, known.T)))


def _means(a: Floats, b: Floats, structure: Integers, sizes: Integers, length: float) -> Floats:
    """Mean of the kernel between each point of `a` and the atoms of each structure [len(a), structures]."""
    from scipy.sparse import csr_matrix
    from scipy.spatial.distance import cdist

    weights = csr_matrix((1 / sizes[structure], (structure, np.arange(len(b)))), shape=(len(sizes), len(b)))
    blocks = [
        (weights @ np.exp(-cdist(b, a[i : i + BLOCK], "sqeuclidean") / (2 * length**2))).T
        for i in range(0, len(a), BLOCK)
    ]
    return np.concatenate(blocks)
