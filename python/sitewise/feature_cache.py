"""Features and their derivatives in files: computed once, read by every run on the same structures, and mapped to
memory, so that they may be larger than it.

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

from . import _core
from ._core import Error
from .dataset import Dataset
from .files import atomic
from .progress import Reporter
from .structures import Floats, Floats32
from .symmetry import PARAMETERS, SymmetryFunctions

# Of the files; also to be raised with any change of the values or of the order of the derivatives.
FORMAT = 1

HEAD = 4096  # bytes of JSON at the beginning
ALIGNMENT = 64  # of each array, bytes
BLOCK = 1 << 24  # bytes that are checked at once


@dataclass(frozen=True, slots=True, eq=False)
class StoredFeatures:
    """Arrays of a file.

    Attributes
    ----------
    counts
        Number of derivatives of each structure [structures].
    ends
        Number of derivatives before each structure and of all [structures + 1].
    features
        Raw G of the atoms of all structures [atoms, max_count].
    derivatives
        Of all structures, one behind the other, as `_core.TrainingSet.derivatives` gives them.
    """

    counts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    features: Floats
    derivatives: Floats32

    def part(self, structures: slice, atoms: slice) -> tuple[Floats, Floats32, list[int]]:
        """Features, derivatives and counts of successive structures, which have these atoms."""
        first, last = self.ends[structures.start], self.ends[structures.stop]
        return self.features[atoms], self.derivatives[first:last], self.counts[structures].tolist()


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
    """Maps a file to memory; None where there is none, or it is damaged, which the reporter is told."""
    if not path.exists():
        return None
    try:
        stored, sums = _map(path, sizes)
        _check([stored.counts, stored.features, stored.derivatives], sums, path, reporter)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reporter.say(f"{path}: is damaged ({error}), its features are computed anew")
        return None
    return stored


def make_folder(folder: Path) -> None:
    """Makes the folder of the files; Error where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Error(f"{folder}: cannot be made: {error.strerror}") from None


def _map(path: Path, sizes: tuple[int, int, int]) -> tuple[StoredFeatures, list[int]]:
    """The arrays of a file and their checksums."""
    with path.open("rb") as file:
        head: dict[str, Any] = json.loads(file.read(HEAD))
    structures, atoms, width = sizes
    total, places = int(head["derivatives"]), _places(*sizes)
    if head["sizes"] != list(sizes):
        raise ValueError(f"its sizes are {head['sizes']}, expected {list(sizes)}")
    length = places[2] + 4 * total
    if path.stat().st_size != length:
        raise ValueError(f"its length is {path.stat().st_size}, expected {length}")
    counts = np.memmap(path, "<i8", "r", places[0], (structures,))
    features = np.memmap(path, "<f8", "r", places[1], (atoms, width))
    derivatives = np.memmap(path, "<f4", "r", places[2], (total,)) if total else np.empty(0, np.float32)
    if counts.sum() != total:
        raise ValueError("its counts do not fit")
    return StoredFeatures(counts, np.concatenate([[0], np.cumsum(counts)]), features, derivatives), head["crc32"]


def _check(arrays: Sequence[npt.NDArray[Any]], sums: Sequence[int], path: Path, reporter: Reporter) -> None:
    """Reads all of a file, which may be larger than the memory."""
    with reporter.task(f"checking {path.name[:8]}", sum(a.nbytes for a in arrays), lines=True) as advance:
        for array, expected in zip(arrays, sums, strict=True):
            found, content = 0, array.reshape(-1).view(np.uint8)
            for first in range(0, content.size, BLOCK):
                block = content[first : first + BLOCK]
                found = zlib.crc32(block.data, found)
                advance(block.size)
            if found != expected:
                raise ValueError("a checksum is wrong")


def _places(structures: int, atoms: int, width: int) -> tuple[int, int, int]:
    """Where counts, features and derivatives begin."""
    features = _aligned(HEAD + 8 * structures)
    return HEAD, features, _aligned(features + 8 * atoms * width)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
