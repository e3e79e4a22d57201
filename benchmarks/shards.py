"""Memory and time of sets that are larger than the memory, and a model of many ranks.

    python benchmarks/shards.py [--atoms 50000 100000 200000] [--budget 0.08] [--predict 1000000] [--json FILE]

For each size, a synthetic set (copies of DISTINCT rattled silicon crystals of 216 atoms with the labels of
Stillinger-Weber) is trained on for a few iterations of Adam, in a process of its own with the same `memory_budget`
(GB): with derivatives that are computed at each use and, for sets of at most --cached atoms, with those of `cache`. The
table has the size of derivatives, neighbours and features over the budget, and the peak memory (by the kernel) and CPU
time of the whole process; `predict` follows for some sizes.

The last table is a MODEL, not a measurement: weak scaling from measured parts. It takes CPU time per atom of reading,
preparation and an epoch from memory on this machine, and for an exchange LATENCY and BANDWIDTH of a network of the kind
that clusters have; waiting of ranks for each other is not in it. Rank 0 alone finds the structures in the file and
their labels, and sends and receives all structures TRIPS times: what is parsed of them, for the search of overlapping
atoms, for the distances of the preset and of the scaling, to be prepared, and for the final errors.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import subprocess
import sys
import tempfile
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

# isort: split
import common  # before numpy
from common import cpu_seconds, print_table

# isort: split
import numpy as np
from ase.build import bulk

from sitewise import Dataset, SymmetryFunctions, _core
from sitewise.config import NetworkShape
from sitewise.features.source import FeatureSource
from sitewise.io import plausibility, readers
from sitewise.io.dataset import _Reader
from sitewise.io.extxyz import write_extxyz
from sitewise.presets import closest_distances, nearest_distances
from sitewise.progress import Reporter
from sitewise.reproduce.stillinger_weber import stillinger_weber
from sitewise.training.parameters import initial_potential, whitened_parameters
from sitewise.units import Units

DISTINCT, SIZE = 101, 216  # structures, and atoms of one
QUIET = Reporter(quiet=True)
RUN = """
[data]
train = "{data}"
test = 0.0
{cache}
[network]
hidden = [30, 30]
[training]
optimizer = "adam"
iterations = 10
memory_budget = {budget}
posterior = false
[invariants]
data = []
"""
RANKS = (1, 4, 16, 64, 256, 1024)
PER_RANK, EPOCHS = 10_000, 360  # atoms, and iterations of the default recipe
TRIPS = 6
MEASURED = 100_000  # atoms of the set that parts are measured on
LATENCY, BANDWIDTH = 2e-6, 1e10  # s of a message, and bytes/s


class Spent(NamedTuple):
    """Peak memory in MB, and CPU seconds, of a process."""

    memory: float
    seconds: float


class Parts(NamedTuple):
    """CPU time per atom, us: of reading and of one trip of a structure, which take rank 0, and of what ranks share; and
    bytes of a gradient."""

    reading: float
    trip: float
    parsing: float
    preparation: float
    epoch: float
    gradient: int


def frames() -> list[str]:
    """Return the distinct structures as extended XYZ."""
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(DISTINCT):
        atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat((3, 3, 3))
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        energies, forces = stillinger_weber(atoms)
        with tempfile.TemporaryFile("w+") as file:
            write_extxyz(file, atoms, {"energy": float(energies.sum()), "forces": forces})
            file.seek(0)
            texts.append(file.read())
    return texts


def write_set(path: Path, texts: list[str], atoms: int) -> int:
    """Write a set of about so many atoms; return their number."""
    number = -(-atoms // SIZE)
    with path.open("w") as file:
        file.writelines(islice(cycle(texts), number))
    return number * SIZE


def run(*arguments: str, folder: Path) -> Spent:
    """Run the command line in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "sitewise", *arguments, "--quiet"], cwd=folder, stdout=-3)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"sitewise {' '.join(arguments)} ended with {process.returncode}")
    return Spent(usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def parts(path: Path) -> tuple[Parts, float]:
    """Measure the parts on a set that fits the memory; return them, and the bytes of an atom that is prepared."""
    data = Dataset.read(path, reporter=QUIET)  # imports what it needs
    n, name = data.n_atoms, str(path)
    places = readers._places(name) or []
    texts = [("extxyz", partial(place.text, name)) for place in places]
    atoms = [readers._parsed(None, text) for text in texts]
    reader = _Reader({}, Units())
    reading = cpu_seconds(lambda: readers._places(name))
    reading += cpu_seconds(lambda: [reader.structure(each, name, 0) for each in atoms])
    parsing = cpu_seconds(lambda: [readers._checked(None, (name, place)) for place in places])
    parsing += cpu_seconds(lambda: [readers._parsed(None, text) for text in texts])
    parsing += cpu_seconds(lambda: [plausibility._overlap(None, structure) for structure in data])
    functions = SymmetryFunctions.preset("standard", data.elements, None, nearest_distances(data, data.elements))
    trip = cpu_seconds(lambda: [pickle.loads(pickle.dumps(structure)) for structure in data])
    prepared = FeatureSource().prepare(data, functions, "")
    preparation = cpu_seconds(lambda: FeatureSource().prepare(data, functions, ""))
    preparation += cpu_seconds(lambda: nearest_distances(data, data.elements))
    preparation += cpu_seconds(lambda: closest_distances(data, data.elements, functions.cutoff))
    potential = initial_potential(functions, "minmax", NetworkShape(hidden=[30, 30]), prepared, [0.0])
    preparation += cpu_seconds(lambda: whitened_parameters(potential, prepared))
    potential.weights = np.random.default_rng(0).normal(0, 0.1, potential.weights.size)
    everything = range(len(data))
    epoch = min(cpu_seconds(lambda: prepared.loss(potential, everything, 0.01, 0.0)) for _ in range(5))
    per_atom = [1e6 * seconds / n for seconds in (reading, trip, parsing, preparation, epoch)]
    return Parts(*per_atom, potential.weights.nbytes), prepared.memory.used / n


def exchange(ranks: int, gradient: int) -> float:
    """Return the modelled seconds of an exchange: a call, weights to all, pieces of the gradient to all and back."""
    if ranks == 1:
        return 0.0
    steps = math.ceil(math.log2(ranks))
    return LATENCY * (3 * steps + ranks) + (steps + 2) * gradient / BANDWIDTH


def model(measured: Parts) -> list[list[str]]:
    """Return the rows of the model."""
    rows = []
    for ranks in RANKS:
        atoms = PER_RANK * ranks
        trips = TRIPS * measured.trip if ranks > 1 else 0.0
        reading = 1e-6 * (atoms * (measured.reading + trips) + PER_RANK * measured.parsing)
        preparation = 1e-6 * PER_RANK * measured.preparation
        epoch = 1e-6 * PER_RANK * measured.epoch
        whole = epoch + exchange(ranks, measured.gradient)
        cells = [f"{reading:.1f}", f"{preparation:.2f}", f"{1e3 * whole:.1f}", f"{epoch / whole:.2f}"]
        rows.append([str(ranks), f"{atoms:.1e}", *cells, f"{reading + preparation + EPOCHS * whole:.0f}"])
    return rows


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="The head of this file tells more, with examples."
    )
    parser.add_argument("--atoms", type=int, nargs="*", default=[50_000, 100_000, 200_000], help="sizes for train")
    parser.add_argument("--cached", type=int, default=100_000, help="most atoms of a set with derivatives in files")
    parser.add_argument("--predict", type=int, nargs="*", default=[100_000, 1_000_000], help="sizes for predict")
    parser.add_argument("--budget", type=float, default=0.08, help="memory_budget, GB")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def main() -> None:
    """Prints the tables."""
    options = arguments()
    _core.set_threads(1)
    result = common.environment()
    print(f"{result['processor']}, {result['instruction_set']}, {result['date']}")
    texts = frames()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spent = curve(options, folder, texts)  # first: a process inherits the peak memory of the one that starts it
        write_set(folder / "parts.xyz", texts, MEASURED)
        measured, of_atom = parts(folder / "parts.xyz")
    rows = [
        [name, f"{atoms}", f"{of_atom * atoms / options.budget / 1e9:.1f}", f"{memory:.0f}", f"{seconds:.1f}"]
        for name, atoms, memory, seconds in spent
    ]
    title = f"memory_budget {options.budget:g} GB"
    print_table(title, ["", "atoms", "times the budget", "peak, MB", "CPU us/atom"], rows)
    header = ["ranks", "atoms", "reading, s", "preparation, s", "epoch, ms", "efficiency", f"all, {EPOCHS} epochs, s"]
    print_table("MODEL of weak scaling, 10,000 atoms for each rank", header, model(measured))
    print("\nmeasured, CPU us/atom: " + ", ".join(f"{name} {value:.3g}" for name, value in measured._asdict().items()))
    common.write_json(options.json, result | {"curve": rows, "parts": measured._asdict(), "model": model(measured)})


def curve(options: argparse.Namespace, folder: Path, texts: list[str]) -> list[tuple[str, int, float, float]]:
    """Return name, atoms, peak memory (MB) and CPU us/atom of each process."""
    rows: list[tuple[str, int, float, float]] = []

    def add(name: str, atoms: int, *arguments: str) -> None:
        spent = run(*arguments, folder=folder)
        rows.append((name, atoms, spent.memory, 1e6 * spent.seconds / atoms))
        print(*rows[-1], flush=True)

    for wanted in options.atoms:
        atoms = write_set(folder / "data.xyz", texts, wanted)
        for cache in ("cache", "") if wanted <= options.cached else ("",):
            line = 'cache = "kept"' if cache else ""
            (folder / "run.toml").write_text(RUN.format(data="data.xyz", cache=line, budget=options.budget))
            add(f"train {cache}", atoms, "train", "run.toml", "--out", f"{wanted}{cache}")
            for kept in (folder / "kept").glob("*"):
                kept.unlink()
    for wanted in options.predict:
        atoms = write_set(folder / "data.xyz", texts, wanted)
        add("predict", atoms, "predict", f"{options.atoms[0]}/potential", "data.xyz", "-o", "found.xyz")
    return rows


if __name__ == "__main__":
    main()
