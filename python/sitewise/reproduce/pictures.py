"""Pictures of the experiments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import atomic
from ..plots import COLORS
from ..structures import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def panels(rows: int, columns: int, width: float = 4.0, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """Equal panels, row by row; sizes of one in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=150)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]


def draw_against_size(ax: Axes, errors: Mapping[int, Floats], xlabel: str, ylabel: str) -> None:
    """Errors of all seeds against the size of the training set."""
    from matplotlib.ticker import LogLocator

    for n, found in errors.items():
        ax.plot([n] * len(found), found, "o", color=COLORS[0], alpha=0.4, label="seeds" if n == min(errors) else None)
    ax.plot(list(errors), [np.median(e) for e in errors.values()], color=COLORS[0], linewidth=1.5, label="median")
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
    ax.set_xticks(list(errors), [str(n) for n in errors])
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.legend(frameon=False)


def save(figure: Figure, path: Path) -> None:
    """Writes a picture whole."""
    with atomic(path) as temporary:
        figure.savefig(temporary)
