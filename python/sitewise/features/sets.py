"""Structures prepared for training, all in this process or shared among the ranks of a run."""

from __future__ import annotations

import heapq
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from .. import _core
from .._core import Error
from ..files import make_folder, remove_leftovers
from ..io.dataset import Dataset
from ..progress import Reporter, Silent
from ..ranks import Ranks
from ..structures import Floats, Floats32, Ints, core_arrays
from ..symmetry import SymmetryFunctions
from .cache import StoredFeatures, content_key, read_features, write_features

UNLIMITED = 1 << 62  # bytes
FETCHED = 64  # structures whose features come from their ranks at once


class Coordinates(Protocol):
    """What the weights of a potential are a function of; see `training.parameters.Parameters`."""

    @property
    def size(self) -> int: ...
    def gradient(self, weight_gradient: Floats32) -> Floats32: ...


class TrainingSet(Protocol):
    """What training asks for; see `_core.TrainingSet`, and `LocalSet` for the last two."""

    def __len__(self) -> int: ...
    @property
    def cached_bytes(self) -> int: ...
    def species(self, structure: int) -> Ints: ...
    def features(self, structure: int) -> Floats: ...
    def statistics(self, structures: Sequence[int]) -> list[Floats]: ...
    def weights(self, structure: int) -> tuple[float, Floats]: ...
    def loss(
        self,
        potential: _core.Potential,
        structures: Sequence[int],
        force_weight: float,
        stress_weight: float,
        gradient: bool = True,
    ) -> tuple[_core.Loss, Floats | None]: ...
    def weigh(self, weights: Sequence[float], of_forces: Sequence[Floats] | None = None) -> None: ...
    def gauss_newton(
        self,
        potential: _core.Potential,
        coordinates: Coordinates,
        structures: Sequence[int],
        components: Sequence[Sequence[int]],
        scales: Sequence[Floats],
    ) -> Floats: ...


class LocalSet(_core.TrainingSet):
    """A training set in this process."""

    def weigh(self, weights: Sequence[float], of_forces: Sequence[Floats] | None = None) -> None:
        """Sets the weights in the loss: of all structures and, beside them, of the forces on the atoms of each."""
        for i, weight in enumerate(weights):
            self.set_weights(i, weight, None if of_forces is None else of_forces[i])

    def gauss_newton(
        self,
        potential: _core.Potential,
        coordinates: Coordinates,
        structures: Sequence[int],
        components: Sequence[Sequence[int]],
        scales: Sequence[Floats],
    ) -> Floats:
        """J^T J [n, n] of the rows that `jacobian` gives, each times its element of `scales`, which has an array for
        each structure; derivatives are those by theta. The product is taken in single precision."""
        if not structures:
            return np.zeros((coordinates.size, coordinates.size))
        rows = self.jacobian(potential, structures, components).astype(np.float32)
        rows *= np.concatenate(scales).astype(np.float32)[:, None]
        J = coordinates.gradient(rows)
        matrix: Floats = (J.T @ J).astype(np.float64)
        return matrix


class SharedSet:
    """A training set whose structures are shared among ranks, balanced by atoms. Each rank prepares its own, and
    computes their part of losses, gradients and matrices. Features are asked from the ranks a few structures at a time,
    so that all that is made of them is the same as in one process, bit for bit.

    Parameters
    ----------
    ranks
        Of the run.
    data, functions, budget, reporter, what, cache
        See `prepare`; the budget is that of each rank, and each has a folder of its own in `cache`.
    """

    def __init__(
        self,
        ranks: Ranks,
        data: Dataset,
        functions: SymmetryFunctions,
        budget: int,
        reporter: Reporter,
        what: str,
        cache: Path | None = None,
    ) -> None:
        self._ranks, self._functions, self._size = ranks, functions, len(data)
        self._labels = _label_counts(data)
        self._weights: list[tuple[float, Floats]] = [(1.0, np.ones(len(s.atoms))) for s in data]
        self._fetched: tuple[int, dict[int, tuple[Floats, Ints]]] = -1, {}
        each = []
        for rank, mine in enumerate(shares([len(s.atoms) for s in data], ranks.size)):
            folder = None if cache is None else cache / f"{rank}-of-{ranks.size}"
            speaker = reporter if rank == 0 else Silent()
            each.append((data.chosen(mine), mine, len(data), functions, budget, speaker, what, folder))
        self._number = ranks.hold(_Part, each)
        self._cached_bytes: int = max(ranks.gather(_Part.cached_bytes, self._number))

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            self._ranks.forget(self._number)

    def __len__(self) -> int:
        return self._size

    @property
    def cached_bytes(self) -> int:
        """Of the rank that has most."""
        return self._cached_bytes

    def species(self, structure: int) -> Ints:
        return self._fetch(structure)[1]

    def features(self, structure: int) -> Floats:
        return self._fetch(structure)[0]

    def statistics(self, structures: Sequence[int]) -> list[Floats]:
        return [self._statistics_of(element, structures) for element in range(len(self._functions.elements))]

    def weights(self, structure: int) -> tuple[float, Floats]:
        return self._weights[structure]

    def weigh(self, weights: Sequence[float], of_forces: Sequence[Floats] | None = None) -> None:
        for i, weight in enumerate(weights):
            own = np.ones_like(self._weights[i][1]) if of_forces is None else of_forces[i]
            self._weights[i] = weight, weight * own
        self._ranks.gather(_Part.weigh, self._number, weights, of_forces)

    def loss(
        self,
        potential: _core.Potential,
        structures: Sequence[int],
        force_weight: float,
        stress_weight: float,
        gradient: bool = True,
    ) -> tuple[_core.Loss, Floats | None]:
        chosen = np.asarray(structures, dtype=np.int64)
        labels, factors = self._labels[chosen].sum(axis=0), (force_weight, stress_weight)
        sums = self._ranks.total(
            _Part.loss, self._number, _made_of(potential), potential.weights, chosen, labels, factors, gradient
        )
        value, energy, force, stress = sums[:4].tolist()
        return {"value": value, "energy": energy, "force": force, "stress": stress}, sums[4:] if gradient else None

    def gauss_newton(
        self,
        potential: _core.Potential,
        coordinates: Coordinates,
        structures: Sequence[int],
        components: Sequence[Sequence[int]],
        scales: Sequence[Floats],
    ) -> Floats:
        rows = (coordinates, structures, components, scales)
        return self._ranks.total(_Part.gauss_newton, self._number, _made_of(potential), potential.weights, *rows)

    def _fetch(self, structure: int) -> tuple[Floats, Ints]:
        first = structure - structure % FETCHED
        if self._fetched[0] != first:
            wanted = range(first, min(first + FETCHED, len(self)))
            parts = self._ranks.gather(_Part.features, self._number, wanted)
            self._fetched = first, {i: found for part in parts for i, found in part.items()}
        return self._fetched[1][structure]

    def _statistics_of(self, element: int, structures: Sequence[int]) -> Floats:
        """Row by row in the order of `_core.TrainingSet.statistics`, for the same bits."""
        count = self._functions.core.count(element)

        def rows() -> Iterator[Floats]:
            return (self.features(i)[self.species(i) == element, :count] for i in structures)

        low, high, total, squares = np.full(count, np.inf), np.full(count, -np.inf), np.zeros(count), np.zeros(count)
        atoms = 0
        for G in rows():
            low, high = np.vstack([low, G]).min(axis=0), np.vstack([high, G]).max(axis=0)
            total = np.add.reduce(np.vstack([total, G]), axis=0)
            atoms += len(G)
        mean = total / atoms
        for G in rows():
            squares = np.add.reduce(np.vstack([squares, (G - mean) * (G - mean)]), axis=0)
        return np.array([low, high, mean, np.sqrt(squares / atoms)])


class _Part:
    """What a rank holds of a SharedSet."""

    def __init__(
        self,
        data: Dataset,
        mine: Sequence[int],
        size: int,
        functions: SymmetryFunctions,
        budget: int,
        reporter: Reporter,
        what: str,
        cache: Path | None,
    ) -> None:
        self.prepared = prepare(data, functions, budget, reporter, what, cache)
        self._functions, self._labels, self._mine = functions, _label_counts(data), mine
        self._places = np.full(size, -1)  # here, of each structure of the whole set
        self._places[mine] = np.arange(len(mine))
        self._potential: tuple[bytes, _core.Potential] | None = None

    def cached_bytes(self) -> int:
        return self.prepared.cached_bytes

    def weigh(self, weights: Sequence[float], of_forces: Sequence[Floats] | None) -> None:
        own = None if of_forces is None else [of_forces[i] for i in self._mine]
        self.prepared.weigh([weights[i] for i in self._mine], own)

    def features(self, structures: Sequence[int]) -> dict[int, tuple[Floats, Ints]]:
        """Those of the structures that are here."""
        here = {i: int(self._places[i]) for i in structures if self._places[i] >= 0}
        return {i: (self.prepared.features(place), self.prepared.species(place)) for i, place in here.items()}

    def loss(
        self,
        made_of: bytes,
        weights: Floats,
        structures: Ints,
        labels: Floats,
        factors: tuple[float, float],
        gradient: bool,
    ) -> Floats:
        """This rank's part of value, energy, force and stress error and of the gradient. The means of `_core` are over
        the labels here: `share` is the part that these are of all `labels`, and `unit` what multiplies all."""
        here = self._places[structures]
        here = here[here >= 0]
        share = self._labels[here].sum(axis=0) / np.maximum(labels, 1)
        unit = share[0] or 1.0
        force_weight, stress_weight = (share[1:] / unit * factors).tolist()
        potential = self._made(made_of, weights)
        loss, slope = self.prepared.loss(potential, here.tolist(), force_weight, stress_weight, gradient)
        errors = share * [loss["energy"], loss["force"], loss["stress"]]
        return np.concatenate([[unit * loss["value"]], errors, np.empty(0) if slope is None else unit * slope])

    def gauss_newton(
        self,
        made_of: bytes,
        weights: Floats,
        coordinates: Coordinates,
        structures: Sequence[int],
        components: Sequence[Sequence[int]],
        scales: Sequence[Floats],
    ) -> Floats:
        own = [k for k, i in enumerate(structures) if self._places[i] >= 0]
        here = [int(self._places[structures[k]]) for k in own]
        rows = [components[k] for k in own], [scales[k] for k in own]
        return self.prepared.gauss_newton(self._made(made_of, weights), coordinates, here, *rows)

    def _made(self, made_of: bytes, weights: Floats) -> _core.Potential:
        """The potential of rank 0."""
        if self._potential is None or self._potential[0] != made_of:
            elements, scaling, networks, offsets, device = pickle.loads(made_of)
            parts = _core.Scaling(*scaling), [_core.Network(*network) for network in networks]
            self._potential = made_of, _core.Potential(elements, self._functions.core, *parts, offsets)
            self._potential[1].device = device
        self._potential[1].weights = weights
        return self._potential[1]


def shares(sizes: Sequence[int], ranks: int) -> list[list[int]]:
    """Structures of each rank in order: from the largest on, each to the rank that has the fewest atoms."""
    mine: list[list[int]] = [[] for _ in range(ranks)]
    loads = [(0, rank) for rank in range(ranks)]
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        atoms, rank = heapq.heappop(loads)
        mine[rank].append(i)
        heapq.heappush(loads, (atoms + sizes[i], rank))
    return [sorted(own) for own in mine]


def prepare(
    data: Dataset,
    functions: SymmetryFunctions,
    budget: int,
    reporter: Reporter,
    what: str,
    cache: Path | None = None,
) -> LocalSet:
    """Structures with their features, and their derivatives while these fit the budget.

    Parameters
    ----------
    data
        May be empty.
    functions
        Whose values and derivatives are computed.
    budget
        Bytes for cached derivatives.
    reporter, what
        Told of the progress, and of what.
    cache
        Folder where features and derivatives are kept and found, see cache.py.

    Raises
    ------
    Error
        That names the structure with bad coordinates or an element without functions.
    """
    prepared = LocalSet(functions.core, budget)
    stored = None if cache is None or not len(data) else _stored(cache, data, functions, reporter, what)
    atoms = 0
    with reporter.task(f"features of {what}", len(data), lines=True) as advance:
        for part in _parts(data):
            first, atoms = atoms, atoms + sum(len(s.atoms) for s in data[part])
            known = stored.part(part, slice(first, atoms)) if stored else ()
            _add(prepared, data[part], functions.elements, *known)
            advance(part.stop - part.start)
    return prepared


def _parts(data: Dataset) -> Iterator[slice]:
    """Structures that are prepared in parallel."""
    size = 8 * _core.get_threads()
    return (slice(first, min(first + size, len(data))) for first in range(0, len(data), size))


def _add(
    prepared: _core.TrainingSet,
    structures: Dataset,
    elements: Sequence[str],
    features: Floats | None = None,
    file: _core.StoredFile | None = None,
    offset: int = 0,
    counts: Sequence[int] = (),
) -> None:
    """Adds structures, with what is known of them."""
    arrays = []
    for s in structures:
        with s.named():
            species, positions, cell, pbc = core_arrays(s.atoms, elements, "the training set")
        labels = {"energy": np.nan if s.energy is None else s.energy, "forces": s.forces, "stress": s.stress}
        arrays.append({"species": species, "positions": positions, "cell": cell, "pbc": pbc, **labels})
    try:
        prepared.add(arrays, features, file, offset, counts)
    except Error as error:
        raise Error(f"{structures[getattr(error, 'index', 0)].source}: {error}") from None


def _stored(folder: Path, data: Dataset, functions: SymmetryFunctions, reporter: Reporter, what: str) -> StoredFeatures:
    """Features and derivatives from a file, which is made where there is none that can be used."""
    make_folder(folder)
    remove_leftovers(folder)
    path = folder / f"{content_key(data, functions)}.features"
    sizes = len(data), data.n_atoms, functions.core.max_count
    found = read_features(path, sizes, reporter)
    if found is not None:
        reporter.say(f"features of {what} are read from {path}")
        return found
    write_features(path, sizes, _computed(data, functions, reporter, what))
    found = read_features(path, sizes, reporter)
    if found is None:
        raise Error(f"{path}: is damaged as soon as it is written, the disk may be failing")
    reporter.say(f"features of {what} are kept in {path} ({path.stat().st_size / 1e6:.0f} MB)")
    return found


def _computed(
    data: Dataset, functions: SymmetryFunctions, reporter: Reporter, what: str
) -> Iterator[tuple[Floats, Floats32]]:
    """Features and derivatives of each structure; those of a few are in memory at once."""
    with reporter.task(f"derivatives of {what}", len(data), lines=True) as advance:
        for part in _parts(data):
            prepared = _core.TrainingSet(functions.core, UNLIMITED)
            _add(prepared, data[part], functions.elements)
            for i in range(len(prepared)):
                yield prepared.features(i), prepared.derivatives(i)
                advance()


def _label_counts(data: Dataset) -> Floats:
    """Numbers of energies, force and stress components of each structure [n, 3]."""
    each = [
        [s.energy is not None, 0 if s.forces is None else s.forces.size, 0 if s.stress is None else 6] for s in data
    ]
    return np.array(each, dtype=np.float64).reshape(len(data), 3)


def _made_of(potential: _core.Potential) -> bytes:
    """All of a potential but its functions and weights."""
    scaling = potential.scaling
    statistics = [scaling.statistics(e) for e in range(len(potential.elements))]
    networks = [(network.nodes, network.activations) for network in potential.networks]
    of_scaling = (scaling.type, scaling.smin, scaling.smax, statistics)
    return pickle.dumps((potential.elements, of_scaling, networks, potential.atom_energies, potential.device))
