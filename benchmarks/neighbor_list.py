"""The neighbour list: CPU time per atom to build it, and to bring one that has a skin up to date, beside ASE's.

    python benchmarks/neighbor_list.py [--cutoff 5.5] [--cells 5] [--repeats 9] [--core 0] [--json FILE]

`neighbor_list` gives every pair with its shift. A whole step without a list of its own searches atom by atom and stores
nothing; what that costs is the step's time less that of one whose list is there (a list with a skin of 0 and atoms
that stand still), which is measured with the functions of a single distance.
"""

import argparse
import statistics

# isort: split
import common  # before numpy
from common import Work

# isort: split
import numpy as np
from ase.neighborlist import neighbor_list

from sitewise import NeighborList, _core


def pair_potential(cutoff: float) -> _core.Potential:
    """One function of type 2: next to nothing but the list."""
    functions = _core.SymmetryFunctions(1, [_core.SymmetryFunction(2, 0, 0, eta=0.1, cutoff=cutoff)])
    scaling = _core.Scaling("none", 0.0, 1.0, [np.array([[0.0], [1.0], [0.5], [0.3]])])
    return _core.Potential(["Si"], functions, scaling, [_core.Network([1, 1], "l")], [0.0])


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cutoff", type=float, default=5.5, help="Angstrom")
    common.add_options(parser, repeats=9)
    options = parser.parse_args()
    common.pin(options.core)
    atoms = common.silicon(options.cells)
    parts = np.zeros(len(atoms), np.int32), atoms.positions, atoms.cell.array, atoms.pbc
    potential, kept = pair_potential(options.cutoff), NeighborList(options.cutoff, skin=0.1)
    calls = {
        "sitewise, all pairs with shifts": lambda: _core.neighbor_list(*parts[1:], options.cutoff),
        "one function, atom by atom": lambda: potential.compute(*parts),
        "one function, list is there": lambda: potential.compute(*parts, neighbors=kept),
        "ASE neighbor_list": lambda: neighbor_list("ijDS", atoms, options.cutoff),
    }
    works = [Work(name, common.repeated(call), len(atoms)) for name, call in calls.items()]
    samples = common.interleaved(works, options.repeats)
    rows = {work.name: statistics.median(sample) for work, sample in zip(works, samples, strict=True)}
    common.print_table(
        f"Neighbour list, {len(atoms)} atoms, cutoff {options.cutoff:g} Angstrom",
        ("", "us/atom", "of sitewise"),
        [
            (work.name, f"{rows[work.name]:.2f}", f"{common.ratio(sample, samples[0]):.2f}")
            for work, sample in zip(works, samples, strict=True)
        ],
    )
    common.write_json(options.json, common.environment() | {"us_per_atom": rows})


if __name__ == "__main__":
    main()
