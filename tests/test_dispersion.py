"""D3 dispersion beside a potential, as the how-to says: the labels without it, and LAMMPS's pair style."""

import re
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write

from checks import assert_close, in_plain_lammps, silicon_frames

ROOT = Path(__file__).resolve().parents[1]
dftd3 = pytest.importorskip("dftd3.ase", reason="needs the package dftd3")
pytestmark = pytest.mark.slow


def d3():
    return dftd3.DFTD3(method="PBE", damping="d3bj")


def test_the_how_to_subtracts_it(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"<!-- dispersion -->\n```python\n(.*?)```", text, flags=re.DOTALL)
    frames = silicon_frames(2, stress=False)
    write(tmp_path / "data.xyz", frames)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    for before, after in zip(frames, read("without-dispersion.xyz", ":"), strict=True):
        alone = before.copy()
        alone.calc = d3()
        assert_close(after.get_potential_energy() + alone.get_potential_energy(), before.get_potential_energy(), 1e-9)
        assert_close(after.get_forces() + alone.get_forces(), before.get_forces(), 1e-6)


def test_lammps_has_the_same_dispersion(tmp_path):
    atoms = silicon_frames(1)[0]
    atoms.set_cell(np.diag(atoms.cell.lengths()), scale_atoms=True)
    atoms.wrap()
    style = ["pair_style dispersion/d3 bj pbe 31.75 21.17", "pair_coeff * * Si"]
    energy, forces = in_plain_lammps(atoms, ["neigh_modify one 100000 page 2000000", *style], tmp_path)
    atoms.calc = d3()
    assert_close(energy, atoms.get_potential_energy(), 1e-5)
    assert_close(forces, atoms.get_forces(), 1e-4)
