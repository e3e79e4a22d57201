"""An epoch (loss and gradient, cached derivatives) shared among the ranks of MPI, beside that of one process.

    mpirun -n 2 python benchmarks/training_ranks.py RUN.toml

CPU time of each rank: to prepare the structures, and of an epoch, without and (on rank 0) with the exchange with the
others and the waiting for them; medians of epochs taken in turn with those of one process. One thread each.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from common import cpu_seconds, print_table
from sitewise.config import Config
from sitewise.features.selection import choose_functions
from sitewise.features.shared import _Part
from sitewise.features.source import FeatureSource
from sitewise.features.training_set import TrainingSet
from sitewise.progress import Reporter
from sitewise.ranks import all_ranks
from sitewise.training.data import read_data
from sitewise.training.parameters import atomic_offsets, initial_potential
from sitewise.training.settled import settled

REPEATS = 15
QUIET = Reporter(quiet=True)

of_part = _Part.loss
spent: list[float] = []  # CPU seconds of the calls of `loss` on this rank


def loss(part: Any, *arguments: Any) -> Any:
    """What each rank does of an epoch, with its CPU time in `spent`."""
    began = time.process_time()
    result = of_part(part, *arguments)
    spent.append(time.process_time() - began)
    return result


def median_spent(_: object) -> float:
    """Of a rank, milliseconds."""
    return 1e3 * statistics.median(spent)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN.toml")
    with patch.object(_Part, "loss", loss), all_ranks() as ranks:
        config = Config.load(parser.parse_args().run)
        data, _ = read_data(config.data, np.random.default_rng(0), QUIET)
        config = settled(config, data, QUIET)
        functions = choose_functions(config.symmetry_functions, data)
        sets: list[TrainingSet] = []
        prepared = [
            cpu_seconds(lambda: sets.append(FeatureSource().prepare(data, functions, ""))),
            cpu_seconds(lambda: sets.append(FeatureSource(ranks=ranks).prepare(data, functions, ""))),
        ]
        offsets = atomic_offsets(data, functions.elements)
        potential = initial_potential(functions, config.symmetry_functions.scaling, config.network, sets[0], offsets)
        potential.weights = np.random.default_rng(0).normal(0, 0.1, potential.weights.size)
        everything = range(len(data))
        rounds = [
            [cpu_seconds(lambda s=s: s.loss(potential, everything, 0.01, 0.0)) for s in sets] for _ in range(REPEATS)
        ]
        whole, shared = (1e3 * statistics.median(column) for column in zip(*rounds, strict=True))
        rows = [["one process", f"{prepared[0]:.2f}", f"{whole:.1f}", "", f"{sets[0].memory.cached / 1e6:.0f}"]]
        for rank, part in enumerate(ranks.gather(median_spent, 0)):
            cells = [f"{prepared[1]:.2f}", f"{part:.1f}", f"{shared:.1f}", f"{sets[1].memory.cached / 1e6:.0f}"]
            rows.append([f"rank {rank}", *(cells if rank == 0 else ["", cells[1], "", ""])])
        header = ["", "prepare, CPU s", "epoch, CPU ms", "and exchange", "cached MB"]
        print_table(f"{len(data)} structures, {data.n_atoms} atoms, {ranks.size} ranks", header, rows)


if __name__ == "__main__":
    main()
