"""The command `sitewise diagnose`."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from sitewise import Potential


def sitewise(*arguments):
    command = [sys.executable, "-m", "sitewise", "diagnose", *map(str, arguments), "-q"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def cell(a, rng=None):
    atoms = bulk("Si", "diamond", a=a, cubic=True)
    if rng is not None:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return atoms


@pytest.fixture
def crystals(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "data.xyz", [cell(a, rng) for a in np.linspace(5.3, 5.6, 8)])
    return tmp_path / "data.xyz"


def test_json_and_candidates(crystals, tmp_path):
    write(tmp_path / "more.xyz", [cell(5.45), bulk("Si", "fcc", a=3.9)])
    run = sitewise(crystals, "--candidates", tmp_path / "more.xyz", "--json", tmp_path / "out.json")
    assert run.returncode == 0, run.stderr
    assert "8 structures, 64 atoms" in run.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["n_atoms"] == 64
    assert found["composition_nullity"] == 0
    assert [len(atoms) for atoms in found["determinability"]["0.2"]] == [8] * 8
    assert all(0 <= d <= 1 for atoms in found["determinability"]["0.2"] for d in atoms)
    first, second = found["candidates"]
    assert first["name"].endswith("structure 1")  # fcc is far from all training atoms
    assert first["unknown"] > 0.5 > second["unknown"]


def test_fixed_ratio_of_elements(tmp_path):
    rng = np.random.default_rng(0)
    salts = [bulk("NaCl", "rocksalt", a=a, cubic=True) for a in (5.5, 5.6, 5.7)]
    for atoms in salts:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    write(tmp_path / "salt.xyz", salts)
    run = sitewise(tmp_path / "salt.xyz", "--json", tmp_path / "out.json")
    assert run.returncode == 0, run.stderr
    assert json.loads((tmp_path / "out.json").read_text())["composition_nullity"] == 1
    assert "fixed ratios" in run.stdout


def test_published_potential_at_an_invariant_point(shared, crystals, tmp_path):
    """delta is that of a supercell, in which no atom sees itself."""
    perfect = cell(5.469)
    perfect.calc = SinglePointCalculator(perfect, energy=-5.4253 * 8)
    write(tmp_path / "perfect.xyz", perfect)
    units = ("--cflength", 1.8897261328, "--cfenergy", 0.0367493254)
    folder = shared / "nnp-si"
    options = ("--potential", folder, *units, "--candidates", tmp_path / "perfect.xyz", "--json", tmp_path / "out.json")
    run = sitewise(crystals, *options)
    assert run.returncode == 0, run.stderr
    (point,) = json.loads((tmp_path / "out.json").read_text())["invariants"]
    large = cell(5.469) * (3, 3, 3)
    energy = Potential.load(folder, *units[1::2]).evaluate(large).energy / len(large)
    assert point["delta"] == pytest.approx(energy + 5.4253, abs=1e-9)
    assert point["extrapolation"] is False


@pytest.mark.xfail(
    strict=True, reason="diamond at 5.469 Angstrom reads -5.4187, not -5.4199 eV/atom: 1.2 meV to explain"
)
def test_published_potential_reads_the_expected_energy(shared):
    potential = Potential.load(shared / "nnp-si", 1.8897261328, 0.0367493254)
    assert potential.evaluate(cell(5.469)).energies == pytest.approx(-5.4199, abs=1e-4)


@pytest.mark.parametrize(
    ("structures", "message"),
    [([Atoms("Si", cell=[9, 9, 9], pbc=True)], "at least two atoms"), ([Atoms()], "no atoms")],
)
def test_too_little(structures, message, tmp_path):
    write(tmp_path / "data.xyz", structures)
    run = sitewise(tmp_path / "data.xyz")
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_identical_atoms_and_one_structure(tmp_path):
    write(tmp_path / "data.xyz", cell(5.43))
    run = sitewise(tmp_path / "data.xyz")
    assert run.returncode == 0, run.stderr
    assert "one cluster" in run.stdout


def test_element_missing_from_the_potential(shared, tmp_path):
    write(tmp_path / "data.xyz", bulk("Ge", "diamond", a=5.66, cubic=True))
    run = sitewise(tmp_path / "data.xyz", "--potential", shared / "nnp-si")
    assert run.returncode == 2
    assert "Ge" in run.stderr
    assert "Traceback" not in run.stderr
