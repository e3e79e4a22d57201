"""Runs nvcc's PTX on the CPU: one numpy lane for each CUDA thread, all blocks of a launch together.

A test tool, not an emulator of speed. parse() reads PTX into basic blocks, each of which is translated once into a
Python function over the arrays of its lanes (translate.py); a Launch (launch.py) lets the lanes of the lowest basic
block go first, so that a warp's threads meet again where they would on a GPU. A Replay (replay.py) does all that a
program asked of the device. An instruction that is not in translate.py or launch.py is refused by name when it is
reached: nothing is skipped.

What is exact: integer arithmetic, float add, mul, fma, div, sqrt and rcp as they are rounded, conversions, shuffles,
votes, atomics (in the order of lanes). What isn't: the approximations (ex2, lg2, sin, cos, tanh, rcp.approx,
rsqrt.approx) are here correct to rounding where hardware has an error of an ulp or two.

What is found besides wrong results: accesses outside of the arrays that cudaMalloc gave and of shared memory,
misaligned ones, reads of memory that nothing was written to, barriers that not all threads of a block reach, warp
operations that name a lane elsewhere, and races: two accesses to a word, one of them a plain write, by threads that no
barrier between them orders (memory.py says how much history is kept).
"""

from .errors import PtxError, Unsupported
from .launch import Launch, forget_translations
from .memory import GlobalMemory
from .parser import Module, parse
from .replay import Download, Replay, host_name

__all__ = [
    "Download",
    "GlobalMemory",
    "Launch",
    "Module",
    "PtxError",
    "Replay",
    "Unsupported",
    "forget_translations",
    "host_name",
    "parse",
]
