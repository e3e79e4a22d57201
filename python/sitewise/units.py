"""Units of data whose files do not say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ._core import Error

# CODATA 2018; in Angstrom and in eV.
BOHR = 0.529177210903
HARTREE = 27.211386245988
KJ_PER_MOL = 1 / 96.48533212331
LENGTHS = {"Angstrom": 1.0, "Bohr": BOHR}
ENERGIES = {
    "eV": 1.0,
    "Hartree": HARTREE,
    "Rydberg": HARTREE / 2,
    "kcal/mol": 4.184 * KJ_PER_MOL,
    "kJ/mol": KJ_PER_MOL,
}


@dataclass(frozen=True, slots=True)
class Units:
    """Units of the numbers in a file.

    Attributes
    ----------
    length_unit
        A name of LENGTHS, in any case.
    energy_unit
        A name of ENERGIES, in any case.

    Raises
    ------
    Error
        If there is no such unit.
    """

    length_unit: str = "Angstrom"
    energy_unit: str = "eV"

    def __post_init__(self) -> None:
        for name, known in (("length_unit", LENGTHS), ("energy_unit", ENERGIES)):
            object.__setattr__(self, name, _spelled(getattr(self, name), known, name))

    @property
    def length(self) -> float:
        """Angstrom."""
        return LENGTHS[self.length_unit]

    @property
    def energy(self) -> float:
        """eV."""
        return ENERGIES[self.energy_unit]

    @property
    def force(self) -> float:
        """eV/Angstrom."""
        return self.energy / self.length

    @property
    def stress(self) -> float:
        """eV/Angstrom^3."""
        return self.energy / self.length**3

    def __str__(self) -> str:
        return f"{self.energy_unit} and {self.length_unit}"


def _spelled(name: str, known: Mapping[str, float], what: str) -> str:
    """A unit's name as it stands in `known`."""
    found = next((each for each in known if each.lower() == name.lower()), None)
    if found is None:
        raise Error(f"{what} is {name!r}, expected {', '.join(known)}")
    return found
