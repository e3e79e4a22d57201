"""Replicas disagree about atomic energies that the data leave open, and only about these."""

import numpy as np
import pytest

from sitewise import Dataset, train
from sitewise.config import Config
from sitewise.progress import Reporter
from sitewise.reproduce.ad_hoc import bulk_cell, made
from sitewise.reproduce.stillinger_weber import labelled
from sitewise.training.disagreement import PulledObjective, open_offsets, set_apart
from sitewise.training.inputs import make_inputs
from sitewise.training.random_streams import Stream, random_numbers

QUIET = Reporter(quiet=True)
ONE, BULK = {"8 layers": 10}, {"8 layers": 10, "bulk": 5}
CRYSTAL = labelled(bulk_cell(1.0), "crystal")


def config(**training):
    tables = {"data": {"train": "-", "test": 0}, "network": {"hidden": [8, 8]}, "training": training}
    return Config.parse({**tables, "invariants": {"data": []}})


def inputs_of(structures, **training):
    return make_inputs(config(**training), QUIET, (Dataset(structures), Dataset([])))


@pytest.mark.slow
def test_the_spread_sees_what_is_open(tmp_path):
    """Slabs of one thickness leave the energy of the crystal open by hundreds of meV; a few cells of bulk fix it."""
    spreads, errors = [], []
    for name, counts in (("one", ONE), ("bulk", BULK)):
        sets = Dataset(made(counts, 0)), Dataset(made({"8 layers": 5}, 1))
        settings = config(iterations=100, replicas=3, posterior=False)
        ensemble = train(settings, tmp_path / name, reporter=QUIET, data=sets)
        found = ensemble.evaluate(CRYSTAL.atoms)
        spreads.append(found.energies_spread[0])
        errors.append(abs(found.energies[0] - CRYSTAL.energy / len(CRYSTAL.atoms)))
    assert errors[0] > 0.1 > 0.01 > errors[1]
    assert errors[0] / 3 < spreads[0] < 3 * errors[0]
    assert spreads[1] < 0.003


def test_the_mean_of_the_ensemble_stays():
    inputs = inputs_of(made(ONE, 0), replicas=3)
    probes, offsets = open_offsets(inputs, 3)
    assert offsets.shape == (3, sum(map(len, probes.inputs)))
    assert np.abs(offsets.mean(axis=0)).max() < 1e-12
    assert offsets.std(axis=0).max() > 0.1


def test_nothing_is_open_and_nothing_changes():
    inputs = inputs_of([labelled(bulk_cell(a), "crystal") for a in (0.97, 0.98, 0.99, 1.0, 1.01)], replicas=2)
    trained = [inputs.parameters.initial(random_numbers(seed, Stream.WEIGHTS)) for seed in range(2)]
    assert not open_offsets(inputs, 2)[1].any()
    assert all(a is b for a, b in zip(set_apart(inputs, inputs.potential, trained), trained, strict=True))


def test_forces_alone_leave_replicas_as_they_are():
    structures = made({"8 layers": 3}, 0)
    for s in structures:
        object.__setattr__(s, "energy", None)
    inputs = inputs_of(structures, replicas=2)
    trained = [inputs.parameters.initial(random_numbers(seed, Stream.WEIGHTS)) for seed in range(2)]
    assert all(a is b for a, b in zip(set_apart(inputs, inputs.potential, trained), trained, strict=True))


def test_the_gradient_of_the_pull():
    inputs = inputs_of(made({"8 layers": 2}, 0), replicas=2)
    probes, offsets = open_offsets(inputs, 2)
    theta = inputs.parameters.initial(random_numbers(0, Stream.WEIGHTS))
    objective = PulledObjective(inputs, inputs.potential, probes, 30 * offsets[0] + 3.0)
    _, gradient = objective(theta)
    along = np.random.default_rng(0).normal(size=theta.size)
    found = (objective(theta + 1e-5 * along)[0] - objective(theta - 1e-5 * along)[0]) / 2e-5
    assert found == pytest.approx(gradient @ along, rel=1e-6)
