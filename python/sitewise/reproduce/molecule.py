"""Molecules of hydrogen and oxygen: which energies a fixed stoichiometry leaves free.

If all structures have two atoms of hydrogen for each of oxygen, energy may move from all hydrogen to all oxygen. The
energies of molecules with another ratio are then free. Those of reactions are not, as long as the molecules are in the
data. Water alone does not determine the energy of any reaction.

Labels are Morse potentials between the atoms of a molecule, P. M. Morse, Phys. Rev. 34, 57 (1929), with energies of
atomisation close to the measured ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..figures import panels, save_figure
from ..structures import Floats, Structure
from .elements import Finding, Problem, Settings, draw_changes, draw_legend, draw_targets, findings, outcome
from .frame import Check, Folder, Outcome


class Morse(NamedTuple):
    """Atoms i and j with the energy depth ((1 - exp(-stiffness (r - length)))^2 - 1); eV, 1/Angstrom, Angstrom."""

    i: int
    j: int
    depth: float
    stiffness: float
    length: float


SYMBOLS = {"H2O": "OHH", "H2": "HH", "O2": "OO", "OH": "OH"}
PAIRS = {
    "H2O": (Morse(0, 1, 4.3, 2.2, 0.96), Morse(0, 2, 4.3, 2.2, 0.96), Morse(1, 2, 1.0, 2.2, 1.52)),
    "H2": (Morse(0, 1, 4.6, 1.94, 0.74),),
    "O2": (Morse(0, 1, 5.2, 2.65, 1.21),),
    "OH": (Morse(0, 1, 4.4, 2.29, 0.97),),
}
SPACING = 20.0  # Angstrom, between molecules of a structure
AMPLITUDE = 0.06  # Angstrom, standard deviation of displacements
# Molecules of the structures of each training set, in turn.
SETS: dict[str, tuple[tuple[str, ...], ...]] = {
    "water": (("H2O", "H2O"),),
    "one-stoichiometry": (("H2O", "H2O"), ("H2", "H2", "O2"), ("OH", "OH", "H2")),
    "with-hydrogen": (("H2O", "H2O"), ("H2", "H2", "O2"), ("OH", "OH", "H2"), ("H2", "H2")),
}
CHANGES = {
    "2 H2 + O2 -> 2 H2O": {"H2": -2.0, "O2": -1.0, "H2O": 2.0},
    "H2 + O2 -> 2 OH": {"H2": -1.0, "O2": -1.0, "OH": 2.0},
}
TRAIN, TEST, TARGET = 0, 1, 2  # streams of random numbers


def run(settings: Settings, folder: Folder) -> Outcome:
    """Diagnose each training set, train on it, and compare errors with bars."""
    problem = targets()
    sets = {
        name: (made(name, settings.structures, number, TRAIN), made(name, 24, number, TEST))
        for number, name in enumerate(SETS)
    }
    found = findings(folder, sets, problem, settings)
    draw(folder, found, problem)
    return outcome(found, problem, checks(found, problem))


def targets() -> Problem:
    """Return each molecule with slightly displaced atoms, and the reactions."""
    rng = np.random.default_rng(TARGET)
    return Problem({name: mixture((name,), rng, 0.02) for name in PAIRS}, CHANGES)


def made(name: str, count: int, *stream: int) -> list[Structure]:
    """Return displaced structures of a training set."""
    rng = np.random.default_rng(stream)
    return [mixture(SETS[name][k % len(SETS[name])], rng, AMPLITUDE) for k in range(count)]


def mixture(molecules: Sequence[str], rng: np.random.Generator, amplitude: float) -> Structure:
    """Return displaced molecules far from each other, with energy and forces."""
    from ase import Atoms

    atoms, total, forces = Atoms(), 0.0, []
    for number, name in enumerate(molecules):
        one = Atoms(SYMBOLS[name], shape(name) + rng.normal(0, amplitude, (len(SYMBOLS[name]), 3)))
        energy, pulls = labels(name, one.positions)
        one.positions[:, 0] += SPACING * number
        atoms += one
        total += energy
        forces.append(pulls)
    group = " + ".join(molecules)
    return Structure(atoms, total, np.concatenate(forces), None, group, group)


def shape(name: str) -> Floats:
    """Return the positions [n, 3] of lowest energy, Angstrom."""
    if name != "H2O":
        return np.array([[0.0, 0.0, 0.0], [0.0, 0.0, PAIRS[name][0].length]])
    bond, _, across = (pair.length for pair in PAIRS[name])
    height = np.sqrt(bond**2 - across**2 / 4)
    return np.array([[0.0, 0.0, 0.0], [0.0, across / 2, height], [0.0, -across / 2, height]])


def labels(name: str, positions: Floats) -> tuple[float, Floats]:
    """Return the energy of a molecule relative to free atoms, eV, and its forces [n, 3], eV/Angstrom."""
    energy, forces = 0.0, np.zeros(positions.shape)
    for i, j, depth, stiffness, length in PAIRS[name]:
        vector = positions[j] - positions[i]
        r = float(np.linalg.norm(vector))
        decay = np.exp(-stiffness * (r - length))
        energy += depth * float((1 - decay) ** 2 - 1)
        pull = 2 * depth * stiffness * (1 - decay) * decay * vector / r
        forces[i] += pull
        forces[j] -= pull
    return energy, forces


# ---- results


def checks(found: Mapping[str, Finding], problem: Problem) -> list[Check]:
    """Check that a fixed stoichiometry leaves energies of molecules free, and that only water alone leaves those of
    reactions open."""
    unlike = [list(problem.targets).index(name) for name in ("H2", "O2")]
    result = []
    for name, f in found.items():
        free = 0 if name == "with-hydrogen" else 1
        result.append(
            Check(f"{name}: free combinations of elements, {free} expected", f.nullity, free - 0.5, free + 0.5)
        )
        result.append(Check(f"{name}: test RMSE of totals, worst network (meV/atom)", float(f.totals.max()), below=5.0))
        molecules, reactions = np.abs(f.errors[:, unlike]).max(axis=1), np.abs(f.changes).max(axis=1)
        if free:
            result.append(Check(f"{name}: error of H2 or O2, best network (meV/atom)", float(molecules.min()), 50.0))
            result.append(Check(f"{name}: their bars after training, least", float(f.bars[:, unlike].min()), 50.0))
        else:
            result.append(Check(f"{name}: error of H2 or O2, worst network", float(molecules.max()), below=10.0))
        if name == "water":
            result.append(Check(f"{name}: error of a reaction, best network (meV)", float(reactions.min()), 500.0))
        else:
            result.append(Check(f"{name}: error of reactions, worst network (meV)", float(reactions.max()), below=50.0))
    return result


def draw(folder: Folder, found: Mapping[str, Finding], problem: Problem) -> None:
    """Draw `molecule.png`: errors and bars of molecules, and of reactions."""
    figure, axes = panels(2)
    draw_targets(axes[0], found, list(problem.targets))
    draw_changes(axes[1], found, list(problem.changes))
    draw_legend(figure, axes[0])
    save_figure(figure, folder.path / "molecule.png")
