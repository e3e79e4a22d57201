"""The potential that a run starts from, and the parameters that the optimiser sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Literal, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from .. import _core
from ..config import ActivationName, NetworkShape
from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..structures import Floats, Ints
from ..symmetry import SymmetryFunctions

ACTIVATION_LETTERS = dict(zip(get_args(ActivationName), "tsprgcSehl", strict=True))

# Principal components of standardised inputs with an eigenvalue below DROPPED are dropped. All others are divided by
# sqrt(eigenvalue + RIDGE), so the faint ones do not become noise; RIDGE was found by cross-validation, see "Defaults"
# in docs/development/tried.md.
DROPPED, RIDGE = 1e-6, 1e-2

LAST_LAYER = 0.1  # first weights of the last layer, relative to those of the others

Real = TypeVar("Real", np.float32, np.float64)

ScalingType = Literal["minmax", "center", "minmax_center", "sigma", "none"]


def initial_potential(
    functions: SymmetryFunctions,
    scaling: ScalingType,
    shape: NetworkShape,
    training_set: TrainingSet,
    offsets: Sequence[float],
    closest: Floats | None = None,
) -> _core.Potential:
    """Return a potential with scaling from the training set, with the `closest_distances` of its atoms, and weights
    that are all zero.

    Min-max scales to [-1, 1]; centred inputs have mean 0, and `sigma` gives them variance 1.
    """
    statistics = training_set.statistics(range(len(training_set)))
    smin = -1.0 if scaling == "minmax" else 0.0
    assert shape.hidden is not None
    letters = ACTIVATION_LETTERS[shape.activation] * len(shape.hidden) + "l"
    counts = [functions.core.count(element) for element in range(len(functions.elements))]
    networks = [_core.Network([n, *shape.hidden, 1], letters) for n in counts]
    known = np.empty((0, 0)) if closest is None else closest
    of_training_set = _core.Scaling(scaling, smin, 1.0, statistics, known)
    return _core.Potential(functions.elements, functions.core, of_training_set, networks, offsets)


def atomic_offsets(data: Dataset, elements: Sequence[str]) -> list[float]:
    """Return the energy of an atom of each element, eV: the least-squares solution of E/N = sum_e (N_e/N) offset_e, of
    least norm where the compositions leave it open; 0 without energies."""
    labelled = [s for s in data if s.energy is not None]
    if not labelled:
        return [0.0] * len(elements)
    composition = np.array(
        [[s.atoms.get_chemical_symbols().count(e) / len(s.atoms) for e in elements] for s in labelled]
    )
    energies = np.array([s.energy / len(s.atoms) for s in labelled if s.energy is not None])
    return [float(offset) for offset in np.linalg.lstsq(composition, energies, rcond=1e-8)[0]]


class Transform(NamedTuple):
    """z = A (x - m) of the inputs x of a network."""

    A: Floats  # [k, n]
    m: Floats  # [n]


class _Layers(NamedTuple):
    """Weights and biases of a network: of the first layer, and of the rest."""

    matrix: Floats
    bias: Floats
    rest: Floats


@dataclass(frozen=True)
class Parameters:
    """Coordinates of the optimiser, theta, which stand for the weights of the networks.

    The first layer of each network acts on z = A (x - m) of its inputs x: W = A^T W', b = b' - m^T W. All other weights
    are parameters themselves. Training in z and writing W and b gives the same potential, whose file holds ordinary
    inputs.

    Attributes
    ----------
    transforms
        A and m of each element.
    networks
        Numbers of nodes of each element's network, with the length of z for the inputs.
    """

    transforms: list[Transform]
    networks: list[list[int]]

    @cached_property
    def penalized(self) -> Floats:
        """1 for the parameters that the L2 term acts on, 0 for the others [n].

        It acts on weight matrices. Biases are free, as in SIMPLE-NN.
        """
        return np.concatenate(
            [
                np.repeat([1.0, 0.0], [fan_in * fan_out, fan_out])
                for nodes in self.networks
                for fan_in, fan_out in pairwise(nodes)
            ]
        )

    @property
    def whole(self) -> Parameters:
        """The parameters of all layers: these."""
        return self

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.penalized.size

    def initial(self, rng: np.random.Generator) -> Floats:
        """Return uniform random weights and biases 0, X. Glorot and Y. Bengio, AISTATS 2010, eq. 16. Those of the last
        layer are LAST_LAYER times as large, so training starts near the mean energy and not from random forces."""
        blocks = [
            block
            for nodes in self.networks
            for layer, (fan_in, fan_out) in enumerate(pairwise(nodes), 2)
            for block in (
                _glorot(rng, fan_in, fan_out) * (LAST_LAYER if layer == len(nodes) else 1.0),
                np.zeros(fan_out),
            )
        ]
        return np.concatenate(blocks)

    def weights(self, theta: Floats) -> Floats:
        """Return the weights of the potential [n_weights]."""
        pieces: list[Floats] = []
        for (A, m), layers in zip(self.transforms, self._split(theta), strict=True):
            outer = A.T @ layers.matrix
            pieces += [outer.ravel(), layers.bias - m @ outer, layers.rest]
        return np.concatenate(pieces)

    def of_weights(self, weights: Floats) -> Floats:
        """Return the parameters [n] of some weights, the inverse of `weights`; by least squares where components were
        dropped."""
        pieces: list[Floats] = []
        start = 0
        for (A, m), nodes in zip(self.transforms, self.networks, strict=True):
            n, hidden = m.size, nodes[1]
            bias_at, rest_at = start + n * hidden, start + (n + 1) * hidden
            end = rest_at + _size(nodes[1:])
            matrix = weights[start:bias_at].reshape(n, hidden)
            inner = np.linalg.lstsq(A.T, matrix, rcond=None)[0]
            pieces += [inner.ravel(), weights[bias_at:rest_at] + m @ matrix, weights[rest_at:end]]
            start = end
        return np.concatenate(pieces)

    def change(self, direction: Floats, weights: Floats) -> Floats:
        """Return the derivative of the weights along a direction [n] of theta, at some weights [n_weights]."""
        return self.weights(direction)

    def gradient(self, weight_gradient: npt.NDArray[Real], weights: Floats) -> npt.NDArray[Real]:
        """Return d/d(theta) [..., n] from d/d(weights) [..., n_weights] by the chain rule, the transpose of `change`,
        at some weights [n_weights]. Here the weights are linear in theta, so it is the same at all."""
        pieces: list[npt.NDArray[Real]] = []
        start = 0
        of_type = [(A.astype(weight_gradient.dtype), m.astype(weight_gradient.dtype)) for A, m in self.transforms]
        for (A, m), nodes in zip(of_type, self.networks, strict=True):
            n, hidden = m.size, nodes[1]
            bias_at, rest_at = start + n * hidden, start + (n + 1) * hidden
            end = rest_at + _size(nodes[1:])
            matrix = weight_gradient[..., start:bias_at].reshape(*weight_gradient.shape[:-1], n, hidden)
            bias = weight_gradient[..., bias_at:rest_at]
            outer = A @ (matrix - m[:, None] * bias[..., None, :])
            pieces += [outer.reshape(*weight_gradient.shape[:-1], -1), bias, weight_gradient[..., rest_at:end]]
            start = end
        return np.concatenate(pieces, axis=-1)

    def _split(self, theta: Floats) -> list[_Layers]:
        parts = []
        start = 0
        for nodes in self.networks:
            inputs, hidden = nodes[:2]
            bias = start + inputs * hidden
            end = start + _size(nodes)
            matrix = theta[start:bias].reshape(inputs, hidden)
            parts.append(_Layers(matrix, theta[bias : bias + hidden], theta[bias + hidden : end]))
            start = end
        return parts


def first_parameters(
    potential: _core.Potential, training_set: TrainingSet, whiten: bool, dropped: float = DROPPED
) -> Parameters:
    """Return the coordinates in which a potential is trained, whitened or plain."""
    return whitened_parameters(potential, training_set, dropped) if whiten else plain_parameters(potential)


def whitened_parameters(potential: _core.Potential, training_set: TrainingSet, dropped: float = DROPPED) -> Parameters:
    """Return parameters on principal components of the inputs, standardised and of about unit variance. Components up
    to the eigenvalue `dropped` are left out.

    Symmetry functions are strongly correlated, which makes first-order optimisers slow. The components are those of the
    atoms of the training set.
    """
    return parameters_of(potential, _principal_components(potential, training_set, dropped))


def plain_parameters(potential: _core.Potential) -> Parameters:
    """Return parameters that are the weights themselves: A = 1 and m = 0."""
    counts = [network.nodes[0] for network in potential.networks]
    return parameters_of(potential, [Transform(np.eye(n), np.zeros(n)) for n in counts])


def parameters_of(potential: _core.Potential, transforms: list[Transform]) -> Parameters:
    """Return the coordinates of a potential's weights with these transforms of its inputs."""
    networks = [[len(A), *network.nodes[1:]] for (A, _), network in zip(transforms, potential.networks, strict=True)]
    return Parameters(transforms, networks)


def _size(nodes: Sequence[int]) -> int:
    """Return the number of weights and biases of a network."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(nodes))


def _glorot(rng: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, fan_in * fan_out)


def _principal_components(potential: _core.Potential, training_set: TrainingSet, dropped: float) -> list[Transform]:
    """Return A and m of each element."""
    elements = range(len(potential.elements))
    scaling = potential.scaling
    means = [scaling.apply(e, scaling.statistics(e)[2:3])[0] for e in elements]
    products = [np.zeros((len(mean), len(mean))) for mean in means]
    atoms = [0 for _ in elements]
    for each in training_set.each(partial(_products, scaling, means), range(len(training_set))):
        for e, (product, own) in enumerate(each):
            products[e] += product
            atoms[e] += own
    return [Transform(_whitening(products[e] / atoms[e], dropped), means[e]) for e in elements]


def _products(
    scaling: _core.Scaling, means: Sequence[Floats], features: Floats, species: Ints
) -> list[tuple[Floats, int]]:
    """Return the sum of the products of centred inputs over the atoms of each element, and the number of these."""
    each = [scaling.apply(e, features[species == e, : len(mean)]) - mean for e, mean in enumerate(means)]
    return [(x.T @ x, len(x)) for x in each]


def _whitening(covariance: Floats, dropped: float) -> Floats:
    """Return A [k, n] that gives A (x - m) the variance eigenvalue/(eigenvalue + RIDGE).

    Components up to the eigenvalue `dropped` are left out, and so are inputs without variance, unless it is negative: A
    can then be inverted, and keeps the weights of a potential that a run starts from.
    """
    deviation = np.sqrt(np.diag(covariance))
    constant = np.full_like(deviation, float(dropped < 0))
    inverse = np.divide(1.0, deviation, out=constant, where=deviation > 0)
    eigenvalues, vectors = np.linalg.eigh(covariance * np.outer(inverse, inverse))
    kept = eigenvalues > dropped
    transform: Floats = (vectors[:, kept] / np.sqrt(eigenvalues[kept] + RIDGE)).T * inverse
    return transform
