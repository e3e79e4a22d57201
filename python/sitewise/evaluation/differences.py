"""Differences of energies with error bars, in which the errors that structures have in common cancel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.dataset import Dataset
from ..potential import Potential


@dataclass(frozen=True, slots=True)
class EnergyDifference:
    """Energy of a structure and its difference from that of the first one, with error bars, all in eV or eV/atom.

    Attributes
    ----------
    name
        File and place of the structure.
    """

    name: str
    energy: float
    bar: float
    difference: float
    difference_bar: float


def energy_differences(potential: Potential, data: Dataset, per_atom: bool) -> list[EnergyDifference]:
    """Compare the energies of structures, or their energies per atom, with that of the first one.

    Raises
    ------
    Error
        A structure cannot be evaluated, or there is no posterior.
    """
    energies = []
    for structure in data:
        with structure.named():
            energies.append(potential.evaluate(structure.atoms).energy)
    sizes = np.array([len(structure.atoms) if per_atom else 1.0 for structure in data])
    covariance = potential.energy_covariance([structure.atoms for structure in data]) / np.outer(sizes, sizes)
    values, variances = energies / sizes, np.diag(covariance)
    bars = np.sqrt(np.maximum(variances + variances[0] - 2 * covariance[0], 0.0))
    names = [structure.source for structure in data]
    columns = names, values.tolist(), np.sqrt(variances).tolist(), (values - values[0]).tolist(), bars.tolist()
    return [EnergyDifference(*row) for row in zip(*columns, strict=True)]
