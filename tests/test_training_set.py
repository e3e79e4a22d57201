"""Losses and their derivatives with respect to the weights, with and without cached derivatives."""

import numpy as np
import pytest

from checks import (
    DEVICES,
    RNG_SEED,
    arrays,
    assert_close,
    contractions,
    directional_derivative,
    random_potential,
    structures,
)
from sitewise import Error, _core
from sitewise.features.local import LocalSet
from sitewise.features.training_set import Rows
from sitewise.training.parameters import Parameters, Transform

STRUCTURES = structures()
PERIODIC = ("mixed", "one-atom crystal", "two-atom crystal", "outside the cell")
PLENTY, NONE = 1 << 30, 0
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}  # between devices
every_device = pytest.mark.parametrize("device", DEVICES)


def labelled(name, energy=True, forces=True, stress=True):
    rng = np.random.default_rng(len(name))
    species, positions, cell, pbc = arrays(STRUCTURES[name])
    return {
        "species": species,
        "positions": positions,
        "cell": cell,
        "pbc": pbc,
        "energy": float(rng.normal()) * len(species) if energy else np.nan,
        "forces": rng.normal(size=positions.shape) if forces else None,
        "stress": rng.normal(size=6) * 0.1 if stress and name in PERIODIC else None,
    }


def training_set(budget=PLENTY, names=STRUCTURES, functions=None, **kinds):
    potential = random_potential(functions=functions)
    data = _core.TrainingSet(potential.functions, budget)
    data.add([labelled(name, **kinds) for name in names])
    return data, potential, list(range(len(data)))


def assert_devices_agree(data, potential, chosen, weights, device):
    """Compare losses and gradients in both precisions with those of the processor in double precision."""
    loss, gradient = data.loss(potential, chosen, *weights)
    potential.device = device
    for precision, tolerance in TOLERANCES.items():
        potential.precision = precision
        found, slope = data.loss(potential, chosen, *weights)
        assert_close([found[kind] for kind in loss], list(loss.values()), tolerance)
        assert_close(slope, gradient, tolerance)


@pytest.mark.parametrize("budget", [PLENTY, NONE])
def test_predictions_equal_the_potential(budget):
    data, potential, everything = training_set(budget)
    tolerance = 1e-12 if budget == NONE else 1e-6  # the cache is in single precision
    for i, name in zip(everything, STRUCTURES, strict=True):
        energy, forces, stress = data.predict(potential, i)
        exact = potential.compute(*arrays(STRUCTURES[name]))
        assert_close([energy], [exact["energy"]], 1e-12)
        assert np.abs(forces - exact["forces"]).max() < tolerance
        if name in PERIODIC:
            virial = (exact["virial"] + exact["virial"].T) / 2
            expected = virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / STRUCTURES[name].cell.volume
            assert np.abs(stress - expected).max() < tolerance
        else:
            assert np.all(np.isnan(stress))


def test_memory_beyond_the_budget_needs_a_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(Error, match="beyond memory_budget cannot be kept: TMPDIR is not a folder"):
        training_set(0)


@pytest.mark.parametrize("budget", [PLENTY, NONE])
@pytest.mark.parametrize(
    ("kinds", "force_weight", "stress_weight"),
    [
        ({"forces": False, "stress": False}, 0.0, 0.0),
        ({"energy": False, "stress": False}, 0.7, 0.0),
        ({"energy": False, "forces": False}, 0.0, 3.0),
        ({}, 0.7, 3.0),
    ],
    ids=["energy", "force", "stress", "all"],
)
def test_gradient_equals_finite_differences(budget, kinds, force_weight, stress_weight):
    data, potential, everything = training_set(budget, **kinds)
    w = potential.weights
    _, gradient = data.loss(potential, everything, force_weight, stress_weight)
    rng = np.random.default_rng(RNG_SEED)
    for _ in range(3):
        direction = rng.normal(size=w.size)

        def value(h, direction=direction):
            potential.weights = w + h * direction
            return data.loss(potential, everything, force_weight, stress_weight, gradient=False)[0]["value"]

        assert_close([gradient @ direction], [directional_derivative(value, 5e-5)], 1e-6)
        potential.weights = w


@every_device
def test_devices_give_the_loss_of_contractions(device):
    functions = [*contractions(0)[::9], *contractions(1)[::9]]
    data, potential, everything = training_set(NONE, ("slab", "two-atom crystal"), functions)
    assert_devices_agree(data, potential, everything, (0.7, 3.0), device)


@pytest.mark.parametrize("budget", [PLENTY, NONE])
def test_loss_of_contractions(budget):
    functions = [*contractions(0)[::4], *contractions(1)[::4]]
    data, potential, everything = training_set(budget, functions=functions)
    w = potential.weights
    _, gradient = data.loss(potential, everything, 0.7, 3.0)
    direction = np.random.default_rng(RNG_SEED).normal(size=w.size)

    def value(h):
        potential.weights = w + h * direction
        return data.loss(potential, everything, 0.7, 3.0, gradient=False)[0]["value"]

    assert_close([gradient @ direction], [directional_derivative(value, 5e-5)], 1e-6)
    potential.weights = w
    forces = data.predict(potential, 0)[1]
    exact = potential.compute(*arrays(STRUCTURES["mixed"]))["forces"]
    assert_close(forces, exact, 1e-12 if budget == NONE else 1e-6)


@every_device
@pytest.mark.parametrize("weights", [(0.7, 3.0), (0.7, 0.0), (0.0, 0.0)], ids=["all", "no stress", "energy"])
def test_devices_give_the_loss_of_the_processor(device, weights):
    names = ("one-atom crystal", "isolated pair", "slab", "two-atom crystal")
    data, potential, everything = training_set(NONE, names)
    data.set_weights(2, 0.4, np.arange(1.0, data.species(2).size + 1))
    assert_devices_agree(data, potential, everything, weights, device)


@every_device
@pytest.mark.parametrize(("name", "units"), [("nnp-si", (1.8897261328, 0.0367493254)), ("nnp-h2o", (1.0, 1.0))])
def test_devices_train_the_published_potentials(shared, name, units, device):
    """The smallest structure of each is used; the second has two elements and a normalised data set."""
    potential = _core.Potential.load(str(shared / name), *units)
    reference = np.load(shared / name / "reference.npz", allow_pickle=False)
    smallest = np.argmin(np.diff(reference["offset"]))
    atoms = slice(*reference["offset"][smallest : smallest + 2])
    positions = reference["positions_A" if name == "nnp-si" else "positions"][atoms]
    species = np.zeros(len(positions)) if name == "nnp-si" else reference["symbols"][atoms] == "O"
    rng = np.random.default_rng(RNG_SEED)
    data = _core.TrainingSet(potential.functions, NONE)
    data.add(
        [
            {
                "species": species.astype(np.int32),
                "positions": positions,
                "cell": reference["cells_A" if name == "nnp-si" else "cells"][smallest],
                "pbc": np.ones(3, bool),
                "energy": float(rng.normal()) * len(positions),
                "forces": rng.normal(size=positions.shape),
                "stress": rng.normal(size=6) * 0.1,
            }
        ]
    )
    assert_devices_agree(data, potential, [0], (0.7, 3.0), device)


def test_loss_is_made_of_mean_squared_errors():
    data, potential, everything = training_set()
    loss, _ = data.loss(potential, everything, 0.5, 2.0)
    energy, force, stress = [], [], []
    for i, name in enumerate(STRUCTURES):
        label = labelled(name)
        e, f, s = data.predict(potential, i)
        energy.append((e - label["energy"]) / len(f))
        force.append((f - label["forces"]).ravel())
        if label["stress"] is not None:
            stress.append(s - label["stress"])
    expected = [np.mean(np.square(x)) for x in (energy, np.concatenate(force), np.concatenate(stress))]
    assert_close([loss["energy"], loss["force"], loss["stress"]], expected, 1e-12)
    assert_close([loss["value"]], [expected[0] + 0.5 * expected[1] + 2.0 * expected[2]], 1e-13)


@pytest.mark.parametrize("budget", [PLENTY, NONE])
def test_jacobian_rows_are_gradients(budget):
    """A row contracted with a direction is the finite difference of an energy or a force along it."""
    data, potential, everything = training_set(budget)
    components = [[0, 3 * data.species(i).size - 1] for i in everything]
    rows = data.jacobian(potential, everything, components).reshape(len(everything), 3, -1)
    w = potential.weights
    direction = np.random.default_rng(RNG_SEED).normal(size=w.size)
    for i in everything:

        def values(h, i=i):
            potential.weights = w + h * direction
            energy, forces, _ = data.predict(potential, i)
            return np.array([energy, *forces.ravel()[components[i]]])

        expected = directional_derivative(values, 5e-5)
        potential.weights = w
        assert_close(rows[i] @ direction, expected, 1e-6)


@every_device
def test_devices_give_rows_and_their_product(device):
    functions = [*contractions(0)[::9], *contractions(1)[::9]]  # few, because each is differentiated on its own
    data, potential, everything = training_set(NONE, ("slab", "isolated pair", "two-atom crystal"), functions)
    components, scales = [[0, 5], [], [4]], np.array([0.5, 2.0, 1.0, 0.3, -1.5, 1.0])
    rows = data.jacobian(potential, everything, components)
    matrix = (rows * scales[:, None] ** 2).T @ rows
    potential.device = device
    for precision, tolerance in TOLERANCES.items():
        potential.precision = precision
        assert_close(data.jacobian(potential, everything, components), rows, tolerance)
        assert_close(data.normal_matrix(potential, everything, components, scales), matrix, tolerance)
    assert not data.normal_matrix(potential, [], [], np.empty(0)).any()
    with pytest.raises(Error, match="scales"):
        data.normal_matrix(potential, [0], [[1]], np.ones(3))


@every_device
def test_gauss_newton_matrix_in_coordinates(device):
    potential, rng = random_potential(), np.random.default_rng(RNG_SEED)
    data = LocalSet(potential.functions, NONE)
    data.add([labelled("two-atom crystal"), labelled("isolated pair")])
    counts = [network.nodes[0] for network in potential.networks]
    transforms = [Transform(rng.normal(size=(3, n)) / n, rng.normal(size=n)) for n in counts]
    parameters = Parameters(transforms, [[3, *network.nodes[1:]] for network in potential.networks])
    rows = Rows([1, 0], [[2], [0, 3]], [np.array([1.0, 0.5]), np.array([0.2, 1.0, 2.0])])
    J = np.concatenate(rows.scales)[:, None] * data.jacobian(potential, rows.structures, rows.components)
    J = parameters.gradient(J, potential.weights)
    potential.device = device
    tolerance = 1e-12 if device == "cuda" else 1e-5  # the processor's product is in single precision
    assert_close(data.gauss_newton(potential, parameters, rows), J.T @ J, tolerance)
    assert data.gauss_newton(potential, parameters, Rows([], [], [])).shape == (parameters.size,) * 2


def test_weights_multiply_the_errors():
    data, potential, everything = training_set()
    plain, _ = data.loss(potential, everything, 0.5, 2.0)
    forces = [np.arange(1.0, data.species(i).size + 1) for i in everything]
    for i in everything:
        data.set_weights(i, 0.5 + i, forces[i])
    weighted, gradient = data.loss(potential, everything, 0.5, 2.0)
    for kind in ("energy", "force", "stress"):
        assert weighted[kind] == plain[kind]
    each = {"energy": [], "force": [], "stress": []}
    for i, name in enumerate(STRUCTURES):
        label = labelled(name)
        e, f, s = data.predict(potential, i)
        each["energy"].append((0.5 + i) * ((e - label["energy"]) / len(f)) ** 2)
        each["force"] += list(((0.5 + i) * forces[i][:, None] * (f - label["forces"]) ** 2).ravel())
        if label["stress"] is not None:
            each["stress"] += list((0.5 + i) * (s - label["stress"]) ** 2)
    expected = np.mean(each["energy"]) + 0.5 * np.mean(each["force"]) + 2.0 * np.mean(each["stress"])
    assert_close([weighted["value"]], [expected], 1e-12)
    w = potential.weights
    direction = np.random.default_rng(RNG_SEED).normal(size=w.size)

    def value(h):
        potential.weights = w + h * direction
        return data.loss(potential, everything, 0.5, 2.0, gradient=False)[0]["value"]

    assert_close([gradient @ direction], [directional_derivative(value, 5e-5)], 1e-6)


@every_device
def test_missing_labels_leave_the_others(device):
    potential = random_potential(device=device)
    data = _core.TrainingSet(potential.functions, PLENTY)
    data.add([labelled("mixed", forces=False, stress=False), labelled("cluster", energy=False)])
    both, _ = data.loss(potential, [0, 1], 1.0, 1.0)
    first, _ = data.loss(potential, [0], 1.0, 1.0)
    second, _ = data.loss(potential, [1], 1.0, 1.0)
    assert both["energy"] == first["energy"]
    assert_close([both["force"]], [second["force"]], 1e-14)
    assert (first["force"], second["energy"], both["stress"]) == (0.0, 0.0, 0.0)


def test_cache_and_recomputation_agree_and_budget_is_kept():
    cached, potential, everything = training_set(PLENTY)
    recomputed, _, _ = training_set(NONE)
    half, _, _ = training_set(cached.memory[1] // 2)
    assert recomputed.memory[1] == 0
    assert 0 < half.memory[1] <= half.memory[0] <= cached.memory[1] // 2
    assert recomputed.memory[3] == cached.memory[0] - cached.memory[1] > cached.memory[3] == 0
    for i in everything:  # what is in a file is what is in memory, bit for bit
        assert np.array_equal(recomputed.features(i), cached.features(i), equal_nan=True)
        assert np.array_equal(recomputed.species(i), cached.species(i))
    assert np.array_equal(recomputed.statistics(everything), cached.statistics(everything))
    for a, b in zip(cached.predict(potential, 0), recomputed.predict(potential, 0), strict=True):
        assert_close(a, b, 1e-6)
    a, g = cached.loss(potential, everything, 1.0, 1.0)
    for other in (recomputed, half):
        b, h = other.loss(potential, everything, 1.0, 1.0)
        assert_close([b["value"]], [a["value"]], 1e-6)
        assert_close(h, g, 1e-6)


def test_result_does_not_depend_on_threads():
    threads = _core.get_threads()
    results = []
    try:
        for n in (1, 2, 3):
            _core.set_threads(n)
            data, potential, everything = training_set()
            results.append((data.features(0), *data.loss(potential, everything * 30, 1.0, 1.0)))
    finally:
        _core.set_threads(threads)
    for features, loss, gradient in results[1:]:
        assert np.array_equal(features, results[0][0], equal_nan=True)
        assert loss == results[0][1]
        assert np.array_equal(gradient, results[0][2])


def test_features_and_statistics():
    data, potential, everything = training_set()
    rows = []
    for i, name in enumerate(STRUCTURES):
        G = potential.functions.evaluate(*arrays(STRUCTURES[name]))
        assert np.array_equal(data.features(i), G, equal_nan=True)
        rows.append(G[arrays(STRUCTURES[name])[0] == 1])
    G = np.concatenate(rows)[:, : potential.functions.count(1)]
    expected = [G.min(0), G.max(0), G.mean(0), G.std(0)]
    assert_close(data.statistics(everything)[1], expected, 1e-12)
    with pytest.raises(Error, match="no atom of element index 0"):
        data.statistics([list(STRUCTURES).index("one-atom crystal")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forces": np.zeros((2, 3))}, "forces has shape"),
        ({"forces": np.full((5, 3), np.inf)}, "force is not finite"),
        ({"energy": np.inf}, "energy is not finite"),
        ({"positions": np.full((5, 3), np.nan)}, "atom 0"),
        ({"pbc": np.array([True, True, False])}, "stress is given"),
    ],
)
def test_bad_structures_name_their_place_and_add_nothing(change, message):
    potential = random_potential()
    data = _core.TrainingSet(potential.functions, PLENTY)
    with pytest.raises(Error, match=message) as caught:
        data.add([labelled("cluster"), labelled("mixed") | change])
    assert caught.value.index == 1
    assert len(data) == 0


def test_foreign_potential_is_refused():
    data, _, _ = training_set()
    other = _core.SymmetryFunctions(1, [_core.SymmetryFunction(2, 0, 0, eta=0.1, cutoff=5.0)])
    statistics = np.array([[0.0], [1.0], [0.5], [0.1]])
    potential = _core.Potential(
        ["Si"], other, _core.Scaling("none", 0, 1, [statistics]), [_core.Network([1, 1], "l")], [0.0]
    )
    with pytest.raises(Error, match="not those of the training set"):
        data.loss(potential, [0], 1.0, 0.0)
    with pytest.raises(Error, match="structure 99"):
        data.predict(random_potential(), 99)
