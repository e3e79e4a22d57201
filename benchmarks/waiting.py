"""Where the CPU time of a training run goes: a row for each part of it, from the start of Python to its end.

    python benchmarks/waiting.py RUN.toml [--repeats 3] [--json FILE]

Each repetition is a `sitewise train` of its own process, pinned to one core. A part counts the time of its functions
without that of other parts that they call, so the parts add up to the whole process. The table has medians, and their
percent of the whole.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

ITERATIONS, MATRIX, IMPORTS, REST = "iterations", "of these the Gauss-Newton matrix and its inverse", "imports", "rest"
# Names are looked up where they are called.
PARTS = {
    "reading and checking the data": (
        "inputs.read_data",
        "inputs._invariant_points",
        "inputs.check_data",
    ),
    "choice of cutoff and functions, and the linear fit": (
        "inputs.settled_cutoff",
        "inputs.best_functions",
        "inputs._fit",
        "run.share_of_fit",
    ),
    "features": ("inputs.FeatureSource.prepare", "inputs.closest_distances"),
    "invariant points": ("inputs.make_monitor", "monitoring.Monitor.table"),
    ITERATIONS: ("run.Run.iterate", "run.begin_run"),
    MATRIX: ("optimizers.Objective.curvature", "curvature.Whole.inverse", "curvature.FewRows.inverse"),
    "log points": ("run.Run._log",),
    "error bars of crystals": ("monitoring.CrystalBars.__call__",),
    "checkpoints": ("run.Run.save",),
    "errors of the written potential": ("run.compare_with_labels", "run.error_tables"),
    "posterior of the weights": ("run.Run._save_posterior",),
    "pictures": ("plots.save_pictures",),
}


class Parts:
    """CPU seconds of each part. The time since the last change of the part counts for the one that ends or is
    interrupted then."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running = [IMPORTS]
        self._last = 0.0

    def change(self) -> None:
        """Count the time until now for the part that is running."""
        now = time.process_time()
        self.seconds[self._running[-1]] += now - self._last
        self._last = now

    def counted(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted for a part."""

        @wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.change()
            self._running.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self.change()
                self._running.pop()

        return wrapped

    def count(self, part: str, name: str) -> None:
        """Count the time of a function or method of the training, by its module and name."""
        module, *owners, last = name.split(".")
        owner: Any = importlib.import_module(f"sitewise.training.{module}")
        for each in owners:
            owner = getattr(owner, each)
        setattr(owner, last, self.counted(part, getattr(owner, last)))


def run_here(settings: str, out: str, result: Path) -> None:
    """Train in this process; write the CPU seconds of the parts."""
    parts = Parts()
    machinery: Any = importlib._bootstrap  # what `import` calls for a new module
    machinery._find_and_load = parts.counted(IMPORTS, machinery._find_and_load)
    from sitewise.cli import app

    parts.change()
    for part, names in PARTS.items():
        for name in names:
            parts.count(part, name)
    parts.change()
    parts.counted(REST, lambda: app(["train", settings, "--out", out, "--quiet"], standalone_mode=False))()
    result.write_text(json.dumps(parts.seconds))


def run(settings: Path) -> dict[str, float]:
    """Train in a process of its own; return the CPU seconds of the parts."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "parts.json"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, __file__, str(settings), "--here", f"{folder}/run", str(result)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        parts: dict[str, float] = json.loads(result.read_text())
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    parts[REST] += whole - sum(parts.values())
    return parts


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", type=Path, metavar="RUN.toml")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="to pin the runs to")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        run_here(str(options.settings), options.here[0], Path(options.here[1]))
        return
    import common  # its imports are no part of a run

    common.pin(options.core)
    runs = [run(options.settings) for _ in range(options.repeats)]
    parts = {part: statistics.median(each.get(part, 0.0) for each in runs) for part in (IMPORTS, *PARTS, REST)}
    parts[ITERATIONS] += parts[MATRIX]
    whole = sum(seconds for part, seconds in parts.items() if part != MATRIX)
    rows = [[part, f"{seconds:.2f}", f"{100 * seconds / whole:.1f}"] for part, seconds in parts.items()]
    rows.append(["the whole process", f"{whole:.2f}", ""])
    common.print_table(f"{options.settings}, CPU seconds", ["", "CPU s", "%"], rows)
    common.write_json(options.json, {"environment": common.environment(["scipy", "matplotlib"]), "parts": runs})


if __name__ == "__main__":
    main()
