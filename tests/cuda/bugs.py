"""Bugs of the kinds that kernels have, planted in copies of our own kernels, and the layer that must find them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from toolkit import ROOT


@dataclass(frozen=True)
class Bug:
    """A bug: `old` in a file of cuda/ becomes `new`; `old` must be in the file once."""

    name: str
    file: str
    old: str
    new: str

    def plant(self, folder: Path) -> Path:
        """Write the file with the bug into the folder. Raise ValueError if the text is not in the file.

        Line breaks do not matter.
        """
        text = (ROOT / "cuda" / self.file).read_text()
        planted, times = re.subn(r"\s+".join(map(re.escape, self.old.split())), lambda _: self.new, text)
        if times != 1:
            raise ValueError(f'bug "{self.name}": cuda/{self.file} has its text {times} times, expected 1')
        target = folder / self.file
        target.write_text(planted)
        return target


BUGS = [
    Bug(
        "missing __syncthreads, sum over a block",
        "forces.cu",
        "__syncthreads(); if (t < half)",
        "if (t < half)",
    ),
    Bug(
        "missing __syncthreads before shared memory is written again",
        "network.cu",
        "__syncthreads(); stage<",
        "stage<",
    ),
    Bug(
        "missing __syncwarp between the rows of pairs that add to the same neighbours",
        "symmetry.cu",
        "add_gradient(k, of_k); __syncwarp();",
        "add_gradient(k, of_k);",
    ),
    Bug(
        "++ for atomicAdd",
        "neighbors.cu",
        "atomicAdd(&s.first[s.bin[i]], 1);",
        "++s.first[s.bin[i]];",
    ),
    Bug(
        "global memory out of bounds by one",
        "symmetry.cu",
        "q < op.end; q += warp_size) gx[q]",
        "q <= op.end; q += warp_size) gx[q]",
    ),
    Bug(
        "shared memory out of bounds",
        "scan.cu",
        "if (lane == warp_size - 1) of_warp[warp] = sum;",
        "if (lane == warp_size - 1) of_warp[warp + 1] = sum;",
    ),
    Bug(
        "divergent barrier: return before __syncthreads",
        "scan.cu",
        "__syncthreads(); int before = 0",
        "if (i >= n) return; __syncthreads(); int before = 0",
    ),
]
