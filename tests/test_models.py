"""`sitewise diagnose` of any model: ASE calculators, and columns of atomic energies."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.io import read, write

from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential, SymmetryFunctions
from sitewise.mapping import models
from sitewise.mapping.diagnosis import diagnose
from sitewise.mapping.verdict import verdict
from sitewise.progress import Reporter
from sitewise.structures import Structure

QUIET = Reporter(quiet=True)
FUNCTIONS = SymmetryFunctions.preset("simple-nn", ["Cu"])
EMT_NAME = "ase.calculators.emt:EMT"

# Calculators as users write them
MODULE = """
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

class Totals(Calculator):
    implemented_properties = ["energy", "forces"]
    def calculate(self, atoms, properties, changes=all_changes):
        super().calculate(atoms, properties, changes)
        self.results["energy"] = 1.0

class Wrong(EMT):
    def calculate(self, *arguments):
        super().calculate(*arguments)
        self.results["energies"] = self.results["energies"] + 0.01

class Short(EMT):
    def calculate(self, *arguments):
        super().calculate(*arguments)
        self.results["energies"] = self.results["energies"][:-1]

class Failing(EMT):
    def calculate(self, *arguments):
        raise RuntimeError("out of\\x1b[31m memory")

def factory():
    return EMT()

ready = EMT()
nothing = 3
"""


def slab(layers, rng):
    """Make a slab of copper with EMT's energy, forces and atomic energies."""
    atoms = fcc111("Cu", (1, 1, layers), vacuum=8, periodic=True)
    atoms.info.clear()
    atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
    atoms.calc = EMT()
    atoms.get_potential_energies()
    atoms.get_forces()
    return atoms


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make slabs of six layers, crystals, and a module with calculators."""
    path = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    write(path / "data.xyz", [slab(6, rng) for _ in range(8)])
    crystals = []
    for a in (3.55, 3.61):
        atoms = bulk("Cu", "fcc", a=a)
        atoms.calc = EMT()
        atoms.get_potential_energies()
        crystals.append(atoms)
    write(path / "crystals.xyz", crystals)
    (path / "mine.py").write_text(MODULE)
    return path


def sitewise(folder, *arguments):
    command = [sys.executable, "-m", "sitewise", "diagnose", *map(str, arguments), "-q"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)


@pytest.mark.slow
def test_a_calculator_and_the_column_that_it_wrote_are_the_same_model(folder):
    """EMT's atomic energies of crystals are E/N, so that delta is 0."""
    found = []
    for name in (EMT_NAME, "energies"):
        options = ("data.xyz", "--target", "crystals.xyz", "--potential", name, "--json", "out.json")
        run = sitewise(folder, *options)
        assert run.returncode == 0, run.stderr
        assert "free: total energies do not fix" in run.stdout
        assert "meV free: any other free part" in run.stdout
        found.append(json.loads((folder / "out.json").read_text()))
    for one in found:
        assert one["energy_rmse"] == pytest.approx(0, abs=1e-7)
        assert [point["delta"] for point in one["invariants"]] == pytest.approx([0, 0], abs=1e-7)
        assert one["rigidity"] is None
        assert one["split"]["undetermined_rms"] > 0.1 > 0.001 > one["split"]["determined_rms"]
    for one, other in zip(*(each["split"]["clusters"] for each in found), strict=True):
        assert one["undetermined"] == pytest.approx(other["undetermined"], abs=1e-6)


@pytest.mark.slow
def test_two_models_that_differ_by_a_free_part(folder):
    """Energy that moves from the surface into the slab changes no total, and shows at crystals alone."""
    data, target = (Dataset.read(folder / f"{name}.xyz", reporter=QUIET) for name in ("data", "crystals"))
    for s in data:
        heights = np.abs(s.atoms.positions[:, 2] - s.atoms.positions[:, 2].mean())
        outside = heights > np.sort(heights)[3]
        s.atoms.arrays["moved"] = s.atoms.arrays["energies"] + np.where(outside, -0.2, 0.1)
    for s in target:
        s.atoms.arrays["moved"] = s.atoms.arrays["energies"] + 0.1
    first, second = models.ColumnModel("moved", 1.0), models.ColumnModel("energies", 1.0)
    found = diagnose(data, FUNCTIONS, first, target=target, other=second, reporter=QUIET)
    assert [point.delta for point in found.accuracy.invariants] == pytest.approx([0.1, 0.1], abs=1e-6)
    assert found.accuracy.energy_rmse == pytest.approx(0, abs=1e-6)
    assert found.accuracy.comparison.determined_rms == pytest.approx(0, abs=1e-6)
    assert found.accuracy.comparison.undetermined_rms == pytest.approx(np.sqrt((0.2**2 + 2 * 0.1**2) / 3), rel=1e-6)
    assert verdict(found)[0].startswith("ad hoc mapping")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine:Totals", "mine:Totals gives no `energies`.* but energy, forces"),
        ("mine:Wrong", "data.xyz, structure 0: the `energies` of mine:Wrong sum to .* atomic energies are expected"),
        ("mine:Short", r"data.xyz, structure 0: `energies` of mine:Short has shape \(5,\), expected \(6,\)"),
        ("mine:Failing", r"data.xyz, structure 0: mine:Failing fails: RuntimeError: out of\\x1b\[31m memory"),
        ("mine:nothing", "mine:nothing: is a int, expected a calculator of ASE"),
        ("mine:missing", "mine:missing: cannot be loaded: AttributeError"),
        ("missing:EMT", "missing:EMT: cannot be loaded: ModuleNotFoundError"),
        ("node_energy", "data.xyz, structure 0: has no column node_energy of atomic energies"),
        ("./missing", "missing"),
    ],
)
def test_models_that_are_refused(folder, monkeypatch, name, message):
    monkeypatch.chdir(folder)
    data = Dataset.read("data.xyz", reporter=QUIET)
    with pytest.raises(Error, match=message):
        models.load_model(name, 1.0, 1.0, 1.0).of_all(data, QUIET)
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("name", ["mine:factory", "mine:ready", EMT_NAME])
def test_what_makes_a_calculator(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    data = Dataset.read("data.xyz", reporter=QUIET)[:1]
    found = models.load_model(name, 1.0, 1.0, 1.0).of_all(data, QUIET)
    np.testing.assert_allclose(found, data[0].atoms.arrays["energies"], atol=1e-6)
    sys.modules.pop("mine", None)
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1.0, np.nan]), "column e is not finite at atom 1"),
        (np.zeros((2, 3)), r"column e has shape \(2, 3\), expected \(2,\)"),
        (np.array(["a", "b"]), "column e is not an array of numbers"),
    ],
)
def test_columns_that_are_no_energies(values, message):
    atoms = bulk("Cu", "fcc", a=3.6).repeat((2, 1, 1))
    atoms.arrays["e"] = values
    with pytest.raises(Error, match=f"here: {message}"):
        models.ColumnModel("e", 1.0).energies(Structure(atoms, None, None, None, "", "here"))


@pytest.mark.slow
def test_a_column_without_the_energies_of_free_atoms_is_refused(folder, tmp_path):
    """The unit of the files is that of the column too."""
    frames = read(folder / "data.xyz", ":")
    for atoms in frames:
        results = atoms.calc.results
        atoms.info["REF_energy"] = results["energy"] / 27.211386245
        atoms.arrays["node_energy"] = results["energies"] / 27.211386245
        atoms.arrays["interaction"] = results["energies"] / 27.211386245 - 0.5
        atoms.calc = None
    write(tmp_path / "data.xyz", frames)
    run = sitewise(tmp_path, "data.xyz", "--energy-unit", "Hartree", "--potential", "interaction")
    assert (run.returncode, run.stdout) == (2, "")
    assert "sum to energies that differ from those of the data by 13.6 eV/atom" in run.stderr
    run = sitewise(tmp_path, "data.xyz", "--energy-unit", "Hartree", "--potential", "node_energy")
    assert run.returncode == 0, run.stderr
    assert "total energies of the data: wrong by 0.0 meV/atom" in run.stdout


@pytest.mark.slow
def test_crystals_that_lack_an_energy_are_named(folder, tmp_path):
    bare = bulk("Cu", "fcc", a=3.61)
    write(tmp_path / "bare.xyz", bare)
    run = sitewise(folder, "data.xyz", "--potential", "energies", "--target", tmp_path / "bare.xyz")
    assert "1 crystal with equivalent atoms would test the atomic energies, but it lacks an energy: " in run.stdout
    assert "bare.xyz, structure 0 (Cu)" in run.stdout
    assert "nothing tests" not in run.stdout


@pytest.mark.slow
def test_a_potential_has_functions_of_its_own(tmp_path):
    write(tmp_path / "data.xyz", silicon_frames(2))
    Potential(silicon_potential()).save(tmp_path / "potential")
    run = sitewise(tmp_path, "data.xyz", "--potential", "potential", "--config", "RUN.toml")
    assert run.returncode == 2
    assert "exclude each other" in run.stderr
