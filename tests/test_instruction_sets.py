"""Every instruction set that this machine has gives the same numbers to rounding."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from checks import assert_close

pytestmark = pytest.mark.slow

SCRIPT = """
import itertools
import sys
import numpy as np
from checks import arrays, random_potential, structures
from sitewise import _core
rng = np.random.default_rng(3)
results = {"isa": np.array(_core.info()["instruction_set"])}
for moments, (name, atoms) in itertools.product(("never", "always"), structures().items()):
    potential = random_potential(moments=moments)
    parts, name = arrays(atoms), f"{name} moments {moments}"
    result = potential.compute(*parts, features=True)
    results[f"{name} forces"] = result["forces"]
    results[f"{name} energies"] = result["energies"]
    results[f"{name} features"] = result["features"]
    v, strain = rng.normal(size=(len(atoms), 3)), rng.normal(size=(3, 3))
    results[f"{name} jvp"] = potential.functions.jvp(*parts, v, strain)
    potential.precision = "float32"
    single = potential.compute(*parts)
    results[f"{name} single forces"] = single["forces"]
    results[f"{name} single energies"] = single["energies"]
np.savez(sys.argv[1], **results)
"""


def results_of(isa, path):
    """Return the results; None if the machine lacks the instruction set."""
    paths = os.pathsep.join([str(Path(__file__).parent), os.getenv("PYTHONPATH", "")])
    environment = {**os.environ, "SITEWISE_ISA": isa, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        assert f'SITEWISE_ISA is "{isa}", expected one of' in done.stderr
        return None
    with np.load(path) as file:
        return dict(file)


def test_all_give_the_same(tmp_path):
    expected = results_of("baseline", tmp_path / "baseline.npz")
    assert str(expected.pop("isa")) == "baseline"
    for isa in ("avx2", "avx512"):
        found = results_of(isa, tmp_path / f"{isa}.npz")
        if found is None:
            continue
        assert str(found.pop("isa")) == isa
        for name, values in expected.items():
            present = ~np.isnan(values)
            assert np.array_equal(present, ~np.isnan(found[name]))
            floor = 1e-6 if "forces" in name or "jvp" in name else 1e-300
            tolerance = 1e-11
            if "single" in name:
                values, floor, tolerance = expected[name.replace("single ", "")], 1.0, 5e-5
            assert_close(found[name][present], values[present], tolerance, floor)


@pytest.mark.parametrize("isa", ["sse9", "AVX2"])
def test_unknown_names_are_refused(tmp_path, isa):
    assert results_of(isa, tmp_path / "out.npz") is None
