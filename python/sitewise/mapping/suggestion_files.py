"""Files of suggested structures: extended XYZ, POSCAR or inputs of CP2K."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._core import Error
from ..files import atomic, write_text
from ..structures import Structure
from .variants import in_a_cell

if TYPE_CHECKING:
    from ase import Atoms

XYZ, ONE_EACH = (".xyz", ".extxyz"), (".vasp", ".poscar", ".inp")

# Energy and forces with periods PERIODIC; the method is the user's, in a file that all inputs share.
CP2K = """# {what}
&GLOBAL
  PROJECT {name}
  RUN_TYPE ENERGY_FORCE
&END GLOBAL
&FORCE_EVAL
  METHOD QUICKSTEP
  # The method: &DFT with functional, basis sets, cutoffs, k-points and, for PERIODIC NONE, a Poisson solver.
  @INCLUDE 'dft.inc'
  &PRINT
    &FORCES
    &END FORCES
  &END PRINT
  &SUBSYS
    # Basis sets and potentials of {elements}: one &KIND each.
    @INCLUDE 'kinds.inc'
    &CELL
      A {a}
      B {b}
      C {c}
      PERIODIC {periodic}
    &END CELL
    &COORD
{positions}
    &END COORD
  &END SUBSYS
&END FORCE_EVAL
"""


def files_of(path: Path, n: int) -> list[str]:
    """Return the names of n suggestions.

    A file `.xyz` or `.extxyz` has all of them. With `.vasp` or `.poscar` (POSCAR) and `.inp` (CP2K) each has a file of
    its own, with its number before the suffix. A folder has `suggestions.xyz` with all, and a POSCAR and an input of
    CP2K for each.

    Raises
    ------
    Error
        For another suffix.
    """
    suffix = path.suffix.lower()
    if suffix in XYZ:
        return [f"{path}, structure {k}" for k in range(n)]
    if suffix in ONE_EACH:
        return [str(_numbered(path, k)) for k in range(n)]
    if suffix and not path.is_dir():
        expected = ", ".join((*XYZ, *ONE_EACH))
        raise Error(
            f"{path}: there is no format for suggestions with the suffix {suffix}, expected {expected} or a folder"
        )
    return [f"{path / 'suggestions.xyz'}, structure {k}" for k in range(n)]


def write_suggestions(path: Path, structures: Sequence[Structure]) -> None:
    """Write suggestions, see `files_of`; the source of each describes it."""
    suffix = path.suffix.lower()
    if suffix in XYZ:
        _write_xyz(path, structures)
    elif suffix in ONE_EACH:
        for k, s in enumerate(structures):
            _write_one(_numbered(path, k), s)
    else:
        path.mkdir(parents=True, exist_ok=True)
        _write_xyz(path / "suggestions.xyz", structures)
        for k, s in enumerate(structures):
            _write_one(path / f"{k:02d}.poscar", s)
            _write_one(path / f"{k:02d}.inp", s)


def _numbered(path: Path, k: int) -> Path:
    return path.with_name(f"{path.stem}-{k:02d}{path.suffix}")


def _write_xyz(path: Path, structures: Sequence[Structure]) -> None:
    from ase.io import write

    frames = []
    for s in structures:
        atoms = s.atoms.copy()
        atoms.info = {"config_type": "suggestion", "comment": s.source}
        frames.append(atoms)
    with atomic(path) as temporary:
        write(temporary, frames, format="extxyz")


def _write_one(path: Path, structure: Structure) -> None:
    atoms = in_a_cell(structure.atoms)
    if path.suffix.lower() == ".inp":
        write_text(path, _cp2k(atoms, structure, path.stem))
        return
    from ase.io import write

    atoms = atoms[np.argsort(atoms.numbers, kind="stable")]
    with atomic(path) as temporary:
        write(temporary, atoms, format="vasp", direct=True)


def _cp2k(atoms: Atoms, structure: Structure, name: str) -> str:
    periodic = "".join(axis for axis, period in zip("XYZ", structure.atoms.pbc, strict=True) if period) or "NONE"
    vectors = [" ".join(f"{x:.10f}" for x in vector) for vector in atoms.cell.array]
    lines = [
        f"      {symbol} " + " ".join(f"{x:.10f}" for x in position)
        for symbol, position in zip(atoms.symbols, atoms.positions, strict=True)
    ]
    elements = ", ".join(sorted(set(atoms.symbols)))
    a, b, c = vectors
    return CP2K.format(
        what=structure.source,
        name=name,
        elements=elements,
        a=a,
        b=b,
        c=c,
        periodic=periodic,
        positions="\n".join(lines),
    )
