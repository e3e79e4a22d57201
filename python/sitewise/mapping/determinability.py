"""How far the data determine the energy of each of their atoms, by a Gaussian process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..progress import Advance
from ..structures import Floats
from .diagnostic import Diagnostic
from .gaussian import SumProcess, farthest_points
from .gspace import Placed

LENGTHS = (0.1, 0.2, 0.4)  # of the Gaussian process, distances in G space
MAIN_LENGTH = 0.2  # of what is printed, drawn and ranked by


@dataclass(frozen=True, slots=True)
class AtomDeterminability(Diagnostic):
    """Determinability of each atom, 0 (free) to 1 (fixed).

    Attributes
    ----------
    length_scale
        Length scale of `determinability`, a distance in G space.
    determinability
        A list of the atoms' values for each structure.
    determinability_by_length
        The same for each length scale.
    """

    length_scale: float
    determinability: list[list[float]]
    determinability_by_length: dict[str, list[list[float]]]

    @property
    def of_atoms(self) -> Floats:
        """Determinability of all atoms [n] at the length scale."""
        return np.concatenate(self.determinability)


def representatives(spanning: Sequence[Placed]) -> list[Floats]:
    """Return coordinates of some of the atoms of all sets, for each element."""
    points = zip(*(placed.points for placed in spanning), strict=True)
    return [farthest_points(np.concatenate(own)) for own in points]


def sum_processes(training: Placed, representatives: Sequence[Floats], advance: Advance) -> dict[float, SumProcess]:
    """Return the Gaussian process for each of LENGTHS.

    Parameters
    ----------
    training
        Atoms of the structures whose energies are known.
    representatives
        Coordinates of some atoms for each element.
    advance
        Called for each atom that is done.
    """
    return {length: SumProcess(training, representatives, length, advance) for length in LENGTHS}


def atom_determinability(
    placed: Placed, processes: Mapping[float, SumProcess], advance: Advance
) -> AtomDeterminability:
    """Return the determinability of all atoms by the process of each length scale."""
    by_length = {length: placed.split(p.determinability(placed, advance)) for length, p in processes.items()}
    return AtomDeterminability(MAIN_LENGTH, by_length[MAIN_LENGTH], {str(k): v for k, v in by_length.items()})
