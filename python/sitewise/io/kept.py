"""A growing sequence of structures, of which only the first are in memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Any, overload

from ..scratch import Place, Scratch
from ..structures import Structure

MEMORY = 256e6  # bytes of structures in memory
OF_STRUCTURE, OF_ATOM = 3000, 100  # bytes, about


class Kept(Sequence[Structure]):
    """Structures in memory up to MEMORY, and beyond it in an unnamed temporary file that no other process can open.

    Parameters
    ----------
    structures
        The first ones.
    """

    def __init__(self, structures: Iterable[Structure] = ()) -> None:
        self._items: list[Structure | Place] = []
        self._memory = 0
        self._file = Scratch("structures")
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
        here = self._memory <= MEMORY
        self._items.append(structure if here else self._file.append(pickle.dumps(structure, pickle.HIGHEST_PROTOCOL)))

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
        if not isinstance(item, Place):
            return item
        structure: Structure = pickle.loads(self._file.read(item))
        return structure

    def __len__(self) -> int:
        return len(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (list(self),)

    def _of(self, items: list[Structure | Place]) -> Kept:
        made = Kept()
        made._items, made._memory, made._file = items, self._memory, self._file
        return made
