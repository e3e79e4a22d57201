"""Labels of structures as files hold them: energy, forces and stress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._core import Error
from .structures import Floats
from .units import Units

if TYPE_CHECKING:
    from ase import Atoms

LABELS = ("energy", "forces", "stress")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels of one structure of n atoms; None where one is unknown.

    Attributes
    ----------
    energy
        eV.
    forces
        [n, 3], eV/Angstrom.
    stress
        [6] xx yy zz yz xz xy, eV/Angstrom^3, tensile positive.
    """

    energy: float | None
    forces: Floats | None
    stress: Floats | None


def check_keys(keys: Mapping[str, str]) -> None:
    """Raises Error where a key is given for what is no label."""
    unknown = set(keys) - set(LABELS)
    if unknown:
        raise Error(f"there is no label {', '.join(sorted(unknown))}, expected {', '.join(LABELS)}")


def find(atoms: Atoms, keys: Mapping[str, str], units: Units, source: str) -> Labels:
    """The labels of a structure.

    Parameters
    ----------
    atoms
        As a reader gives it, with positions and cell in Angstrom; its labels are in `units`.
    keys
        Names of "energy", "forces" and "stress", where they are not the usual ones.
    units
        Of the labels in the file.
    source
        File and place, for messages.

    Raises
    ------
    Error
        If a label is not finite or has a wrong shape.
    """
    energy, forces, stress = (_label(atoms, label, keys.get(label), source) for label in LABELS)
    return Labels(
        None if energy is None else float(energy) * units.energy,
        None if forces is None else forces * units.force,
        None if stress is None else stress * units.stress,
    )


def require_finite(values: Floats, name: str, source: str) -> None:
    """Raises Error where a number is not finite."""
    if not np.all(np.isfinite(values)):
        atom = f" of atom {np.argwhere(~np.isfinite(values))[0][0]}" if name in ("position", "forces") else ""
        raise Error(f"{source}: {name}{atom} is not finite")


def _label(atoms: Atoms, label: str, key: str | None, source: str) -> Floats | None:
    found = _lookup(atoms, label, key)
    if found is None:
        return None
    shape = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}[label]
    try:
        value = np.array(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise Error(f"{source}: {label} is not a number: {found!r}") from None
    if label == "stress" and value.size == 9:
        value = value.reshape(3, 3)
        value = ((value + value.T) / 2)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    if value.shape != shape and not (label == "energy" and value.size == 1):
        raise Error(f"{source}: {label} has shape {value.shape}, expected {shape}")
    require_finite(value, label, source)
    return value.reshape(shape)


def _lookup(atoms: Atoms, label: str, key: str | None) -> Any:
    """The label of a structure, None if it has none."""
    results = dict(atoms.calc.results) if atoms.calc is not None else {}
    if key is not None:
        places: list[Mapping[str, Any]] = [atoms.info, atoms.arrays, results]
        return next((place[key] for place in places if key in place), None)
    reference = f"REF_{label}"
    given = [atoms.info, atoms.arrays]
    found = next((place[reference] for place in given if reference in place), results.get(label))
    return results.get("free_energy") if found is None and label == "energy" else found
