"""Pictures that several experiments draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..plots import COLORS, plain_log_ticks
from ..structures import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_against_size(ax: Axes, errors: Mapping[int, Floats], xlabel: str, ylabel: str) -> None:
    """Errors of all seeds against the size of the training set."""
    for n, found in errors.items():
        ax.plot([n] * len(found), found, "o", color=COLORS[0], alpha=0.4, label="seeds" if n == min(errors) else None)
    ax.plot(list(errors), [np.median(e) for e in errors.values()], color=COLORS[0], linewidth=1.5, label="median")
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
    ax.set_xticks(list(errors), [str(n) for n in errors])
    ax.minorticks_off()
    plain_log_ticks(ax.yaxis)
    ax.legend(frameon=False)
