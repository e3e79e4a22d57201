"""nvcc for the tests of CUDA kernels and for benchmarks/cuda_bound.py: PTX, and what ptxas reports on each kernel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

from ptx import Module, parse

ROOT = Path(__file__).resolve().parents[2]
PTX_FOR = "sm_80"  # the oldest GPU of the project; each architecture assembles the same PTX
ARCHITECTURES = ("sm_80", "sm_90")
INCLUDES = [f"-I{ROOT / folder}" for folder in ("cuda", "cpp/core", "cpp/src", "cpp/include")]
FLAGS = ["-std=c++17", "-O3"]
WHEELS = "nvidia/cu13/bin/nvcc"  # where pip install '.[cuda]' brings it


class NoCompiler(Exception):
    """The error that there is no nvcc."""


def nvcc() -> Path:
    """Return the nvcc of this environment, else the one that the variable CUDACXX names, as for CMake."""
    wheel = Path(sysconfig.get_path("purelib")) / WHEELS
    found = str(wheel) if wheel.exists() else shutil.which(os.environ.get("CUDACXX", ""))
    if not found:
        raise NoCompiler("no nvcc: pip install '.[cuda]' (Linux on x86_64), or set CUDACXX")
    return Path(found)


def sources() -> list[Path]:
    """Return all sources of the CUDA backend."""
    return sorted((ROOT / "cuda").glob("*.cu"))


def kernel_sources() -> list[Path]:
    """Return the sources that have kernels; the others are host code."""
    return [source for source in sources() if "__global__" in source.read_text()]


def run(*command: str | Path) -> str:
    """Run a command and return its standard error, where ptxas writes; raise RuntimeError with it on failure."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stderr


def compile_ptx(source: Path, folder: Path, includes: Sequence[str] = INCLUDES) -> Path:
    """Compile a source to PTX and return the file."""
    target = folder / f"{source.stem}.ptx"
    run(nvcc(), *FLAGS, *includes, f"-arch={PTX_FOR}", "-ptx", source, "-o", target)
    return target


@dataclass(frozen=True)
class Resources:
    """The resources of one kernel.

    Registers of a thread, bytes of static shared memory of a block, bytes of spill stores and loads of a thread.
    """

    registers: int
    shared: int
    spills: int

    def exceeds(self, ceiling: Resources) -> bool:
        return any(mine > most for mine, most in zip(astuple(self), astuple(ceiling), strict=True))


_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.S,
)


def resources(ptx: Path, architecture: str) -> dict[str, Resources]:
    """Return the resources of each kernel, by its name in the source."""
    target = ptx.with_suffix(f".{architecture}.cubin")
    text = run(nvcc(), f"-arch={architecture}", "-cubin", "-Xptxas", "-v", ptx, "-o", target)
    found = {}
    for match in _ENTRY.finditer(text):
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        spills = int(match["stores"]) + int(match["loads"])
        found[match["name"]] = Resources(int(match["registers"]), int(shared[1]) if shared else 0, spills)
    return dict(zip(readable(list(found)), found.values(), strict=True))


def readable(names: Sequence[str]) -> list[str]:
    """Return the readable form of a mangled name, for example evaluate_network<double, true>."""
    output = subprocess.run(["c++filt", *names], check=True, capture_output=True, text=True).stdout
    return [_bare(line) for line in output.splitlines()]


def _bare(signature: str) -> str:
    signature = re.sub(r"\(anonymous namespace\)|_GLOBAL__N__\w+", "", signature).removeprefix("void ")
    name, depth = "", 0
    for letter in signature:  # up to the parameters
        if letter == "(" and depth == 0:
            break
        depth += {"<": 1, ">": -1}.get(letter, 0)
        name = "" if letter == ":" and depth == 0 else name + letter
    return name


@dataclass
class Compiled:
    """PTX and resources of all kernels."""

    modules: list[Module]
    resources: dict[str, dict[str, Resources]]  # architecture -> kernel -> resources


def compile_all(folder: Path) -> Compiled:
    """Compile every kernel of the project, on all processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = list(pool.map(lambda source: compile_ptx(source, folder), kernel_sources()))
        of = {a: pool.map(lambda ptx, a=a: resources(ptx, a), files) for a in ARCHITECTURES}
        tables = {a: {name: r for table in found for name, r in table.items()} for a, found in of.items()}
    return Compiled([parse(file.read_text()) for file in files], tables)


def print_table(table: dict[str, dict[str, Resources]]) -> None:
    """Print kernels, and registers, shared memory and spills by architecture."""
    width = max(len(name) for kernels in table.values() for name in kernels)
    print("\n" + "kernel".ljust(width) + "".join(f"  {a}: registers  shared B  spills B" for a in table))
    for name in sorted(next(iter(table.values()))):
        cells = (table[a][name] for a in table)
        print(name.ljust(width) + "".join(f"{r.registers:18d}{r.shared:10d}{r.spills:10d}" for r in cells))
