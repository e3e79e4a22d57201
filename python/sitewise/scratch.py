"""What is too large for the memory: bytes and columns of numbers in unnamed temporary files."""

from __future__ import annotations

import mmap
import os
import tempfile
from array import array
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._core import Error

IN_MEMORY = 1 << 22  # numbers of a column


class Place(NamedTuple):
    """Where bytes are in a file."""

    offset: int
    size: int


class Scratch:
    """A temporary file without a name; it is made when it is first written to, and gone with its last user.

    `tempfile.TemporaryFile` warns if it is left to the garbage collector, as the users of this one do.

    Parameters
    ----------
    what
        What the file holds, for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._handle = -1
        self.size = 0
        """Bytes."""

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def append(self, content: bytes | memoryview) -> Place:
        """Write bytes at the end.

        Raises
        ------
        Error
            The file cannot be written.
        """
        place = Place(self.size, len(content))
        content = memoryview(content)
        try:
            if self._handle < 0:
                self._handle, name = tempfile.mkstemp()
                Path(name).unlink()
            while self.size < place.offset + place.size:
                self.size += os.pwrite(self._handle, content[self.size - place.offset :], self.size)
        except OSError as error:
            folder, why = tempfile.tempdir or "TMPDIR", error.strerror
            raise Error(f"{folder}: {self._what} cannot be kept here: {why}; set TMPDIR to another folder") from None
        return place

    def read(self, place: Place) -> bytes:
        """Return bytes that were written."""
        return os.pread(self._handle, place.size, place.offset)

    def mapped(self) -> mmap.mmap:
        """Return all bytes as memory that the system reads when it is looked at; the file stays as long as this."""
        return mmap.mmap(self._handle, self.size, access=mmap.ACCESS_READ)


class Column:
    """Numbers that are appended to; beyond IN_MEMORY they are in a file.

    Parameters
    ----------
    kind
        Their type, as a code of `array`.
    what
        What they are, for messages.
    """

    def __init__(self, kind: str, what: str) -> None:
        self._kind, self._file = kind, Scratch(what)
        self._here = array(kind)  # grows in place, where a list of arrays would be in memory twice

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add numbers of the type of the column."""
        self._here.frombytes(values.tobytes())
        if len(self._here) > IN_MEMORY:
            self._put_away()

    def whole(self) -> npt.NDArray[Any]:
        """Return all numbers; none may be appended afterwards."""
        if not self._file.size:
            return np.asarray(self._here)
        self._put_away()
        count = self._file.size // self._here.itemsize
        whole: npt.NDArray[Any] = np.ndarray((count,), dtype=self._kind, buffer=self._file.mapped())
        return whole

    def _put_away(self) -> None:
        if self._here:
            self._file.append(memoryview(self._here).cast("B"))
            self._here = array(self._kind)


def release(values: npt.NDArray[Any] | None) -> None:
    """Give back the memory of numbers of a `Column` that are in a file, until they are looked at again."""
    owner = None if values is None else values.base
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)
