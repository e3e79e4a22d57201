"""Features and their derivatives in files.

They are computed once, and every run on the same structures reads them when it needs them, so they may be larger than
the memory. The files are not mapped to memory: a mapped file that is cut short ends the process.

A file is named after a hash of all that its content depends on, so it cannot be out of date. It appears whole or not
at all, and is used only if its checksums are right.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from .._core import Error
from ..files import atomic
from ..io.dataset import Dataset
from ..progress import Reporter
from ..structures import Floats, Floats32
from ..symmetry import PARAMETERS, SymmetryFunctions
from ..text import printable

FORMAT = 1  # of the files; raise it also with any change of the values or of the order of the derivatives

HEAD = 4096  # bytes of JSON at the beginning
ALIGNMENT = 64  # of each array, bytes
BLOCK = 1 << 20  # bytes that are checked at once


class Sizes(NamedTuple):
    """Numbers of structures, of their atoms, and of functions of an atom."""

    structures: int
    atoms: int
    width: int


class Places(NamedTuple):
    """Where the arrays of a file begin, bytes."""

    counts: int
    features: int
    derivatives: int

    @classmethod
    def of(cls, sizes: Sizes) -> Places:
        features = _aligned(HEAD + 8 * sizes.structures)
        return cls(HEAD, features, _aligned(features + 8 * sizes.atoms * sizes.width))


class StoredPart(NamedTuple):
    """What is stored of successive structures, as `_core.TrainingSet.add` takes it.

    Attributes
    ----------
    features
        Values of the functions [atoms, width].
    file, offset
        Where the derivatives are: the file, and the place in it, bytes.
    counts
        Number of derivatives of each structure.
    """

    features: Floats
    file: _core.StoredFile
    offset: int
    counts: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class StoredFeatures:
    """Content of a file.

    Attributes
    ----------
    file
        Open for reading.
    sizes, places
        Sizes and beginnings of its arrays.
    counts
        Number of derivatives of each structure [structures].
    ends
        Number of derivatives before each structure and of all [structures + 1].
    """

    file: _core.StoredFile
    sizes: Sizes
    places: Places
    counts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def part(self, structures: slice, atoms: slice) -> StoredPart:
        """Read the features of successive structures, which have these atoms."""
        width = self.sizes.width
        row = 8 * width
        content = self.file.read(self.places.features + atoms.start * row, (atoms.stop - atoms.start) * row)
        features = np.frombuffer(content, "<f8").reshape(-1, width)
        offset = self.places.derivatives + 4 * int(self.ends[structures.start])
        return StoredPart(features, self.file, offset, self.counts[structures].tolist())


def content_key(data: Dataset, functions: SymmetryFunctions) -> str:
    """Return the SHA-256 of species, positions and cells, of the exact parameters of the functions, and of versions."""
    core = functions.core
    every = [[getattr(f, name) for name in PARAMETERS] for element in functions.elements for f in functions.of(element)]
    made_by = [FORMAT, version("sitewise"), _core.info()["instruction_set"]]
    text = json.dumps([*made_by, functions.elements, core.cutoff_type, core.alpha, every, data.hash(labels=False)])
    return hashlib.sha256(text.encode()).hexdigest()


def write_features(path: Path, sizes: Sizes, parts: Iterable[tuple[Floats, Floats32]]) -> None:
    """Write a file while its content is computed, one structure at a time.

    Parameters
    ----------
    path
        The file.
    sizes
        Sizes of its arrays.
    parts
        Features [atoms, width] and derivatives of each structure.
    """
    counts = np.zeros(sizes.structures, dtype=np.int64)
    sums = [0, 0, 0]
    places = Places.of(sizes)
    with atomic(path) as temporary, temporary.open("r+b") as file, temporary.open("r+b") as behind:
        file.seek(places.features)
        behind.seek(places.derivatives)
        for i, (features, derivatives) in enumerate(parts):
            counts[i] = derivatives.size
            for k, target, array in ((1, file, features), (2, behind, derivatives)):
                sums[k] = zlib.crc32(array.data, sums[k])
                target.write(array.data)
        behind.truncate()
        file.seek(places.counts)
        file.write(counts.data)
        sums[0] = zlib.crc32(counts.data)
        head = {"sizes": sizes, "derivatives": int(counts.sum()), "crc32": sums}
        file.seek(0)
        file.write(json.dumps(head).encode().ljust(HEAD))


def read_features(path: Path, sizes: Sizes, reporter: Reporter) -> StoredFeatures | None:
    """Open a file; return None if there is none, or if it is damaged, which the reporter says."""
    if not path.exists():
        return None
    try:
        stored, sums = _open(path, sizes)
        _check(stored, sums, path, reporter)
    except (Error, OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        reporter.say(f"{path}: is damaged ({printable(error, 300)}), its features are computed anew")
        return None
    return stored


def _open(path: Path, sizes: Sizes) -> tuple[StoredFeatures, list[int]]:
    """Return a file and its checksums."""
    file = _core.StoredFile(str(path))
    head: dict[str, Any] = json.loads(file.read(0, HEAD))
    total, places = int(head["derivatives"]), Places.of(sizes)
    if head["sizes"] != list(sizes):
        raise ValueError(f"its sizes are {head['sizes']}, expected {list(sizes)}")
    length = places.derivatives + 4 * total
    if file.size != length:
        raise ValueError(f"its length is {file.size}, expected {length}")
    counts = np.frombuffer(file.read(places.counts, 8 * sizes.structures), "<i8")
    if counts.sum() != total or counts.min(initial=0) < 0:
        raise ValueError("its counts do not fit")
    ends = np.concatenate([[0], np.cumsum(counts)])
    return StoredFeatures(file, sizes, places, counts, ends), head["crc32"]


def _check(stored: StoredFeatures, sums: Sequence[int], path: Path, reporter: Reporter) -> None:
    """Read all of a file, which may be larger than the memory; raise ValueError where a checksum is wrong."""
    file, places, sizes = stored.file, stored.places, stored.sizes
    ends = places.counts + stored.counts.nbytes, places.features + 8 * sizes.atoms * sizes.width, file.size
    with reporter.task(f"checking {path.name[:8]}", file.size, lines=True) as advance:
        for begin, end, expected in zip(places, ends, sums, strict=True):
            found = 0
            for first in range(begin, end, BLOCK):
                block = file.read(first, min(BLOCK, end - first))
                found = zlib.crc32(block, found)
                advance(len(block))
            if found != expected:
                raise ValueError("a checksum is wrong")


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
