"""The C++ library alone: built, tested, installed and used by an outside project, without Python."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from checks import BOHR, HARTREE, arrays, assert_close, silicon, silicon_potential, water
from sitewise import Potential, _core

pytestmark = pytest.mark.slow

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
    # Kernels for another instruction set take half a minute to compile; the Python package has them.
    sets = "-DSITEWISE_INSTRUCTION_SETS=", "-DCMAKE_UNITY_BUILD=ON"
    options = f"-DCMAKE_INSTALL_PREFIX={prefix}", *sets
    run(cmake, "-S", ROOT, "-B", build, prefixes(), *options, cwd=build)
    run(cmake, "--build", build, "-j", str(os.cpu_count()), cwd=build)
    run(Path(cmake).with_name("ctest"), "--output-on-failure", cwd=build)
    run(cmake, "--install", build, cwd=build)
    return prefix


def test_library_builds_and_passes_its_tests(installed):
    assert (installed / "include" / "sitewise" / "potential.hpp").exists()


def test_public_headers_need_neither_eigen_nor_python(installed):
    text = "".join(p.read_text() for p in (installed / "include").rglob("*.hpp"))
    for word in ("Eigen/", "Python.h", "pybind11", "cuda_runtime"):
        assert word not in text


@pytest.fixture(scope="module")
def build(installed, cmake, tmp_path_factory):
    """Build an outside project."""

    def built(source, prefix=installed):
        folder = tmp_path_factory.mktemp("outside")
        run(cmake, "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", cwd=folder)
        run(cmake, "--build", folder, cwd=folder)
        return folder

    return built


@pytest.fixture(scope="module")
def consumer(build):
    return build(ROOT / "tests" / "consumer")


@pytest.fixture(params=["crystal", "triclinic", "slab", "small", "water"])
def case(request, tmp_path):
    """Return the result of Potential.evaluate for a structure, the structure, and the arguments for the consumers."""
    if request.param == "water":
        shared, units = request.getfixturevalue("shared"), (BOHR, HARTREE)
        atoms, folder = water(shared), shared / "nnp-h2o"
    else:
        atoms, folder, units = silicon(request.param), tmp_path / "potential", (1.0, 1.0)
        silicon_potential().save(str(folder))
    potential = Potential.load(folder, *units)
    head = [len(atoms), *atoms.cell.array.ravel().tolist(), *map(int, atoms.pbc)]
    rows = [
        (potential.elements.index(symbol), *place)
        for symbol, place in zip(atoms.symbols, atoms.positions.tolist(), strict=True)
    ]
    (tmp_path / "structure").write_text("\n".join(" ".join(map(repr, row)) for row in (head, *rows)))
    return potential.evaluate(atoms), atoms, [folder, tmp_path / "structure", *map(str, units)]


def check(printed, expected, atoms):
    """Compare energy and virial in the first line, then energy and force of each atom."""
    total, *rows = ([float(word) for word in line.split()] for line in printed)
    assert_close(total[0], expected.energy, 1e-10)
    if expected.stress is not None:
        stress = np.array(total[1:])[[0, 4, 8, 5, 2, 1]] / atoms.get_volume()
        assert_close(stress, expected.stress, 1e-10, floor=1e-2)
    assert_close(np.array(rows)[:, 0], expected.energies, 1e-10)
    assert_close(np.array(rows)[:, 1:], expected.forces, 1e-10, floor=1.0)


def test_threads_share_a_potential(consumer, case, tmp_path):
    expected, atoms, arguments = case
    check(run(consumer / "consumer_cpp", *arguments, cwd=tmp_path).splitlines(), expected, atoms)


def test_a_list_with_ghosts_in_c(consumer, case, tmp_path):
    expected, atoms, arguments = case
    *lines, own, message = run(consumer / "consumer_c", *arguments, cwd=tmp_path).splitlines()
    check(lines, expected, atoms)
    assert_close(float(own), expected.energy, 1e-10)
    elements = len(set(atoms.symbols))
    assert message == f"atom 0 has element index 99, the potential has {elements} elements"


def test_c_tells_what_failed(consumer, tmp_path):
    (tmp_path / "structure").write_text("1 0 0 0 0 0 0 0 0 0 0 0 0\n0 0 0 0\n")
    command = [consumer / "consumer_c", tmp_path / "none", tmp_path / "structure", "1", "1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {tmp_path / 'none'}")
    assert result.stderr.count("\n") == 1


def test_molecular_dynamics_in_cpp(build, tmp_path):
    """The example, with the library in the Python package, conserves its energy, and its last frame has the energy it
    states."""
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
