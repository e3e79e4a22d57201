"""Sets of structures beyond the memory: kept on disk, and shared among ranks."""

import copy
import pickle

import numpy as np
import pytest
from ase.io import write

from checks import silicon_frames
from sitewise import Dataset, Error
from sitewise.io import kept
from sitewise.progress import Reporter

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
    assert [s.atoms.info for s in found] == [s.atoms.info for s in expected]
    assert str(found) == str(expected)


def test_a_set_on_disk_is_the_one_in_memory(tmp_path, frames, monkeypatch):
    write(tmp_path / "a.xyz", frames)
    expected = Dataset.read(tmp_path / "a.xyz", reporter=QUIET)
    monkeypatch.setattr(kept, "MEMORY", 3 * kept.OF_STRUCTURE)
    found = Dataset.read(tmp_path / "a.xyz", reporter=QUIET)
    assert found[0] is found[0]
    assert found[8] is not found[8]  # read anew
    same(found, expected)
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
