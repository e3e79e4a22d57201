"""The C++ library of its own: built, tested, installed and used by an outside project, without Python."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from checks import arrays, assert_close, rattled, silicon_potential
from sitewise import _core

ROOT = Path(__file__).resolve().parents[1]


def run(*command, cwd):
    # The variables that a test runner sets for Python builds must not steer this one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SKBUILD", "CMAKE_"))}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def prefixes(*more):
    eigen = Path(sysconfig.get_path("purelib")) / "cmeel.prefix"
    return "-DCMAKE_PREFIX_PATH=" + ";".join(map(str, (*more, eigen)))


@pytest.fixture(scope="module")
def cmake():
    found = shutil.which("cmake", path=sysconfig.get_path("scripts")) or shutil.which("cmake")
    if not found:
        pytest.skip("cmake is not installed")
    return found


@pytest.fixture(scope="module")
def installed(cmake, tmp_path_factory):
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("prefix")
    run(cmake, "-S", ROOT, "-B", build, prefixes(), f"-DCMAKE_INSTALL_PREFIX={prefix}", cwd=build)
    run(cmake, "--build", build, "-j", str(os.cpu_count()), cwd=build)
    run(Path(cmake).with_name("ctest"), "--output-on-failure", cwd=build)
    run(cmake, "--install", build, cwd=build)
    return prefix


def test_library_builds_and_passes_its_tests(installed):
    assert (installed / "include" / "sitewise" / "potential.hpp").exists()


def test_public_headers_need_neither_eigen_nor_python(installed):
    text = "".join(p.read_text() for p in (installed / "include").rglob("*.hpp"))
    for word in ("Eigen/", "Python.h", "pybind11", "cuda"):
        assert word not in text


@pytest.fixture(scope="module")
def build(installed, cmake, tmp_path_factory):
    """Builds an outside project."""

    def built(source, prefix=installed):
        folder = tmp_path_factory.mktemp("outside")
        run(cmake, "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", cwd=folder)
        run(cmake, "--build", folder, cwd=folder)
        return folder

    return built


@pytest.fixture(scope="module")
def consumer(build):
    return build(ROOT / "tests" / "consumer")


@pytest.fixture
def crystal(tmp_path):
    """A small triclinic cell, the potential's folder and the file of the structure for the consumers."""
    atoms = rattled(bulk("Si", "diamond", a=5.4), 0.1)
    silicon_potential().save(str(tmp_path / "potential"))
    numbers = [len(atoms), *atoms.cell.array.ravel()]
    lines = [" ".join(map(repr, map(float, (0, *position)))).replace("0.0", "0", 1) for position in atoms.positions]
    (tmp_path / "structure").write_text("\n".join([" ".join(map(str, numbers)), *lines]))
    return atoms, tmp_path / "potential", tmp_path / "structure"


def test_threads_share_a_potential(consumer, crystal, tmp_path):
    atoms, potential, structure = crystal
    energy = float(run(consumer / "consumer_cpp", potential, structure, cwd=tmp_path))
    assert energy == silicon_potential().compute(*arrays(atoms, (14,)))["energy"]


def test_a_list_with_ghosts_in_c(consumer, crystal, tmp_path):
    atoms, potential, structure = crystal
    expected = silicon_potential().compute(*arrays(atoms, (14,)))
    lines = run(consumer / "consumer_c", potential, structure, cwd=tmp_path).splitlines()
    energy, *forces, virial, own, message = lines
    assert_close(float(energy), expected["energy"], 1e-12)
    assert float(own) == expected["energy"]
    assert_close([[float(x) for x in line.split()] for line in forces], expected["forces"], 1e-12)
    assert_close([float(x) for x in virial.split()], expected["virial"].ravel(), 1e-12)
    assert message == "atom 0 has element index 99, the potential has 1 elements"


def test_c_tells_what_failed(consumer, crystal, tmp_path):
    _, _, structure = crystal
    result = subprocess.run([consumer / "consumer_c", tmp_path / "none", structure], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {tmp_path / 'none'}")
    assert result.stderr.count("\n") == 1


def test_molecular_dynamics_in_cpp(build, tmp_path):
    """The example, with the library in the Python package, keeps its energy, and its last frame has the energy that it
    says."""
    silicon_potential().save(str(tmp_path / "potential"))
    md = build(ROOT / "examples" / "md-cpp", prefix=Path(_core.__file__).parent)
    output = run(md / "md", tmp_path / "potential", "2", "400", "600", cwd=tmp_path)
    table = np.array([line.split() for line in output.splitlines()], float)
    assert table[-1, 0] == 400
    assert np.ptp(table[:, 3]) > 1e-3
    assert np.ptp(table[:, 4]) < 1e-4
    last = read(tmp_path / "md.xyz", index=-1)
    energy = silicon_potential().compute(*arrays(last, (14,)))["energy"]
    assert_close(energy, table[-1, 2] * len(last), 1e-10)
