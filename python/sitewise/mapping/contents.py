"""What the data hold: structures, atoms, energies, and elements that no energy informs about."""

from __future__ import annotations

from dataclasses import dataclass

from .counts import compositions
from .diagnostic import Diagnostic
from .gspace import Embedding


@dataclass(frozen=True, slots=True)
class Contents(Diagnostic):
    """Numbers of atoms, structures and energies.

    Attributes
    ----------
    elements_without_energy
        Elements in no structure whose energy is known.
    """

    n_atoms: int
    n_structures: int
    n_energies: int
    elements_without_energy: list[str]


def contents(embedding: Embedding) -> Contents:
    """Return what the data hold."""
    data, placed = embedding.data, embedding.placed
    atoms = compositions(placed)[embedding.informing].sum(axis=0)
    lacking = [embedding.functions.elements[e] for e, n in zip(placed.elements, atoms, strict=True) if not n]
    return Contents(placed.n_atoms, len(data), data.count("energy"), lacking)
