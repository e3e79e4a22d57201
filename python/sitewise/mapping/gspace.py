"""The space of scaled symmetry functions and its distance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._core import Error
from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..ranks import Ranks
from ..structures import Flags, Floats, Ints, Structure, core_arrays
from ..symmetry import SymmetryFunctions

Integers = npt.NDArray[np.int64]
CONSTANT = 1e-6  # relative range of a function that rounded positions in files give a constant one


@dataclass(frozen=True, slots=True, eq=False)
class Environments:
    """Environments of all atoms of some structures.

    Attributes
    ----------
    features
        Symmetry functions G [n, max_count], not scaled; 0 after the last function of an atom's element.
    species
        Index of the element [n].
    structure
        Index of the structure [n].
    """

    features: Floats
    species: Integers
    structure: Integers

    @classmethod
    def of(cls, data: Dataset, functions: SymmetryFunctions, ranks: Ranks | None = None) -> Environments:
        """Compute the environments of a data set, which ranks share; an Error names the structure that is wrong."""
        ranks = ranks or Ranks()
        number = ranks.share(functions)
        features: list[Floats] = []
        species: list[Ints] = []
        for values, of_atoms in ranks.map(_environments, number, data):
            features.append(values)
            species.append(of_atoms)
        ranks.forget(number)
        return cls._joined(features, species)

    @classmethod
    def prepared(cls, training_set: TrainingSet, structures: Iterable[int] | None = None) -> Environments:
        """Return the environments of prepared structures, by default of all."""
        places = list(range(len(training_set)) if structures is None else structures)
        features = [np.nan_to_num(training_set.features(s)) for s in places]
        return cls._joined(features, [training_set.species(s) for s in places])

    @classmethod
    def _joined(cls, features: Sequence[Floats], species: Sequence[Ints]) -> Environments:
        if not features:
            raise Error("there is no structure to analyse")
        sizes = [len(s) for s in species]
        return cls(
            np.concatenate(features),
            np.concatenate(species).astype(np.int64),
            np.repeat(np.arange(len(sizes)), sizes),
        )


def _environments(functions: SymmetryFunctions, structure: Structure) -> tuple[Floats, Ints]:
    with structure.named():
        arrays = core_arrays(structure.atoms, functions.elements, "the set of symmetry functions")
        return np.nan_to_num(functions.core.evaluate(*arrays)), arrays[0]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Atoms of some structures by element, with their coordinates in G space.

    Attributes
    ----------
    points
        Coordinates [n_e, count] for each element.
    rows
        Indices of these atoms [n_e] among all n.
    structure
        Index of the structure [n].
    n_structures
        Number of structures.
    """

    points: list[Floats]
    rows: list[Integers]
    structure: Integers
    n_structures: int

    @classmethod
    def of_one(cls, points: Floats, structure: Integers) -> Placed:
        """Return atoms of a single element."""
        return cls([points], [np.arange(len(points))], structure, int(structure.max()) + 1)

    @classmethod
    def apart(cls, points: Sequence[Floats]) -> Placed:
        """Return atoms of each element, each as a structure of its own."""
        ends = np.cumsum([len(own) for own in points])
        rows: list[Integers] = [np.arange(end - len(own), end) for own, end in zip(points, ends, strict=True)]
        return cls(list(points), rows, np.arange(ends[-1]), int(ends[-1]))

    @property
    def n_atoms(self) -> int:
        return len(self.structure)

    @property
    def elements(self) -> list[int]:
        """Indices of the elements that are there."""
        return [e for e, points in enumerate(self.points) if len(points)]

    def owners(self, element: int) -> Integers:
        """Return the index of the structure of each atom of an element [n_e]."""
        return self.structure[self.rows[element]]

    def split(self, values: Floats) -> list[list[float]]:
        """Return values of all atoms [n] as a list for each structure."""
        cuts = np.cumsum(np.bincount(self.structure, minlength=self.n_structures))[:-1]
        return [part.tolist() for part in np.split(values, cuts)]

    def of(self, structures: Integers) -> Placed:
        """Return the atoms of some of the structures, in the order in which these are given."""
        new = np.full(self.n_structures, -1)
        new[structures] = np.arange(len(structures))
        owners = new[self.structure]
        kept = np.argsort(owners, kind="stable")[np.count_nonzero(owners < 0) :]
        number = np.full(self.n_atoms, -1)
        number[kept] = np.arange(len(kept))
        chosen = [np.argsort(number[rows], kind="stable")[np.count_nonzero(number[rows] < 0) :] for rows in self.rows]
        return Placed(
            [points[own] for points, own in zip(self.points, chosen, strict=True)],
            [number[rows[own]] for rows, own in zip(self.rows, chosen, strict=True)],
            owners[kept],
            len(structures),
        )

    def blocks(self, size: int) -> Iterator[Placed]:
        """Yield the atoms of so many structures at a time."""
        for first in range(0, self.n_structures, size):
            yield self.of(np.arange(first, min(first + size, self.n_structures)))

    def single(self) -> Placed:
        """Return the same atoms, each as a structure of its own."""
        return Placed(self.points, self.rows, np.arange(self.n_atoms), self.n_atoms)

    def joined(self, other: Placed) -> Placed:
        """Return these atoms, then those of other structures."""
        pairs = zip(self.points, other.points, strict=True)
        rows = zip(self.rows, other.rows, strict=True)
        return Placed(
            [np.concatenate(pair) for pair in pairs],
            [np.concatenate([mine, theirs + self.n_atoms]) for mine, theirs in rows],
            np.concatenate([self.structure, other.structure + self.n_structures]),
            self.n_structures + other.n_structures,
        )


class GSpace:
    """Coordinates in which the distance of two atoms of one element is Euclidean.

    Each function is scaled to [-1, 1] over the training set (0 where it varies by rounding alone) and divided by the
    square root of their number, so that d(a, b) = sqrt(mean over functions of (G_a - G_b)^2).

    Parameters
    ----------
    counts
        Number of functions of each element.
    ranges
        Their least and largest values, for each element; None for one without atoms.
    """

    def __init__(self, counts: Sequence[int], ranges: Sequence[tuple[Floats, Floats] | None]) -> None:
        self.counts, self.ranges = list(counts), list(ranges)

    @classmethod
    def of(cls, training: Environments, counts: Sequence[int]) -> GSpace:
        """Make the space that environments scale."""
        each = [training.features[training.species == element, :count] for element, count in enumerate(counts)]
        return cls(counts, [(mine.min(axis=0), mine.max(axis=0)) if len(mine) else None for mine in each])

    @classmethod
    def prepared(cls, training_set: TrainingSet, counts: Sequence[int]) -> GSpace:
        """Make the space that prepared structures scale, wherever they are."""
        rows = training_set.statistics(range(len(training_set)))
        return cls(counts, [(low, high) if np.all(low <= high) else None for low, high, *_ in rows])

    def coordinates(self, environments: Environments, element: int) -> Floats:
        """Return the coordinates [n_e, count] of the atoms of one element, in order of the atoms.

        Raises
        ------
        Error
            If the training set has no atom of the element.
        """
        return self.of_atoms(environments.features, environments.species, element)

    def of_atoms(self, features: Floats, species: Ints | Integers, element: int) -> Floats:
        """Return the same of atoms with features [n, at least count] and species [n]."""
        low, high = self._limits(element)
        return self.changes(features[species == element, : self.counts[element]] - (low + high) / 2, element)

    def changes(self, changes: Floats, element: int) -> Floats:
        """Return the changes [..., count] of coordinates for changes of the functions [..., at least count]."""
        low, high = self._limits(element)
        count = self.counts[element]
        width = np.where(high - low > CONSTANT * np.maximum(np.abs(low), np.abs(high)), high - low, np.inf)
        return np.asarray(2 * changes[..., :count] / width / np.sqrt(count))

    def _limits(self, element: int) -> tuple[Floats, Floats]:
        limits = self.ranges[element]
        if limits is None:
            raise Error(f"the training set has no atom of element number {element}")
        return limits

    def place(self, environments: Environments) -> Placed:
        """Place all atoms of some structures; their elements must be in the training set."""
        elements = range(len(self.counts))
        rows = [np.flatnonzero(environments.species == e) for e in elements]
        points = [self.coordinates(environments, e) if len(rows[e]) else self._nowhere(e) for e in elements]
        return Placed(points, rows, environments.structure, int(environments.structure.max()) + 1)

    def _nowhere(self, element: int) -> Floats:
        return np.zeros((0, self.counts[element]))


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Structures whose atoms are placed in a G space.

    Attributes
    ----------
    data
        The structures.
    functions
        Symmetry functions that span the space.
    space
        The space, scaled by the training structures.
    placed
        The atoms.
    """

    data: Dataset
    functions: SymmetryFunctions
    space: GSpace
    placed: Placed

    @classmethod
    def of(cls, data: Dataset, functions: SymmetryFunctions, ranks: Ranks | None = None) -> Embedding:
        """Place training structures in the space that they scale themselves; ranks share the features."""
        return cls._of(data, functions, Environments.of(data, functions, ranks))

    @classmethod
    def prepared(cls, data: Dataset, functions: SymmetryFunctions, training_set: TrainingSet) -> Embedding:
        """Do the same with the features of the structures as they were prepared."""
        return cls._of(data, functions, Environments.prepared(training_set))

    @classmethod
    def _of(cls, data: Dataset, functions: SymmetryFunctions, environments: Environments) -> Embedding:
        space = GSpace.of(environments, [functions.core.count(e) for e in range(len(functions.elements))])
        return cls(data, functions, space, space.place(environments))

    def some(self, structures: Integers) -> Embedding:
        """Return some of the structures, in the order in which they are given."""
        data = Dataset(self.data[k] for k in structures.tolist())
        return Embedding(data, self.functions, self.space, self.placed.of(structures))

    @property
    def informing(self) -> Flags:
        """Structures [s] that fix a sum: those with an energy or, where none has one, all."""
        energies = np.array([s.energy is not None for s in self.data], dtype=np.bool_)
        return energies if energies.any() else ~energies

    def embed(self, structures: Dataset, ranks: Ranks | None = None) -> Embedding:
        """Place other structures in the same space; ranks share the features.

        Raises
        ------
        Error
            If a structure has an element that these ones do not have.
        """
        known = {self.functions.elements[e] for e in self.placed.elements}
        for s in structures:
            unknown = set(s.atoms.get_chemical_symbols()) - known
            if unknown:
                raise Error(f"{s.source}: has {', '.join(sorted(unknown))}, which no structure of the data has")
        placed = self.space.place(Environments.of(structures, self.functions, ranks))
        return Embedding(structures, self.functions, self.space, placed)


def principal_components(points: Floats, of: Floats | None = None) -> Floats:
    """Return the components [n, d] of some points along the principal axes of others, by default of themselves.

    Each axis has the sign that makes its largest weight positive.
    """
    others = points if of is None else of
    centre = others.mean(axis=0)
    vectors = np.linalg.eigh((others - centre).T @ (others - centre))[1][:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    return np.asarray((points - centre) @ vectors)
