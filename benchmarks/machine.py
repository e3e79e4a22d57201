"""What one core can do at best: floating point operations and memory traffic, to compare kernels with.

    python benchmarks/machine.py [--core 0] [--repeats 5] [--json FILE]

Operations are those of matrix products of numpy's BLAS, 2 n^3 for n x n matrices, the nearest that Python comes to
the peak of fused multiply-adds. Traffic is that of a = b + c, which reads two arrays and writes one as STREAM's triad
does, counted as 3 arrays: in arrays that fill half of the second-level cache, and in arrays four times as large as the
last-level cache together. The best of all repetitions counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

# isort: split
import common  # before numpy

# isort: split
import numpy as np

SIZE = 1500  # of the matrices
LINE = 64  # bytes
CACHES = {2: 2**21, 3: 2**26}  # bytes, where the system does not tell
UNITS = {
    "float64_gflops": "Gflop/s, float64 matrix product",
    "float32_gflops": "Gflop/s, float32 matrix product",
    "l2_gb_per_s": "GB/s, a = b + c in the second-level cache",
    "memory_gb_per_s": "GB/s, a = b + c in memory",
}


def measure(repeats: int = 5) -> dict[str, float]:
    """The keys of UNITS, and the bytes of the caches."""
    caches = {level: cache_bytes(level) for level in CACHES}
    large = min(4 * max(caches.values()), memory_bytes() // 2)
    return {
        "float64_gflops": gflops(np.float64, repeats),
        "float32_gflops": gflops(np.float32, repeats),
        "l2_gb_per_s": bandwidth(caches[2] // 2, repeats),
        "memory_gb_per_s": bandwidth(large, repeats),
        "l2_bytes": caches[2],
        "last_level_bytes": max(caches.values()),
    }


def gflops(dtype: type, repeats: int) -> float:
    """Of a matrix product."""
    a, b = (np.random.default_rng(seed).random((SIZE, SIZE)).astype(dtype) for seed in (0, 1))
    out = np.empty_like(a)
    return 2 * SIZE**3 / best(lambda: np.matmul(a, b, out=out), repeats) / 1e9


def bandwidth(total: int, repeats: int) -> float:
    """GB/s of a = b + c with three arrays of `total` bytes together."""
    a, b, c = (aligned(total // 24) for _ in range(3))
    passes = max(1, 10**8 // total)

    def work() -> None:
        for _ in range(passes):
            np.add(b, c, out=a)

    return 3 * a.nbytes * passes / best(work, repeats) / 1e9


def aligned(size: int) -> np.ndarray:
    """Ones, from a cache line's start on, since vectors that straddle two lines take twice the time."""
    memory = np.ones(size + LINE // 8)
    first = -memory.ctypes.data % LINE // 8
    return memory[first : first + size]


def best(work: Callable[[], object], repeats: int) -> float:
    """Least CPU seconds of a call, after one that warms up."""
    work()
    return min(common.cpu_seconds(work) for _ in range(repeats))


def cache_bytes(level: int) -> int:
    """Of the data cache of a level, from Linux, or a usual size."""
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            number, kind = ((folder / name).read_text().strip() for name in ("level", "type"))
            size = (folder / "size").read_text().strip()
        except OSError:
            continue
        if number == str(level) and kind != "Instruction" and size.endswith("K"):
            return int(size[:-1]) * 1024
    return CACHES[level]


def memory_bytes() -> int:
    """That are free, as Linux tells, or 2 GB."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 2 * 10**9
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 2 * 10**9)


def show(result: dict[str, float]) -> None:
    """Prints what `measure` returns."""
    print("\nPeak of this core\n")
    for key, unit in UNITS.items():
        print(f"{unit:44s} {result[key]:8.1f}")
    print(f"{'MiB, second-level and last-level cache':44s} ", end="")
    print(f"{result['l2_bytes'] / 2**20:8.1f} {result['last_level_bytes'] / 2**20:8.1f}")


def main() -> None:
    """Prints the table and, if asked for, writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", type=int, default=0, help="to pin the process to")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    common.pin(options.core)
    result: dict[str, Any] = measure(options.repeats)
    show(result)
    common.write_json(options.json, common.environment() | {"machine": result})


if __name__ == "__main__":
    main()
