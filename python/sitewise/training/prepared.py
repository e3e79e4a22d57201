"""A data set of a run with its features, and the errors of a potential on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import _core
from ..config import Training
from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..structures import Floats
from .weights import atom_weights, combined, structure_weights


class Losses(NamedTuple):
    """Loss without L2 term and RMSE (eV/atom, eV/Angstrom, eV/Angstrom^3); NaN where there is no label."""

    loss: float
    energy_rmse: float
    force_rmse: float
    stress_rmse: float


NOTHING = Losses(*[np.nan] * len(Losses._fields))  # of no structures


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """A data set of a run with its features.

    Attributes
    ----------
    data
        The structures with their labels.
    prepared
        The same structures with features and derivatives.
    """

    data: Dataset
    prepared: TrainingSet

    def weigh(self, settings: Training, of_forces: Sequence[Floats] | None = None) -> None:
        """Set the weights in the loss: those of structures and atoms, times others of the forces on the atoms of
        each."""
        own = combined(atom_weights(self.data, settings), of_forces)
        self.prepared.weigh(structure_weights(self.data, settings), own)

    def losses(self, potential: _core.Potential, structures: Sequence[int], settings: Training) -> Losses:
        """Compute loss and errors over some structures."""
        if not structures:
            return NOTHING
        weights = settings.loss_weights
        loss, _ = self.prepared.loss(potential, structures, weights.force, weights.stress, gradient=False)

        def rmse(label: str, square: float) -> float:
            known = any(getattr(self.data[i], label) is not None for i in structures)
            return float(np.sqrt(square)) if known else np.nan

        errors = rmse("energy", loss["energy"]), rmse("forces", loss["force"]), rmse("stress", loss["stress"])
        return Losses(loss["value"], *errors)
