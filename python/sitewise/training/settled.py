"""Settings that follow from the training data where the user gives none."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..config import Config, Functions
from ..io.dataset import Dataset
from ..progress import Reporter
from .linear_fits import sample

# Found by cross-validation on training sets alone, see "Defaults" in docs/development/tried.md.
WIDTH = 0.5  # nodes of a hidden layer, over the cube root of the number of labels
NARROWEST, WIDEST = 15, 40  # nodes
ONE_LAYER = 2 / 3  # nodes of the only hidden layer of the preset "accurate" for one element, over those of two
STRESS = 0.003  # weight of the stress, over the square of the volume per atom
CHOSEN = 160  # functions of the preset "accurate" for one element
CHOSEN_LABELS = 4000  # at least, to choose them
DECAY = 8.0  # weight of L2, over the mean square of the labels divided by their number


def settled(config: Config, data: Dataset, reporter: Reporter, stress_doubted: bool = False) -> Config:
    """Return the configuration with a value for each setting that follows from the training data, and report these
    values. What the user or the recipe gives stays. Stresses that are doubted have no weight."""
    network, training, functions = config.network, config.training, config.symmetry_functions
    found: dict[str, Any] = {}
    chosen = config.start.potential is None and chosen_by_fits(functions, data)
    if chosen and functions.select is None:
        found["select"] = CHOSEN
        functions = functions.model_copy(update={"select": CHOSEN})
    if network.hidden is None:
        width = hidden_width(data)
        found["hidden"] = [round(ONE_LAYER * width)] if chosen else [width] * 2
        network = network.model_copy(update={"hidden": found["hidden"]})
    if training.l2 is None:
        found["l2"] = l2_weight(data, training.force_weight)
        training = training.model_copy(update={"l2": found["l2"]})
    if found:
        values = ", ".join(f"{key} {value}" for key, value in found.items())
        reporter.say(f"{values} for {count_labels(data)} energies and force components")
    if training.stress_weight is None:
        weight = 0.0 if stress_doubted else stress_weight(data)
        training = training.model_copy(update={"stress_weight": weight})
        if data.count("stress"):
            why = ", because of the warning above" if stress_doubted else ""
            reporter.say(f"stress_weight {weight:g} for {data.count('stress')} stresses{why}")
    return config.model_copy(update={"network": network, "training": training, "symmetry_functions": functions})


def chosen_by_fits(table: Functions, data: Dataset) -> bool:
    """Test whether linear fits choose the functions of a run: those of the preset "accurate" for one element, where
    there are enough labels."""
    return table.preset == "accurate" and len(data.elements) == 1 and count_labels(sample(data)) >= CHOSEN_LABELS


def count_labels(data: Dataset) -> int:
    """Count the energies and the components of forces."""
    return data.count("energy") + data.n_force_components


def hidden_width(data: Dataset) -> int:
    """Return the number of nodes of each of two hidden layers: WIDTH times the cube root of the number of labels."""
    return int(np.clip(round(WIDTH * count_labels(data) ** (1 / 3)), NARROWEST, WIDEST))


def l2_weight(data: Dataset, force_weight: float) -> float:
    """Return the weight of the L2 term, DECAY v/n, rounded to two digits.

    n is the number of labels, and v their mean square as it enters the loss: `force_weight` times that of the forces,
    or the variance of the energies per atom where no forces count. So the term scales with the square of the unit of
    energy as the rest of the loss does, and as 1/n like the prior of a posterior distribution.
    """
    squares = [float(np.sum(s.forces**2)) for s in data if s.forces is not None and force_weight > 0]
    if squares:
        square = force_weight * sum(squares) / data.n_force_components
    else:
        square = float(np.var([s.energy / len(s.atoms) for s in data if s.energy is not None] or [0.0]))
    return float(f"{DECAY * square / max(count_labels(data), 1):.2g}")


def stress_weight(data: Dataset) -> float:
    """Return the weight of the stress, STRESS times the square of the mean volume per atom (Angstrom^3) of the
    structures that have one, rounded to two digits; 0 without any.

    Volume per atom times stress is an energy per atom, so the errors of stresses are weighed as those of energies are.
    """
    if not data.count("stress"):
        return 0.0
    volumes = [s.atoms.get_volume() / len(s.atoms) for s in data if s.stress is not None]
    return float(f"{STRESS * np.mean(volumes) ** 2:.2g}")
