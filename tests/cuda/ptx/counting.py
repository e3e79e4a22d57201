"""Operations and bytes of a launch, by class."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from .parser import Block, Instruction

_FLOATING = {"add": "add", "sub": "add", "mul": "mul", "fma": "fma", "div": "div", "sqrt": "sqrt"}
_SPECIAL = {"rcp", "rsqrt", "ex2", "lg2", "sin", "cos", "tanh"}
_COMPARING = {"min", "max", "abs", "neg", "setp", "selp", "copysign"}
_MEMORY = {"ld", "ldu", "st", "atom", "red"}
_CONTROL = {"bra", "brx", "ret", "exit", "call"}
_WARP = {"shfl", "vote", "redux", "match"}


def classify(i: Instruction) -> str:
    """The class of an instruction, such as "f64 fma"; "" for those that access memory."""
    kind = i.modifiers[-1] if i.modifiers else ""
    if i.name in _MEMORY:
        return ""
    if i.name in _WARP or (i.name == "bar" and "warp" in i.modifiers):
        return "warp operation"
    if i.name in ("bar", "barrier"):
        return "barrier"
    if i.name in _CONTROL:
        return "control"
    if kind in ("f32", "f64"):
        for operations, name in ((_SPECIAL, "special"), (_FLOATING, _FLOATING.get(i.name)), (_COMPARING, "other")):
            if i.name in operations:
                return f"{kind} {name}"
    if i.name == "cvt" and any(m in ("f32", "f64") for m in i.modifiers):
        return "conversion"
    return "integer"


@dataclass
class Counts:
    """Of all threads of one or more launches; divergent code counts for the threads that run it."""

    threads: Counter[str] = field(default_factory=Counter)  # instructions of threads, by class
    warps: Counter[str] = field(default_factory=Counter)  # instructions of warps, whole or not
    bytes: Counter[str] = field(default_factory=Counter)  # asked for by threads, by class of access
    global_read: int = 0  # bytes of global memory that were read at all, each once
    global_written: int = 0

    def add(self, other: Counts, times: int = 1) -> None:
        for mine, theirs in ((self.threads, other.threads), (self.warps, other.warps), (self.bytes, other.bytes)):
            for name, value in theirs.items():
                mine[name] += times * value
        self.global_read += times * other.global_read
        self.global_written += times * other.global_written

    def block(self, block: Block, threads: int, warps: int) -> None:
        """So many executions of a block. Accesses are counted by access()."""
        for instruction in block.instructions:
            name = classify(instruction)
            if name:
                self.threads[name] += threads
                self.warps[name] += warps

    def access(self, name: str, size: int, lanes: np.ndarray) -> None:
        """Of `size` bytes by each of these threads, which are in order."""
        self.threads[name] += lanes.size
        self.warps[name] += count_warps(lanes)
        self.bytes[name] += size * lanes.size

    def flops(self, kind: str) -> int:
        """Operations of threads on "f32" or "f64": a fused one counts 2, division, root and special ones 1."""
        return _operations(self.threads, kind)

    def slots(self, kind: str) -> int:
        """The same with the lanes that are idle in a warp that runs."""
        return 32 * _operations(self.warps, kind)


def count_warps(lanes: np.ndarray) -> int:
    """Of lanes in order."""
    warps = lanes >> 5
    return int(np.count_nonzero(warps[1:] != warps[:-1])) + 1


def _operations(counter: Counter[str], kind: str) -> int:
    names = ("add", "mul", "fma", "fma", "div", "sqrt", "special")
    return sum(counter[f"{kind} {name}"] for name in names)
