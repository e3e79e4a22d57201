"""A run that starts from the weights of a potential, with its functions, networks, and scaling widened to new data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import _core
from .._core import Error
from ..config import Config, Functions, Start
from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..io.simple_nn import read_potential
from ..potential import Potential
from ..progress import Reporter
from ..structures import Floats
from ..symmetry import doubt_cutoff
from .baseline import pair_tables
from .mean_with_fit import has_fit
from .parameters import Parameters, Real


def read_start(table: Start, reporter: Reporter) -> Potential:
    """Read the potential to start from: a directory of n2p2, RuNNer or sitewise, or SIMPLE-NN's `potential_saved`.

    Raises
    ------
    Error
        It cannot be read.
    """
    assert table.potential is not None
    path = Path(table.potential)
    if path.is_file():
        return read_potential(path)
    found = Potential.load(path, table.cflength, table.cfenergy)
    doubt_cutoff(found.functions, path, table.cflength, reporter)
    return found


def require_same(config: Config, start: Potential, data: Dataset) -> Config:
    """Return the configuration with baseline and network of the potential to start from.

    Raises
    ------
    Error
        Elements of the data, or settings, are not those of the potential.
    """
    path, elements = config.start.potential, list(start.elements)
    if data.elements != elements:
        raise Error(f"{path}: is for {', '.join(elements)}, the training structures have {', '.join(data.elements)}")
    hidden = start.core.networks[0].nodes[1:-1]
    if config.symmetry_functions != Functions(whiten=config.symmetry_functions.whiten):
        raise Error(f"[symmetry_functions] are those of {path}, from which the run starts; remove all keys but whiten")
    if config.network.hidden not in (None, hidden):
        raise Error(f"[network] hidden is {config.network.hidden}, {path} has {hidden}")
    baseline = start.core.baseline
    zbl, given = baseline.zbl if baseline else None, config.baseline.zbl
    if (isinstance(given, list) and tuple(given) != zbl) or (given == "none" and zbl is not None):
        raise Error(f"[baseline] zbl is {given}, {path} has {zbl or 'none'}")
    tables = pair_tables(config.baseline, elements)
    if tables and tables != (baseline.tables if baseline else {}):
        raise Error(f"[baseline] pair_tables are not those of {path}, from which the run starts; remove them")
    layers = min(len(network.nodes) for network in start.core.networks) - 1
    if config.start.frozen >= layers:
        raise Error(f"[start] frozen is {config.start.frozen}, expected less than the {layers} layers of {path}")
    if config.training.replicas > 1:
        raise Error(f"[training] replicas is {config.training.replicas}, but all would start from the same {path}")
    table = config.baseline.model_copy(update={"zbl": "none" if zbl is None else list(zbl)})
    network = config.network.model_copy(update={"hidden": hidden})
    return config.model_copy(update={"baseline": table, "network": network})


def widened(start: Potential, training_set: TrainingSet, closest: Floats) -> _core.Potential:
    """Return the same potential with a scaling to the range of its own data and of the training set together.

    x = a G + b of the old scaling is c x' + d of the new one. So weights of the first layer are multiplied by c, and d
    is added to its biases. Energies are in eV, without normalisation.

    Parameters
    ----------
    start
        The potential.
    training_set
        The new data.
    closest
        Closest distances of pairs of elements in the new data, Angstrom. They are left out if those of the potential's
        own data are unknown.
    """
    core = start.core
    old, unit, mean = core.scaling, core.normalization[1], core.normalization[0]
    own = training_set.statistics(range(len(training_set)))
    statistics = [_together(old.statistics(e), now) for e, now in enumerate(own)]
    both = np.minimum(old.closest, closest) if old.closest.size else old.closest
    scaling = _core.Scaling(old.type, old.smin, old.smax, statistics, both)
    networks = []
    for e, network in enumerate(core.networks):
        ends = np.stack([np.zeros(network.nodes[0]), np.ones(network.nodes[0])])
        before, after = old.apply(e, ends), scaling.apply(e, ends)
        slopes = after[1] - after[0]
        c = np.divide(before[1] - before[0], slopes, out=np.zeros_like(slopes), where=slopes != 0)
        networks.append(_rescaled(network, c, before[0] - c * after[0], unit))
    offsets = [energy + mean for energy in core.atom_energies]
    return _core.Potential(core.elements, core.functions, scaling, networks, offsets)


def _together(old: Floats, new: Floats) -> Floats:
    """Return minimum, maximum, mean and sigma [4, n] of both; mean and sigma are those of the old."""
    return np.stack([np.minimum(old[0], new[0]), np.maximum(old[1], new[1]), old[2], old[3]])


def _rescaled(network: _core.Network, c: Floats, d: Floats, unit: float) -> _core.Network:
    """Return the network e(c x' + d)/unit of x'."""
    if unit != 1.0 and network.activations[-1] != "l":
        raise Error("a potential in other units whose output is not linear cannot be trained further")
    n, hidden = network.nodes[:2]
    weights = network.weights.copy()
    matrix, bias = weights[: n * hidden].reshape(n, hidden), weights[n * hidden : (n + 1) * hidden]
    bias += d @ matrix
    matrix *= c[:, None]
    weights[-(network.nodes[-2] + 1) :] /= unit
    made = _core.Network(network.nodes, network.activations, network.normalize_nodes)
    made.weights = weights
    return made


@dataclass(frozen=True)
class FrozenParameters(Parameters):
    """Parameters whose first layers keep the values of a potential.

    Attributes
    ----------
    kept
        All parameters at the start [all].
    free
        Indices of the parameters that are trained [n].
    """

    kept: Floats
    free: npt.NDArray[np.int64]

    @property
    def penalized(self) -> Floats:
        """1 for the parameters that the L2 term acts on, 0 for the others [n]."""
        return self.whole.penalized[self.free]

    def weights(self, theta: Floats) -> Floats:
        """Return the weights of the potential [n_weights]."""
        everything = self.kept.copy()
        everything[self.free] = theta
        return super().weights(everything)

    @property
    def whole(self) -> Parameters:
        """The parameters of all layers."""
        return Parameters(self.transforms, self.networks)

    def change(self, direction: Floats, weights: Floats) -> Floats:
        """Return the derivative of the weights along a direction [n] of theta, at some weights [n_weights]."""
        everything = np.zeros_like(self.kept)
        everything[self.free] = direction
        return super().change(everything, weights)

    def gradient(self, weight_gradient: npt.NDArray[Real], weights: Floats) -> npt.NDArray[Real]:
        """Return d/d(theta) [..., n] from d/d(weights) [..., n_weights], at some weights [n_weights]."""
        return super().gradient(weight_gradient, weights)[..., self.free]


def frozen(
    parameters: Parameters, theta: Floats, layers: int, networks: Sequence[_core.Network]
) -> tuple[Parameters, Floats]:
    """Return the parameters without those of the first `layers` layers of each network and of linear fits in it, and
    their values. The L2 term would destroy a fit, whose last weight is large."""
    fits = [has_fit(network) for network in networks]
    if layers == 0 and not any(fits):
        return parameters, theta
    free = np.concatenate(
        [_free(nodes, layers, fit) for nodes, fit in zip(parameters.networks, fits, strict=True)],
    )
    kept = FrozenParameters(parameters.transforms, parameters.networks, theta, np.flatnonzero(free))
    return kept, theta[free]


def _free(nodes: Sequence[int], layers: int, fit: bool) -> npt.NDArray[np.bool_]:
    """Return of each weight of a network whether it is trained; a fit is the last node of each hidden layer."""
    parts = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(nodes)):
        part = np.full((fan_in + 1, fan_out), layer >= layers)
        if fit and layer > 0:
            part[fan_in - 1] = False  # what the fit gives
        if fit and layer < len(nodes) - 2:
            part[:, -1] = False  # and gets
        parts.append(part.ravel())
    return np.concatenate(parts)
