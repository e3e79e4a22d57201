"""Functions of the preset "accurate" for one element: the pool, the choice by linear fits, and the mean with one."""

import sys

import numpy as np
import pytest
from ase import Atoms

from checks import Listener, assert_close, rattled, silicon_frames, silicon_potential
from sitewise import Dataset, Potential, SymmetryFunctions, train
from sitewise.config import Config
from sitewise.evaluation.comparison import compare
from sitewise.presets import accurate_pool
from sitewise.progress import Reporter
from sitewise.training import left_out, settled
from sitewise.training import mean_with_fit as mean_module
from sitewise.training.inputs import make_inputs
from sitewise.training.left_out import left_out_errors, scaled_errors
from sitewise.training.linear_fits import LinearFits, fits_of
from sitewise.training.mean_with_fit import has_fit, mean_with_fit, share_of_fit
from sitewise.training.optimizers import Objective
from sitewise.training.parameters import plain_parameters

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
    mean = Potential(mean_with_fit(network, fit, 0.45))
    assert has_fit(mean.core.networks[0])
    assert not has_fit(network.networks[0])
    assert mean.core.networks[0].nodes[1:] == [*(n + 1 for n in hidden), 1]
    for s in list(SILICON)[:3]:
        found, *members = (Potential(p).evaluate(s.atoms) for p in (mean.core, network, fit))
        for name in ("energies", "forces", "stress"):
            a, b = (getattr(member, name) for member in members)
            assert_close(getattr(found, name), 0.55 * a + 0.45 * b, 1e-5)


def test_errors_of_left_out_structures_are_those_of_fits_without_them(monkeypatch):
    """Energies of a network without hidden layers are linear in its weights: one fit gives what many fits find."""
    monkeypatch.setattr(left_out, "BLOCK", 3)
    monkeypatch.setattr(left_out, "MOST", 1e9)
    functions = SymmetryFunctions.preset("fast", ["Si"], 4.0)
    inputs = make_inputs(Config.of(preset="fast", cutoff=4.0, l2=1e-3), Listener(), (SILICON, Dataset([])))
    fit = fits_of(inputs.config, functions, SILICON).potential
    objective = Objective(inputs.train, fit, plain_parameters(fit), inputs.config.training)
    rows = objective.sampled_rows(8, 1.0, 10**6, np.random.default_rng(0))
    J = inputs.train.prepared.scaled_jacobian(fit, objective.parameters, rows).astype(float)
    ridge = np.diag(2e-3 * objective.parameters.penalized)
    fit.weights = np.zeros(objective.parameters.size)
    start = np.concatenate(scaled_errors(rows, compare(Potential(fit), SILICON, "", Listener()), range(8)))

    def fitted(some):
        return -np.linalg.solve(J[some].T @ J[some] + ridge, J[some].T @ start[some])

    places = np.arange(len(start))
    fit.weights = fitted(places)
    found = left_out_errors(objective, None, Listener())
    ends = np.cumsum([len(scales) for scales in rows.scales])
    for own in np.split(places, [ends[2], ends[5]]):
        expected = start[own] + J[own] @ fitted(np.delete(places, own))
        assert_close(found[own], expected, 1e-4 * np.abs(expected).max())


def test_the_share_has_the_least_loss_of_left_out_structures(monkeypatch):
    inputs = make_inputs(Config.of(preset="fast", cutoff=4.0), Listener(), (SILICON, Dataset([])))
    objective = Objective(inputs.train, inputs.potential, inputs.parameters, inputs.config.training)
    fit = fits_of(inputs.config, inputs.functions, SILICON).potential
    a, b = np.random.default_rng(8).normal(size=(2, 40))

    def share(of_network, of_fit):
        monkeypatch.setattr(
            mean_module, "left_out_errors", lambda of, *_: of_fit if of.potential is fit else of_network
        )
        return share_of_fit(objective, fit, None, Listener())

    shares = np.linspace(0, 1, 1001)
    losses = [np.sum(((1 - s) * a + s * b) ** 2) for s in shares]
    assert share(a, b) == pytest.approx(shares[np.argmin(losses)], abs=1e-3)
    assert share(a, 3 * a) == 0
    assert share(3 * a, a) == 1
    assert share(a, a) == 0


def test_a_run_has_chosen_functions_and_the_mean_with_a_fit(few_labels, tmp_path):
    settings = {"preset": "accurate", "cutoff": 4.0, "zbl": "none", "select": 9, "iterations": 3}
    potential = train(SILICON, tmp_path, test=0, reporter=Reporter(quiet=True), **settings)
    tables = tomllib.loads((tmp_path / "training.toml").read_text())
    assert tables["symmetry_functions"]["select"] == 9
    assert tables["network"]["hidden"] == [10]
    assert 0 < tables["result"]["share_of_linear_fit"] <= 1
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
