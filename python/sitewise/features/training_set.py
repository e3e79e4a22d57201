"""The interface of a training set, which training and mapping use wherever the structures are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from .. import _core
from ..structures import Floats, Floats32, Ints

Real = TypeVar("Real", np.float32, np.float64)


class Memory(NamedTuple):
    """Memory of a training set, bytes.

    Attributes
    ----------
    used
        All that counts against the budget.
    cached
        Derivatives in memory.
    recomputed
        What derivatives would take that are neither in memory nor in a file: they are computed at each use.
    spilled
        What neighbours, features and labels would take that are in a file.
    """

    used: int
    cached: int
    recomputed: int
    spilled: int


class Coordinates(Protocol):
    """Coordinates theta that the weights of a potential are a function of; see `training.parameters.Parameters`."""

    @property
    def size(self) -> int:
        """Number of coordinates n."""

    def gradient(self, weight_gradient: npt.NDArray[Real], weights: Floats) -> npt.NDArray[Real]:
        """Return d/d(theta) [..., n] from d/d(weights) [..., n_weights], at some weights [n_weights]."""


class Rows(NamedTuple):
    """Rows of a Jacobian J, which has the derivatives of energies and of some components of the forces.

    Attributes
    ----------
    structures
        Structures whose energies and forces have rows.
    components
        Components of the forces, 3 atom + axis, for each of these structures.
    scales
        Factor of each row, an array [1 + components] for each of these structures.
    """

    structures: list[int]
    components: list[list[int]]
    scales: list[Floats]

    @property
    def number(self) -> int:
        """Number of rows."""
        return sum(map(len, self.scales))


class TrainingSet(Protocol):
    """Structures with labels, features and derivatives of the features, numbered from 0."""

    def __len__(self) -> int:
        """Number of structures."""

    @property
    def memory(self) -> Memory:
        """Memory of the set; that of the rank that has most."""

    def species(self, structure: int) -> Ints:
        """Return the index of the element of each atom [atoms]."""

    def features(self, structure: int) -> Floats:
        """Return the values of the symmetry functions [atoms, max_count], not scaled."""

    def each(self, function: Callable[[Floats, Ints], Any], structures: Iterable[int]) -> Iterator[Any]:
        """Yield `function(features, species)` of some structures, in order; the rank that has a structure computes it,
        and imports the function by its name."""

    def least(self, function: Callable[[Floats, Ints], Floats], structures: Iterable[int]) -> Floats:
        """Return the least values of the arrays that `each` would yield; +inf without structures."""

    def statistics(self, structures: Sequence[int]) -> list[Floats]:
        """Return minimum, maximum, mean and standard deviation of the features of each element [4, count]."""

    def weights(self, structure: int) -> tuple[float, Floats]:
        """Return the weight of a structure and, multiplied by it, those of the forces on its atoms [atoms]."""

    def loss(
        self,
        potential: _core.Potential,
        structures: Sequence[int],
        force_weight: float,
        stress_weight: float,
        gradient: bool = True,
    ) -> tuple[_core.Loss, Floats | None]:
        """Return the loss over some structures, without L2 term, and its gradient by the weights [n_weights]."""

    def weigh(self, weights: Sequence[float], of_forces: Sequence[Floats] | None = None) -> None:
        """Set the weights in the loss: of all structures and, beside them, of the forces on the atoms of each."""

    def scaled_jacobian(self, potential: _core.Potential, coordinates: Coordinates, rows: Rows) -> Floats32:
        """Return rows of J [number, n], the derivatives by theta at the weights of a potential."""

    def gauss_newton(self, potential: _core.Potential, coordinates: Coordinates, rows: Rows) -> Floats:
        """Return J^T J [n, n] of these rows."""
