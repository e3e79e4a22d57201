"""Right totals from a wrong mapping, with labels from a potential whose atomic energies are known.

All slabs of one thickness have the same numbers of surface and bulk atoms, and leave open how their energy is divided
between the two. Networks then get totals right and the crystal wrong. A second thickness or a piece of bulk corrects
this, and the counts of atoms in clusters show it before any training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import COLORS, panels, save_figure
from ..io.dataset import Dataset
from ..io.extxyz import write_structures
from ..potential import Potential
from ..structures import Floats, Structure
from .before_training import diagnose_crystal, draw_barcodes
from .frame import Check, Folder, Outcome
from .pictures import draw_totals_and_crystal
from .runs import networks
from .stillinger_weber import labelled

if TYPE_CHECKING:
    from ase import Atoms

LATTICE = 5.431  # Angstrom, where the energy of diamond is lowest
AMPLITUDE = 0.05  # Angstrom, standard deviation of the displacements
STRETCHES = (0.98, 0.99, 1.0, 1.01, 1.02)  # of the bulk cells, and of the tested crystals
PERFECT = 2  # index of the crystal that is not stretched
# Kinds of structures in each training set, and their numbers; the test sets have the same kinds.
SETS = {
    "one-thickness": {"8 layers": 20},
    "two-thicknesses": {"8 layers": 20, "12 layers": 6},
    "with-bulk": {"8 layers": 20, "bulk": 6},
}
KINDS = ("8 layers", "12 layers", "bulk")
TESTED = 6  # structures of each kind
TRAIN, TEST = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class Settings:
    """Number of networks for each training set, and iterations of each."""

    seeds: int = 4
    iterations: int = 240


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Results of one training set.

    Attributes
    ----------
    diagnosis
        Result of `diagnose_crystal`.
    totals, forces
        Test RMSE of each network, meV/atom and eV/Angstrom.
    deltas
        Error of the crystal's atomic energy [networks, STRETCHES], meV.
    """

    diagnosis: dict[str, Any]
    totals: Floats
    forces: Floats
    deltas: Floats


def run(settings: Settings, folder: Folder) -> Outcome:
    """Diagnose each training set, then train on it."""
    crystals = [labelled(bulk_cell(s), "crystal") for s in STRETCHES]
    write_structures(folder.path / "crystals.xyz", crystals)
    found = {name: _finding(folder, name, settings, crystals) for name in SETS}
    draw(folder, found)
    columns = ("training set", "clusters", "free", "crystal unknown", "test meV/atom", "eV/Å", "crystal meV")
    values = {
        name: {**f.diagnosis, "crystal_meV": f.deltas.tolist(), "stretches": list(STRETCHES)}
        for name, f in found.items()
    }
    return Outcome(columns, [_row(name, f) for name, f in found.items()], checks(found), values)


def _finding(folder: Folder, name: str, settings: Settings, crystals: Sequence[Structure]) -> Finding:
    data, found = learned(folder, name, settings)
    diagnosis = folder.part(f"diagnosis-{name}", partial(diagnose_crystal, Dataset(data), crystals[PERFECT]))
    totals = [1e3 * errors["test"]["energy_rmse"] for _, errors in found]
    forces = [errors["test"]["force_rmse"] for _, errors in found]
    deltas = [[1e3 * _error(potential, crystal) for crystal in crystals] for potential, _ in found]
    return Finding(diagnosis, np.array(totals), np.array(forces), np.array(deltas))


def learned(
    folder: Folder, name: str, settings: Settings
) -> tuple[list[Structure], list[tuple[Potential, dict[str, Any]]]]:
    """Return the training set, and its networks with their errors."""
    data, test = made(SETS[name], TRAIN), made(dict.fromkeys(SETS[name], TESTED), TEST)
    return data, networks(folder, name, data, test, settings.seeds, settings.iterations)


def _error(potential: Potential, crystal: Structure) -> float:
    assert crystal.energy is not None
    return float(potential.evaluate(crystal.atoms).energies[0]) - crystal.energy / len(crystal.atoms)


# ---- structures


def made(counts: Mapping[str, int], stream: int) -> list[Structure]:
    """Return displaced structures of some kinds, the same ones for the same stream."""
    structures = []
    for kind, count in counts.items():
        rng = np.random.default_rng([KINDS.index(kind), stream])
        for k in range(count):
            atoms = bulk_cell(STRETCHES[k % len(STRETCHES)]) if kind == "bulk" else slab(int(kind.split()[0]))
            atoms.positions += rng.normal(0, AMPLITUDE, atoms.positions.shape)
            structures.append(labelled(atoms, kind))
    return structures


def slab(layers: int, repeats: tuple[int, int] = (2, 2)) -> Atoms:
    """Return a slab of Si(001) as cut from the crystal, with `repeats` atoms per layer and 15 Angstrom of vacuum."""
    from ase import Atoms
    from ase.build import diamond100

    cut = diamond100("Si", (*repeats, layers), a=LATTICE, vacuum=7.5)
    return Atoms(cut.symbols, cut.positions, cell=cut.cell, pbc=True)


def bulk_cell(stretch: float) -> Atoms:
    """Return 32 atoms of diamond."""
    from ase import Atoms
    from ase.build import bulk

    cell = bulk("Si", "diamond", a=stretch * LATTICE, cubic=True) * (2, 2, 1)
    return Atoms(cell.symbols, cell.positions, cell=cell.cell, pbc=True)


# ---- results


def checks(found: Mapping[str, Finding]) -> list[Check]:
    """Check that totals are right everywhere, and that the crystal is wrong exactly where the data leave it open."""
    result = []
    for name, f in found.items():
        crystal, unknown = np.abs(f.deltas[:, PERFECT]), [entry["unknown"] for entry in f.diagnosis["barcode"]]
        result.append(Check(f"{name}: test RMSE of totals, worst network (meV/atom)", float(f.totals.max()), below=1.0))
        if name == "one-thickness":
            result.append(Check(f"{name}: error of the crystal, best network (meV)", float(crystal.min()), above=100.0))
            result.append(Check(f"{name}: unknown part of the crystal, least of all cuts", min(unknown), above=0.05))
        else:
            result.append(Check(f"{name}: error of the crystal, worst network (meV)", float(crystal.max()), below=10.0))
            result.append(Check(f"{name}: unknown part of the crystal, most of all cuts", max(unknown), below=1e-6))
    return result


def _row(name: str, f: Finding) -> tuple[Any, ...]:
    entry = f.diagnosis["longest"]
    crystal = np.abs(f.deltas[:, PERFECT])
    return (
        *(name, entry["clusters"], entry["nullity"], round(entry["unknown"], 6)),
        *(float(np.median(f.totals)), float(np.median(f.forces)), float(np.median(crystal))),
    )


def draw(folder: Folder, found: Mapping[str, Finding]) -> None:
    """Draw `ad_hoc.png`: the diagnosis before training, the crystal after training, and both errors."""
    figure, axes = panels(3)
    draw_barcodes(axes[0], {name: f.diagnosis for name, f in found.items()})
    lattice = LATTICE * np.array(STRETCHES)
    for (name, f), color in zip(found.items(), COLORS, strict=False):
        for k, delta in enumerate(f.deltas):
            axes[1].plot(
                lattice, delta, "o-", color=color, markersize=4, alpha=0.7, label=None if k else name.replace("-", " ")
            )
    axes[1].axhline(0, color="black", linewidth=0.7)
    axes[1].set(xlabel="lattice constant (Å)", ylabel="error of the crystal's atomic energy (meV)")
    axes[1].set_title("after training: every network", fontsize="medium")
    axes[1].legend(frameon=False, loc="center right")
    crystals = {name: np.abs(f.deltas[:, PERFECT]) for name, f in found.items()}
    draw_totals_and_crystal(axes[2], {name: f.totals for name, f in found.items()}, crystals)
    save_figure(figure, folder.path / "ad_hoc.png")
