"""Weights of structures and of the forces on atoms in the loss."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from .._core import Error
from ..config import Training
from ..io.dataset import Dataset
from ..structures import Floats, Structure
from ..text import printable


def structure_weights(data: Dataset, settings: Training) -> list[float]:
    """Return the weight of each structure: that of its group, times the value in its info that the settings name.

    A structure without such a value has the weight of its group.

    Raises
    ------
    Error
        A value is not a number, or is negative or not finite.
    """
    if settings.structure_weights is None:
        return [settings.weight(facts.group) for facts in data.facts()]
    return [settings.weight(s.group) * float(_of_structure(s, settings.structure_weights)) for s in data]


def atom_weights(data: Dataset, settings: Training) -> list[Floats] | None:
    """Return the weights of the forces on the atoms [n] of each structure, from the column that the settings name; None
    if they name none. A structure without it has weights 1.

    Raises
    ------
    Error
        A column does not have one number for each atom, or a number is negative or not finite.
    """
    if settings.atom_weights is None:
        return None
    return [_of_atoms(s, settings.atom_weights) for s in data]


def require_weights(data: Dataset, settings: Training) -> None:
    """Raise Error if no structure has a weight of a name that the settings give."""
    for setting, columns in (("structure_weights", False), ("atom_weights", True)):
        name = getattr(settings, setting)
        if name is not None and not any(name in (s.atoms.arrays if columns else s.atoms.info) for s in data):
            place = "column" if columns else "value in its info"
            raise Error(f"[training] {setting}: no training structure has a {place} {printable(name)}")


def digest_of_weights(data: Dataset, settings: Training) -> str:
    """Return the SHA-256 of the weights that the data hold."""
    digest = hashlib.sha256(np.array(structure_weights(data, settings)).tobytes())
    for each in atom_weights(data, settings) or ():
        digest.update(each.tobytes())
    return digest.hexdigest()


def combined(one: Sequence[Floats] | None, other: Sequence[Floats] | None) -> Sequence[Floats] | None:
    """Return the products of two sets of weights of atoms; None stands for weights 1."""
    if one is None or other is None:
        return other if one is None else one
    return [a * b for a, b in zip(one, other, strict=True)]


def _of_structure(structure: Structure, name: str) -> Floats:
    return _checked(structure, structure.atoms.info.get(name, 1.0), name, ())


def _of_atoms(structure: Structure, name: str) -> Floats:
    n = len(structure.atoms)
    return _checked(structure, structure.atoms.arrays.get(name, np.ones(n)), name, (n,))


def _checked(structure: Structure, value: object, name: str | None, shape: tuple[int, ...]) -> Floats:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.shape != shape or not np.all(np.isfinite(numbers) & (numbers >= 0)):
        expected = "a number of at least 0" + (" for each atom" if shape else "")
        raise Error(
            f"{structure.source}: {printable(str(name))} is not a weight: found {printable(value)}, expected {expected}"
        )
    return numbers
