"""Training from files to potential: errors, CPU seconds and memory, for several seeds of one or more RUN.tomls.

    python benchmarks/training.py RUN.toml... [--seeds 5] [--json FILE]

Each seed is a `sitewise train` of its own process, pinned to one core, everything included from reading the files to
drawing the pictures. Before them the time of an epoch (loss and gradient with cached derivatives), beside the time in
which the core reads as much memory, and the time in which it multiplies as many matrix elements; then how much longer
an epoch takes whose derivatives are recomputed or read from a file, and what such a file costs and saves.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from common import cpu_seconds, environment, pin, print_table, ratio, write_json
from sitewise import optimizers
from sitewise.config import Config
from sitewise.files import write_text
from sitewise.model import Parameters, atomic_offsets, initial_potential
from sitewise.preparation import PreparedData, choose_functions, read_data
from sitewise.progress import Reporter

KINDS = ("energy_rmse", "energy_mae", "force_rmse", "force_mae")
UNITS = {"energy": 1e3, "force": 1.0}  # meV/atom and eV/Angstrom
REPEATS = 15
MUCH = 1 << 40  # bytes
MATRIX = 1024  # rows of the matrices whose product is the arithmetic floor


def objective_of(config: Config, budget: int, cache: Path | None = None) -> optimizers.Objective:
    """The loss that a run minimises, with so many bytes of cached derivatives."""
    quiet = Reporter(quiet=True)
    data, _ = read_data(config.data, np.random.default_rng(0), quiet)
    functions = choose_functions(config.symmetry_functions, data.elements)
    prepared = PreparedData(data, functions, budget, quiet, "", cache).prepared
    offsets = atomic_offsets(data, functions.elements)
    scaling = config.symmetry_functions.scaling
    potential = initial_potential(functions, scaling, config.network, prepared, offsets)
    parameters = Parameters(potential, prepared, config.symmetry_functions.whiten)
    return optimizers.Objective(data, prepared, potential, parameters, config.training)


def past_the_budget(config: Config) -> dict[str, float]:
    """CPU of an epoch whose derivatives are recomputed, or in a file that the system has in memory, over that of one
    with cached derivatives; and the seconds of CPU to prepare the data without, while and after making that file."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        kept = cpu_seconds(lambda: objective_of(config, 0, cache))
        found = cpu_seconds(lambda: objective_of(config, MUCH, cache))
        computed = cpu_seconds(lambda: objective_of(config, MUCH))
        memory, none, file = objective_of(config, MUCH), objective_of(config, 0), objective_of(config, 0, cache)
        theta = memory.parameters.initial(np.random.default_rng(0))
        loss = memory(theta)[0]
        ways = [memory, none, file]
        rounds = [[cpu_seconds(lambda way=way: way(theta)) for way in ways] for _ in range(REPEATS)]
        columns = list(zip(*rounds, strict=True))
        return {
            "recomputed_ratio": ratio(columns[1], columns[0]),
            "streamed_ratio": ratio(columns[2], columns[0]),
            "recomputed_difference": abs(none(theta)[0] / loss - 1),
            "streamed_difference": abs(file(theta)[0] / loss - 1),
            "prepare_s": computed,
            "prepare_and_keep_s": kept,
            "prepare_from_file_s": found,
        }


def epoch(config: Config) -> dict[str, float]:
    """Milliseconds of CPU of an epoch and of its floors, and megabytes of cached derivatives."""
    objective = objective_of(config, round(config.training.memory_budget * 1e9))
    prepared, potential = objective.prepared, objective.potential
    theta = objective.parameters.initial(np.random.default_rng(0))
    copy = np.ones(prepared.cached_bytes // 4, dtype=np.float32)
    square = np.ones((MATRIX, MATRIX))
    rate = _milliseconds(lambda: square @ square) / MATRIX**3
    return {
        "epoch_ms": _milliseconds(lambda: objective(theta)),
        "memory_floor_ms": _milliseconds(copy.max),
        "arithmetic_floor_ms": rate * _products(prepared.n_atoms, prepared.cached_bytes, potential.networks[0].nodes),
        "matrix_ms": _milliseconds(lambda: objective.curvature(theta, np.random.default_rng(0))),
        "cached_mb": prepared.cached_bytes / 1e6,
    }


def _milliseconds(work: Any) -> float:
    work()
    return 1e3 * statistics.median(cpu_seconds(work) for _ in range(REPEATS))


def _products(atoms: int, cached_bytes: int, nodes: list[int]) -> float:
    """Multiplications of an epoch: two with each cached derivative, and seven with each weight for each atom (forward,
    backward, tangent forward, adjoint backward but for the inputs, two outer products, and the first layer's)."""
    weights = sum(a * b for a, b in pairwise(nodes))
    return 2 * cached_bytes / 4 + 6.5 * weights * atoms


def run(config: Config, seed: int, folder: Path, core: int) -> dict[str, Any]:
    """errors.json of one run."""
    tables = config.tables()
    tables["training"]["seed"] = seed
    write_text(folder / f"{seed}.toml", tomli_w.dumps(tables))
    out = folder / str(seed)
    subprocess.run(
        [sys.executable, "-m", "sitewise", "train", folder / f"{seed}.toml", "--out", out, "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    result: dict[str, Any] = json.loads((out / "errors.json").read_text())
    return result


def row(name: str, table: dict[str, Any], more: tuple[str, ...]) -> list[str]:
    """Cells of the test errors."""
    cells = [f"{table[kind] * UNITS[kind.split('_')[0]]:.3g}" for kind in KINDS]
    return [name, *cells, *more]


def measure(config: Config, seeds: int, core: int) -> list[dict[str, Any]]:
    """All seeds of a RUN.toml, with a table of them, their medians and the median run's groups."""
    runs, rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            runs.append(run(config, seed, Path(folder), core))
            costs = f"{runs[-1]['cpu_seconds']:.1f}", f"{runs[-1]['peak_memory_mb']:.0f}"
            rows.append(row(f"seed {seed}", runs[-1]["test"], costs))
    medians = {kind: statistics.median(r["test"][kind] for r in runs) for kind in KINDS}
    costs = tuple(
        f"{statistics.median(r[k] for r in runs):.{d}f}" for k, d in (("cpu_seconds", 1), ("peak_memory_mb", 0))
    )
    rows.append(row("median", medians, costs))
    for group in runs[0]["test"].get("groups", {}):
        of_group = {k: statistics.median(r["test"]["groups"][group][k] for r in runs) for k in KINDS}
        rows.append(row(f"  {group}", of_group, ("", "")))
    header = ["test errors", "E RMSE meV/atom", "E MAE", "F RMSE eV/A", "F MAE", "CPU s", "MB"]
    settings = config.training
    print_table(f"{settings.optimizer}, {settings.iterations} iterations", header, rows)
    return runs


def main() -> None:
    """Prints the tables of each RUN.toml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN.toml")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0, help="to pin the runs to")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    pin(options.core)
    results = {}
    for path in options.runs:
        config = Config.load(path)
        times, past = epoch(config), past_the_budget(config)
        print(f"\n{path}: " + ", ".join(f"{name} {value:.3g}" for name, value in {**times, **past}.items()), flush=True)
        results[str(path)] = {
            "epoch": times,
            "past_the_budget": past,
            "runs": measure(config, options.seeds, options.core),
        }
        sys.stdout.flush()
    write_json(options.json, {"environment": environment(["numpy", "scipy"]), "results": results})


if __name__ == "__main__":
    main()
