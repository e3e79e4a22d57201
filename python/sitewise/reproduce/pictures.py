"""Pictures that several experiments share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..figures import COLORS, plain_log_ticks
from ..structures import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_against_size(ax: Axes, errors: Mapping[int, Floats], xlabel: str, ylabel: str) -> None:
    """Draw the errors of all seeds against the size of the training set."""
    for n, found in errors.items():
        ax.plot([n] * len(found), found, "o", color=COLORS[0], alpha=0.4, label="seeds" if n == min(errors) else None)
    ax.plot(list(errors), [np.median(e) for e in errors.values()], color=COLORS[0], linewidth=1.5, label="median")
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
    ax.set_xticks(list(errors), [str(n) for n in errors])
    ax.minorticks_off()
    plain_log_ticks(ax.yaxis)
    ax.legend(frameon=False)


def draw_totals_and_crystal(ax: Axes, totals: Mapping[str, Floats], crystals: Mapping[str, Floats]) -> None:
    """Draw the networks' errors of totals and of the perfect crystal's atomic energy, meV, for each training set."""
    places = np.arange(len(totals))
    for shift, color, label, values in (
        (-0.2, COLORS[0], "total energies, test RMSE per atom", totals.values()),
        (0.2, COLORS[1], "crystal's atomic energy, |error|", crystals.values()),
    ):
        ax.bar(places + shift, [np.median(v) for v in values], 0.36, color=color, alpha=0.7, label=label)
        for place, v in zip(places, values, strict=True):
            ax.plot([place + shift] * len(v), v, ".", color="black", markersize=4)
    ax.set_xticks(places, [name.replace("-", "\n") for name in totals])
    everything = np.concatenate([*totals.values(), *crystals.values()])
    ax.set(ylabel="meV", yscale="log", ylim=(0.3 * max(everything.min(), 0.03), 30 * everything.max()))
    ax.set_title("after training: totals and the crystal", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
