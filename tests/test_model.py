"""Offsets of the energy, and the coordinates in which the weights are trained."""

from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms

from checks import RNG_SEED, arrays, assert_close, compiled, directional_derivative, rattled, structures
from sitewise import Dataset, SymmetryFunctions
from sitewise.config import NetworkShape
from sitewise.features.local import LocalSet
from sitewise.structures import Structure
from sitewise.training.parameters import atomic_offsets, initial_potential, plain_parameters, whitened_parameters


@pytest.fixture(scope="module")
def setting():
    """Make a training set of two elements with random labels, and its initial potential."""
    rng = np.random.default_rng(RNG_SEED)
    functions = SymmetryFunctions(["O", "Si"], compiled())
    data = LocalSet(functions.core, 1 << 30)
    for name in ("mixed", "cluster", "slab"):
        for seed in range(8):
            species, positions, cell, pbc = arrays(rattled(structures()[name], 0.1, seed))
            energy, forces = rng.normal(), rng.normal(size=positions.shape)
            arguments = {"species": species, "positions": positions, "cell": cell, "pbc": pbc}
            data.add([arguments | {"energy": energy, "forces": forces}])
    return data, initial_potential(functions, "minmax", NetworkShape(hidden=[5, 4]), data, [0.5, -1.0])


@pytest.mark.parametrize("whiten", [True, False])
def test_gradient_is_that_of_the_parameters(setting, whiten):
    data, potential = setting
    parameters = whitened_parameters(potential, data) if whiten else plain_parameters(potential)
    theta = parameters.initial(np.random.default_rng(1))
    assert theta.size == parameters.size
    everything = list(range(len(data)))

    def value(h):
        potential.weights = parameters.weights(theta + h * direction)
        return data.loss(potential, everything, 0.3, 0.0, gradient=False)[0]["value"]

    potential.weights = parameters.weights(theta)
    gradient = parameters.gradient(data.loss(potential, everything, 0.3, 0.0)[1], potential.weights)
    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=theta.size)
        assert_close([gradient @ direction], [directional_derivative(value, 1e-4)], 1e-6)


@pytest.mark.parametrize("whiten", [True, False])
def test_gradient_is_the_transpose_of_weights(setting, whiten):
    data, potential = setting
    parameters = whitened_parameters(potential, data) if whiten else plain_parameters(potential)
    rng = np.random.default_rng(2)
    v, u = rng.normal(size=parameters.size), rng.normal(size=potential.weights.size)
    zero = parameters.weights(np.zeros(parameters.size))
    assert_close([u @ (parameters.weights(v) - zero)], [parameters.gradient(u, zero) @ v], 1e-12)


def test_without_whitening_parameters_are_the_weights(setting):
    _, potential = setting
    parameters = plain_parameters(potential)
    theta = np.random.default_rng(3).normal(size=parameters.size)
    assert np.array_equal(parameters.weights(theta), theta)


def test_whitened_inputs_are_uncorrelated(setting):
    data, potential = setting
    parameters = whitened_parameters(potential, data)
    for element, (transform, mean) in enumerate(parameters.transforms):
        count = potential.networks[element].nodes[0]
        x = [data.features(s)[data.species(s) == element, :count] for s in range(len(data))]
        z = (potential.scaling.apply(element, np.concatenate(x)) - mean) @ transform.T
        assert np.abs(z.mean(0)).max() < 1e-10
        covariance = np.cov(z.T, bias=True)
        assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-8
        assert np.diag(covariance).max() < 1.0
        assert np.diag(covariance).min() > 1e-6 / (1e-6 + 1e-2) * 0.99


def test_penalty_leaves_biases_free(setting):
    _, potential = setting
    parameters = plain_parameters(potential)
    matrices = sum(a * b for network in potential.networks for a, b in pairwise(network.nodes))
    assert parameters.penalized.sum() == matrices
    assert set(parameters.penalized) == {0.0, 1.0}
    # Biases start at 0, weights within Glorot's bounds.
    assert np.all((parameters.initial(np.random.default_rng(0)) == 0) == (parameters.penalized == 0))


def test_functions_without_spread_drop_out():
    functions = SymmetryFunctions.preset("simple-nn", ["Si"])
    data = LocalSet(functions.core, 1 << 30)
    species, positions, cell, pbc = arrays(Atoms("Si2", [[0, 0, 0], [2.4, 0, 0]]), elements=(14,))
    data.add([{"species": species, "positions": positions, "cell": cell, "pbc": pbc, "energy": 1.0}])
    potential = initial_potential(functions, "minmax", NetworkShape(hidden=[3]), data, [0.0])
    parameters = whitened_parameters(potential, data)
    assert parameters.transforms[0][0].shape == (0, 26)
    weights = parameters.weights(parameters.initial(np.random.default_rng(0)))
    assert np.all(np.isfinite(weights))


def labelled(symbols, energy):
    return Structure(Atoms(symbols), energy, None, None, "", "")


def test_offsets_solve_least_squares():
    data = Dataset([labelled("Si2O4", -28.0), labelled("O2", -10.0), labelled("Si", 1.0), labelled("Si9", None)])
    assert_close(atomic_offsets(data, ["O", "Si"]), [-5.0, 0.0], 0.2)
    exact = Dataset([labelled("Si2O4", 2 * 1.5 - 4 * 5.0), labelled("O2", -10.0), labelled("Si", 1.5)])
    assert_close(atomic_offsets(exact, ["O", "Si"]), [-5.0, 1.5], 1e-12)


def test_offsets_of_one_composition_are_the_mean():
    offsets = atomic_offsets(Dataset([labelled("SiO2", -30.0), labelled("SiO2", -33.0)]), ["O", "Si"])
    assert_close([offsets[1] + 2 * offsets[0]], [-31.5], 1e-12)
    assert atomic_offsets(Dataset([labelled("SiO2", None)]), ["O", "Si"]) == [0.0, 0.0]
