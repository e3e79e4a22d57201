"""What benchmarks/gate.py times, in a process of its own for each build and instruction set.

Reads names of contenders from standard input, a line each, and answers each with a line of JSON: a number, CPU
microseconds per atom and step or CPU seconds, or a text that says why there is none.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# isort: split
import common  # before numpy
from common import Contender, Work

# isort: split
import numpy as np
from ase.io import read, write

DATA = Path(__file__).parent.parent / "examples" / "si-dft" / "crystal.xyz.xz"
STRUCTURES = 40  # of DATA, 64 atoms each
CELLS, SKIN, DRAWS = 5, 1.0, 16  # of the steps' crystal, Angstrom, draws of the posterior
HIDDEN = 17
RUN = """[data]
train = "{data}"
test = 0.1
[training]
iterations = 20
"""


@dataclass(eq=False)
class Process:
    """A command of sitewise as a process."""

    name: str
    arguments: list[str]
    group: str = ""

    def sample(self) -> float:
        """CPU seconds of the whole process."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "sitewise", *self.arguments]
            subprocess.run(command, cwd=folder, stdout=sys.stderr, stderr=subprocess.PIPE, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def step(preset: str, precision: str, bars: bool) -> Work:
    """A whole step of a potential of a preset with random weights, its list with a skin."""
    from sitewise import NeighborList
    from sitewise.structures import core_arrays

    atoms, core = common.silicon(CELLS), potential(preset, precision)
    neighbors = NeighborList(core.cutoff, skin=SKIN)
    species, positions, *cell = core_arrays(atoms, ["Si"], "the potential")
    positions = positions.copy()

    def run(steps: int) -> None:
        for number in range(steps):
            positions[:] += 1e-9 if number % 2 else -1e-9
            core.compute(species, positions, *cell, neighbors=neighbors, bars=bars)

    return Work(preset, run, len(atoms))


@cache
def potential(preset: str, precision: str) -> Any:
    """The potential, with a posterior."""
    from sitewise import Potential, SymmetryFunctions, _core
    from sitewise.posterior import Posterior

    functions = SymmetryFunctions.preset(preset, ["Si"])
    values = functions.evaluate(common.silicon(2))
    statistics = np.array([values.min(0), values.max(0), values.mean(0), values.std(0)])
    rng = np.random.default_rng(0)
    network = _core.Network([len(functions), HIDDEN, HIDDEN, 1], "ttl")
    network.weights = rng.normal(0, 0.3, network.weights.size)
    scaling = _core.Scaling("center", 0.0, 1.0, [statistics])
    core = _core.Potential(["Si"], functions.core, scaling, [network], [0.0])
    weights = network.weights
    posterior = Posterior(weights, 0.01 * weights, rng.normal(0, 0.01, (64, len(weights))), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        core.save(folder)
        posterior.save(Path(folder))
        loaded = Potential.load(folder, precision=precision).core
        loaded.set_posterior(_core.Posterior.load(folder), DRAWS)
    return loaded


@cache
def structures() -> Path:
    """A file with the structures."""
    path = Path(FOLDER.name) / "structures.xyz"
    write(path, read(DATA, f":{STRUCTURES}"))
    return path


@cache
def objective() -> Any:
    """The loss of the structures with the defaults."""
    import training
    from sitewise.config import Config

    return training.objective_of(Config.load(run_file()), training.MUCH)


def run_file() -> Path:
    """A RUN.toml of the structures."""
    path = Path(FOLDER.name) / "run.toml"
    path.write_text(RUN.format(data=structures()))
    return path


def epoch() -> Work:
    """Loss and gradient with cached derivatives."""
    loss = objective()
    theta = loss.parameters.initial(np.random.default_rng(0))
    return Work("", common.repeated(lambda: loss(theta)), loss.prepared.n_atoms)


def matrix() -> Work:
    """The Gauss-Newton matrix and its factor."""
    loss = objective()
    theta = loss.parameters.initial(np.random.default_rng(0))
    make = common.repeated(lambda: loss.curvature(theta, np.random.default_rng(0)).inverse(1e-3))
    return Work("", make, loss.prepared.n_atoms)


def preparation() -> Work:
    """Features and their derivatives of a data set."""
    from sitewise.features.source import FeatureSource

    loss = objective()
    data, functions = loss.data, functions_of(loss)
    make = common.repeated(lambda: FeatureSource(1 << 40).prepare_here(data, functions))
    return Work("", make, loss.prepared.n_atoms)


def functions_of(loss: Any) -> Any:
    """The symmetry functions of a loss."""
    from sitewise import SymmetryFunctions

    return SymmetryFunctions(["Si"], loss.potential.functions)


def tersoff() -> Work:
    """LAMMPS's."""
    import alternatives

    return alternatives.pair_style(common.silicon(CELLS), "tersoff", "", SKIN)


MAKERS: dict[str, Callable[..., Contender]] = {
    "tersoff": tersoff,
    "step": step,
    "training epoch": epoch,
    "Gauss-Newton matrix": matrix,
    "preparation": preparation,
    "start-up": lambda: Process("", ["--help"]),
    "info": lambda: Process("", ["info"]),
    "training run": lambda: Process("", ["train", str(run_file()), "--out", "out", "--quiet"]),
    "diagnose": lambda: Process("", ["diagnose", str(structures()), "--quiet"]),
}


@cache
def made(request: str) -> Contender:
    """The contender of a name and its arguments."""
    name, *arguments = json.loads(request)
    return MAKERS[name](*arguments)


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    for request in sys.stdin:
        try:
            answer: float | str = made(request).sample()
        except Exception as error:  # of any build
            answer = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    FOLDER = tempfile.TemporaryDirectory()
    main()
