"""HDF5 in the layouts of MACE and of the ANI data sets: read as it was meant, by ranges, or refused."""

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from checks import BOHR, HARTREE, Listener, assert_close, silicon_frames
from sitewise import Dataset, Error
from sitewise.cli import app
from sitewise.io.hdf5 import write_hdf5
from sitewise.progress import Silent
from sitewise.structures import Structure

h5py = pytest.importorskip("h5py")

CH = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.1]])


def read(path, **options):
    return Dataset.read(path, reporter=Silent(), **options)


def written(path, content, attributes=()):
    """Write a file from {"group/dataset": value} and attributes of datasets."""
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name] = value
        for name, key, value in attributes:
            file[name].attrs[key] = value
    return path


def ani(m=3, group="C1H1", **changes):
    """Return a molecule CH with m conformers."""
    content = {
        "species": np.array([b"C", b"H"]),
        "coordinates": np.array([CH * (1 + 0.01 * k) for k in range(m)]),
        "energies": np.arange(m) - 40.0,
        "forces": np.arange(6.0 * m).reshape(m, 2, 3) / 100,
    }
    return {f"{group}/{name}": value for name, value in {**content, **changes}.items() if value is not None}


def labelled(n=12):
    """Return structures, more than ten, with and without labels, group and columns."""
    for k, atoms in enumerate(silicon_frames(n)):
        energy, forces = (float(atoms.get_potential_energy()), atoms.get_forces()) if k != 4 else (None, None)
        atoms.calc = None
        atoms.info["frame"], atoms.info["method"] = k, "SW"
        atoms.arrays["site"] = np.arange(len(atoms)) / 2
        stress = np.arange(6) / 100 if k % 2 else None
        group = "odd" if k % 2 else ""
        if group:
            atoms.info["config_type"] = group
        yield Structure(atoms, energy, forces, stress, group, f"structure {k}")


def test_what_is_written_is_read_again(tmp_path):
    structures = [*labelled()]
    assert write_hdf5(structures, tmp_path / "a.h5") == []
    data = read(tmp_path / "a.h5")
    assert data.hash() == Dataset(structures).hash()
    assert [s.group for s in data] == [s.group for s in structures]
    assert [s.source.rpartition(" ")[2] for s in data] == [str(k) for k in range(12)]
    for found, expected in zip(data, structures, strict=True):
        assert (found.atoms.info["frame"], found.atoms.info["method"]) == (expected.atoms.info["frame"], "SW")
        assert np.array_equal(found.atoms.arrays["site"], expected.atoms.arrays["site"])
    for index in (":", "3", "-2", "-3:", "::-2", "1:11:3", "20:"):
        if index == "20:":
            with pytest.raises(Error, match="no structure"):
                read(tmp_path / "a.h5", index=index, require_labels=False)
            continue
        wanted = [*range(12)][int(index)] if index.lstrip("-").isdigit() else None
        wanted = (
            [wanted] if wanted is not None else [*range(12)][slice(*(int(x) if x else None for x in index.split(":")))]
        )
        found = read(tmp_path / "a.h5", index=index, require_labels=False)
        assert [s.atoms.info["frame"] for s in found] == wanted


def test_convert_writes_what_mace_reads(tmp_path):
    frames = silicon_frames(3)
    del frames[2].calc.results["stress"]
    write(tmp_path / "a.xyz", frames)
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "a.xyz"), "-o", str(tmp_path / "a.h5")])
    assert result.exit_code == 0, result.stderr
    with h5py.File(tmp_path / "a.h5") as file:
        config = file["config_batch_0/config_2"]
        assert {*config} == {
            "atomic_numbers", "cell", "config_type", "pbc", "positions", "properties", "property_weights", "weight",
        }  # fmt: skip
        assert config["properties/stress"][()] == b"None"
        assert config["property_weights/stress"][()] == 0
        assert config["property_weights/forces"][()] == 1
    assert read(tmp_path / "a.h5").hash() == read(tmp_path / "a.xyz").hash()
    CliRunner().invoke(app, ["convert", str(tmp_path / "a.h5"), "-o", str(tmp_path / "b.xyz")])
    assert read(tmp_path / "b.xyz").hash() == read(tmp_path / "a.xyz").hash()


def test_values_that_are_no_numbers_are_named(tmp_path):
    atoms = silicon_frames(1)[0]
    atoms.info |= {"table": {"a": 1}, "a/b": 1.0, "rows": [[1], [1, 2]]}
    assert write_hdf5(Dataset([atoms]), tmp_path / "a.h5") == ["table", "a/b", "rows"]


def test_labels_of_weight_0_are_unknown(tmp_path):
    """Older files have labels beside the positions, and 0 of weight 0 for those that are unknown."""
    old = {
        "atomic_numbers": [6, 1], "positions": CH, "cell": np.zeros((3, 3)), "pbc": [False] * 3, "weight": 2.0,
        "config_type": "Default", "energy": 0.0, "energy_weight": 0.0, "forces": CH, "forces_weight": 1.0,
        "stress": "None", "stress_weight": 1.0, "virials": "None", "virials_weight": 0.0, "dipole": [0.0, 0.0, 0.5],
    }  # fmt: skip
    path = written(tmp_path / "a.h5", {f"config_batch_0/config_0/{key}": value for key, value in old.items()})
    (found,) = read(path)
    assert (found.energy, found.stress, found.group) == (None, None, "")
    assert np.array_equal(found.forces, CH)
    assert {*found.atoms.info} == {"weight", "dipole"}
    assert found.atoms.info["weight"] == 2
    with h5py.File(path, "a") as file:
        del file["config_batch_0/config_0/energy_weight"]
        file["config_batch_0/config_0/energy_weight"] = 0.5
    (found,) = read(path)
    assert (found.energy, found.atoms.info["energy_weight"]) == (0, 0.5)


def test_batches_have_the_order_of_their_numbers(tmp_path):
    content = {}
    for k in range(11):
        content |= {
            f"config_batch_{k}/config_0/{name}": value
            for name, value in {"atomic_numbers": [6, 1], "positions": CH, "energy": -float(k)}.items()
        }
    data = read(written(tmp_path / "a.h5", content))
    assert [s.energy for s in data] == [-k for k in range(11)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"species": np.array(["C", "H"], dtype=h5py.string_dtype())},
        {"species": None, "atomic_numbers": [6, 1]},
        {"species": [[6, 1]] * 3},
        {"coordinates": None, "conformations": ani()["C1H1/coordinates"]},
        {"energies": None, "energy": np.arange(3).reshape(3, 1) - 40.0},
    ],
)
def test_layouts_of_ani(tmp_path, changes):
    content = ani(**changes) | ani(2, "deep/er/H1C1", species=np.array([b"H", b"C"]))
    data = read(written(tmp_path / "a.h5", content))
    assert [s.energy for s in data] == [-40, -39, -38, -40, -39]
    assert [s.atoms.get_chemical_formula("reduce") for s in data] == ["CH"] * 3 + ["HC"] * 2
    assert_close([s.atoms.positions for s in data], [CH * (1 + 0.01 * k) for k in (0, 1, 2, 0, 1)], 0)
    assert_close(data[2].forces, np.arange(12.0, 18.0).reshape(2, 3) / 100, 0)
    assert not any(s.atoms.pbc.any() for s in data)


def test_units_of_attributes_must_be_those_that_are_given(tmp_path):
    attributes = [
        ("C1H1/coordinates", "units", "bohr"), ("C1H1/energies", "units", "Hartree"),
        ("C1H1/forces", "units", "hartree / bohr"), ("C1H1/charges", "units", "elementary_charge"),
    ]  # fmt: skip
    path = written(tmp_path / "a.h5", ani(charges=np.zeros((3, 2))), attributes)
    with pytest.raises(
        Error, match=r"/C1H1/coordinates has the units bohr, but the file is to be read in eV and Angst"
    ):
        read(path)
    with pytest.raises(Error, match="energies has the units Hartree, but the file is to be read in eV and Bohr"):
        read(path, length_unit="Bohr")
    data = read(path, length_unit="Bohr", energy_unit="Hartree")
    assert_close(data[0].energy, -40 / HARTREE, 1e-6)
    assert_close(data[0].atoms.positions, CH / BOHR, 1e-6)
    assert_close(data[2].forces[0, 1], 0.13 * BOHR / HARTREE, 1e-6)
    with h5py.File(path, "a") as file:
        file["C1H1/forces"].attrs["units"] = "Ha/Å"
    with pytest.raises(Error, match="forces has the units Ha/Å, but the file is to be read in Hartree and Bohr"):
        read(path, length_unit="Bohr", energy_unit="Hartree")


def test_what_is_assumed_and_left_out_is_said(tmp_path):
    listener = Listener()
    content = ani(energies=np.array([-1.0, np.nan, -3.0]), coordinatesHE=np.zeros((7, 2, 3)), charges=np.ones((3, 2)))
    data = Dataset.read(written(tmp_path / "a.h5", content), reporter=listener)
    assert [s.energy for s in data] == [-1, None, -3]
    assert np.array_equal(data[0].atoms.arrays["charges"], [1, 1])
    said = "\n".join(listener.said)
    assert "a.h5: states no units, they are taken as eV and Angstrom" in said
    assert "a.h5: not read, as they are not of each structure: coordinatesHE" in said


def test_labels_of_other_names(tmp_path):
    content = ani(energies=None, forces=None, **{"wb97x_dz.energy": [1.0, 2.0, 3.0], "gradient": np.ones((3, 2, 3))})
    path = written(tmp_path / "a.h5", content)
    with pytest.raises(Error, match=r"no labels found.*there is wb97x_dz\.energy"):
        read(path)
    assert [s.energy for s in read(path, keys={"energy": "wb97x_dz.energy"})] == [1, 2, 3]
    with pytest.raises(Error, match="gradient is named as forces: a gradient is minus the forces"):
        read(path, keys={"forces": "gradient"})


def test_periodic_cells(tmp_path):
    cells = np.array([np.eye(3) * (5 + k) for k in range(3)])
    data = read(written(tmp_path / "a.h5", ani(cell=cells, pbc=np.array([[True, True, False]] * 3))))
    assert [s.atoms.cell[0, 0] for s in data] == [5, 6, 7]
    assert data[1].atoms.pbc.tolist() == [True, True, False]
    data = read(written(tmp_path / "b.h5", ani(cell=cells[0], pbc=np.array([True] * 3))))
    assert [s.atoms.cell[0, 0] for s in data] == [5, 5, 5]


MACE = {"atomic_numbers": [6, 1], "positions": CH, "energy": -1.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"E": [1.0], "x": [2.0]}, r"a\.h5: / has E, x, expected coordinates and species"),
        (ani(species=None), "/C1H1 has coordinates, energies, forces, expected coordinates and species"),
        (ani(coordinates=np.zeros((3, 2))), r"/C1H1/coordinates has shape \(3, 2\), expected \(m, n, 3\)"),
        (ani(species=np.array([b"C", b"Xx"])), "the elements of /C1H1 are .'C' 'Xx'., expected atomic numbers or sym"),
        (ani(species=np.array([0, 1])), "a.h5, structure 0: atom 0 has the atomic number 0"),
        (ani(species=np.array([6, 1, 1])), r"/C1H1 has 3 elements and positions of shape \(2, 3\)"),
        (ani(energies=np.zeros(2)), r"/C1H1/energies has shape \(2,\), but coordinates have \(3, 2, 3\)"),
        (ani(energy=np.zeros(3)), "/C1H1 has both energy and energies"),
        (ani(cell=np.eye(3)), "/C1H1 has a cell, but no pbc"),
        (ani(energies=np.array([b"a"] * 3)), "a.h5, structure 0: energy is not a number: a"),
        (ani(forces=np.full((3, 2, 3), [0.0, 0.0, np.inf])), "a.h5, structure 0: forces of atom 0 is not finite"),
        ({"config_batch_0/config_1/x": 1}, "/config_batch_0 has no config_0"),
        ({"config_batch_1/config_0/x": 1}, "/ has no config_batch_0"),
        (
            {f"config_batch_0/config_0/{k}": v for k, v in MACE.items() if k[0] != "p"},
            "/config_batch_0/config_0 has no po",
        ),
        ({f"config_batch_0/config_0/{k}": v for k, v in {**MACE, "positions": CH[0]}.items()}, "positions of shape"),
        ({f"config_batch_0/config_0/{k}": v for k, v in {**MACE, "cell": [1, 2]}.items()}, "has a cell, but no pbc"),
        (
            {f"config_batch_0/config_0/{k}": v for k, v in {**MACE, "cell": [1.0, 2.0], "pbc": [True] * 3}.items()},
            "a.h5: cannot be read at structure 0: ",
        ),
        ({"config_batch_0/config_0": 1.0}, "a.h5: cannot be read at structure 0: "),
    ],
)
def test_what_cannot_be_read_as_meant_is_refused(tmp_path, content, message):
    with pytest.raises(Error, match=message) as error:
        read(written(tmp_path / "a.h5", content))
    assert "\n" not in str(error.value)


def test_damaged_files_are_refused(tmp_path):
    path = written(tmp_path / "a.h5", ani())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Error, match=r"a\.h5: cannot be read: "):
        read(path)
    with h5py.File(path, "w") as file:  # nothing is stored
        file["C1H1/species"] = [6, 1]
        file.create_dataset("C1H1/coordinates", (1 << 40, 2, 3), "f4", chunks=(1, 2, 3))
    with pytest.raises(Error, match=r"/C1H1/coordinates says it has .* bytes, more than the file"):
        read(path, require_labels=False)


def test_without_h5py(tmp_path, monkeypatch):
    path = written(tmp_path / "a.h5", ani())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(Error, match=r"a\.h5: HDF5 needs h5py, which is not installed: pip install 'sitewise\[hdf5\]'"):
        read(path)


def test_a_compressed_file(tmp_path):
    import gzip

    path = written(tmp_path / "a.h5", ani())
    (tmp_path / "b.h5.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read(tmp_path / "b.h5.gz").hash() == read(path).hash()
    assert len(Atoms(read(path)[0].atoms)) == 2
