"""Rigidity of atomic energies: how strongly the training data hold the last layer of a trained network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .. import _core
from ..features.source import FeatureSource
from ..io.dataset import Dataset
from ..progress import Reporter
from ..structures import Floats
from ..symmetry import SymmetryFunctions
from .gspace import Integers

RIDGE = 1e-6  # of the mean diagonal element of the Gauss-Newton matrix
FORCE_WEIGHT = 0.01  # that of the default recipe
COMPONENTS = 60  # force components of a structure at most


def last_layer_rigidity(
    potential: _core.Potential, data: Dataset, functions: SymmetryFunctions, reporter: Reporter
) -> list[list[float]]:
    """Return the rigidity of each atom's energy by structure, without unit: 1/(phi^T H^-1 phi).

    It is a ranking and no error bar. phi is the derivative of the atomic energy with respect to the last layer: the
    outputs of the last hidden layer, and 1. H is the Gauss-Newton matrix of the loss of energies and forces per
    structure, on the last layer of all elements (F. Bigi et al., Mach. Learn.: Sci. Technol. 5, 045018 (2024)). At
    most COMPONENTS force components of each structure, equally spaced, stand for all.

    Parameters
    ----------
    potential
        Potential in eV and Angstrom.
    data
        Training structures; their labels are not used.
    functions
        Symmetry functions of the potential.
    reporter
        Receives the progress.
    """
    columns = _last_layers(potential)
    size = sum(len(own) for own in columns)
    matrix = np.zeros((size, size))
    layers: list[list[tuple[int, Floats]]] = []
    with reporter.task("rigidity", data.n_atoms, lines=True) as advance:
        for s in data:
            prepared = FeatureSource().prepare_here(Dataset([s]), functions)
            matrix += _gauss_newton(potential, prepared, len(s.atoms), np.concatenate(columns)) / len(data)
            layers.append(_hidden_layers(potential, prepared, columns))
            advance(len(s.atoms))
    matrix[np.diag_indices(size)] += RIDGE * np.trace(matrix) / size
    inverse: Floats = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    starts = np.cumsum([0, *(len(own) for own in columns)])
    blocks: list[Floats] = [inverse[a:b, a:b] for a, b in pairwise(starts)]
    return [[float(1 / (phi @ blocks[element] @ phi)) for element, phi in own] for own in layers]


def _last_layers(potential: _core.Potential) -> list[Integers]:
    """Return the indices of the last layer's weights and bias among all weights, for each element."""
    places, start = [], 0
    for network in potential.networks:
        nodes = network.nodes
        end = start + sum((a + 1) * b for a, b in pairwise(nodes))
        places.append(np.arange(end - nodes[-2] - 1, end))
        start = end
    return places


def _gauss_newton(potential: _core.Potential, prepared: _core.TrainingSet, n: int, columns: Integers) -> Floats:
    """Return the Gauss-Newton matrix of the loss of a structure with n atoms, on some of the weights."""
    components = np.unique(np.linspace(0, 3 * n - 1, min(COMPONENTS, 3 * n)).round().astype(int)).tolist()
    rows = prepared.jacobian(potential, [0], [components])[:, columns]
    energy, forces = rows[0] / n, rows[1:]
    return np.asarray(np.outer(energy, energy) + FORCE_WEIGHT * forces.T @ forces / len(components))


def _hidden_layers(
    potential: _core.Potential, prepared: _core.TrainingSet, columns: list[Integers]
) -> list[tuple[int, Floats]]:
    """Return element and phi of each atom of a structure."""
    networks, scaling = potential.networks, potential.scaling
    found = []
    for element, own in zip(prepared.species(0).tolist(), prepared.features(0), strict=True):
        inputs = scaling.apply(element, own[None, : networks[element].nodes[0]])
        gradient = networks[element].weight_gradient(inputs, np.ones(1), np.zeros_like(inputs))
        found.append((element, gradient[-len(columns[element]) :].copy()))  # a view would keep all of the gradient
    return found
