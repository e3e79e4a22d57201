"""Rigidity of atomic energies: how strongly the training data hold the last layer of a trained network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .. import _core
from ..structures import Floats
from .gspace import Integers

RIDGE = 1e-6  # of the mean diagonal element of the Gauss-Newton matrix
FORCE_WEIGHT = 0.01  # that of the default recipe
COMPONENTS = 60  # force components of a structure at most


def last_layer_rigidity(potential: _core.Potential, training: _core.TrainingSet) -> list[list[float]]:
    """Rigidity of each atom's energy by structure, without unit: 1/(phi^T H^-1 phi), a ranking and no error bar.

    phi is the derivative of the atomic energy with respect to the last layer, the outputs of the last hidden layer and
    1; H the Gauss-Newton matrix of the loss of energies and forces per structure, on the last layer of all elements
    (F. Bigi et al., Mach. Learn.: Sci. Technol. 5, 045018 (2024)). Of the forces at most COMPONENTS of each
    structure, equally spaced, stand for all.

    Parameters
    ----------
    potential
        In eV and Angstrom.
    training
        Structures, whose labels do not matter.
    """
    columns = _last_layers(potential)
    size = sum(len(own) for own in columns)
    matrix = np.zeros((size, size))
    for s in range(len(training)):
        n = len(training.species(s))
        components = np.unique(np.linspace(0, 3 * n - 1, min(COMPONENTS, 3 * n)).round().astype(int)).tolist()
        rows = training.jacobian(potential, [s], [components])[:, np.concatenate(columns)]
        energy, forces = rows[0] / n, rows[1:]
        matrix += np.outer(energy, energy) + FORCE_WEIGHT * forces.T @ forces / len(components)
    matrix /= len(training)
    matrix[np.diag_indices(size)] += RIDGE * np.trace(matrix) / size
    inverse: Floats = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    starts = np.cumsum([0, *(len(own) for own in columns)])
    blocks: list[Floats] = [inverse[a:b, a:b] for a, b in pairwise(starts)]
    return [_rigidity(potential, training, s, columns, blocks) for s in range(len(training))]


def _last_layers(potential: _core.Potential) -> list[Integers]:
    """Places of the last layer's weights and bias among all weights, for each element."""
    places, start = [], 0
    for network in potential.networks:
        nodes = network.nodes
        end = start + sum((a + 1) * b for a, b in pairwise(nodes))
        places.append(np.arange(end - nodes[-2] - 1, end))
        start = end
    return places


def _rigidity(
    potential: _core.Potential,
    prepared: _core.TrainingSet,
    structure: int,
    columns: list[Integers],
    inverses: list[Floats],
) -> list[float]:
    """1/(phi^T H^-1 phi) of the atoms of a structure."""
    species, features = prepared.species(structure), prepared.features(structure)
    networks, scaling = potential.networks, potential.scaling
    found = []
    for element, own in zip(species, features, strict=True):
        network, size = networks[element], len(columns[element])
        inputs = scaling.apply(int(element), own[None, : network.nodes[0]])
        phi = network.weight_gradient(inputs, np.ones(1), np.zeros_like(inputs))[-size:]
        found.append(float(1 / (phi @ inverses[element] @ phi)))
    return found
