"""Structures of silicon from molecular dynamics with the Stillinger-Weber potential.

Their number and size can be those of the paper's DFT data: 350 slabs of 64 atoms and 832 clusters of 239 atoms
(supplement, section B).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..io.dataset import Dataset
from ..io.extxyz import write_structures
from ..progress import Silent
from ..structures import Structure
from ..threads import one_thread
from . import ad_hoc
from .frame import Folder
from .stillinger_weber import StillingerWeber, labelled

if TYPE_CHECKING:
    from ase import Atoms

CLUSTER = 239  # atoms
VACUUM = 6.5  # Angstrom around a cluster
COLD, HOT = 300.0, 1500.0  # K
STEP, FRICTION = 2.0, 0.02  # fs, 1/fs
APART = 50  # steps from one structure to the next
STRETCHES = (0.97, 1.03)  # of the crystals
AMPLITUDES = (0.03, 0.2)  # Angstrom, of the displacements in crystals
HELD_OUT = 8  # training trajectories per test trajectory
TRAIN, TEST = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class Sampling:
    """Number of trajectories of the training set, and number of structures of each."""

    trajectories: int
    structures: int


def sample(kind: str, sampling: Sampling, folder: Folder) -> tuple[Dataset, Dataset]:
    """Return training and test structures of "slabs", "clusters" or "crystals".

    Each trajectory has its own start and is heated from COLD to HOT. It is kept in a file, and not made again. Crystals
    are displaced and strained at random; there are as many as structures of a trajectory.
    """
    if kind == "crystals":
        train, test = (crystals(n, stream) for stream, n in ((TRAIN, sampling.structures), (TEST, HELD_OUT)))
        return Dataset(train), Dataset(test)
    tests = -(-sampling.trajectories // HELD_OUT)
    parts = []
    with folder.reporter.task(kind, sampling.trajectories + tests, lines=True) as advance:
        for stream, count in ((TRAIN, sampling.trajectories), (TEST, tests)):
            structures: list[Structure] = []
            for number in range(count):
                make = partial(trajectory, kind, sampling.structures, [stream, number])
                structures += _kept(folder, f"{kind}-{stream}-{number}.xyz", make)
                advance()
            parts.append(Dataset(structures))
    return parts[0], parts[1]


def _kept(folder: Folder, name: str, make: Callable[[], Sequence[Structure]]) -> Sequence[Structure]:
    """Return the structures of a file; make it if it does not exist."""
    if not (folder.path / name).exists():
        write_structures(folder.path / name, make())
    return list(Dataset.read(folder.path / name, reporter=Silent()))


def trajectory(kind: str, count: int, stream: Sequence[int]) -> list[Structure]:
    """Return structures along a trajectory of Langevin dynamics with rising temperature, with labels."""
    from ase import units
    from ase.md.langevin import Langevin

    rng = np.random.default_rng(stream)
    atoms = slab() if kind == "slabs" else cluster(rng)
    atoms.positions += rng.normal(0, ad_hoc.AMPLITUDE, atoms.positions.shape)
    atoms.calc = StillingerWeber()
    dynamics = Langevin(atoms, STEP * units.fs, temperature_K=COLD, friction=FRICTION / units.fs, fixcm=False, rng=rng)
    structures = []
    for temperature in np.linspace(COLD, HOT, count):
        dynamics.set_temperature(temperature_K=temperature)
        with one_thread():
            dynamics.run(APART)
        structures.append(labelled(atoms, kind))
    return structures


def slab() -> Atoms:
    """Return a slab of Si(001) of 8 layers of 8 atoms, with 15 Angstrom of vacuum."""
    return ad_hoc.slab(8, (2, 4))


def cluster(rng: np.random.Generator) -> Atoms:
    """Return the CLUSTER atoms of the crystal that are nearest to a random centre."""
    from ase import Atoms
    from ase.build import bulk

    repeats = 6
    crystal = bulk("Si", "diamond", a=ad_hoc.LATTICE, cubic=True).repeat(repeats)
    centre = ad_hoc.LATTICE * (repeats / 2 + rng.uniform(0, 1, 3))
    nearest = np.argsort(np.linalg.norm(crystal.positions - centre, axis=1), kind="stable")[:CLUSTER]
    atoms = Atoms(f"Si{CLUSTER}", crystal.positions[nearest])
    atoms.center(vacuum=VACUUM)
    return atoms


def crystals(count: int, stream: int) -> list[Structure]:
    """Return crystals of 32 atoms, strained and displaced at random."""
    rng = np.random.default_rng([CLUSTER, stream])
    structures = []
    for _ in range(count):
        atoms = ad_hoc.bulk_cell(rng.uniform(*STRETCHES))
        atoms.positions += rng.normal(0, rng.uniform(*AMPLITUDES), atoms.positions.shape)
        structures.append(labelled(atoms, "crystals"))
    return structures


def relabelled(points: Sequence[Structure]) -> list[Structure]:
    """Return invariant points of the PBE data with labels of the Stillinger-Weber potential."""
    return [
        labelled(s.atoms, s.group, {key: s.atoms.info[key] for key in ("kind", "strain") if key in s.atoms.info})
        for s in points
    ]
