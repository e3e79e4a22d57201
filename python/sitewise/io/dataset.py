"""Data sets: structures with labels of energy, forces and stress."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .._core import Error
from ..pickles import pickled
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Structure, by_atomic_number, require_elements
from ..text import PATH, printable
from ..units import Units
from .kept import Facts, Kept, Live
from .labels import LABELS, LabelReader, by_source, counted, require_finite, require_one_source, unused
from .plausibility import implausible
from .readers import read_structures

if TYPE_CHECKING:
    from ase import Atoms

GROUP_KEYS = ("config_type", "group")


class Dataset(Sequence[Structure]):
    """A sequence of structures with labels.

    `read`, slices and `split` make data sets, too.

    Parameters
    ----------
    structures
        Structures, or `ase.Atoms` in Angstrom and eV, whose labels are found as `read` finds them by default.
    stresses_ignored
        Number of stresses that were left out.

    Raises
    ------
    Error
        An item is neither, or is damaged as in `read`.
    """

    def __init__(self, structures: Iterable[Structure | Atoms], stresses_ignored: int = 0) -> None:
        reader = _Reader({}, Units.of("Angstrom", "eV"))
        self._structures = structures if isinstance(structures, Kept) else Kept(_in_memory(reader, structures))
        self._stresses_ignored = stresses_ignored + reader.stresses_ignored

    @classmethod
    def read(
        cls,
        paths: str | Path | Sequence[str | Path],
        index: str = ":",
        keys: Mapping[str, str] | None = None,
        require_labels: bool = True,
        reporter: Reporter | None = None,
        mixed_labels: bool = False,
        length_unit: str | float = "Angstrom",
        energy_unit: str | float = "eV",
        stress_unit: str | None = None,
        keep_unconverged: bool = False,
        keep_machine_learned: bool = False,
        ranks: Ranks | None = None,
    ) -> Dataset:
        """Read RuNNer's and n2p2's `input.data`, HDF5 of MACE and ANI, and every file that `ase.io` can read.

        Each of energy, forces and stress is the first of these that exists: the value named in `keys`; the value named
        REF_energy, REF_forces or REF_stress; the result of the calculator in the file ("energy", or else
        "free_energy"). A stress may be 3x3, 9 or 6 numbers (xx yy zz yz xz xy). It is left out for a structure that is
        not periodic in three directions.

        Parameters
        ----------
        paths
            One or more files or glob patterns.
        index
            Which structures of each file, in the notation of ASE.
        keys
            Names of "energy", "forces" and "stress", or of the "virial" (eV, minus stress times volume) in place of the
            stress, if they are not the usual ones. A name is looked up in the structure's info, arrays and calculator
            results.
        require_labels
            Whether data without any label is an error.
        reporter
            Reports the progress, the labels found, what looks like a label but is not used, and what is implausible.
            The default writes to stderr.
        mixed_labels
            Whether a label may have different sources in different structures.
        length_unit, energy_unit
            Units of the numbers in the files: names of `sitewise.units`, or sizes in Angstrom and eV. A format that ASE
            converts by itself, such as an output of VASP, allows only Angstrom and eV.
        stress_unit
            "GPa", "kbar" or "eV/Angstrom^3"; without it, the unit of energy / length^3.
        keep_unconverged, keep_machine_learned
            Whether to keep steps of DFT outputs whose electrons did not converge, or that a machine-learned force field
            of VASP made.
        ranks
            The ranks that share the work, from `sitewise.ranks.all_ranks`; this process alone if not given.

        Raises
        ------
        Error
            If a file is missing or damaged or has other units, if a position or label is not finite or has a wrong
            shape (with file and number of the structure, counted from 0), if a stress is not symmetric, if no structure
            has a key that is given, if the sources of a label are mixed, or if there is no label at all.
        """
        keys, reporter = dict(keys or {}), reporter or Reporter()
        units = Units.of(length_unit, energy_unit, stress_unit)
        reader = _Reader(keys, units)
        files = expand(paths)
        keep = keep_unconverged, keep_machine_learned
        doubts = [doubt for path in files for doubt in reader.read(path, index, *keep, reporter, ranks)]
        data = cls(reader.structures, reader.stresses_ignored)
        names = ", ".join(files)
        if require_labels:
            data.require_labels(keys, reader.labels.alike())
        reader.labels.require_keys(names)
        if not mixed_labels:
            require_one_source(data.counts_by_source(), names)
        reporter.say(f"{names}: {data.summary()}{data.sources()}, in {units}")
        for note in (*reader.labels.notes(), *data.unused_labels()):
            reporter.say(note)
        for doubt in doubts:
            reporter.warn(doubt)
        return data

    @overload
    def __getitem__(self, index: int) -> Structure: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Structure | Dataset:
        if isinstance(index, slice):
            return Dataset(self._structures[index])
        return self._structures[index]

    def __len__(self) -> int:
        return len(self._structures)

    def __iter__(self) -> Iterator[Structure]:
        return iter(self._structures)

    def facts(self) -> Iterator[Facts | Live]:
        """Yield what is asked of structures again and again, without reading those that are in the temporary file."""
        return self._structures.facts()

    @property
    def n_atoms(self) -> int:
        """Return the number of atoms of all structures."""
        return sum(facts.atoms for facts in self.facts())

    @property
    def elements(self) -> list[str]:
        """Return the chemical symbols, sorted by atomic number."""
        return by_atomic_number([*frozenset().union(*{facts.elements for facts in self.facts()})])

    @property
    def groups(self) -> list[str]:
        """Return the names of the groups in the order in which they appear; "" for structures without group."""
        return list(dict.fromkeys(facts.group for facts in self.facts()))

    def count(self, label: str) -> int:
        """Return the number of structures whose "energy", "forces" or "stress" is known."""
        return sum(label in facts.labels for facts in self.facts())

    @property
    def n_force_components(self) -> int:
        """Return the number of components of known forces."""
        return sum(3 * facts.atoms for facts in self.facts() if "forces" in facts.labels)

    def summary(self) -> str:
        """Return the numbers of structures, atoms and labels, in one line."""
        energies, forces, stresses = (self.count(label) for label in LABELS)
        ignored = self._stresses_ignored
        return (
            f"{_number(len(self), 'structure')}, {_number(self.n_atoms, 'atom')}: "
            f"{_number(energies, 'energy', 'energies')}, {forces} forces, {_number(stresses, 'stress', 'stresses')}"
            + (f" ({ignored} of structures not periodic in 3 directions ignored)" if ignored else "")
        )

    def sources(self) -> str:
        """Return the sources of the labels as " (energy: 8 REF_energy; forces: 8 from the calculator)"; "" without
        labels."""
        counts = self.counts_by_source()
        return f" ({'; '.join(f'{label}: {counted(count)}' for label, count in counts.items())})" if counts else ""

    def counts_by_source(self) -> dict[str, Counter[str]]:
        """Count how many structures have each label from each source."""
        return by_source(dict(facts.sources) for facts in self.facts())

    def unused_labels(self) -> list[str]:
        """Return a sentence that lists what looks like a label and was not read, in a list; the list may be empty."""
        found = Counter(name for s in self for name in unused(s.atoms, s.sources))
        if not found:
            return []
        names = ", ".join(f"{printable(name)} ({_number(count, 'structure')})" for name, count in found.items())
        return [f"not used though it looks like a label: {names}; to read it, name it as a key"]

    def require_labels(self, keys: Mapping[str, str] | None = None, alike: str = "") -> None:
        """Raise Error if no structure has any label; the message ends with what is `alike`."""
        if not any(self.count(label) for label in LABELS):
            names = " ".join((keys or {}).get(label, label) for label in LABELS)
            where = f" in {self[0].source.rsplit(',', 1)[0]}" if len(self) else ""
            raise Error(f"no labels found{where}: none of {_number(len(self), 'structure')} has {names}{alike}")

    def chosen(self, places: Iterable[int]) -> Dataset:
        """Return the structures at some places."""
        return Dataset(self._structures.chosen(places))

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
        """Split off a random part of the structures, the same part of each group to less than one structure.

        Parameters
        ----------
        fraction
            Fraction of the structures to hold out, 0 < fraction < 1; at least one is held out and at least one stays.
        rng
            Random numbers; the same state gives the same split.

        Returns
        -------
        rest, held_out
            Both in the order of the file.

        Raises
        ------
        Error
            If there are fewer than two structures.
        """
        if len(self) < 2:
            raise Error(f"{_number(len(self), 'structure')} cannot be split into training and held-out data")
        n_out = min(max(round(fraction * len(self)), 1), len(self) - 1)
        chosen = self._of_each_group(n_out, rng.permutation(len(self)).tolist())
        rest, held_out = ([i for i in range(len(self)) if (i in chosen) == out] for out in (False, True))
        return self.chosen(rest), self.chosen(held_out)

    def _of_each_group(self, count: int, order: Sequence[int]) -> set[int]:
        """Return `count` structures, from each group its share and the first in the order. What is left after whole
        shares goes to the largest remainders, and among equal ones to the first in the order."""
        members: dict[str, list[int]] = {}
        groups = [facts.group for facts in self.facts()]
        for i in order:
            members.setdefault(groups[i], []).append(i)
        share = {group: divmod(count * len(mine), len(self)) for group, mine in members.items()}
        left = count - sum(whole for whole, _ in share.values())
        more = set(sorted(members, key=lambda group: -share[group][1])[:left])
        return {i for group, mine in members.items() for i in mine[: share[group][0] + (group in more)]}

    def hash(self, labels: bool = True) -> str:
        """Return the SHA-256 of species, positions, cells, periodicity and (unless `labels` is false) labels."""
        digest = hashlib.sha256()
        for s in self:
            digest.update(np.asarray(s.atoms.numbers, "<i8").tobytes())
            digest.update(np.asarray(s.atoms.pbc, "<i8").tobytes())
            known = (s.energy, s.forces, s.stress) if labels else ()
            for values in (s.atoms.positions, s.atoms.cell.array, *known):
                array = np.asarray(np.nan if values is None else values, "<f8")
                digest.update(repr(array.shape).encode() + array.tobytes())
        return digest.hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(type(self), self.__dict__)

    def __repr__(self) -> str:
        return f"Dataset({self.summary()})"


def expand(paths: str | Path | Sequence[str | Path]) -> list[str]:
    """List the files of paths or glob patterns.

    Raises
    ------
    Error
        If a path or pattern matches nothing, or if a file is given twice.
    """
    files: list[str] = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        try:
            found = [str(path)] if Path(path).exists() else sorted(map(str, _matches(Path(path))))
        except (OSError, ValueError) as error:  # the name is too long, or has ** within a part
            raise Error(f"{printable(path, PATH)}: is not a file name: {getattr(error, 'strerror', error)}") from None
        if not found:
            raise Error(f"{path}: no such file")
        files += found
    if not files:
        raise Error("no data files are given")
    counts = Counter(Path(file).resolve() for file in files)
    twice = [file for file in files if counts[Path(file).resolve()] > 1]
    if twice:
        raise Error(f"{twice[0]}: is given {counts[Path(twice[0]).resolve()]} times")
    return files


def _matches(pattern: Path) -> Iterator[Path]:
    """Yield the files that match a pattern, relative or absolute."""
    anchor = Path(pattern.anchor)
    parts = str(pattern.relative_to(anchor))
    return anchor.glob(parts) if parts != "." else iter(())


class _Reader:
    """A reader of structures and their labels from `ase.Atoms`; `structures` are those of the files."""

    def __init__(self, keys: Mapping[str, str], units: Units) -> None:
        self.labels, self.units = LabelReader(keys), units
        self.structures = Kept()
        self.stresses_ignored = 0

    def read(
        self,
        path: str,
        index: str,
        keep_unconverged: bool,
        keep_machine_learned: bool,
        reporter: Reporter,
        ranks: Ranks | None,
    ) -> list[str]:
        """Read a file, and return what is implausible about it."""
        first = len(self.structures)
        with reporter.task(f"reading {path}", None) as advance:
            for number, atoms in read_structures(
                path, index, self.units, keep_unconverged, keep_machine_learned, reporter, ranks
            ):
                self.structures.append(self.structure(atoms, path, number))
                advance()
        return [*implausible(self.structures[first:], path, self.units, ranks)]

    def structure(self, atoms: Atoms, path: str, number: int) -> Structure:
        """Return a structure with its labels."""
        source = f"{path}, structure {number}"
        labels = self.labels.find(atoms, self.units, source)
        known = dict(labels.sources)
        stress = labels.stress
        if stress is not None and not np.all(atoms.pbc):
            self.stresses_ignored += 1
            stress = None
            del known["stress"]
        bare = self.labels.without_labels(atoms)
        require_finite(bare.positions, "position", source)
        require_finite(bare.cell.array, "cell", source)
        _require_sense(bare, source)
        group = next((str(atoms.info[key]) for key in GROUP_KEYS if key in atoms.info), "")
        return Structure(bare, labels.energy, labels.forces, stress, group, source, known)


def _in_memory(reader: _Reader, given: Iterable[Structure | Atoms]) -> Iterator[Structure]:
    """Yield structures in memory, with their labels."""
    for number, item in enumerate(given):
        if isinstance(item, Structure):
            yield item
            continue
        from ase import Atoms

        if not isinstance(item, Atoms):
            raise Error(f"item {number} of a data set is a {type(item).__name__}, expected ase.Atoms")
        yield reader.structure(item, "in memory", number)


def _require_sense(atoms: Atoms, source: str) -> None:
    """Raise Error if there is no atom, an atom has no element, or a periodic direction has no cell vector."""
    if not len(atoms):
        raise Error(f"{source}: has no atoms")
    try:
        require_elements(atoms.numbers)
    except Error as error:
        raise Error(f"{source}: {error}") from None
    if np.any(atoms.pbc & ~atoms.cell.array.any(axis=1)):
        raise Error(f"{source}: is periodic, but its cell lacks a vector, and so has no volume")


def _number(n: int, name: str, plural: str | None = None) -> str:
    return f"{n} {name if n == 1 else plural or name + 's'}"
