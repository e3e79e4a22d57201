"""The mean of a trained network and a linear fit, as one network: where they err in different ways it errs less than
both."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..merging import merged

SHARE = 0.3  # of the fit, found by cross-validation: "Functions that follow the data" in docs/development/tried.md
STRAIGHT = 1e-3  # tanh(STRAIGHT x)/STRAIGHT differs from x (eV) by less than 4e-7 x^3


def has_fit(network: _core.Network) -> bool:
    """Test whether the last node of each hidden layer is a linear fit, as `mean_with_fit` makes it."""
    *hidden, last = list(network.activations)
    straight = last == "l" and bool(hidden) and set(hidden) == {"t"}
    return straight and bool(np.isclose(network.weights[-2], SHARE / STRAIGHT, rtol=1e-6))


def mean_with_fit(potential: _core.Potential, fit: _core.Potential) -> _core.Potential:
    """Return the potential whose energies are those of a network times 1 - SHARE, and of a linear function times SHARE.

    Parameters
    ----------
    potential
        The network, with hidden layers of tanh.
    fit
        The linear function of the same symmetry functions; it becomes one more node in each hidden layer.
    """
    (network,), (linear,) = potential.networks, fit.networks
    hidden = len(network.activations) - 1
    straight = _core.Network([linear.nodes[0], *[1] * hidden, 1], network.activations)
    further = [1.0, 0.0] * (hidden - 1)
    straight.weights = np.concatenate([STRAIGHT * linear.weights, further, [1 / STRAIGHT, 0.0]])
    member = _core.Potential(fit.elements, fit.functions, fit.scaling, [straight], fit.atom_energies)
    return merged([potential, member], [1 - SHARE, SHARE])
