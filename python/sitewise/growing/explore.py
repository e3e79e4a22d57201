"""Structures that a potential visits in molecular dynamics until an error bar is too large."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Error, neighbor_list
from ..dynamics import at_pressure, set_thermal, time_step
from ..ensemble import Ensemble
from ..files import make_folder
from ..io.dataset import Dataset
from ..io.plausibility import OVERLAP, radii
from ..mapping.lattices import nearest_distance, without_periods
from ..posterior import Bars
from ..potential import Potential
from ..progress import Advance, Reporter, Silent
from ..structures import Structure
from ..training.random_streams import Stream, random_numbers
from ..units import GPA
from .commands import run_command
from .cut import cut
from .settings import Explore

if TYPE_CHECKING:
    from ase import Atoms

FRICTION = 0.02  # 1/fs, of Langevin dynamics
MOST = 2000  # structures of a command
PASSES, SHIFT = 5, 0.02  # trajectories from a start in a round at most; more displacement of each, in nearest distances
STRAIN, SHAKE = 0.04, 0.08  # of first copies: standard deviation, and displacements in nearest distances


def bars_of(model: Potential | Ensemble, atoms: Atoms) -> Bars:
    """Return the error bars of a potential, or the spread of an ensemble."""
    if isinstance(model, Potential):
        return model.bars(atoms)
    found = model.evaluate(atoms)
    return Bars(found.energy_spread, found.energies_spread, found.forces_spread)


def first_copies(starts: Sequence[Structure], count: int, seed: int) -> list[Structure]:
    """Return rattled and, where they are periodic, strained copies; the first of each start is hardly changed."""
    copies = []
    for k in range(count):
        start, rng = starts[k % len(starts)], random_numbers(seed, Stream.COPIES, k)
        atoms, size = bare(start.atoms), min(1.0, (k // len(starts)) / max(1, (count - 1) // len(starts)))
        if atoms.pbc.any():
            strain = size * rng.normal(0, STRAIN, (3, 3))
            free = np.outer(atoms.pbc, atoms.pbc)
            deformation = np.eye(3) + np.where(free, (strain + strain.T) / 2, 0.0)
            atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
        shake = SHAKE * max(size, 0.1) * (nearest_distance(atoms) or 0.0)
        atoms.positions += rng.normal(0, shake, atoms.positions.shape)
        atoms.info["origin"] = f"copy {k} of {Path(start.source).name}"
        copies.append(Structure(atoms, None, None, None, start.group, f"copy {k} of {start.source}"))
    return copies


def explored(
    model: Potential | Ensemble,
    starts: Sequence[Structure],
    table: Explore,
    enough: int,
    seed: int,
    number: int,
    reporter: Reporter,
) -> list[Structure]:
    """Return the structures that trajectories from all starts were looked at in.

    Where trajectories end early, others follow from displaced starts, each displaced further, until there are enough
    structures, up to PASSES for each start.

    The `info` of each has its `origin`, the `step`, the temperature (`kelvin`), the largest error bars `atom_bar` (eV)
    and `force_bar` (eV/Angstrom) and, for the last of a trajectory, why it `ended`: "bar", "steps" or "close", the last
    one for atoms that overlap in the next.

    Parameters
    ----------
    model
        Moves the atoms.
    starts
        Structures that trajectories start from.
    table
        Temperatures, steps and thresholds.
    enough
        Number of structures.
    seed, number
        Of the run and of the round, for random velocities.
    reporter
        Reports the progress.

    """
    frames: list[Structure] = []
    with reporter.task("exploring", None, lines=True) as advance:
        for attempt in range(PASSES):
            for k, start in enumerate(starts):
                rng = random_numbers(seed, Stream.EXPLORATION, number, k, attempt)
                with start.named():
                    frames += _trajectory(model, start, table, SHIFT * attempt, rng, advance)
            if len(frames) >= enough:
                break
    return frames


def explored_by_command(
    model: Potential | Ensemble, potential: Path, table: Explore, folder: Path, out: Path, reporter: Reporter
) -> list[Structure]:
    """Return the structures that a command leaves in files of a folder, with their error bars; at most MOST of them.

    Parameters
    ----------
    model, potential
        The potential and its directory.
    table
        Names the command.
    folder
        Where it runs.
    out
        Folder for its files; it is made anew.
    reporter
        Reports the progress.

    Raises
    ------
    Error
        The command fails or leaves no structure, or one with an element that the potential does not have.
    """
    assert table.command is not None
    shutil.rmtree(out, ignore_errors=True)
    make_folder(out)
    reporter.say(f"exploring by {table.command}")
    run_command(table.command, folder, potential, out)
    files = sorted(path for path in out.iterdir() if path.is_file())
    if not files:
        raise Error(f"{table.command}: has left no file in {out}")
    found = Dataset.read(files, require_labels=False, mixed_labels=True, reporter=Silent())
    kept = found[:: -(-len(found) // MOST)]
    frames = []
    with reporter.task("error bars", len(kept), lines=True) as advance:
        for s in kept:
            with s.named():
                frames.append(_looked_at(model, s.atoms, s, None, table))
            advance()
    return frames


def _trajectory(
    model: Potential | Ensemble,
    start: Structure,
    table: Explore,
    shift: float,
    rng: np.random.Generator,
    advance: Advance,
) -> Iterator[Structure]:
    atoms = bare(start.atoms)
    atoms.positions += rng.normal(0, shift * (nearest_distance(atoms) or 0.0), atoms.positions.shape)
    atoms.calc = model.calculator(warn_every=0)
    set_thermal(atoms, table.temperatures[0], rng)
    dynamics = _dynamics(atoms, table, rng)
    step, last = 0, _looked_at(model, atoms, start, 0, table)
    while True:
        known = last.atoms.info["atom_bar"] <= table.atom_bar and last.atoms.info["force_bar"] <= table.force_bar
        if not known:  # also where a bar is not a number
            yield _ended(last, "bar")
            return
        if step >= table.steps:
            yield _ended(last, "steps")
            return
        first, final = table.temperatures
        dynamics.set_temperature(temperature_K=first + (final - first) * step / table.steps)
        block = min(table.every, table.steps - step)
        try:
            dynamics.run(block)
        except (Error, ValueError, FloatingPointError, np.linalg.LinAlgError):  # atoms that fly apart or overlap
            yield _ended(last, "close")
            return
        step += block
        if not np.isfinite(atoms.positions).all() or _overlaps(atoms):
            yield _ended(last, "close")
            return
        yield last
        last = _looked_at(model, atoms, start, step, table)
        advance()


def _looked_at(
    model: Potential | Ensemble, atoms: Atoms, start: Structure, step: int | None, table: Explore
) -> Structure:
    bars, frame = bars_of(model, atoms), bare(atoms)
    moved = {} if step is None else {"step": step, "kelvin": round(float(atoms.get_temperature()), 1)}
    frame.info = {
        "origin": Path(start.source).name,
        **moved,
        "atom_bar": float(f"{bars.energies.max():.6g}"),
        "force_bar": float(f"{bars.forces.max():.6g}"),
    }
    source = start.source if step is None else f"{start.source}, step {step}"
    found = Structure(frame, None, None, None, start.group, source)
    if table.max_atoms is None or len(frame) <= table.max_atoms:
        return found
    excess = np.maximum(bars.energies / table.atom_bar, bars.forces.max(axis=1) / table.force_bar)
    return cut(found, int(np.argmax(excess)), table.max_atoms, model.cutoff)


def _ended(frame: Structure, why: str) -> Structure:
    frame.atoms.info["ended"] = why
    return frame


def bare(atoms: Atoms) -> Atoms:
    """Return a copy without labels, velocities and constraints."""
    from ase import Atoms as Made

    return Made(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _dynamics(atoms: Atoms, table: Explore, rng: np.random.Generator) -> Any:
    from ase.md.langevin import Langevin
    from ase.units import fs

    step, kelvin = table.timestep or time_step(atoms), table.temperatures[0]
    if table.pressure is None or without_periods(atoms).any():
        return Langevin(atoms, step * fs, temperature_K=kelvin, friction=FRICTION / fs, fixcm=False, rng=rng)
    return at_pressure(atoms, step, kelvin, table.pressure * GPA)


def _overlaps(atoms: Atoms) -> bool:
    reach = 2 * float(radii()[atoms.numbers].max())
    i, j, vectors, _ = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    sums = radii()[atoms.numbers[i]] + radii()[atoms.numbers[j]]
    return bool((np.linalg.norm(vectors, axis=1) < OVERLAP * sums).any())
