"""Alloys of copper and gold: one composition leaves the split of the energy between the elements free.

Labels are those of the effective medium theory of K. W. Jacobsen, P. Stoltze and J. K. Norskov, Surf. Sci. 366, 394
(1996), as in ASE, measured from free atoms. If all cells have as many atoms of copper as of gold, energy may move from
all atoms of copper to all atoms of gold. This does not change the energy of mixing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import COLORS, panels, save_figure
from ..structures import Structure
from .elements import Finding, Problem, Settings, draw_changes, draw_legend, draw_targets, findings, outcome
from .frame import Check, Folder, Outcome

if TYPE_CHECKING:
    from ase import Atoms

FIRST, SECOND = "Cu", "Au"
LATTICE = (3.61, 4.08)  # Angstrom, of both elements; linear between them
CELL = 32  # atoms
AMPLITUDE, STRETCH = 0.1, 0.02  # Angstrom, standard deviation of displacements; largest strain
# Numbers of gold atoms in the cells of each training set.
SETS = {
    "one-composition": (16,),
    "two-compositions": (8, 24),
    "many-compositions": (4, 8, 12, 16, 20, 24, 28),
}
TARGETS = (0, 4, 8, 12, 16, 20, 24, 28, 32)  # gold atoms
PURE = (0, 32)
TRAIN, TEST, TARGET = 0, 1, 2  # streams of random numbers


def run(settings: Settings, folder: Folder) -> Outcome:
    """Diagnose each training set, train on it, and compare errors with bars."""
    problem = targets()
    sets = {
        name: (made(golds, settings.structures, number, TRAIN), made(golds, 8, number, TEST))
        for number, (name, golds) in enumerate(SETS.items())
    }
    found = findings(folder, sets, problem, settings)
    draw(folder, found, problem)
    return outcome(found, problem, checks(found, problem))


def targets() -> Problem:
    """Return a displaced cell of each composition of TARGETS, perfect ones of the elements, and the mixing energy."""
    rng = np.random.default_rng(TARGET)
    found = {_name(gold): labelled(cell(gold, rng, 0.0 if gold in PURE else AMPLITUDE)) for gold in TARGETS}
    half, first, second = _name(CELL // 2), _name(0), _name(CELL)
    mixing = {half: 2 / CELL, first: -1 / CELL, second: -1 / CELL}  # per atom of each element
    return Problem(found, {f"{FIRST} + {SECOND} -> {FIRST}{SECOND}": mixing})


def _name(gold: int) -> str:
    """Return the name of a target by its percentage of gold."""
    return f"{100 * gold / CELL:g} %"


def made(golds: Sequence[int], count: int, *stream: int) -> list[Structure]:
    """Return displaced and strained cells of random alloys, the compositions in turn."""
    rng = np.random.default_rng(stream)
    structures = []
    for k in range(count):
        atoms = cell(golds[k % len(golds)], rng, AMPLITUDE)
        atoms.set_cell(atoms.cell * rng.uniform(1 - STRETCH, 1 + STRETCH), scale_atoms=True)
        structures.append(labelled(atoms))
    return structures


def cell(gold: int, rng: np.random.Generator, amplitude: float) -> Atoms:
    """Return a cell of a random alloy."""
    from ase.build import bulk

    a, b = LATTICE
    atoms: Atoms = bulk(FIRST, "fcc", a=a + (b - a) * gold / CELL, cubic=True) * 2
    atoms.symbols[rng.permutation(CELL)[:gold]] = SECOND
    atoms.positions += rng.normal(0, amplitude, atoms.positions.shape)
    return atoms


def labelled(atoms: Atoms) -> Structure:
    """Return the structure with its energy, relative to free atoms, and its forces."""
    from ase.calculators.emt import EMT, parameters

    copy = atoms.copy()
    copy.calc = EMT()  # its energies are relative to the elements' crystals
    crystals = sum(parameters[symbol][0] for symbol in atoms.symbols)
    return Structure(atoms, float(copy.get_potential_energy() + crystals), copy.get_forces(), None, "alloy", "alloy")


# ---- results


def checks(found: Mapping[str, Finding], problem: Problem) -> list[Check]:
    """Check that one composition leaves one combination free, and that only energies of other compositions show it."""
    names = list(problem.targets)
    pure = [names.index(_name(gold)) for gold in PURE]
    result = []
    for name, f in found.items():
        alone = name == "one-composition"
        free = 1 if alone else 0
        result.append(
            Check(f"{name}: free combinations of elements, {free} expected", f.nullity, free - 0.5, free + 0.5)
        )
        result.append(Check(f"{name}: test RMSE of totals, worst network (meV/atom)", float(f.totals.max()), below=5.0))
        wrong = np.abs(f.errors[:, pure]).max(axis=1)
        if alone:
            result.append(
                Check(f"{name}: error of the worse element, best network (meV/atom)", float(wrong.min()), 50.0)
            )
            result.append(Check(f"{name}: bar before training, least (meV/atom)", float(f.before[pure].min()), 50.0))
            result.append(Check(f"{name}: bar after training, least (meV/atom)", float(f.bars[:, pure].min()), 50.0))
            part = f.change_bars[:, 0] / f.bars[:, pure].sum(axis=1)
            result.append(Check(f"{name}: bar of mixing, part of the elements' bars", float(part.max()), below=0.2))
        else:
            result.append(
                Check(f"{name}: error of the worse element, worst network (meV/atom)", float(wrong.max()), below=30.0)
            )
            error = float(np.abs(f.changes).max())
            result.append(Check(f"{name}: error of mixing, worst network (meV)", error, below=60.0))
    return result


def draw(folder: Folder, found: Mapping[str, Finding], problem: Problem) -> None:
    """Draw `alloy.png`: errors against composition, errors and bars of all targets, and of mixing."""
    figure, axes = panels(3)
    percent = [100 * gold / CELL for gold in TARGETS]
    for (name, f), color in zip(found.items(), COLORS, strict=False):
        for k, errors in enumerate(f.errors):
            style: dict[str, Any] = {"color": color, "markersize": 4, "alpha": 0.7}
            axes[0].plot(percent, errors, "o-", label=None if k else name.replace("-", " "), **style)
    axes[0].axhline(0, color="black", linewidth=0.7)
    axes[0].set(xlabel="gold (% of the atoms)", ylabel="error of the energy (meV/atom)")
    draw_targets(axes[1], found, list(problem.targets))
    axes[1].set(xlabel="gold (% of the atoms)")
    axes[1].set_xticks(range(len(TARGETS)), [f"{x:g}" for x in percent])
    draw_changes(axes[2], found, list(problem.changes))
    draw_legend(figure, axes[1])
    save_figure(figure, folder.path / "alloy.png")
