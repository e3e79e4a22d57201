"""Reading of structures and labels."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from checks import silicon_frames
from sitewise import Dataset, Error
from sitewise.structures import Structure


def save(path, frames):
    write(path, frames)
    return path


def bare(**labels):
    """Make a crystal whose info and arrays hold labels, without calculator."""
    atoms = bulk("Si", "diamond", a=5.4)
    for key, value in labels.items():
        (atoms.arrays if np.shape(value) == (2, 3) else atoms.info)[key] = value
    return atoms


def test_labels_come_back(tmp_path, capsys):
    frames = silicon_frames(3)
    data = Dataset.read(save(tmp_path / "a.xyz", frames))
    for atoms, structure in zip(frames, data, strict=True):
        assert structure.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        assert np.allclose(structure.forces, atoms.get_forces(), rtol=0, atol=1e-7)
        assert np.allclose(structure.stress, atoms.get_stress(), rtol=0, atol=1e-12)
        assert structure.atoms.calc is None
    assert data.groups == ["even", "odd"]
    assert data.elements == ["Si"]
    assert "3 structures, 24 atoms: 3 energies, 3 forces, 3 stresses" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.xyz.xz", "a.traj", "a.db", "a.json"])
def test_formats_of_ase(tmp_path, name):
    frames = silicon_frames(2)
    data = Dataset.read(save(tmp_path / name, frames))
    assert [s.energy for s in data] == pytest.approx([a.get_potential_energy() for a in frames])


def test_a_poscar_has_no_labels(tmp_path):
    path = save(tmp_path / "POSCAR", bare())
    with pytest.raises(Error, match=r"no labels found in .*POSCAR: none of 1 structure has energy forces stress"):
        Dataset.read(path)
    assert len(Dataset.read(path, require_labels=False)) == 1


def test_reference_labels_win_over_the_calculator(tmp_path):
    atoms = bare(REF_energy=-1.0, REF_forces=np.ones((2, 3)), REF_stress=np.arange(6.0))
    atoms.calc = SinglePointCalculator(atoms, energy=5.0, forces=np.zeros((2, 3)))
    (structure,) = Dataset.read(save(tmp_path / "a.xyz", atoms))
    assert structure.energy == -1.0
    assert np.all(structure.forces == 1.0)
    assert np.all(structure.stress == np.arange(6.0))


def test_keys_win_over_reference_labels(tmp_path):
    atoms = bare(REF_energy=-1.0, dft_energy=-2.0, dft_forces=np.full((2, 3), 3.0), REF_forces=np.ones((2, 3)))
    (structure,) = Dataset.read(save(tmp_path / "a.xyz", atoms), keys={"energy": "dft_energy", "forces": "dft_forces"})
    assert structure.energy == -2.0
    assert np.all(structure.forces == 3.0)
    with pytest.raises(Error, match="no labels found"):
        Dataset.read(tmp_path / "a.xyz", keys={"energy": "typo", "forces": "typo", "stress": "typo"})
    with pytest.raises(Error, match="there is no label force, expected energy, forces, stress"):
        Dataset.read(tmp_path / "a.xyz", keys={"force": "x"})


def test_free_energy_where_there_is_no_energy(tmp_path):
    atoms = bare()
    atoms.calc = SinglePointCalculator(atoms, free_energy=-3.5)
    assert Dataset.read(save(tmp_path / "a.xyz", atoms))[0].energy == -3.5


def test_stress_in_any_shape(tmp_path):
    full = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    for number, value in enumerate((full, full.ravel(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])):
        path = save(tmp_path / f"{number}.xyz", bare(REF_stress=value))
        assert Dataset.read(path)[0].stress.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_labels_may_be_missing_for_some(tmp_path):
    frames = [bare(REF_energy=1.0), bare(REF_forces=np.ones((2, 3))), bare()]
    data = Dataset.read(save(tmp_path / "a.xyz", frames))
    assert [data.count(label) for label in ("energy", "forces", "stress")] == [1, 1, 0]


def test_stress_of_a_slab_is_ignored_and_told(tmp_path):
    atoms = bare(REF_energy=1.0, REF_stress=np.ones(6))
    atoms.pbc = (True, True, False)
    data = Dataset.read(save(tmp_path / "a.xyz", atoms))
    assert data[0].stress is None
    assert "1 of structures not periodic in 3 directions ignored" in data.summary()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"REF_energy": np.nan}, "structure 1: energy is not finite"),
        ({"REF_energy": "low"}, "structure 1: energy is not a number"),
        ({"REF_forces": np.full((2, 3), np.inf)}, "structure 1: forces of atom 0 is not finite"),
        ({"REF_stress": np.ones(4)}, r"structure 1: stress has shape \(4,\), expected \(6,\)"),
    ],
)
def test_bad_labels_name_file_and_structure(tmp_path, labels, message):
    path = save(tmp_path / "a.xyz", [bare(REF_energy=1.0), bare(**labels)])
    with pytest.raises(Error, match=f"a.xyz, {message}"):
        Dataset.read(path)


def test_nan_position(tmp_path):
    text = save(tmp_path / "a.xyz", bare(REF_energy=1.0)).read_text()
    (tmp_path / "a.xyz").write_text(text.replace("1.35000000", "nan", 1))
    with pytest.raises(Error, match=r"a.xyz, structure 0: position of atom 1 is not finite"):
        Dataset.read(tmp_path / "a.xyz")


def test_files_cut_short_or_strange(tmp_path):
    whole = save(tmp_path / "a.xyz", silicon_frames(2)).read_text().splitlines(keepends=True)
    (tmp_path / "cut.xyz").write_text("".join(whole[:-3]))
    with pytest.raises(Error, match=r"cut.xyz: cannot be read at structure 1: line 11 says 8 atoms, 5 follow"):
        Dataset.read(tmp_path / "cut.xyz")
    (tmp_path / "gap.xyz").write_text("".join([*whole[:10], "\n", *whole[10:]]))
    with pytest.raises(Error, match=r"gap.xyz: 10 lines after structure 0"):
        Dataset.read(tmp_path / "gap.xyz")
    (tmp_path / "empty.xyz").write_text("")
    with pytest.raises(Error, match=r"empty.xyz: "):
        Dataset.read(tmp_path / "empty.xyz")
    with pytest.raises(Error, match=r"absent.xyz: no such file"):
        Dataset.read(tmp_path / "absent.xyz")
    with pytest.raises(Error, match="is a folder, expected a file"):
        Dataset.read(tmp_path)
    packed = save(tmp_path / "b.xyz.xz", silicon_frames(2)).read_bytes()
    (tmp_path / "b.xyz.xz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(Error, match=r"b.xyz.xz: cannot be read at structure"):
        Dataset.read(tmp_path / "b.xyz.xz")


def test_patterns(tmp_path, monkeypatch):
    for name in ("b.xyz", "a.xyz"):
        save(tmp_path / name, silicon_frames(1, seed=ord(name[0])))
    monkeypatch.chdir(tmp_path)
    assert [s.source for s in Dataset.read("*.xyz")] == ["a.xyz, structure 0", "b.xyz, structure 0"]
    assert len(Dataset.read(str(tmp_path / "*.xyz"))) == 2
    assert len(Dataset.read([tmp_path / "a.xyz", "b.xyz"])) == 2


def test_split_is_a_partition_and_repeats(tmp_path):
    data = Dataset.read(save(tmp_path / "a.xyz", silicon_frames(10)))
    rest, out = data.split(0.3, np.random.default_rng(1))
    assert (len(rest), len(out)) == (7, 3)
    assert sorted(s.source for s in [*rest, *out]) == sorted(s.source for s in data)
    assert [s.source for s in data.split(0.3, np.random.default_rng(1))[1]] == [s.source for s in out]
    assert [s.source for s in data.split(0.3, np.random.default_rng(2))[1]] != [s.source for s in out]
    assert len(data[:2].split(0.01, np.random.default_rng(1))[1]) == 1
    with pytest.raises(Error, match="1 structure cannot be split"):
        data[:1].split(0.5, np.random.default_rng(1))


def test_hash_sees_every_change(tmp_path):
    data = Dataset.read(save(tmp_path / "a.xyz", silicon_frames(3)))
    same = Dataset.read(tmp_path / "a.xyz")
    assert data.hash() == same.hash()
    hashes = {data.hash(), data[:2].hash(), Dataset(list(data)[::-1]).hash()}
    for change in ("positions", "numbers", "pbc", "cell"):
        changed = Dataset.read(tmp_path / "a.xyz")
        atoms = changed[1].atoms
        if change == "positions":
            atoms.positions[0, 0] += 1e-9
        elif change == "numbers":
            atoms.numbers[0] = 8
        elif change == "pbc":
            atoms.pbc[1] = False
        else:
            atoms.cell[2, 1] += 1e-9
        hashes.add(changed.hash())
    assert len(hashes) == 7


def test_isolated_atom(tmp_path):
    atoms = Atoms("Si")
    atoms.info["REF_energy"] = -1.0
    (structure,) = Dataset.read(save(tmp_path / "a.xyz", atoms))
    assert not structure.atoms.pbc.any()


def test_a_split_takes_the_same_part_of_each_group():
    """Without groups, and with a group for each structure, it is the plain random choice."""
    atoms = Atoms("Si", positions=[[0, 0, 0]])

    def split(groups, fraction, seed=3):
        data = Dataset(Structure(atoms, float(k), None, None, group, str(k)) for k, group in enumerate(groups))
        return [[s.source for s in part] for part in data.split(fraction, np.random.default_rng(seed))]

    groups = ["a"] * 60 + ["b"] * 30 + ["c"] * 9 + ["d"]
    for seed in range(5):
        rest, held_out = split(groups, 0.1, seed)
        assert len(rest) == 90
        counts = [sum(groups[int(k)] == group for k in held_out) for group in "abcd"]
        assert counts == [6, 3, 1, 0]
    assert split(groups, 0.1, 0) != split(groups, 0.1, 1)
    plain = sorted(map(str, np.random.default_rng(3).permutation(20)[:5].tolist()), key=int)
    assert split([""] * 20, 0.25)[1] == plain
    assert split([str(k) for k in range(20)], 0.25)[1] == plain
