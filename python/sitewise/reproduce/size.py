"""Errors against the size of the training set, for slabs of silicon: the supplement's section B and Fig. S3."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import get_threads
from ..config import Config
from ..figures import COLORS, panels, plain_log_ticks, save_figure
from ..io.extxyz import write_structures
from ..structures import Floats
from ..training.learning_curve import learning_curve
from .frame import Check, Folder, Outcome
from .sampled import Sampling, sample
from .silicon import DATA, HELD_OUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETS = {"train": "training", "test": "test"}
KINDS = {"energy_rmse": ("energy RMSE (meV/atom)", 1e3), "force_rmse": ("force RMSE (eV/Å)", 1.0)}


@dataclass(frozen=True)
class Settings:
    """Numbers of structures, number of random choices for each, and iterations.

    `sampled` is the size of data with labels of Stillinger and Weber; without it the PBE data are taken.
    """

    sizes: tuple[int, ...] = (5, 10, 20, 40, 70, 102)
    seeds: int = 3
    iterations: int = 40_000
    sampled: Sampling | None = None


def run(settings: Settings, folder: Folder) -> Outcome:
    """Train on more and more slabs, and test on the same ones each time."""
    errors = folder.part("errors", partial(learn, settings, folder))
    table = {name: {kind: np.array(values) for kind, values in of.items()} for name, of in errors.items()}
    draw(folder, settings.sizes, table)
    medians = {name: np.median(table[name]["force_rmse"], axis=1) for name in SETS}
    columns = ("structures", "training eV/Å", "test eV/Å", "training meV/atom", "test meV/atom")
    energies = [1e3 * np.median(table[name]["energy_rmse"], axis=1) for name in SETS]
    rows = [(n, *(float(x) for x in row)) for n, *row in zip(settings.sizes, *medians.values(), *energies, strict=True)]
    return Outcome(columns, rows, checks(settings.sizes, medians), {"errors": errors})


def learn(settings: Settings, folder: Folder) -> dict[str, dict[str, list[list[float]]]]:
    """Return the errors of all runs, eV and Angstrom, by set and kind [sizes][choices]."""
    data: dict[str, Any] = {"train": str(DATA / "slab.xyz.xz"), "test": HELD_OUT}
    if settings.sampled is not None:
        data = {"train": "slabs.xyz", "test": "slabs-test.xyz"}
        for file, structures in zip(data.values(), sample("slabs", settings.sampled, folder), strict=True):
            write_structures(folder.path / file, list(structures))
    training = {"recipe": "seed-adam", "iterations": settings.iterations}
    config = Config.parse({"data": data, "training": training}).relative_to(folder.path)
    runs = folder.path / "runs"
    learning_curve(config, runs, settings.sizes, settings.seeds, get_threads(), folder.reporter)
    tables = [[_errors(runs / f"{n}-{seed}") for seed in range(settings.seeds)] for n in settings.sizes]
    return {name: {kind: [[t[name][kind] for t in row] for row in tables] for kind in KINDS} for name in SETS}


def _errors(run: Path) -> Any:
    return json.loads((run / "errors.json").read_text(encoding="utf-8"))


def checks(sizes: Sequence[int], medians: Mapping[str, Floats]) -> list[Check]:
    """Check that small sets are overfitted, and that the errors of both sets meet with more structures."""
    over = medians["test"] / medians["train"]
    return [
        Check(f"force RMSE, test/training, at {sizes[0]} structures", float(over[0]), above=2.0),
        Check(f"force RMSE, test/training, at {sizes[-1]} structures", float(over[-1]), below=2.0),
        Check(
            f"test force RMSE, {sizes[-1]} to {sizes[0]} structures",
            float(medians["test"][-1] / medians["test"][0]),
            below=0.5,
        ),
    ]


def draw(folder: Folder, sizes: Sequence[int], table: Mapping[str, Mapping[str, Floats]]) -> None:
    """Draw `size.png`: Fig. S3, and the same for energies."""
    figure, axes = panels(2)
    for ax, kind in zip(axes, ("force_rmse", "energy_rmse"), strict=True):
        label, factor = KINDS[kind]
        for (name, title), color in zip(SETS.items(), COLORS, strict=False):
            _draw_one(ax, sizes, table[name][kind] * factor, title, color)
        ax.set(xlabel="training structures", ylabel=label, xscale="log", yscale="log")
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.minorticks_off()
        plain_log_ticks(ax.yaxis)
        ax.legend(frameon=False)
    save_figure(figure, folder.path / "size.png")


def _draw_one(ax: Axes, sizes: Sequence[int], errors: Floats, title: str, color: str) -> None:
    for n, found in zip(sizes, errors, strict=True):
        ax.plot([n] * len(found), found, "o", color=color, alpha=0.4, markersize=4)
    ax.plot(sizes, np.median(errors, axis=1), color=color, linewidth=1.5, label=f"{title}, median")
