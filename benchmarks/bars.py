"""Error bars before training and errors after it, on made-up systems: confusion, rank correlation, ratios.

    python benchmarks/bars.py FOLDER [--set choice|more|kept|more-kept] [--systems NAME...] [--seeds 3]
        [--iterations 150] [--accuracy "10 meV"] [--json FILE] [--picture FILE]

Each system is a training set and targets, labelled by a classical potential. Networks are trained on each set, and
their errors at the targets are kept in FOLDER. `sitewise.mapping` gives the bars from the training set alone. A target
is truly open if the RMS error of the networks is above the accuracy. A miss is such a target that is called determined,
a false alarm a target that is not open and is called open. Two judges show what can be expected: errors that are normal
with the bars as their standard deviations, and one network whose error is known and judges the others. Settings were
chosen on the systems of `choice` and `more` alone. The labels of `more` and `more-kept` need LAMMPS. `--systems` names
other systems, which are folders with train.xyz and targets.xyz in FOLDER.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# isort: split
import common  # noqa: F401  # sets one thread, which works before numpy is imported alone

# isort: split
import numpy as np
from scipy.stats import norm, spearmanr

import more_systems
import systems
from sitewise import Dataset, Potential
from sitewise.config import Config
from sitewise.figures import COLORS, panels, save_figure
from sitewise.io.extxyz import write_structures
from sitewise.mapping.diagnosis import diagnose, functions_of
from sitewise.progress import Reporter
from sitewise.training.run import train
from sitewise.units import energy
from systems import System, made

QUIET = Reporter(quiet=True)
SETS = {
    "choice": lambda: {**systems.first(), **systems.second()},
    "kept": systems.kept,
    "more": more_systems.choice,
    "more-kept": more_systems.kept,
}


# ---- errors and bars


def written(folder: Path, system: System | None) -> tuple[Path, Path]:
    """Files of training structures and targets; they are made once."""
    paths = folder / "train.xyz", folder / "targets.xyz"
    if system and not paths[1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        for path, structures in zip(paths, made(folder.name, system), strict=True):
            write_structures(path, structures)
    return paths


def errors_of_networks(data: Path, targets: Dataset, seeds: int, iterations: int) -> list[list[float]]:
    """Errors [seeds][targets] of the energy per atom, eV; networks are trained once."""
    kept = data.with_name("errors.json")
    if kept.exists():
        return json.loads(kept.read_text())
    errors = []
    for seed in range(seeds):
        out = data.with_name(f"network-{seed}")
        tables = {"data": {"train": str(data)}, "training": {"seed": seed, "iterations": iterations}}
        train(Config.parse(tables), out, reporter=QUIET, resume=out.exists())
        potential = Potential.load(out / "potential")
        errors.append([(potential.evaluate(s.atoms).energy - s.energy) / len(s.atoms) for s in targets])
    kept.write_text(json.dumps(errors))
    return errors


def judged(folder: Path, system: System | None, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each target: names, RMS error and bar (eV/atom), cause, and the error of each network (eV/atom)."""
    train_file, target_file = written(folder, system)
    data, targets = (Dataset.read(f, require_labels=False, reporter=QUIET) for f in (train_file, target_file))
    errors = np.array(errors_of_networks(train_file, targets, options.seeds, options.iterations))
    accuracy = energy(options.accuracy, "--accuracy")
    found = diagnose(data, functions_of(None, None, data), target=targets, reporter=QUIET, accuracy=accuracy)
    triples = zip(targets, errors.T, found.judgement.targets or (), strict=True)
    return [
        {
            "system": folder.name,
            "target": s.group,
            "error": rms(own),
            "bar": target.bar,
            "cause": target.cause,
            "errors": own.tolist(),
        }
        for s, own, target in triples
    ]


def rms(errors: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(errors**2)))


def summary(rows: Sequence[dict[str, Any]], accuracy: float) -> dict[str, float]:
    """Confusion table, rank correlation, and errors in units of their bars."""
    bar, error = (np.array([row[key] for row in rows]) for key in ("bar", "error"))
    alarm, wrong = bar > accuracy, error > accuracy
    probability = 2 * norm.sf(accuracy / bar)
    return {
        "open": int(wrong.sum()),
        "misses": int((wrong & ~alarm).sum()),
        "determined": int((~wrong).sum()),
        "false alarms": int((~wrong & alarm).sum()),
        "misses of a normal error": float(probability[~alarm].sum()),
        "false alarms of a normal error": float((1 - probability)[alarm].sum()),
        **of_one_network(np.array([row["errors"] for row in rows]), accuracy),
        "Spearman": float(spearmanr(bar, error).statistic),
        "error/bar, median": float(np.median(error / bar)),
        "error/bar, RMS": rms(error / bar),
    }


def of_one_network(errors: np.ndarray, accuracy: float) -> dict[str, float]:
    """Misses and false alarms if the error of one network judges the RMS error of the others, means over this one.

    Empty for a single network. `errors` is [targets, networks].
    """
    n = errors.shape[1]
    if n == 1:
        return {}
    squares = errors**2
    wrong = (squares.sum(axis=1, keepdims=True) - squares) / (n - 1) > accuracy**2
    alarm = squares > accuracy**2
    return {
        "misses of one network": float((wrong & ~alarm).sum() / n),
        "false alarms of one network": float((~wrong & alarm).sum() / n),
    }


def draw(rows: Sequence[dict[str, Any]], accuracy: float, path: Path) -> None:
    """Draw errors against bars, with the accuracy as the border between determined and open."""
    figure, (axes,) = panels(1, square=True)
    ends = np.array([0.1, 2000.0])  # meV/atom
    axes.fill_between(ends, ends / 2, ends * 2, color="#eeeeee", zorder=0, label="within a factor of two")
    for k, cause in enumerate((None, "mapping", "extrapolation", "data")):
        mine = [row for row in rows if row["cause"] == cause]
        bars, errors = (np.clip([1e3 * row[key] for row in mine], *ends) for key in ("bar", "error"))
        label = {None: "determined", "data": "too few data"}.get(cause, cause)
        axes.plot(bars, errors, "o", ms=4, color=COLORS[k], alpha=0.7, label=label)
    axes.axvline(1e3 * accuracy, color="#222222", lw=0.8)
    axes.axhline(1e3 * accuracy, color="#222222", lw=0.8)
    for x, y, text in ((0.13, 1300, "missed"), (1.2, 0.13, "determined"), (14, 0.13, "false alarms")):
        axes.text(x, y, text, color="#555555")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="error bar before training (meV/atom)")
    axes.set_ylabel("RMS error of three networks (meV/atom)")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.95), fontsize=8)
    save_figure(figure, path)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", choices=list(SETS), default="choice")
    parser.add_argument("--systems", nargs="+", help="in place of all of the set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--accuracy", default="10 meV")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    return parser.parse_args()


def main() -> None:
    """Print each target, then the summary."""
    options = arguments()
    systems = SETS[options.set]()
    rows = []
    for name in options.systems or systems:
        for row in judged(options.folder / name, systems.get(name), options):
            numbers = f"{1e3 * row['bar']:9.1f} {1e3 * row['error']:9.1f}"
            print(f"{name:18} {row['target']:18} {numbers}  {row['cause'] or ''}", flush=True)
            rows.append(row)
    found = summary(rows, energy(options.accuracy, "--accuracy"))
    print("\n".join(f"{key:20} {value:.3g}" for key, value in found.items()))
    if options.picture:
        draw(rows, energy(options.accuracy, "--accuracy"), options.picture)
    if options.json:
        options.json.write_text(json.dumps({"summary": found, "targets": rows}, indent=1))


if __name__ == "__main__":
    main()
