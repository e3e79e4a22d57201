"""Training from files to potential: errors, CPU seconds and memory, for several seeds of one or more RUN.tomls.

    python benchmarks/training.py RUN.toml... [--seeds 5] [--json FILE] [--picture FILE]

Each seed is a `sitewise train` of its own process, pinned to one core. CPU seconds are those of the whole process,
from the start of Python to its end, imports and pictures included. Before them the time of an epoch (loss and
gradient with cached derivatives, of the functions that the run chooses), beside the time in which the core reads as
much memory, and the time in which it multiplies as many matrix elements; the time of a Gauss-Newton matrix and of an
iteration of Adam with batches of 4; then how much longer an epoch takes whose derivatives are recomputed or read from
a file, and what such a file costs and saves. The picture has the test errors against the CPU seconds, reading and
features included, a line for each run.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from common import cpu_seconds, environment, pin, print_table, ratio, write_json
from sitewise.config import Config, Training
from sitewise.features.source import FeatureSource
from sitewise.figures import COLORS, panels, plain_log_ticks, save_figure
from sitewise.files import write_text
from sitewise.progress import Reporter
from sitewise.structures import Floats
from sitewise.training import optimizers
from sitewise.training.inputs import Inputs, make_inputs
from sitewise.training.parameters import first_parameters, initial_potential
from sitewise.training.plots import SHOWN
from sitewise.training.prepared import PreparedData
from sitewise.training.random_streams import random_numbers

KINDS = ("energy_rmse", "energy_mae", "force_rmse", "force_mae")
UNITS = {"energy": 1e3, "force": 1.0}  # meV/atom and eV/Angstrom
REPEATS = 15
POLL_SECONDS = 0.05
MUCH = 1 << 40  # bytes
BATCH, ITERATIONS = 4, 50  # structures and iterations of Adam that are timed together
MATRIX = 1024  # rows of the matrices whose product is the arithmetic floor


def objective_of(inputs: Inputs, budget: int, cache: Path | None = None) -> optimizers.Objective:
    """The loss that a run minimises, with so many bytes of cached derivatives. Its functions and settings are those
    that the run chooses."""
    config, data, functions = inputs.config, inputs.train.data, inputs.functions
    prepared = FeatureSource(budget, cache).prepare_here(data, functions)
    table, offsets = config.symmetry_functions, inputs.potential.atom_energies
    potential = initial_potential(functions, table.scaling, config.network, prepared, offsets)
    parameters = first_parameters(potential, prepared, table.whiten)
    return optimizers.Objective(PreparedData(data, prepared), potential, parameters, config.training)


def past_the_budget(inputs: Inputs) -> dict[str, float]:
    """CPU of an epoch whose derivatives are recomputed, or in a file that the system has in memory, over that of one
    with cached derivatives; and the seconds of CPU to prepare the data without, while and after making that file."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        kept = cpu_seconds(lambda: objective_of(inputs, 0, cache))
        found = cpu_seconds(lambda: objective_of(inputs, MUCH, cache))
        computed = cpu_seconds(lambda: objective_of(inputs, MUCH))
        memory, none, file = objective_of(inputs, MUCH), objective_of(inputs, 0), objective_of(inputs, 0, cache)
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


def epoch(inputs: Inputs) -> dict[str, float]:
    """Milliseconds of CPU of an epoch and of its floors, and megabytes of cached derivatives."""
    objective = objective_of(inputs, round(inputs.config.training.memory_budget * 1e9))
    prepared, potential = objective.prepared, objective.potential
    theta = objective.parameters.initial(np.random.default_rng(0))
    copy = np.ones(prepared.memory.cached // 4, dtype=np.float32)
    square = np.ones((MATRIX, MATRIX))
    rate = _milliseconds(lambda: square @ square) / MATRIX**3
    return {
        "epoch_ms": _milliseconds(lambda: objective(theta)),
        "memory_floor_ms": _milliseconds(copy.max),
        "arithmetic_floor_ms": rate * _products(prepared.n_atoms, prepared.memory.cached, potential.networks[0].nodes),
        "matrix_ms": _milliseconds(lambda: objective.curvature(theta, np.random.default_rng(0))),
        "adam_ms": small_batches(objective, theta),
        "cached_mb": prepared.memory.cached / 1e6,
    }


def small_batches(objective: optimizers.Objective, theta: Floats) -> float:
    """Milliseconds of CPU of an iteration of Adam with batches of BATCH structures."""
    of_run = objective.settings
    objective.settings = Training.model_validate({"optimizer": "adam", "batch_size": BATCH, "iterations": ITERATIONS})
    adam = optimizers.Adam(objective, partial(random_numbers, 0), ITERATIONS)
    memory = adam.start(theta)

    def iterate() -> None:
        at = theta
        for iteration in range(ITERATIONS):
            at = adam.step(at, memory, iteration).theta

    spent = _milliseconds(iterate) / ITERATIONS
    objective.settings = of_run
    return spent


def _milliseconds(work: Any) -> float:
    work()
    return 1e3 * statistics.median(cpu_seconds(work) for _ in range(REPEATS))


def _products(atoms: int, cached_bytes: int, nodes: list[int]) -> float:
    """Multiplications of an epoch: two with each cached derivative, and seven with each weight for each atom (forward,
    backward, tangent forward, adjoint backward but for the inputs, two outer products, and the first layer's)."""
    weights = sum(a * b for a, b in pairwise(nodes))
    return 2 * cached_bytes / 4 + 6.5 * weights * atoms


def run(config: Config, seed: int, folder: Path, core: int) -> dict[str, Any]:
    """errors.json of one run with the CPU seconds of the whole process, and its `curve`: CPU seconds and test RMSE of
    energies and forces."""
    tables = config.tables()
    tables["training"]["seed"] = seed
    settings, out = folder / "run.toml", folder / f"seed-{seed}"
    write_text(settings, tomli_w.dumps(tables))
    process = subprocess.Popen(
        [sys.executable, "-m", "sitewise", "train", str(settings), "--out", str(out), "--quiet"],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    log = out / ("replica-0" if config.training.replicas > 1 else ".") / "log.csv"
    before = _children_seconds()
    curve = list(followed(process, log))
    if process.returncode:
        raise SystemExit(f"the run of seed {seed} failed")
    result: dict[str, Any] = json.loads((out / "errors.json").read_text())
    return {**result, "cpu_seconds": _children_seconds() - before, "curve": curve}


def _children_seconds() -> float:
    """CPU seconds of the processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def followed(process: subprocess.Popen[bytes], log: Path) -> Iterator[tuple[float, float, float]]:
    """CPU seconds, and test RMSE of energies and forces, whenever the log of a process has become longer."""
    rows = 0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        if not log.exists():
            continue
        with log.open(encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        try:
            used = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        except OSError:  # it has ended
            continue
        if len(table) > rows:
            rows, last = len(table), table[-1]
            seconds = sum(map(int, used)) / os.sysconf("SC_CLK_TCK")
            yield seconds, float(last["test_energy_rmse"]), float(last["test_force_rmse"])


def draw(path: Path, curves: dict[str, list[list[tuple[float, float, float]]]]) -> None:
    """Test errors of all runs against the CPU seconds."""
    figure, axes = panels(2)
    for (name, runs), color in zip(curves.items(), COLORS, strict=False):
        for k, ax in enumerate(axes):
            kind, unit, factor = list(SHOWN.values())[k]
            for n, curve in enumerate(runs):
                seconds, errors = [point[0] for point in curve], [factor * point[1 + k] for point in curve]
                ax.plot(seconds, errors, color=color, linewidth=1, alpha=0.7, label=None if n else name)
            ax.set(xlabel="CPU seconds", ylabel=f"test {kind} RMSE ({unit})", xscale="log", yscale="log")
    for ax in axes:
        plain_log_ticks(ax.xaxis)
        plain_log_ticks(ax.yaxis)
        ax.legend(frameon=False, fontsize="small")
    save_figure(figure, path)


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
    parser.add_argument("--picture", type=Path, help="file for the errors against the CPU seconds")
    options = parser.parse_args()
    pin(options.core)
    results = {}
    for path in options.runs:
        config = Config.load(path)
        inputs = make_inputs(config, Reporter(quiet=True))
        times, past = epoch(inputs), past_the_budget(inputs)
        row_of_times = ", ".join(f"{name} {value:.3g}" for name, value in {**times, **past}.items())
        print(f"\n{path}: {inputs.functions.core.max_count} functions, {row_of_times}", flush=True)
        results[str(path)] = {
            "epoch": times,
            "past_the_budget": past,
            "runs": measure(config, options.seeds, options.core),
        }
        sys.stdout.flush()
    if options.picture:
        draw(options.picture, {Path(p).stem: [r["curve"] for r in of["runs"]] for p, of in results.items()})
    write_json(options.json, {"environment": environment(["numpy", "scipy"]), "results": results})


if __name__ == "__main__":
    main()
