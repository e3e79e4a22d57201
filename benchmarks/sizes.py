"""`pair_style sitewise` beside the library's own step, from 10^3 to 10^6 atoms.

    python benchmarks/sizes.py POTENTIAL... [--cells 5 11 23 50] [--skin 0] [--repeats 5] [--core 0] [--json FILE]

Rattled diamond crystals of 8 cells^3 atoms, pinned to one core, in turn, float64. Without a skin both rebuild their
list at each step. LAMMPS computes forces at each step and the energy at the last of a sample; the library computes all
at each step. The table has CPU microseconds per atom and step, medians, and the median ratio of the two. A sample of
LAMMPS has at least three steps. POTENTIAL is NAME=DIR[:cflength:cfenergy].
"""

import argparse
import statistics
import sys
from pathlib import Path

# isort: split
import common  # before numpy
from common import Unavailable, Work

# isort: split
import alternatives
import ours
from ours import Source

ATOMS = 20_000  # that a sample of LAMMPS computes at least, counting each step
LEAST = 3  # steps of a sample of LAMMPS, as the last computes the energy as well
HEADER = ("potential", "atoms", "library", "LAMMPS", "ratio")


def contenders(origin: Source, cells: int, skin: float) -> list[Work]:
    """The library and LAMMPS."""
    atoms = common.silicon(cells)
    style = f"sitewise cflength {origin.cflength!r} cfenergy {origin.cfenergy!r}"
    steps = max(LEAST, ATOMS // len(atoms))
    engine = alternatives.steps_of_lammps("LAMMPS", atoms, style, origin.path, "", skin)
    library = Work("library", ours.step(origin.load(), atoms, skin), len(atoms), steps=max(1, steps // 2))
    return [library, Work("LAMMPS", engine.run, len(atoms), steps=steps)]


def measure(origin: Source, cells: int, options: argparse.Namespace) -> dict[str, float]:
    """Of one potential and size."""
    library, lammps = common.interleaved(contenders(origin, cells, options.skin), options.repeats)
    return {
        "atoms": 8 * cells**3,
        "library_us_per_atom": statistics.median(library),
        "lammps_us_per_atom": statistics.median(lammps),
        "ratio": common.ratio(lammps, library),
    }


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potentials", type=ours.source, nargs="+", metavar="POTENTIAL")
    parser.add_argument("--cells", type=int, nargs="+", default=[5, 11, 23, 50])
    parser.add_argument("--skin", type=float, default=0.0, help="Angstrom")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    options = arguments()
    common.pin(options.core)
    results = {}
    for origin in options.potentials:
        results[origin.name] = [measure(origin, cells, options) for cells in options.cells]
    keys = ("library_us_per_atom", "lammps_us_per_atom", "ratio")
    rows = [
        [name, f"{of['atoms']}", *(f"{of[key]:.2f}" for key in keys)] for name, found in results.items() for of in found
    ]
    common.print_table(f"skin {options.skin} Angstrom", HEADER, rows)
    common.write_json(options.json, {"environment": common.environment(["lammps"]), "results": results})


if __name__ == "__main__":
    try:
        main()
    except (ImportError, Unavailable) as error:
        sys.exit(str(error))
