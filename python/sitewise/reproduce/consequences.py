"""Consequences of an ad hoc mapping: surface energies of silicon, and a slab that is heated until it melts.

The networks are those of `ad-hoc`. All are trained on slabs of 8 layers, and some on bulk cells, too. Both kinds have
right forces in a slab at rest. The ad hoc mapping makes atoms inside too high and atoms at surfaces too low in energy,
so surface energies are too low. A slab then opens more surfaces as soon as its atoms leave their places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import COLORS, panels, save_figure
from ..structures import Floats
from ..threads import one_thread
from . import ad_hoc
from .ad_hoc import bulk_cell, slab
from .frame import Check, Folder, Outcome
from .stillinger_weber import StillingerWeber

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator
    from matplotlib.axes import Axes

TRUTH = "Stillinger-Weber"
SETS = {"wrong mapping": "one-thickness", "right mapping": "with-bulk"}  # names in `ad_hoc.SETS`
LAYERS = (8, 12, 16, 20, 24, 32)
KNOWN = 8  # layers of the slabs in the training sets
HEATED = 16  # layers of the slab that melts
COLD, HOT = 300.0, 3200.0  # K, of the thermostat
STEP, FRICTION = 2.0, 0.01  # fs, 1/fs
REPORTS = 60  # frames of a trajectory
MELTED = 1.0  # Angstrom; RMS displacement of the atoms inside
SHOWN = 1700.0  # K, of the frames in the picture
SIDE_BY_SIDE = 4  # periodic images in it


@dataclass(frozen=True)
class Settings:
    """Number of networks for each training set, iterations of each, and steps of each trajectory."""

    seeds: int = 3
    iterations: int = 240
    steps: int = 30_000


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Results of the networks of one training set, or of the true potential as the only one.

    Attributes
    ----------
    totals
        Test RMSE of each network, meV/atom.
    surface
        Surface energy with the network's own energy of the crystal [networks, LAYERS], eV/Angstrom^2.
    mixed
        The same with the true energy of the crystal.
    trajectories
        Heated slabs, see `heat`.
    """

    totals: Floats
    surface: Floats
    mixed: Floats
    trajectories: list[dict[str, Any]]

    @property
    def melting(self) -> Floats:
        """Return the temperature at which each slab melts, K; infinity if it does not."""
        return np.array([melting_temperature(t) for t in self.trajectories])


def run(settings: Settings, folder: Folder) -> Outcome:
    """Compute surface energies and heat slabs with right and wrong mapping, and with the true potential."""
    made = {name: ad_hoc.learned(folder, of, _training(settings))[1] for name, of in SETS.items()}
    calculators: dict[str, list[BaseCalculator]] = {TRUTH: [StillingerWeber()] * settings.seeds}
    calculators |= {name: [potential.calculator(warn_every=0) for potential, _ in nets] for name, nets in made.items()}
    bulk = _energy(StillingerWeber(), bulk_cell(1.0))
    found = {}
    with folder.reporter.task("heated slabs", len(calculators) * settings.seeds, lines=True) as advance:
        for name, mine in calculators.items():
            totals = [1e3 * errors["test"]["energy_rmse"] for _, errors in made.get(name, [])]
            surface, mixed = np.swapaxes([surface_energies(c, bulk) for c in mine], 0, 1)
            trajectories = []
            for seed, calculator in enumerate(mine):
                part = f"heated-{name.replace(' ', '-')}-{seed}"
                trajectories.append(folder.part(part, partial(heat, calculator, settings.steps, seed)))
                advance(note=name)
            found[name] = Finding(np.array(totals), surface, mixed, trajectories)
    draw(folder, found)
    columns = ("mapping", "test meV/atom", "surface energy J/m²", "error %", "melts at K")
    values = {
        name: {
            "layers": list(LAYERS),
            "surface_energy_eV_A2": f.surface.tolist(),
            "with_true_crystal_eV_A2": f.mixed.tolist(),
            "melts_at_K": [t if np.isfinite(t) else None for t in f.melting.tolist()],
        }
        for name, f in found.items()
    }
    truth = found[TRUTH]
    return Outcome(columns, [_row(name, f, truth) for name, f in found.items()], checks(found), values)


def _training(settings: Settings) -> ad_hoc.Settings:
    return ad_hoc.Settings(settings.seeds, settings.iterations)


# ---- surface energy


def surface_energies(calculator: BaseCalculator, bulk: float) -> tuple[list[float], list[float]]:
    """Return the surface energy of each thickness, eV/Angstrom^2, with the calculator's energy of the crystal and with
    `bulk`, eV/atom."""
    slabs = [slab(layers) for layers in LAYERS]
    areas = [2 * float(np.linalg.norm(np.cross(s.cell[0], s.cell[1]))) for s in slabs]
    energies = [len(s) * _energy(calculator, s) for s in slabs]

    def against(crystal: float) -> list[float]:
        return [(e - len(s) * crystal) / area for e, s, area in zip(energies, slabs, areas, strict=True)]

    return against(_energy(calculator, bulk_cell(1.0))), against(bulk)


def _energy(calculator: BaseCalculator, atoms: Any) -> float:
    """Return the energy per atom, eV."""
    return float(calculator.get_potential_energy(atoms)) / len(atoms)


# ---- melting


def heat(calculator: BaseCalculator, steps: int, seed: int) -> dict[str, Any]:
    """Heat a slab by Langevin dynamics from COLD to HOT.

    Returns
    -------
    dict
        temperatures: of the thermostat at the end of each interval, K; displacements: RMS displacement of the atoms of
        the inner half from their places in the crystal, Angstrom; thickness: distance of the lowest and the highest
        atom, Angstrom; shown: positions at SHOWN, Angstrom.
    """
    from ase import units
    from ase.md.langevin import Langevin

    atoms, rng = slab(HEATED), np.random.default_rng([HEATED, seed])
    start = atoms.get_positions()
    inside = np.abs(start[:, 2] - np.median(start[:, 2])) < np.ptp(start[:, 2]) / 4
    atoms.calc = calculator
    energy = 2 * COLD * units.kB  # half of it becomes potential energy
    atoms.set_momenta(rng.normal(0, np.sqrt(energy * atoms.get_masses())[:, None], start.shape))
    dynamics = Langevin(atoms, STEP * units.fs, temperature_K=COLD, friction=FRICTION / units.fs, fixcm=False, rng=rng)
    found: dict[str, Any] = {"temperatures": [], "displacements": [], "thickness": [], "shown": None}
    for temperature in np.linspace(COLD, HOT, REPORTS):
        dynamics.set_temperature(temperature_K=temperature)
        with one_thread():
            dynamics.run(max(steps // REPORTS, 1))
        atoms.positions += start.mean(axis=0) - atoms.positions.mean(axis=0)
        moved = atoms.get_positions()[inside] - start[inside]
        found["temperatures"].append(round(float(temperature), 1))
        found["displacements"].append(float(np.sqrt((moved**2).sum(axis=1).mean())))
        found["thickness"].append(float(np.ptp(atoms.positions[:, 2])))
        if temperature >= SHOWN and found["shown"] is None:
            found["shown"] = atoms.get_positions(wrap=True).round(3).tolist()
    return found


def melting_temperature(trajectory: Mapping[str, Any]) -> float:
    """Return the first temperature at which the atoms inside have left their places, K; infinity if they never do."""
    pairs = zip(trajectory["temperatures"], trajectory["displacements"], strict=True)
    return float(next((t for t, moved in pairs if moved > MELTED), np.inf))


# ---- results


def checks(found: Mapping[str, Finding]) -> list[Check]:
    """Check that totals are right everywhere, and that surfaces and melting are wrong only with the wrong mapping."""
    truth, wrong, right = (found[name] for name in (TRUTH, *SETS))
    result = [
        Check(f"{name}: test RMSE of totals, worst network (meV/atom)", float(found[name].totals.max()), below=1.0)
        for name in SETS
    ]
    low, high = (np.abs(f.surface / truth.surface - 1) for f in (wrong, right))
    known = np.abs(wrong.mixed / truth.mixed - 1)[:, LAYERS.index(KNOWN)]
    early, same = (float(np.median(f.melting)) / float(np.median(truth.melting)) for f in (wrong, right))
    return [
        *result,
        Check("wrong mapping: error of the surface energy, best network", float(low.min()), above=0.3),
        Check("right mapping: error of the surface energy, worst network", float(high.max()), below=0.03),
        Check("wrong mapping: the same for the trained thickness and the true crystal", float(known.max()), below=0.03),
        Check("wrong mapping: median melting temperature, part of the true one", early, below=0.85),
        Check(
            "right mapping: median melting temperature, part of the true one",
            same,
            above=0.8,
            below=1.2,
        ),
    ]


def _row(name: str, f: Finding, truth: Finding) -> tuple[Any, ...]:
    from ase.units import J, m

    joules = float(np.median(f.surface)) * m**2 / J
    error = 100 * float(np.median(f.surface / truth.surface - 1))
    totals = float(np.median(f.totals)) if len(f.totals) else "-"
    return name, totals, joules, round(error, 2), float(np.median(f.melting))


def draw(folder: Folder, found: Mapping[str, Finding]) -> None:
    """Draw `consequences.png`: surface energies, displacements while heated, and below the slabs at SHOWN."""
    figure, axes = panels(3, rows=2)
    colors = dict(zip(found, ("black", COLORS[1], COLORS[0]), strict=True))
    _draw_surfaces(axes[0], axes[1], found, colors)
    for name, f in found.items():
        for k, t in enumerate(f.trajectories):
            style: dict[str, Any] = {"color": colors[name], "linewidth": 1.2, "label": None if k else name}
            axes[2].plot(t["temperatures"], t["displacements"], **style)
    axes[2].axhline(MELTED, color="#555555", linestyle=":", linewidth=1.0)
    axes[2].set(xlabel="temperature of the thermostat (K)", ylabel="RMS displacement of inner atoms (Å)", ylim=(0, 5))
    axes[2].set_title(f"heated slabs of {HEATED} layers; dotted: melted", fontsize="medium")
    axes[2].legend(frameon=False, loc="upper left")
    for ax, (name, f) in zip(axes[3:], found.items(), strict=True):
        _draw_slab(ax, f.trajectories[0]["shown"], colors[name])
        ax.set_title(f"{name}, {SHOWN:g} K", fontsize="medium")
    save_figure(figure, folder.path / "consequences.png")


def _draw_surfaces(own: Axes, mixed: Axes, found: Mapping[str, Finding], colors: Mapping[str, str]) -> None:
    from ase.units import J, m

    for name, f in found.items():
        for ax, values in ((own, f.surface), (mixed, f.mixed)):
            for k, curve in enumerate(values * m**2 / J):
                style: dict[str, Any] = {"color": colors[name], "markersize": 4, "label": None if k else name}
                ax.plot(LAYERS, curve, "x--" if name == TRUTH else "o-", zorder=3 if name == TRUTH else 2, **style)
    for ax, title in ((own, "energy of the crystal: the network's"), (mixed, "energy of the crystal: the true one")):
        ax.set(xlabel="layers of the slab", ylabel="surface energy (J/m²)")
        ax.set_title(title, fontsize="medium")
        ax.axvline(KNOWN, color="#555555", linestyle=":", linewidth=1.0)
    own.set_ylim(bottom=0)
    own.legend(frameon=False, loc="center right")
    mixed.legend(frameon=False)


def _draw_slab(ax: Axes, positions: Sequence[Sequence[float]], color: str) -> None:
    """Draw periodic images of a slab from the side, with the vacuum above and below."""
    x, _, z = np.array(positions).T
    width, _, height = slab(HEATED).cell.lengths()
    for k in range(SIDE_BY_SIDE):
        ax.plot(x + k * width, z, "o", color=color, markersize=5, alpha=0.6, markeredgewidth=0)
    ax.set(xlabel="x (Å)", ylabel="z (Å)", xlim=(0, SIDE_BY_SIDE * width), ylim=(0, height))
    ax.set_aspect("equal")
