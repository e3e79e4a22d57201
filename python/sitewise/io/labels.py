"""The labels of structures as files hold them: energy, forces and stress."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Error
from ..structures import VOIGT, Floats, is_symmetric
from ..text import printable
from ..units import Units

if TYPE_CHECKING:
    from ase import Atoms

LABELS = ("energy", "forces", "stress")
KEYS = (*LABELS, "virial")  # keys that a user may name
CALCULATOR = "calculator"  # the source if a format itself defines energy, forces or stress
FREE_ENERGY = "free_energy"

# Names that look like labels, and names of settings, other vectors and our own output, which are no labels
NAMED = re.compile("energy|force|stress|virial", re.IGNORECASE)
ENERGY = re.compile("energy|^e_?(tot|dft|pot|0)?$|^toten$", re.IGNORECASE)
OTHER = re.compile(
    "weight|sigma|spread|std|cutoff|kinetic|momenta|vel|magmom|dipole|mask|disp|pos|coord", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of one structure of n atoms; None for a label that is unknown.

    Attributes
    ----------
    energy
        eV.
    forces
        [n, 3], eV/Angstrom.
    stress
        [6] xx yy zz yz xz xy, eV/Angstrom^3, tensile positive.
    sources
        For each label that is known, the name under which it was found, or CALCULATOR.
    """

    energy: float | None
    forces: Floats | None
    stress: Floats | None
    sources: Mapping[str, str]


class LabelReader:
    """A reader of the labels of one structure after another.

    Parameters
    ----------
    keys
        Names of "energy", "forces" and "stress", or of the "virial" in place of the stress, if they are not the usual
        ones.

    Raises
    ------
    Error
        If a key is not a label, if both stress and virial have a key, or if a virial is named as stress.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        _check_keys(keys)
        self.keys = dict(keys)
        self._names: dict[str, None] = {}  # of all values of the structures, in their order
        self._sixes: set[str] = set()
        self._stress_of_atoms = 0  # number of structures

    def find(self, atoms: Atoms, units: Units, source: str) -> Labels:
        """Find the labels of a structure.

        Parameters
        ----------
        atoms
            The structure from a reader, with positions and cell in Angstrom and labels in `units`.
        units
            Units of the labels in the file.
        source
            File and place, for messages.

        Raises
        ------
        Error
            If a label is not finite or has a wrong shape, or if a stress of nine numbers is not symmetric.
        """
        results = dict(atoms.calc.results) if atoms.calc is not None else {}
        if np.shape(results.get("stress", ()))[1:] in ((6,), (9,)):
            self._stress_of_atoms += 1
            del results["stress"]
        self._names.update(dict.fromkeys([*map(str, atoms.info), *atoms.arrays, *results]))
        values: dict[str, Any] = dict.fromkeys(LABELS)
        sources = {}
        for label in LABELS:
            found = self._lookup(atoms, results, label)
            if found is not None:
                values[label], sources[label] = self._value(atoms, label, *found, units, source), found[1]
        energy = values.pop("energy")
        return Labels(None if energy is None else float(energy), **values, sources=sources)

    def without_labels(self, atoms: Atoms) -> Atoms:
        """Return a copy without calculator and without the values that are read as labels.

        Atomic energies that ASE takes for a result of the calculator stay a column.
        """
        bare: Atoms = atoms.copy()
        if atoms.calc is not None and np.shape(atoms.calc.results.get("energies")) == (len(atoms),):
            bare.arrays.setdefault("energies", np.array(atoms.calc.results["energies"]))
        bare.calc = None
        given = {label: self.keys.get(label, f"REF_{label}") for label in LABELS}
        for name in {*given.values(), *self.keys.values()} - {"numbers", "positions"}:
            bare.info.pop(name, None)
            bare.arrays.pop(name, None)
        return bare

    def require_keys(self, files: str) -> None:
        """Raise Error if no structure has a key that was given."""
        for label, key in self.keys.items():
            if key not in self._names:
                raise Error(f"{files}: no structure has {printable(key)}, named as {label}{self.alike(key)}")

    def alike(self, key: str = "") -> str:
        """Return names that may be meant by a key, as the end of a sentence."""
        close = difflib.get_close_matches(key, self._names, n=3)
        found = list(dict.fromkeys([*close, *(name for name in self._names if NAMED.search(name))]))
        return f"; there is {', '.join(map(printable, found[:8]))}" if found else ""

    def notes(self) -> Iterator[str]:
        """Yield what was assumed, in sentences."""
        for name in sorted(self._sixes):
            yield f"the six numbers of {printable(name)} are taken as xx yy zz yz xz xy"
        if self._stress_of_atoms:
            yield f"stresses of atoms are not read (structures with them: {self._stress_of_atoms})"

    def _lookup(self, atoms: Atoms, results: Mapping[str, Any], label: str) -> tuple[Any, str] | None:
        """Return the label of a structure and its name, None if it has none."""
        given: list[Mapping[str, Any]] = [atoms.info, atoms.arrays]
        key = self.keys.get(label) or (self.keys.get("virial") if label == "stress" else None)
        if key is not None:
            name = CALCULATOR if key == label else key
            named = next(((place[key], key) for place in given if key in place), None)
            return (results[key], name) if named is None and key in results else named
        reference = f"REF_{label}"
        found = next(((place[reference], reference) for place in given if reference in place), None)
        if found is None and results.get(label) is not None:
            return results[label], CALCULATOR
        if found is None and label == "energy" and results.get(FREE_ENERGY) is not None:
            return results[FREE_ENERGY], FREE_ENERGY
        return found

    def _value(self, atoms: Atoms, label: str, found: Any, name: str, units: Units, source: str) -> Floats:
        """Return a label in eV and Angstrom."""
        shape = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}[label]
        called = label if name == CALCULATOR or name == f"REF_{label}" else f"{label} ({printable(name)})"
        try:
            value = np.array(found, dtype=np.float64)
        except (TypeError, ValueError):
            value = None
        if value is None or np.asarray(found).dtype.kind == "b":
            raise Error(f"{source}: {called} is not a number: {printable(str(found))}")
        nine = label == "stress" and value.size == 9
        if value.shape != shape and not nine and not (label == "energy" and value.size == 1):
            raise Error(f"{source}: {called} has shape {value.shape}, expected {shape}")
        require_finite(value, label, source)
        if label == "stress":
            if not nine and name != CALCULATOR:
                self._sixes.add(name)
            return self._stress(atoms, value.reshape(3, 3) if nine else value, units, f"{source}: {called}")
        return value.reshape(shape) * (units.energy if label == "energy" else units.force)

    def _stress(self, atoms: Atoms, value: Floats, units: Units, source: str) -> Floats:
        """Return the stress [6] of a stress or virial, [6] or [3, 3]."""
        volume = float(atoms.cell.volume) or 1.0  # without volume it is not periodic: dropped later
        scaled = value * (-units.energy / volume if "virial" in self.keys else units.stress)
        if scaled.shape == (6,):
            return scaled
        if not is_symmetric(scaled):
            raise Error(f"{source} is not symmetric: {' '.join(f'{x:g}' for x in value.ravel())}")
        symmetric: Floats = (scaled + scaled.T) / 2
        return symmetric[VOIGT]


def require_finite(values: Floats, name: str, source: str) -> None:
    """Raise Error if a number is not finite."""
    if not np.all(np.isfinite(values)):
        atom = f" of atom {np.argwhere(~np.isfinite(values))[0][0]}" if name in ("position", "forces") else ""
        raise Error(f"{source}: {name}{atom} is not finite")


def by_source(sources: Iterable[Mapping[str, str]]) -> dict[str, Counter[str]]:
    """Count how many structures have each label from each source."""
    counts: dict[str, Counter[str]] = {label: Counter() for label in LABELS}
    for each in sources:
        for label, name in each.items():
            counts[label][name] += 1
    return {label: count for label, count in counts.items() if count}


def counted(count: Counter[str]) -> str:
    """Return the counts as "8 REF_energy, 2 from the calculator"."""
    said = {CALCULATOR: "from the calculator", FREE_ENERGY: "free_energy from the calculator"}
    return ", ".join(f"{n} {said.get(name, printable(name))}" for name, n in sorted(count.items()))


def require_one_source(counts: Mapping[str, Counter[str]], files: str) -> None:
    """Raise Error if a label comes from several sources, which may stand for different methods."""
    for label, count in counts.items():
        if len(count) > 1:
            raise Error(
                f"{files}: {label} is mixed, {counted(count)}; name one of them as key, or allow the mixture by "
                "mixed_labels = true in [data] or by --mixed-labels"
            )


def unused(atoms: Atoms, known: Collection[str]) -> Iterator[str]:
    """Yield the names of values that look like a label and were not read.

    Parameters
    ----------
    atoms
        The structure without its labels.
    known
        Labels that are known: six or nine numbers beside a stress are the same stress in another convention.
    """
    for name, value in atoms.arrays.items():
        if value.dtype.kind == "f" and value.shape == (len(atoms), 3) and not OTHER.search(name):
            yield name
    for name, value in atoms.info.items():
        if isinstance(name, str) and _looks_like_label(name, value, known) and not OTHER.search(name):
            yield name


def _looks_like_label(name: str, value: Any, known: Collection[str]) -> bool:
    if isinstance(value, str):
        return False
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return False
    if array.dtype.kind not in "if":
        return False
    if array.shape in ((6,), (9,), (3, 3)):
        return "stress" not in known and (array.dtype.kind == "f" or bool(NAMED.search(name)))
    return array.size == 1 and bool(ENERGY.search(name))


def _check_keys(keys: Mapping[str, str]) -> None:
    unknown = set(keys) - set(KEYS)
    if unknown:
        raise Error(f"there is no label {', '.join(sorted(unknown))}, expected {', '.join(LABELS)} or virial")
    if "grad" in keys.get("forces", "").lower():
        raise Error(f"{printable(keys['forces'])} is named as forces: a gradient is minus the forces")
    if "stress" in keys and "virial" in keys:
        raise Error("stress and virial are both named: name the one to train on")
    for label, other in (("stress", "virial"), ("virial", "stress")):
        name = keys.get(label, "").lower()
        if other in name and label not in name:
            raise Error(
                f"{printable(keys[label])} is named as {label}: name it as {other}; a virial (eV) is minus the stress "
                "(eV/Angstrom^3) times the volume"
            )
