"""Sets of structures beyond the memory: kept on disk, and shared among ranks."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from ase.io import write

from checks import assert_close, silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential, scratch
from sitewise.evaluation import comparison, errors, label_units
from sitewise.io import kept, readers
from sitewise.presets import nearest_distances
from sitewise.progress import Reporter
from sitewise.training.plots import save_correlation, save_distributions

QUIET = Reporter(quiet=True)


@pytest.fixture
def small_memory(monkeypatch):
    """Let only a few structures be in memory."""
    monkeypatch.setattr(kept, "MEMORY", 3 * kept.OF_STRUCTURE)


@pytest.fixture
def frames():
    made = silicon_frames(9)
    for k, atoms in enumerate(made):
        atoms.info["group"] = "odd" if k % 2 else "even"
        atoms.info["note"] = f"frame {k}"
    return made


def same(found, expected):
    assert found.hash() == expected.hash()
    assert [s.source for s in found] == [s.source for s in expected]
    assert [s.group for s in found] == [s.group for s in expected]
    names = "atoms", "elements", "labels", "group", "sources"
    facts = [[[getattr(each, name) for name in names] for each in data.facts()] for data in (found, expected)]
    assert facts[0] == facts[1]
    assert (found.n_atoms, found.elements, found.groups) == (expected.n_atoms, expected.elements, expected.groups)
    assert [s.atoms.info for s in found] == [s.atoms.info for s in expected]
    assert str(found) == str(expected)


def test_a_set_on_disk_is_the_one_in_memory(tmp_path, frames, monkeypatch):
    del frames[7].calc.results["energy"]
    write(tmp_path / "a.xyz", frames)
    expected = Dataset.read(tmp_path / "a.xyz", reporter=QUIET)
    monkeypatch.setattr(kept, "MEMORY", 3 * kept.OF_STRUCTURE)
    found = Dataset.read(tmp_path / "a.xyz", reporter=QUIET)
    assert found[0] is found[0]
    assert found[8] is not found[8]  # read anew
    same(found, expected)
    with monkeypatch.context() as patch:
        patch.setattr(scratch.Scratch, "read", None)  # facts are in memory
        counts = {"energy": {"calculator": 8}, "forces": {"calculator": 9}, "stress": {"calculator": 9}}
        assert found.counts_by_source() == counts
        assert [found.count(label) for label in counts] == [8, 9, 9]
        assert (found.n_atoms, found.elements, found.groups) == (72, ["Si"], ["even", "odd"])
        assert "9 structures, 72 atoms: 8 energies, 9 forces, 9 stresses" in found.summary()
    same(found[::-2], expected[::-2])
    same(found[2:][3:], expected[2:][3:])
    same(found.chosen([7, 0, 7]), expected.chosen([7, 0, 7]))
    for part, known in zip(*(d.split(0.3, np.random.default_rng(1)) for d in (found, expected)), strict=True):
        same(part, known)
    same(Dataset(s for s in found), expected)
    same(pickle.loads(pickle.dumps(found)), expected)
    same(copy.deepcopy(found), expected)
    with pytest.raises(IndexError):
        found[9]


def test_structures_that_cannot_be_kept_are_an_error(tmp_path, frames, small_memory, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(Error, match="none: structures cannot be kept here: No such file"):
        Dataset(frames)


def test_no_folder_for_temporary_files_is_an_error(frames, small_memory, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", list)
    with pytest.raises(Error, match="TMPDIR: structures cannot be kept here: No usable temporary directory"):
        Dataset(frames)


def test_predictions_on_disk_are_those_in_memory(frames, tmp_path, monkeypatch):
    """Errors, suspicions and pictures are computed of a few rows at a time, which are in a file."""
    silicon_potential().save(str(tmp_path / "potential"))
    potential = Potential.load(tmp_path / "potential")
    for k in (2, 5):
        frames[k].calc.results.pop("forces")
    several = {}
    for name, in_memory, block in (("memory", 1 << 22, 1 << 17), ("disk", 10, 7)):
        monkeypatch.setattr(scratch, "IN_MEMORY", in_memory)
        for module in (comparison, label_units):
            monkeypatch.setattr(module, "BLOCK", block)
        found = comparison.compare(potential, Dataset(frames), "", QUIET)
        assert (found.force.reference.base.__class__.__name__ == "mmap") == (name == "disk")
        save_distributions(tmp_path / "error_distributions.png", {"train": found})
        save_correlation(tmp_path / "correlation.png", {"train": found})
        picture = (tmp_path / "error_distributions.png").read_bytes() + (tmp_path / "correlation.png").read_bytes()
        several[name] = found, errors.error_table(found), errors.outliers(found), label_units.suspicions(found), picture
    (here, table, outliers, doubts, picture), (there, *others) = several["memory"], several["disk"]
    for kind in ("energy", "force", "stress"):
        one, other = getattr(here, kind), getattr(there, kind)
        assert np.array_equal(one.reference, other.reference)
        assert np.array_equal(one.predicted, other.predicted)
        assert np.array_equal(one.structure, other.structure)
        e = one.errors
        assert_close(
            [table[f"{kind}_{name}"] for name in ("rmse", "mae", "max")],
            [np.sqrt(np.mean(e**2)), np.mean(np.abs(e)), np.max(np.abs(e))],
            1e-12,
        )
        for i in range(9):
            assert np.array_equal(other.of(i).predicted, one.predicted[one.structure == i])
    assert_close(flat(others[0]), flat(table), 1e-12)
    assert [row[:3] for row in others[1]] == [row[:3] for row in outliers]
    assert [d["sentence"] for d in others[2]] == [d["sentence"] for d in doubts]
    assert others[3] == picture


def flat(table):
    """Return the numbers of a table of errors."""
    return [x for value in table.values() for x in (flat(value) if isinstance(value, dict) else [value])]


def test_distances_on_disk_are_those_in_memory(frames, monkeypatch):
    expected = nearest_distances(Dataset(frames), ["Si"])
    monkeypatch.setattr(scratch, "IN_MEMORY", 10)
    assert np.array_equal(nearest_distances(Dataset(frames), ["Si"]), expected)


ROWS = "2\nProperties=species:S:1:pos:R:3 note=\u00e9\nSi 0 0 0\nSi 0 0 2.4\n"
PLAIN = "2\n\nSi 0 0 0\nSi 0 0 2.4\n"


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        (ROWS * 3, True),
        (PLAIN + ROWS, True),
        (ROWS + PLAIN.replace("2.4", "2.4 7"), True),
        (PLAIN.replace("0 2.4", "0 2.4 7") + ROWS, True),
        (ROWS + ROWS.replace("2.4", "2.4D0"), True),
        (ROWS + ROWS.replace("2.4", "2.4 1") + ROWS.replace("2.4", ""), True),
        (ROWS + ROWS.replace("R:3", "R:x"), True),
        ((ROWS + PLAIN).replace("\n", "\r\n"), True),
        ((ROWS * 2)[:-1], True),
        ("\ufeff" + ROWS, False),
        ("\n" + ROWS, False),
        (ROWS + "\n", False),
        (ROWS + "\n" + ROWS, False),
        (ROWS + "3\n" + PLAIN[2:], False),
        (ROWS + "x\n", False),
        ("", False),
    ],
)
def test_the_parts_of_a_file_are_the_whole(tmp_path, text, divided):
    """A rank that reads some structures of extended XYZ finds in them what a reader of the whole file finds."""
    path = str(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").write_bytes(text.encode())
    places = readers._places(path)
    assert (places is not None) == divided
    if places is None:
        return
    assert b"".join(place.content(path) for place in places) == text.encode()
    assert [place.text(path) for place in places] == [*readers._texts(path)]

    def found(check):
        try:
            return check()
        except Error as error:
            return str(error)

    def whole():
        with Path(path).open("rb") as file:
            return readers._check_frames(path, file)

    def parts():
        each = [readers._checked(None, (path, place)) for place in places]
        return all(clean for clean, _ in each), any(unnamed for _, unnamed in each)

    assert found(parts) == found(whole)
