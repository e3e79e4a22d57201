"""Weights of forces by the density of their environments."""

import tracemalloc

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from scipy.spatial.distance import cdist

from checks import RNG_SEED, assert_close, directional_derivative, random_potential, rattled, silicon_frames, structures
from sitewise import Dataset, Error, SymmetryFunctions
from sitewise.config import Config, Training
from sitewise.features.source import FeatureSource
from sitewise.mapping.gdf import automatic_width, density, gdf_weights
from sitewise.progress import Reporter
from sitewise.structures import Structure
from sitewise.training import optimizers
from sitewise.training.curvature import FewRows, Whole
from sitewise.training.inputs import make_inputs
from sitewise.training.parameters import plain_parameters
from sitewise.training.prepared import PreparedData

QUIET = Reporter(quiet=True)


def with_forces(atoms, forces=True):
    rng = np.random.default_rng(len(atoms))
    return Structure(atoms, 0.0, rng.normal(size=(len(atoms), 3)) if forces else None, None, "", "a place")


def rotated(lattice, seed):
    atoms = bulk("Si", "diamond", a=lattice)
    atoms.rotate(37.0 * seed, (1, 2, seed), rotate_cell=True)
    return atoms


def weights_of(data, preset="auto", width=None):
    functions = SymmetryFunctions.preset(preset, data.elements)
    prepared = FeatureSource(budget=0).prepare_here(data, functions)
    return gdf_weights(data, prepared, functions, width, QUIET)


def test_many_copies_and_a_rare_environment():
    """In G space, scaled to [-1, 1], two environments are at distance 2, whatever the functions."""
    frames = [with_forces(rotated(5.4, seed)) for seed in range(9)] + [with_forces(rotated(5.8, 0))]
    frames += [with_forces(bulk("Ge", "diamond", a=5.7)), with_forces(rotated(6.2, 0), forces=False)]
    found = weights_of(Dataset(frames))
    q = np.exp(-4 / (2 * (2 / 3) ** 2))  # the width is a third of the distance
    sparsity = np.array([1 / (18 + 2 * q), 1 / (2 + 18 * q)])
    common, rare = sparsity / ((18 * sparsity[0] + 2 * sparsity[1]) / 20)
    for weights in found[:9]:
        assert_close(weights, np.full(2, common), 1e-9)
    assert_close(found[9], np.full(2, rare), 1e-9)
    assert 8 < rare / common < 9  # 9 times as common, but for the tails
    assert np.array_equal(found[10], [1, 1])  # the only environment of its element
    assert np.array_equal(found[11], [1, 1])  # its forces are not known


def test_density_against_all_pairs(monkeypatch):
    monkeypatch.setattr("sitewise.mapping.gdf.BLOCK", 7)
    points = np.random.default_rng(RNG_SEED).uniform(-1, 1, (40, 5)) / np.sqrt(5)
    points[3] = points[17] + 1e-9
    squares = cdist(points, points, "sqeuclidean")
    assert_close(density(points, 0.2, QUIET), np.exp(-squares / 0.08).mean(axis=1), 1e-12)
    squares[squares < 1e-12] = np.inf
    assert_close([automatic_width(points, QUIET)], [np.sqrt(squares.min(axis=1)).max() / 3], 1e-12)
    assert_close([automatic_width(points[::-1], QUIET)], [automatic_width(points, QUIET)], 1e-12)
    assert automatic_width(np.ones((4, 5)), QUIET) == 0


@pytest.fixture
def objective():
    """Make the objective of structures of two elements, labelled by a potential, whose forces are weighted."""
    potential, named = random_potential(), structures()
    functions = SymmetryFunctions(potential.elements, potential.functions)
    frames = [rattled(named[name], 0.05, seed) for seed in range(3) for name in ("mixed", "cluster", "slab")]

    def make(noise):
        labelled = []
        rng = np.random.default_rng(RNG_SEED)
        for atoms in frames:
            species = np.array([potential.elements.index(s) for s in atoms.get_chemical_symbols()], dtype=np.int32)
            found = potential.compute(species, atoms.positions, atoms.cell.array, atoms.pbc)
            forces = found["forces"] + noise * rng.normal(size=found["forces"].shape)
            labelled.append(Structure(atoms, found["energy"] + noise, forces, None, "", "a place"))
        data = Dataset(labelled)
        prepared = PreparedData(data, FeatureSource().prepare_here(data, functions))
        settings = Training.model_validate(
            {"force_weight": 0.3, "stress_weight": 0.0, "l2": 1e-3, "group_weights": {"": 2.0}}
        )
        prepared.weigh(settings, gdf_weights(data, prepared.prepared, functions, None, QUIET))
        parameters = plain_parameters(potential)
        return optimizers.Objective(prepared, potential, parameters, settings)

    return make


def test_gradient_equals_finite_differences(objective):
    loss = objective(noise=1.0)
    theta = loss.potential.weights.copy()
    slope = loss(theta)[1]
    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=theta.size)
        expected = directional_derivative(lambda h, v=direction: loss(theta + h * v)[0], 1e-5)
        assert_close([slope @ direction], [expected], 1e-8)


def test_curvature_of_a_perfect_fit_is_the_second_derivative(objective, monkeypatch):
    """If all errors are 0 the Gauss-Newton matrix is the Hessian."""
    monkeypatch.setattr(optimizers, "SAMPLED_FORCES", 1.0)
    loss = objective(noise=0.0)
    theta = loss.potential.weights.copy()
    monkeypatch.setattr(optimizers, "FEW", np.inf)  # the matrix is made
    matrix = loss.curvature(theta, np.random.default_rng(0)).matrix
    direction = np.random.default_rng(1).normal(size=theta.size)
    expected = directional_derivative(lambda h: loss(theta + h * direction)[1], 1e-5)
    assert_close(matrix @ direction, expected, 1e-5)


def test_the_sampled_forces_are_bounded_and_stand_for_all(objective):
    """The mean of the sum of squares over samples is that of all rows."""
    loss = objective(noise=1.0)
    every = loss.sampled_rows(len(loss.data), 1.0, 10**9, np.random.default_rng(0))
    most = every.number // 4
    samples = [loss.sampled_rows(len(loss.data), 1.0, most, np.random.default_rng(seed)) for seed in range(20)]
    squares = [np.square(np.concatenate(rows.scales)).sum() for rows in (every, *samples)]
    assert all(most / 2 < rows.number <= most + 2 * len(loss.data) for rows in samples)
    assert_close([np.mean(squares[1:])], [squares[0]], 0.05)


def test_few_rows_are_the_curvature_that_they_stand_for(objective, monkeypatch):
    monkeypatch.setattr(optimizers, "SAMPLED_STRUCTURES", 4)
    loss = objective(noise=1.0)
    theta = loss.potential.weights.copy()

    def curvature(few):
        monkeypatch.setattr(optimizers, "FEW", few)
        return loss.curvature(theta, np.random.default_rng(0))

    rows, whole = curvature(0), curvature(np.inf)
    assert isinstance(rows, FewRows)
    assert isinstance(whole, Whole)
    assert 4 < len(rows.rows) < theta.size
    matrix = rows.rows.T.astype(float) @ rows.rows + np.diag(rows.ridge)
    assert_close(whole.matrix, matrix, 1e-5)
    vector = np.random.default_rng(1).normal(size=theta.size)
    for damping, rounding in ((1e-2, 1e-9), (1e-7, 1e-5)):  # times the condition
        damped = matrix + damping * np.mean(np.diag(matrix)) * np.eye(theta.size)
        for product in (rows.inverse(damping)(vector), rows.solve(damping, vector)):
            assert_close(damped @ product, vector, rounding)
    assert_close(rows.inverse(1e-2)(vector), whole.inverse(1e-2)(vector), 1e-3)
    assert_close(rows.solve(1e-2, vector), whole.solve(1e-2, vector), 1e-3)


def test_few_rows_need_no_matrix():
    n = 20_000
    rows = np.random.default_rng(RNG_SEED).normal(size=(30, n)).astype(np.float32)
    tracemalloc.start()
    FewRows(rows, np.full(n, 1e-3)).inverse(1e-2)(np.ones(n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * rows.size * 8 < n * n * 8 / 100


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_few_rows_that_cannot_be_inverted(value):
    with pytest.raises(Error, match="its values are not finite"):
        FewRows(np.full((2, 5), value, dtype=np.float32), np.zeros(5)).inverse(1e-2)


def test_run_weighs_the_forces_of_training_structures_alone(tmp_path):
    frames = silicon_frames(12)
    frames[5] = rattled(frames[5], 0.3)
    frames[5].calc = silicon_frames(1)[0].calc  # any forces will do
    write(tmp_path / "train.xyz", frames)
    tables = {
        "data": {"train": [str(tmp_path / "train.xyz")], "test": 0.25},
        "symmetry_functions": {"preset": "auto", "cutoff": 5.0},
        "training": {"gdf": True, "group_weights": {"odd": 3.0}},
    }
    inputs = make_inputs(Config.parse(tables), QUIET)
    found, kept = [], []
    for i, structure in enumerate(inputs.train.data):
        weight, forces = inputs.train.prepared.weights(i)
        assert weight == (3.0 if structure.group == "odd" else 1.0)
        found.append(forces / weight)
        kept.append(structure)
    expected = gdf_weights(Dataset(kept), inputs.train.prepared, inputs.functions, None, QUIET)
    assert_close(np.concatenate(found), np.concatenate(expected), 1e-14)
    assert np.mean(np.concatenate(found)) == pytest.approx(1)
    assert np.std(np.concatenate(found)) > 0.1
    for i, structure in enumerate(inputs.test.data):
        weight, forces = inputs.test.prepared.weights(i)
        assert np.array_equal(forces, np.full(len(structure.atoms), weight))


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"gdf": True, "force_weight": 0.0}, "gdf weighs forces"), ({"gdf_width": 0.1}, "gdf_width belongs to gdf")],
)
def test_settings_that_contradict(keys, message):
    with pytest.raises(Error, match=message):
        Config.parse({"data": {"train": ["x"]}, "training": keys})


def test_sample_takes_what_weighs_more_more_often():
    """The mean of sum over the sample of x/chance is the sum over all of x."""
    rng = np.random.default_rng(RNG_SEED)
    importance = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 50.0])
    x, sums, seen = np.arange(6.0) + 1, [], np.zeros(6)
    for _ in range(4000):
        chosen, chances = optimizers.sample(importance, 3, rng)
        assert len(chosen) == 3
        seen[chosen] += 1
        sums.append(np.sum(x[chosen] / chances))
    expected = [0, 2 / 7, 2 / 7, 4 / 7, 6 / 7, 1]
    assert np.abs(seen / 4000 - expected).max() < 0.03
    assert np.mean(sums) == pytest.approx(x[1:].sum(), rel=0.02)
    assert np.array_equal(optimizers.sample(importance, 9, rng)[0], [1, 2, 3, 4, 5])
    assert optimizers.sample(np.zeros(3), 2, rng)[0].size == 0
