"""Students: one network that learns the energies and forces of an ensemble.

Source: G. Hinton, O. Vinyals and J. Dean, arXiv:1503.02531. The numbers were found by cross-validation on training sets
alone, see "Students of ensembles" in docs/development/tried.md.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..config import Config
from ..ensemble import Ensemble
from ..io.dataset import Dataset
from ..presets import nearest_distances
from ..structures import Floats, Structure
from .baseline import without_baseline
from .free_atoms import with_free_atoms
from .inputs import Inputs, feature_source, weigh_to_train
from .parameters import first_parameters, initial_potential
from .prepared import PreparedData
from .random_streams import Stream, random_numbers
from .seconds import Seconds

if TYPE_CHECKING:
    from ase import Atoms

RATTLE = 0.02  # standard deviation of a displacement, over the distance to the nearest neighbour
STRAIN = 0.01  # standard deviation of a component of the strain before it is made symmetric
WIDER = 5 / 3  # nodes of a hidden layer, over those of a teacher
DECAY = 0.05  # weight of L2, over that of a teacher: the labels of an ensemble have little noise


def student_inputs(inputs: Inputs, ensemble: Ensemble) -> Inputs:
    """Return what a student of an ensemble starts from.

    It learns from the training structures and one distorted copy of each, with the labels of the ensemble. The scaling
    is that of the training structures, so that warnings of extrapolation refer to these.
    """
    began, config, original = Seconds.now(inputs.ranks), _student_config(inputs.config), inputs.train.prepared
    data = lessons(inputs.train.data, ensemble, random_numbers(config.training.seed, Stream.COPIES))
    inputs.reporter.say(
        f"student of the ensemble: hidden {config.network.hidden}, l2 {config.training.l2:g}, {len(data)} structures "
        f"with labels of the ensemble"
    )
    train = _prepared(inputs, data)
    weigh_to_train(train, inputs.functions, config.training, inputs.reporter, inputs.ranks)
    table, offsets = config.symmetry_functions, inputs.potential.atom_energies
    closest = inputs.potential.scaling.closest
    potential = initial_potential(inputs.functions, table.scaling, config.network, original, offsets, closest)
    potential.device = inputs.potential.device
    parameters = first_parameters(potential, train.prepared, table.whiten)
    if config.baseline.exact_atom_energies:
        parameters = with_free_atoms(parameters, potential)
    return replace(inputs, config=config, began=began, train=train, potential=potential, parameters=parameters)


def _prepared(inputs: Inputs, data: Dataset) -> PreparedData:
    """Prepare the structures of a student in the memory that its teachers leave."""
    source = feature_source(inputs.config, inputs.reporter, inputs.ranks)
    used = sum(data.prepared.memory.used for data in (inputs.train, inputs.test, inputs.validation))
    left = replace(source, budget=max(source.budget - used, 0))
    left_to_learn = without_baseline(data, inputs.baseline)
    return PreparedData(data, left.prepare(left_to_learn, inputs.functions, "structures of the student"))


def _student_config(config: Config) -> Config:
    assert config.network.hidden is not None
    assert config.training.l2 is not None
    hidden = [math.ceil(WIDER * nodes) for nodes in config.network.hidden]
    training = config.training.model_copy(update={"l2": DECAY * config.training.l2, "replicas": 1})
    network = config.network.model_copy(update={"hidden": hidden})
    return config.model_copy(update={"network": network, "training": training})


def lessons(data: Dataset, ensemble: Ensemble, rng: np.random.Generator) -> Dataset:
    """Return the structures and one distorted copy of each, with the energies, forces and stresses of the ensemble.

    Parameters
    ----------
    data
        The training structures; their own labels are not used.
    ensemble
        The teachers.
    rng
        Random numbers of the distortions.
    """
    elements = data.elements
    distances = nearest_distances(data, elements).min(axis=1)
    nearest = dict(zip(elements, distances, strict=True))
    copies = [replace(s, atoms=_distorted(s.atoms, _lengths(s.atoms, nearest), rng)) for s in data]
    return Dataset(_labelled(structure, ensemble) for structure in [*data, *copies])


def _lengths(atoms: Atoms, nearest: dict[str, float]) -> Floats:
    """Return the distance to the nearest neighbour that is usual for the element of each atom [n], Angstrom."""
    return np.array([nearest[symbol] for symbol in atoms.get_chemical_symbols()])


def _distorted(atoms: Atoms, lengths: Floats, rng: np.random.Generator) -> Atoms:
    """Return a strained and rattled copy."""
    strain = STRAIN * rng.normal(size=(3, 3))
    deformation = np.eye(3) + (strain + strain.T) / 2
    copy: Atoms = atoms.copy()
    copy.cell = atoms.cell.array @ deformation
    copy.positions = atoms.positions @ deformation + RATTLE * lengths[:, None] * rng.normal(size=(len(atoms), 3))
    return copy


def _labelled(structure: Structure, ensemble: Ensemble) -> Structure:
    with structure.named():
        found = ensemble.evaluate(structure.atoms)
    return replace(structure, energy=found.energy, forces=found.forces, stress=found.stress)
