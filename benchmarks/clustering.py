"""Single-linkage clustering of G space: CPU seconds against the number of atoms.

    python benchmarks/clustering.py [--clusters 52,208,832] [--random 12500] [--core 0] [--json FILE]

The points are the environments of silicon clusters of 239 atoms, with the stock functions: a few principal components
have nearly all of their variance, so that a k-d tree divides them well. Random points of as many dimensions, which it
does not divide, are the worst case.
"""

import argparse
from pathlib import Path

# isort: split
import common  # before numpy

# isort: split
import numpy as np
from ase import Atoms
from ase.build import bulk

from sitewise import SymmetryFunctions
from sitewise.io.dataset import Dataset
from sitewise.mapping.clustering import single_linkage
from sitewise.mapping.gspace import Embedding
from sitewise.structures import Floats, Structure

ATOMS = 239


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clusters", default="52,208,832", help="numbers of clusters, separated by commas")
    parser.add_argument("--random", default="12500", help="numbers of random points, separated by commas")
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    common.pin(options.core)
    cases = {f"{ATOMS * n} atoms of clusters": environments(n) for n in map(int, options.clusters.split(","))}
    width = next(iter(cases.values())).shape[1]
    rng = np.random.default_rng(0)
    cases |= {f"{n} random points": rng.normal(size=(n, width)) for n in map(int, options.random.split(","))}
    seconds = {name: common.cpu_seconds(lambda points=points: single_linkage(points)) for name, points in cases.items()}
    rows = [(name, f"{value:.2f}") for name, value in seconds.items()]
    common.print_table(f"Single linkage, {width} functions", ("points", "CPU s"), rows)
    common.write_json(options.json, common.environment() | {"cpu_seconds": seconds})


def environments(count: int) -> Floats:
    """Returns the places in G space of the atoms of some ellipsoids of silicon, hot and strained."""
    data = Dataset([Structure(cluster(seed), None, None, None, "", str(seed)) for seed in range(count)])
    return Embedding.of(data, SymmetryFunctions.preset("simple-nn", ["Si"])).placed.points[0]


def cluster(seed: int) -> Atoms:
    """Returns the atoms of diamond that are in an ellipsoid, rattled by 0.05 to 0.25 Angstrom."""
    rng = np.random.default_rng(seed)
    positions = bulk("Si", "diamond", a=5.43, cubic=True).repeat(6).positions
    positions += rng.uniform(-1, 1, 3) - positions.mean(axis=0)
    nearest = np.argsort(np.linalg.norm(positions / rng.uniform(0.85, 1.15, 3), axis=1))
    inside = positions[nearest[:ATOMS]] * rng.normal(1, 0.02)
    return Atoms(f"Si{ATOMS}", inside + rng.normal(0, rng.uniform(0.05, 0.25), inside.shape))


if __name__ == "__main__":
    main()
