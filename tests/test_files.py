"""Files appear whole or not at all."""

import os
import stat

import pytest

from sitewise import Error
from sitewise.files import atomic, write_text


def test_text_comes_whole_with_ordinary_permissions(tmp_path):
    write_text(tmp_path / "a.txt", "Å\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Å\n"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    write_text(tmp_path / "a.txt", "old")

    def fail():
        with atomic(tmp_path / "a.txt") as temporary:
            assert temporary.suffix == ".txt"
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_missing_folder(tmp_path):
    with pytest.raises(Error, match=r"absent/a.txt: cannot be written: No such file or directory"):
        write_text(tmp_path / "absent" / "a.txt", "")


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(Error, match=r"a.txt: cannot be written"):
        write_text(tmp_path / "a.txt", "")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
