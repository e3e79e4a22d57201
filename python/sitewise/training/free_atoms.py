"""Free atoms that have exactly the energies of the table: a constraint on the networks that training keeps.

Without neighbours all symmetry functions are 0, so the network of an element has one output for a free atom. The
constraint makes it 0, and the energy of the free atom is then the offset of the element. The bias of the last layer is
no parameter: it is minus the output without it, a function of all other weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import _core
from .._core import Error
from ..progress import Reporter
from ..structures import Floats
from .parameters import Parameters, Real

EXACT, ALMOST = 1e-6, 0.1  # eV, differences of a start's free atoms that are not reported, and that are refused


@dataclass(frozen=True)
class WithFreeAtoms(Parameters):
    """Parameters of networks whose output is 0 for a free atom. Those of the last biases have no effect.

    Attributes
    ----------
    free
        The parameters without the constraint.
    shapes
        Arguments of `_core.Network` for each element.
    inputs
        The inputs of each network for a free atom [1, n].
    """

    free: Parameters
    shapes: list[tuple[list[int], str]]
    inputs: list[Floats]

    @property
    def penalized(self) -> Floats:
        """1 for the parameters that the L2 term acts on, 0 for the others [n]."""
        return self.free.penalized

    @property
    def whole(self) -> Parameters:
        """The parameters of all layers."""
        return replace(self, free=self.free.whole)

    def weights(self, theta: Floats) -> Floats:
        """Return the weights of the potential [n_weights]."""
        weights = self.free.weights(theta)
        for last, inputs, network in self._at_free_atoms(weights):
            weights[last] -= network.evaluate(inputs)[0].item()
        return weights

    def change(self, direction: Floats, weights: Floats) -> Floats:
        """Return the derivative of the weights along a direction [n] of theta, at some weights [n_weights]."""
        change = self.free.change(direction, weights)
        for last, own, slope in self._slopes(weights):
            change[last] -= slope @ change[own]
        return change

    def of_weights(self, weights: Floats) -> Floats:
        """Return the parameters [n] of some weights, as `Parameters.of_weights`."""
        return self.free.of_weights(weights)

    def gradient(self, weight_gradient: npt.NDArray[Real], weights: Floats) -> npt.NDArray[Real]:
        """Return d/d(theta) [..., n] from d/d(weights) [..., n_weights], at some weights [n_weights]. That of a free
        atom's energy is 0 without rounding errors, which the posterior would divide by the energy's error."""
        gradient = weight_gradient.copy()
        rounding = 4 * np.finfo(gradient.dtype).eps
        for last, own, slope in self._slopes(weights):
            part, change = gradient[..., own], gradient[..., last, None] * slope.astype(gradient.dtype)
            part -= change
            part[np.abs(part) <= rounding * np.abs(change)] = 0.0
        return self.free.gradient(gradient, weights)

    def _slopes(self, weights: Floats) -> Iterator[tuple[int, slice, Floats]]:
        """Yield the place of each last bias, the weights of its network, and the derivative by them of the output for
        a free atom; that by the bias is 1."""
        for last, inputs, network in self._at_free_atoms(weights):
            slope = network.weight_gradient(inputs, np.ones(1), np.zeros_like(inputs))
            yield last, slice(last + 1 - slope.size, last + 1), slope

    def _at_free_atoms(self, weights: Floats) -> Iterator[tuple[int, Floats, _core.Network]]:
        """Yield the place of each last bias, the inputs [1, n] of a free atom, and the network with its weights."""
        first = 0
        for shape, inputs in zip(self.shapes, self.inputs, strict=True):
            network = _core.Network(*shape)
            end = first + network.weights.size
            network.weights = weights[first:end]
            yield end - 1, inputs, network
            first = end


def with_free_atoms(parameters: Parameters, potential: _core.Potential) -> WithFreeAtoms:
    """Return these parameters of a potential, with the constraint."""
    shapes = [(network.nodes, network.activations) for network in potential.networks]
    inputs = [potential.scaling.apply(e, np.zeros((1, nodes[0]))) for e, (nodes, _) in enumerate(shapes)]
    return WithFreeAtoms(parameters.transforms, parameters.networks, parameters, shapes, inputs)


def moved_to_free_atoms(
    potential: _core.Potential, energies: list[float], name: str, reporter: Reporter
) -> _core.Potential:
    """Return a potential to start from with other offsets, which are the energies of free atoms, eV.

    Its last biases do not count, as the constraint replaces them. All atoms of an element then change their energies by
    as much as a free one, which is reported.

    Raises
    ------
    Error
        Its free atoms have other energies, or its networks do not end in a sum.
    """
    if any(network.normalize_nodes or network.activations[-1] != "l" for network in potential.networks):
        raise Error(f"[baseline] exact_atom_energies needs a linear output layer, that of {name} is not linear")
    nowhere = np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool)
    for e, (element, energy) in enumerate(zip(potential.elements, energies, strict=True)):
        found = potential.compute(np.array([e]), *nowhere)["energy"]
        if not abs(found - energy) < ALMOST:
            raise Error(
                f"[baseline] exact_atom_energies: a free {element} has {found:.3f} eV in {name}, expected "
                f"{energy:.3f} within {ALMOST:g}"
            )
        if abs(found - energy) > EXACT:
            change = 1000 * (energy - found)
            reporter.say(
                f"all energies of {element} are shifted by {change:+.3g} meV from {name}, so that free atoms are exact"
            )
    return _core.Potential(potential.elements, potential.functions, potential.scaling, potential.networks, energies)
