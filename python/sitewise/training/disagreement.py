"""Replicas that disagree where the data leave energies open.

Networks that are trained alike from different first weights agree on atomic energies that no data determine, since the
L2 term leads all of them to the same smooth ones. So each replica is pulled towards a random draw of the open energies.
Source: anchored ensembles, T. Pearce et al., AISTATS 2020; here the anchors are functions in place of weights, drawn
from the Gaussian process of `sitewise.mapping`. The numbers are those of "Replicas" in docs/development/tried.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .. import _core
from ..mapping.energy_process import REPRESENTATIVES, EnergyProcess, Measurements, Part
from ..mapping.gaussian import farthest
from ..mapping.gspace import Embedding, Environments, GSpace, Placed
from ..structures import Floats
from .baseline import without_baseline
from .inputs import Inputs
from .optimizers import LBFGS, Objective, silent_line_searches
from .random_streams import Stream, random_numbers

PARTS = (Part(1.2, 1.0), Part(0.3, 0.03))  # of the atomic energies that are drawn
OPEN = 0.03  # eV, RMS over environments, above which a combination of atomic energies is open
WIDER = 3.0  # deviation of a draw over that of the process, which is too small for networks where ratios hardly change
PULL = 0.001  # weight in the loss of the mean square of the distance (eV) of atomic energies from their draw
ITERATIONS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Some environments of the data, as different as possible, whose atomic energies are pulled.

    Attributes
    ----------
    inputs
        Inputs of the network [m_e, n], for each element.
    """

    inputs: list[Floats]

    def energies(self, core: _core.Potential) -> Floats:
        """Return the atomic energies [m], eV, relative to those of the elements."""
        each = [network.evaluate(own)[0].ravel() for network, own in zip(core.networks, self.inputs, strict=True)]
        return np.concatenate(each)

    def gradient(self, core: _core.Potential, factors: Floats) -> Floats:
        """Return the derivative by the weights [n_weights] of the sum of factors [m] times atomic energies."""
        ends = np.cumsum([len(own) for own in self.inputs])
        parts = zip(core.networks, self.inputs, np.split(factors, ends[:-1]), strict=True)
        return np.concatenate([network.weight_gradient(own, a, np.zeros_like(own)) for network, own, a in parts])


class PulledObjective(Objective):
    """The loss with a term that pulls the atomic energies of some environments to given energies [m], eV."""

    def __init__(self, inputs: Inputs, potential: _core.Potential, probes: Probes, energies: Floats) -> None:
        super().__init__(inputs.train, potential, inputs.parameters, inputs.config.training)
        self._probes, self._energies = probes, energies

    def __call__(self, theta: Floats, structures: Sequence[int] | None = None) -> tuple[float, Floats]:
        """Return the loss with this term, and its gradient [n]."""
        value, gradient = super().__call__(theta, structures)
        if not np.isfinite(value):
            return value, gradient
        away = self._probes.energies(self.potential) - self._energies
        slope = self._probes.gradient(self.potential, 2 * PULL / away.size * away)
        return value + PULL * float(np.mean(away**2)), gradient + self.parameters.gradient(
            slope, self.potential.weights
        )


def set_apart(inputs: Inputs, potential: _core.Potential, trained: Sequence[Floats]) -> list[Floats]:
    """Return the parameters [n] of replicas after each was pulled towards its draw.

    They are unchanged if the data leave nothing open, or have no energies.

    Parameters
    ----------
    inputs
        Data and settings that the replicas were trained with.
    potential
        A potential of the replicas' shape, whose weights are overwritten.
    trained
        Parameters of each replica after training [n].
    """
    if not inputs.train.data.count("energy"):
        return list(trained)
    probes, offsets = open_offsets(inputs, len(trained))
    if not np.any(offsets):
        return list(trained)
    found = []
    steps = ITERATIONS * len(trained)
    with silent_line_searches(), inputs.reporter.task("setting replicas apart", steps) as advance:
        for replica, theta in enumerate(trained):
            potential.weights = inputs.parameters.weights(theta)
            objective = PulledObjective(inputs, potential, probes, probes.energies(potential) + offsets[replica])
            optimizer = LBFGS(objective, partial(_matrices, inputs.config.training.seed + replica), True)
            memory = optimizer.start(theta)
            for iteration in range(ITERATIONS):
                theta = optimizer.step(theta, memory, iteration).theta
                advance()
            found.append(theta)
    return found


def open_offsets(inputs: Inputs, replicas: int) -> tuple[Probes, Floats]:
    """Return some environments and random changes of their atomic energies that the data leave open [replicas, m], eV.

    The changes have WIDER times the standard deviation of the Gaussian process in combinations that are OPEN, and are 0
    in others. Their mean over the replicas is 0 and their sample deviation is exact. So the mean of the ensemble stays.
    """
    functions = inputs.functions
    structures = without_baseline(inputs.train.data, inputs.baseline)
    environments = Environments.of(structures, functions)
    space = GSpace.of(environments, [functions.core.count(e) for e in range(len(functions.elements))])
    data = Embedding(structures, functions, space, space.place(environments))
    chosen = [farthest(points, REPRESENTATIVES) for points in data.placed.points]
    points = [own[places] for own, places in zip(data.placed.points, chosen, strict=True)]
    probed = Placed.apart(points)
    roots = EnergyProcess(Measurements.of(data), [probed], PARTS).roots(probed)
    variances, vectors = np.linalg.eigh(roots @ roots.T)
    free = variances > OPEN**2 * len(roots)
    normal = random_numbers(inputs.config.training.seed, Stream.OFFSETS).normal(size=(replicas, int(free.sum())))
    normal -= normal.mean(axis=0)
    normal *= WIDER * np.sqrt(variances[free]) / normal.std(axis=0, ddof=1)
    scaled = [
        inputs.potential.scaling.apply(e, environments.features[rows[places], : space.counts[e]])
        for e, (rows, places) in enumerate(zip(data.placed.rows, chosen, strict=True))
    ]
    return Probes(scaled), normal @ vectors[:, free].T


def _matrices(seed: int, _: Stream, number: int) -> np.random.Generator:
    """Return random numbers of a matrix, which differ from those of training."""
    return random_numbers(seed, Stream.OFFSETS, 1 + number)
