"""The paper's three models of silicon: Figs. S1 and S2, E(V), r_g.

Labels are PBE, of the data that come with the package, or those of Stillinger and Weber for as many and as large
structures as the paper's.

Crystals contain the environment of the perfect crystal. Slabs of one thickness and clusters do not determine its
energy. Networks learn them alone, and with a second thickness or crystals added. The test is the atomic energy of
crystals whose atoms are all equivalent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..config import Config
from ..figures import COLORS, panels, plain_log_ticks, save_figure
from ..io.dataset import Dataset
from ..io.extxyz import write_structures
from ..mapping.invariants import invariant_energy, short_name
from ..progress import Silent
from ..structures import Floats, Structure
from .before_training import diagnose_crystal, extrapolations
from .frame import Check, Folder, Outcome
from .pictures import draw_totals_and_crystal
from .runs import trained
from .sampled import Sampling, relabelled, sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = Path(_core.__file__).parent / "share" / "sitewise" / "si-dft"
POINTS, INVARIANTS = DATA / "invariants.xyz.xz", "invariants.xyz"
# File and number of layers of each kind of structure.
KINDS = {
    "crystals": ("crystal", None),
    "slabs of 6 layers": ("slab", 6),
    "slabs of 8 layers": ("slab", 8),
    "clusters": ("nanocluster", None),
}
CRYSTALS = "crystals"
CURVE = "diamond_EV"  # the invariant points of E(V)
HELD_OUT = 0.15  # test fraction of each kind
QUIET = Silent()


@dataclass(frozen=True)
class Settings:
    """Training sets with their kinds of structures, the first of which is the model, and settings of the networks.

    `sampled` is the size of data with labels of Stillinger and Weber; without it the PBE data are taken.
    """

    sets: Mapping[str, Sequence[str]]
    recipe: str
    iterations: int
    seeds: int = 3
    sampled: Sampling | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Results of one training set.

    Attributes
    ----------
    diagnosis
        Result of `diagnose_crystal`.
    outside
        Whether each invariant point is extrapolation [points].
    totals, forces
        Test RMSE of each network for structures of the model, meV/atom and eV/Angstrom.
    relative
        RMSE of the totals in units of their standard deviation.
    deltas
        Errors of atomic energies [networks, points], meV.
    """

    diagnosis: dict[str, Any]
    outside: list[bool]
    totals: Floats
    forces: Floats
    relative: Floats
    deltas: Floats


def run(settings: Settings, folder: Folder) -> Outcome:
    """Diagnose each training set, then train on it."""
    parts, points = structures_of(settings, folder)
    perfect = next(k for k, s in enumerate(points) if _kind(s) == CURVE and s.atoms.info["strain"] == 0)
    found = {name: _finding(folder, name, settings, parts, points, perfect) for name in settings.sets}
    draw_invariants(folder, found, points)
    draw_mapping(folder, found, perfect)
    columns = ("training set", "r_g", "n_big", "unknown", "test meV/atom", "/std", "eV/Å", "E(V) meV", "crystal meV")
    values = {
        name: {**f.diagnosis, "deltas_meV": f.deltas.tolist(), "extrapolation": f.outside} for name, f in found.items()
    }
    rows = [_row(name, f, points, perfect) for name, f in found.items()]
    return Outcome(
        columns, rows, checks(settings, found, perfect), {"points": [short_name(s) for s in points], **values}
    )


def structures_of(
    settings: Settings, folder: Folder
) -> tuple[Mapping[str, tuple[Dataset, Dataset]], Sequence[Structure]]:
    """Return training and test structures of each kind, and the invariant points, which are written to INVARIANTS."""
    points, file = Dataset.read(POINTS, reporter=QUIET), folder.path / INVARIANTS
    if settings.sampled is None:
        write_structures(file, list(points))
        parts = read_kinds()
    else:
        write_structures(file, relabelled(points))
        kinds = dict.fromkeys(kind for kinds in settings.sets.values() for kind in kinds)
        parts = {kind: sample(kind, settings.sampled, folder) for kind in kinds}
    return parts, list(Dataset.read(file, reporter=QUIET))


def read_kinds() -> dict[str, tuple[Dataset, Dataset]]:
    """Return training and test structures of each kind, always the same ones."""
    parts = {}
    for number, (kind, (file, layers)) in enumerate(KINDS.items()):
        data = Dataset.read(DATA / f"{file}.xyz.xz", reporter=QUIET)
        mine = Dataset(replace(s, group=kind) for s in data if s.atoms.info.get("layers") == layers)
        parts[kind] = mine.split(HELD_OUT, np.random.default_rng(number))
    return parts


def _finding(
    folder: Folder,
    name: str,
    settings: Settings,
    parts: Mapping[str, tuple[Dataset, Dataset]],
    points: Sequence[Structure],
    perfect: int,
) -> Finding:
    kinds = settings.sets[name]
    data, test = (Dataset(s for kind in kinds for s in parts[kind][k]) for k in range(2))
    files = {"train": f"{name}.xyz", "test": f"{name}-test.xyz"}
    write_structures(folder.path / files["train"], list(data))
    write_structures(folder.path / files["test"], list(test))
    diagnosis = folder.part(f"diagnosis-{name}", partial(diagnose_crystal, data, points[perfect]))
    outside = folder.part(f"extrapolation-{name}", partial(extrapolations, data, points))
    totals, forces, deltas = [], [], []
    for seed in range(settings.seeds):
        training = {"recipe": settings.recipe, "iterations": settings.iterations, "seed": seed}
        tables = {"data": files, "training": training, "invariants": {"data": INVARIANTS}}
        potential, errors = trained(folder, f"{name}-{seed}", Config.parse(tables).relative_to(folder.path))
        mine = errors["test"]["groups"][kinds[0]]
        totals.append(1e3 * mine["energy_rmse"])
        forces.append(mine["force_rmse"])
        deltas.append([1e3 * (float(potential.evaluate(s.atoms).energies[0]) - invariant_energy(s)) for s in points])
    spread = 1e3 * np.std([s.energy / len(s.atoms) for s in parts[kinds[0]][1] if s.energy is not None])
    return Finding(diagnosis, outside, np.array(totals), np.array(forces), np.array(totals) / spread, np.array(deltas))


def _kind(point: Structure) -> str:
    return str(point.atoms.info["kind"])


# ---- results


def checks(settings: Settings, found: Mapping[str, Finding], perfect: int) -> list[Check]:
    """Check totals everywhere, and the perfect crystal before and after training against the model alone."""
    result = []
    alone = next(iter(found.values()))
    for name, f in found.items():
        result.append(Check(f"{name}: test RMSE/std of totals, worst network", float(f.relative.max()), below=0.2))
        crystal = np.abs(f.deltas[:, perfect])
        if CRYSTALS in settings.sets[name]:
            result.append(Check(f"{name}: error of the crystal, worst network (meV)", float(crystal.max()), below=10.0))
        elif f is alone and settings.sampled is None:
            result.append(Check(f"{name}: error of the crystal, best network (meV)", float(crystal.min()), above=100.0))
        elif f is alone:  # large and hot clusters determine more of the crystal, yet much less than of clusters
            part = crystal / f.totals
            result.append(Check(f"{name}: error of the crystal, in test RMSE of totals", float(part.min()), above=5.0))
        if f is not alone:
            before, after = (
                unknown(f) / unknown(alone),
                np.median(crystal) / np.median(np.abs(alone.deltas[:, perfect])),
            )
            result.append(
                Check(f"{name}: unknown of the crystal before training, part of that alone", before, below=0.5)
            )
            result.append(Check(f"{name}: error of the crystal, part of that alone", float(after), below=0.5))
    return result


def unknown(f: Finding) -> float:
    """Return the part of the crystal's standard deviation that the Gaussian process leaves."""
    return float(np.sqrt(1 - f.diagnosis["determinability"]))


def _row(name: str, f: Finding, points: Sequence[Structure], perfect: int) -> tuple[Any, ...]:
    curve = [k for k, s in enumerate(points) if _kind(s) == CURVE and not f.outside[k]]
    wrong = np.sqrt((f.deltas[:, curve] ** 2).mean(axis=1)) if curve else np.full(len(f.deltas), np.nan)
    medians = (f.totals, f.relative, f.forces, wrong, np.abs(f.deltas[:, perfect]))
    r_g = f.diagnosis["r_g"]
    return (
        name,
        "-" if r_g is None else r_g,
        f.diagnosis["n_big"],
        unknown(f),
        *(float(np.median(m)) for m in medians),
    )


def draw_invariants(folder: Folder, found: Mapping[str, Finding], points: Sequence[Structure]) -> None:
    """Draw `invariants.png`: E(V) of diamond and errors at all invariant points, a column for each training set."""
    figure, axes = panels(len(found), rows=2)
    limit = 1.3 * max(float(np.abs(f.deltas).max()) for f in found.values())
    curves = axes[: len(found)]
    for (name, f), above, below in zip(found.items(), curves, axes[len(found) :], strict=True):
        _draw_curve(above, f, points)
        above.set_title(name.replace("-", " "), fontsize="medium")
        _draw_errors(below, f, points)
        below.set_ylim(-limit, limit)
    lows, highs = zip(*(ax.get_ylim() for ax in curves), strict=True)
    for ax in curves:
        ax.set_ylim(min(lows), max(highs))
    save_figure(figure, folder.path / "invariants.png")


def _draw_curve(ax: Axes, f: Finding, points: Sequence[Structure]) -> None:
    """Draw atomic energies of expanded and compressed diamond."""
    curve = [k for k, s in enumerate(points) if _kind(s) == CURVE]
    volumes = np.array([points[k].atoms.get_volume() / len(points[k].atoms) for k in curve])
    energies = np.array([invariant_energy(points[k]) for k in curve])
    order = np.argsort(volumes)
    ax.plot(volumes[order], energies[order], "x-", color="black", markersize=5, linewidth=1.0, label="labels, E/N")
    for seed, deltas in enumerate(f.deltas):
        learnt = energies + 1e-3 * deltas[curve]
        ax.plot(volumes[order], learnt[order], color=COLORS[0], linewidth=0.7, alpha=0.6)
        for hollow in (False, True):
            mine = [i for i, k in enumerate(curve) if f.outside[k] == hollow]
            label = ("network, extrapolation" if hollow else "network, atomic energy") if seed == 0 and mine else None
            face = "white" if hollow else COLORS[0]
            ax.plot(volumes[mine], learnt[mine], "o", color=COLORS[0], markerfacecolor=face, markersize=4, label=label)
    ax.set(xlabel="volume (Å³/atom)", ylabel="atomic energy (eV)")
    ax.ticklabel_format(useOffset=False)
    ax.legend(frameon=False, fontsize="small")


def _draw_errors(ax: Axes, f: Finding, points: Sequence[Structure]) -> None:
    """Draw errors by the kind of crystal, in each kind from small to large volumes."""
    kinds = list(dict.fromkeys(map(_kind, points)))
    for place, kind in enumerate(kinds):
        mine = [k for k, s in enumerate(points) if _kind(s) == kind]
        mine.sort(key=lambda k: points[k].atoms.get_volume() / len(points[k].atoms))
        x = place + np.linspace(-0.35, 0.35, len(mine))
        for hollow in (False, True):
            shown = [i for i, k in enumerate(mine) if f.outside[k] == hollow]
            face = "white" if hollow else COLORS[place % len(COLORS)]
            style: dict[str, Any] = {"color": COLORS[place % len(COLORS)], "markerfacecolor": face, "markersize": 4}
            for deltas in f.deltas:
                ax.plot(x[shown], deltas[[mine[i] for i in shown]], "o", **style)
    ax.axhline(0, color="black", linewidth=0.7)
    ax.set_yscale("symlog", linthresh=10.0)
    ticks = (-1000, -100, -10, 0, 10, 100, 1000)
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.set_xticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], rotation=40, ha="right")
    ax.set(ylabel="error of the atomic energy (meV)")


def draw_mapping(folder: Folder, found: Mapping[str, Finding], perfect: int) -> None:
    """Draw `mapping.png`: r_g, the crystal's unknown part before training and error after it, and totals."""
    figure, axes = panels(3)
    for (name, f), color in zip(found.items(), COLORS, strict=False):
        curve = [(n, r) for n, r in f.diagnosis["r_g_curve"] if r is not None]
        axes[0].step(*zip(*curve, strict=True), where="post", color=color, label=name.replace("-", " "))
        axes[0].axvline(f.diagnosis["n_big"], color=color, linestyle="--", linewidth=0.9)
        wrong = np.abs(f.deltas[:, perfect])
        axes[1].plot([unknown(f)] * len(wrong), wrong, "o", color=color, alpha=0.7, label=name.replace("-", " "))
    axes[0].set(xlabel="n_big (atoms); dashed: the one used", ylabel="r_g, distance in G space", xscale="log")
    axes[0].set_ylim(bottom=0)
    axes[1].set(
        xlabel="before training: unknown part of the crystal", ylabel="after training: error of the crystal (meV)"
    )
    axes[1].set(xscale="log", yscale="log")
    plain_log_ticks(axes[1].xaxis)
    plain_log_ticks(axes[1].yaxis)
    for ax in axes[:2]:
        ax.legend(frameon=False, fontsize="small")
    crystals = {name: np.abs(f.deltas[:, perfect]) for name, f in found.items()}
    draw_totals_and_crystal(axes[2], {name: f.totals for name, f in found.items()}, crystals)
    save_figure(figure, folder.path / "mapping.png")
