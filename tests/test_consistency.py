"""Labels that do not fit each other are reported before training; labels that do are never reported."""

import json
import lzma
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from sitewise import Dataset
from sitewise.config import Config
from sitewise.progress import Silent
from sitewise.training.consistency import inconsistencies
from sitewise.training.run import train

EV_PER_HARTREE, ANGSTROM_PER_BOHR = 27.211386, 0.5291772


def images(count=30, seed=1):
    """Make rattled and strained cells of three sizes, of Cu and Au."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        atoms = bulk("Cu", "fcc", a=3.85, cubic=True) * [(2, 2, 2), (3, 2, 2), (2, 2, 1)][k % 3]
        atoms.symbols[rng.random(len(atoms)) < 0.5] = "Au"
        strain = np.eye(3) * rng.uniform(0.97, 1.04) + rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.positions += rng.normal(scale=0.08, size=atoms.positions.shape)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        yield atoms


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("alloy") / "a.traj"
    write(path, list(images()))
    return Dataset.read(path, reporter=Silent())


def changed(data, label, factor):
    """Multiply labels by factors; a factor may be a function of the structure, and None removes the label."""

    def value(s):
        return None if factor is None else getattr(s, label) * (factor(s.atoms) if callable(factor) else factor)

    return Dataset(replace(s, **{label: value(s)}) for s in data)


def volume(atoms):
    return atoms.cell.volume


WRONG = [
    ("forces", -1.0, "force", "opposite"),
    ("forces", ANGSTROM_PER_BOHR / EV_PER_HARTREE, "force", "Hartree/Bohr"),
    ("forces", -ANGSTROM_PER_BOHR / EV_PER_HARTREE, "force", "Hartree/Bohr with the opposite sign"),
    ("forces", 2 * ANGSTROM_PER_BOHR / EV_PER_HARTREE, "force", "Rydberg/Bohr"),
    ("forces", ANGSTROM_PER_BOHR, "force", "eV/Bohr"),
    ("forces", 23.0605, "force", "kcal/mol/Angstrom"),
    ("forces", EV_PER_HARTREE / ANGSTROM_PER_BOHR, "force", "taken for Hartree/Bohr"),
    ("energy", 1 / EV_PER_HARTREE, "energy", "Hartree"),
    ("energy", 2 / EV_PER_HARTREE, "energy", "Rydberg"),
    ("energy", 23.0605, "energy", "kcal/mol"),
    ("energy", 96.4853, "energy", "kJ/mol"),
    ("energy", lambda atoms: 1 / len(atoms), "energy", "per atom"),
    ("stress", -1.0, "stress", "opposite"),
    ("stress", lambda atoms: -volume(atoms), "stress", "virials (eV): name them by virial"),
    ("stress", volume, "stress", "multiplied by -1"),
    ("stress", lambda atoms: -1 / volume(atoms), "stress", "named as virial"),
    ("stress", 160.2177, "stress", 'stress_unit = "GPa"'),
    ("stress", 1602.177, "stress", 'stress_unit = "kbar"'),
    ("stress", -1602.177, "stress", "kbar with the opposite sign"),
]


def test_labels_that_fit_are_not_suspected(data):
    assert inconsistencies(data) == []
    assert inconsistencies(changed(data, "stress", None)) == []
    assert inconsistencies(data[:12]) == []


@pytest.mark.parametrize(("label", "factor", "kind", "words"), WRONG)
def test_a_label_that_does_not_fit_is_named(data, label, factor, kind, words):
    (found,) = inconsistencies(changed(data, label, factor))
    assert found["kind"] == kind
    assert words in found["sentence"]
    assert found["misfit"] > 2 * found["misfit_corrected"]


@pytest.mark.slow
@pytest.mark.parametrize(("label", "factor", "kind", "words"), [w for w in WRONG if w[0] != "stress"])
def test_energies_and_forces_alone_show_it(data, label, factor, kind, words):
    """Without stresses one of the two may be meant; the message names the other one beside it."""
    (found,) = inconsistencies(changed(changed(data, label, factor), "stress", None))
    assert words in found["sentence"]


def test_two_wrong_labels_are_named_one_after_the_other(data):
    (found,) = inconsistencies(changed(changed(data, "stress", 160.2177), "forces", -1.0))
    assert found["kind"] == "force"


@pytest.mark.slow
def test_other_factors_and_noise_are_no_units(data):
    rng = np.random.default_rng(2)
    for factor in (0.8, 1.25, 5.0):
        assert inconsistencies(changed(data, "forces", factor)) == []
    noise = [replace(s, forces=rng.normal(size=s.forces.shape)) for s in data]
    assert inconsistencies(Dataset(noise)) == []


@pytest.mark.slow
def test_what_tells_nothing_is_passed_over(data):
    for label in ("energy", "forces"):
        assert inconsistencies(changed(data, label, None)) == []
        assert inconsistencies(changed(data, label, 0.0)) == []
    assert inconsistencies(changed(data, "forces", -1.0)[:11]) == []
    assert inconsistencies(Dataset([changed(data, "forces", -1.0)[0]] * 30)) == []
    one = [replace(s, forces=s.forces * (i == 0)) for i, s in enumerate(data)]
    assert inconsistencies(Dataset(one)) == []
    assert inconsistencies(Dataset([])) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Li", "Mo", "Ni"])
def test_published_data_are_not_suspected_and_with_flipped_forces_are(shared, tmp_path, name):
    packed = (shared / f"mlearn-training/{name}.xyz.xz").read_bytes()
    (tmp_path / "a.xyz").write_bytes(lzma.decompress(packed))
    data = Dataset.read(tmp_path / "a.xyz", reporter=Silent())
    assert inconsistencies(data) == []
    (found,) = inconsistencies(changed(data, "forces", -1.0))
    assert (found["kind"], found["factor"]) == ("force", "-1")


@pytest.mark.slow
def test_training_warns_and_writes_it(data, tmp_path, capsys):
    frames = []
    for s in data:
        atoms = s.atoms.copy()
        atoms.calc = SinglePointCalculator(atoms, energy=s.energy, forces=-s.forces, stress=s.stress)
        frames.append(atoms)
    write(tmp_path / "a.traj", frames)
    tables = {
        "data": {"train": str(tmp_path / "a.traj"), "test": 0},
        "symmetry_functions": {"preset": "fast"},
        "network": {"hidden": [4]},
        "training": {"iterations": 1},
        "invariants": {"data": []},
    }
    train(Config.model_validate(tables), tmp_path / "run")
    assert "warning: energies, forces and stresses of the data do not agree with each other" in capsys.readouterr().err
    found = json.loads((tmp_path / "run/errors.json").read_text())["train"]["suspicious_labels"]
    assert "the forces seem to be -1 times the right ones" in found[0]["sentence"]
