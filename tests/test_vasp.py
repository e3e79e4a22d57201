"""VASP's OUTCAR and vasprun.xml, laid out as VASP does, through `Dataset.read` and `sitewise convert`."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.units import GPa
from typer.testing import CliRunner

from checks import silicon_frames
from sitewise import Dataset, Error
from sitewise.cli import app
from sitewise.progress import Reporter

KBAR = 0.1 * GPa
ENTROPY = 0.0375  # eV by which energy(sigma->0) is above the free energy, of which the forces are derivatives
ORDER = [0, 1, 2, 5, 3, 4]  # VASP's XX YY ZZ XY YZ ZX of our xx yy zz yz xz xy


def oxide_frames(count):
    """Make steps of Si6O2 with the free energy, forces and stress of a potential."""
    frames = silicon_frames(count)
    for atoms in frames:
        labels = atoms.calc.results
        atoms.symbols[6:] = "O"
        atoms.calc = SinglePointCalculator(atoms, **labels)
    return frames


@pytest.fixture(scope="module")
def frames():
    return oxide_frames(2)


OUTCAR_HEAD = """ vasp.6.3.0 20Jan22 (build May 17 2022) complex

 executed on             LinuxIFC date 2022.11.03  12:00:00
 POTCAR:    PAW_PBE Si 05Jan2001
 POTCAR:    PAW_PBE O_s 07Sep2000
 POTCAR:    PAW_PBE Si 05Jan2001
   VRHFIN =Si: s2p2
 POTCAR:    PAW_PBE O_s 07Sep2000
   VRHFIN =O: s2p4
   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=     24
 k-points in reciprocal lattice and weights: Automatic mesh
   0.00000000  0.00000000  0.00000000       1.000

   ions per type =               6   2
   ISPIN  =      1    spin polarized calculation?

"""
OUTCAR_STEP = """--------------------------------------- Iteration      {step}(  12)  --------------------------

  FORCE on cell =-STRESS in cart. coord.  units (eV):
  Direction    XX          YY          ZZ          XY          YZ          ZX
  --------------------------------------------------------------------------------------
  in kB   {stress}
  external pressure =        0.00 kB  Pullay stress =        0.00 kB

 VOLUME and BASIS-vectors are now :
 -----------------------------------------------------------------------------
      direct lattice vectors                 reciprocal lattice vectors
{cell}

 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
{atoms}
 -----------------------------------------------------------------------------------
    total drift:                                0.000000      0.000000      0.000000

  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  = {free:18.8f} eV

  energy  without entropy={without:18.8f}  energy(sigma->0) ={zero:18.8f}

"""


def outcar(frames):
    steps = []
    for step, atoms in enumerate(frames, 1):
        reciprocal = np.linalg.inv(atoms.cell.array).T
        rows = np.hstack([atoms.cell.array, reciprocal])
        free = atoms.get_potential_energy()
        steps.append(
            OUTCAR_STEP.format(
                step=step,
                stress="".join(f"{x:12.5f}" for x in -atoms.get_stress()[ORDER] / KBAR),
                cell="\n".join("  " + "".join(f"{x:13.9f}" for x in row) for row in rows),
                atoms="\n".join(
                    "".join(f"{x:13.5f}" for x in r) + "    " + "".join(f"{x:14.6f}" for x in f)
                    for r, f in zip(atoms.positions, atoms.get_forces(), strict=True)
                ),
                free=free,
                without=free + 2 * ENTROPY,
                zero=free + ENTROPY,
            )
        )
    return OUTCAR_HEAD + "".join(steps)


def vectors(rows, indent):
    return "\n".join(f"{indent}<v>{''.join(f'{x:17.8f}' for x in row)} </v>" for row in rows)


def structure_xml(atoms, name=""):
    return f"""<structure{name}>
   <crystal>
    <varray name="basis" >
{vectors(atoms.cell.array, "     ")}
    </varray>
   </crystal>
   <varray name="positions" >
{vectors(atoms.get_scaled_positions(wrap=False), "    ")}
   </varray>
  </structure>"""


def energies_xml(atoms):
    free = atoms.get_potential_energy()
    values = {"e_fr_energy": free, "e_wo_entrp": free + 2 * ENTROPY, "e_0_energy": free + ENTROPY}
    return "<energy>" + "".join(f'<i name="{name}">{x:20.8f} </i>' for name, x in values.items()) + "</energy>"


def vasprun(frames):
    symbols = "".join(f"<rc><c>{atom.symbol:2s}</c><c>{1 + (atom.symbol == 'O'):4d}</c></rc>\n" for atom in frames[0])
    steps = ""
    for atoms in frames:
        s = -atoms.get_stress() / KBAR
        tensor = [[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]]
        steps += f""" <calculation>
  <scstep>{energies_xml(atoms)}</scstep>
  {structure_xml(atoms)}
  <varray name="forces" >
{vectors(atoms.get_forces(), "   ")}
  </varray>
  <varray name="stress" >
{vectors(tensor, "   ")}
  </varray>
  {energies_xml(atoms)}
 </calculation>
"""
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <kpoints>
  <varray name="kpointlist" ><v>       0.00000000       0.00000000       0.00000000 </v></varray>
  <varray name="weights" ><v>       1.00000000 </v></varray>
 </kpoints>
 <parameters></parameters>
 <atominfo>
  <array name="atoms" ><dimension dim="1">ion</dimension><field type="string">element</field><set>
{symbols}</set></array>
 </atominfo>
 {structure_xml(frames[0], ' name="initialpos" ')}
{steps}</modeling>
"""


FILES = {"OUTCAR": (outcar, 5e-6, 5e-7, 5e-6 * KBAR), "vasprun.xml": (vasprun, 1e-7, 5e-9, 5e-9 * KBAR)}


@pytest.fixture(params=FILES)
def file(request, frames, tmp_path):
    """Return the file, and half the last digit of positions, forces and stress in it."""
    make, *digits = FILES[request.param]
    (tmp_path / request.param).write_text(make(frames))
    return tmp_path / request.param, digits


def check(data, frames, digits, offset):
    positions, forces, stress = (1.001 * digit for digit in digits)
    assert len(data) == len(frames)
    for found, atoms in zip(data, frames, strict=True):
        assert str(found.atoms.symbols) == "Si6O2"
        assert found.atoms.pbc.all()
        assert found.energy == pytest.approx(atoms.get_potential_energy() + offset, abs=2e-8)
        assert np.allclose(found.atoms.cell, atoms.cell, rtol=0, atol=1e-8)
        assert np.allclose(found.atoms.positions, atoms.positions, rtol=0, atol=positions)
        assert np.allclose(found.forces, atoms.get_forces(), rtol=0, atol=forces)
        assert np.allclose(found.stress, atoms.get_stress(), rtol=0, atol=stress)


def test_labels(file, frames):
    """The default is energy(sigma->0), as in ASE; the free energy is read by its name."""
    path, digits = file
    quiet = Reporter(quiet=True)
    check(Dataset.read(path, reporter=quiet), frames, digits, ENTROPY)
    check(Dataset.read(path, keys={"energy": "free_energy"}, reporter=quiet), frames, digits, 0.0)


def test_constraints_do_not_touch_forces(file, frames):
    """Fixed atoms, which ASE takes from a CONTCAR beside an OUTCAR, have the forces that VASP printed."""
    path, digits = file
    fixed = frames[0].copy()
    write(path.with_name("CONTCAR"), fixed, direct=True)
    lines = path.with_name("CONTCAR").read_text().splitlines()
    start = next(k for k, line in enumerate(lines) if line.strip() == "Direct")
    lines[start + 1 :] = [f"{line} F F F" for line in lines[start + 1 :] if line.strip()]
    lines.insert(start, "Selective dynamics")
    path.with_name("CONTCAR").write_text("\n".join(lines) + "\n")
    data = Dataset.read(path, reporter=Reporter(quiet=True))
    if path.name == "OUTCAR":
        assert data[0].atoms.constraints
    check(data, frames, digits, ENTROPY)
    result = CliRunner().invoke(app, ["convert", "--quiet", str(path), "-o", str(path.with_name("data.xyz"))])
    assert result.exit_code == 0, result.output
    check(Dataset.read(path.with_name("data.xyz"), reporter=Reporter(quiet=True)), frames, digits, ENTROPY)


@pytest.mark.parametrize("name", ["data.xyz", "input.data"])
def test_convert(file, frames, tmp_path, name):
    path, digits = file
    result = CliRunner().invoke(app, ["convert", "--quiet", str(path), "-o", str(tmp_path / name)])
    assert result.exit_code == 0, result.output
    if name == "input.data":
        result = CliRunner().invoke(app, ["convert", "--quiet", str(tmp_path / name), "-o", str(tmp_path / "b.traj")])
        assert result.exit_code == 0, result.output
        for found, atoms in zip(read(tmp_path / "b.traj", ":"), frames, strict=True):
            assert found.get_potential_energy() == pytest.approx(atoms.get_potential_energy() + ENTROPY, abs=2e-8)
            assert np.allclose(found.get_forces(), atoms.get_forces(), rtol=0, atol=1.001 * digits[1])
        return
    check(Dataset.read(tmp_path / name, reporter=Reporter(quiet=True)), frames, digits, ENTROPY)


def test_a_run_that_was_cut_short(file, frames):
    """Its complete steps are read; a file without any is reported."""
    path, digits = file
    text = path.read_text()
    last = {"OUTCAR": "  FREE ENERGIE", "vasprun.xml": "  <energy>"}  # what stands at the end of a step
    path.write_text(text[: text.rindex(last[path.name])])
    check(Dataset.read(path, reporter=Reporter(quiet=True)), frames[:1], digits, ENTROPY)
    path.write_text(text[:500])
    with pytest.raises(Error, match=f"{path.name}: "):
        Dataset.read(path, reporter=Reporter(quiet=True))
