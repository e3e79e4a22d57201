"""What the CUDA kernels must take at least on an A100 and an H100: a bound, not a measurement.

    python benchmarks/cuda_bound.py POTENTIAL > table.md

POTENTIAL is [NAME=]DIR[:cflength:cfenergy] of silicon. Needs nvcc (pip install '.[cuda]') and g++, no GPU. The kernels
run on the processor for a crystal of 32 and one of 64 atoms, and nvcc's PTX of every launch is interpreted
(tests/cuda/ptx); the differences of the counts are those of 32 atoms more, without what is the same for any number. A
kernel's bound is the largest of three times, each with the data sheet's peak: floating-point operations, with the idle
lanes of warps and a fused one as 2; accesses to shared memory, one cycle a warp; and global memory that is touched at
all, each byte once. What a kernel waits for beside these is not in it. Occupancy is by NVIDIA's cuda_occupancy.h, from
ptxas' registers and shared memory.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# isort: split
import common  # before numpy

# isort: split
from ours import Source, source

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cuda"))
import hosted
import ptx
import toolkit
from ptx.counting import Counts

SMALL, LARGE = ("2", "2", "1"), ("2", "2", "2")  # cells; 32 and 64 atoms, whole tiles of the networks
ATOMS = 32  # that the crystals differ by
PRECISIONS = {"float64": "f64", "float32": "f32"}
WORK = {
    "step": "A step: list, energy, forces and virial",
    "gradient": "The first gradient of a loss of energy and forces: functions, their derivatives twice, weights",
}
LEAST = 0.01  # of the sum of all bounds; kernels below are one row


@dataclass(frozen=True)
class Device:
    """Peaks of NVIDIA's data sheets."""

    name: str
    architecture: str
    flops: dict[str, float]  # per second, without tensor cores
    bandwidth: float  # bytes of global memory per second
    cycles: float  # of all multiprocessors per second, at the boost clock
    warps: int  # that a multiprocessor holds


DEVICES = (
    Device("A100 SXM 80 GB", "sm_80", {"f64": 9.7e12, "f32": 19.5e12}, 2.039e12, 108 * 1.41e9, 64),
    Device("H100 SXM", "sm_90", {"f64": 34e12, "f32": 67e12}, 3.35e12, 132 * 1.98e9, 64),
)


@dataclass
class Kernel:
    """Of one kernel in a step, per atom; threads and dynamic shared memory of a block."""

    name: str
    threads: int
    shared: int
    flops: dict[str, float]
    slots: dict[str, float]
    shared_accesses: float  # of warps
    global_bytes: float
    instructions: float

    def bounds(self, device: Device) -> dict[str, float]:
        """Seconds per atom, by what takes them."""
        floating = sum(self.slots[kind] / device.flops[kind] for kind in device.flops)
        return {
            "operations": floating,
            "shared memory": self.shared_accesses / device.cycles,
            "global memory": self.global_bytes / device.bandwidth,
        }


def record(program: Path, work: str, potential: Source, precision: str, cells: Iterable[str], path: Path) -> None:
    """One step or gradient on the processor."""
    builder = hosted.Builder(path.parent, hosted.PLAIN)
    units = (str(potential.cflength), str(potential.cfenergy))
    done = builder.execute(program, work, potential.path, *units, precision, *cells, HOSTEXEC_RECORD=str(path))
    if done.returncode:
        raise SystemExit(f"cuda_step failed: {hosted.complaint(done)}")


def kernels(small: ptx.Replay, large: ptx.Replay) -> list[Kernel]:
    """What an atom more takes, kernel by kernel in the order of launches."""
    found = []
    for name, more in large.counts.items():
        counts = Counts()
        counts.add(more)
        if name in small.counts:
            counts.add(small.counts[name], -1)
        shared = sum(counts.warps[f"shared {way}"] for way in ("load", "store", "atomic"))
        found.append(
            Kernel(
                toolkit.readable([name])[0],
                *large.shapes[name],
                {kind: counts.flops(kind) / ATOMS for kind in PRECISIONS.values()},
                {kind: counts.slots(kind) / ATOMS for kind in PRECISIONS.values()},
                shared / ATOMS,
                (counts.global_read + counts.global_written) / ATOMS,
                sum(counts.threads.values()) / ATOMS,
            )
        )
    return found


def occupancy(folder: Path, kernels: list[Kernel], compiled: toolkit.Compiled) -> dict[tuple[str, str], int]:
    """(kernel, device) -> warps that a multiprocessor holds."""
    program = folder / "occupancy"
    objects = program.with_suffix(".o")
    toolkit.run(toolkit.nvcc(), "-std=c++17", "-c", Path(__file__).with_name("occupancy.cpp"), "-o", objects)
    toolkit.run(hosted.compiler(), objects, "-o", program)
    warps = {}
    for k, device in enumerate(DEVICES):
        table = compiled.resources[device.architecture]
        lines = [f"{table[q.name].registers} {table[q.name].shared + q.shared} {q.threads}\n" for q in kernels]
        done = subprocess.run([program], input="".join(lines), check=True, capture_output=True, text=True)
        answers = done.stdout.splitlines()[k :: len(DEVICES)]
        for kernel, answer in zip(kernels, answers, strict=True):
            warps[kernel.name, device.name] = int(answer.split()[1])
    return warps


def table(title: str, kernels: list[Kernel], warps: dict[tuple[str, str], int]) -> None:
    """Markdown, the kernels that take most first; the short ones together."""
    print(f"\n{title}, per atom:\n")
    print("| kernel | operations | idle lanes | global bytes | " + " | ".join(
        f"{d.name}: at least, ns | for its | occupancy" for d in DEVICES) + " |")  # fmt: skip
    print("|---" * (4 + 3 * len(DEVICES)) + "|")
    ordered = sorted(kernels, key=lambda k: -longest(k, DEVICES[0])[1])
    total = [sum(longest(k, d)[1] for k in kernels) for d in DEVICES]
    shown = [k for k in ordered if longest(k, DEVICES[0])[1] >= LEAST * total[0]]
    for kernel in shown:
        cells = [f"{sum(kernel.flops.values()):,.0f}", idle(kernel), f"{kernel.global_bytes:,.0f}"]
        for device in DEVICES:
            limit, bound = longest(kernel, device)
            occupied = 100 * warps[kernel.name, device.name] / device.warps
            cells += [f"{1e9 * bound:.2f}", limit, f"{occupied:.0f} %"]
        print(f"| `{kernel.name}` | " + " | ".join(cells) + " |")
    rest = [k for k in ordered if k not in shown]
    for name, group in ((f"{len(rest)} others", rest), ("all, one after the other", ordered)):
        sums = [1e9 * sum(longest(k, d)[1] for k in group) for d in DEVICES]
        flops, moved = sum(sum(k.flops.values()) for k in group), sum(k.global_bytes for k in group)
        print(f"| {name} | {flops:,.0f} | | {moved:,.0f} | " + " | ".join(f"{s:.2f} | |" for s in sums))


def longest(kernel: Kernel, device: Device) -> tuple[str, float]:
    """What takes a kernel most time, and how many seconds per atom."""
    bounds = kernel.bounds(device)
    return max(bounds.items(), key=lambda item: item[1])


def idle(kernel: Kernel) -> str:
    """Of the lanes of its warps in floating-point operations."""
    slots = sum(kernel.slots.values())
    return f"{100 * (1 - sum(kernel.flops.values()) / slots):.0f} %" if slots else "-"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("potential", type=source)
    options = parser.parse_args()
    common.pin(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compiled = toolkit.compile_all(folder)
        builder = hosted.Builder(folder, hosted.PLAIN)
        step = builder.compile(Path(__file__).with_name("cuda_step.cpp"))
        program = builder.link([step, *builder.objects(toolkit.sources()).values()], "cuda_step")
        for work, precision in itertools.product(WORK, PRECISIONS):
            replays = []
            for cells in (SMALL, LARGE):
                path = folder / "recording"
                record(program, work, options.potential, precision, cells, path)
                replays.append(ptx.Replay(compiled.modules))
                list(replays[-1].run(path))
            found = kernels(*replays)
            table(f"{WORK[work]}, {precision}", found, occupancy(folder, found, compiled))


if __name__ == "__main__":
    main()
