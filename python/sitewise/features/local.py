"""The training set of a single process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from .. import _core
from .._core import Error
from ..io.dataset import Dataset
from ..structures import Floats, Floats32, Ints, core_arrays
from .cache import StoredPart
from .training_set import Coordinates, Memory, Rows


class LocalSet(_core.TrainingSet):
    """A training set in this process; see `TrainingSet`."""

    @property
    def memory(self) -> Memory:
        return Memory(*super().memory)

    def extend(self, data: Dataset, elements: Sequence[str], stored: StoredPart | None = None) -> None:
        """Add structures; their features and derivatives are computed unless they are stored.

        Raises
        ------
        Error
            Names the structure with bad coordinates or an element without functions.
        """
        arrays = []
        for s in data:
            with s.named():
                species, positions, cell, pbc = core_arrays(s.atoms, elements, "the training set")
            labels = {"energy": np.nan if s.energy is None else s.energy, "forces": s.forces, "stress": s.stress}
            arrays.append({"species": species, "positions": positions, "cell": cell, "pbc": pbc, **labels})
        try:
            self.add(arrays, *(stored or ()))
        except Error as error:
            raise Error(f"{data[getattr(error, 'index', 0)].source}: {error}") from None

    def each(self, function: Callable[[Floats, Ints], Any], structures: Iterable[int]) -> Iterator[Any]:
        return (function(self.features(i), self.species(i)) for i in structures)

    def least(self, function: Callable[[Floats, Ints], Floats], structures: Iterable[int]) -> Floats:
        return reduce(np.minimum, self.each(function, structures), np.asarray(np.inf))

    def weigh(self, weights: Sequence[float], of_forces: Sequence[Floats] | None = None) -> None:
        for i, weight in enumerate(weights):
            self.set_weights(i, weight, None if of_forces is None else of_forces[i])

    def scaled_jacobian(self, potential: _core.Potential, coordinates: Coordinates, rows: Rows) -> Floats32:
        if not rows.structures:
            return np.zeros((0, coordinates.size), dtype=np.float32)
        J = self.jacobian(potential, rows.structures, rows.components).astype(np.float32)
        J *= np.concatenate(rows.scales).astype(np.float32)[:, None]
        return coordinates.gradient(J, potential.weights)

    def gauss_newton(self, potential: _core.Potential, coordinates: Coordinates, rows: Rows) -> Floats:
        """Return J^T J, see `TrainingSet`; the processor takes the product in single precision."""
        if potential.device == "cuda":
            scales = np.concatenate([*rows.scales, np.empty(0)])
            of_weights = self.normal_matrix(potential, rows.structures, rows.components, scales)
            half = coordinates.gradient(of_weights, potential.weights)
            return coordinates.gradient(half.T, potential.weights)
        J = self.scaled_jacobian(potential, coordinates, rows)
        matrix: Floats = (J.T @ J).astype(np.float64)
        return matrix
