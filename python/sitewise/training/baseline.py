"""The repulsion of nuclei that networks are added to: its range, and the labels without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement, product

import numpy as np

from .. import _core
from .._core import Error, SymmetryFunction
from ..config import Baseline, Config
from ..io.dataset import Dataset
from ..potential import Potential
from ..presets import RADIAL, REACH, nearest_distances
from ..progress import Reporter
from ..structures import Structure
from .parameters import atomic_offsets

SAME = 1e-3  # eV, difference of the energies of two isolated atoms
# In units of the nearest distance: where switching off ends and where it begins. Chosen by cross-validation on training
# sets alone, see "Accuracy on molybdenum and nickel" in docs/development/tried.md.
OUTER, INNER = 0.8, 0.4

Range = tuple[float, float]  # inner and outer distance, Angstrom


def settled_baseline(config: Config, data: Dataset, reporter: Reporter) -> Config:
    """Return the configuration with a range for the repulsion, if it is to follow the data.

    The range is that of the shortest of the nearest distances of pairs of elements. The preset "accurate" has the
    repulsion unless it is switched off.
    """
    given = config.baseline.zbl
    if given != "auto" and (given is not None or config.symmetry_functions.preset != "accurate"):
        return config
    nearest = float(nearest_distances(data, data.elements).min())
    zbl = [round(INNER * nearest, 3), round(OUTER * nearest, 3)]
    reporter.say(f"repulsion of nuclei is switched off from {zbl[0]:g} to {zbl[1]:g} Angstrom")
    return config.model_copy(update={"baseline": config.baseline.model_copy(update={"zbl": zbl})})


def range_of(config: Config) -> Range | None:
    """Return the range of the repulsion of a settled configuration; None without one."""
    zbl = config.baseline.zbl
    return (zbl[0], zbl[1]) if isinstance(zbl, list) else None


def atom_energies(table: Baseline, data: Dataset, elements: Sequence[str], reporter: Reporter) -> list[float]:
    """Return the energy of a free atom of each element, eV, as the table asks for, and report it.

    Raises
    ------
    Error
        An element lacks an energy or a structure of one isolated atom, or two such structures differ.
    """
    given = table.atom_energies
    if given == "least squares":
        return atomic_offsets(data, elements)
    labels = _isolated(data) if given == "isolated" or table.exact_atom_energies else {}
    known = given if isinstance(given, dict) else labels
    lacking = [element for element in elements if element not in known]
    if lacking:
        what = "atom_energies has no" if isinstance(given, dict) else "no structure of one isolated atom has an"
        raise Error(f"[baseline] {what} energy of {', '.join(lacking)}")
    unknown = sorted(set(known) - set(elements))
    if unknown:
        raise Error(f"[baseline] atom_energies has {', '.join(unknown)}, which no training structure has")
    for element, label in labels.items():
        if abs(known[element] - label) > SAME:
            raise Error(
                f"[baseline] atom_energies has {known[element]:.6g} eV for {element}, which exact_atom_energies keeps; "
                f"an isolated atom in the training data has {label:.6g}"
            )
    values = ", ".join(f"{element} {known[element]:.6g} eV" for element in elements)
    reporter.say(f"energies of free atoms: {values}")
    return [known[element] for element in elements]


def _isolated(data: Dataset) -> dict[str, float]:
    """Return the energy of each element of which there is a structure of one atom without neighbours, eV."""
    found: dict[str, float] = {}
    for structure in data:
        atoms = structure.atoms
        if len(atoms) > 1 or structure.energy is None:
            continue
        cell, pbc = atoms.cell.array, np.array(atoms.pbc)
        if len(_core.neighbor_list(atoms.positions, cell, pbc, REACH)[0]):
            continue
        element = atoms.get_chemical_symbols()[0]
        if abs(found.setdefault(element, structure.energy) - structure.energy) > SAME:
            raise Error(
                f"{structure.source}: the energy of an isolated {element} is {structure.energy:.6g} eV, another "
                f"structure has {found[element]:.6g}"
            )
    return found


def without_baseline(data: Dataset, zbl: Range | None) -> Dataset:
    """Return the structures with the labels that remain for the network, without the repulsion.

    Parameters
    ----------
    data
        Structures; a missing label stays missing.
    zbl
        Range of the repulsion of nuclei, Angstrom; None for none, and the data themselves are returned.

    Raises
    ------
    Error
        The range is wrong.
    """
    if zbl is None or not len(data):
        return data
    repulsion = _repulsion(data.elements, zbl)
    return Dataset(_without(structure, repulsion) for structure in data)


def _repulsion(elements: Sequence[str], zbl: Range) -> Potential:
    """Return a potential of the repulsion alone, whose networks are 0."""
    n = len(elements)
    pairs = product(range(n), repeat=2)
    plan = _core.SymmetryFunctions(n, [SymmetryFunction(RADIAL, a, b, eta=0.0, cutoff=zbl[1]) for a, b in pairs])
    scaling = _core.Scaling("none", 0.0, 1.0, [np.zeros((4, n))] * n)
    core = _core.Potential(list(elements), plan, scaling, [_core.Network([n, 1], "l") for _ in elements], [0.0] * n)
    core.set_zbl(*zbl)
    return Potential(core)


def _without(structure: Structure, repulsion: Potential) -> Structure:
    with structure.named():
        found = repulsion.evaluate(structure.atoms)
    return replace(
        structure,
        energy=None if structure.energy is None else structure.energy - found.energy,
        forces=None if structure.forces is None else structure.forces - found.forces,
        stress=None if structure.stress is None or found.stress is None else structure.stress - found.stress,
    )


def with_baseline(core: _core.Potential, zbl: Range | None) -> Potential:
    """Return a copy of a trained potential that adds the repulsion."""
    made = _core.Potential(core.elements, core.functions, core.scaling, core.networks, core.atom_energies)
    if zbl is not None:
        made.set_zbl(*zbl)
    return Potential(made)


def in_lammps(elements: Sequence[str], cutoff: float, zbl: Range) -> Iterator[str]:
    """Yield the lines that add the repulsion to the potential in LAMMPS's `pair_style hdnnp`; atom types are numbered
    as the elements."""
    from ase.data import atomic_numbers

    yield f"pair_style hybrid/overlay hdnnp {cutoff:.10g} dir DIR zbl {zbl[0]:.10g} {zbl[1]:.10g}"
    yield f"pair_coeff * * hdnnp {' '.join(elements)}"
    for (a, first), (b, second) in combinations_with_replacement(enumerate(elements, 1), 2):
        yield f"pair_coeff {a} {b} zbl {atomic_numbers[first]} {atomic_numbers[second]}"
