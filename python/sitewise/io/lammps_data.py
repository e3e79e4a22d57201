"""Structures as LAMMPS data files, with masses and all digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .._core import Error
from ..files import write_text
from ..structures import Structure, by_atomic_number
from ..text import for_line


def write_lammps_data(structure: Structure, path: str | Path) -> None:
    """Write a structure in atom_style atomic and units metal.

    Atom types are the elements sorted by atomic number, as in a potential. The cell is rotated so that a is along x and
    b in the xy plane. The first line has the settings that LAMMPS needs beside the file, `boundary` among them.

    Raises
    ------
    Error
        If the structure has no cell in three directions.
    """
    if structure.atoms.cell.rank < 3:
        raise Error(f"{structure.source}: has no cell in three directions, which LAMMPS needs as its box")
    write_text(path, "".join(line + "\n" for line in _lines(structure)))


def _lines(structure: Structure) -> Iterator[str]:
    from ase.data import atomic_masses, atomic_numbers

    atoms = structure.atoms.copy()
    if np.linalg.det(atoms.cell.array) < 0:  # LAMMPS takes only right-handed cells
        atoms.set_cell(atoms.cell.array[[1, 0, 2]])
        atoms.pbc = atoms.pbc[[1, 0, 2]]
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    elements = by_atomic_number(list(atoms.symbols))
    (xx, _, _), (xy, yy, _), (xz, yz, zz) = atoms.cell.array.tolist()
    boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
    yield f"{for_line(structure.source)}, units metal, atom_style atomic, boundary {boundary}"
    yield ""
    yield f"{len(atoms)} atoms"
    yield f"{len(elements)} atom types"
    for axis, edge in zip("xyz", (xx, yy, zz), strict=True):
        yield f"0 {edge!r} {axis}lo {axis}hi"
    if xy or xz or yz:
        yield f"{xy!r} {xz!r} {yz!r} xy xz yz"
    yield from ("", "Masses", "")
    for kind, symbol in enumerate(elements, 1):
        yield f"{kind} {float(atomic_masses[atomic_numbers[symbol]])!r}  # {symbol}"
    yield from ("", "Atoms  # atomic", "")
    for number, (symbol, position) in enumerate(zip(atoms.symbols, atoms.get_positions(wrap=True), strict=True), 1):
        yield f"{number} {elements.index(symbol) + 1} {' '.join(map(repr, position.tolist()))}"
