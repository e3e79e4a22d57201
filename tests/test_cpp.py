"""The C++ library of its own: built, tested, installed and used by an outside project, without Python."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from checks import silicon_potential

ROOT = Path(__file__).resolve().parents[1]
CONSUMER = """
cmake_minimum_required(VERSION 3.18)
project(consumer LANGUAGES CXX)
find_package(sitewise CONFIG REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE sitewise::sitewise)
"""
MAIN = """
#include <cstdio>
#include <sitewise/potential.hpp>

int main(int, char** argv) {
    const auto potential = sitewise::Potential::load(argv[1]);
    const int species[2] = {0, 0};
    const double positions[6] = {0, 0, 0, 0, 0, 2.4};
    sitewise::Atoms atoms;
    atoms.size = 2;
    atoms.species = species;
    atoms.positions = positions;
    double energy = 0.0;
    sitewise::Potential::Output out;
    out.energy = &energy;
    potential.compute(atoms, out);
    std::printf("%.17g", energy);
}
"""


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


def test_an_outside_project_links_the_library(installed, cmake, tmp_path):
    potential = silicon_potential()
    potential.save(str(tmp_path / "potential"))
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER)
    (tmp_path / "main.cpp").write_text(MAIN)
    run(cmake, "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed}", cwd=tmp_path)
    run(cmake, "--build", tmp_path / "build", cwd=tmp_path)
    energy = float(run(tmp_path / "build" / "consumer", tmp_path / "potential", cwd=tmp_path))
    expected = potential.compute(
        np.zeros(2, np.int32), np.array([[0, 0, 0], [0, 0, 2.4]]), np.zeros((3, 3)), np.zeros(3, bool)
    )["energy"]
    assert energy == expected
