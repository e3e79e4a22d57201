"""Networks: activations, and derivatives with respect to inputs and weights."""

import numpy as np
import pytest

from checks import RNG_SEED, assert_close, directional_derivative
from sitewise import Error, _core

REFERENCE = {
    "l": lambda z: z,
    "t": np.tanh,
    "s": lambda z: 1 / (1 + np.exp(-z)),
    "p": lambda z: np.log(1 + np.exp(z)),
    "r": lambda z: np.maximum(z, 0),
    "g": lambda z: np.exp(-(z**2) / 2),
    "c": np.cos,
    "S": lambda z: 1 - 1 / (1 + np.exp(-z)),
    "e": lambda z: np.exp(-z),
    "h": lambda z: z**2,
}


def network(letters="tsl", nodes=(4, 6, 5, 1), normalize=False):
    net = _core.Network(list(nodes), letters, normalize)
    net.weights = np.random.default_rng(RNG_SEED).normal(0, 0.7, net.weights.size)
    return net


def inputs(n=4, B=9):
    return np.random.default_rng(7).normal(size=(B, n))


def by_hand(net, x):
    h, at = x, 0
    for layer, letter in enumerate(net.activations):
        n, m = net.nodes[layer], net.nodes[layer + 1]
        W = net.weights[at : at + n * m].reshape(n, m)
        b = net.weights[at + n * m : at + n * m + m]
        at += n * m + m
        h = REFERENCE[letter]((h @ W + b) / (n if net.normalize_nodes else 1))
    return h[:, 0]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("letter", REFERENCE)
def test_energies_and_their_derivatives(letter, normalize):
    net, x = network(letter + "t" + "l", normalize=normalize), inputs()
    e, dedx = net.evaluate(x)
    assert_close(e, by_hand(net, x), 1e-13)
    v = np.random.default_rng(1).normal(size=x.shape)
    numerical = directional_derivative(lambda h: net.evaluate(x + h * v)[0], 1e-4)
    assert_close(np.sum(dedx * v, axis=1), numerical, 1e-8)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("letter", REFERENCE)
def test_weight_gradient(letter, normalize):
    net, x = network(letter + letter + "l", normalize=normalize), inputs()
    rng = np.random.default_rng(2)
    a, t, direction = rng.normal(size=len(x)), rng.normal(size=x.shape), rng.normal(size=net.weights.size)
    exact = net.weight_gradient(x, a, t) @ direction
    w = net.weights

    def scalar(h):
        net.weights = w + h * direction
        e, dedx = net.evaluate(x)
        return np.sum(a * e) + np.sum(t * dedx)

    assert_close(exact, directional_derivative(scalar, 1e-4), 1e-7)


SLOPE = {
    "t": lambda z: np.cosh(z) ** -2,
    "s": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "S": lambda z: -np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "p": lambda z: 1 / (1 + np.exp(-z)),
    "g": lambda z: -z * np.exp(-(z**2) / 2),
    "c": lambda z: -np.sin(z),
}


@pytest.mark.parametrize(
    ("precision", "value_bound", "slope_bound"), [("float64", 1e-15, 2e-15), ("float32", 3e-7, 6e-7)]
)
@pytest.mark.parametrize("letter", SLOPE)
def test_errors_of_vectorised_activations(letter, precision, value_bound, slope_bound):
    """The bounds that cpp/include/sitewise/network.hpp states."""
    z = np.concatenate([np.linspace(-45, 45, 100_001), np.geomspace(1e-12, 1, 1001), -np.geomspace(1e-12, 1, 1001)])
    z = z.astype(np.float32).astype(float)
    value, slope = _core.activate(letter, z, precision)
    exact = z.astype(np.longdouble)
    for found, true, bound in (
        (value, REFERENCE[letter](exact), value_bound),
        (slope, SLOPE[letter](exact), slope_bound),
    ):
        assert np.max(np.abs(found - true) / np.maximum(np.abs(true), 1)) <= bound


def test_large_arguments_stay_finite():
    for letter in "tspgS":
        net = _core.Network([1, 1, 1], letter + "l")
        net.weights = np.array([1.0, 0.0, 1.0, 0.0])
        e, dedx = net.evaluate(np.array([[-800.0], [800.0]]))
        assert np.all(np.isfinite(e))
        assert np.all(np.isfinite(dedx))


@pytest.mark.parametrize(
    ("nodes", "letters", "message"),
    [
        ([3, 2], "t", "last layer has 2"),
        ([3, 0, 1], "tl", "a layer has 0 nodes"),
        ([3, 4, 1], "t", "need 2 activation"),
        ([3, 4, 1], "tx", 'activation "x" is unknown'),
    ],
)
def test_bad_networks_are_refused(nodes, letters, message):
    with pytest.raises(Error, match=message):
        _core.Network(nodes, letters)


def test_bad_weights_are_refused():
    net = network()
    with pytest.raises(Error, match="weights, expected"):
        net.weights = np.zeros(3)
    with pytest.raises(Error, match="weight 2 is not finite"):
        net.weights = np.where(np.arange(net.weights.size) == 2, np.nan, 0.0)
