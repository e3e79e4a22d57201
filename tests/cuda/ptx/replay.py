"""Runs again what a program asked of the device (hostexec/recorder.hpp), with nvcc's PTX for its kernels.

The program ran the same kernels compiled for the host. Whatever it copied back is compared: floats to rounding, all
else bit by bit. So every kernel that a program launches is tested as nvcc compiled it, with the program's own data.
"""

from __future__ import annotations

import functools
import itertools
import re
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .counting import Counts
from .launch import Launch
from .memory import GlobalMemory
from .parser import Function, Module

HOST_ANONYMOUS = "12_GLOBAL__N_1"  # g++'s name of an anonymous namespace; nvcc's has the file's name in it


@dataclass
class Download:
    """What a program copied from the device, [n] of one type, beside what PTX computed."""

    expected: np.ndarray
    found: np.ndarray
    after: str  # the kernel that was launched before
    single: bool  # whether the kernel for one of two precisions that was launched last was that for float

    def difference(self) -> float:
        """The largest, against the largest magnitude; infinite where integers differ or one side alone is NaN."""
        if self.expected.dtype.kind != "f":
            return 0.0 if np.array_equal(self.expected, self.found) else np.inf
        both = np.stack([self.expected, self.found]).astype(float)
        nan = np.isnan(both)
        if (nan[0] != nan[1]).any():
            return np.inf
        a, b = np.where(nan, 0, both)
        return float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-300))


@dataclass(eq=False, repr=False)
class Replay:
    """`modules` have all kernels of the program."""

    modules: Iterable[Module]
    memory: GlobalMemory = field(default_factory=GlobalMemory)
    counts: dict[str, Counts] = field(default_factory=dict)  # by kernel
    launches: dict[str, int] = field(default_factory=dict)
    single: bool = False
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)  # threads, dynamic shared bytes of a block; last

    def __post_init__(self) -> None:
        self.kernels: dict[str, tuple[Module, Function]] = {}
        for module in self.modules:
            for kernel in module.kernels():
                name = host_name(kernel.name)
                if name in self.kernels:
                    raise ValueError(f"two modules have {name}")
                self.kernels[name] = module, kernel

    def run(self, path: Path) -> Iterator[Download]:
        """Each download of a recording, as far as it is asked for. Raises PtxError where a kernel breaks a rule."""
        last = ""
        for what, arguments in events(path):
            if what == "launch":
                last = self._launch(*arguments)
            elif what == "download":
                yield from (Download(*pair, last, self.single) for pair in self._download(*arguments))
            else:
                getattr(self.memory, what)(*arguments)

    def _launch(self, name: str, grid: tuple, block: tuple, shared: int, arguments: list[bytes]) -> str:
        if name not in self.kernels:
            raise ValueError(f"the PTX has no kernel {name}")
        module, kernel = self.kernels[name]
        counts = Launch(module, self.memory, kernel, grid, block, shared, arguments).run()
        self.counts.setdefault(name, Counts()).add(counts)
        self.launches[name] = self.launches.get(name, 0) + 1
        if precision := re.search(r"[a-z]I([fd])", name):  # its first template argument
            self.single = precision[1] == "f"
        self.shapes[name] = int(np.prod(block)), shared
        return name

    def _download(self, address: int, expected: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pieces of one type, which is that of the instructions that wrote them."""
        found, types = self.memory.download(address, expected.size), self.memory.types(address, expected.size)
        edges = [0, *(np.flatnonzero(types[1:] != types[:-1]) + 1), types.size]
        for start, end in itertools.pairwise(edges):
            dtype = types[start].decode()
            yield expected[start:end].copy().view(dtype), found[start:end].copy().view(dtype)


def events(path: Path) -> Iterator[tuple[str, tuple]]:
    """Names of methods of GlobalMemory or "launch" or "download", and their arguments."""
    with path.open("rb") as file:

        def numbers(n: int) -> tuple[int, ...]:
            return struct.unpack(f"<{n}Q", file.read(8 * n))

        def data(n: int) -> np.ndarray:
            return np.frombuffer(file.read(n), np.uint8)

        while what := file.read(1).decode():
            if what == "L":
                program = file.read(numbers(1)[0]).decode()
                function, base, *shape, shared, count = numbers(10)
                arguments = [file.read(numbers(1)[0]) for _ in range(count)]
                yield "launch", (symbol(program, function, base), shape[:3], shape[3:], shared, arguments)
            elif what in "WR":
                address, size = numbers(2)
                yield {"W": "upload", "R": "download"}[what], (address, data(size))
            else:
                name, n = {"A": ("allocate", 2), "F": ("free", 1), "C": ("copy", 3), "S": ("fill", 3)}[what]
                yield name, numbers(n)


def symbol(program: str, address: int, base: int) -> str:
    """The mangled name of a function at an address of a program or library that is loaded at `base`."""
    table = _symbols(program)
    name = table.get(address - base) or table.get(address)
    if not name:
        raise ValueError(f"{program} has no symbol at {address - base:#x}; was it stripped?")
    return name


@functools.cache
def _symbols(program: str) -> dict[int, str]:
    output = subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in output.splitlines())
    return {int(row[0], 16): row[2] for row in rows if len(row) == 3 and row[1] in "tTwW"}


def host_name(name: str) -> str:
    """g++'s name of a kernel from nvcc's."""
    while match := re.search(r"(\d+)_GLOBAL__N__", name):
        length = int(match[1])
        name = name[: match.start()] + HOST_ANONYMOUS + name[match.end(1) + length :]
    return name
