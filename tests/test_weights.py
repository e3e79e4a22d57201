"""Weights of structures and atoms in the loss, and energies of free atoms."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from checks import Listener, arrays, assert_close, directional_derivative, silicon_frames
from sitewise import Dataset, Ensemble, Error, Potential, train
from sitewise.config import Config
from sitewise.features.training_set import Rows
from sitewise.progress import Reporter
from sitewise.training.inputs import make_inputs
from sitewise.training.optimizers import Objective

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


def exact(frames, **settings):
    """Return the inputs of a run whose free atoms have exactly their energies."""
    return inputs_of(frames, atom_energies="isolated", exact_atom_energies=True, **settings)


def two_elements():
    """Make labelled frames of Si and Ge and their isolated atoms."""
    frames = silicon_frames(4)
    for frame in frames:
        frame.symbols[[1, 4]] = "Ge"
    return [*frames, atom("Si", -101.25), atom("Ge", -99.5)]


def free_energies(core):
    """Return the energy of a free atom of each element, by the potential."""
    nowhere = np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool)
    return [core.compute(np.array([e]), *nowhere)["energy"] for e in range(len(core.elements))]


@pytest.mark.parametrize("whiten", [True, False])
def test_free_atoms_keep_their_energies_at_all_parameters(whiten):
    """The gradient is that of the loss with the constraint, and changes of weights leave free atoms as they are."""
    inputs = exact(two_elements(), whiten=whiten, stress_weight=2.0, l2=1e-3)
    rng, parameters = np.random.default_rng(0), inputs.parameters
    theta = parameters.initial(rng) + rng.normal(0, 0.1, parameters.size)
    objective = Objective(inputs.train, inputs.potential, parameters, inputs.config.training)
    direction = rng.normal(size=parameters.size)

    def loss(h):
        return objective(theta + h * direction)[0]

    assert_close(directional_derivative(loss, 1e-4), objective(theta)[1] @ direction, 1e-8)
    weights = parameters.weights(theta)
    assert_close(free_energies(inputs.potential), [-101.25, -99.5], 1e-13)
    change = parameters.change(direction, weights)
    finite = directional_derivative(lambda h: parameters.weights(theta + h * direction), 1e-4)
    assert_close(change, finite, 1e-8)
    g = rng.normal(size=weights.size)
    assert_close(g @ change, parameters.gradient(g, weights) @ direction, 1e-10)
    rows = Rows([4, 5, 0], [[], [], []], [np.ones(1)] * 3)
    largest = np.abs(inputs.train.prepared.scaled_jacobian(inputs.potential, parameters, rows)).max(axis=1)
    assert (largest == 0).tolist() == [True, True, False]


def test_free_atoms_that_cannot_be_exact():
    frames = two_elements()
    known = {"Si": -101.25, "Ge": -99.0}
    with pytest.raises(Error, match=r"atom_energies has -99 eV for Ge, .* isolated atom .* has -99\.5"):
        inputs_of(frames, atom_energies=known, exact_atom_energies=True)
    with pytest.raises(Error, match="exact_atom_energies needs atom_energies"):
        inputs_of(frames, exact_atom_energies=True)


@pytest.mark.slow
def test_training_keeps_free_atoms_exact(tmp_path, monkeypatch):
    """In files, after a warm start with frozen layers, in replicas and their student, and by their error bars."""
    monkeypatch.setattr("sitewise.training.disagreement.ITERATIONS", 2)
    frames = two_elements()
    run = SETTINGS | {"iterations": 4, "atom_energies": "isolated", "exact_atom_energies": True, "test": frames[:2]}
    train(frames, tmp_path / "first", reporter=QUIET, **run | {"posterior": True})
    first = Potential.load(tmp_path / "first")
    assert_close(free_energies(first.core), [-101.25, -99.5], 1e-13)
    free = first.evaluate(frames[-1], bars=True)
    assert free.bars.energy < 1e-5 * first.evaluate(frames[0], bars=True).bars.energies.min()
    start = {key: run[key] for key in run if key not in ("hidden", "preset", "cutoff")} | {"frozen": 1}
    start |= {"potential": str(tmp_path / "first")}
    other = [*frames[:-2], atom("Si", -101.0), frames[-1]]
    with pytest.raises(Error, match=r"a free Si has -101\.250 eV in .*first, expected -101\.000 within 0\.1"):
        train(other, tmp_path / "other", reporter=QUIET, **start)
    near, listener = [*frames[:-2], atom("Si", -101.2), frames[-1]], Listener()
    after = train(near, tmp_path / "near", reporter=listener, **start)
    assert np.abs(after.core.weights - first.core.weights).max() > 1e-3
    assert_close(free_energies(after.core), [-101.2, -99.5], 1e-13)
    assert any("all energies of Si are shifted by +50 meV from" in text for text in listener.said)
    alone = [*silicon_frames(3), atom("Si", -101.25)]
    student = train(alone, tmp_path / "student", reporter=QUIET, **run | {"replicas": 2, "student": True, "test": 0.0})
    for potential in (student, Ensemble.load(tmp_path / "student" / "ensemble").merged()):
        assert_close(free_energies(potential.core), [-101.25], 1e-12)
