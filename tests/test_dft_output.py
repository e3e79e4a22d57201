"""Steps of DFT outputs that did not converge, or that VASP's machine-learned force field made, are left out."""

import gzip
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.units import create_units
from typer.testing import CliRunner

from checks import Listener
from sitewise import Dataset, Error
from sitewise.cli import app
from sitewise.progress import Silent
from test_vasp import ENTROPY, outcar, oxide_frames, vasprun

QUIET = Silent()


@pytest.fixture(scope="module")
def frames():
    return oxide_frames(4)


def energies(path, **options):
    """Return energies, numbers of the structures, and warnings."""
    heard = Listener()
    data = Dataset.read(path, reporter=heard, **options)
    numbers = [int(s.source.rsplit(" ", 1)[1]) for s in data]
    return [s.energy for s in data], numbers, [w for w in heard.warned if re.search(r"\d of \d+ steps", w)]


def expected(frames, numbers):
    return pytest.approx([frames[n].get_potential_energy() + ENTROPY for n in numbers], abs=2e-8)


REACHED = "------------------------ aborting loop because EDIFF is reached ----------------------------------------\n"
NOT_REACHED = (
    "------------------------ aborting loop EDIFF was not reached (unconverged)  ----------------------------\n"
)


def outcar_of(frames, failed, version):
    """Make an OUTCAR whose steps have 12 iterations each.

    Steps that failed are marked by the lines of VASP 6, by the lack of a line beside others (5.4), or by NELM alone
    (5).
    """
    text = outcar(frames).replace("   ions per type", "   NELM   =     12;   NELMIN=  2; NELMDL= -5\n   ions per type")
    head, *steps = re.split(r"(?=^-+ Iteration)", text, flags=re.MULTILINE)
    for n, step in enumerate(steps):
        line, rest = step.split("\n", 1)
        if n in failed:
            steps[n] = f"{line}\n{NOT_REACHED if version == 6 else ''}{rest}"
        elif version > 5:
            steps[n] = f"{line}\n{REACHED}{rest}"
        else:
            steps[n] = step.replace("(  12)", "(  11)")
    return head + "".join(steps)


def vasprun_of(frames, failed, _):
    """Make a vasprun.xml with at most three electronic steps."""
    text = vasprun(frames).replace("<parameters>", '<parameters><i type="int" name="NELM">     3</i>')
    head, *steps = text.split(" <calculation>")
    for n, step in enumerate(steps):
        electronic = re.search(r"<scstep>.*</scstep>", step).group(0)
        steps[n] = step.replace(electronic, electronic * (3 if n in failed else 2))
    return " <calculation>".join([head, *steps])


CASES = [("OUTCAR", outcar_of, 6), ("OUTCAR", outcar_of, 5.4), ("OUTCAR", outcar_of, 5), ("vasprun.xml", vasprun_of, 6)]


@pytest.mark.parametrize(("name", "make", "version"), CASES)
@pytest.mark.parametrize("failed", [(), (1,), (0, 3)])
def test_steps_of_vasp_that_did_not_converge(tmp_path, frames, name, make, version, failed):
    path = tmp_path / name
    path.write_text(make(frames, failed, version))
    kept = [n for n in range(4) if n not in failed]
    found, numbers, warned = energies(path)
    assert (numbers, found) == (kept, expected(frames, kept))
    many = "structures" if len(failed) > 1 else "structure"
    listed = ", ".join(map(str, failed))
    said = f"{path}: {len(failed)} of 4 steps did not converge and are {{}} ({many} {listed})"
    assert warned == ([said.format("left out")] if failed else [])
    found, numbers, warned = energies(path, keep_unconverged=True)
    assert (numbers, found) == ([0, 1, 2, 3], expected(frames, range(4)))
    assert warned == ([said.format("kept")] if failed else [])
    found, numbers, _ = energies(path, index="1:")  # counts all steps
    assert (numbers, found) == (kept[kept[0] == 0 :], expected(frames, kept[kept[0] == 0 :]))


@pytest.mark.parametrize(("name", "make", "version"), CASES)
def test_nothing_converged(tmp_path, frames, name, make, version):
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(make(frames, range(4), version).encode()))
    with pytest.raises(
        Error, match=f"{name}.gz: 4 of 4 steps did not converge and are left out .*: no structure remains"
    ):
        Dataset.read(path, reporter=QUIET)
    result = CliRunner().invoke(app, ["convert", "-q", str(path), "-o", str(tmp_path / "a.xyz")])
    assert result.exit_code == 2
    run = ["convert", "-q", "--keep-unconverged", str(path), "-o", str(tmp_path / "a.xyz")]
    assert CliRunner().invoke(app, run).exit_code == 0
    assert energies(tmp_path / "a.xyz")[0] == expected(frames, range(4))


def test_a_run_cut_within_a_step(tmp_path, frames):
    for name, make, version in CASES:
        text = make(frames, (1,), version)
        ends = {"OUTCAR": "  FREE ENERGIE", "vasprun.xml": "  <energy>"}
        (tmp_path / name).write_text(text[: text.rindex(ends[name])])
        assert energies(tmp_path / name)[1] == [0, 2]


def test_a_run_cut_behind_the_energy_of_a_step(tmp_path, frames):
    """The step is complete, and the next one is missing."""
    text = vasprun_of(frames, (1,), 6)
    (tmp_path / "vasprun.xml").write_text(text[: text.rindex(" </calculation>")])
    assert energies(tmp_path / "vasprun.xml")[:2] == (expected(frames, [0, 2, 3]), [0, 2, 3])


def outcar_ml(frames, learned, first_block=True):
    """Make an OUTCAR as VASP writes it: results of the force field precede each ab initio step, or stand alone."""
    head, *steps = re.split(r"(?=^-+ Iteration)", outcar_of(frames, (), 6), flags=re.MULTILINE)
    text = head
    for n, step in enumerate(steps):
        lines = step.split("\n", 2)[2]
        block = lines.replace("  FORCE on cell", "  ML FORCE on cell").replace("(eV/Angst)", "(eV/Angst) (ML)")
        block = block.replace("FREE ENERGIE OF", "ML FREE ENERGIE OF").replace("energy   TOTEN", "energy ML TOTEN")
        block = block.replace("  energy  without", "  ML energy  without").replace(" energy(sigma", " ML energy(sigma")
        wrong = re.sub(r"(TOTEN  =|entropy=|\(sigma->0\) =) *-?[\d.]+", r"\1   0.00000000", block)
        text += (block if n in learned else wrong if first_block or n else "") + ("" if n in learned else step)
    return text


def vasprun_ml(frames, learned):
    head, *steps = vasprun_of(frames, (), 6).split(" <calculation>")
    head = head.replace("<parameters>", '<parameters><i type="logical" name="ML_LMLFF"> T  </i>')
    for n in learned:
        steps[n] = re.sub(r"<scstep>.*</scstep>", "", steps[n])
    return " <calculation>".join([head, *steps])


ML_FILES = [("OUTCAR", outcar_ml), ("vasprun.xml", vasprun_ml)]


@pytest.mark.parametrize(("name", "make"), ML_FILES)
@pytest.mark.parametrize("learned", [(1, 2), (3,), (0,), ()])
def test_machine_learned_steps(tmp_path, frames, name, make, learned):
    path = tmp_path / name
    path.write_text(make(frames, learned))
    kept = [n for n in range(4) if n not in learned]
    found, numbers, warned = energies(path)
    assert (numbers, found) == (kept, expected(frames, kept))
    assert len(warned) == bool(learned)
    assert all(
        f"{len(learned)} of 4 steps are of VASP's machine-learned force field and are left out" in w for w in warned
    )
    every = energies(path, keep_machine_learned=True)
    assert every[:2] == (pytest.approx(np.array(expected(frames, range(4)).expected)), [0, 1, 2, 3]) or (
        name == "vasprun.xml" and every[1] == [0, 1, 2, 3]
    )
    data = Dataset.read(path, reporter=QUIET, keep_machine_learned=True)
    for s, atoms in zip(data, frames, strict=True):
        assert np.allclose(s.forces, atoms.get_forces(), rtol=0, atol=1e-6)
        assert np.allclose(s.atoms.positions, atoms.positions, rtol=0, atol=6e-6)


@pytest.mark.parametrize(("name", "make"), ML_FILES)
def test_only_machine_learned_steps(tmp_path, frames, name, make):
    (tmp_path / name).write_text(make(frames, range(4)))
    with pytest.raises(Error, match=f"{name}: 4 of 4 steps are of VASP's machine-learned force field .*no structure"):
        Dataset.read(tmp_path / name, reporter=QUIET)
    assert energies(tmp_path / name, keep_machine_learned=True)[1] == [0, 1, 2, 3]


UNITS = create_units("2006")
QE_HEAD = """
     Program PWSCF v.6.8 starts on  1Jan2022 at 12: 0: 0

     bravais-lattice index     =            0
     lattice parameter (alat)  =      10.0000  a.u.
     number of atoms/cell      =            2
     number of atomic types    =            1
     celldm(1)=  10.000000  celldm(2)=   0.000000  celldm(3)=   0.000000

     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   1.000000 )

   Cartesian axes

     site n.     atom                  positions (alat units)
         1           Si  tau(   1) = (   0.0000000   0.0000000   0.0000000  )
         2           Si  tau(   2) = (   0.2500000   0.2500000   0.2500000  )

     number of k points=     1
                       cart. coord. in units 2pi/alat
        k(    1) = (   0.0000000   0.0000000   0.0000000), wk =   2.0000000

"""
QE_POSITIONS = """
ATOMIC_POSITIONS (bohr)
Si            0.0000000000        0.0000000000        0.0000000000
Si            {x:.10f}        2.5000000000        2.5000000000

"""
QE_GOOD = """
     End of self-consistent calculation

          k = 0.0000 0.0000 0.0000 (   113 PWs)   bands (ev):

    -5.0000   1.0000

     highest occupied level (ev):     1.0000

!    total energy              =     {energy:.8f} Ry
     convergence has been achieved in   8 iterations
"""
QE_BAD = """
     End of self-consistent calculation

          k = 0.0000 0.0000 0.0000 (   113 PWs)   bands (ev):

    -5.0000   1.0000

     highest occupied level (ev):     1.0000

     total energy              =     {energy:.8f} Ry
     convergence NOT achieved after 100 iterations: stopping
"""
QE_FORCES = """
     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =     0.01000000    0.00000000    0.00000000
     atom    2 type  1   force =    -0.01000000    0.00000000    0.00000000

     Total force =     0.014142     Total SCF correction =     0.000001
"""


def espresso(failed, count=4):
    text = QE_HEAD
    for n in range(count):
        text += QE_POSITIONS.format(x=2.5 + 0.1 * n) if n else ""
        text += (QE_BAD if n in failed else QE_GOOD).format(energy=-15 - n) + QE_FORCES
    return text + QE_POSITIONS.format(x=9.0)  # the last geometry is printed again, without results


@pytest.mark.parametrize("failed", [(), (2,), (0, 3)])
def test_steps_of_espresso_that_did_not_converge(tmp_path, failed):
    path = tmp_path / "si.pwo"
    path.write_text(espresso(failed))
    kept = [n for n in range(4) if n not in failed]
    found, numbers, warned = energies(path)
    assert numbers == kept
    assert found == pytest.approx([(-15 - n) * UNITS["Ry"] for n in kept])
    assert len(warned) == bool(failed)
    assert all(f"{len(failed)} of 4 steps did not converge and are left out" in w for w in warned)
    found, numbers, _ = energies(path, keep_unconverged=True)
    assert numbers == [0, 1, 2, 3]
    assert [e is None for e in found] == [n in failed for n in range(4)]


def test_other_formats_have_no_steps_to_leave_out(tmp_path):
    from ase.io import write

    write(tmp_path / "POSCAR", bulk("Si"))
    data = Dataset.read(tmp_path / "POSCAR", require_labels=False, reporter=QUIET, keep_unconverged=True)
    assert len(data) == 1
