"""Error against time: presets, trained on a set of silicon and timed beside LAMMPS's Tersoff.

    python benchmarks/pareto.py TRAIN TEST [--presets standard accurate ...] [--seeds 3] [--peers DIR]
        [--picture FILE] [--cells 5] [--repeats 15] [--core 0] [--json FILE]

Each preset is trained with the defaults for each seed, as `sitewise train` does it; errors and CPU seconds are medians
over seeds. Then Tersoff and the potentials of the first seed take steps in turn on a rattled crystal of 8 cells^3
atoms, in float64, with a neighbour list that has a skin of 1 Angstrom. The picture has the force RMSE of the test
structures against the time of a step in units of Tersoff's.

--peers DIR adds what peers.py has written there. They take the same steps in LAMMPS, with forces at each step and the
energy at each tenth. For PACE the table has the time of pyace's evaluator, without a neighbour list.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# isort: split
import common  # before numpy
from common import Unavailable, Work

# isort: split
from ase import Atoms

import ours
import training
from alternatives import pair_style, steps_of_lammps
from sitewise.config import Config
from sitewise.figures import panels, plain_log_ticks, save_figure
from sitewise.presets import PRESETS

SKIN = 1.0  # Angstrom
HEADER = ("preset", "E RMSE meV/atom", "E MAE", "F RMSE eV/A", "F MAE", "CPU s", "us/atom", "of Tersoff")


def trained(preset: str, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Medians over seeds of the test errors and CPU seconds; the runs lie in `folder`."""
    data = {"train": str(options.train.absolute()), "test": str(options.test.absolute())}
    config = Config.parse({"data": data, "symmetry_functions": {"preset": preset}})
    folder.mkdir()
    runs = [training.run(config, seed, folder, options.core) for seed in range(options.seeds)]
    errors = {kind: statistics.median(run["test"][kind] for run in runs) for kind in training.KINDS}
    return {**errors, "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs)}


def timed(options: argparse.Namespace, folder: Path, peers: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Microseconds per atom and step of the first seed's potentials and the peers, and their ratio to Tersoff's."""
    atoms = common.silicon(options.cells)
    sources = [ours.Source(preset, str(folder / preset / "seed-0" / "potential")) for preset in options.presets]
    works = [Work(source.name, ours.step(source.load(), atoms, SKIN), len(atoms)) for source in sources]
    works += [peer_steps(name, atoms, table) for name, table in peers.items()]
    tersoff, *samples = common.interleaved([pair_style(atoms, "tersoff", "", SKIN), *works], options.repeats)
    return {
        work.name: {"us_per_atom": statistics.median(of), "of_tersoff": common.ratio(of, tersoff)}
        for work, of in zip(works, samples, strict=True)
    }


def peer_steps(name: str, atoms: Atoms, table: dict[str, Any]) -> Work:
    """Of what a peer.json describes."""
    if table["style"] == "pace":
        return Work(name, pace_steps(table["files"][0], atoms), len(atoms))
    return steps_of_lammps(name, atoms, table["style"], " ".join(table["files"]), "", SKIN)


def pace_steps(path: str, atoms: Atoms) -> Callable[[int], None]:
    """pyace's faster evaluator, given the neighbours."""
    from pyace import PyACECalculator

    calculator = PyACECalculator(path, recursive_evaluator=True, recursive=True)
    neighbors = calculator.get_atomic_env(atoms)
    return common.repeated(lambda: calculator.ace.compute(neighbors, False))


def draw(path: Path, results: dict[str, dict[str, float]], presets: list[str]) -> None:
    """Force errors against times; a label is on the side of its point that is away from the neighbour in time."""
    figure, (ax,) = panels(1)
    for name, found in results.items():
        at = found["of_tersoff"], found["force_rmse"]
        others = (of for other, of in results.items() if other != name)
        nearest = min(others, key=lambda of: abs(math.log(of["of_tersoff"] / at[0])), default=found)
        above = at[1] > nearest["force_rmse"]
        ours = name in presets
        ax.plot(*at, "o" if ours else "s", color="C0" if ours else "C7")
        ax.annotate(name, at, xytext=(0, 8 if above else -18), textcoords="offset points", ha="center")
    ax.set(xlabel="time of a step, Tersoff = 1", ylabel="test force RMSE (eV/Å)", xscale="log")
    ax.margins(0.15, 0.15)
    plain_log_ticks(ax.xaxis)
    save_figure(figure, path)


def found_peers(folder: Path | None) -> dict[str, dict[str, Any]]:
    """Each peer.json below a folder of peers.py."""
    paths = sorted(folder.glob("*/peer.json")) if folder else []
    if folder and not paths:
        raise Unavailable(f"{folder} has no */peer.json, expected what peers.py writes")
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=["standard", "accurate"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", type=Path, metavar="DIR", help="potentials of peers.py to time as well")
    parser.add_argument("--picture", type=Path, help="file for the errors against the times")
    common.add_options(parser, repeats=15)
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    options = arguments()
    common.pin(options.core)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = found_peers(options.peers)
        errors = {preset: trained(preset, options, folder / preset) for preset in options.presets}
        errors |= {name: {**table["test"], "cpu_seconds": table["cpu_seconds"]} for name, table in peers.items()}
        results = {name: {**errors[name], **of} for name, of in timed(options, folder, peers).items()}
    rows = [training.row(name, found, _costs(found)) for name, found in results.items()]
    common.print_table(f"{options.seeds} seeds", HEADER, rows)
    if options.picture:
        draw(options.picture, results, options.presets)
    common.write_json(options.json, {"environment": common.environment(["lammps"]), "results": results})


def _costs(found: dict[str, Any]) -> tuple[str, ...]:
    seconds = "-" if found["cpu_seconds"] is None else f"{found['cpu_seconds']:.1f}"
    return seconds, f"{found['us_per_atom']:.2f}", f"{found['of_tersoff']:.2f}"


if __name__ == "__main__":
    try:
        main()
    except (ImportError, Unavailable) as error:
        sys.exit(str(error))
