"""Labels with another unit or sign are noticed when predictions are compared with them."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from typer.testing import CliRunner

from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Potential, train
from sitewise.cli import app
from sitewise.config import Config
from sitewise.evaluation.comparison import compare
from sitewise.evaluation.errors import error_table
from sitewise.evaluation.label_units import implausible_stress
from sitewise.progress import Reporter, Silent
from sitewise.training.data import check_labels

FACTORS = {
    "energy": [-1, 27.2114, 1 / 27.2114, 1 / 13.6057, 23.06, 96.485, -96.485],
    "forces": [-1, 1 / 51.4221, 51.4221, 1 / 25.711, 0.529177, 1 / 0.529177, 23.06, 96.485, -1 / 51.4221],
    "stress": [-1, 160.2177, 1602.177, -160.2177, 1 / 160.2177, 1 / 1602.177],
}


@pytest.fixture(scope="module")
def potential():
    return Potential(silicon_potential())


def frames(potential, count=9, noise=0.0, **factors):
    """Make structures labelled by the potential, with noise relative to the size of each label, times factors."""
    rng = np.random.default_rng(3)
    made = []
    for atoms in silicon_frames(count):
        atoms.set_cell(atoms.cell * rng.uniform(0.97, 1.03), scale_atoms=True)
        result = potential.evaluate(atoms)
        labels = {"energy": result.energy, "forces": result.forces, "stress": result.stress}
        for label, value in labels.items():
            scale = 0.005 * len(atoms) if label == "energy" else np.std(value)
            value = value + noise * scale * rng.normal(size=np.shape(value))
            factor = factors.get(label, 1.0)
            labels[label] = value * (factor(atoms) if callable(factor) else factor)
        atoms.calc = SinglePointCalculator(atoms, **labels)
        made.append(atoms)
    return made


def found(potential, folder, images):
    write(folder / "a.traj", images)
    comparison = compare(potential, Dataset.read(folder / "a.traj", reporter=Silent()), "", Silent())
    return error_table(comparison).get("suspicious_labels", [])


@pytest.mark.parametrize(("label", "factor"), [(label, f) for label, of in FACTORS.items() for f in of])
def test_known_factors_are_said(potential, tmp_path, label, factor):
    (one,) = found(potential, tmp_path, frames(potential, noise=0.05, **{label: factor}))
    assert one["kind"] == {"forces": "force"}.get(label, label)
    assert float(one["factor"]) == pytest.approx(factor, rel=1e-4)
    assert one["slope"] == pytest.approx(factor, rel=0.05)
    assert one["correlation"] * factor > 0.95 * abs(factor)


@pytest.mark.parametrize(("sign", "name"), [(-1, "-volume"), (1, "volume")])
def test_a_virial_taken_for_a_stress(potential, tmp_path, sign, name):
    (one,) = found(potential, tmp_path, frames(potential, noise=0.05, stress=lambda atoms: sign * atoms.cell.volume))
    assert one["factor"] == name
    assert "key virial" in one["sentence"]


def test_energies_per_atom(potential, tmp_path):
    images = frames(potential, energy=lambda atoms: 1 / len(atoms))
    for k, atoms in enumerate(images[:4]):
        images[k] = atoms * (2, 1, 1)
        images[k].calc = SinglePointCalculator(images[k], energy=atoms.calc.results["energy"])
    (one,) = found(potential, tmp_path, images)
    assert one["factor"] == "1/atoms"


@pytest.mark.parametrize("factor", [1.0, 0.9, 1.2, 0.1, 7.0, 300.0])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_other_slopes_are_not_called_units(potential, tmp_path, factor, noise):
    assert found(potential, tmp_path, frames(potential, noise=noise, energy=factor, forces=factor, stress=factor)) == []


@pytest.mark.parametrize("factor", [-1.0, 27.2114, 51.4221, 160.2177])
def test_a_bad_potential_is_no_false_alarm(potential, tmp_path, factor):
    """If predictions and labels hardly correlate, a slope shows nothing."""
    images = frames(potential, noise=2.0, energy=factor, forces=factor, stress=factor)
    assert found(potential, tmp_path, images) == []


def test_few_or_equal_structures_tell_nothing(potential, tmp_path):
    images = frames(potential, count=1, energy=-1, stress=-1)
    assert found(potential, tmp_path, images) == []
    assert found(potential, tmp_path, images * 9) == []


def test_evaluate_warns_and_writes_it(potential, tmp_path):
    write(tmp_path / "a.xyz", frames(potential, stress=160.2177))
    potential.save(tmp_path / "potential")
    command = ["evaluate", "--quiet", str(tmp_path / "potential"), str(tmp_path / "a.xyz"), "--json"]
    result = CliRunner().invoke(app, [*command, str(tmp_path / "e.json")])
    assert result.exit_code == 0
    assert result.stderr.count("warning: the stresses of the data are 160.22 times the predictions") == 1
    assert "GPa" in result.stderr
    (one,) = json.loads((tmp_path / "e.json").read_text())["suspicious_labels"]
    assert one["kind"] == "stress"
    result = CliRunner().invoke(app, [*command, str(tmp_path / "e.json"), "--stress-unit", "GPa"])
    assert "times the predictions" not in result.stderr
    assert "suspicious_labels" not in json.loads((tmp_path / "e.json").read_text())


@pytest.mark.parametrize(("unit", "implausible"), [(1.0, False), (160.2, True), (1602.0, True), ("volume", True)])
def test_stresses_that_no_matter_bears_are_said_before_training(tmp_path, unit, implausible):
    images = [bulk("Cu", "fcc", a=a, cubic=True) for a in (3.3, 3.4, 3.5)]
    for atoms in images:
        atoms.calc = EMT()
        stress = atoms.get_stress() * (-atoms.cell.volume if unit == "volume" else unit)
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, stress=stress)
    write(tmp_path / "a.traj", images)
    sentence = implausible_stress(Dataset.read(tmp_path / "a.traj", reporter=Silent()))
    assert (sentence is not None) == implausible
    assert sentence is None or "stress_unit" in sentence


def test_a_run_warns_of_stresses(potential, tmp_path, capsys):
    settings = Config.parse({"data": {"train": "a.traj"}}).training
    for factor, said in ((1.0, False), (1e5, True)):
        write(tmp_path / "a.traj", frames(potential, stress=factor))
        data = Dataset.read(tmp_path / "a.traj", reporter=Silent())
        check_labels(data, settings, Reporter(quiet=True))
        told = capsys.readouterr().err
        assert told.startswith("warning: the stresses of the data are ") == said
        assert ("or virials (the key virial)?\n" in told) == said


@pytest.mark.slow
def test_a_run_warns_and_writes_it(potential, tmp_path, capsys):
    """The warning is about its held-out data, which it has not learnt from."""
    write(tmp_path / "train.xyz", frames(potential))
    write(tmp_path / "test.xyz", frames(potential, forces=-1.0))
    tables = {
        "data": {"train": str(tmp_path / "train.xyz"), "test": str(tmp_path / "test.xyz")},
        "symmetry_functions": {"preset": "auto", "cutoff": 5.0},
        "network": {"hidden": [8]},
        "training": {"iterations": 150, "force_weight": 1.0},
    }
    train(Config.parse(tables), tmp_path / "run", reporter=Reporter(quiet=True))
    assert "the forces of the data are -1 times the predictions" in capsys.readouterr().err
    errors = json.loads((tmp_path / "run" / "errors.json").read_text())
    assert [one["factor"] for one in errors["test"]["suspicious_labels"]] == ["-1"]
    assert "suspicious_labels" not in errors["train"]
