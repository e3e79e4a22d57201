"""CPU microseconds per atom and step of any ASE calculator, for `compare.py --command`.

    python benchmarks/calculator.py STRUCTURE MODULE:CLASS [KEY=VALUE ...]

It needs ASE and the calculator only, not sitewise, so it may run in another Python. Energy and forces; the atoms move
by 1e-9 Angstrom from step to step, so that nothing is kept but a list with a skin.
"""

import argparse
import importlib
import statistics
import time

from ase import Atoms
from ase.io import read

NUDGE = 1e-9  # Angstrom
REPEATS = 5


def step(atoms: Atoms) -> float:
    """CPU seconds of energy and forces at new positions."""
    atoms.positions += NUDGE
    start = time.process_time()
    atoms.get_forces()
    atoms.get_potential_energy()
    return time.process_time() - start


def main() -> None:
    """Prints the median, after one step that warms up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("structure")
    parser.add_argument("calculator", metavar="MODULE:CLASS")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    module, _, name = options.calculator.partition(":")
    atoms = read(options.structure)
    settings = dict(text.split("=", 1) for text in options.options)
    atoms.calc = getattr(importlib.import_module(module), name)(**settings)
    step(atoms)
    seconds = statistics.median(step(atoms) for _ in range(REPEATS))
    print(seconds * 1e6 / len(atoms))


if __name__ == "__main__":
    main()
