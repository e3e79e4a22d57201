"""Structures in HDF5: the files that MACE prepares, and the layout of the ANI data sets.

MACE (`mace_prepare_data`): groups `config_batch_0`, ... with a group `config_0`, ... for each structure. It holds
`atomic_numbers`, `positions`, `cell`, `pbc`, `config_type` and `weight`, and in the groups `properties` and
`property_weights` the labels and their weights (in older files beside them, as `energy` and `energy_weight`). The text
"None" stands for what is unknown, in older files also a label of weight 0. Units are eV and Angstrom.

ANI (J. S. Smith et al., Sci. Data 7, 134 (2020); also TorchANI and SPICE): a group for each molecule, at any depth,
with `species` or `atomic_numbers` [n], or [m, n], `coordinates` or `conformations` [m, n, 3], and labels of m
structures such as `energies` [m] and `forces` [m, n, 3]. NaN stands for what is unknown. Units are those of the
attributes `units`, if there are any.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core import Error
from ..files import atomic
from ..structures import VOIGT
from ..text import printable
from ..units import ENERGIES, LENGTHS, SAME, STRESSES, Units

if TYPE_CHECKING:
    from ase import Atoms

    from ..structures import Structure

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".h5", ".hdf5")
BATCH, CONFIG = "config_batch_", "config_"
NO_TYPE = "Default"  # MACE's config_type of structures that have none
COORDINATES = ("coordinates", "conformations")
SPECIES = ("species", "atomic_numbers", "numbers")
RESULTS = {"energy": "energy", "energies": "energy", "forces": "forces", "stress": "stress"}
LARGEST, RATIO = 1 << 27, 1000  # bytes of a dataset, or times the size of the file (what gzip reaches at most)
ALIASES = {"a": "angstrom", "å": "angstrom", "ang": "angstrom", "angstroms": "angstrom", "a0": "bohr", "ha": "hartree"}
ALIASES |= {"eh": "hartree", "hartrees": "hartree", "ry": "rydberg"}


class Frames:
    """The structures of a file, each of which is read when it is asked for.

    Parameters
    ----------
    path
        The file.
    name
        Its name in messages, if not its path.

    Raises
    ------
    Error
        If h5py is missing, or if the file is damaged or has another layout.
    """

    def __init__(self, path: str, name: str = "") -> None:
        self.name = name or path
        self._file = _module(self.name).File(path, "r", locking="best-effort")
        self._size = Path(path).stat().st_size
        self.unread: dict[str, None] = {}
        """Names of what is neither of a structure nor of an atom."""
        try:
            keys = list(self._file)
            self.of_mace = bool(keys) and all(key.startswith(BATCH) for key in keys)
            self._groups = self._batches(len(keys)) if self.of_mace else self._molecules()
        except BaseException:
            self.close()
            raise
        self._ends = list(accumulate(group.size for group in self._groups))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, numbers: range) -> Iterator[Atoms]:
        """Yield the structures of some numbers, with their labels as results of a calculator and other values as they
        are, in the units of the file."""
        for k, some in groupby(numbers, lambda number: bisect_right(self._ends, number)):
            group = self._groups[k]
            places = [number - self._ends[k] + group.size for number in some]
            yield from (self._configs if self.of_mace else self._conformers)(group.path, places)

    def require_units(self, units: Units) -> bool:
        """Test whether the file states its units; raise Error if they are others than `units`."""
        stated = self.of_mace
        for group in () if self.of_mace else self._groups:
            for key, data in self._datasets(group.path).items():
                text = data.attrs.get("units", data.attrs.get("unit"))
                known = _unit(key, units)
                if text is None or known is None:
                    continue
                stated, (size, names) = True, known
                found = names.get(_normal(_text(text)))
                if found is None or not abs(found / size - 1) < SAME:
                    raise Error(
                        f"{self.name}: {printable(data.name)} has the units {printable(_text(text))}, but the file is "
                        f"to be read in {units}: give its units as length_unit and energy_unit"
                    )
        return stated

    def _batches(self, count: int) -> list[_Group]:
        """Return MACE's groups in the order of their numbers."""
        return [_Group(f"{BATCH}{k}", len(self._member(self._file, f"{BATCH}{k}"))) for k in range(count)]

    def _molecules(self) -> list[_Group]:
        """Return the groups with coordinates, in alphabetical order."""
        names: dict[str, None] = {}

        def visit(name: str, item: Any) -> None:
            if hasattr(item, "shape") and not name.rpartition("/")[2].startswith("_"):
                names[item.parent.name] = None

        self._file.visititems(visit)
        found = []
        for path in names:
            datasets = self._datasets(path)
            key, species = (next((k for k in keys if k in datasets), "") for keys in (COORDINATES, SPECIES))
            if not key or not species:
                raise Error(
                    f"{self.name}: {printable(path)} has {printable(', '.join(datasets), 200)}, expected "
                    "coordinates and species, as in the ANI data sets, or groups config_batch_0, ... of MACE"
                )
            shape = datasets[key].shape
            if len(shape) != 3 or shape[2] != 3:
                raise Error(f"{self.name}: {printable(datasets[key].name)} has shape {shape}, expected (m, n, 3)")
            found.append(_Group(path, shape[0]))
        return found

    def _datasets(self, path: str) -> dict[str, Any]:
        """Return the datasets of a group."""
        return {key: data for key, data in self._file[path].items() if hasattr(data, "shape") and key[:1] != "_"}

    def _member(self, group: Any, key: str) -> Any:
        if key not in group:
            raise Error(f"{self.name}: {printable(group.name)} has no {key}")
        return group[key]

    def _values(self, data: Any, part: Any = ()) -> Any:
        """Return numbers or text of a dataset, or of a part of it; None for the text "None"."""
        if data.nbytes > max(LARGEST, RATIO * self._size):
            raise Error(f"{self.name}: {printable(data.name)} says it has {data.nbytes:.6g} bytes, more than the file")
        values = data[part]
        if isinstance(values, (bytes, str)):
            return None if _text(values) == "None" else _text(values)
        if values.dtype.kind in "OS":
            return np.array([_text(value) for value in values.ravel()], dtype=str).reshape(values.shape)
        return values

    def _configs(self, path: str, places: Iterable[int]) -> Iterator[Atoms]:
        """Yield structures of a batch of MACE."""
        batch = self._file[path]
        for place in places:
            group = self._member(batch, f"{CONFIG}{place}")
            numbers, positions = (self._values(self._member(group, key)) for key in ("atomic_numbers", "positions"))
            values = {k: self._values(v) for k, v in group.items() if hasattr(v, "shape")}
            values |= {k: self._values(v) for k, v in group.get("properties", {}).items()}
            weights = {k: self._values(v) for k, v in group.get("property_weights", {}).items()}
            weights |= {k[:-7]: values.pop(k) for k in list(values) if k.endswith("_weight") and k[:-7] in values}
            for key, weight in weights.items():
                if weight == 0:
                    values.pop(key, None)
                elif weight is not None and weight != 1 and key in values:
                    values[f"{key}_weight"] = weight
            if values.get("config_type") == NO_TYPE:
                del values["config_type"]
            yield self._atoms(group.name, numbers, positions, values)

    def _conformers(self, path: str, places: Sequence[int]) -> Iterator[Atoms]:
        """Yield structures of a group in the layout of ANI."""
        datasets = self._datasets(path)
        key, species = (next(k for k in keys if k in datasets) for keys in (COORDINATES, SPECIES))
        rows = slice(min(places), max(places) + 1, abs(places[-1] - places[-2]) if len(places) > 1 else 1)
        whole: dict[str, Any] = {}
        each: dict[str, Any] = {}
        for name, data in datasets.items():
            if len(data.shape) == {species: 1, "cell": 2, "pbc": 1}.get(name):
                whole[name] = self._values(data)
            elif data.shape[:1] == datasets[key].shape[:1]:
                each[name] = self._values(data, rows)
            elif name in (species, "cell", "pbc", *RESULTS):
                raise Error(
                    f"{self.name}: {printable(data.name)} has shape {data.shape}, but {key} have {datasets[key].shape}"
                )
            else:
                self.unread[name] = None
        for place in places:
            values = whole | {name: array[(place - rows.start) // rows.step] for name, array in each.items()}
            numbers, positions = values.pop(species), values.pop(key)
            yield self._atoms(path, numbers, positions, {k: v for k, v in values.items() if not _is_nan(v)})

    def _atoms(self, path: str, numbers: Any, positions: Any, values: dict[str, Any]) -> Atoms:
        """Make a structure; values of labels become results of a calculator."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        n = np.size(numbers)
        numbers, positions = _numbers(self.name, path, numbers), np.asarray(positions, dtype=np.float64)
        if positions.shape != (n, 3):
            raise Error(f"{self.name}: {printable(path)} has {n} elements and positions of shape {positions.shape}")
        values = {k: v for k, v in values.items() if v is not None and k not in ("atomic_numbers", "positions")}
        cell, pbc = values.pop("cell", None), values.pop("pbc", None)
        if cell is not None and pbc is None:
            raise Error(f"{self.name}: {printable(path)} has a cell, but no pbc to say which directions are periodic")
        atoms = Atoms(numbers, positions, cell=cell, pbc=False if pbc is None else np.asarray(pbc, dtype=bool))
        results: dict[str, Any] = {}
        for key, value in values.items():
            if key in RESULTS:
                if RESULTS[key] in results:
                    raise Error(f"{self.name}: {printable(path)} has both energy and energies")
                results[RESULTS[key]] = value
            elif np.ndim(value) and len(value) == n:
                atoms.arrays[key] = np.array(value)
            else:
                atoms.info[key] = str(value) if isinstance(value, str) else value
        if results:
            atoms.calc = SinglePointCalculator(atoms)
            atoms.calc.results = results
        return atoms


class _Group(NamedTuple):
    """A group of the file, and its number of structures."""

    path: str
    size: int


def is_hdf5(path: str) -> bool:
    """Test whether a file is HDF5."""
    with Path(path).open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def write_hdf5(structures: Iterable[Structure], output: Path) -> list[str]:
    """Write structures as MACE prepares them, one at a time.

    Parameters
    ----------
    structures
        In eV and Angstrom. Numbers and text of info and arrays become further properties.
    output
        The file.

    Returns
    -------
    lost
        Names of values that are neither numbers nor text.
    """
    lost: dict[str, None] = {}
    with atomic(output) as temporary, _module(str(output)).File(temporary, "w", locking=False) as file:
        batch = file.create_group(f"{BATCH}0")
        for k, structure in enumerate(structures):
            group, atoms = batch.create_group(f"{CONFIG}{k}"), structure.atoms
            values = {k: v for k, v in atoms.info.items() if k not in ("config_type", "weight")}
            values |= {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
            known = {"energy": structure.energy, "forces": structure.forces, "stress": _matrix(structure.stress)}
            group["atomic_numbers"], group["positions"] = atoms.numbers, atoms.positions
            group["cell"], group["pbc"] = atoms.cell.array, atoms.pbc
            group["config_type"] = structure.group or NO_TYPE
            group["weight"] = float(atoms.info.get("weight", 1.0))
            properties, weights = group.create_group("properties"), group.create_group("property_weights")
            for key, value in {**values, **known}.items():
                if not _storable(key, value):
                    lost[str(key)] = None
                    continue
                properties[key] = "None" if value is None else value
                weights[key] = float(value is not None)
    return list(lost)


def _module(name: str) -> Any:
    """Return h5py, or raise Error if it is missing."""
    try:
        import h5py
    except ImportError:
        raise Error(f"{name}: HDF5 needs h5py, which is not installed: pip install 'sitewise[hdf5]'") from None
    return h5py


def _matrix(stress: Any) -> Any:
    """Return a stress [6] as [3, 3]."""
    if stress is None:
        return None
    full = np.empty((3, 3))
    full[VOIGT] = stress
    full.T[VOIGT] = stress
    return full


def _storable(key: Any, value: Any) -> bool:
    """Test whether a value can be a dataset of that name."""
    try:
        kind = "f" if value is None else np.asarray(value).dtype.kind
    except ValueError:  # rows of different lengths
        return False
    good = kind in "biuf" or isinstance(value, str)
    return good and isinstance(key, str) and bool(key) and "/" not in key and key != "."


def _numbers(name: str, path: str, species: Any) -> Any:
    """Return atomic numbers of numbers or chemical symbols."""
    from ase.data import atomic_numbers

    found = np.asarray(species)
    if found.dtype.kind in "iu":
        return found
    if found.dtype.kind != "U" or not all(symbol in atomic_numbers for symbol in found):
        raise Error(
            f"{name}: the elements of {printable(path)} are {printable(found)}, expected atomic numbers or symbols"
        )
    return [atomic_numbers[symbol] for symbol in found]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_nan(value: Any) -> bool:
    """Test whether all numbers of a value are NaN."""
    array = np.asarray(value)
    return array.dtype.kind == "f" and bool(array.size) and bool(np.isnan(array).all())


def _normal(unit: str) -> str:
    """Return the name of a unit in lower case, without blanks and with the usual names of its parts."""
    parts = unit.lower().replace(" ", "").replace("**", "^").split("/")
    return "/".join(ALIASES.get(part, part) for part in parts)


def _unit(key: str, units: Units) -> tuple[float, Mapping[str, float]] | None:
    """Return the size of a dataset's unit in the units of the file, and the sizes of the units that it may have; None
    if it is neither a length nor a label."""
    lengths, energies = ({name.lower(): size for name, size in known.items()} for known in (LENGTHS, ENERGIES))
    if key in (*COORDINATES, "cell"):
        return units.length, lengths
    if re.search("force|gradient", key):
        return units.force, {f"{e}/{length}": energies[e] / lengths[length] for e in energies for length in lengths}
    if "stress" in key:
        of_volume = {f"{e}/{length}^3": energies[e] / lengths[length] ** 3 for e in energies for length in lengths}
        return units.stress, of_volume | {name.lower(): size for name, size in STRESSES.items()}
    return (units.energy, energies) if re.search("energ|virial", key) else None
