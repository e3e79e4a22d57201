"""Cross-validates sets of symmetry functions, and other settings, on a training set.

    python benchmarks/cross_validation.py DATA SETTING [SETTING ...] [--folds 3] [--only 2] [--seed 0] [--block 5]
        [--isolated FILE]

A setting is the name of a preset, a file of symmetry functions, or a RUN.toml whose `[data]` is replaced. Blocks of
consecutive structures stay together, because neighbours in a trajectory are alike. Each fold is left out in turn (of
`--only` folds where that saves time). The table has the medians over the folds of the errors of what was left out.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

# isort: split
import common  # before numpy

# isort: split
import ase.io

import training
from sitewise.config import Config
from sitewise.presets import PRESETS

HEADER = ("setting", "E RMSE meV/atom", "E MAE", "F RMSE eV/A", "F MAE", "CPU s", "F RMSE of each fold")


def folds(structures: list[Any], count: int, block: int) -> list[list[Any]]:
    """Deals blocks of structures out in turn."""
    dealt: list[list[Any]] = [[] for _ in range(count)]
    for first in range(0, len(structures), block):
        dealt[first // block % count] += structures[first : first + block]
    return dealt


def config_of(setting: str, data: dict[str, str]) -> Config:
    """The run of a setting on the data."""
    if setting in PRESETS:
        return Config.parse({"data": data, "symmetry_functions": {"preset": setting}})
    if setting.endswith(".toml"):
        tables = Config.load(setting).tables()
        return Config.parse({**tables, "data": data})
    return Config.parse({"data": data, "symmetry_functions": {"file": str(Path(setting).absolute())}})


def validated(setting: str, parts: list[list[Any]], options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Results of the runs, one for each fold."""
    always = ase.io.read(options.isolated, ":") if options.isolated else []
    results = []
    for left in range(options.only or len(parts)):
        here = folder / f"{len(results)}"
        here.mkdir(parents=True)
        train = [*always, *(s for k, part in enumerate(parts) if k != left for s in part)]
        data = {}
        for name, structures in (("train", train), ("test", parts[left])):
            data[name] = str(here / f"{name}.xyz")
            ase.io.write(data[name], structures, format="extxyz")
        results.append(training.run(config_of(setting, data), options.seed, here, options.core))
    return results


def row(setting: str, results: list[dict[str, Any]]) -> tuple[str, ...]:
    """A line of the table."""
    median = {kind: statistics.median(result["test"][kind] for result in results) for kind in training.KINDS}
    seconds = f"{statistics.median(result['cpu_seconds'] for result in results):.1f}"
    each = " ".join(f"{result['test']['force_rmse']:.4f}" for result in results)
    return training.row(setting, median, (seconds, each))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("settings", nargs="+", metavar="SETTING")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--only", type=int, help="so many of the folds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--block", type=int, default=5)
    parser.add_argument("--isolated", type=Path, help="structures to train on in every fold")
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    common.pin(options.core)
    parts = folds(ase.io.read(options.data, ":"), options.folds, options.block)
    with tempfile.TemporaryDirectory() as name:
        rows = []
        for k, setting in enumerate(options.settings):
            rows.append(row(setting, validated(setting, parts, options, Path(name) / str(k))))
            print(*rows[-1], file=sys.stderr)
    common.print_table(f"{options.data.name}, {options.folds} folds", HEADER, rows)


if __name__ == "__main__":
    main()
