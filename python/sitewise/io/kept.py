"""A growing sequence of structures, of which only the first are in memory."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

from .._core import Error
from ..structures import Structure

MEMORY = 256e6  # bytes of structures in memory
OF_STRUCTURE, OF_ATOM = 3000, 100  # bytes, about


class _Place(NamedTuple):
    """Where a structure is in the file, bytes."""

    offset: int
    size: int


class Kept(Sequence[Structure]):
    """Structures in memory up to MEMORY, and beyond it in an unnamed temporary file that no other process can open.

    Parameters
    ----------
    structures
        The first ones.
    """

    def __init__(self, structures: Iterable[Structure] = ()) -> None:
        self._items: list[Structure | _Place] = []
        self._memory = 0
        self._file = _File()
        for structure in structures:
            self.append(structure)

    def append(self, structure: Structure) -> None:
        """Add a structure.

        Raises
        ------
        Error
            The temporary file cannot be written.
        """
        self._memory += OF_STRUCTURE + OF_ATOM * len(structure.atoms)
        self._items.append(structure if self._memory <= MEMORY else self._file.write(structure))

    def chosen(self, places: Iterable[int]) -> Kept:
        """Return the structures at some places."""
        return self._of([self._items[i] for i in places])

    @overload
    def __getitem__(self, index: int) -> Structure: ...
    @overload
    def __getitem__(self, index: slice) -> Kept: ...
    def __getitem__(self, index: int | slice) -> Structure | Kept:
        if isinstance(index, slice):
            return self._of(self._items[index])
        item = self._items[index]
        return self._file.read(item) if isinstance(item, _Place) else item

    def __len__(self) -> int:
        return len(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (list(self),)

    def _of(self, items: list[Structure | _Place]) -> Kept:
        made = Kept()
        made._items, made._memory, made._file = items, self._memory, self._file
        return made


class _File:
    """The temporary file; it is made when it is first written to, and gone with its last user.

    `tempfile.TemporaryFile` warns if it is left to the garbage collector, as the users of this one do.
    """

    def __init__(self) -> None:
        self._handle = -1
        self._end = 0

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def write(self, structure: Structure) -> _Place:
        content = memoryview(pickle.dumps(structure, protocol=pickle.HIGHEST_PROTOCOL))
        place = _Place(self._end, len(content))
        try:
            if self._handle < 0:
                self._handle, name = tempfile.mkstemp()
                Path(name).unlink()
            while self._end < place.offset + place.size:
                self._end += os.pwrite(self._handle, content[self._end - place.offset :], self._end)
        except OSError as error:
            folder, why = tempfile.tempdir or "TMPDIR", error.strerror
            raise Error(f"{folder}: structures cannot be kept here: {why}; set TMPDIR to another folder") from None
        return place

    def read(self, place: _Place) -> Structure:
        structure: Structure = pickle.loads(os.pread(self._handle, place.size, place.offset))
        return structure
