"""Properties of finished potentials: against other ways to compute them, and the command from end to end."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from typer.testing import CliRunner

from checks import silicon_potential
from sitewise import Dataset, Error, Potential, _core, train
from sitewise.cli import app
from sitewise.progress import Reporter
from sitewise.validation import properties
from sitewise.validation.properties import (
    Dimers,
    ElasticConstants,
    EquationOfState,
    Surfaces,
    Vacancy,
    relaxed,
    supercell,
)
from sitewise.validation.validate import validate

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def copper():
    return relaxed(bulk("Cu", "fcc", a=3.6), EMT(), cell=True)


def measured(each, crystal):
    return each.measure(each.structures(crystal, EMT()), EMT())


@pytest.mark.slow
def test_elastic_constants_agree_with_the_bulk_modulus(copper):
    modulus = measured(EquationOfState(), copper).values["bulk modulus (GPa)"]
    elastic = measured(ElasticConstants(), copper).values
    assert set(elastic) == {"C11 (GPa)", "C12 (GPa)", "C44 (GPa)"}
    assert (elastic["C11 (GPa)"] + 2 * elastic["C12 (GPa)"]) / 3 == pytest.approx(modulus, rel=0.01)


@pytest.mark.slow
def test_vacancy_and_surfaces_of_copper(copper):
    assert measured(Vacancy(), copper).values["formation energy (eV)"] == pytest.approx(1.22, abs=0.05)
    surfaces = measured(Surfaces(), copper).values
    assert surfaces["(111) (J/m²)"] < surfaces["(100) (J/m²)"] < surfaces["(110) (J/m²)"]


def test_dimers_warn_of_a_missing_wall():
    crystal = bulk("Si", "diamond", a=5.4)
    potential = silicon_potential()
    notes = Dimers().measure(Dimers().structures(crystal, None), Potential(potential).calculator(warn_every=0)).notes
    assert "Si-Si: no smooth wall" in notes[0]
    potential.baseline = _core.Baseline(["Si"], (1.0, 3.0))
    assert not Dimers().measure(Dimers().structures(crystal, None), Potential(potential).calculator(warn_every=0)).notes


def test_supercells_are_wide_or_small_enough():
    cell = bulk("Cu", "fcc", a=3.6)
    wide = supercell(cell, 10.0)
    heights = wide.cell.volume / np.linalg.norm(np.cross(wide.cell[[1, 2, 0]], wide.cell[[2, 0, 1]]), axis=1)
    assert heights.min() >= 10
    assert len(supercell(cell, 50.0, most=100)) <= 100
    assert len(supercell(Atoms("Cu100", cell=[5, 5, 40], pbc=True), 10.0)) == 200


def test_what_is_no_crystal_is_refused():
    with pytest.raises(Error, match="in memory, structure 0: is not a crystal"):
        validate(Potential(silicon_potential()), Dataset([Atoms("Si")]), None, QUIET)


@pytest.mark.slow
def test_command(tmp_path, copper, monkeypatch):
    monkeypatch.setattr(properties, "NVE_STEPS", 200)
    monkeypatch.setattr(properties, "NPT_STEPS", 300)
    rng, frames = np.random.default_rng(0), []
    for k in range(16):
        atoms = copper * (2, 2, 2)
        atoms.set_cell(atoms.cell.array * rng.uniform(0.95, 1.06), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        if k % 2:
            del atoms[0]
        atoms.calc = EMT()
        found = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces())
        atoms.calc = found
        frames.append(atoms)
    train(frames, tmp_path / "run", reporter=QUIET, zbl="auto", iterations=60, test=frames[:8])
    write(tmp_path / "cu.xyz", bulk("Cu", "fcc", a=3.65))
    command = ["validate", str(tmp_path / "run"), str(tmp_path / "cu.xyz"), "--out", str(tmp_path / "out"), "-q"]
    shown = CliRunner().invoke(app, [*command, "--reference", "ase.calculators.emt:EMT"])
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "out" / "validation.html").exists()
    (crystal,) = json.loads((tmp_path / "out" / "validation.json").read_text())
    eos, *_ = crystal["properties"]
    name = "volume (Å³/atom)"
    assert crystal["name"] == "Cu, Fm-3m"
    assert eos["bars"][name] > 0
    assert eos["potential"]["values"][name] == pytest.approx(eos["reference"]["values"][name], rel=0.05)
    assert CliRunner().invoke(app, [*command, "--reference", "sitewise:nothing"]).exit_code == 2
