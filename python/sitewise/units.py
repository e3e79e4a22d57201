"""Units of data whose files do not state them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from ase.units import create_units

from ._core import Error
from .text import printable

# In Angstrom, eV and eV/Angstrom^3.
CODATA = create_units("2018")
BOHR: float = CODATA["Bohr"]
HARTREE: float = CODATA["Hartree"]
KJ_PER_MOL: float = CODATA["kJ"] / CODATA["mol"]
LENGTHS = {"Angstrom": 1.0, "Bohr": BOHR}
ENERGIES = {
    "eV": 1.0,
    "Hartree": HARTREE,
    "Rydberg": HARTREE / 2,
    "kcal/mol": CODATA["kcal"] / CODATA["mol"],
    "kJ/mol": KJ_PER_MOL,
}
GPA: float = CODATA["GPa"]
STRESSES = {"eV/Angstrom^3": 1.0, "GPa": GPA, "kbar": GPA / 10}
SAME = 1e-6  # largest relative difference between two values of one unit


@dataclass(frozen=True, slots=True)
class Units:
    """Units of the numbers in a file.

    Attributes
    ----------
    length
        The unit of length in Angstrom.
    energy
        The unit of energy in eV.
    pressure
        The unit of stress in eV/Angstrom^3; None if it is energy / length^3.
    """

    length: float = 1.0
    energy: float = 1.0
    pressure: float | None = None

    @classmethod
    def of(cls, length_unit: str | float, energy_unit: str | float, stress_unit: str | None = None) -> Units:
        """Make units from their names, in upper or lower case, or from their sizes in Angstrom and eV.

        Raises
        ------
        Error
            If there is no such unit, or if a size is not positive and finite.
        """
        pressure = None if stress_unit is None else _size(stress_unit, STRESSES, "stress_unit")
        length, energy = _size(length_unit, LENGTHS, "length_unit"), _size(energy_unit, ENERGIES, "energy_unit")
        return cls(length, energy, pressure)

    @property
    def force(self) -> float:
        """Return the unit of forces in eV/Angstrom."""
        return self.energy / self.length

    @property
    def stress(self) -> float:
        """Return the unit of stress in eV/Angstrom^3."""
        return self.energy / self.length**3 if self.pressure is None else self.pressure

    @property
    def names(self) -> tuple[str, str]:
        """Return the names of the units of energy and length."""
        return _name(self.energy, ENERGIES), _name(self.length, LENGTHS)

    def __str__(self) -> str:
        stress = "" if self.pressure is None else f", stress in {_name(self.pressure, STRESSES)}"
        return " and ".join(self.names) + stress


def energy(text: str, what: str) -> float:
    """Return an energy in eV from a number with a unit, as in "5 meV"; a number alone is in eV.

    Raises
    ------
    Error
        If `text` is not a positive energy; `what` names it.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:e[-+]?[0-9]+)?)\s*([a-z/]*)\s*", text, flags=re.IGNORECASE)
    sizes = {name.lower(): size for name, size in {"": 1.0, "meV": 1e-3, **ENERGIES}.items()}
    try:
        value = float(found[1]) * sizes[found[2].lower().removesuffix("/atom")] if found else 0.0
    except (ValueError, KeyError):
        value = 0.0
    if not (isfinite(value) and value > 0):
        raise Error(f'{what} is {printable(text)}, expected a positive energy such as "5 meV" or 0.005 (eV)')
    return value


def _size(unit: str | float, known: Mapping[str, float], what: str) -> float:
    """Return the size of a unit in the first unit of `known`."""
    if not isinstance(unit, str):
        if not (isfinite(unit) and unit > 0):
            raise Error(f"{what} is {unit}, expected a positive number or {', '.join(known)}")
        return float(unit)
    found = next((size for name, size in known.items() if name.lower() == unit.lower()), None)
    if found is None:
        raise Error(f"{what} is {printable(unit)}, expected {', '.join(known)}")
    return found


def _name(size: float, known: Mapping[str, float]) -> str:
    """Return the name of a unit; the sizes in directories of published potentials may differ in the last digits."""
    name = next((name for name, other in known.items() if abs(size / other - 1) < SAME), None)
    return name or f"units of {size:.10g} {next(iter(known))}"
