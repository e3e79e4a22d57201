"""Memory of the interpreted device: bounds, alignment, what was written before it is read, and races.

Addresses are those that the program under test sees: global memory stands where the host's stand-in for cudaMalloc put
it, shared memory of every block at 0 or, as a generic address, at SHARED, local memory at LOCAL.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .errors import PtxError

# Generic addresses of the spaces; a program's own addresses end below 2^47.
CONSTANTS, PARAM, SHARED, LOCAL = 1 << 50, 1 << 59, 1 << 60, 1 << 61
WORD = 4  # bytes that the search for races tells apart
_MARGIN = 16  # bytes of the arena between allocations; keeps their alignment
NOBODY = -1


_LANE_BITS, _EPOCH_BITS = 24, 20  # of an access: lane, epoch of its block, epoch of its warp
_LANE, _EPOCH = (1 << _LANE_BITS) - 1, (1 << _EPOCH_BITS) - 1


@dataclass
class Order:
    """When threads passed barriers: what happened before what. A thread's number is that of its lane in the launch."""

    warps_of_block: int
    block_epoch: np.ndarray  # [blocks], int64
    warp_epoch: np.ndarray  # [warps of the launch], int64

    def accesses(self, lanes: np.ndarray) -> np.ndarray:
        """A number for what each lane does now, with the barriers that it has passed."""
        warps = lanes >> 5
        epochs = self.block_epoch[warps // self.warps_of_block] | self.warp_epoch[warps] << _EPOCH_BITS
        return lanes | epochs << _LANE_BITS

    def concurrent(self, now: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Whether nothing orders an access of another lane before this one; NOBODY's is ordered."""
        candidates = (before >= 0) & ((now ^ before) & _LANE != 0)
        if not candidates.any():
            return candidates
        warp, other_warp = (now & _LANE) >> 5, (before & _LANE) >> 5
        same_block = warp // self.warps_of_block == other_warp // self.warps_of_block
        same_warp = warp == other_warp
        differs = (now ^ before) >> _LANE_BITS
        ordered = np.where(same_warp, differs >> _EPOCH_BITS != 0, differs & _EPOCH != 0)
        return candidates & ~(same_block & ordered)


class History:
    """Of every word the last write and the last reads by two different threads.

    A race with an older read than those is missed, as are races within a word by smaller accesses; a partial
    __syncwarp counts as one of the whole warp.
    """

    def __init__(self, words: int):
        self.last_write, self.last_read, self.earlier_read = (np.full(words, NOBODY, np.int64) for _ in range(3))
        self.atomic = np.zeros(words, bool)  # whether the last write was

    def read(self, order: Order, words: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """Notes a read; whether each races with a write."""
        now = order.accesses(lanes)
        moved = (self.last_read[words] ^ now) & _LANE != 0
        self.earlier_read[words[moved]] = self.last_read[words[moved]]
        self.last_read[words] = now
        others = self.last_read[words] != now  # several lanes of one instruction read a word
        self.earlier_read[words[others]] = now[others]
        return order.concurrent(now, self.last_write[words])

    def write(self, order: Order, words: np.ndarray, lanes: np.ndarray, atomic: bool = False) -> np.ndarray:
        """Notes a write; whether each races with another access (two atomic ones do not)."""
        now = order.accesses(lanes)
        raced = order.concurrent(now, self.last_read[words]) | order.concurrent(now, self.earlier_read[words])
        written = order.concurrent(now, self.last_write[words])
        raced |= written & ~self.atomic[words] if atomic else written
        self.last_write[words] = now
        if not atomic:
            raced |= self.last_write[words] != now  # another lane of this instruction wrote it, too
        self.atomic[words] = atomic
        return raced


class Arena:
    """Bytes with a record of which were written, as what type, and of who used them."""

    def __init__(self, size: int):
        self.bytes = np.zeros(-(-size // 16) * 16, np.uint8)
        self.written = np.zeros(self.bytes.size, bool)
        self.types = np.full(self.bytes.size, b"u1", "S2")  # of what was last stored there
        self.history = History(self.bytes.size // WORD)

    def load(self, at: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The numbers at these bytes, which are aligned."""
        return self.bytes.view(dtype)[at // dtype.itemsize]

    def store(self, at: np.ndarray, values: np.ndarray) -> None:
        size = values.dtype.itemsize
        self.bytes.view(values.dtype)[at // size] = values
        self.written.view(f"u{size}")[at // size] = int.from_bytes(b"\1" * size, "little")
        self.types.view(f"S{2 * size}")[at // size] = values.dtype.str[1:].encode() * size

    def unwritten(self, at: np.ndarray, size: int) -> np.ndarray:
        """Whether a byte of each of these numbers was never written."""
        return self.written.view(f"u{size}")[at // size] != int.from_bytes(b"\1" * size, "little")


@dataclass(eq=False, repr=False)
class GlobalMemory:
    """What cudaMalloc gave. An arena has all allocations, each at an offset that keeps the alignment to 16 bytes."""

    base: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # addresses, ascending; 0 has no bytes
    size: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    start: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # in the arena
    arena: Arena = field(default_factory=lambda: Arena(_MARGIN))

    def allocate(self, address: int, size: int) -> None:
        if address % 16:
            raise ValueError(f"allocation at {address:#x}, expected a multiple of 16")
        k = int(np.searchsorted(self.base, address))
        start = self.arena.bytes.size
        self.base, self.size, self.start = (
            np.insert(array, k, value)
            for array, value in ((self.base, address), (self.size, size), (self.start, start))
        )
        larger = Arena(start + size + _MARGIN)
        for name in ("bytes", "written", "types"):
            getattr(larger, name)[:start] = getattr(self.arena, name)
        self.arena = larger

    def free(self, address: int) -> None:
        k = self._at(address)
        self.base, self.size, self.start = (np.delete(array, k) for array in (self.base, self.size, self.start))

    def upload(self, address: int, data: np.ndarray) -> None:
        """Bytes from the host."""
        at = self._range(address, data.size)
        self.arena.bytes[at], self.arena.written[at], self.arena.types[at] = data, True, b"u1"

    def fill(self, address: int, value: int, size: int) -> None:
        """cudaMemset"""
        self.upload(address, np.full(size, value, np.uint8))

    def copy(self, address: int, source: int, size: int) -> None:
        """From place to place on the device."""
        to, of = self._range(address, size), self._range(source, size)
        for array in (self.arena.bytes, self.arena.written, self.arena.types):
            array[to] = array[of].copy()

    def download(self, address: int, size: int) -> np.ndarray:
        """Bytes for the host."""
        return self.arena.bytes[self._range(address, size)].copy()

    def types(self, address: int, size: int) -> np.ndarray:
        """[size], for each byte the type of the number that a kernel last stored there, "u1" for the host's."""
        return self.arena.types[self._range(address, size)].copy()

    def locate(self, address: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """(place in the arena, whether the access lies within an allocation) of each address."""
        k = np.searchsorted(self.base, address, side="right") - 1
        offset = address - self.base[k]
        return self.start[k] + offset, (k >= 0) & (offset + size <= self.size[k])

    def forget_accesses(self) -> None:
        """At the start of a launch: all before is ordered before it."""
        self.arena.history = History(self.arena.bytes.size // WORD)

    def _at(self, address: int) -> int:
        k = int(np.searchsorted(self.base, address))
        if k == self.base.size or self.base[k] != address:
            raise ValueError(f"nothing is allocated at {address:#x}")
        return k

    def _range(self, address: int, size: int) -> slice:
        at, inside = self.locate(np.array([address], np.int64), size)
        if not inside[0]:
            raise PtxError(f"the host copies {size} bytes at {address:#x}, which are not all allocated")
        return slice(int(at[0]), int(at[0]) + size)
