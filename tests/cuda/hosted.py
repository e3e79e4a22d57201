"""Builds of the kernels for the processor (tests/cuda/hostexec) with the tests of cpp/tests/cuda, without CMake.

Only the kernels and tests are compiled; the rest is the library that is installed with the package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sitewise import _core
from toolkit import INCLUDES, ROOT, run

LIBRARY = Path(_core.__file__).parent / "lib" / "libsitewise.a"
HOSTEXEC = ROOT / "tests" / "cuda" / "hostexec"
EIGEN = Path(sysconfig.get_path("purelib")) / "cmeel.prefix" / "include" / "eigen3"
TESTS = ROOT / "cpp" / "tests" / "cuda"
FLAGS = [
    "-std=c++17",
    "-O1",
    "-g1",
    "-w",
    *INCLUDES,
    f"-I{HOSTEXEC}",
    f"-I{EIGEN}",
    f"-I{TESTS}",
]
CPU_LIMIT = 60  # s; a bug may leave a loop without an end


@dataclass(frozen=True)
class Flavor:
    """The way to compile the kernels and, without the sanitizer, the scheduler."""

    name: str
    sanitizer: Sequence[str] = ()
    scheduler: Sequence[str] = ()
    environment: tuple[tuple[str, str], ...] = ()


PLAIN = Flavor("plain")
ADDRESS = Flavor(
    "ASan+UBSan",
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    ["-DHX_ASAN=1"],
    (("ASAN_OPTIONS", "detect_leaks=0"),),
)
THREAD = Flavor("TSan", ["-fsanitize=thread"], ["-DHX_TSAN=1"], (("TSAN_OPTIONS", "history_size=7 exitcode=66"),))


@dataclass
class Builder:
    """A builder of objects and programs of one flavor in a folder."""

    folder: Path
    flavor: Flavor

    def compile(self, source: Path, name: str = "") -> Path:
        """Compile a source and return its object."""
        target = self.folder / f"{name or source.stem}.{self.flavor.name}.o"
        scheduler = source.parent == HOSTEXEC
        more = ["-O2", *self.flavor.scheduler] if scheduler else self.flavor.sanitizer
        run(compiler(), *FLAGS, *more, "-x", "c++", "-c", source, "-o", target)
        return target

    def objects(self, sources: Sequence[Path]) -> dict[str, Path]:
        """Compile these sources and the scheduler, and return the objects by the stem of each source."""
        every = [*sources, HOSTEXEC / "hostexec.cpp"]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return {s.stem: o for s, o in zip(every, pool.map(self.compile, every), strict=True)}

    def link(self, objects: Sequence[Path], name: str) -> Path:
        """Link a program; the parts of CUDA in the library stay out."""
        target = self.folder / f"{name}.{self.flavor.name}"
        run(compiler(), *self.flavor.sanitizer, *objects, LIBRARY, "-fopenmp", "-ldl", "-o", target)
        return target

    def execute(self, program: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program on one thread of the host."""
        variables = {**os.environ, "OMP_NUM_THREADS": "1", **dict(self.flavor.environment), **environment}
        limited = ["sh", "-c", f'ulimit -t {CPU_LIMIT}; exec "$0" "$@"', str(program), *arguments]
        return subprocess.run(limited, env=variables, capture_output=True, text=True)


def compiler() -> str:
    """Return g++, whose sanitizers support fibers."""
    found = shutil.which("g++")
    if not found:
        raise RuntimeError("no g++")
    return found


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return in one line what a run found, by sanitizer, scheduler or test; "" if it passed."""
    text = done.stderr + done.stdout
    for pattern in (
        r"SUMMARY: \w+: ([^\n]*)",
        r"runtime error: ([^\n]*)",
        r"what\(\):\s+([^\n]*)",
        r"failed: ([^\n]*)",
    ):
        if found := re.search(pattern, text):
            return found[1]
    return f"exit code {done.returncode} {text.strip()[-100:]}" if done.returncode else ""
