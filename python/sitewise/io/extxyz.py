"""Extended XYZ as ASE reads it, with all digits: ASE's own writer keeps 8 digits of positions and forces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .._core import Error
from ..files import atomic
from ..structures import Flags, Structure, is_symmetric
from ..text import for_line, printable

if TYPE_CHECKING:
    from ase import Atoms

NOT_INFO = ("Lattice", "Properties", "pbc")
NOT_COLUMNS = ("numbers", "positions", "species", "pos", "symbols", "move_mask")
MATRICES = ("stress", "virial")  # ASE reads nine numbers for these, or fails
VIRIAL, RENAMED = re.compile(r"(?<!\S)\"?virial\"?\s*="), "six_of_virial"
TYPES = {"f": "R", "i": "I", "u": "I", "b": "L"}  # by the kind of a numpy array; others are text


def parse_header(line: str) -> dict[str, Any]:
    """Read the second line of a structure as ASE does.

    Raises
    ------
    ValueError
        If ASE raises it. Also for a stress that is not symmetric, of which ASE would use one triangle; for a name
        that ASE knows in other letters; and for a pbc that is not true or false, which ASE would take for true.
    """
    found = _words(line)
    for key in found:
        right = next((name for name in NOT_INFO if key.lower() == name.lower()), key)
        if key != right:
            raise ValueError(f"{printable(key)} is not read, write it as {right}")
    flags = np.ravel(found.get("pbc", True))
    if flags.size not in (1, 3) or flags.dtype.kind not in "bif" or not set(flags.tolist()) <= {0, 1}:
        raise ValueError(f"pbc is {printable(str(found['pbc']))}, expected T or F for each direction")
    if "stress" in found and np.isfinite(found["stress"]).all() and not is_symmetric(found["stress"]):
        raise ValueError(f"stress is not symmetric: {_text(found['stress'])}")
    return found


def _words(line: str) -> dict[str, Any]:
    """Read a header with ASE, which requires nine numbers of a virial; allow six, too."""
    from ase.io.extxyz import key_val_str_to_dict

    found: dict[str, Any]
    try:
        found = key_val_str_to_dict(line)
    except ValueError:
        found = key_val_str_to_dict(VIRIAL.sub(f"{RENAMED}=", line))
        if np.shape(found.get(RENAMED, ())) != (6,):
            raise
        found["virial"] = found.pop(RENAMED)
    return found


def write_extxyz(file: IO[str], atoms: Atoms, results: Mapping[str, Any]) -> None:
    """Write one structure; ASE reads every number exactly as it was written.

    Texts of an array have "_" in place of blanks, which separate columns.

    Parameters
    ----------
    file
        The file to append the structure to.
    atoms
        The structure; info, arrays, constraints and periodicity are written, its calculator is ignored.
    results
        Results for ASE to read as those of a calculator: numbers of the structure, and arrays with one row per atom;
        stress as [6] xx yy zz yz xz xy. They replace info and arrays of the same name.

    Raises
    ------
    Error
        If `virial` in the info of the atoms has neither nine numbers nor six.
    """
    columns, info = _sorted(atoms, results)
    properties = ":".join(f"{name}:{kind}:{len(rows[0]) if rows else 1}" for name, kind, rows in columns)
    words = [f"Properties={_quoted(properties)}", f'pbc="{_text(atoms.pbc)}"']
    if atoms.cell.array.any():
        words.insert(0, f'Lattice="{_text(atoms.cell.array)}"')
    for key, value in info.items():
        if str(key) not in NOT_INFO:
            words += _info(str(key), value)
    file.write(f"{len(atoms)}\n{' '.join(words)}\n")
    for row in zip(*(rows for _, _, rows in columns), strict=True):
        file.write(" ".join(word for words in row for word in words) + "\n")


Column = tuple[str, str, list[list[str]]]


def _sorted(atoms: Atoms, results: Mapping[str, Any]) -> tuple[list[Column], dict[str, Any]]:
    """Return the columns, with one row per atom, and the values that belong to the structure."""
    per_atom = {name: np.asarray(value) for name, value in results.items() if name in ("forces", "energies")}
    arrays = {name: value for name, value in atoms.arrays.items() if name not in NOT_COLUMNS} | per_atom
    fixed = _movable(atoms)
    first = {"species": np.array(atoms.get_chemical_symbols(), dtype=object), "pos": atoms.positions}
    columns = [_column(name, value) for name, value in {**first, **fixed, **arrays}.items()]
    info = atoms.info | {name: value for name, value in results.items() if name not in per_atom}
    return columns, {name: value for name, value in info.items() if name not in per_atom}


def _movable(atoms: Atoms) -> dict[str, Flags]:
    """Return the column from which ASE restores constraints; none if all atoms move."""
    from ase.constraints import FixAtoms, FixCartesian

    mask = np.ones((len(atoms), 3), dtype=np.bool_)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            mask[constraint.index] = False
        elif isinstance(constraint, FixCartesian):
            mask[constraint.index] &= ~constraint.mask
    if mask.all():
        return {}
    return {"move_mask": mask[:, 0] if (mask == mask[:, :1]).all() else mask}


def _column(name: str, values: Any) -> Column:
    kind = TYPES.get(values.dtype.kind, "S")
    if kind == "I" and np.abs(values).max(initial=0) > np.iinfo(np.int32).max:
        kind = "R"  # ASE reads integers of only 32 bits
    return (
        _word(name).replace(":", "_"),
        kind,
        [[_word(value) for value in row] for row in values.reshape(len(values), -1).tolist()],
    )


def _word(value: Any) -> str:
    """Return one value as text without blanks."""
    if isinstance(value, bool):
        return "T" if value else "F"
    return repr(value) if isinstance(value, (int, float)) else "_".join(for_line(value).split()) or "_"


def _text(values: Any) -> str:
    return " ".join(_word(value) for value in np.ravel(values).tolist())


def _info(key: str, value: Any) -> Iterator[str]:
    """Yield KEY=VALUE such that ASE reads the value; yield nothing for an object that text cannot express."""
    name = key if key.isprintable() else _word(key)
    try:
        text = _matrix(key, value) if key in MATRICES else _said(value)
    except (TypeError, ValueError, RecursionError):
        return
    yield f"{_quoted(name)}={_quoted(text)}"


def _matrix(key: str, value: Any) -> str:
    numbers = np.asarray(value, dtype=np.float64)
    if key == "virial" and numbers.shape == (6,):
        return _text(numbers)
    if key == "stress" and numbers.shape == (6,):
        numbers = numbers[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
    if numbers.size != 9:
        raise Error(f"{key} has the shape {numbers.shape}, extended XYZ holds nine numbers")
    return _text(numbers.reshape(3, 3).T)  # in Fortran's order


def _said(value: Any) -> str:
    """Return a value in plain words if ASE reads these as the value, else as JSON."""
    from ase.spacegroup import Spacegroup

    if isinstance(value, Spacegroup):
        return str(value.symbol)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, (str, bool, int, float)) or (isinstance(value, np.ndarray) and value.ndim == 1):
        words = value if isinstance(value, str) else _text(value)
        if words.isprintable() and _is_read_as(words, value):
            return words
    np.array(value)  # as ASE does when it reads; raises for lists of unequal lengths
    return "_JSON " + json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)


def _is_read_as(words: str, value: Any) -> bool:
    """Test whether ASE reads the words as this value, with its type."""
    from ase.io.extxyz import key_val_str_to_dict

    found, expected = np.asarray(key_val_str_to_dict(f"key={_quoted(words)}")["key"]), np.asarray(value)
    if found.dtype.kind != expected.dtype.kind or found.shape != expected.shape:
        return False
    return np.array_equal(found, expected, equal_nan=found.dtype.kind == "f")


def _quoted(text: str) -> str:
    """Add quotes if the text has a character with a meaning for ASE."""
    if text and not set(text) & set(" \t,=\\\"'{}[]"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_structures(path: Path, structures: Sequence[Structure]) -> None:
    """Write extended XYZ with the labels, the group as `config_type`, and `info`."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    frames = []
    for s in structures:
        atoms = s.atoms.copy()
        if s.group:  # an empty one could not be read again
            atoms.info["config_type"] = s.group
        atoms.calc = SinglePointCalculator(atoms, energy=s.energy, forces=s.forces, stress=s.stress)
        frames.append(atoms)
    with atomic(path) as temporary:
        write(temporary, frames, format="extxyz")
