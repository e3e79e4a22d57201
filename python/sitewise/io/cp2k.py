"""Potentials for CP2K: directories of n2p2 in Hartree and Bohr, with the part of that format that CP2K supports."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import _core
from .._core import Error
from ..potential import Potential
from ..structures import Floats

TYPES = (2, 3)  # of symmetry functions
CUTOFFS = (1, 2)  # cosine and tanh^3
ACTIVATIONS = "tglcsSeh"


def write_cp2k(potential: Potential, path: str | Path, comments: str = "") -> None:
    """Write a directory for CP2K: a potential that computes the same energies and forces.

    CP2K reads energies and lengths in Hartree and Bohr. It ignores n2p2's `conv_energy`, `scale_min_short` and
    `scale_max_short`, and scales to [0, 1]. The functions are therefore scaled to [0, 1], the original scaling goes
    into the first layer, and the unit of energy into the last.

    Parameters
    ----------
    potential
        The potential.
    path
        The directory.
    comments
        Lines for the head of `input.nn`.

    Raises
    ------
    Error
        If CP2K's NNP does not support the potential; it would ignore some features without a message.
    """
    from ase.units import Bohr, Hartree

    core = potential.core
    if reason := _obstacle(core):
        raise Error(f"{path}: CP2K's NNP {reason}")
    mean, unit = core.normalization[0], 1 / (Hartree * core.normalization[1])
    statistics, networks = [], []
    for element, network in enumerate(core.networks):
        ranged = _ranged(core.scaling.statistics(element))
        zero, one = (core.scaling.apply(element, ranged[k : k + 1])[0] for k in (0, 1))  # inputs at both ends
        statistics.append(ranged)
        networks.append(_network(network, zero, one - zero, unit))
    made = _core.Potential(
        potential.elements,
        _functions(core, 1 / Bohr),
        _core.Scaling("minmax", 0.0, 1.0, statistics),
        networks,
        [(energy + mean) / Hartree for energy in core.atom_energies],
    )
    Potential(made).save(path, comments, units="Hartree and Bohr")


def _obstacle(core: _core.Potential) -> str | None:
    """Return why CP2K does not support a potential, in words; None if it does."""
    if core.baseline is not None:
        return "has no pair potential beside the network, but this potential has zbl or pair tables"
    functions = [f for element in range(len(core.elements)) for f in core.functions.functions(element)]
    for f in functions:
        if f.type not in TYPES:
            return f"has symmetry functions of types 2 and 3 alone, the potential has type {f.type}"
        if f.type == 3 and f.rs != 0:
            return "has no r_s in symmetry functions of type 3"
    if core.functions.cutoff_type not in CUTOFFS or core.functions.alpha != 0:
        return f"has cutoff types 1 and 2 without alpha, the potential has {core.functions.cutoff_type}"
    first = core.networks[0]
    if any(n.nodes[1:] != first.nodes[1:] or n.activations != first.activations for n in core.networks):
        return "has one shape of network for all elements, the potential has several"
    if len(first.nodes) < 3 or first.activations[-1] != "l":
        return "needs hidden layers, and here a linear last one"
    if "p" in first.activations:
        return "has forces of softplus (p) that are not derivatives of its energy"
    if unknown := set(first.activations) - set(ACTIVATIONS):
        return f"has no activation function {unknown.pop()}"
    return None


def _functions(core: _core.Potential, length: float) -> _core.SymmetryFunctions:
    """Return the functions in another unit of length; an Angstrom is `length` of these units."""
    functions = [
        _core.SymmetryFunction(
            *(f.type, f.center, f.neighbor1, f.neighbor2),
            eta=f.eta / length**2,
            rs=f.rs * length,
            lambda_=f.lambda_,
            zeta=f.zeta,
            cutoff=f.cutoff * length,
        )
        for element in range(len(core.elements))
        for f in core.functions.functions(element)
    ]
    return _core.SymmetryFunctions(len(core.elements), functions, core.functions.cutoff_type)


def _ranged(statistics: Floats) -> Floats:
    """Return statistics with the range [0, 1] for functions that are constant or whose range is unknown (1e300)."""
    low, high, mean, sigma = statistics
    known = (high > low) & (high - low < 1e100)
    return np.array([np.where(known, low, 0.0), np.where(known, high, 1.0), mean, sigma])


def _network(network: _core.Network, zero: Floats, span: Floats, unit: float) -> _core.Network:
    """Return a network that takes inputs t in place of zero + span t, and returns the energy times `unit`."""
    made = _core.Network(network.nodes, network.activations, network.normalize_nodes)
    inputs, width = network.nodes[:2]
    values = network.weights.copy()
    weights, biases = values[: inputs * width].reshape(inputs, width), values[inputs * width : (inputs + 1) * width]
    biases += zero @ weights
    weights *= span[:, None]
    values[-(network.nodes[-2] + 1) :] *= unit
    made.weights = values
    return made
