"""The posterior distribution of a potential's weights, in a file of its own, and the error bars that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import _core
from .files import write_text
from .structures import Arrays, Floats

FILE = "posterior.data"  # in the directory of a potential
TEXT = """\
# Posterior distribution of the weights, for error bars; made by sitewise, other programs do not read it.
# A line for each weight, in the order of the files of weights: the weight, the shift of the mean, then the draws.
"""
TINIEST = 1e-90  # its exponent has two digits
COMPONENTS = 3000  # of the forces, whose derivatives by the weights are in memory at once


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Error bars of a structure of n atoms: one standard deviation of the posterior distribution.

    Attributes
    ----------
    energy
        Of the total energy, eV.
    energies
        Of the atomic energies [n], eV.
    forces
        [n, 3], eV/Angstrom.
    """

    energy: float
    energies: Floats
    forces: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """A normal distribution of the weights of a potential.

    Predictions are linearised about the weights: one with the derivative g by the weights has the bar
    sqrt((g.shift)^2 + mean over draws of (g.draw)^2), its root mean square deviation. With 64 draws the random error of
    a bar is at most 9 %. The same draws serve all structures, so their errors keep their correlation.

    Attributes
    ----------
    weights
        Those of the potential [n].
    shift
        The mean of the distribution less the weights [n].
    draws
        Random deviations from the mean [draws, n].
    force_factor
        Factor of the bars of forces, which are calibrated apart from those of energies.
    """

    weights: Floats
    shift: Floats
    draws: Floats
    force_factor: float

    @classmethod
    def load(cls, folder: Path) -> Posterior | None:
        """Read the posterior that is stored with a potential; None if there is none.

        Raises
        ------
        Error
            The file is damaged.
        """
        if not (folder / FILE).exists():
            return None
        found = _core.Posterior.load(str(folder))
        return cls(found.weights, found.shift, found.draws, found.force_factor)

    def save(self, folder: Path) -> None:
        """Write the file that `load` reads into the directory of the potential; raise Error if that fails."""
        count, n = self.draws.shape
        deviations = np.column_stack([self.shift, self.draws.T])
        deviations[np.abs(deviations) < TINIEST] = 0.0
        rows = (
            f"{weight: .16e}" + "".join(f" {x: .6e}" for x in row) + "\n"
            for weight, row in zip(self.weights.tolist(), deviations.tolist(), strict=True)
        )
        head = f"{TEXT}weights {n} draws {count} force_factor {self.force_factor:.6e}\n"
        write_text(folder / FILE, head + "".join(rows))

    def bars(self, core: _core.Potential, arrays: Arrays) -> Bars:
        """Return the error bars of a structure.

        Parameters
        ----------
        core
            The potential that the posterior belongs to.
        arrays
            The structure, see `core_arrays`.
        """
        prepared = _prepared(core, arrays)
        factor = self._factor()
        energies = np.array([factor[:, place] @ gradient for place, gradient in _atomic_gradients(core, prepared)]).T
        forces = [_norms(factor @ rows.T) for rows in _force_rows(core, prepared, len(arrays[0]))]
        return Bars(
            float(_norms(energies.sum(axis=1))),
            _norms(energies),
            self.force_factor * np.concatenate(forces).reshape(-1, 3),
        )

    def energy_covariance(self, core: _core.Potential, structures: Sequence[Arrays]) -> Floats:
        """Return the covariance of the total energies of some structures [m, m], eV^2."""
        rows = [_prepared(core, arrays).jacobian(core, [0], [[]])[0] for arrays in structures]
        deviations = np.array(rows) @ self._factor().T
        covariance: Floats = deviations @ deviations.T
        return covariance

    def _factor(self) -> Floats:
        """Return D [1 + draws, n]; the mean square deviation of the weights is D^T D."""
        return np.vstack([self.shift, self.draws / np.sqrt(len(self.draws))])


def _prepared(core: _core.Potential, arrays: Arrays) -> _core.TrainingSet:
    prepared = _core.TrainingSet(core.functions, 1 << 62)
    names = ("species", "positions", "cell", "pbc")
    prepared.add([{**dict(zip(names, arrays, strict=True)), "energy": np.nan, "forces": None, "stress": None}])
    return prepared


def _atomic_gradients(core: _core.Potential, prepared: _core.TrainingSet) -> Iterator[tuple[slice, Floats]]:
    """Yield the place of the weights of each atom's network among all weights, and the derivative of the atomic energy
    by them, eV."""
    networks, scaling, unit = core.networks, core.scaling, 1 / core.normalization[1]
    ends = np.cumsum([network.weights.size for network in networks]).tolist()
    for element, values in zip(prepared.species(0).tolist(), prepared.features(0), strict=True):
        network = networks[element]
        inputs = scaling.apply(element, values[None, : network.nodes[0]])
        gradient = network.weight_gradient(inputs, np.full(1, unit), np.zeros_like(inputs))
        yield slice(ends[element] - gradient.size, ends[element]), gradient


def _force_rows(core: _core.Potential, prepared: _core.TrainingSet, atoms: int) -> Iterator[Floats]:
    """Yield derivatives of force components by the weights, [components, n] at a time."""
    for first in range(0, 3 * atoms, COMPONENTS):
        components = list(range(first, min(first + COMPONENTS, 3 * atoms)))
        yield prepared.jacobian(core, [0], [components])[1:]


def _norms(deviations: Floats) -> Floats:
    """Return the root of the sum of squares over the first axis."""
    return np.asarray(np.sqrt(np.sum(deviations**2, axis=0)))
