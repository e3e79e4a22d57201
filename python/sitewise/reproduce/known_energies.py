"""Unique atomic energies: one element, radial functions alone.

A teacher labels small clusters with their total energies. Its atomic energies are a function of eight radial symmetry
functions, like those of M. W. Finnis and J. E. Sinclair, Philos. Mag. A 50, 45 (1984). With such functions no energy
can move from atom to atom without changing a total. A network that learns the totals must find the teacher's atomic
energies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..figures import COLORS, panels, save_figure
from ..io.dataset import Dataset
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions
from .fitting import fit, shifted_functions
from .frame import Check, Folder, Outcome
from .pictures import draw_against_size

if TYPE_CHECKING:
    from ase import Atoms

SMALLEST, LARGEST, EDGE, APART = 4, 10, 4.6, 1.6  # atoms of a cluster; edge of its box and least distance, Angstrom
FIRST, LAST, CUTOFF = 1.6, 4.5, 5.0  # Angstrom, of the functions
PAIR = np.array([8.0, 1.5, -0.6, -0.9, -0.5, -0.25, -0.1, -0.05])  # eV for each function
DENSITY = np.array([0.9, 1.1, 1.0, 0.7, 0.45, 0.25, 0.12, 0.05])  # eV^2
TESTED = 400
TRAIN, TEST = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class Settings:
    """Numbers of structures, number of seeds for each, and iterations."""

    sizes: tuple[int, ...] = (10, 30, 100, 300)
    seeds: int = 3
    iterations: int = 800


def run(settings: Settings, folder: Folder) -> Outcome:
    """Learn atomic energies from more and more totals."""
    test = clusters(TESTED, TEST)
    truth = np.concatenate([teacher(s.atoms) for s in test])
    learnt: dict[int, Floats] = {}
    with folder.reporter.task("totals", len(settings.sizes) * settings.seeds, lines=True) as advance:

        def learn(size: int) -> list[list[float]]:
            found = [predicted(test, size, seed, settings.iterations).tolist() for seed in range(settings.seeds)]
            advance(settings.seeds, note=f"{size} structures")
            return found

        for size in settings.sizes:
            learnt[size] = np.array(folder.part(f"energies-{size}", partial(learn, size)))
    errors = {n: np.sqrt(((e - truth) ** 2).mean(axis=1)) / truth.std() for n, e in learnt.items()}
    totals = {n: _totals(e - truth, test) / truth.std() for n, e in learnt.items()}
    draw(folder, truth, learnt, errors)
    columns = ("structures", "median RMSE/std", "lowest", "highest", "median of totals per atom")
    rows = [(n, *(float(x) for x in (np.median(e), e.min(), e.max(), np.median(totals[n])))) for n, e in errors.items()]
    checks = [
        Check("RMSE/std of atomic energies, worst seed at 100 structures", float(e.max()), below=0.05)
        for n, e in errors.items()
        if n == 100
    ]
    return Outcome(columns, rows, checks, {"std": float(truth.std())})


def clusters(count: int, *stream: int) -> list[Structure]:
    """Return random clusters with the teacher's totals; a smaller set is part of a larger one of the same stream."""
    rng = np.random.default_rng(stream)
    made = []
    for _ in range(count):
        atoms = _cluster(rng, int(rng.integers(SMALLEST, LARGEST + 1)))
        made.append(Structure(atoms, float(teacher(atoms).sum()), None, None, "", "cluster"))
    return made


def _cluster(rng: np.random.Generator, size: int) -> Atoms:
    """Put atoms into the box one by one, none too near to another."""
    from ase import Atoms

    placed = np.empty((0, 3))
    while len(placed) < size:
        point = rng.uniform(0, EDGE, 3)
        if not len(placed) or np.linalg.norm(placed - point, axis=1).min() > APART:
            placed = np.vstack([placed, point])
    return Atoms(f"Si{size}", placed)


def teacher(atoms: Atoms) -> Floats:
    """Return atomic energies [n], eV: half of the pair energies, minus the square root of a density."""
    features = radial_functions().evaluate(atoms)
    return np.asarray(0.5 * features @ PAIR - np.sqrt(features @ DENSITY + 1e-6))


def radial_functions() -> SymmetryFunctions:
    """Return eight functions G2 at equidistant shifts, as wide as their spacing."""
    return shifted_functions(FIRST, LAST, CUTOFF)


def predicted(test: list[Structure], size: int, seed: int, iterations: int) -> Floats:
    """Return the atomic energies of all test structures as learnt from `size` totals."""
    data = Dataset(clusters(size, TRAIN, seed))
    potential = fit(data, Dataset(test), radial_functions(), seed, iterations)
    return np.concatenate([potential.evaluate(s.atoms).energies for s in test])


def _totals(errors: Floats, test: list[Structure]) -> Floats:
    """Return the RMSE of the totals per atom of each seed, from errors of atomic energies [seeds, atoms]."""
    sizes = np.array([len(s.atoms) for s in test])
    sums = np.add.reduceat(errors, np.cumsum(sizes) - sizes, axis=1)
    return np.asarray(np.sqrt(((sums / sizes) ** 2).mean(axis=1)))


def draw(folder: Folder, truth: Floats, learnt: Mapping[int, Floats], errors: Mapping[int, Floats]) -> None:
    """Draw `known_energies.png`: learnt against true atomic energies for two sizes, and the error against the size."""
    sizes = list(learnt)
    shown = [sizes[0], 100 if 100 in sizes else sizes[-1]]
    figure, axes = panels(3)
    limits = (truth.min() - 0.5, truth.max() + 0.5)
    for n, ax in zip(shown, axes, strict=False):
        middle = int(np.argsort(errors[n])[len(errors[n]) // 2])
        ax.plot(truth, learnt[n][middle], ".", color=COLORS[0], markersize=2.5, alpha=0.5)
        ax.plot(limits, limits, color="black", linewidth=0.7, zorder=0)
        ax.set(xlabel="true atomic energy (eV)", ylabel="learnt atomic energy (eV)", xlim=limits, ylim=limits)
        ax.set_title(f"{n} structures: RMSE/std {errors[n][middle]:.2g}", fontsize="medium")
        ax.set_box_aspect(1)
    draw_against_size(axes[2], errors, "training structures", "atomic energies, RMSE / standard deviation")
    save_figure(figure, folder.path / "known_energies.png")
