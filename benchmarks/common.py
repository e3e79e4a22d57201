"""What the benchmarks share: one thread on one core, structures, timings taken in turn, tables and JSON.

To be imported before numpy, since libraries read the number of threads when they load.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["RAYON_NUM_THREADS"] = "1"

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.build import bulk

from sitewise import _core
from sitewise.files import write_text

SAMPLE_SECONDS = 0.03  # of CPU time that one sample takes at least
MAX_STEPS = 50  # of one sample
PACKAGES = ("sitewise", "numpy", "ase")


class Unavailable(Exception):
    """Something cannot be timed here; the text says why."""


class Contender(Protocol):
    """Something that is timed beside others; ratios are taken within a group."""

    name: str
    group: str

    def sample(self) -> float:
        """Microseconds per atom and step, measured once."""


@dataclass(eq=False)
class Work:
    """A contender in this process: `run(n)` does n steps on a structure of `atoms` atoms."""

    name: str
    run: Callable[[int], object]
    atoms: int
    group: str = ""
    steps: int = 0  # of a sample; the first sample finds it

    def sample(self) -> float:
        """CPU microseconds per atom and step over at least SAMPLE_SECONDS, after a step that warms up: other contenders
        have run since the last sample, and memory idle for a second costs milliseconds on a virtual machine."""
        self.run(1)
        if not self.steps:
            once = cpu_seconds(lambda: self.run(1))
            self.steps = min(MAX_STEPS, math.ceil(SAMPLE_SECONDS / max(once, 1e-9)))
        return cpu_seconds(lambda: self.run(self.steps)) * 1e6 / (self.steps * self.atoms)


def repeated(call: Callable[[], object]) -> Callable[[int], None]:
    """What Work wants: `call` so many times."""

    def run(steps: int) -> None:
        for _ in range(steps):
            call()

    return run


@dataclass(frozen=True)
class Missing:
    """A contender that is not there."""

    name: str
    group: str
    reason: str


def attempt(name: str, group: str, make: Callable[[], Contender]) -> Contender | Missing:
    """What `make` returns, or why there is none."""
    try:
        return make()
    except ImportError:
        return Missing(name, group, "not installed")
    except Unavailable as error:
        return Missing(name, group, str(error))


def pin(core: int) -> None:
    """This process and what it starts, to one core."""
    os.sched_setaffinity(0, {core})


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of one call, all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def interleaved(contenders: Sequence[Contender], repeats: int) -> list[list[float]]:
    """Samples of each contender, taken in turn in each repetition after one that warms up."""
    rounds = [[contender.sample() for contender in contenders] for _ in range(repeats + 1)]
    return [list(column) for column in zip(*rounds[1:], strict=True)]


def ratio(samples: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the ratios of samples of the same repetition."""
    return statistics.median(a / b for a, b in zip(samples, reference, strict=True))


def spread(samples: Sequence[float]) -> float:
    """Half the distance between the quartiles, in units of the median."""
    low, middle, high = np.percentile(samples, (25, 50, 75))
    return float((high - low) / (2 * middle))


def silicon(cells: int) -> Atoms:
    """A diamond crystal of 8 cells^3 atoms at roughly 500 K."""
    atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat(cells)
    atoms.positions += np.random.default_rng(1).normal(0, 0.1, atoms.positions.shape)
    return atoms


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of the named Python packages, "not installed" for those that are not."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def environment(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Date, processor, instruction set of the kernels, and versions: the head of every JSON file."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "instruction_set": _core.info()["instruction_set"],
        "versions": versions([*PACKAGES, *packages]),
    }


def add_options(parser: argparse.ArgumentParser, repeats: int) -> None:
    """The options of every benchmark that takes a crystal of silicon."""
    parser.add_argument("--cells", type=int, default=5, help="cubic cells along an edge of the crystal, 8 atoms each")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--json", type=Path, help="file for the results")


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Writes the file whole, if one is asked for; numbers that are not finite become null."""
    if path:
        write_text(path, json.dumps(_finite(result), indent=2) + "\n")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print(f"\n{title}\n")
    for row in (header, ["-" * width for width in widths], *rows):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
