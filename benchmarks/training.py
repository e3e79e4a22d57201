"""Training from files to potential: errors, CPU seconds and memory, for several seeds.

    python benchmarks/training.py RUN.toml [--seeds 3] [--json FILE]

Each seed is a `sitewise train` of its own process, pinned to one core, everything included from reading the files to
drawing the pictures.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import tomli_w

from common import processor
from sitewise.config import Config
from sitewise.files import write_text

COLUMNS = (("test", "energy_rmse"), ("test", "energy_mae"), ("test", "force_rmse"), ("test", "force_mae"))


def run(config: Config, seed: int, folder: Path, core: int) -> dict[str, float]:
    """errors.json of one run."""
    tables = config.tables()
    tables["training"]["seed"] = seed
    write_text(folder / f"{seed}.toml", tomli_w.dumps(tables))
    out = folder / str(seed)
    subprocess.run(
        [sys.executable, "-m", "sitewise", "train", folder / f"{seed}.toml", "--out", out, "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    errors = json.loads((out / "errors.json").read_text())
    row = {f"{part}_{kind}": errors[part][kind] for part, kind in COLUMNS}
    return row | {name: errors[name] for name in ("cpu_seconds", "peak_memory_mb")}


def main() -> None:
    """Prints a line for each seed and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="to pin the runs to")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    config = Config.load(options.run)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            rows.append(run(config, seed, Path(folder), options.core))
            print(f"seed {seed}  " + "  ".join(f"{k} {v:.4g}" for k, v in rows[-1].items()), flush=True)
    medians = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    print("median  " + "  ".join(f"{k} {v:.4g}" for k, v in medians.items()))
    if options.json:
        write_text(
            options.json, json.dumps({"processor": processor(), "runs": rows, "median": medians}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
