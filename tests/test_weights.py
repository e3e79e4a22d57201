"""Weights of structures and atoms in the loss, and energies of free atoms."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from checks import arrays, silicon_frames
from sitewise import Dataset, Error, train
from sitewise.config import Config
from sitewise.progress import Reporter
from sitewise.training.inputs import make_inputs

QUIET = Reporter(quiet=True)
SETTINGS = {"hidden": [4], "iterations": 5, "preset": "fast", "cutoff": 4.5, "posterior": False}


def inputs_of(frames, **settings):
    return make_inputs(Config.of(**SETTINGS | settings), QUIET, (Dataset(frames), Dataset([])))


def loss_of(inputs):
    inputs.potential.weights = inputs.parameters.weights(inputs.parameters.initial(np.random.default_rng(0)))
    settings = inputs.config.training
    return inputs.train.losses(inputs.potential, range(len(inputs.train.data)), settings)


def test_loss_is_weighted_and_errors_are_not():
    frames = silicon_frames(3, stress=False)
    rng = np.random.default_rng(1)
    structures, atoms = rng.uniform(0, 2, 3), [rng.uniform(0, 2, len(f)) for f in frames]
    for frame, of_structure, of_atoms in zip(frames, structures, atoms, strict=True):
        frame.info["w"] = of_structure
        frame.arrays["a"] = of_atoms
    found = loss_of(inputs_of(frames, structure_weights="w", atom_weights="a", group_weights={"odd": 3.0}))
    plain = inputs_of(frames)
    expected = loss_of(plain)
    assert found.energy_rmse == pytest.approx(expected.energy_rmse)
    assert found.force_rmse == pytest.approx(expected.force_rmse)
    total, components = 0.0, sum(3 * len(f) for f in frames)
    for frame, weight, own, group in zip(frames, structures, atoms, (1.0, 3.0, 1.0), strict=True):
        result = plain.potential.compute(*arrays(frame, (14,)))
        energy = (result["energy"] - frame.get_potential_energy()) / len(frame)
        forces = ((result["forces"] - frame.get_forces()) ** 2).sum(axis=1) @ own
        total += group * weight * (energy**2 / 3 + 0.01 * forces / components)
    assert found.loss == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("value", "settings", "message"),
    [
        (-1.0, {"structure_weights": "w"}, "in memory, structure 1: w is not a weight"),
        ("much", {"structure_weights": "w"}, "in memory, structure 1: w is not a weight"),
        (1.0, {"structure_weights": "v"}, r"structure_weights: no training structure has a value in its info v"),
        (1.0, {"atom_weights": "w"}, r"atom_weights: no training structure has a column w"),
    ],
)
def test_wrong_weights_are_refused(tmp_path, value, settings, message):
    frames = silicon_frames(3)
    frames[1].info["w"] = value
    with pytest.raises(Error, match=message):
        train(frames, tmp_path / "run", reporter=QUIET, test=0.0, **SETTINGS | settings)


def test_a_run_with_other_weights_is_another(tmp_path):
    frames = silicon_frames(3)
    frames[1].info["w"] = 2.0
    settings = {**SETTINGS, "structure_weights": "w", "test": 0.0}
    train(frames, tmp_path / "run", reporter=QUIET, **settings)
    frames[1].info["w"] = 3.0
    with pytest.raises(Error, match="it holds another run: weights was"):
        train(frames, tmp_path / "run", resume=True, reporter=QUIET, **settings)


def atom(symbol, energy, side=0.0):
    found = Atoms(symbol, cell=[side] * 3, pbc=side > 0)
    found.calc = SinglePointCalculator(found, energy=energy)
    return found


def test_energies_of_free_atoms():
    frames = silicon_frames(4)
    assert inputs_of(frames, atom_energies={"Si": -3.5}).potential.atom_energies == [-3.5]
    isolated = [*frames, atom("Si", -1.25, side=15.0), atom("Si", -1.2500001)]
    assert inputs_of(isolated, atom_energies="isolated").potential.atom_energies == [-1.25]
    crystal = [*frames, atom("Si", -4.0, side=3.0)]
    for data, given, message in (
        (frames, {"Ge": 1.0}, "atom_energies has no energy of Si"),
        (frames, {"Si": 0.0, "Ge": 1.0}, "atom_energies has Ge, which no training structure has"),
        (crystal, "isolated", "no structure of one isolated atom has an energy of Si"),
        ([*isolated, atom("Si", -1.5)], "isolated", r"structure 6: the energy of an isolated Si is -1\.5 eV, another"),
    ):
        with pytest.raises(Error, match=message):
            inputs_of(data, atom_energies=given)


@pytest.mark.slow
def test_training_reaches_the_same_errors_from_free_atoms(tmp_path):
    """The networks learn the cohesive energy, which is eV per atom, and the isolated atom by its weight."""
    frames = silicon_frames(12)
    free = atom("Si", frames[0].get_potential_energy() / 8 + 4.0)
    free.info["w"] = 100.0
    settings = SETTINGS | {"iterations": 80, "structure_weights": "w", "atom_energies": "isolated"}
    potential = train([*frames, free], tmp_path / "run", reporter=QUIET, test=0.0, **settings)
    errors = [(potential.evaluate(f).energy - f.get_potential_energy()) / len(f) for f in frames]
    assert np.sqrt(np.mean(np.square(errors))) < 0.02
    assert abs(potential.evaluate(free).energy - free.get_potential_energy()) < 0.005
