"""One potential that gives the mean of several: their networks side by side in one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from . import _core
from ._core import Error
from .structures import Floats


class _Layer(NamedTuple):
    W: Floats  # [previous, next]
    b: Floats  # [next]


def merged(members: Sequence[_core.Potential], shares: Sequence[float] | None = None) -> _core.Potential:
    """Return a potential whose energies are the means over those of several potentials, to rounding.

    A hidden layer has the nodes of all members; weights between nodes of two members are 0. The scaling is that of the
    first member.

    Parameters
    ----------
    members
        Potentials with equal elements and symmetry functions.
    shares
        Weights of the members in the mean, with the sum 1; equal ones if not given.

    Raises
    ------
    Error
        If the networks differ in layers or activations, or have what cannot be merged: `normalize_nodes`, no hidden
        layer, or an output that is not linear.
    """
    first = members[0]
    parts = np.full(len(members), 1 / len(members)) if shares is None else np.asarray(shares)
    networks = [_side_by_side(members, parts, element) for element in range(len(first.elements))]
    offsets = parts @ [np.add(core.atom_energies, core.normalization[0]) for core in members]
    merged = _core.Potential(first.elements, first.functions, first.scaling, networks, offsets.tolist())
    merged.baseline = first.baseline
    return merged


def _side_by_side(members: Sequence[_core.Potential], shares: Floats, element: int) -> _core.Network:
    from scipy.linalg import block_diag

    networks = [core.networks[element] for core in members]
    activations = networks[0].activations
    if any(n.normalize_nodes or n.activations != activations for n in networks):
        raise Error("these potentials cannot be merged: their activations differ, or have normalize_nodes")
    if len(activations) < 2 or activations[-1] != "l":
        raise Error("these potentials cannot be merged: they have no hidden layer, or an output that is not linear")
    inputs, *hidden, output = zip(*(_layers(core, element, members[0].scaling) for core in members), strict=True)
    layers = [_joined(inputs, np.hstack([layer.W for layer in inputs]))]
    layers += [_joined(of, block_diag(*(layer.W for layer in of))) for of in hidden]
    weights = [share * layer.W for share, layer in zip(shares, output, strict=True)]
    layers.append(_Layer(np.vstack(weights), shares @ [layer.b for layer in output]))
    network = _core.Network([len(layers[0].W), *(len(layer.b) for layer in layers)], activations)
    network.weights = np.concatenate([part.ravel() for layer in layers for part in layer])
    return network


def _joined(layers: Sequence[_Layer], W: Floats) -> _Layer:
    return _Layer(W, np.concatenate([layer.b for layer in layers]))


def _layers(core: _core.Potential, element: int, scaling: _core.Scaling) -> list[_Layer]:
    """Return the layers for inputs that another scaling has made, and an output in eV without the offset."""
    network, first = core.networks[element], 0
    layers = []
    for previous, following in pairwise(network.nodes):
        last = first + (previous + 1) * following
        own = network.weights[first:last].reshape(previous + 1, following)
        layers.append(_Layer(own[:-1], own[-1]))
        first = last
    (a, b), (a0, b0) = (_affine(some, element, network.nodes[0]) for some in (core.scaling, scaling))
    if np.any((a0 == 0) & (a != 0)):
        raise Error("these potentials cannot be merged: a symmetry function has no range in the scaling of the first")
    ratio = np.divide(a, a0, out=np.zeros_like(a), where=a0 != 0)
    W = layers[0].W
    layers[0] = _Layer(ratio[:, None] * W, layers[0].b + (b - ratio * b0) @ W)
    layers[-1] = _Layer(*(part / core.normalization[1] for part in layers[-1]))
    return layers


def _affine(scaling: _core.Scaling, element: int, count: int) -> tuple[Floats, Floats]:
    """Return a and b of the scaling x = a G + b [count]."""
    b, sum_of_both = scaling.apply(element, np.array([np.zeros(count), np.ones(count)]))
    return sum_of_both - b, b
