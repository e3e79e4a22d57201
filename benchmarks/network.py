"""The networks: CPU time per atom of energies and their derivatives by the inputs, beside numpy.

python benchmarks/network.py [--nodes 27-24-24-1] [--atoms 1024] [--repeats 15] [--core 0] [--json FILE]
"""

import argparse
import statistics

# isort: split
import common  # before numpy
from common import Work

# isort: split
from collections.abc import Callable

import numpy as np

from sitewise import _core

ACTIVATIONS = {"tanh": "t", "softplus": "p", "gaussian": "g", "cosine": "c"}


def with_numpy(network: _core.Network, x: np.ndarray) -> Callable[[], object]:
    """The same with matrix products and tanh of numpy, as one would write it."""
    layers, at = [], 0
    for fan_in, fan_out in zip(network.nodes[:-1], network.nodes[1:], strict=True):
        matrix = network.weights[at : at + fan_in * fan_out].reshape(fan_in, fan_out)
        layers.append((matrix, network.weights[at + fan_in * fan_out : at + (fan_in + 1) * fan_out]))
        at += (fan_in + 1) * fan_out

    def run() -> tuple[np.ndarray, np.ndarray]:
        hidden, slopes = x, []
        for matrix, bias in layers[:-1]:
            hidden = np.tanh(hidden @ matrix + bias)
            slopes.append(1 - hidden**2)
        gradient = np.broadcast_to(layers[-1][0].T, (len(x), hidden.shape[1]))
        energies = hidden @ layers[-1][0] + layers[-1][1]
        for (matrix, _), slope in zip(reversed(layers[:-1]), reversed(slopes), strict=True):
            gradient = (gradient * slope) @ matrix.T
        return energies, gradient

    return run


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", default="27-24-24-1")
    parser.add_argument("--atoms", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--json", type=common.Path)
    options = parser.parse_args()
    common.pin(options.core)
    nodes = [int(n) for n in options.nodes.split("-")]
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (options.atoms, nodes[0]))

    def network(letter: str) -> _core.Network:
        made = _core.Network(nodes, letter * (len(nodes) - 2) + "l")
        made.weights = rng.normal(0, 0.3, made.weights.size)
        return made

    networks = {name: network(letter) for name, letter in ACTIVATIONS.items()}
    works = [
        *(
            Work(f"sitewise, {name}", common.repeated(lambda made=made: made.evaluate(x)), options.atoms)
            for name, made in networks.items()
        ),
        Work("numpy, tanh", common.repeated(with_numpy(networks["tanh"], x)), options.atoms),
    ]
    samples = common.interleaved(works, options.repeats)
    rows = {work.name: statistics.median(sample) for work, sample in zip(works, samples, strict=True)}
    common.print_table(
        f"Networks {options.nodes}, float64, {options.atoms} atoms",
        ("", "us/atom", "of sitewise"),
        [
            (work.name, f"{rows[work.name]:.3f}", f"{common.ratio(sample, samples[0]):.2f}")
            for work, sample in zip(works, samples, strict=True)
        ],
    )
    common.write_json(options.json, common.environment() | {"nodes": options.nodes, "us_per_atom": rows})


if __name__ == "__main__":
    main()
