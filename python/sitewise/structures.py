"""A structure with its labels, and the arrays that the extension takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._core import Error
from .pickles import pickled
from .text import printable

if TYPE_CHECKING:
    from ase import Atoms

Floats: TypeAlias = npt.NDArray[np.float64]
Floats32: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Flags: TypeAlias = npt.NDArray[np.bool_]
Arrays: TypeAlias = tuple[Ints, Floats, Floats, Flags]

VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])  # xx yy zz yz xz xy, the order of ASE

# Nine numbers are not a stress if they differ from their transpose by more than this fraction of the largest, and by
# more than rounding and convergence can explain.
ASYMMETRY, LEAST_ASYMMETRY = 0.01, 1e-4  # eV/Angstrom^3


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """One structure of n atoms and its labels; None for a label that is unknown.

    Attributes
    ----------
    atoms
        Without a calculator.
    energy
        eV.
    forces
        [n, 3], eV/Angstrom.
    stress
        [6] xx yy zz yz xz xy, eV/Angstrom^3, tensile positive.
    group
        The value of `config_type` or `group` in the file; "" if there is none.
    source
        File and place, for messages.
    sources
        The name under which each label was found in the file.
    """

    atoms: Atoms
    energy: float | None
    forces: Floats | None
    stress: Floats | None
    group: str
    source: str
    sources: Mapping[str, str] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(type(self), {f.name: getattr(self, f.name) for f in fields(self)})

    @contextmanager
    def named(self) -> Iterator[None]:
        """Make an Error raised in the block name this structure."""
        try:
            yield
        except Error as error:
            raise Error(f"{self.source}: {error}") from None


def is_symmetric(stress: Floats) -> bool:
    """Test whether a stress [3, 3] in eV/Angstrom^3 is symmetric up to rounding."""
    difference = float(np.abs(stress - stress.T).max())
    return difference <= max(ASYMMETRY * float(np.abs(stress).max()), LEAST_ASYMMETRY)


def core_arrays(atoms: Atoms, elements: Sequence[str], owner: str) -> Arrays:
    """Return species [n] (indices into `elements`), positions [n, 3], cell [3, 3] and pbc [3] of a structure.

    Raises
    ------
    Error
        If this is no structure, or if it has no atoms, an atomic number without element, or an element that `owner`
        (for example "the potential") does not have.
    """
    from ase.data import atomic_numbers, chemical_symbols

    if not hasattr(atoms, "numbers"):
        several = isinstance(atoms, Sequence)
        hint = "; evaluate_many takes several structures" if several else ""
        raise Error(f"found a {type(atoms).__name__}, expected ase.Atoms{hint}")
    if not len(atoms):
        raise Error("structure has no atoms")
    index = np.full(len(chemical_symbols) + 1, -1, dtype=np.int32)
    index[[atomic_numbers[symbol] for symbol in elements]] = range(len(elements))
    species = index.take(atoms.numbers, mode="clip")  # no element has the index of either end
    if species.min() < 0:
        require_elements(atoms.numbers)
        unknown = dict.fromkeys(chemical_symbols[number] for number in atoms.numbers[species < 0])
        raise Error(f"structure has element {', '.join(unknown)}, {owner} has {', '.join(elements)}")
    return species, np.array(atoms.positions), np.array(atoms.cell.array), np.array(atoms.pbc)


def require_elements(numbers: npt.NDArray[np.integer[Any]]) -> None:
    """Raise Error for an atomic number without element.

    In ASE 0 is a placeholder, and a negative number would count from the end.
    """
    from ase.data import chemical_symbols

    last = len(chemical_symbols) - 1
    wrong = np.flatnonzero((numbers < 1) | (numbers > last))
    if wrong.size:
        raise Error(f"atom {wrong[0]} has the atomic number {numbers[wrong[0]]}, expected 1 to {last}")


def by_atomic_number(symbols: Sequence[str]) -> list[str]:
    """Return the distinct chemical symbols in the order of their atomic numbers, the order of a potential's elements.

    Raises
    ------
    Error
        If a symbol is not an element.
    """
    from ase.data import atomic_numbers

    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
    if unknown:
        raise Error(f"there is no element {printable(', '.join(unknown))}")
    return sorted(set(symbols), key=lambda symbol: int(atomic_numbers[symbol]))
