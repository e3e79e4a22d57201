"""Structures in the format of RuNNer and n2p2, `input.data`."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._core import Error
from ..files import atomic
from ..structures import Floats
from ..text import for_line, printable

if TYPE_CHECKING:
    from ase import Atoms

    from ..structures import Structure

BEGIN, END = "begin", "end"
COMMENT = ("#", "!")
COLUMNS = {"atom": 10, "lattice": 4, "energy": 2, "charge": 2}  # words of a line, the keyword among them
HEAD = 1 << 20  # bytes within which the first structure of a file begins
GROUP = re.compile(r'config_type=("(?:[^"\\]|\\.)*")\s*(.*)')  # at the start of a comment, by `write_runner`
BARE_EXPONENT = re.compile(r"(?<=[\d.])([+-]\d+)$")  # Fortran's 1.0-101


def is_runner(path: str | Path) -> bool:
    """Test whether a file, compressed or not, begins as an `input.data`: blank lines, comments, then `begin`."""
    from ase.io.formats import open_with_compression

    try:
        with open_with_compression(str(path), "rb") as file:
            head = file.read(HEAD).decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, LZMAError, zlib.error):
        return False  # the reader reports what is wrong
    words = (line.split() for line in head.splitlines())
    return next((w[0] == BEGIN for w in words if w and not w[0].startswith(COMMENT)), False)


def read_runner(path: str | Path, name: str | None = None) -> Iterator[Atoms]:
    """Yield the structures of a file, with energy and forces as results of a calculator, in the units of the file.

    Parameters
    ----------
    path
        The file.
    name
        Its name in messages, if not its path.

    Yields
    ------
    atoms
        Its info has the structure's `comment`, its group as `config_type` if `write_runner` wrote one, and its total
        `charge` if that is not 0.

    Raises
    ------
    Error
        If the file is wrong, with its name and line.
    """
    name = name or str(path)
    block: _Block | None = None
    with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words or words[0].startswith(COMMENT):
                continue
            place = f"{name}:{number}"
            if words[0] == BEGIN:
                if block is not None:
                    raise Error(f"{place}: a structure begins within another one, expected end before")
                block = _Block(place)
            elif block is None:
                raise Error(f"{place}: {printable(words[0])} is outside of a structure, expected begin")
            elif words[0] == END:
                yield block.atoms(place)
                block = None
            else:
                block.add(words, line, place)
    if block is not None:
        raise Error(f"{name}: ends within the structure that begins at {block.place}")


class _Block:
    """The lines of one structure."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.comment: str | None = None
        self.rows: dict[str, list[list[str]]] = {keyword: [] for keyword in COLUMNS}
        self.places: dict[str, list[str]] = {keyword: [] for keyword in COLUMNS}

    def add(self, words: list[str], line: str, place: str) -> None:
        keyword = words[0]
        if keyword == "comment":
            self.comment = self.comment or line.strip()[len(keyword) :].strip()
            return
        if keyword not in COLUMNS:
            raise Error(f"{place}: unknown keyword {printable(keyword)}, expected {', '.join(COLUMNS)}, comment or end")
        end = next((k for k, word in enumerate(words) if word.startswith(COMMENT)), len(words))
        if end != COLUMNS[keyword]:
            raise Error(f"{place}: {keyword} has {end - 1} values, expected {COLUMNS[keyword] - 1}")
        if keyword in ("energy", "charge") and self.rows[keyword]:
            raise Error(f"{place}: a second {keyword} of one structure")
        self.rows[keyword].append(words[1:end])
        self.places[keyword].append(place)

    def atoms(self, place: str) -> Atoms:
        """Return the structure; it ends at `place`."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        rows, places = self.rows["atom"], self.places["atom"]
        if not rows:
            raise Error(f"{place}: the structure that ends here has no atoms")
        symbols = [_element(row[3], at) for row, at in zip(rows, places, strict=True)]
        numbers = _numbers([row[:3] + row[4:] for row in rows], places)
        cell = self._cell(place)
        atoms = Atoms(symbols, positions=numbers[:, :3], cell=cell, pbc=cell is not None)
        forces, energy = numbers[:, 5:], self._scalar("energy")
        if energy or forces.any():  # else it has no labels; `write_runner` writes unknown labels in this way
            atoms.calc = SinglePointCalculator(atoms, forces=forces, **energy)
        atoms.info |= _of_comment(self.comment or "")
        atoms.info |= {name: value for name, value in self._scalar("charge").items() if value}
        return atoms

    def _cell(self, place: str) -> Floats | None:
        rows = self.rows["lattice"]
        if len(rows) not in (0, 3):
            raise Error(f"{place}: the structure that ends here has {len(rows)} lattice vectors, expected 3 or none")
        if not rows:
            return None
        cell = _numbers(rows, self.places["lattice"])
        if np.linalg.matrix_rank(cell) < 3:
            raise Error(f"{place}: the lattice vectors of the structure that ends here span no volume")
        return cell

    def _scalar(self, keyword: str) -> dict[str, float]:
        """Return the number of energy or charge, if there is one."""
        rows = self.rows[keyword]
        return {keyword: float(_numbers(rows, self.places[keyword])[0, 0])} if rows else {}


def _of_comment(comment: str) -> dict[str, str]:
    """Return comment and group of a structure, if it has them."""
    found = GROUP.fullmatch(comment)
    values = {"config_type": json.loads(found[1]), "comment": found[2]} if found else {"comment": comment}
    return {name: value for name, value in values.items() if value}


def _element(symbol: str, place: str) -> str:
    from ase.data import atomic_numbers

    if atomic_numbers.get(symbol, 0) < 1:
        raise Error(f"{place}: there is no element {printable(symbol)}")
    return symbol


def _numbers(rows: Sequence[Sequence[str]], places: Sequence[str]) -> Floats:
    """Return rows of words as finite numbers; `places` names the rows."""
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError:
        values = None
    if values is None or any("_" in "".join(row) for row in rows):  # Python takes 1_0 for 10
        values = np.array([[number(word, at) for word in row] for row, at in zip(rows, places, strict=True)])
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise Error(f"{places[row]}: {printable(rows[row][column])} is not a finite number")
    return values


def number(word: str, place: str) -> float:
    """Read a number as Fortran or C writes it: 1.5, 1.5E3, 1.5D3, 1.5-101."""
    text = word.lower().replace("d", "e").replace("_", "?")
    try:
        return float(text if "e" in text else BARE_EXPONENT.sub(r"e\1", text))
    except ValueError:
        raise Error(f"{place}: {printable(word)} is not a number") from None


def write_runner(structures: Iterable[Structure], path: str | Path, cflength: float, cfenergy: float) -> None:
    """Write structures with energy and forces, or, for predictions, structures that all have no label.

    Without labels the file has no energy lines and has forces of 0, which `read_runner` takes for unknown. The
    structures are periodic in all directions or in none.

    Parameters
    ----------
    structures
        The structures.
    path
        The file.
    cflength, cfenergy
        1 Angstrom and 1 eV in the units of the file.

    Raises
    ------
    Error
        If a structure is periodic in some directions only, or lacks the energy or the forces.
    """
    structures = list(structures)
    if any(s.energy is not None or s.forces is not None for s in structures):
        _require_labels(structures)
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for structure in structures:
            file.writelines(line + "\n" for line in _lines(structure, cflength, cfenergy))


def _require_labels(structures: Sequence[Structure]) -> None:
    lacking = [s for s in structures if s.energy is None or s.forces is None]
    if lacking:
        what = "energy" if lacking[0].energy is None else "forces"
        raise Error(
            f"{lacking[0].source}: has no {what}, as {len(lacking)} of {len(structures)} structures lack energy or "
            "forces; input.data cannot say that these are unknown: leave such structures out by --labelled-only"
        )


def _lines(structure: Structure, cflength: float, cfenergy: float) -> Iterator[str]:
    atoms = structure.atoms
    if atoms.pbc.any() != atoms.pbc.all():
        raise Error(f"{structure.source}: periodic in some directions only, which input.data cannot say")
    forces = np.zeros((len(atoms), 3)) if structure.forces is None else structure.forces
    yield BEGIN
    group = f"config_type={json.dumps(structure.group)} " if structure.group else ""
    yield f"comment {group}{for_line(atoms.info.get('comment', '' if group else structure.source))}".rstrip()
    for vector in atoms.cell.array * cflength if atoms.pbc.all() else ():
        yield "lattice " + _text(vector)
    for symbol, position, force in zip(atoms.symbols, atoms.positions, forces, strict=True):
        yield f"atom {_text(position * cflength)} {symbol} 0.0 0.0 {_text(force * (cfenergy / cflength))}"
    if structure.energy is not None:
        yield f"energy {float(structure.energy * cfenergy)!r}"
    yield "charge 0.0"
    yield "end"


def _text(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
