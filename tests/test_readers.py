"""Files as others write them: read as they were meant, in their units and by every command, or refused."""

import bz2
import gzip
import json
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from checks import BOHR, HARTREE, Listener, assert_close, silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential
from sitewise.cli import app
from sitewise.config import Config
from sitewise.io.runner import write_runner
from sitewise.progress import Silent
from sitewise.training.inputs import make_inputs
from sitewise.units import ENERGIES, LENGTHS, Units

QUIET = Silent()
BLOCK = """begin
comment of one
lattice 10.0 0.0 0.0
lattice 0.0 11.0 0.0
lattice 0.0 0.0 12.0
atom 0.5 1.0 1.5 Si 0.0 0.0 0.25 -0.5 0.125
atom 2.5 1.5 2.5 O 0.0 0.0 -0.25 0.5 -0.125
energy -7.5
charge 0.0
end
"""


def run(*arguments, status=0):
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


def read(path, **options):
    return Dataset.read(path, reporter=QUIET, **options)


def saved(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


VARIANTS = {
    "as it is": BLOCK,
    "blanks and tabs": "\n\n" + BLOCK.replace("\n", " \n\t ").replace("0.0 ", "0.0\t"),
    "CRLF": BLOCK.replace("\n", "\r\n"),
    "CR": BLOCK.replace("\n", "\r"),
    "byte order mark": "\ufeff" + BLOCK,
    "comments": "# by hand\n! more\n" + BLOCK.replace("atom", "# next\natom", 1) + "#end\n",
    "comments behind numbers": BLOCK.replace(" 0.125", " 0.125 # first").replace("-7.5", "-7.5 ! of PBE"),
    "D exponents": BLOCK.replace("-7.5", "-0.75D+01").replace("1.5 Si", "1.5d0 Si").replace("0.25", "2.5D-1"),
    "no exponent letter": BLOCK.replace("2.5 1.5 2.5 O", "2.5 1.5+000 2.5 O"),
    "no charge": BLOCK.replace("charge 0.0\n", ""),
    "no newline": BLOCK[:-1],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_input_data_in_every_guise(tmp_path, name):
    (s,) = read(saved(tmp_path / "train.txt", VARIANTS[name]))
    assert (s.energy, str(s.atoms.symbols), s.atoms.pbc.tolist()) == (-7.5, "SiO", [True] * 3)
    assert s.atoms.positions.tolist() == [[0.5, 1.0, 1.5], [2.5, 1.5, 2.5]]
    assert s.atoms.cell.lengths().tolist() == [10, 11, 12]
    assert s.forces.tolist() == [[0.25, -0.5, 0.125], [-0.25, 0.5, -0.125]]
    assert s.source.endswith("train.txt, structure 0")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-7.5", "nan", "8: nan is not a finite number"),
        ("-7.5", "-7,5", "8: -7,5 is not a number"),
        ("-7.5", "1_0", "8: 1_0 is not a number"),
        ("-7.5", "*****", "8: .* is not a number"),
        ("-7.5", "", "8: energy has 0 values, expected 1"),
        ("0.5 1.0 1.5 Si", "inf 1.0 1.5 Si", "6: inf is not a finite number"),
        ("0.25 -0.5 0.125", "0.25 -0.5 1e999", "6: 1e999 is not a finite number"),
        ("0.25 -0.5 0.125", "0.25 -0.5", "6: atom has 8 values, expected 9"),
        ("0.25 -0.5 0.125", "0.25 -0.5 0.125 7", "6: atom has 10 values, expected 9"),
        (" Si 0.0 0.0 0.25 -0.5 0.125", " Si", "6: atom has 4 values, expected 9"),
        ("Si", "Xx", "6: there is no element Xx"),
        ("Si", "X", "6: there is no element X"),
        ("Si", "si", "6: there is no element si"),
        ("lattice 10.0 0.0 0.0\n", "", "9: the structure that ends here has 2 lattice vectors, expected 3"),
        ("lattice 10.0", "lattice 1 2 3\nlattice 10.0", "11: the structure that ends here has 4 lattice vectors"),
        ("lattice 10.0 0.0 0.0", "lattice 0 11 0", "10: the lattice vectors of the structure .* span no volume"),
        ("energy -7.5", "energy -7.5\nenergy -7.5", "9: a second energy of one structure"),
        ("energy -7.5", "begin\nenergy -7.5", "8: a structure begins within another one, expected end before"),
        ("energy -7.5", "enrgy -7.5", "8: unknown keyword enrgy, expected atom, lattice, energy, charge, comment"),
        ("end\n", "", "ends within the structure that begins at .*bad.data:1"),
        ("end\n", "end\nend\n", "11: end is outside of a structure, expected begin"),
        ("end\n", "end\nbegin\nend\n", "12: the structure that ends here has no atoms"),
    ],
)
def test_bad_input_data(tmp_path, old, new, message):
    assert old in BLOCK
    path = saved(tmp_path / "bad.data", BLOCK.replace(old, new, 1))
    with pytest.raises(Error, match=f"bad.data:? ?{message}"):
        read(path)
    result = run("convert", path, "-o", tmp_path / "a.xyz", status=2)
    assert result.output.startswith("error: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "a.xyz").exists()


def test_an_energy_that_is_missing_is_unknown(tmp_path):
    (s,) = read(saved(tmp_path / "a.data", BLOCK.replace("energy -7.5\n", "")))
    assert s.energy is None
    assert s.forces is not None


def test_an_energy_of_0_is_an_energy(tmp_path):
    """An isolated atom whose energy is the reference has it; with forces of 0, which are unknown without an energy."""
    alone = BLOCK.replace("-7.5", "0.0").replace("0.25 -0.5 0.125", "0 0 0").replace("-0.25 0.5 -0.125", "0 0 0")
    (s,) = read(saved(tmp_path / "a.data", alone))
    assert (s.energy, s.forces.tolist()) == (0.0, [[0, 0, 0]] * 2)
    (s,) = read(saved(tmp_path / "a.data", alone.replace("energy 0.0\n", "")), require_labels=False)
    assert s.energy is s.forces is None


def test_a_total_charge_is_said_to_be_ignored(tmp_path):
    heard = Listener()
    path = saved(tmp_path / "a.data", BLOCK + BLOCK.replace("charge 0.0", "charge -1.0"))
    data = Dataset.read(path, reporter=heard)
    assert [w for w in heard.warned if "charge" in w] == [
        f"{path}: 1 structure has a total charge, which is ignored; the first is structure 1"
    ]
    assert "charge" not in data[1].atoms.info


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip), (".xz", lzma), (".bz2", bz2)])
def test_compressed_input_data(tmp_path, suffix, pack):
    path = saved(tmp_path / f"set.data{suffix}", pack.compress(BLOCK.encode()))
    assert read(path)[0].energy == -7.5
    run("convert", "-q", path, "-o", tmp_path / "a.xyz")
    assert read(tmp_path / "a.xyz")[0].energy == -7.5
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Error, match=f"set.data{suffix}: cannot be read"):
        read(path)


@pytest.mark.parametrize("kind", ["data", "xyz"])
@pytest.mark.parametrize("index", [":", "1:", ":2", "::2", "-1", "2", "-2:", "::-1", "1:-1"])
def test_index_and_numbers(tmp_path, kind, index):
    frames = silicon_frames(4)
    write(tmp_path / "a.xyz", frames)
    if kind == "data":
        run("convert", "-q", tmp_path / "a.xyz", "-o", tmp_path / "a.data")
    found = read(tmp_path / f"a.{kind}", index=index)
    numbers = [int(s.source.rsplit(" ", 1)[1]) for s in found]
    part = slice(*(int(x) if x else None for x in index.split(":"))) if ":" in index else None
    expected = list(range(4))[part] if part else [range(4)[int(index)]]
    assert [n % 4 for n in numbers] == expected
    for s, n in zip(found, expected, strict=True):
        assert s.energy == pytest.approx(frames[n].get_potential_energy(), abs=1e-8)


XYZ = """2
Lattice="5.0 0 0 0 6.0 0 0 0 7.0" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 pbc="T T T"
Si 0.1 0.0 0.0 0.0 0.0 0.5
Si 2.0 2.0 2.0 0.0 0.0 -0.5
"""


@pytest.mark.parametrize(
    "text",
    [
        XYZ,
        "\ufeff" + XYZ,
        "\n \n" + XYZ,
        XYZ.replace("\n", "\r\n"),
        XYZ + "\n\n",
        XYZ.replace(" 0.5", "\t0.5D+00").replace("0.1 ", "1.d-1 "),
        XYZ.replace("-1.5", "-0.15D1").replace('"5.0 ', '"0.5D+01 '),
        "\r\n\ufeff" + XYZ,
    ],
)
def test_extended_xyz_in_every_guise(tmp_path, text):
    for name in ("a.xyz", "a.extxyz", "a.xyz.gz"):
        path = saved(tmp_path / name, gzip.compress(text.encode()) if name.endswith("gz") else text)
        (s,) = read(path)
        assert (s.energy, s.atoms.cell.lengths().tolist()) == (-1.5, [5, 6, 7])
        assert s.atoms.positions.tolist() == [[0.1, 0, 0], [2, 2, 2]]
        assert s.forces[:, 2].tolist() == [0.5, -0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (XYZ + "\n" + XYZ, "4 lines after structure 0 .line 5. are not a structure"),
        (XYZ.replace("-0.5\n", "-0.5 1.0\n"), ":4: has 8 columns, expected 7 by Properties"),
        (XYZ.replace("Si 2", "Xx 2"), "cannot be read at structure 0: 'Xx' is unknown"),
        (XYZ.replace("Si 2", "X 2"), "structure 0: atom 1 has the atomic number 0, expected 1 to 118"),
        (
            XYZ.replace("Lattice", "lattice"),
            "cannot be read at structure 0: lattice is not read, write it as Lattice",
        ),
        (
            XYZ.replace("Lattice", "cell").replace("Properties", "pbc=T Properties"),
            "structure 0: is periodic, but its cell lacks a vector, and",
        ),
        (XYZ.replace("pbc=", "PBC="), "cannot be read at structure 0: PBC is not read, write it as pbc"),
        (XYZ.replace("T T T", "f f f"), "cannot be read at structure 0: pbc is f f f, expected T or F for each"),
        (XYZ.replace("T T T", "yes no no"), "cannot be read at structure 0: pbc is yes no no, expected T or F"),
        (XYZ.replace("T T T", "T F"), "cannot be read at structure 0: pbc is .True, False., expected T or F"),
        (XYZ.replace("-1.5", "T"), "structure 0: energy is not a number: True"),
        ("0\n\n", "structure 0: has no atoms"),
        (XYZ.replace("0.1", "0,1"), "cannot be read at structure 0"),
        (XYZ.replace("0.1", "nan"), "structure 0: position of atom 0 is not finite"),
        (XYZ.encode("utf-16"), "cannot be read"),
    ],
)
def test_bad_extended_xyz(tmp_path, text, message):
    with pytest.raises(Error, match=f"bad.xyz,?:? ?{message}"):
        read(saved(tmp_path / "bad.xyz", text))


@pytest.mark.parametrize("flags", ["T F F", "true false false", "1 0 0", "T,F,F", "1.0 0.0 0.0"])
def test_periodic_directions(tmp_path, flags):
    (s,) = read(saved(tmp_path / "a.xyz", XYZ.replace("T T T", flags)))
    assert s.atoms.pbc.tolist() == [True, False, False]


def test_columns_without_names_are_said(tmp_path):
    path, heard = saved(tmp_path / "a.xyz", "1\nenergy=-1.5\nSi 0 0 0 0.1 0.2 0.3\n"), Listener()
    (s,) = Dataset.read(path, reporter=heard)
    assert (s.energy, s.forces) == (-1.5, None)
    assert heard.said[0] == f"{path}: columns after the positions are not read, as no Properties name them"


@pytest.mark.parametrize("name", ["a.lmp", "a.data", "data.silicon", "noending"])
def test_lammps_data_by_any_name(tmp_path, name):
    """Ours, too, is read again, in LAMMPS's orientation; types without masses would be read as hydrogen, helium ..."""
    atoms = bulk("NaCl", "rocksalt", a=5.64) * (2, 1, 1)
    write(tmp_path / "a.xyz", atoms)
    run("convert", tmp_path / "a.xyz", "-o", tmp_path / name, "--to", "lammps")
    (s,) = read(tmp_path / name, require_labels=False)
    assert (s.atoms.symbols == atoms.symbols).all()
    assert np.allclose(s.atoms.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-12)
    text = (tmp_path / name).read_text()
    saved(tmp_path / name, text[: text.index("Masses")] + text[text.index("Atoms") :])
    with pytest.raises(Error, match=f"{name}: has no section Masses, and types alone do not name elements"):
        read(tmp_path / name)


def test_files_of_no_format(tmp_path):
    with pytest.raises(Error, match=r"a.zzz: is of no format that ASE knows, neither by its name nor by its content"):
        read(saved(tmp_path / "a.zzz", "nothing\n"))
    with pytest.raises(Error, match=r"a.data: has the name of an input.data, but does not start with begin"):
        read(saved(tmp_path / "a.data", "nothing\n"))


def test_a_file_given_twice(tmp_path):
    path = saved(tmp_path / "a.xyz", XYZ)
    (tmp_path / "link").symlink_to(path)
    for paths in ([path, path], [str(tmp_path / "*.xyz"), path], [path, tmp_path / ".." / tmp_path.name / "link"]):
        with pytest.raises(Error, match=r"a.xyz: is given 2 times"):
            Dataset.read(paths)


@pytest.mark.parametrize("between", ["", "\ufeff"])
def test_files_put_together(tmp_path, between):
    """Each of them may begin with a byte order mark."""
    first, second = read(saved(tmp_path / "a.xyz", XYZ + between + XYZ.replace("-1.5", "-2.5")))
    assert (first.energy, second.energy) == (-1.5, -2.5)


def test_an_output_of_cp2k(tmp_path):
    with pytest.raises(Error, match="is an output of CP2K, which ASE cannot read"):
        read(saved(tmp_path / "cp2k.out", " CP2K| version string: CP2K version 2023.1\n"))


def in_units(frames, units):
    """Return the numbers of structures in other units."""
    changed = []
    for atoms in frames:
        labels = {"energy": units.energy, "forces": units.force, "stress": units.stress}
        atoms = atoms.copy(), {name: atoms.calc.results[name] / unit for name, unit in labels.items()}
        atoms[0].set_cell(atoms[0].cell.array / units.length, scale_atoms=True)
        changed.append(atoms)
    return changed


@pytest.fixture(scope="module")
def potential(tmp_path_factory):
    path = tmp_path_factory.mktemp("units") / "potential"
    Potential(silicon_potential()).save(path)
    return path


def save_in_units(folder, frames, name, units):
    from ase.calculators.singlepoint import SinglePointCalculator

    images = []
    for atoms, labels in in_units(frames, units):
        atoms.calc = SinglePointCalculator(atoms, **labels)
        images.append(atoms)
    path = folder / name
    if not name.endswith("data"):
        write(path, images)
        return path
    write(folder / "temporary.traj", images)
    write_runner(read(folder / "temporary.traj"), path, 1.0, 1.0)
    return path


def same(found, frames, tolerance):
    for s, atoms in zip(found, frames, strict=True):
        assert_close(s.atoms.positions, atoms.positions, tolerance)
        assert_close(s.atoms.cell.array, atoms.cell.array, tolerance)
        assert_close(s.energy, atoms.get_potential_energy(), tolerance)
        assert_close(s.forces, atoms.get_forces(), 10 * tolerance)
        if s.stress is not None:
            assert_close(s.stress, atoms.get_stress(), tolerance)


@pytest.mark.slow
@given(
    length=st.sampled_from([*LENGTHS, "bohr", "ANGSTROM"]),
    energy=st.sampled_from([*ENERGIES, "hartree", "EV"]),
    name=st.sampled_from(["a.xyz", "a.traj", "input.data", "set.txt.data"]),
)
def test_units_and_formats_agree(tmp_path_factory, length, energy, name):
    frames = silicon_frames(2)
    folder = tmp_path_factory.mktemp("units")
    path = save_in_units(folder, frames, name, Units.of(length, energy))
    tolerance = 1e-6 if name == "a.xyz" else 1e-12
    same(read(path, length_unit=length, energy_unit=energy), frames, tolerance)
    options = ["--length-unit", length, "--energy-unit", energy, "-q"]
    run("convert", path, "-o", folder / "b.traj", *options)
    same(read(folder / "b.traj"), frames, tolerance)


def test_sizes_of_units():
    """They are those of CODATA 2018, written out."""
    eV, angstrom, kbar = 1.602176634e-19, 1e-10, 1e8
    joules = {"Hartree": 4.3597447222071e-18, "Rydberg": 2.1798723611035e-18,
              "kcal/mol": 4184 / 6.02214076e23, "kJ/mol": 1000 / 6.02214076e23}  # fmt: skip
    for name, joule in joules.items():
        assert Units.of("Angstrom", name).energy == pytest.approx(joule / eV, rel=1e-10)
    assert Units.of("Bohr", "eV").force == pytest.approx(1 / 0.529177210903)
    assert Units.of("Bohr", "Hartree").stress == pytest.approx(29421.02648438959e9 * angstrom**3 / eV)
    assert Units.of("Bohr", "Hartree", "kbar").stress == pytest.approx(kbar * angstrom**3 / eV)
    assert Units.of("Bohr", "Hartree", "GPa").stress == pytest.approx(10 * kbar * angstrom**3 / eV)


@pytest.mark.parametrize("name", ["a.xyz", "input.data"])
def test_units_in_every_command(tmp_path, potential, name):
    """Numbers in Hartree and Bohr give what the same structures in eV and Angstrom give."""
    frames = silicon_frames(6)
    plain = save_in_units(tmp_path, frames, "plain.traj", Units())
    other = save_in_units(tmp_path, frames, name, Units.of("Bohr", "Hartree"))
    units = ["--length-unit", "bohr", "--energy-unit", "hartree", "-q"]
    results = {}
    for path, options in ((plain, ["-q"]), (other, units)):
        run("evaluate", potential, path, "--json", tmp_path / "e.json", *options)
        run("predict", potential, path, "-o", tmp_path / "p.xyz", *options)
        run("features", potential, path, "-o", tmp_path / "f.npz", *options)
        run("diagnose", path, "--potential", potential, "--json", tmp_path / "d.json", *options)
        with np.load(tmp_path / "f.npz") as features:
            results[path] = (
                json.loads((tmp_path / "e.json").read_text())["force_rmse"],
                [s.energy for s in read(tmp_path / "p.xyz")],
                features["features"],
            )
    for one, two in zip(*results.values(), strict=True):
        assert_close(one, two, 1e-5)
    shown = run("info", other, *units[:-1]).stdout
    assert "6 energies" in shown
    assert "in Hartree and Bohr" in shown


def test_units_in_a_run(tmp_path):
    table = {"length_unit": "BOHR", "energy_unit": "rydberg", "keep_unconverged": True, "keep_machine_learned": True}
    options = Config.parse({"data": {"train": "a.xyz", **table}}).data.reading()
    assert {name: options[name] for name in table} == table
    with pytest.raises(Error, match=r"\[data\]: length_unit is nm, expected Angstrom, Bohr"):
        Config.parse({"data": {"train": ["a.xyz"], "length_unit": "nm"}})


@pytest.mark.parametrize("name", ["a.xyz", "input.data"])
def test_a_run_reads_as_other_commands_do(tmp_path, name):
    frames = silicon_frames(4)
    path = save_in_units(tmp_path, frames, name, Units.of("Bohr", "Hartree"))
    units = {"length_unit": "Bohr", "energy_unit": "Hartree"}
    config = Config.parse({"data": {"train": str(path), "test": 0, **units}})
    inputs = make_inputs(config, Listener())
    same(inputs.train.data, frames, 1e-6)
    assert inputs.train.data.hash() == read(path, **units).hash()


def test_units_are_said(tmp_path):
    heard = Listener()
    path = save_in_units(tmp_path, silicon_frames(2), "a.traj", Units.of("Bohr", "kcal/mol"))
    Dataset.read(path, reporter=heard, length_unit="Bohr", energy_unit="KCAL/MOL")
    assert heard.said[0].endswith(", in kcal/mol and Bohr")
    Dataset.read(path, reporter=heard, length_unit=1 / BOHR, energy_unit=1 / HARTREE)
    assert heard.said[-1].endswith(", in Hartree and Bohr")
    Dataset.read(path, reporter=heard, length_unit=0.5)
    assert heard.said[-1].endswith(", in eV and units of 0.5 Angstrom")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length_unit": "nm"}, "length_unit is nm, expected Angstrom, Bohr"),
        ({"energy_unit": "Ha"}, "energy_unit is Ha, expected eV, Hartree, Rydberg, kcal/mol, kJ/mol"),
        ({"energy_unit": ""}, "energy_unit is , expected"),
        ({"length_unit": 0.0}, "length_unit is 0.0, expected a positive number"),
        ({"length_unit": float("nan")}, "length_unit is nan, expected a positive number"),
    ],
)
def test_unknown_units(tmp_path, options, message):
    with pytest.raises(Error, match=message):
        read(saved(tmp_path / "a.data", BLOCK), **options)


def test_units_of_a_format_that_has_its_own(tmp_path):
    write(tmp_path / "POSCAR", bulk("Si"))
    with pytest.raises(Error, match="POSCAR: is of the format vasp, which ASE reads in eV and Angstrom, but"):
        read(tmp_path / "POSCAR", require_labels=False, length_unit="Bohr")
    with pytest.raises(Error, match="but its units are said to be Hartree and Angstrom"):
        read(tmp_path / "POSCAR", require_labels=False, energy_unit="Hartree")
    with pytest.raises(Error, match="but its units are said to be eV and Angstrom, stress in GPa"):
        read(tmp_path / "POSCAR", require_labels=False, stress_unit="GPa")


def test_units_of_convert(tmp_path):
    """--cflength and --cfenergy are those of input.data on both sides, and cannot be contradicted."""
    frames = silicon_frames(2)
    path = save_in_units(tmp_path, frames, "input.data", Units.of("Bohr", "Hartree"))
    factors = ["--cflength", 1 / LENGTHS["Bohr"], "--cfenergy", 1 / ENERGIES["Hartree"], "-q"]
    run("convert", path, "-o", tmp_path / "a.traj", *factors)
    same(read(tmp_path / "a.traj"), frames, 1e-12)
    run("convert", tmp_path / "a.traj", "-o", tmp_path / "b.data", *factors)
    same(read(tmp_path / "b.data", length_unit="Bohr", energy_unit="Hartree"), frames, 1e-12)
    output = run("convert", path, "-o", tmp_path / "c.xyz", *factors, "--length-unit", "Bohr", status=2).output
    assert "leave out --length-unit and --energy-unit" in output
    output = run("convert", tmp_path / "a.traj", "-o", tmp_path / "c.data", "--length-unit", "Bohr", *factors).output
    same(read(tmp_path / "c.data", length_unit="Bohr"), read_atoms(tmp_path / "a.traj"), 1)


def read_atoms(path):
    from ase.io import read as ase_read

    return ase_read(path, ":")


def test_groups_survive_a_file_of_runner(tmp_path):
    """They are at the start of the comment, which is kept, too."""
    names = ["slab", 'two "words" \\ and a line\nend', "", "slab"]
    frames = []
    for name, comment in zip(names, ["", "", "alone", "made by hand"], strict=True):
        atoms = Atoms("Si", positions=[[0, 0, 0]])
        atoms.info |= {key: value for key, value in (("config_type", name), ("comment", comment)) if value}
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.ones((1, 3)))
        frames.append(atoms)
    write_runner(Dataset(frames), tmp_path / "input.data", 1.0, 1.0)
    again = Dataset.read(tmp_path / "input.data", reporter=Silent())
    assert [s.group for s in again] == names
    assert [s.atoms.info.get("comment", "") for s in again][2:] == ["alone", "made by hand"]
