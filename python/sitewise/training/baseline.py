"""The pair potentials that networks are added to, the labels without them, and the energies of free atoms."""

from __future__ import annotations

import hashlib
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
from ..ranks import Ranks
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions
from .parameters import atomic_offsets

SAME = 1e-3  # eV, difference of the energies of two isolated atoms
# In units of the nearest distance: where switching off ends and where it begins. Chosen by cross-validation on training
# sets alone, see "Accuracy on molybdenum and nickel" in docs/development/tried.md.
OUTER, INNER = 0.8, 0.4

POINTS = 20000  # of the tables that LAMMPS makes of a table, in even steps of the square of the distance


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


def make_baseline(table: Baseline, elements: Sequence[str]) -> _core.Baseline | None:
    """Return the pair potentials that a table with a settled range asks for; None without any.

    Raises
    ------
    Error
        The range is wrong, or a pair table cannot be read or is for other elements.
    """
    zbl = (table.zbl[0], table.zbl[1]) if isinstance(table.zbl, list) else None
    tables = pair_tables(table, elements)
    return _core.Baseline(elements, zbl, tables) if zbl or tables else None


def pair_tables(table: Baseline, elements: Sequence[str]) -> dict[tuple[int, int], _core.PairTable]:
    """Read the pair tables, by the indices of two elements, the smaller one first.

    Raises
    ------
    Error
        A file cannot be read, or a table is for other elements.
    """
    found = {}
    for name, read in table.read_pair_tables().items():
        unknown = [element for element in name.split("-") if element not in elements]
        if unknown:
            raise Error(f"[baseline.pair_tables] {name} has {unknown[0]}, which no training structure has")
        a, b = sorted(elements.index(element) for element in name.split("-"))
        found[a, b] = read
    return dict(sorted(found.items()))


def require_covered(baseline: _core.Baseline | None, functions: SymmetryFunctions, closest: Floats) -> None:
    """Require that pair potentials reach no farther than the functions, and tables from the closest pairs on.

    Parameters
    ----------
    baseline
        The pair potentials.
    functions
        The symmetry functions.
    closest
        The shortest distance of each pair of elements in the training data [n, n], Angstrom.

    Raises
    ------
    Error
        One does not.
    """
    if baseline is None:
        return
    if baseline.cutoff > functions.cutoff:
        raise Error(
            f"[baseline] pair potentials reach {baseline.cutoff:g} Angstrom, expected at most the "
            f"{functions.cutoff:g} of the symmetry functions"
        )
    for (a, b), table in baseline.tables.items():
        if table.distances[0] > closest[a, b]:
            raise Error(
                f"[baseline.pair_tables] {functions.elements[a]}-{functions.elements[b]} begins at "
                f"{table.distances[0]:g} Angstrom, expected at most {closest[a, b]:.4g}, the shortest distance in the "
                "training data"
            )


def digest_of_tables(baseline: _core.Baseline) -> str:
    """Return the SHA-256 of all pair tables."""
    digest = hashlib.sha256()
    for pair, table in baseline.tables.items():
        digest.update(repr(pair).encode())
        for values in (table.distances, table.energies, table.forces):
            digest.update(values.tobytes())
    return digest.hexdigest()


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
                f"[baseline] atom_energies has {known[element]:.6g} eV for {element}, which exact_atom_energies makes "
                f"exact, but an isolated atom in the training data has {label:.6g}"
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


def without_baseline(data: Dataset, baseline: _core.Baseline | None, ranks: Ranks | None = None) -> Dataset:
    """Return the structures with the labels that remain for the network, without the pair potentials.

    Parameters
    ----------
    data
        Structures; a missing label stays missing.
    baseline
        The pair potentials; None for none, and the data themselves are returned.
    ranks
        The ranks that share the structures; this process alone by default.
    """
    if baseline is None or not len(data):
        return data
    ranks = ranks or Ranks()
    number = ranks.share(_alone(baseline))
    left = Dataset(ranks.map(_without, number, data))
    ranks.forget(number)
    return left


def _alone(baseline: _core.Baseline) -> Potential:
    """Return a potential of the pair potentials alone, whose networks are 0."""
    from ase.data import chemical_symbols

    elements = [chemical_symbols[number] for number in baseline.atomic_numbers]
    n = len(elements)
    plan = _core.SymmetryFunctions(
        n, [SymmetryFunction(RADIAL, a, b, eta=0.0, cutoff=baseline.cutoff) for a, b in product(range(n), repeat=2)]
    )
    scaling = _core.Scaling("none", 0.0, 1.0, [np.zeros((4, n))] * n)
    core = _core.Potential(elements, plan, scaling, [_core.Network([n, 1], "l") for _ in elements], [0.0] * n)
    core.baseline = baseline
    return Potential(core)


def _without(alone: Potential, structure: Structure) -> Structure:
    with structure.named():
        found = alone.evaluate(structure.atoms)
    return replace(
        structure,
        energy=None if structure.energy is None else structure.energy - found.energy,
        forces=None if structure.forces is None else structure.forces - found.forces,
        stress=None if structure.stress is None or found.stress is None else structure.stress - found.stress,
    )


def with_baseline(core: _core.Potential, baseline: _core.Baseline | None) -> Potential:
    """Return a copy of a trained potential that adds the pair potentials."""
    made = _core.Potential(core.elements, core.functions, core.scaling, core.networks, core.atom_energies)
    made.baseline = baseline
    return Potential(made)


def in_lammps(elements: Sequence[str], cutoff: float, baseline: _core.Baseline) -> Iterator[str]:
    """Yield the lines that add the pair potentials to the potential in the folder DIR in LAMMPS's `hdnnp`; atom
    types are numbered as the elements."""
    from ase.data import atomic_numbers

    zbl, tables = baseline.zbl, baseline.tables
    styles = f" zbl {zbl[0]:.10g} {zbl[1]:.10g}" if zbl else ""
    styles += f" table spline {POINTS}" if tables else ""
    yield f"pair_style hybrid/overlay hdnnp {cutoff:.10g} dir DIR{styles}"
    yield f"pair_coeff * * hdnnp {' '.join(elements)}"
    for (a, first), (b, second) in combinations_with_replacement(enumerate(elements, 1), 2) if zbl else ():
        yield f"pair_coeff {a} {b} zbl {atomic_numbers[first]} {atomic_numbers[second]}"
    for a, b in tables:
        yield f"pair_coeff {a + 1} {b + 1} table DIR/baseline.table {elements[a]}-{elements[b]}"
