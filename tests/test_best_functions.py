"""Functions of the preset "accurate" for one element: the pool, the choice by linear fits, and the mean with one."""

import sys

import numpy as np
import pytest
from ase import Atoms

from checks import Listener, assert_close, rattled, silicon_frames, silicon_potential
from sitewise import Dataset, Potential, SymmetryFunctions, train
from sitewise.config import Config
from sitewise.presets import accurate_pool
from sitewise.progress import Reporter
from sitewise.training import settled
from sitewise.training.inputs import make_inputs
from sitewise.training.linear_fits import LinearFits, fits_of
from sitewise.training.mean_with_fit import SHARE, mean_with_fit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SILICON = Dataset(silicon_frames(8))


@pytest.fixture
def few_labels(monkeypatch):
    """Let a few labels be enough to choose functions."""
    monkeypatch.setattr(settled, "CHOSEN_LABELS", 100)


def fits_of_columns(rows, labels):
    """The mean square error of a linear function of columns and 1."""
    columns = np.column_stack([rows, np.ones(len(rows))])
    unused = silicon_potential()
    return LinearFits(2 * columns.T @ columns, -2 * columns.T @ labels, float(labels @ labels), unused)


def test_the_pool_has_each_contraction_once():
    """Two shells have 10 pairs and 4 powers. Three different shells have 29 orders of the powers, two equal ones of
    them 18, and three equal ones 9; the preset's own contractions are among them."""
    functions = accurate_pool(2.3, 5.0).functions(0)
    kinds = [f.type for f in functions]
    assert (kinds.count(2), kinds.count(33), kinds.count(34)) == (12, 10 * 4, 4 * 29 + 12 * 18 + 4 * 9)
    atoms = rattled(Atoms("Si6", positions=np.random.default_rng(1).normal(0, 2.2, (6, 3))), 0.1)
    pool = SymmetryFunctions(["Si"], accurate_pool(2.3, 5.0)).evaluate(atoms)
    preset = SymmetryFunctions.preset("accurate", ["Si"], 5.0, np.array([[2.3]]))
    values = pool[0, 12:]
    assert len(np.unique(np.round(values / np.abs(values).max(), 14))) == len(values)
    for f, value in zip(preset.of("Si"), preset.evaluate(atoms)[0], strict=True):
        assert f.type == 2 or np.isclose(pool[0], value, rtol=1e-10, atol=0).any()


def test_the_choice_is_backward_elimination():
    """Each step refits without each of the functions that are left, and removes the one with the least loss."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(80, 7)) @ rng.normal(size=(7, 7)) + 3
    labels = rows @ rng.normal(size=7) + rng.normal(size=80)
    fits = fits_of_columns(rows, labels)
    kept = list(range(7))
    while len(kept) > 2:
        kept = min(([k for k in kept if k != gone] for gone in kept), key=lambda some: fits.of(np.array(some)))
        assert fits.best(len(kept)).tolist() == kept
        columns = np.column_stack([rows[:, kept], np.ones(80)])
        residual = labels - columns @ np.linalg.lstsq(columns, labels, rcond=None)[0]
        assert fits.of(np.array(kept)) == pytest.approx(residual @ residual, rel=1e-8)


def test_functions_without_variance_are_removed_first():
    rows = np.random.default_rng(2).normal(size=(30, 5))
    rows[:, [1, 3]] = 0.0, 4.0
    assert fits_of_columns(rows, rows @ np.arange(1.0, 6.0) + 1).best(3).tolist() == [0, 2, 4]


@pytest.mark.parametrize("hidden", [[4], [4, 3]])
def test_the_mean_with_a_fit_is_one_network(hidden):
    functions = SymmetryFunctions.preset("fast", ["Si"], 4.0)
    prepared = make_inputs(Config.of(preset="fast", cutoff=4.0, hidden=hidden), Listener(), (SILICON, Dataset([])))
    network, fit = prepared.potential, fits_of(prepared.config, functions, SILICON).fitted()
    network.weights = np.random.default_rng(3).normal(0, 0.3, network.weights.size)
    mean = Potential(mean_with_fit(network, fit))
    assert mean.core.networks[0].nodes[1:] == [*(n + 1 for n in hidden), 1]
    for s in list(SILICON)[:3]:
        found, *members = (Potential(p).evaluate(s.atoms) for p in (mean.core, network, fit))
        for name in ("energies", "forces", "stress"):
            a, b = (getattr(member, name) for member in members)
            assert_close(getattr(found, name), (1 - SHARE) * a + SHARE * b, 1e-5)


def test_a_run_has_chosen_functions_and_the_mean_with_a_fit(few_labels, tmp_path):
    settings = {"preset": "accurate", "cutoff": 4.0, "zbl": "none", "select": 9, "iterations": 3}
    potential = train(SILICON, tmp_path, test=0, reporter=Reporter(quiet=True), **settings)
    tables = tomllib.loads((tmp_path / "training.toml").read_text())
    assert tables["symmetry_functions"]["select"] == 9
    assert tables["network"]["hidden"] == [10]
    assert tables["result"]["share_of_linear_fit"] == SHARE
    assert potential.core.networks[0].nodes == [9, 11, 1]
    assert potential.posterior is not None
    again = Config.parse({"data": {"train": "x"}, "start": {"potential": str(tmp_path / "potential")}})
    inputs = make_inputs(again, Listener(), (SILICON, Dataset([])))
    assert inputs.fit is None
    before = potential.core.networks[0].weights
    further = inputs.parameters.weights(inputs.first + 1.0) - inputs.parameters.weights(inputs.first)
    matrix, bias, output = np.split(further, [9 * 11, 10 * 11])
    stays = [matrix.reshape(9, 11)[:, -1], bias[-1], output[-2]]
    assert all(np.all(change == 0) for change in stays)  # the fit, which L2 would destroy
    assert np.count_nonzero(further) == before.size - 9 - 2


@pytest.mark.parametrize(
    ("settings", "chosen", "averaged"),
    [
        ({}, True, True),
        ({"activation": "sigmoid"}, True, False),
        ({"preset": "fast"}, False, False),
    ],
)
def test_settings_that_follow_from_the_choice(few_labels, settings, chosen, averaged):
    given = Config.of(**{"preset": "accurate", "zbl": "none", "cutoff": 4.0} | settings)
    listener = Listener()
    inputs = make_inputs(given, listener, (SILICON, Dataset([])))
    assert (inputs.config.symmetry_functions.select == settled.CHOSEN) == chosen
    assert len(inputs.config.network.hidden) == (1 if chosen else 2)
    assert any("are chosen; a linear fit" in line for line in listener.said) == chosen
    assert (inputs.fit is not None) == averaged
    if averaged:
        losses = [inputs.train.losses(p, range(8), inputs.config.training).loss for p in (inputs.fit, inputs.potential)]
        assert losses[0] < 1e-3 * losses[1]


def test_few_labels_keep_the_table_of_the_preset():
    inputs = make_inputs(Config.of(preset="accurate", zbl="none"), Listener(), (SILICON, Dataset([])))
    assert len(inputs.functions) == 84
    assert inputs.fit is None
    assert inputs.config.symmetry_functions.select is None
