"""Features and their derivatives in files: computed once and read by every run on the same structures, when they are
needed, so that they may be larger than the memory. They are read, not mapped to memory, where a file that is cut short
would end the process.

A file is named after a hash of all that its content depends on, so it cannot be out of date. It appears whole or not
at all, and is not used unless its checksums are right.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

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

# Of the files; also to be raised with any change of the values or of the order of the derivatives.
FORMAT = 1

HEAD = 4096  # bytes of JSON at the beginning
ALIGNMENT = 64  # of each array, bytes
BLOCK = 1 << 20  # bytes that are checked at once


@dataclass(frozen=True, slots=True, eq=False)
class StoredFeatures:
    """Content of a file.

    Attributes
    ----------
    file
        Open for reading.
    counts
        Number of derivatives of each structure [structures].
    ends
        Number of derivatives before each structure and of all [structures + 1].
    places
        Where counts, features and derivatives begin, bytes.
    atoms, width
        Of all structures, and functions of an atom.
    """

    file: _core.StoredFile
    counts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    places: tuple[int, int, int]
    atoms: int
    width: int

    def part(self, structures: slice, atoms: slice) -> tuple[Floats, _core.StoredFile, int, list[int]]:
        """Of successive structures, which have these atoms: features, where their derivatives are, and counts."""
        row = 8 * self.width
        content = self.file.read(self.places[1] + atoms.start * row, (atoms.stop - atoms.start) * row)
        features = np.frombuffer(content, "<f8").reshape(-1, self.width)
        offset = self.places[2] + 4 * int(self.ends[structures.start])
        return features, self.file, offset, self.counts[structures].tolist()


def content_key(data: Dataset, functions: SymmetryFunctions) -> str:
    """SHA-256 of species, positions and cells, of the exact parameters of the functions, and of versions."""
    core = functions.core
    every = [[getattr(f, name) for name in PARAMETERS] for element in functions.elements for f in functions.of(element)]
    made_by = [FORMAT, version("sitewise"), _core.info()["instruction_set"]]
    text = json.dumps([*made_by, functions.elements, core.cutoff_type, core.alpha, every, data.hash(labels=False)])
    return hashlib.sha256(text.encode()).hexdigest()


def write_features(path: Path, sizes: tuple[int, int, int], parts: Iterable[tuple[Floats, Floats32]]) -> None:
    """Writes a file while its content is computed, one structure at a time.

    Parameters
    ----------
    path
        Of the file.
    sizes
        Structures, atoms, and functions of an atom.
    parts
        Features and derivatives of each structure.
    """
    counts = np.zeros(sizes[0], dtype=np.int64)
    sums = [0, 0, 0]
    places = _places(*sizes)
    with atomic(path) as temporary, temporary.open("r+b") as file, temporary.open("r+b") as behind:
        file.seek(places[1])
        behind.seek(places[2])
        for i, (features, derivatives) in enumerate(parts):
            counts[i] = derivatives.size
            for k, target, array in ((1, file, features), (2, behind, derivatives)):
                sums[k] = zlib.crc32(array.data, sums[k])
                target.write(array.data)
        behind.truncate()
        file.seek(places[0])
        file.write(counts.data)
        sums[0] = zlib.crc32(counts.data)
        head = {"sizes": sizes, "derivatives": int(counts.sum()), "crc32": sums}
        file.seek(0)
        file.write(json.dumps(head).encode().ljust(HEAD))


def read_features(path: Path, sizes: tuple[int, int, int], reporter: Reporter) -> StoredFeatures | None:
    """Opens a file; returns None if there is none, or if it is damaged, which the reporter says."""
    if not path.exists():
        return None
    try:
        stored, sums = _open(path, sizes)
        _check(stored, sums, path, reporter)
    except (Error, OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        reporter.say(f"{path}: is damaged ({printable(error, 300)}), its features are computed anew")
        return None
    return stored


def _open(path: Path, sizes: tuple[int, int, int]) -> tuple[StoredFeatures, list[int]]:
    """A file and its checksums."""
    file = _core.StoredFile(str(path))
    head: dict[str, Any] = json.loads(file.read(0, HEAD))
    total, places = int(head["derivatives"]), _places(*sizes)
    if head["sizes"] != list(sizes):
        raise ValueError(f"its sizes are {head['sizes']}, expected {list(sizes)}")
    length = places[2] + 4 * total
    if file.size != length:
        raise ValueError(f"its length is {file.size}, expected {length}")
    counts = np.frombuffer(file.read(places[0], 8 * sizes[0]), "<i8")
    if counts.sum() != total or counts.min(initial=0) < 0:
        raise ValueError("its counts do not fit")
    return StoredFeatures(file, counts, np.concatenate([[0], np.cumsum(counts)]), places, *sizes[1:]), head["crc32"]


def _check(stored: StoredFeatures, sums: Sequence[int], path: Path, reporter: Reporter) -> None:
    """Reads all of a file, which may be larger than the memory."""
    file, places = stored.file, stored.places
    ends = places[0] + stored.counts.nbytes, places[1] + 8 * stored.atoms * stored.width, file.size
    with reporter.task(f"checking {path.name[:8]}", file.size, lines=True) as advance:
        for begin, end, expected in zip(places, ends, sums, strict=True):
            found = 0
            for first in range(begin, end, BLOCK):
                block = file.read(first, min(BLOCK, end - first))
                found = zlib.crc32(block, found)
                advance(len(block))
            if found != expected:
                raise ValueError("a checksum is wrong")


def _places(structures: int, atoms: int, width: int) -> tuple[int, int, int]:
    """Where counts, features and derivatives begin."""
    features = _aligned(HEAD + 8 * structures)
    return HEAD, features, _aligned(features + 8 * atoms * width)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
