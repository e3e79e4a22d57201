"""The command `sitewise diagnose`."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Potential, SymmetryFunctions
from sitewise.mapping.diagnosis import diagnose
from sitewise.mapping.invariants import invariant_energy, is_invariant
from sitewise.mapping.judgement import OpenPart, target_without_bar
from sitewise.mapping.verdict import verdict
from sitewise.progress import Reporter
from test_bars import slabs

pytestmark = pytest.mark.slow

QUIET = Reporter(quiet=True)


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
    assert found["n_big"] == 3
    assert found["r_g"] is None or found["r_g"] > 0
    assert all({"cut", "clusters", "rank", "nullity"} <= set(entry) for entry in found["barcode"])
    assert [len(atoms) for atoms in found["determinability"]] == [8] * 8
    assert all(0 <= d <= 1 for atoms in found["determinability"] for d in atoms)
    assert sorted(found["determinability_by_length"]) == ["0.1", "0.2", "0.4"]
    assert found["undetermined_targets"] == []
    first, second = found["candidates"]
    assert first["name"].endswith("structure 1")  # fcc is far from all training atoms
    assert first["unknown"] > 0.5 > second["unknown"]
    assert first["gain"] > second["gain"] >= 0


def test_targets(crystals, tmp_path):
    write(tmp_path / "aim.xyz", [read(crystals, 0), bulk("Si", "fcc", a=3.9)])
    run = sitewise(crystals, "--target", tmp_path / "aim.xyz", "--json", tmp_path / "out.json")
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["undetermined_targets"] == [f"{tmp_path / 'aim.xyz'}, structure 1"]
    assert [row["open"] for row in found["targets"]] == [False, True]
    assert [(row["bar"], row["bar_atoms"], row["cause"]) for row in found["targets"]] == [(None, None, None)] * 2
    assert "1 of 2 targets are not determined" in run.stdout


def test_n_big_of_several_elements(tmp_path):
    """The reported keys are those of the element whose two last big clusters are farthest apart."""
    rng = np.random.default_rng(0)
    salts = [bulk("NaCl", "rocksalt", a=a, cubic=True) * (1, 1, 2) for a in np.linspace(5.4, 5.8, 6)]
    for atoms in salts:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    write(tmp_path / "salt.xyz", salts)
    run = sitewise(tmp_path / "salt.xyz", "--json", tmp_path / "out.json", "--n-big", 5)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found["elements"]) == {"Na", "Cl"}
    distances = [element["r_g"] for element in found["elements"].values() if element["r_g"] is not None]
    assert found["r_g"] == (max(distances) if distances else None)
    assert found["n_big"] == 5
    assert {row["name"].split()[0] for row in found["clusters"]} == {"Na", "Cl"}
    assert sum(row["n_atoms"] for row in found["clusters"]) == found["n_atoms"] == 96
    # One element in each other's fixed ratio: at least one combination of offsets is free.
    assert len(found["undetermined_offsets"]) >= 1


def test_comparison_and_rigidity(tmp_path):
    """An atomic energy offset, the same for all atoms, is determined by the totals."""
    write(tmp_path / "data.xyz", silicon_frames(6))
    Potential(silicon_potential()).save(tmp_path / "one")
    Potential(silicon_potential()).save(tmp_path / "two")
    text = (tmp_path / "two" / "input.nn").read_text()
    changed = re.sub(r"^(atom_energy\s+Si\s+)(\S+)", lambda m: f"{m[1]}{float(m[2]) + 0.25}", text, flags=re.M)
    assert changed != text
    (tmp_path / "two" / "input.nn").write_text(changed)
    options = ("--potential", tmp_path / "one", "--compare", tmp_path / "two", "--json", tmp_path / "out.json")
    run = sitewise(tmp_path / "data.xyz", *options)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["comparison"]["rms"] == pytest.approx(0.25)
    assert found["comparison"]["determined_rms"] == pytest.approx(0.25)
    assert found["comparison"]["undetermined_rms"] == pytest.approx(0, abs=1e-9)
    assert [len(atoms) for atoms in found["rigidity"]] == [len(atoms) for atoms in found["determinability"]]
    assert found["invariants"] == []
    assert "nothing tests the atomic energies" in run.stdout


def test_invariant_points(tmp_path):
    """delta is the atomic energy minus E/N, whatever the cell.

    Far crystals are extrapolation; strained ones with atoms that are not equivalent are not invariant points; all files
    of candidates count.
    """
    write(tmp_path / "data.xyz", silicon_frames(6))
    potential = Potential(silicon_potential())
    potential.save(tmp_path / "potential")
    perfect = [bulk("Si", "diamond", a=5.43), cell(5.43), bulk("Si", "fcc", a=3.0)]
    atomic = [potential.evaluate(atoms).energies[0] for atoms in perfect]
    for atoms, energy, wrong in zip(perfect, atomic, (0.3, -0.2, 0.1), strict=True):
        atoms.info["REF_energy"] = len(atoms) * (energy - wrong)
    rattled = cell(5.43, np.random.default_rng(0))
    rattled.info["REF_energy"] = -40.0
    write(tmp_path / "one.xyz", perfect[:2])
    write(tmp_path / "two.xyz", [perfect[2], rattled])
    options = ("--candidates", tmp_path / "one.xyz", "--candidates", tmp_path / "two.xyz")
    run = sitewise(
        *(tmp_path / "data.xyz", "--potential", tmp_path / "potential", *options, "--json", tmp_path / "out.json")
    )
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert len(found["candidates"]) == 4
    points = found["invariants"]
    assert [point["delta"] for point in points] == pytest.approx([0.3, -0.2, 0.1])
    assert [point["extrapolation"] for point in points] == [False, False, True]
    assert points[0]["volume"] == pytest.approx(5.43**3 / 8)
    assert "2 invariant points: atomic energies wrong by 255.0 meV (RMS), at most +300.0 meV" in run.stdout
    assert "1 invariant points are extrapolation" in run.stdout


def test_the_worst_invariant_point_may_be_too_low(tmp_path):
    """The verdict gives it with its sign; points that are extrapolation do not count in the RMS."""
    potential = Potential(silicon_potential())
    perfect = [bulk("Si", "diamond", a=a) for a in (5.40, 5.46)]
    perfect.append(bulk("Si", "fcc", a=3.0))
    for atoms, wrong in zip(perfect, (0.1, -0.3, 5.0), strict=True):
        atoms.info["REF_energy"] = len(atoms) * (potential.evaluate(atoms).energies[0] - wrong)
    write(tmp_path / "data.xyz", silicon_frames(6))
    write(tmp_path / "perfect.xyz", perfect)
    data, target = (Dataset.read(tmp_path / f"{name}.xyz", reporter=QUIET) for name in ("data", "perfect"))
    lines = verdict(diagnose(data, potential.functions, potential, target=target, reporter=QUIET))
    (line,) = (line for line in lines if "invariant points: " in line)
    assert line.startswith("2 invariant points: atomic energies wrong by 223.6 meV (RMS), at most -300.0 meV at ")
    assert line.endswith("structure 1 (Si2)")


def test_an_ad_hoc_mapping_is_told(tmp_path):
    """It is reported if totals of slabs are right and a crystal wrong, not if both are wrong."""
    potential = Potential(silicon_potential())
    potential.save(tmp_path / "potential")
    perfect = cell(5.43)
    perfect.info["REF_energy"] = 8 * (potential.evaluate(perfect).energies[0] - 0.3)
    write(tmp_path / "perfect.xyz", perfect)
    for error, told in ((0.001, True), (0.2, False)):
        frames = [s.atoms for s in slabs(6, layers=8)]
        for atoms in frames:
            atoms.info["REF_energy"] = potential.evaluate(atoms).energy + error * len(atoms)
        write(tmp_path / "data.xyz", frames)
        run = sitewise(
            *(tmp_path / "data.xyz", "--potential", tmp_path / "potential", "--target", tmp_path / "perfect.xyz"),
            *("--json", tmp_path / "out.json"),
        )
        assert run.returncode == 0, run.stderr
        assert json.loads((tmp_path / "out.json").read_text())["energy_rmse"] == pytest.approx(error)
        assert ("ad hoc mapping" in run.stdout) is told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--compare", "x"), "--compare needs --potential"),
        (("--candidates", "ge.xyz"), "has Ge, which no structure of the data has"),
        (("--target", "ge.xyz"), "ge.xyz, structure 0: has Ge"),
        (("--n-big", 0), "n-big"),
        (("--suggest", "more.cif"), "no format for suggestions with the suffix .cif"),
    ],
)
def test_bad_options(crystals, tmp_path, options, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("ge.xyz", bulk("Ge", "diamond", a=5.66, cubic=True))
    run = sitewise(crystals, *options)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_fixed_ratio_of_elements(tmp_path):
    rng = np.random.default_rng(0)
    salts = [bulk("NaCl", "rocksalt", a=a, cubic=True) for a in (5.5, 5.6, 5.7)]
    for atoms in salts:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    write(tmp_path / "salt.xyz", salts)
    run = sitewise(tmp_path / "salt.xyz", "--json", tmp_path / "out.json")
    assert run.returncode == 0, run.stderr
    assert json.loads((tmp_path / "out.json").read_text())["composition_nullity"] == 1
    assert "the split of energy between Na and Cl is free" in run.stdout


def test_published_potential_at_an_invariant_point(shared, crystals, tmp_path):
    """delta is that of a supercell in which no atom is its own neighbour."""
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


def test_published_potential_at_the_crystal_it_was_trained_on(shared):
    """DFT gives -5.4253 eV/atom at a = 5.468728 Angstrom, for the perfect crystal of the training set (structure 213).

    The network gives -5.4187, which is 6.6 meV off; its energy RMSE on test structures is 6.9 meV/atom.
    """
    perfect = Dataset.read(shared / "mlearn-si" / "training.extxyz", index="213", reporter=Reporter(quiet=True))[0]
    assert is_invariant(perfect.atoms)
    assert invariant_energy(perfect) == pytest.approx(-5.4253, abs=5e-5)
    potential = Potential.load(shared / "nnp-si", 1.8897261328, 0.0367493254)
    assert potential.evaluate(perfect.atoms).energies == pytest.approx(-5.41870, abs=1e-5)


def test_n2p2_gives_the_same_at_strained_crystals(shared):
    """n2p2's own numbers at the invariant points among mlearn's test structures."""
    reference = np.load(shared / "nnp-si" / "reference.npz")
    potential = Potential.load(shared / "nnp-si", 1.8897261328, 0.0367493254)
    data = Dataset.read(shared / "mlearn-si" / "test.extxyz", reporter=Reporter(quiet=True))
    crystals = [(k, s) for k, s in enumerate(data) if is_invariant(s.atoms)]
    assert len(crystals) == 6
    for k, s in crystals:
        atomic = reference["atomic_energy_eV"][reference["offset"][k] : reference["offset"][k + 1]]
        np.testing.assert_allclose(potential.evaluate(s.atoms).energies, atomic, atol=1e-6)


@pytest.mark.xfail(
    strict=True,
    reason="the network reads -5.41872: it agrees with n2p2 at other crystals (above); dE/da is -0.085 eV/Angstrom, so "
    "the rounding of a = 5.469 changes 0.04 meV; -5.4199 is reached at 5.489, the minimum is -5.4201 at 5.501",
)
def test_published_potential_reads_the_expected_energy(shared):
    potential = Potential.load(shared / "nnp-si", 1.8897261328, 0.0367493254)
    assert potential.evaluate(cell(5.469)).energies == pytest.approx(-5.4199, abs=1e-4)


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        ([Atoms("Si", cell=[9, 9, 9], pbc=True)], "the data have a single atom of Si, at least two are needed"),
        ([bulk("Si", a=5.43), bulk("Ge", a=5.66)[:1]], "the data have a single atom of Ge"),
        ([Atoms()], "no atoms"),
    ],
)
def test_too_little(structures, message, tmp_path):
    write(tmp_path / "data.xyz", structures)
    run = sitewise(tmp_path / "data.xyz")
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_identical_atoms(tmp_path):
    """Rounding does not distinguish atoms."""
    turned = cell(5.43)
    turned.rotate(30, "z", rotate_cell=True)
    write(tmp_path / "data.xyz", [cell(5.43), cell(5.43) * (2, 1, 1), turned])
    run = sitewise(tmp_path / "data.xyz", "--json", tmp_path / "out.json")
    assert run.returncode == 0, run.stderr
    assert "all atoms of an element have the same environment" in run.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["r_g"] in (None, 0)
    assert found["barcode"] == []
    assert min(map(min, found["determinability"])) > 0.999


def test_one_structure(tmp_path):
    write(tmp_path / "data.xyz", cell(5.43, np.random.default_rng(0)))
    run = sitewise(tmp_path / "data.xyz")
    assert run.returncode == 0, run.stderr
    assert "a single structure gives a single sum" in run.stdout
    assert "1 structure, 8 atoms" in run.stdout


def test_element_missing_from_the_potential(tmp_path):
    write(tmp_path / "data.xyz", bulk("Ge", "diamond", a=5.66, cubic=True))
    Potential(silicon_potential()).save(tmp_path / "potential")
    run = sitewise(tmp_path / "data.xyz", "--potential", tmp_path / "potential")
    assert run.returncode == 2
    assert "data.xyz, structure 0" in run.stderr
    assert "Ge" in run.stderr
    assert "Traceback" not in run.stderr


def test_without_targets_the_verdict_asks_for_them(crystals):
    assert "name such structures by --target" in sitewise(crystals).stdout


def test_no_candidate_where_targets_are_determined(crystals, tmp_path):
    write(tmp_path / "aim.xyz", read(crystals, 0))
    run = sitewise(crystals, "--target", tmp_path / "aim.xyz", "--candidates", crystals)
    assert "the target is determined" in run.stdout
    assert "no candidate is needed" in run.stdout


def test_both_potentials_are_in_the_units_given(tmp_path):
    """A copy of a potential in other units does not differ."""
    write(tmp_path / "data.xyz", silicon_frames(4))
    potential = Potential(silicon_potential())
    for name in ("one", "two"):
        potential.save(tmp_path / name)
        path = tmp_path / name / "input.nn"
        text = re.sub(
            r"^(atom_energy\s+Si\s+)(\S+)", lambda m: f"{m[1]}{2 * float(m[2])}", path.read_text(), flags=re.M
        )
        path.write_text(text + "mean_energy 0.0\nconv_energy 0.5\nconv_length 1.0\n")
    units = ("--cfenergy", 2, "--json", tmp_path / "out.json")
    run = sitewise(tmp_path / "data.xyz", "--potential", tmp_path / "one", "--compare", tmp_path / "two", *units)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["comparison"]["rms"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("aim", ["bcc", None])
def test_candidates_are_ranked_for_the_targets(tmp_path, aim):
    """One structure of the target's kind determines more of the target than one full of four atoms of another kind."""
    rng = np.random.default_rng(0)
    frames = [cell(a, rng) for a in np.linspace(5.3, 5.6, 6)]
    others = {"fcc": [bulk("Si", "fcc", a=a) for a in (3.88, 3.89, 3.9, 3.91)], "bcc": [bulk("Si", "bcc", a=3.1)]}
    sets = {"data": frames, "more": [*others["fcc"], *others["bcc"]], "aim": others["bcc"]}
    for name, atoms in sets.items():
        write(tmp_path / f"{name}.xyz", atoms)
    data, more, target = (Dataset.read(tmp_path / f"{name}.xyz", require_labels=False, reporter=QUIET) for name in sets)
    functions = SymmetryFunctions.preset("auto", ["Si"], 5.0)
    found = diagnose(data, functions, None, more, target if aim else None, reporter=QUIET).judgement.candidates
    assert found[0].name.endswith("structure 4") is (aim == "bcc")


def test_without_labels_a_target_is_determined_where_clusters_and_gaussian_process_say_so():
    parts = [OpenPart("", a, b, 0.0) for a, b in ((0.5, 0.001), (0.001, 0.5), (0.001, 0.001))]
    assert [target_without_bar(part).open for part in parts] == [True, True, False]
