"""The training set that the ranks of a run share."""

from __future__ import annotations

import heapq
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from ..io.dataset import Dataset
from ..io.kept import Kept
from ..ranks import EACH, Ranks
from ..structures import Flags, Floats, Floats32, Ints, Structure
from ..symmetry import SymmetryFunctions
from .local import LocalSet
from .training_set import Coordinates, Memory, Rows

FETCHED = 64  # structures whose features come from their ranks at once

Prepare = Callable[[Dataset, SymmetryFunctions], LocalSet]


class SharedSet:
    """A training set whose structures are shared among ranks, balanced by atoms; see `TrainingSet`.

    Rank 0 deals the structures out, a few at a time. Each rank prepares its own, and computes their part of losses,
    gradients and matrices. What is made of features is computed for each structure where it is, and rank 0 adds it up
    in the order of the structures, so it is the same as in one process, bit for bit.

    Parameters
    ----------
    ranks
        The ranks of the run.
    data
        The structures.
    functions
        The symmetry functions.
    prepare
        How each rank prepares its structures.
    """

    def __init__(self, ranks: Ranks, data: Dataset, functions: SymmetryFunctions, prepare: Sequence[Prepare]) -> None:
        self._ranks, self._functions, self._size = ranks, functions, len(data)
        self._labels = _label_counts(data)
        self._weights: list[tuple[float, Floats]] = [(1.0, np.ones(facts.atoms)) for facts in data.facts()]
        self._fetched_from = -1
        self._fetched: dict[int, _Atoms] = {}
        each_share = shares([facts.atoms for facts in data.facts()], ranks.size)
        self._number = ranks.hold(_Part, [(functions, share, len(data)) for share in each_share])
        self._deal(data, each_share)
        ranks.deal(_Part.prepare, self._number, [(make,) for make in prepare])
        self._memory = Memory(*map(max, zip(*ranks.gather(_Part.memory, self._number), strict=True)))

    def _deal(self, data: Dataset, each_share: Sequence[Sequence[int]]) -> None:
        """Give each rank the structures of its share."""
        owner = np.empty(len(data), dtype=np.int64)
        for rank, share in enumerate(each_share):
            owner[share] = rank
        for block in _blocks(range(len(data)), EACH * self._ranks.size):
            some = [(data[i], owner[i]) for i in block]
            each = [([s for s, of in some if of == rank],) for rank in range(self._ranks.size)]
            self._ranks.deal(_Part.take, self._number, each)

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            self._ranks.forget(self._number)

    def __len__(self) -> int:
        return self._size

    @property
    def memory(self) -> Memory:
        return self._memory

    def species(self, structure: int) -> Ints:
        return self._fetch(structure).species

    def features(self, structure: int) -> Floats:
        return self._fetch(structure).features

    def each(self, function: Callable[[Floats, Ints], Any], structures: Iterable[int]) -> Iterator[Any]:
        for block in _blocks(structures, FETCHED):
            found: dict[int, Any] = {}
            for part in self._ranks.gather(_Part.each, self._number, function, block):
                found |= part
            yield from (found[i] for i in block)

    def least(self, function: Callable[[Floats, Ints], Floats], structures: Iterable[int]) -> Floats:
        return reduce(np.minimum, self._ranks.gather(_Part.least, self._number, function, [*structures]))

    def statistics(self, structures: Sequence[int]) -> list[Floats]:
        """Return the statistics of the features, see `TrainingSet`; the sums are those of `_core.TrainingSet`."""
        core = self._functions.core
        counts = [core.count(element) for element in range(len(self._functions.elements))]
        found = [[np.full(n, np.inf), np.full(n, -np.inf), np.zeros(n), np.zeros(n)] for n in counts]
        atoms = np.zeros(len(counts))
        for each in self.each(partial(_extremes, counts), structures):
            for e, (low, high, total, own) in enumerate(each):
                found[e][:3] = np.minimum(found[e][0], low), np.maximum(found[e][1], high), found[e][2] + total
                atoms[e] += own
        for of_element, own in zip(found, atoms, strict=True):
            of_element[2] /= own
        means = [of_element[2] for of_element in found]
        for squares in self.each(partial(_squares, means), structures):
            for e, own in enumerate(squares):
                found[e][3] = found[e][3] + own
        return [np.array([*rows[:3], np.sqrt(rows[3] / own)]) for rows, own in zip(found, atoms, strict=True)]

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
            _Part.loss, self._number, _sent(potential), potential.weights, chosen, labels, factors, gradient
        )
        value, energy, force, stress = sums[:4].tolist()
        return {"value": value, "energy": energy, "force": force, "stress": stress}, sums[4:] if gradient else None

    def scaled_jacobian(self, potential: _core.Potential, coordinates: Coordinates, rows: Rows) -> Floats32:
        call = _sent(potential), potential.weights, coordinates, rows
        J = np.empty((rows.number, coordinates.size), dtype=np.float32)
        for here, own in self._ranks.gather(_Part.scaled_jacobian, self._number, *call):
            J[here] = own
        return J

    def gauss_newton(self, potential: _core.Potential, coordinates: Coordinates, rows: Rows) -> Floats:
        call = _sent(potential), potential.weights, coordinates, rows
        return self._ranks.total(_Part.gauss_newton, self._number, *call)

    def _fetch(self, structure: int) -> _Atoms:
        first = structure - structure % FETCHED
        if self._fetched_from != first:
            block = range(first, min(first + FETCHED, len(self)))
            self._fetched_from, self._fetched = first, dict(zip(block, self.each(_Atoms, block), strict=True))
        return self._fetched[structure]


class _Atoms(NamedTuple):
    """Features [atoms, max_count] and species [atoms] of a structure."""

    features: Floats
    species: Ints


def _rows(features: Floats, species: Ints, element: int, count: int) -> Floats:
    """Return the functions of the atoms of an element, in rows, whose sums numpy takes one after the other."""
    return np.ascontiguousarray(features[species == element][:, :count])


def _extremes(counts: Sequence[int], features: Floats, species: Ints) -> list[tuple[Floats, Floats, Floats, int]]:
    """Return minimum, maximum and sum of the functions of each element, and the number of its atoms."""
    each = [_rows(features, species, e, count) for e, count in enumerate(counts)]
    return [
        (G.min(axis=0, initial=np.inf), G.max(axis=0, initial=-np.inf), np.add.reduce(G, axis=0), len(G)) for G in each
    ]


def _squares(means: Sequence[Floats], features: Floats, species: Ints) -> list[Floats]:
    """Return the sum of the squared deviations of the functions of each element from their means."""
    each = [_rows(features, species, e, len(mean)) - mean for e, mean in enumerate(means)]
    return [np.add.reduce(G * G, axis=0) for G in each]


def _blocks(items: Iterable[int], size: int) -> Iterator[list[int]]:
    rest = iter(items)
    while block := list(islice(rest, size)):
        yield block


class _Part:
    """What a rank holds of a SharedSet of `size` structures: those of its share."""

    def __init__(self, functions: SymmetryFunctions, share: Sequence[int], size: int) -> None:
        self._functions, self._share, self._taken = functions, share, Kept()
        self._places = np.full(size, -1)  # here, of each structure of the whole set
        self._places[share] = np.arange(len(share))
        self._sent = b""
        self._potential: _core.Potential | None = None

    def take(self, structures: Sequence[Structure]) -> None:
        """Add structures, in order, until all of the share are here."""
        for structure in structures:
            self._taken.append(structure)

    def prepare(self, prepare: Prepare) -> None:
        """Prepare the structures; only what is prepared of them stays."""
        data, self._taken = Dataset(self._taken), Kept()
        self.prepared = prepare(data, self._functions)
        self._labels = _label_counts(data)

    def memory(self) -> Memory:
        return self.prepared.memory

    def weigh(self, weights: Sequence[float], of_forces: Sequence[Floats] | None) -> None:
        own = None if of_forces is None else [of_forces[i] for i in self._share]
        self.prepared.weigh([weights[i] for i in self._share], own)

    def each(self, function: Callable[[Floats, Ints], Any], structures: Sequence[int]) -> dict[int, Any]:
        """Return what a function makes of features and species of the structures that are here."""
        here = {i: int(self._places[i]) for i in structures if self._places[i] >= 0}
        return dict(zip(here, self.prepared.each(function, here.values()), strict=True))

    def least(self, function: Callable[[Floats, Ints], Floats], structures: Sequence[int]) -> Floats:
        """Return the least values of what a function makes of the structures that are here."""
        return self.prepared.least(function, [int(self._places[i]) for i in structures if self._places[i] >= 0])

    def loss(
        self,
        sent: bytes,
        weights: Floats,
        structures: Ints,
        labels: Floats,
        factors: tuple[float, float],
        gradient: bool,
    ) -> Floats:
        """Return this rank's part of the loss, of the energy, force and stress errors and of the gradient, in one
        array. The means of `_core` are over the labels here: `share` is the part that these are of all `labels`, and
        `unit` multiplies all."""
        here = self._places[structures]
        here = here[here >= 0]
        share = self._labels[here].sum(axis=0) / np.maximum(labels, 1)
        unit = share[0] or 1.0
        force_weight, stress_weight = (share[1:] / unit * factors).tolist()
        potential = self._received(sent, weights)
        loss, slope = self.prepared.loss(potential, here.tolist(), force_weight, stress_weight, gradient)
        errors = share * [loss["energy"], loss["force"], loss["stress"]]
        return np.concatenate([[unit * loss["value"]], errors, np.empty(0) if slope is None else unit * slope])

    def scaled_jacobian(
        self, sent: bytes, weights: Floats, coordinates: Coordinates, rows: Rows
    ) -> tuple[Flags, Floats32]:
        """Return which rows are this rank's, and these rows."""
        here = self._places[np.asarray(rows.structures, dtype=np.int64)] >= 0
        own = self.prepared.scaled_jacobian(self._received(sent, weights), coordinates, self._here(rows))
        return np.repeat(here, np.array([len(scales) for scales in rows.scales], dtype=np.int64)), own

    def gauss_newton(self, sent: bytes, weights: Floats, coordinates: Coordinates, rows: Rows) -> Floats:
        """Return this rank's part of the matrix."""
        return self.prepared.gauss_newton(self._received(sent, weights), coordinates, self._here(rows))

    def _here(self, rows: Rows) -> Rows:
        """Return the rows of the structures that are here, with the numbers that these have here."""
        own = [k for k, i in enumerate(rows.structures) if self._places[i] >= 0]
        here = [int(self._places[rows.structures[k]]) for k in own]
        return Rows(here, [rows.components[k] for k in own], [rows.scales[k] for k in own])

    def _received(self, sent: bytes, weights: Floats) -> _core.Potential:
        """Return the potential of rank 0; it is made anew only where more than its weights has changed."""
        if self._potential is None or self._sent != sent:
            form: _Form = pickle.loads(sent)
            self._sent, self._potential = sent, form.potential(self._functions)
        self._potential.weights = weights
        return self._potential


class _Form(NamedTuple):
    """A potential without its functions and weights.

    Attributes
    ----------
    scaling, networks
        Arguments of `_core.Scaling`, and of each `_core.Network`.
    """

    elements: list[str]
    scaling: tuple[Any, ...]
    networks: list[tuple[list[int], str]]
    atom_energies: list[float]
    device: str

    @classmethod
    def of(cls, potential: _core.Potential) -> _Form:
        scaling = potential.scaling
        statistics = [scaling.statistics(e) for e in range(len(potential.elements))]
        networks = [(network.nodes, network.activations) for network in potential.networks]
        of_scaling = (scaling.type, scaling.smin, scaling.smax, statistics, scaling.closest)
        return cls(potential.elements, of_scaling, networks, potential.atom_energies, potential.device)

    def potential(self, functions: SymmetryFunctions) -> _core.Potential:
        networks = [_core.Network(*network) for network in self.networks]
        scaling = _core.Scaling(*self.scaling)
        made = _core.Potential(self.elements, functions.core, scaling, networks, self.atom_energies)
        made.device = self.device
        return made


def _sent(potential: _core.Potential) -> bytes:
    """Return what rank 0 sends of a potential beside its weights, as bytes that can be compared."""
    return pickle.dumps(_Form.of(potential))


def shares(sizes: Sequence[int], ranks: int) -> list[list[int]]:
    """Return the structures of each rank, in order.

    The structures are dealt from the largest on, each to the rank that has the fewest atoms.
    """
    mine: list[list[int]] = [[] for _ in range(ranks)]
    loads = [(0, rank) for rank in range(ranks)]
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        atoms, rank = heapq.heappop(loads)
        mine[rank].append(i)
        heapq.heappush(loads, (atoms + sizes[i], rank))
    return [sorted(own) for own in mine]


def _label_counts(data: Dataset) -> Floats:
    """Return the numbers of energies, force and stress components of each structure [n, 3]."""
    each = [
        ["energy" in f.labels, 3 * f.atoms * ("forces" in f.labels), 6 * ("stress" in f.labels)] for f in data.facts()
    ]
    return np.array(each, dtype=np.float64).reshape(len(data), 3)
