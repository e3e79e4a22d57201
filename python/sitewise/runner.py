"""Structures in the format of RuNNer and n2p2, `input.data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ._core import Error
from .dataset import Structure
from .files import atomic

BEGIN = "begin"


def is_runner(path: str | Path) -> bool:
    """Whether a file begins as an `input.data` does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(16).split()[:1] == [BEGIN.encode()]
    except OSError:
        return False


def read_runner(path: str | Path, cflength: float = 1.0, cfenergy: float = 1.0) -> Iterator[Structure]:
    """The structures of a file, in which cflength and cfenergy are Angstrom and eV.

    Raises
    ------
    Error
        That names file and line.
    """
    lines: list[list[str]] = []
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == BEGIN:
                lines = []
            elif words[0] == "end":
                try:
                    yield _structure(lines, f"{path}, line {number}", cflength, cfenergy)
                except (ValueError, IndexError, KeyError) as error:
                    raise Error(f"{path}:{number}: the structure that ends here cannot be read: {error}") from None
                lines = []
            else:
                lines.append(words)
    if lines:
        raise Error(f"{path}: ends within a structure")


def _structure(lines: list[list[str]], source: str, cflength: float, cfenergy: float) -> Structure:
    from ase import Atoms

    rows = {name: [words for words in lines if words[0] == name] for name in ("lattice", "atom", "energy", "comment")}
    if len(rows["lattice"]) not in (0, 3):
        raise ValueError(f"{len(rows['lattice'])} lattice vectors")
    numbers = np.array([words[1:4] + words[7:10] for words in rows["atom"]], float).reshape(-1, 6)
    cell = np.array([words[1:4] for words in rows["lattice"]], float) / cflength
    atoms = Atoms(
        [words[4] for words in rows["atom"]],
        positions=numbers[:, :3] / cflength,
        cell=cell if len(cell) else None,
        pbc=bool(len(cell)),
    )
    comment = " ".join(rows["comment"][0][1:]) if rows["comment"] else ""
    if comment:
        atoms.info["comment"] = comment
    energy = float(rows["energy"][0][1]) / cfenergy if rows["energy"] else None
    return Structure(atoms, energy, numbers[:, 3:] * (cflength / cfenergy), None, "", source)


def write_runner(structures: Iterable[Structure], path: str | Path, cflength: float, cfenergy: float) -> None:
    """Writes structures with energy and forces (0 where unknown); periodic in all directions or in none.

    Raises
    ------
    Error
        If a structure is periodic in some directions only.
    """
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for structure in structures:
            file.writelines(line + "\n" for line in _lines(structure, cflength, cfenergy))


def _lines(structure: Structure, cflength: float, cfenergy: float) -> Iterator[str]:
    atoms = structure.atoms
    if atoms.pbc.any() != atoms.pbc.all():
        raise Error(f"{structure.source}: periodic in some directions only, which input.data cannot say")
    forces = np.zeros((len(atoms), 3)) if structure.forces is None else structure.forces
    yield BEGIN
    yield f"comment {atoms.info.get('comment', structure.group or structure.source)}"
    for vector in atoms.cell.array * cflength if atoms.pbc.all() else ():
        yield "lattice " + _text(vector)
    for symbol, position, force in zip(atoms.symbols, atoms.positions, forces, strict=True):
        yield f"atom {_text(position * cflength)} {symbol} 0.0 0.0 {_text(force * (cfenergy / cflength))}"
    yield f"energy {float((structure.energy or 0.0) * cfenergy)!r}"
    yield "charge 0.0"
    yield "end"


def _text(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
