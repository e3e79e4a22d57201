"""Derivatives of the symmetry functions contracted with a vector, (dG/dr)^T u: what forces need, per atom.

    python benchmarks/forces.py [POTENTIAL ...] [--cells 5] [--repeats 9] [--core 0] [--json FILE]

POTENTIAL is [NAME=]DIR[:cflength:cfenergy] of silicon; without one the presets are measured. The time has the list and
the tables of distances in it; the values of the functions, which have them too, stand beside it.
"""

import argparse
import statistics

# isort: split
import common  # before numpy
from common import Work

# isort: split
import numpy as np

import ours
from sitewise import SymmetryFunctions

PRESETS = ("simple-nn", "fast", "auto")


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential", type=ours.source, nargs="*")
    common.add_options(parser, repeats=9)
    options = parser.parse_args()
    common.pin(options.core)
    atoms = common.silicon(options.cells)
    parts = np.zeros(len(atoms), np.int32), atoms.positions, atoms.cell.array, atoms.pbc
    sets = {origin.name: origin.load().functions for origin in options.potential}
    if not sets:
        sets = {name: SymmetryFunctions.preset(name, ["Si"]) for name in PRESETS}
    works = []
    for name, functions in sets.items():
        core, u = functions.core, np.random.default_rng(2).normal(size=(len(atoms), functions.core.max_count))
        works += [
            Work(f"{name}, values", common.repeated(lambda core=core: core.evaluate(*parts)), len(atoms)),
            Work(f"{name}, (dG/dr)^T u", common.repeated(lambda core=core, u=u: core.vjp(*parts, u)), len(atoms)),
        ]
    samples = common.interleaved(works, options.repeats)
    rows = {work.name: statistics.median(sample) for work, sample in zip(works, samples, strict=True)}
    common.print_table(
        f"Symmetry functions and their derivatives, {len(atoms)} atoms of silicon",
        ("", "us/atom"),
        [(name, f"{time:.2f}") for name, time in rows.items()],
    )
    common.write_json(options.json, common.environment() | {"us_per_atom": rows})


if __name__ == "__main__":
    main()
