"""Which structures to label: those that lower the error bars of targets and trajectories most for their cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..io.dataset import Dataset
from ..mapping.acquisition import openness_of_rms, ranked_by_bars
from ..mapping.energy_process import EnergyProcess, Measurements
from ..mapping.gspace import Embedding
from ..mapping.judgement import COST_EXPONENT
from ..progress import Reporter
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions
from ..training.random_streams import Stream, random_numbers

DIGITS = 6  # of coordinates in Angstrom that two equal structures share


class Known(NamedTuple):
    """Atomic energies as the labels determine them, and the targets."""

    embedding: Embedding
    process: EnergyProcess
    targets: Embedding

    @classmethod
    def of(cls, data: Dataset, targets: Dataset, functions: SymmetryFunctions) -> Known:
        """Fit the process of the labels; raise Error for a target with an element that no label has."""
        embedding = Embedding.of(data, functions)
        aims = embedding.embed(targets)
        return cls(embedding, EnergyProcess(Measurements.of(embedding), [embedding.placed, aims.placed]), aims)

    def bars(self) -> Floats:
        """Return the error bar that the labels leave to the energy of each target [t], eV/atom."""
        return self.process.deviations(self.targets.placed)

    def best(self, candidates: Dataset, count: int, accuracy: float, reporter: Reporter) -> list[int]:
        """Return the candidates to label first.

        They lower the RMS of the error bars of targets and of all candidates. Targets are often perfect structures, and
        one label of a small copy determines these, but not what they become when atoms move.
        """
        costs = np.array([len(s.atoms) for s in candidates], dtype=np.float64) ** COST_EXPONENT
        placed = self.embedding.embed(candidates)
        visited = [s for s in candidates if "cut_from" not in s.atoms.info]  # a cluster's surface is nobody's aim
        judges = self.embedding.embed(Dataset([*self.targets.data, *visited])).placed
        with reporter.task("choosing", min(count, len(costs))) as advance:
            order = ranked_by_bars(self.process, placed, judges, costs, accuracy, advance, count, openness_of_rms)[2]
        return [pick.candidate for pick in order[:count]]


def most_uncertain(candidates: Sequence[Structure], count: int) -> list[int]:
    """Return the candidates with the largest error bar of a force."""
    bars = [s.atoms.info["force_bar"] for s in candidates]
    return [int(k) for k in np.argsort(bars, kind="stable")[::-1][:count]]


def at_random(candidates: Sequence[Structure], count: int, seed: int, number: int) -> list[int]:
    """Return candidates at random."""
    rng = random_numbers(seed, Stream.CHOICE, number)
    return [int(k) for k in np.sort(rng.permutation(len(candidates))[:count])]


def new_ones(candidates: Sequence[Structure], data: Sequence[Structure]) -> list[Structure]:
    """Return the candidates that are not labelled, each only once."""
    seen, found = {_content(s) for s in data}, []
    for s in candidates:
        content = _content(s)
        if content not in seen:
            seen.add(content)
            found.append(s)
    return found


def _content(s: Structure) -> tuple[bytes, ...]:
    rounded = [np.round(x, DIGITS) + 0.0 for x in (s.atoms.positions, s.atoms.cell.array)]
    return tuple(np.asarray(x).tobytes() for x in (s.atoms.numbers, s.atoms.pbc, *rounded))


def held_out(data: Sequence[Structure], fraction: float, seed: int) -> list[int]:
    """Return the structures that are not trained on: one of each 1/fraction in order, so that it stays so as data grow.

    Single atoms and the only structures with an element are trained on.
    """
    if not fraction:
        return []
    size, chosen = round(1 / fraction), set[int]()
    for block in range(len(data) // size):
        k = block * size + int(random_numbers(seed, Stream.HELD_OUT, block).integers(size))
        rest = {symbol for i in range(size * (block + 1)) if i != k and i not in chosen for symbol in _symbols(data[i])}
        if len(data[k].atoms) > 1 and _symbols(data[k]) <= rest:
            chosen.add(k)
    return sorted(chosen)


def _symbols(s: Structure) -> set[str]:
    return set(s.atoms.get_chemical_symbols())
