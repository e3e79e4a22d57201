"""The mean of a trained network and a linear fit, as one network: where they err in different ways it errs less than
both."""

from __future__ import annotations

import numpy as np

from .. import _core
from ..merging import merged
from ..progress import Reporter
from .left_out import left_out_errors
from .optimizers import Objective
from .parameters import plain_parameters
from .prepared import PreparedData

OUTPUT = 300.0  # last weight of a linear fit's node: tanh(x/OUTPUT) OUTPUT differs from x (eV) by less than 4e-6 x^3


def has_fit(network: _core.Network) -> bool:
    """Test whether the last node of each hidden layer is a linear fit, as `mean_with_fit` makes it."""
    *hidden, last = list(network.activations)
    straight = last == "l" and bool(hidden) and set(hidden) == {"t"}
    return straight and bool(np.isclose(network.weights[-2], OUTPUT, rtol=1e-6))


def mean_with_fit(potential: _core.Potential, fit: _core.Potential, share: float) -> _core.Potential:
    """Return the potential whose energies are those of a network times 1 - share, and of a linear function times share.

    Parameters
    ----------
    potential
        The network, with hidden layers of tanh.
    fit
        The linear function of the same symmetry functions; it becomes one more node in each hidden layer.
    share
        That of the fit, above 0.
    """
    (network,), (linear,) = potential.networks, fit.networks
    hidden = len(network.activations) - 1
    straight = _core.Network([linear.nodes[0], *[1] * hidden, 1], network.activations)
    further = [1.0, 0.0] * (hidden - 1)
    straight.weights = np.concatenate([share / OUTPUT * linear.weights, further, [OUTPUT / share, 0.0]])
    member = _core.Potential(fit.elements, fit.functions, fit.scaling, [straight], fit.atom_energies)
    return merged([potential, member], [1 - share, share])


def share_of_fit(
    objective: Objective, fit: _core.Potential, baseline: _core.Baseline | None, reporter: Reporter
) -> float:
    """Return the share, between 0 and 1, with which the mean of a network and a linear fit would have the least loss on
    training structures if these had been left out of the training of both; see `left_out_errors`.

    Parameters
    ----------
    objective
        The loss of the training data, with the trained network.
    fit
        The linear function.
    baseline
        What both are added to.
    reporter
        Receives the progress.
    """
    train = PreparedData(objective.data, objective.prepared)
    unpenalized = objective.settings.model_copy(update={"l2": 0.0})
    of_network = left_out_errors(objective, baseline, reporter)
    of_fit = left_out_errors(Objective(train, fit, plain_parameters(fit), unpenalized), baseline, reporter)
    change = of_network - of_fit
    square = max(float(change @ change), np.finfo(float).tiny)
    return float(np.clip(float(of_network @ change) / square, 0, 1))
