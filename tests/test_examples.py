"""The silicon data that come with the project, their RUN.tomls and their generator; and the pages of examples/, whose
commands run as they stand there."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from ase.units import Bohr, GPa, Hartree

from sitewise import Dataset, train
from sitewise.config import Config
from sitewise.progress import Reporter

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SILICON = EXAMPLES / "si-dft"
QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def data():
    files = [SILICON / f"{group}.xyz.xz" for group in ("crystal", "slab", "nanocluster", "invariants")]
    return Dataset.read(files, reporter=QUIET)


@pytest.mark.slow
def test_data_are_whole(data):
    assert data.groups == ["crystal", "slab", "nanocluster", "invariants"]
    assert data.count("energy") == data.count("forces") == len(data)
    for s in data:
        assert (s.stress is not None) == (s.group in ("crystal", "invariants"))
        assert s.atoms.pbc.all()
        assert -107.2 < s.energy / len(s.atoms) < -105.5
        assert np.abs(s.forces).max() < 10.0
        assert np.abs(s.forces.sum(axis=0)).max() < 0.2  # grid noise


@pytest.mark.slow
def test_data_are_read_without_a_warning(capsys):
    Dataset.read([str(SILICON / "*.xyz.xz")], reporter=QUIET)  # which says warnings alone
    assert capsys.readouterr() == ("", "")


def test_invariants_have_equivalent_atoms(data):
    """Forces vanish by symmetry and the energy curve of diamond has its minimum near the lattice constant."""
    points = [s for s in data if s.group == "invariants"]
    diamond = {}
    for s in points:
        if s.atoms.info["kind"] == "diamond_EV":
            assert np.abs(s.forces).max() < 0.02
            diamond[s.atoms.get_volume() / len(s.atoms)] = s.energy / len(s.atoms)
    volumes, energies = np.array(sorted(diamond.items())).T
    lowest = volumes[energies.argmin()]
    assert (8 * lowest) ** (1 / 3) == pytest.approx(5.46, abs=0.06)


def test_stress_is_the_derivative_of_the_energy(data):
    """Over the points E(V) of diamond: dE/dV = (stress trace)/3, with the sign that tension is positive."""
    points = [s for s in data if s.atoms.info.get("kind") == "diamond_EV"]
    points.sort(key=lambda s: s.atoms.get_volume())
    n = len(points[0].atoms)
    volume = np.array([s.atoms.get_volume() for s in points])
    energy = np.array([s.energy for s in points])
    trace = np.array([s.stress[:3].mean() for s in points])
    integral = np.concatenate([[0], np.cumsum((trace[1:] + trace[:-1]) / 2 * np.diff(volume))])
    assert np.abs(integral - (energy - energy[0])).max() / n < 5e-3  # eV/atom, of 0.2


def test_collected_structures_are_those_of_the_queue(data):
    structures = Dataset.read(SILICON / "queue.xyz.xz", require_labels=False, reporter=QUIET)
    queue = {s.atoms.info["id"]: s.atoms for s in structures}
    assert len(queue) == 440
    for s in data:
        planned = queue[s.atoms.info["id"]]
        assert np.allclose(planned.positions, s.atoms.positions, rtol=0, atol=2e-8)
        assert planned.info["config_type"] == s.group


@pytest.mark.parametrize("path", sorted(SILICON.glob("*.toml")), ids=lambda path: path.stem)
def test_run_tomls_are_right(path):
    config = Config.load(path)
    for file in [*config.data.train, *(config.data.test if isinstance(config.data.test, list) else [])]:
        assert Path(file).exists()


@pytest.mark.slow
def test_a_short_run_learns_silicon(tmp_path):
    """A sixth of the README's run: of 380 meV/atom and 0.82 eV/Angstrom, the labels' spread, 20 and 0.23 are left."""
    config = Config.load(SILICON / "si.toml")
    shorter = config.training.model_copy(update={"iterations": 40})
    train(config.model_copy(update={"training": shorter}), tmp_path / "out", reporter=QUIET)
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert errors["test"]["energy_rmse"] < 0.04
    assert errors["test"]["force_rmse"] < 0.27


@pytest.fixture
def run_page(tmp_path):
    """Runs the commands of an example's page, in order, in a copy of the examples."""

    def run(name):
        kept = shutil.ignore_patterns("queue*", "build", "results")
        shutil.copytree(SILICON, tmp_path / "si-dft", ignore=kept)
        folder = shutil.copytree(EXAMPLES / name, tmp_path / name)
        paths = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])
        page = (folder / "README.md").read_text(encoding="utf-8")
        printed = ""
        for language, code in re.findall(r"^```(sh|python)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
            command = ["bash", "-euc", code] if language == "sh" else [sys.executable, "-c", code]
            environment = {**os.environ, "PATH": paths}
            result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            assert result.returncode == 0, code + result.stdout + result.stderr
            printed += result.stdout
        return folder, printed

    return run


@pytest.mark.slow
def test_train_and_use(run_page):
    folder, printed = run_page("train-and-use")
    assert 5.4 < float(re.search(r"lattice constant (\S+) Angstrom", printed)[1]) < 5.5
    assert float(re.search(r"RMSE (\S+) meV/atom", printed)[1]) < 30
    assert (folder / "volumes.png").stat().st_mtime > (folder / "run" / "errors.json").stat().st_mtime


@pytest.mark.slow
def test_mapping(run_page):
    _, printed = run_page("mapping")
    assert "13 of 13 targets are open" in printed
    assert "add first bulk.xyz" in printed
    assert "ad hoc mapping: totals are right" in printed
    wrong = {run: float(mean) for run, mean in re.findall(r"^(\S+): atomic energies wrong by (\S+) meV", printed, re.M)}
    assert wrong["slabs"] > 150
    assert wrong["slabs-and-bulk"] < 80


@pytest.mark.slow
def test_from_other_codes(run_page):
    folder, printed = run_page("from-other-codes")
    tables = re.findall(r"^ *data +8 .*$", printed, re.MULTILINE)
    assert len(tables) == 2
    assert tables[0] == tables[1]
    assert (folder / "continue" / "potential" / "input.nn").exists()
    energies = np.array([line.split() for line in printed.splitlines()[-8:]], float)
    assert np.abs(energies[:, 0] - energies[:, 1]).max() / 20 < 0.05


CP2K_OUTPUT = """
  *** SCF run converged in    12 steps ***
  Electronic entropic energy:                                    -0.00100000000000
 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:              -7.500000000000000

 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      Si          0.10000000    -0.20000000     0.30000000
      2      1      Si         -0.10000000     0.20000000    -0.30000000
 SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000

 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
 STRESS|      x        1.00000000000E+00   0.00000000000E+00   0.00000000000E+00
 STRESS|      y        0.00000000000E+00   2.00000000000E+00   0.00000000000E+00
 STRESS|      z        0.00000000000E+00   0.00000000000E+00   3.00000000000E+00
"""


@pytest.fixture(scope="module")
def generate():
    specification = importlib.util.spec_from_file_location("generate", SILICON / "generate.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["generate"] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules["generate"]


def test_generator_writes_inputs_by_group(generate):
    queue = {atoms.info["id"]: atoms for atoms in generate.read_queue()}
    assert "MONKHORST-PACK 2 2 2" in generate.cp2k_input(queue["crystal_000"])
    assert "MONKHORST-PACK 2 2 1" in generate.cp2k_input(queue["slab_000"])
    assert "KPOINTS" not in generate.cp2k_input(queue["nanocluster_000"])


def test_generator_reads_what_cp2k_prints(generate):
    result = generate.parse(CP2K_OUTPUT, 2)
    assert result["converged"]
    assert result["energy"] == pytest.approx(-7.5 * Hartree)
    assert np.allclose(result["forces"][0], np.array([0.1, -0.2, 0.3]) * Hartree / Bohr)
    assert np.allclose(np.diag(result["stress"]), [-GPa, -2 * GPa, -3 * GPa])  # CP2K prints the pressure's sign
    assert not generate.parse(CP2K_OUTPUT.replace("SCF run converged", "SCF run NOT converged"), 2)["converged"]
    assert generate.parse(CP2K_OUTPUT, 3) == {"converged": False}  # cut short
