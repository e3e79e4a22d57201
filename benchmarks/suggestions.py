"""What suggested structures mend: errors at targets after retraining, against random choice and committees.

    python benchmarks/suggestions.py FOLDER [--set choice|kept] [--systems NAME...] [--iterations 60] [--random 20]
        [--curve 5] [--sources data|targets] [--picture FILE] [--json FILE]

Systems are those of bars.py. Suggestions are made of the data alone (--sources data) or of data and targets, as
`sitewise diagnose --suggest` does. They are ranked for the targets, labelled, added, and a network is trained again.
The error is the RMS error of the energy per atom over the targets that are not like the data. Beside the first
suggestion and the first three there are: random ones, half of them made by the same generator and half further frames
of the kinds of the data; and those for which three networks differ most (committee). Curves have the error against the
number of added structures. Each training is kept in FOLDER.
"""

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# isort: split
import common  # noqa: F401  # sets one thread, which works before numpy is imported alone

# isort: split
import numpy as np
from ase import Atoms

from bars import QUIET, SETS, written
from sitewise import Dataset, Potential
from sitewise.config import Config
from sitewise.io.extxyz import write_structures
from sitewise.mapping.acquisition import ranked_by_bars
from sitewise.mapping.bars import ACCURACY
from sitewise.mapping.diagnosis import functions_of
from sitewise.mapping.energy_process import EnergyProcess, Measurements
from sitewise.mapping.gspace import Embedding
from sitewise.mapping.judgement import COST_EXPONENT
from sitewise.mapping.suggestions import suggestions
from sitewise.structures import Structure
from sitewise.training.run import train
from systems import System

SYSTEMS = {
    "choice": ("si-slab", "si-cluster", "cu-vacancy", "cu-au"),
    "kept": ("pd-slab", "ag-cluster", "si-divacancy", "pt-au"),
}
COMMITTEE = 3  # networks


class Bench:
    """One system: its data, targets, and networks trained on the data and more."""

    def __init__(self, folder: Path, system: System, options: argparse.Namespace) -> None:
        self.folder, self.system, self.options = folder, system, options
        files = written(folder, system)
        self.data, targets = (Dataset.read(f, require_labels=False, reporter=QUIET) for f in files)
        self.targets = Dataset([s for s in targets if not s.group.startswith("like the data")])

    def potential(self, more: Sequence[Atoms] = (), seed: int = 0) -> Potential:
        """A network trained on the data and more structures, made once."""
        parts = [part.tobytes() for atoms in more for part in (atoms.positions, atoms.numbers, atoms.cell.array)]
        number = zlib.crc32(b"".join(parts))
        out = self.folder / f"more-{number:08x}-{self.options.iterations}-{seed}"
        if not (out / "potential" / "input.nn").exists():
            added = [Structure(atoms, *self.system.label(atoms), None, "more", "more") for atoms in more]
            out.mkdir(exist_ok=True)
            write_structures(out / "train.xyz", [*self.data, *added])
            training = {"seed": seed, "iterations": self.options.iterations}
            tables = {"data": {"train": str(out / "train.xyz")}, "training": training}
            train(Config.parse(tables), out, reporter=QUIET, resume=True)
        return Potential.load(out / "potential")

    def error(self, more: Sequence[Atoms] = ()) -> float:
        """RMS error at the targets, eV/atom."""
        potential = self.potential(more)
        errors = [(potential.evaluate(s.atoms).energy - s.energy) / len(s.atoms) for s in self.targets]
        return float(np.sqrt(np.mean(np.square(errors))))

    def made(self) -> Dataset:
        """Structures of the generator."""
        functions = functions_of(None, None, self.data)
        sources = self.targets if self.options.sources == "targets" else None
        return suggestions(self.data, sources, functions.cutoff, QUIET)

    def ranked(self, made: Dataset, at_most: int) -> tuple[list[Atoms], list[float]]:
        """The first of what is made, and the RMS error bar of targets that is reached with each."""
        embedding = Embedding.of(self.data, functions_of(None, None, self.data))
        targets, candidates = embedding.embed(self.targets).placed, embedding.embed(made)
        process = EnergyProcess(Measurements.of(embedding), [embedding.placed, targets])
        costs = np.array([len(s.atoms) for s in made], dtype=float) ** COST_EXPONENT
        order = ranked_by_bars(process, candidates, targets, costs, ACCURACY, lambda *_: None, at_most)[2][:at_most]
        bars = [float(np.sqrt(np.mean(pick.reached**2))) for pick in order]
        for pick, bar in zip(order, bars, strict=True):
            print(f"    {made[pick.candidate].source}: bar {1e3 * bar:.1f}", flush=True)
        return [made[pick.candidate].atoms for pick in order], bars

    def frames(self, n: int, seed: int) -> list[Atoms]:
        """Further frames of the kinds of the data."""
        rng = np.random.default_rng(seed)
        frames = list(self.system.train(rng))
        return [frames[k] for k in rng.permutation(len(frames))[:n]]

    def committee(self, candidates: Sequence[Atoms]) -> list[Atoms]:
        """Candidates in the order in which networks differ on their energy per atom."""
        networks = [self.potential(seed=seed) for seed in range(COMMITTEE)]
        energies = [[p.evaluate(atoms).energy / len(atoms) for atoms in candidates] for p in networks]
        return [candidates[k] for k in np.argsort(-np.std(energies, axis=0), kind="stable")]


def measured(bench: Bench) -> dict[str, Any]:
    """Errors (eV/atom) of all ways to choose."""
    options, rng = bench.options, np.random.default_rng(0)
    made = bench.made()
    pool = [s.atoms for s in made] + bench.frames(len(made) // 2, 5)
    suggested, bars = bench.ranked(made, max(options.curve, 3))
    half = options.random // 2
    others = [made[int(k)].atoms for k in rng.permutation(len(made))[:half]] + bench.frames(options.random - half, 7)
    disagreed = bench.committee(pool)
    order = [pool[k] for k in np.random.default_rng(1).permutation(len(pool))]
    found: dict[str, Any] = {"made": len(made), "bars": bars, "nothing added": bench.error()}
    found |= {"first": bench.error(suggested[:1]), "first three": bench.error(suggested[:3])}
    found |= {"committee": bench.error(disagreed[:1]), "committee, three": bench.error(disagreed[:3])}
    found["random"] = [bench.error([atoms]) for atoms in others]
    ways = {"suggestions": suggested, "committee": disagreed, "random": order}
    numbers = [n for n in (0, 1, 2, 3, 5, 8) if n <= options.curve]
    found["curves"] = {way: [[n, bench.error(chosen[:n])] for n in numbers] for way, chosen in ways.items()}
    return found


def picture(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw errors against the number of added structures."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(found), figsize=(2.4 * len(found) + 0.6, 2.7), sharey=True, layout="constrained", squeeze=False
    )
    styles = {"suggestions": ("C0", "o-"), "random": ("0.6", "s--"), "committee": ("C3", "^:")}
    for axis, (name, one) in zip(axes[0], found.items(), strict=True):
        for way, (colour, style) in styles.items():
            numbers, errors = zip(*one["curves"][way], strict=True)
            axis.semilogy(numbers, 1e3 * np.array(errors), style, color=colour, label=way, markersize=4)
        axis.set(title=name, xlabel="added structures")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("error at targets (meV/atom)")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print a line for each system."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", choices=list(SETS), default="choice")
    parser.add_argument("--systems", nargs="+", help="in place of all of the set")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--random", type=int, default=20)
    parser.add_argument("--curve", type=int, default=5, help="added structures at most")
    parser.add_argument("--sources", choices=("data", "targets"), default="data")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    systems = {name: system for make in SETS.values() for name, system in make().items()}
    found = {}
    for name in options.systems or SYSTEMS[options.set]:
        print(name, flush=True)
        one = found[name] = measured(Bench(options.folder / name, systems[name], options))
        random = np.array(one["random"]) if one["random"] else np.array([np.nan])
        values = {key: one[key] for key in ("nothing added", "first", "first three", "committee", "committee, three")}
        values |= {"random, best": random.min(), "random, median": float(np.median(random))}
        print("   ", ", ".join(f"{key} {1e3 * value:.1f}" for key, value in values.items()), "meV/atom", flush=True)
    if options.picture:
        picture(found, options.picture)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
