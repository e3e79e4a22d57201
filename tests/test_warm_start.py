"""Training that starts from a potential: nothing jumps, layers stay frozen, and what does not fit is refused."""

import numpy as np
import pytest
from ase.build import bulk

from checks import BOHR, HARTREE, arrays, rattled, silicon_frames
from sitewise import Error, Potential, _core, train
from sitewise.config import Config
from sitewise.io.dataset import Dataset
from sitewise.io.simple_nn import write_potential
from sitewise.progress import Reporter
from sitewise.training.inputs import make_inputs

QUIET = Reporter(quiet=True)
SETTINGS = {"iterations": 10, "posterior": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first") / "run"
    train(
        silicon_frames(8), folder, reporter=QUIET, hidden=[6, 5], preset="fast", cutoff=4.5, zbl=[0.8, 1.6], **SETTINGS
    )
    return folder


def first_potential(data, **settings):
    """Return the potential before the first iteration of a run."""
    inputs = make_inputs(Config.of(**SETTINGS | settings), QUIET, (Dataset(data), Dataset([])))
    inputs.potential.weights = inputs.parameters.weights(inputs.first)
    inputs.potential.baseline = inputs.baseline
    return inputs.potential


def assert_same(potential, other, tolerance=1e-9):
    for atoms in [*silicon_frames(3, seed=5), rattled(bulk("Si", "diamond", a=5.2), 0.3)]:
        one, two = (core.compute(*arrays(atoms, (14,))) for core in (potential, other))
        assert abs(one["energy"] - two["energy"]) < tolerance * len(atoms)
        assert np.abs(one["forces"] - two["forces"]).max() < tolerance


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_run_starts_where_the_potential_is(trained, whiten, frozen):
    """New data have other ranges of the functions, to which the scaling is widened."""
    old = Potential.load(trained)
    others = [rattled(atoms, 0.3, seed) for seed, atoms in enumerate(silicon_frames(6, seed=3))]
    for atoms, given in zip(others, silicon_frames(6, seed=3), strict=True):
        atoms.calc = given.calc
        atoms.calc.atoms = atoms
    made = first_potential(others, potential=str(trained), whiten=whiten, frozen=frozen)
    assert_same(made, old.core)
    before, after = old.core.scaling.statistics(0), made.scaling.statistics(0)
    assert (after[1] >= before[1]).all()
    assert (after[1] > before[1]).any()


def test_functions_that_new_data_do_not_tell_keep_their_weights(trained):
    """All atoms of the new data are alike, so every function is constant there."""
    frames = silicon_frames(3)
    crystals = [bulk("Si", "diamond", a=5.4, cubic=True) for _ in frames]
    for crystal, frame in zip(crystals, frames, strict=True):
        crystal.calc = frame.calc
        crystal.calc.atoms = crystal
    assert_same(first_potential(crystals, potential=str(trained)), Potential.load(trained).core)


def test_training_continues(trained, tmp_path):
    frames = silicon_frames(8)
    train(frames, tmp_path / "run", reporter=QUIET, potential=str(trained), **SETTINGS)
    last = Potential.load(tmp_path / "run")

    def rmse(potential):
        differences = [potential.evaluate(atoms).forces - atoms.get_forces() for atoms in frames]
        return np.sqrt(np.mean(np.square(differences)))

    assert rmse(last) < rmse(Potential.load(trained))
    assert last.core.baseline.zbl == (0.8, 1.6)


def test_frozen_layers_stay(trained, tmp_path):
    data = silicon_frames(8)
    train(data, tmp_path / "run", reporter=QUIET, potential=str(trained), frozen=1, **SETTINGS | {"posterior": True})
    old, new = (Potential.load(folder).core.networks[0] for folder in (trained, tmp_path / "run"))
    first = (old.nodes[0] + 1) * old.nodes[1]
    assert np.allclose(new.weights[:first], old.weights[:first], rtol=1e-6, atol=1e-9)
    assert not np.allclose(new.weights[first:], old.weights[first:])
    assert Potential.load(tmp_path / "run").evaluate(data[0], bars=True).bars.energy > 0


def test_other_formats_and_units(shared, trained, tmp_path):
    """Published potentials have other units, normalisation and scalings."""
    data = Dataset.read(shared / "mlearn-si" / "test.extxyz", "::5", reporter=QUIET)
    made = first_potential(data, potential=str(shared / "nnp-si"), cflength=BOHR, cfenergy=HARTREE)
    assert_same(made, _core.Potential.load(str(shared / "nnp-si"), BOHR, HARTREE))
    plain = first_potential(silicon_frames(4), potential=str(trained))
    core = _core.Potential(plain.elements, plain.functions, plain.scaling, plain.networks, plain.atom_energies)
    write_potential(Potential(core), tmp_path / "potential_saved")
    assert_same(first_potential(silicon_frames(4), potential=str(tmp_path / "potential_saved")), core)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "fast"}, r"\[symmetry_functions\] are those of"),
        ({"hidden": [3]}, r"\[network\] hidden is \[3\], .* has \[6, 5\]"),
        ({"zbl": [0.5, 1.0]}, r"\[baseline\] zbl is \[0.5, 1.0\]"),
        ({"frozen": 3}, r"\[start\] frozen is 3, expected less than the 3 layers"),
        ({"replicas": 2}, r"\[training\] replicas is 2"),
    ],
)
def test_what_does_not_fit_is_refused(trained, tmp_path, settings, message):
    with pytest.raises(Error, match=message):
        train(silicon_frames(4), tmp_path / "run", reporter=QUIET, potential=str(trained), **SETTINGS | settings)


def test_other_elements_and_missing_potential_are_refused(trained, tmp_path):
    frames = silicon_frames(4)
    for atoms in frames:
        labels = atoms.calc
        atoms.numbers[0] = 8
        labels.atoms = atoms
    with pytest.raises(Error, match="is for Si, the training structures have O, Si"):
        train(frames, tmp_path / "run", reporter=QUIET, potential=str(trained), **SETTINGS)
    with pytest.raises(Error, match="no such directory"):
        train(silicon_frames(4), tmp_path / "run", reporter=QUIET, potential=str(tmp_path / "none"), **SETTINGS)
    with pytest.raises(Error, match=r"\[start\].* need potential"):
        Config.of(frozen=1)
