"""The symmetry functions: CPU time per atom of their values, for each type and cutoff function.

    python benchmarks/features.py [--cutoff 6] [--cells 5] [--repeats 9] [--core 0] [--json FILE]

Each row is one set of functions of silicon: 8 of type 2, and 18 with pairs of neighbours. The time has the list in it,
whose own time is the first row. compare.py has dscribe and featomic beside it.
"""

import argparse
import statistics

# isort: split
import common  # before numpy
from common import Work

# isort: split
from collections.abc import Iterator

import numpy as np

from sitewise import _core

ETAS = (0.003214, 0.035711, 0.071421, 0.124987, 0.214264, 0.357106, 0.714213, 1.428426)
SHAPES = [(eta, zeta, lambda_) for eta in (0.000357, 0.028569, 0.089277) for zeta in (1, 2, 4) for lambda_ in (-1, 1)]
CUTOFFS = ("hard", "cosine", "tanhu", "tanh", "exponential", "poly1", "poly2", "poly3", "poly4")
COMPACT = {21: 22, 22: 22, 24: 25, 25: 25}


def functions_of_type(number: int, cutoff: float, shift: float = 0.0) -> list[_core.SymmetryFunction]:
    """18 functions with pairs of neighbours."""
    make = _core.SymmetryFunction
    if number in COMPACT:
        ranges = [(left * cutoff, angle) for left in (-1.0, 0.0, 0.3) for angle in range(0, 120, 20)]
        pair = (0, 0) if number < 23 else (-1, -1)
        return [
            make(number, 0, *pair, cutoff=cutoff, left=left, angle_left=angle, angle_right=angle + 60)
            for left, angle in ranges
        ]
    pair = (-1, -1) if number == 13 else (0, 0)
    return [make(number, 0, *pair, eta=e, rs=shift, zeta=z, lambda_=lam, cutoff=cutoff) for e, z, lam in SHAPES]


def sets(cutoff: float) -> Iterator[tuple[str, _core.SymmetryFunctions]]:
    """Name and functions of each row."""
    make = _core.SymmetryFunction
    radial = [make(2, 0, 0, eta=eta, cutoff=cutoff) for eta in ETAS]

    def compiled(
        angular: list[_core.SymmetryFunction], kind: int = 1, moments: str = "never"
    ) -> _core.SymmetryFunctions:
        return _core.SymmetryFunctions(1, radial + angular, kind, 0.0, [14], moments)

    yield "type 2 alone", compiled([])
    yield "types 2 and 3", compiled(functions_of_type(3, cutoff))
    yield "types 2 and 9, pairs", compiled(functions_of_type(9, cutoff))
    yield "types 2 and 9, moments", compiled(functions_of_type(9, cutoff), moments="always")
    yield "types 2 and 3, r_s = 1", compiled(functions_of_type(3, cutoff, 1.0))
    for number in (13, 21, 22, 24, 25):
        yield f"types 2 and {number}", compiled(functions_of_type(number, cutoff))
    for kind, name in enumerate(CUTOFFS):
        if name != "cosine":
            yield f"types 2 and 3, cutoff {name}", compiled(functions_of_type(3, cutoff), kind)


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cutoff", type=float, default=6.0, help="Angstrom")
    common.add_options(parser, repeats=9)
    options = parser.parse_args()
    common.pin(options.core)
    atoms = common.silicon(options.cells)
    parts = np.zeros(len(atoms), np.int32), atoms.positions, atoms.cell.array, atoms.pbc
    works = [
        Work(
            "the list alone",
            common.repeated(lambda: _core.neighbor_list(*parts[1:], options.cutoff)),
            len(atoms),
        ),
        *(
            Work(name, common.repeated(lambda plan=plan: plan.evaluate(*parts)), len(atoms))
            for name, plan in sets(options.cutoff)
        ),
    ]
    samples = common.interleaved(works, options.repeats)
    rows = {work.name: statistics.median(sample) for work, sample in zip(works, samples, strict=True)}
    common.print_table(
        f"Values of symmetry functions, {len(atoms)} atoms, cutoff {options.cutoff:g} Angstrom",
        ("", "us/atom"),
        [(name, f"{time:.2f}") for name, time in rows.items()],
    )
    common.write_json(options.json, common.environment() | {"us_per_atom": rows})


if __name__ == "__main__":
    main()
