"""Times of the CUDA backend beside the processor's on the same machine: to be run where there is a GPU.

    python benchmarks/gpu.py POTENTIAL [--repeats 7] [--most 1000000] [--json FILE] > gpu.md

POTENTIAL is [NAME=]DIR[:cflength:cfenergy] of silicon; sitewise must be built with CUDA. Medians of wall-clock times,
transfers between host and device included, for rattled crystals of 10^3 to 10^6 atoms in single and double precision:
the neighbour list; features (list and symmetry functions); forces (list and (dG/dr)^T u of a given u); a step (all of
it, from positions on the host to energy, forces and virial); the network, which is what a step takes beside list,
functions and forces (a difference of times that copy more: it may be below 0); and the loss with its gradient,
structures kept on the device. The processor uses all of its threads. We have no GPU: please send us the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# isort: split
import common  # before numpy

# isort: split
import numpy as np
from ase import Atoms

from ours import source
from sitewise import Potential, _core
from sitewise.structures import core_arrays

CELLS = (5, 11, 23, 50)  # 10^3 to 10^6 atoms
PRECISIONS = ("float64", "float32")
MOST_IN_LOSS = 200_000  # atoms
CACHE = 1 << 32  # bytes of derivatives that the processor keeps; the device computes them anew


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median of the wall-clock time after a run that warms up; NaN if the memory does not suffice."""
    samples = []
    try:
        work()
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            samples.append(time.perf_counter() - start)
    except (MemoryError, _core.Error) as error:
        if "memory" not in str(error):
            raise
    return statistics.median(samples) if samples else float("nan")


def stages(potential: Potential, atoms: Atoms, device: str) -> dict[str, Callable[[], object]]:
    """What is timed; operators are in double precision always."""
    parts = core_arrays(atoms, potential.elements, "the potential")
    functions, core = potential.core.functions, potential.core
    work: dict[str, Callable[[], object]] = {}
    if core.precision == "float64":
        u = np.random.default_rng(1).normal(size=(len(atoms), functions.count(0)))
        work["list"] = lambda: _core.neighbor_list(*parts[1:], functions.cutoff, device)
        work["features"] = lambda: functions.evaluate(*parts, device)
        work["forces"] = lambda: functions.vjp(*parts, u, device)
    work["step"] = lambda: core.compute(*parts)
    if len(atoms) <= MOST_IN_LOSS:
        labels = core.compute(*parts)
        training = _core.TrainingSet(functions, CACHE)
        names = ("species", "positions", "cell", "pbc")
        known = {"energy": labels["energy"], "forces": labels["forces"], "stress": None}
        training.add([dict(zip(names, parts, strict=True)) | known])
        work["loss and gradient"] = lambda: training.loss(core, [0], 1.0, 0.0)
    return work


def measure(path: Any, atoms: Atoms, repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds by precision, stage and device."""
    result: dict[str, dict[str, dict[str, float]]] = {p: {} for p in PRECISIONS}
    for precision in PRECISIONS:
        for device in ("cpu", "cuda"):
            potential = path.load(precision)
            potential.core.device = device
            for stage, work in stages(potential, atoms, device).items():
                result[precision].setdefault(stage, {})[device] = seconds(work, repeats)
    double = result["float64"]
    double["network"] = {
        device: t + double["list"][device] - double["features"][device] - double["forces"][device]
        for device, t in double["step"].items()
    }
    return result


def agreement(path: Any) -> float:
    """The largest difference of forces against the largest force, float64: times of wrong results are worth nothing."""
    atoms, forces = common.silicon(CELLS[0]), []
    for device in ("cpu", "cuda"):
        potential = path.load()
        potential.core.device = device
        forces.append(potential.evaluate(atoms).forces)
    return float(np.abs(forces[0] - forces[1]).max() / np.abs(forces[0]).max())


def print_report(results: dict[int, Any], difference: float) -> None:
    """Markdown, to be sent as it is."""
    machine = f"GPU: {_core.info()['cuda']}; processor: {common.processor()}, {_core.get_threads()} threads"
    print(f"{machine}; sitewise {_core.info()['version']}, {time.strftime('%Y-%m-%d')}")
    print(f"Forces differ by {difference:.1e} of the largest.\n")
    print("| atoms | precision | stage | processor, ms | GPU, ms | GPU, µs/atom | times faster |")
    print("|---|---|---|---|---|---|---|")
    for n, table in results.items():
        for precision, rows in table.items():
            for stage, t in rows.items():
                speed = f"{1e3 * t['cpu']:.3f} | {1e3 * t['cuda']:.3f} | {1e6 * t['cuda'] / n:.4f}"
                print(f"| {n:,} | {precision} | {stage} | {speed} | {t['cpu'] / t['cuda']:.1f} |")


def main() -> None:
    """Prints the table, or why there is none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential", type=source)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--most", type=int, default=10**6, help="atoms of the largest crystal")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    if "cuda" not in _core.devices() or "for tests" in _core.info()["cuda"]:
        raise SystemExit(f"No GPU timings here: {_core.info()['cuda']}.")
    _core.set_threads(os.cpu_count() or 1)
    results = {}
    for cells in CELLS:
        if 8 * cells**3 <= options.most:
            results[8 * cells**3] = measure(options.potential, common.silicon(cells), options.repeats)
    difference = agreement(options.potential)
    print_report(results, difference)
    common.write_json(options.json, common.environment() | {"gpu": _core.info()["cuda"], "seconds": results})


if __name__ == "__main__":
    main()
