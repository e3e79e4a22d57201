"""Structures from files of any format: RuNNer's `input.data` and HDF5 by our own readers, all others by ASE."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from .._core import Error
from ..progress import Reporter
from ..ranks import EACH, Ranks
from ..text import printable
from ..units import Units
from .dft_output import OUTPUTS, Steps, choose_steps
from .extxyz import parse_header
from .hdf5 import Frames, is_hdf5
from .runner import is_runner, read_runner

if TYPE_CHECKING:
    from ase import Atoms

RUNNER, HDF5 = "RuNNer", "HDF5"
XYZ = ("xyz", "extxyz")
# Formats whose numbers carry no unit; ASE reads all others in eV and Angstrom.
UNITLESS = {RUNNER, HDF5, *XYZ, "traj", "json", "db", "lammps-data", "lammps-dump-text", "lammps-dump-binary"}
DATABASES = ("postgresql", "mysql")  # ASE would call these over the network for a name like postgres.xyz
UNPACKED, RATIO, BLOCK = 1 << 27, 200, 1 << 20  # bytes to which any file may unpack, or times its own size
UNPACKERS: dict[str, Callable[[IO[bytes]], Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
BOM = b"\xef\xbb\xbf"
D_EXPONENT = re.compile(rb"(?<![\w.])([+-]?(?:\d+\.\d*|\.\d+))[dD]([+-]?\d+)(?![\w.])")
NAMED_COLUMNS = 4  # of XYZ without Properties: element and position
DIGITS = 12  # most digits of a number of atoms or columns
# The places where files state how many numbers or atoms follow. ASE allocates memory for them before it reads on.
INTEGERS = rb"(\d+(?:[ \t]+\d+)*)[ \t]*"
HEAD_OF_POSCAR = re.compile(rb"\A(?:[^\n]*\n){5,6}?[ \t]*" + INTEGERS + rb"(?:![^\n]*)?\r?\n")
HEADS_OF_XDATCAR = re.compile(HEAD_OF_POSCAR.pattern + rb"|^[ \t]*" + INTEGERS + rb"\r?\n[ \t]*Direct", re.MULTILINE)
COUNTS = {
    "vasp": HEAD_OF_POSCAR,
    "vasp-xdatcar": HEADS_OF_XDATCAR,
    "vasp-out": re.compile(rb"(?:NIONS|ions per type) *= *" + INTEGERS),
    "vasp-xml": re.compile(rb"<(?:atoms|types)>[ \t]*" + INTEGERS),
    "lammps-data": re.compile(rb"^[ \t]*(\d+)[ \t]+(?:atoms|bonds|angles|dihedrals|impropers)\b", re.MULTILINE),
    "lammps-dump-text": re.compile(rb"ITEM: NUMBER OF ATOMS\s*" + INTEGERS),
    "json": re.compile(rb'"__ndarray__":\s*\[\[([\d,\s]*)\]'),
    "traj": re.compile(rb'"(?:__)?ndarray(?:__)?":\s*\[\[([\d,\s]*)\]'),
}
LAMMPS_BOX = re.compile(rb"^[ \t]*[-+.\deE]+[ \t]+[-+.\deE]+[ \t]+xlo[ \t]+xhi\b", re.MULTILINE)
PROPERTIES = re.compile(rb"(?:^|[\s\"'])Properties[\"']?\s*=\s*[\"'{\[]?([^\s\"'}\]]+)")


def read_structures(
    path: str,
    index: str,
    units: Units,
    keep_unconverged: bool,
    keep_machine_learned: bool,
    reporter: Reporter,
    ranks: Ranks | None = None,
) -> Iterator[tuple[int, Atoms]]:
    """Yield the structures of a file and their numbers in it, counted from 0 (from -1 backwards if `index` is).

    Parameters
    ----------
    path
        The file; it may be compressed (.gz, .xz, .bz2).
    index
        Which structures, in the notation of ASE.
    units
        Units of the file. Positions and cell are converted to Angstrom; labels are not converted.
    keep_unconverged, keep_machine_learned
        Whether to keep steps of DFT outputs whose electrons did not converge, or that a force field of VASP made.
    reporter
        Reports what is left out.
    ranks
        The ranks that share the work; this process alone by default. Each reads structures of HDF5 and of extended XYZ
        (rank 0 all of compressed ones). Rank 0 alone reads other formats.

    Raises
    ------
    Error
        If the file cannot be read or has other units, with its name.
    """
    if Path(path).is_dir():
        raise Error(f"{path}: is a folder, expected a file with structures")
    if not Path(path).is_file():
        raise Error(f"{path}: is not a file that can be read more than once")
    count = 0
    try:
        with warnings.catch_warnings(), ExitStack() as stack:
            warnings.simplefilter("ignore")  # ASE warns of units, deprecations and key clashes
            plain = stack.enter_context(_unpacked(path))
            kind = _kind(path, plain)
            _check_counts(path, plain, kind)
            _check_units(path, kind, units)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            warned: list[str] = []
            if kind == RUNNER:
                found = _of_runner(path, plain, index, reporter)
            elif kind == HDF5:
                found = _of_hdf5(path, plain, index, units, reporter, ranks or Ranks())
            elif kind in OUTPUTS:
                steps = choose_steps(path, plain, kind, folder, keep_unconverged, keep_machine_learned)
                found = _selected(_by_ase(steps.file, kind, ":"), index, steps)
                warned = steps.warnings
            else:
                shared = ranks is not None and ranks.size > 1 and kind in XYZ
                # What is unpacked is on the machine of rank 0.
                places = _places(plain) if shared and plain == path else None
                clean = _cleaned(path, plain, kind, folder, reporter, places, ranks or Ranks())
                if ranks and shared and index == ":":
                    found = _numbered(_by_ranks(clean, kind, places if clean == path else None, ranks), index)
                else:
                    found = _numbered(_by_ase(clean, kind, index), index)
            for text in warned:
                reporter.warn(text)
            for number, atoms in found:
                count += 1
                yield number, _scaled(atoms, units)
    except GeneratorExit:
        raise
    except PermissionError as error:
        raise Error(f"{path}: cannot be read: {error.strerror}") from None
    except Error:
        raise
    except Exception as error:  # ASE's readers raise exceptions of any kind
        raise Error(f"{path}: cannot be read at structure {count}: {_reason(error)}") from None
    if count == 0:
        raise Error(f"{path}: there is no structure in this file")


def _reason(error: Exception) -> str:
    """Return the message of an exception of ASE, in one line."""
    text = str(error).strip()
    if isinstance(error, KeyError):
        return f"{printable(text)} is unknown"
    return printable(text.splitlines()[0], 400) if text else type(error).__name__


def _kind(path: str, plain: str) -> str:
    """Return ASE's name of a file's format, RUNNER or HDF5."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    if is_runner(plain):
        return RUNNER
    if is_hdf5(plain):
        return HDF5
    with Path(plain).open("rb") as file:
        head = file.read(1 << 14)
    if b"CP2K|" in head:
        raise Error(f"{path}: is an output of CP2K, which ASE cannot read; write extended XYZ with labels from it")
    if LAMMPS_BOX.search(head):
        _check_masses(path, plain)
        return "lammps-data"
    _check_elements(path, plain)
    try:
        kind = str(filetype(plain, read=True))
    except UnknownFileTypeError:
        kind = ""
    if kind not in ioformats:  # then it is the suffix of the name
        raise Error(f"{path}: is of no format that ASE knows, neither by its name nor by its content")
    if kind == "runnerdata":
        raise Error(f"{path}: has the name of an input.data, but does not start with begin")
    if kind in DATABASES:
        raise Error(f"{path}: has the name of a database on a server, rename it")
    return kind


def _check_counts(path: str, plain: str, kind: str) -> None:
    """Raise Error for a file that states more atoms or numbers than it has bytes."""
    if kind not in COUNTS:
        return
    size = Path(plain).stat().st_size
    with Path(plain).open("rb") as file:
        while block := file.read(1 << 24):
            for match in COUNTS[kind].finditer(block):
                counts = [float(word) for word in re.findall(rb"\d+", next(filter(None, match.groups())))]
                total = math.prod(counts) if b"[" in match[0] else sum(counts)
                if total > size:
                    raise Error(f"{path}: says it has {total:.6g} atoms or numbers, but has only {size} bytes")
            if COUNTS[kind] is HEAD_OF_POSCAR:
                break


def _check_units(path: str, kind: str, units: Units) -> None:
    if kind not in UNITLESS and units != Units():
        raise Error(
            f"{path}: is of the format {kind}, which ASE reads in eV and Angstrom, but its units are said to be {units}"
        )


def _of_runner(path: str, plain: str, index: str, reporter: Reporter) -> Iterator[tuple[int, Atoms]]:
    """Yield the structures of an input.data, and warn of total charges, which are ignored."""
    charged: list[int] = []
    for number, atoms in _numbered(_sliced(read_runner(plain, path), index), index):
        if atoms.info.pop("charge", 0):
            charged.append(number)
        yield number, atoms
    if charged:
        many = "1 structure has" if len(charged) == 1 else f"{len(charged)} structures have"
        reporter.warn(f"{path}: {many} a total charge, which is ignored; the first is structure {charged[0]}")


def _of_hdf5(
    path: str, plain: str, index: str, units: Units, reporter: Reporter, ranks: Ranks
) -> Iterator[tuple[int, Atoms]]:
    """Yield the structures of an HDF5 file, of which each rank reads some. Report what is not read."""
    if plain != path:  # it was unpacked on the machine of rank 0
        ranks = Ranks()
    number = ranks.hold(_frames, [(plain, path)] * ranks.size)
    try:
        if not ranks.gather(Frames.require_units, number, units)[0]:
            reporter.say(f"{path}: states no units, they are taken as {units}")
        wanted = range(ranks.gather(len, number)[0])[_slice(index)]
        blocks = (wanted[first : first + EACH] for first in range(0, len(wanted), EACH))
        for block in ranks.map(_block, number, blocks, 1):
            yield from block
        unread = dict.fromkeys(name for names in ranks.gather(_unread, number) for name in names)
    finally:
        ranks.gather(Frames.close, number)
        ranks.forget(number)
    if unread:
        reporter.say(f"{path}: not read, as they are not of each structure: {printable(', '.join(unread), 200)}")


def _frames(plain: str, path: str) -> Frames:
    with _one_sentence(path):
        return Frames(plain, path)


def _block(frames: Frames, numbers: range) -> list[tuple[int, Atoms]]:
    """Return the structures of some numbers, and these."""
    found: list[tuple[int, Atoms]] = []
    with _one_sentence(frames.name, lambda: f" at structure {numbers[len(found)]}"):
        for number, atoms in zip(numbers, frames.read(numbers), strict=True):
            found.append((number, atoms))
    return found


def _unread(frames: Frames) -> list[str]:
    return list(frames.unread)


@contextmanager
def _one_sentence(path: str, where: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Make an exception of any kind, as libraries raise them, an Error that names the file."""
    try:
        yield
    except Error:
        raise
    except Exception as error:
        raise Error(f"{path}: cannot be read{where()}: {_reason(error)}") from None


class _Place(NamedTuple):
    """Where a structure of an XYZ file begins: byte, line and number of the structure, from 0; and its bytes."""

    offset: int
    line: int
    number: int
    size: int

    def content(self, file: str) -> bytes:
        """Read it."""
        with Path(file).open("rb") as opened:
            opened.seek(self.offset)
            return opened.read(self.size)

    def text(self, file: str) -> str:
        """Read it as text, as `open` does."""
        return io.TextIOWrapper(io.BytesIO(self.content(file)), encoding="utf-8", errors="surrogateescape").read()


def _places(file: str) -> list[_Place] | None:
    """Find the structures of an XYZ file by their numbers of atoms; None if there is anything else in it."""
    found: list[_Place] = []
    offset = line = 0
    with Path(file).open("rb") as lines:
        for head in lines:
            if not head.strip().isdigit() or len(head) > 2 * DIGITS:
                return None
            sizes = [len(row) for row in islice(lines, int(head) + 1)]
            if len(sizes) <= int(head):
                return None
            size = len(head) + sum(sizes)
            found.append(_Place(offset, line, len(found), size))
            offset, line = offset + size, line + 1 + len(sizes)
    return found or None


def _by_ranks(file: str, kind: str, places: Sequence[_Place] | None, ranks: Ranks) -> Iterator[Atoms]:
    """Yield the structures of an XYZ file that was found to be right; each rank parses some of them, from their places
    in the file or, without these, from what rank 0 reads."""
    known = (partial(place.text, file) for place in places) if places is not None else None
    texts: Iterable[Callable[[], str]] = known or (partial(str, text) for text in _texts(file))
    for atoms in ranks.map(_parsed, 0, ((kind, text) for text in texts)):
        if isinstance(atoms, str):
            raise ValueError(atoms)
        yield atoms


def _texts(file: str) -> Iterator[str]:
    """Yield the text of each structure of an XYZ file."""
    with Path(file).open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            if line.strip():
                yield line + "".join(islice(lines, int(line) + 1))


def _parsed(_: None, part: tuple[str, Callable[[], str]]) -> Atoms | str:
    """Return the structure of a text, or what is wrong with it."""
    kind, text = part
    content = io.StringIO(text())
    try:
        return next(_by_ase(content, kind, ":"))
    except Exception as error:  # ASE's readers raise exceptions of any kind
        return _reason(error)


def _by_ase(file: str | IO[str], kind: str, index: str) -> Iterator[Atoms]:
    from ase.io import iread

    options = {"properties_parser": parse_header} if kind == "extxyz" else {}
    # Not "parallel", or ASE would make all ranks of mpirun wait for each other, and rank 0 may read alone.
    yield from iread(file, index, format=kind, parallel=False, do_not_split_by_at_sign=True, **options)


def _slice(index: str) -> slice:
    """Return the slice that an index in ASE's notation selects."""
    from ase.utils import string2index

    found = string2index(index)
    if isinstance(found, slice):
        return found
    if not isinstance(found, int):
        raise Error(f"index is {printable(index)}, expected a number or a slice such as 0:100:10")
    return slice(found, found + 1 or None)


def _sliced(structures: Iterator[Atoms], index: str) -> Iterator[Atoms]:
    """Yield the structures that an index selects."""
    part = _slice(index)
    if min(part.start or 0, part.stop or 0, (part.step or 1) - 1) < 0:
        yield from list(structures)[part]
    else:
        yield from islice(structures, part.start, part.stop, part.step)


def _numbered(structures: Iterator[Atoms], index: str) -> Iterator[tuple[int, Atoms]]:
    """Yield structures that an index has selected, with their numbers in the file."""
    part = _slice(index)
    step = part.step or 1
    first = part.start if part.start is not None else (0 if step > 0 else -1)
    yield from ((first + k * step, atoms) for k, atoms in enumerate(structures))


def _selected(structures: Iterator[Atoms], index: str, steps: Steps) -> Iterator[tuple[int, Atoms]]:
    """Yield the structures of an output that are chosen and that an index selects, with their numbers in the output."""
    wanted = set(steps.chosen) & set(range(steps.total)[_slice(index)])
    for number, atoms in zip(steps.numbers, structures, strict=True):
        if number in wanted:
            yield number, atoms


def _scaled(atoms: Atoms, units: Units) -> Atoms:
    """Convert positions and cell of a structure to Angstrom."""
    if units.length != 1:
        atoms.positions *= units.length
        atoms.cell[:] = atoms.cell.array * units.length
    return atoms


@contextmanager
def _unpacked(path: str) -> Iterator[str]:
    """Yield the file itself, or a temporary copy of a compressed one.

    ASE moves back and forth in a file. In a compressed file this takes a time that grows with the square of its length.
    """
    from ase.io.formats import get_compression

    name, compression = get_compression(path)
    if compression is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / Path(name).name
        with Path(path).open("rb") as packed, UNPACKERS[compression](packed) as content, plain.open("wb") as file:
            _copy(path, packed, content, file)
        yield str(plain)


def _copy(path: str, packed: IO[bytes], content: IO[bytes], file: IO[bytes]) -> None:
    """Unpack a file; raise Error as soon as it is clear that a small file would fill the disk."""
    while block := content.read(BLOCK):
        file.write(block)
        if file.tell() > max(UNPACKED, RATIO * packed.tell()):
            raise Error(f"{path}: unpacks to more than {RATIO} times its size, which no file of structures does")


def _check_elements(path: str, plain: str) -> None:
    """Require elements or masses in a LAMMPS dump: ASE would take its atom types for atomic numbers."""
    with Path(plain).open("rb") as file:
        if file.read(5) != b"ITEM:":
            return
        columns = next((line.split()[2:] for line in file if line.startswith(b"ITEM: ATOMS")), [])
    if columns and not {b"element", b"mass"} & set(columns):
        raise Error(
            f"{path}: has the columns {printable(b' '.join(columns).decode(errors='replace'))}, expected element (with "
            "dump_modify element) or mass among them, as types alone do not name elements"
        )


def _check_masses(path: str, plain: str) -> None:
    """Require masses in a LAMMPS data file: ASE would take its atom types for atomic numbers."""
    with Path(plain).open("rb") as file:
        if not any(line.strip().startswith((b"Masses", b"Atom Type Labels")) for line in file):
            raise Error(f"{path}: has no section Masses, and types alone do not name elements")


def _cleaned(
    path: str,
    plain: str,
    kind: str,
    folder: Path,
    reporter: Reporter,
    places: Sequence[_Place] | None,
    ranks: Ranks,
) -> str:
    """Return the file itself, or for XYZ a copy without what ASE cannot read.

    This is a byte order mark, blank lines at the head, and D exponents. If the places of the structures are known, all
    ranks look for it.
    """
    if kind not in XYZ:
        return plain
    if places is None:
        with Path(plain).open("rb") as file:
            clean, unnamed = _check_frames(path, file)
    else:
        each = [*ranks.map(_checked, 0, ((path, place) for place in places))]
        clean, unnamed = all(c for c, _ in each), any(u for _, u in each)
    if unnamed:
        reporter.say(f"{path}: columns after the positions are not read, as no Properties name them")
    if clean:
        return plain
    copy = folder / Path(plain).name
    with Path(plain).open("rb") as file, copy.open("wb") as written:
        started = False
        for line in file:
            started = started or bool(line.removeprefix(BOM).strip())
            if started:
                written.write(D_EXPONENT.sub(rb"\1E\2", line.removeprefix(BOM)))
    return str(copy)


def _checked(_: None, part: tuple[str, _Place]) -> tuple[bool, bool]:
    path, place = part
    return _check_frames(path, io.BytesIO(place.content(path)), place.line, place.number)


def _check_frames(path: str, file: Iterable[bytes], number: int = 0, frames: int = 0) -> tuple[bool, bool]:
    """Test whether ASE reads an XYZ file as it is, and whether it has columns without name.

    Raise Error if ASE would stop early or leave out columns. A part of a file begins after `number` lines and `frames`
    structures.
    """
    clean, unnamed, empty = True, False, False
    lines = iter(file)
    for line in lines:
        number += 1
        head = line.removeprefix(BOM).strip()
        if not head:
            empty, clean = True, clean and frames > 0
            continue
        if empty and frames:
            extra = 1 + sum(1 for rest in lines if rest.strip())
            raise Error(
                f"{path}: {extra} lines after structure {frames - 1} (line {number - 1}) are not a structure: "
                "an empty line separates them"
            )
        clean = clean and not line.startswith(BOM)
        if not head.isdigit() or len(head) > DIGITS:
            text = printable(head.decode(errors="replace"))
            raise Error(f"{path}: cannot be read at structure {frames}: {text} is no number of atoms (line {number})")
        rows = list(islice(lines, int(head) + 1))
        if len(rows) <= int(head):
            found = max(len(rows) - 1, 0)
            raise Error(
                f"{path}: cannot be read at structure {frames}: line {number} says {int(head)} atoms, {found} follow"
            )
        clean = clean and not any(D_EXPONENT.search(row) for row in rows if b"D" in row or b"d" in row)
        unnamed = not _check_columns(path, number + 1, rows) or unnamed
        number, frames = number + len(rows), frames + 1
    return clean, unnamed


def _check_columns(path: str, number: int, rows: list[bytes]) -> bool:
    """Test whether all columns have a name. The first row is line `number`.

    Raise Error if the columns of a row are not those of Properties.
    """
    properties = PROPERTIES.search(rows[0]) if rows else None
    if properties is None:
        return all(len(row.split()) <= NAMED_COLUMNS for row in rows[1:2])
    counts = properties.group(1).split(b":")[2::3]
    if not all(count.isdigit() and len(count) < DIGITS for count in counts):
        text = printable(properties.group(1).decode(errors="replace"))
        raise Error(f"{path}:{number}: Properties is {text}, expected name:type:count of columns")
    expected = sum(map(int, counts))
    for place, row in enumerate(rows[1:], number + 1):
        if len(row.split()) != expected:
            raise Error(f"{path}:{place}: has {len(row.split())} columns, expected {expected} by Properties")
    return True
