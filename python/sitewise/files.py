"""Files that appear whole or not at all, and folders in which one run works at a time.

The locks are those of `flock`: the kernel releases them when a process ends, however it ends.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ._core import Error
from .progress import Reporter

LOCK = ".sitewise-lock"  # in the folder of a run
MARK = ".sitewise-"  # in the names of temporary files
# Also matches the temporary files of cpp/src/format/write_file.cpp.
TEMPORARY = re.compile(r"\..*\.sitewise-[a-z0-9_]{8}(\.[^.]*)?", re.DOTALL)
HOLDER = re.compile(r"process \d{1,20} on [\w.-]{1,100}", re.ASCII)

# The folders of a run that it writes to, beside its own.
PARTS = ("potential", "potential/*", "replica-*", "replica-*/potential")

_unfinished: set[Path] = set()  # the temporary files of this process

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of file systems without locks


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to.

    The file is renamed to `path` when the block ends, and removed when the block fails. A link stays a link; a device
    or pipe is written to.

    Raises
    ------
    Error
        If the file cannot be made or written.
    """
    path = Path(path)
    special = path.exists() and not path.is_file() and not path.is_dir()
    target = path.resolve() if path.is_symlink() and not special else path
    try:
        handle, temporary = _temporary_file(target, Path(tempfile.gettempdir()) if special else target.parent)
        _unfinished.add(temporary)
        try:
            yield temporary
            if special:
                _copy(temporary, path)
                return
            temporary.chmod(0o666 & ~_umask())  # mkstemp lets only the owner read
            _to_disk(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
            _unfinished.discard(temporary)
            os.close(handle)
    except OSError as error:
        raise Error(f"{path}: cannot be written: {error.strerror or error}") from None


def remove_unfinished() -> None:
    """Remove what `atomic` has not finished, before this process is ended from outside Python."""
    for temporary in _unfinished:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary folder on the disk of `path`, removed when the block ends.

    Raises
    ------
    Error
        If the folder cannot be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}{MARK}", dir=path.parent))
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Error(f"{path}: cannot be written: {error.strerror}") from None
    try:
        _try_lock(handle)
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(handle)


@contextmanager
def run_folder(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Make a folder and lock it for this block; remove the half-written files of killed runs from it.

    If the block fails before any output, the folder is removed.

    Raises
    ------
    Error
        If the folder cannot be made or written to, or if another process works in it, with the name of that process.
    """
    made = [f for f in (folder, *folder.parents) if not f.exists()]
    make_folder(folder)
    try:
        with _locked(folder, reporter):
            for part in ("", *PARTS):
                for each in folder.glob(part) if part else (folder,):
                    remove_leftovers(each)
            yield
    except BaseException:
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; raise Error if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Error(f"{folder}: cannot be made: {error.strerror}") from None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of this module that no living process writes to."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # another process removes it at the same time
                handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if _try_lock(handle):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                finally:
                    os.close(handle)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file; it appears whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the lines of a CSV file with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _temporary_file(path: Path, folder: Path) -> tuple[int, Path]:
    """Make a file that is locked while it is open, so that `remove_leftovers` of other processes spares it."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:100]}{MARK}", suffix=path.suffix, dir=folder)
        _try_lock(handle)
        if _is_named(handle, Path(name)):
            return handle, Path(name)
        os.close(handle)  # removed before it was locked


@contextmanager
def _locked(folder: Path, reporter: Reporter) -> Iterator[None]:
    path = folder / LOCK
    try:
        handle = _hold(path)
    except OSError as error:
        raise Error(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        if not _try_lock(handle):
            reporter.warn(f"{folder}: its file system has no locks, so a second run in it would not be noticed")
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _hold(path: Path) -> int:
    """Open and lock a file and write this process into it; raise Error that names the process holding it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        if _try_lock(handle) is False:
            content = os.pread(handle, 200, 0).decode(errors="replace")
            os.close(handle)
            holder = content if HOLDER.fullmatch(content) else "another process"
            raise Error(f"{path.parent}: {holder} works in this folder; let it end or choose another folder")
        if _is_named(handle, path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {platform.node()}".encode(), 0)
            return handle
        os.close(handle)  # the process that held it has removed it


def _try_lock(handle: int) -> bool | None:
    """Lock a file and return whether that worked; return None on a file system without locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _is_named(handle: int, path: Path) -> bool:
    """Test whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as content, target.open("wb") as file:
        shutil.copyfileobj(content, file)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _to_disk(path: Path) -> None:
    """Flush a file to disk: one that is renamed before its content is on the disk may be empty after a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
