"""A growing sequence of structures, of which only the first are in memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

from ..scratch import Place, Scratch
from ..structures import Structure
from .labels import LABELS

MEMORY = 256e6  # bytes of structures in memory
OF_STRUCTURE, OF_ATOM = 3000, 100  # bytes, about


class Facts(NamedTuple):
    """What is asked of a structure again and again: number of atoms, elements, labels that are known, group, and the
    sources of labels as pairs."""

    atoms: int
    elements: frozenset[str]
    labels: frozenset[str]
    group: str
    sources: tuple[tuple[str, str], ...]


class Live:
    """The `Facts` of a structure in memory, found when they are asked for."""

    def __init__(self, structure: Structure) -> None:
        self._structure = structure
        self.group = structure.group

    @property
    def atoms(self) -> int:
        return len(self._structure.atoms)

    @property
    def elements(self) -> frozenset[str]:
        return frozenset(self._structure.atoms.get_chemical_symbols())

    @property
    def labels(self) -> frozenset[str]:
        return frozenset(label for label in LABELS if getattr(self._structure, label) is not None)

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._structure.sources.items())

    def all(self) -> Facts:
        """Return what is known now."""
        return Facts(self.atoms, self.elements, self.labels, self.group, self.sources)


class Filed(NamedTuple):
    """A structure in the file."""

    place: Place
    facts: Facts


class Kept(Sequence[Structure]):
    """Structures in memory up to MEMORY, and beyond it in an unnamed temporary file that no other process can open.

    Parameters
    ----------
    structures
        The first ones.
    """

    def __init__(self, structures: Iterable[Structure] = ()) -> None:
        self._items: list[Structure | Filed] = []
        self._facts: dict[Facts, Facts] = {}  # structures that are alike share them
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
        if self._memory <= MEMORY:
            self._items.append(structure)
            return
        facts = Live(structure).all()
        place = self._file.append(pickle.dumps(structure, pickle.HIGHEST_PROTOCOL))
        self._items.append(Filed(place, self._facts.setdefault(facts, facts)))

    def facts(self) -> Iterator[Facts | Live]:
        """Yield the facts of each structure, without reading the file."""
        return (item.facts if isinstance(item, Filed) else Live(item) for item in self._items)

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
        if not isinstance(item, Filed):
            return item
        structure: Structure = pickle.loads(self._file.read(item.place))
        return structure

    def __len__(self) -> int:
        return len(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (list(self),)

    def _of(self, items: list[Structure | Filed]) -> Kept:
        made = Kept()
        made._items, made._facts, made._memory, made._file = items, self._facts, self._memory, self._file
        return made
