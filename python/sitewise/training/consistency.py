"""Labels that do not agree with each other: forces that are not minus the derivatives of the energies by positions, or
stresses that are not those by strain, because one of them has another unit or sign.

A potential that is trained on such labels follows them, so its errors do not show it. Here, a model that is linear in a
few symmetry functions is fitted to all labels of half of the structures, and judged on the other half: once with the
labels as they are, and once for each factor by which one kind of label may be wrong. Only the right factors give a good
fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._core import SymmetryFunction
from ..evaluation.label_units import UNITS
from ..features.local import LocalSet
from ..features.source import FeatureSource
from ..io.dataset import Dataset
from ..presets import RADIAL, WIDE_ANGULAR
from ..structures import Floats, Ints
from ..symmetry import SymmetryFunctions
from ..units import STRESSES

# What is examined: number of structures, their atoms in all and of one, components of forces, stresses times functions
LEAST_STRUCTURES, MOST_STRUCTURES, ATOMS, LARGEST = 12, 100, 3000, 500
COMPONENTS, STRESSES_TIMES_FUNCTIONS = 6000, 2500
FUNCTIONS = 600  # data with so many elements that there are more functions are not examined

FIRST_SHELL, SHELLS, LEAST_CUTOFF = 1.0, 8, 5.0  # Angstrom, number, Angstrom
ANGULAR = tuple(product((0.0357, 0.15), (1, 4), (-1, 1)))  # eta in 1/Angstrom^2, zeta, lambda
MANY_ELEMENTS = 3  # with as many, half of the angular functions are enough

RIDGE = 1e-6  # of the mean diagonal element
# The misfit is the square of the errors relative to that of the labels. A fit is good where that of each kind is below
# GOOD. Labels are wrong where the sum is above BAD, and above WORSE + WORSE_OF_FEW / structures times the sum with the
# right labels (twice as many times where the factor is about 1). Two explanations within ALIKE are alike.
GOOD, BAD, WORSE, WORSE_OF_FEW, ALIKE = 0.35, 0.01, 1.5, 40.0, 1.2
BESIDE, POWERS = 1.5, 13  # ratio of neighbouring factors that are tried, and its powers: up to 200
ABOUT_ONE = (1 / 3, 3.0)
ROUNDING = 1e-9  # of the largest value; what varies less is constant

NAMES = {"energy": "energies", "force": "forces", "stress": "stresses"}
UNUSUAL = {"Hartree/Angstrom", "Rydberg/Angstrom", "kJ/mol/nm"}  # forces
STANDARD = {"energy": "eV", "force": "eV/Angstrom", "stress": "eV/Angstrom^3"}
SIGNS = {"energy": "bound atoms are negative", "force": "minus the gradient", "stress": "tension is positive"}


class Explanation(NamedTuple):
    """What one kind of label may be: the right one times `size`, and times `scale` of each structure.

    Attributes
    ----------
    factor, remedy
        Both factors, and what to do about them, in words.
    rank
        Of two explanations that are alike, the one with the lower rank is meant.
    """

    kind: str
    size: float
    factor: str
    remedy: str
    rank: int = 0
    scale: Floats | None = None

    @property
    def doubt(self) -> float:
        """How much clearer than others it must be: energies of a poor model are often off by a factor of 2."""
        return 2.0 if self.scale is None and ABOUT_ONE[0] < self.size < ABOUT_ONE[1] else 1.0


AS_THEY_ARE = Explanation("energy", 1.0, "1", "")


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """Labels of one kind [m], their derivatives by the parameters of the model [m, n], the structures that they belong
    to [m], and columns that explain a part of them but carry no information [m, k]."""

    values: Floats
    design: Floats
    structure: Ints
    known: Floats

    def scaled(self, scale: Floats) -> _Labels:
        return replace(self, values=self.values / scale[self.structure])

    def halves(self, half: Ints) -> list[_Moments]:
        """Return the moments of the structures of each half."""
        values = _without(self.known, self.values)
        parts = [(self.design[rows], values[rows]) for rows in (half[self.structure] == k for k in (0, 1))]
        return [_Moments(A.T @ A, A.T @ y, float(y @ y)) for A, y in parts]


class _Moments(NamedTuple):
    """What a least-squares fit of labels y with design A needs: A^T A, A^T y and y^T y."""

    gram: Floats
    projection: Floats
    square: float

    def times(self, size: float) -> _Moments:
        return _Moments(self.gram, self.projection * size, self.square * size**2)


def inconsistencies(data: Dataset) -> list[dict[str, Any]]:
    """Find the kind of label that does not agree with the others, but would if it were multiplied by a factor.

    Returns
    -------
    list
        At most one dict: `kind`; `factor` in words; `misfit` with the labels as they are and `misfit_corrected` (the
        square of the errors relative to that of the labels, mean over the kinds of label); and a `sentence` for the
        user. It is empty where too few structures have energy and forces, or where the model is too simple for them.

    Raises
    ------
    Error
        Names the structure with bad coordinates.
    """
    chosen = _sample(data)
    functions = _functions(chosen.elements) if len(chosen) else None
    if functions is None or len(functions) > FUNCTIONS:
        return []
    labels = _all_labels(chosen, functions)
    if not {"energy", "force"} <= set(labels):
        return []
    found = _found(chosen, labels)
    if found and found[0]["kind"] != "stress":
        return found
    # Beside the stresses another kind of label may be wrong; that is to be mended first.
    return _found(chosen, {kind: labels[kind] for kind in ("energy", "force")}) or found


def _found(data: Dataset, labels: dict[str, _Labels]) -> list[dict[str, Any]]:
    judge = _Judge(labels, len(data))
    as_they_are = float(judge.misfit(AS_THEY_ARE).sum())
    tried = [(judge.misfit(each), each) for each in _explanations(data, labels)]
    good = [(float(misfit.sum()), each) for misfit, each in tried if misfit.max() < GOOD]
    least = WORSE + WORSE_OF_FEW / len(data)
    good = [(misfit, each) for misfit, each in good if as_they_are > max(BAD, least * misfit * each.doubt)]
    best = min((misfit for misfit, _ in good), default=np.inf)
    if not good or best > ALIKE * judge.lowest():
        return []
    alike = sorted((each for each in good if each[0] < ALIKE * best), key=lambda each: (each[1].rank, each[0]))
    meant = [each for _, each in alike if each.rank == alike[0][1].rank]
    misfits = {"misfit": as_they_are / len(labels), "misfit_corrected": best / len(labels)}
    return [{"kind": meant[0].kind, "factor": meant[0].factor, **misfits, "sentence": _sentence(labels, meant)}]


def _sentence(kinds: Iterable[str], meant: Sequence[Explanation]) -> str:
    names = [NAMES[kind] for kind in kinds]
    choices = "; or ".join(
        f"the {NAMES[each.kind]} seem to be {each.factor} times the right ones, so {each.remedy}" for each in meant
    )
    return f"{', '.join(names[:-1])} and {names[-1]} of the data do not agree with each other: {choices}"


def _explanations(data: Dataset, kinds: Iterable[str]) -> Iterator[Explanation]:
    for kind in kinds:
        sign_remedy = f"they may have the opposite sign (expected: {SIGNS[kind]})"
        yield Explanation(kind, -1.0, "-1", sign_remedy, int(kind == "energy"))
        for unit, size in UNITS[kind].items():
            yield from _of_unit(kind, unit, size)
    atoms = np.array([float(len(s.atoms)) for s in data])
    remedy = "they may be energies per atom: multiply them by the number of atoms"
    yield Explanation("energy", 1.0, "1/atoms", remedy, scale=1 / atoms)
    if "stress" in kinds:
        yield from _virials(np.array([float(s.atoms.cell.volume) for s in data]))


def _of_unit(kind: str, unit: str, size: float) -> Iterator[Explanation]:
    remedy, rank = _remedy(kind, unit), int(unit in UNUSUAL)
    yield Explanation(kind, 1 / size, f"{1 / size:.5g}", f"they may be in {unit}: {remedy}", rank)
    if ABOUT_ONE[0] < size < ABOUT_ONE[1]:
        return
    signed = f"they may be in {unit} with the opposite sign (expected: {SIGNS[kind]}): {remedy}"
    yield Explanation(kind, -1 / size, f"{-1 / size:.5g}", signed, rank if kind == "stress" else 1)
    taken = f"they may be in {STANDARD[kind]} and are taken for {unit}: check the units of the data"
    yield Explanation(kind, size, f"{size:.5g}", taken, 2)


def _virials(volume: Floats) -> Iterator[Explanation]:
    virial = "they may be virials (eV): name them by virial in [data.keys]"
    yield Explanation("stress", -1.0, "-volume", virial, scale=volume)
    yield Explanation("stress", 1.0, "volume", f"{virial}, multiplied by -1", scale=volume)
    stress = "they may be stresses (eV/Angstrom^3) that are named as virial: name them by stress in [data.keys]"
    yield Explanation("stress", -1.0, "-1/volume", stress, scale=1 / volume)


def _remedy(kind: str, unit: str) -> str:
    if kind == "stress" and unit in STRESSES:
        return f'set stress_unit = "{unit}" in [data]'
    return f"convert them to {STANDARD[kind]}, or all labels to the units that [data] names"


def _sample(data: Dataset) -> Dataset:
    """Choose structures with energy and forces evenly; none where there are too few."""
    known = [i for i, s in enumerate(data) if s.energy is not None and s.forces is not None and len(s.atoms) <= LARGEST]
    if len(known) < LEAST_STRUCTURES:
        return Dataset([])
    mean = sum(len(data[i].atoms) for i in known) / len(known)
    count = min(MOST_STRUCTURES, max(LEAST_STRUCTURES, round(ATOMS / mean)))
    return data.chosen(_evenly(known, count))


def _evenly(rows: Sequence[int], count: int) -> list[int]:
    return [rows[int(k)] for k in np.linspace(0, len(rows) - 1, min(len(rows), count)).round()]


def _functions(elements: Sequence[str]) -> SymmetryFunctions:
    """Return a few functions that are fast."""
    from ase.data import atomic_numbers, covalent_radii

    radius = max(float(covalent_radii[atomic_numbers[e]]) for e in elements)
    cutoff = max(LEAST_CUTOFF, 3 * radius)
    spacing = (cutoff - FIRST_SHELL) / SHELLS
    every = range(len(elements))
    functions = [
        SymmetryFunction(RADIAL, i, j, eta=0.5 / spacing**2, rs=FIRST_SHELL + k * spacing, cutoff=cutoff)
        for i, j, k in product(every, every, range(SHELLS))
    ]
    functions += [
        SymmetryFunction(WIDE_ANGULAR, i, j, k, eta=eta, zeta=zeta, lambda_=lambda_, cutoff=cutoff)
        for i in every
        for j, k in combinations_with_replacement(every, 2)
        for eta, zeta, lambda_ in ANGULAR[: len(ANGULAR) // (1 if len(elements) < MANY_ELEMENTS else 2)]
    ]
    return SymmetryFunctions(elements, _core.SymmetryFunctions(len(elements), functions))


def _all_labels(data: Dataset, functions: SymmetryFunctions) -> dict[str, _Labels]:
    """Return the labels that many structures have and that vary, with parameters scaled to the size of the forces."""
    prepared = FeatureSource().prepare_here(data, functions)
    model = _linear_model(prepared, functions)
    offsets = np.cumsum([network.nodes[0] + 1 for network in model.networks]) - 1
    energies, forces = _energies_and_forces(data, prepared, model, offsets)
    every = {"energy": energies, "force": forces, "stress": _stresses(data, prepared, model)}
    size = np.sqrt(np.mean(forces.design**2, axis=0))
    size[offsets] = 0
    kept = size > ROUNDING * size.max()
    return {
        kind: replace(labels, design=_without(labels.known, labels.design[:, kept] / size[kept]))
        for kind, labels in every.items()
        if len(set(labels.structure.tolist())) >= LEAST_STRUCTURES and _varies(labels)
    }


def _varies(labels: _Labels) -> bool:
    rest = np.abs(_without(labels.known, labels.values)).max()
    return bool(rest > ROUNDING * np.abs(labels.values).max())


def _without(known: Floats, values: Floats) -> Floats:
    """Return what the columns of `known` do not explain."""
    rest: Floats = values - known @ np.linalg.lstsq(known, values, rcond=1e-8)[0]
    return rest


def _linear_model(prepared: LocalSet, functions: SymmetryFunctions) -> _core.Potential:
    """Make a model whose energy is a sum of functions times weights, and an offset for each element."""
    core = functions.core
    networks = [_core.Network([core.count(e), 1], "l") for e in range(core.n_elements)]
    scaling = _core.Scaling("none", 0.0, 1.0, prepared.statistics(range(len(prepared))))
    return _core.Potential(functions.elements, core, scaling, networks, [0.0] * core.n_elements)


def _energies_and_forces(
    data: Dataset, prepared: LocalSet, model: _core.Potential, offsets: Ints
) -> tuple[_Labels, _Labels]:
    """Return energies per atom, and some components of the forces."""
    atoms = np.array([len(s.atoms) for s in data])
    step = 1 + 3 * data.n_atoms // COMPONENTS
    step += step % 3 == 0  # so that all of x, y and z are among them
    chosen = [np.arange(i % step, 3 * n, step) for i, n in enumerate(atoms)]
    rows = prepared.jacobian(model, range(len(data)), [each.tolist() for each in chosen])
    sizes = np.array([1 + len(each) for each in chosen])
    owner = np.repeat(np.arange(len(data), dtype=np.int32), sizes)
    first = np.cumsum(sizes) - sizes
    per_atom = rows[first] / atoms[:, None]
    energies = np.array([s.energy for s in data], dtype=float) / atoms
    forces = np.concatenate(
        [s.forces.ravel()[each] for s, each in zip(data, chosen, strict=True) if s.forces is not None]
    )
    return (
        _Labels(energies, per_atom, owner[first], per_atom[:, offsets]),
        _Labels(forces, np.delete(rows, first, axis=0), np.delete(owner, first), np.empty((len(forces), 0))),
    )


def _stresses(data: Dataset, prepared: LocalSet, model: _core.Potential) -> _Labels:
    """Return the stresses of some structures."""
    size = model.weights.size
    known = [i for i, s in enumerate(data) if s.stress is not None]
    some = _evenly(known, max(LEAST_STRUCTURES, STRESSES_TIMES_FUNCTIONS // size)) if known else []
    design = np.zeros((len(some), 6, size))
    for column, weights in enumerate(np.eye(size)):
        model.weights = weights
        for row, i in enumerate(some):
            design[row, :, column] = prepared.predict(model, i)[2]
    values = np.ravel([data[i].stress for i in some]).astype(float)
    owner = np.repeat(np.array(some, dtype=np.int32), 6)
    return _Labels(values, design.reshape(-1, size), owner, np.empty((len(values), 0)))


class _Judge:
    """Judges how well the model fits labels that are corrected by an explanation.

    Parameters
    ----------
    labels
        Labels of each kind.
    size
        Number of structures.
    """

    def __init__(self, labels: dict[str, _Labels], size: int) -> None:
        self._labels = labels
        self._half = (np.random.default_rng(0).permutation(size) % 2).astype(np.int32)
        self._moments = {kind: each.halves(self._half) for kind, each in labels.items()}

    def lowest(self) -> float:
        """Return the lowest misfit of factors of all sizes."""
        sizes = [sign * BESIDE**power for sign in (1, -1) for power in range(-POWERS, POWERS + 1)]
        tried = [Explanation(kind, size, "", "") for kind in self._labels for size in sizes]
        return min(float(self.misfit(each).sum()) for each in tried)

    def misfit(self, explanation: Explanation) -> Floats:
        """Return the misfit of each kind [kinds]: the model is fitted to one half of the structures and judged on the
        other one."""
        kind, moments = explanation.kind, self._moments[explanation.kind]
        if explanation.scale is not None:
            moments = self._labels[kind].scaled(explanation.scale).halves(self._half)
        corrected = {**self._moments, kind: [half.times(1 / explanation.size) for half in moments]}
        first, second = zip(*corrected.values(), strict=True)
        squares = np.array([[m.square for m in half] for half in (first, second)])
        if not squares.min() > 0:
            return np.full(len(corrected), np.inf)
        misfit: Floats = (_errors(first, second) + _errors(second, first)) / squares.sum(axis=0)
        return misfit


def _errors(fitted: Sequence[_Moments], judged: Sequence[_Moments]) -> Floats:
    """Return squares of errors of each kind of label, all of which count the same in the fit."""
    gram = np.sum([m.gram / m.square for m in fitted], axis=0)
    projection = np.sum([m.projection / m.square for m in fitted], axis=0)
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    w = np.linalg.solve(gram, projection)
    return np.array([m.square - 2 * w @ m.projection + w @ m.gram @ w for m in judged])
