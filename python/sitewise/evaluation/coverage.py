"""Error bars beside the errors that were found: coverage, and the reliability diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..figures import COLORS, panels, plain_log_ticks, save_figure
from ..structures import Flags
from .comparison import Comparison, Pairs

BARRED = ("energy", "force")  # kinds of labels that have bars
BINS, LEAST = 10, 8  # of a reliability diagram, and the fewest errors of each
ZERO = 1e-3  # of the RMS prediction; forces below are 0 by symmetry, up to rounded positions


class Bin(NamedTuple):
    """Predictions with bars of about the same size: RMS of the bars, RMS of the errors, and how many there are."""

    bar: float
    error: float
    number: int


def by_symmetry(pairs: Pairs) -> Flags:
    """Return whether each prediction is 0 by symmetry, whatever the weights; then it has no bar."""
    size = float(np.sqrt(pairs.predicted @ pairs.predicted / max(pairs.predicted.size, 1)))
    return np.concatenate([np.abs(block.predicted) <= ZERO * size for block in pairs.blocks()] or [np.empty(0, bool)])


def coverage_table(comparison: Comparison) -> dict[str, Any]:
    """Return for each kind of label with error bars the parts of the errors `within_one` and `within_two` bars, 0.683
    and 0.954 in a normal distribution, and the `bins` of a reliability diagram (eV/atom, eV/Angstrom). Forces that are
    0 by symmetry do not count."""
    return {kind: _coverage(pairs) for kind, pairs in _barred(comparison).items()}


def _barred(comparison: Comparison) -> dict[str, Pairs]:
    """Return the predictions with error bars, if there are any, by their kind."""
    each = {kind: pairs for kind in BARRED if (pairs := getattr(comparison, kind)).bar is not None}
    return {kind: pairs.where(~by_symmetry(pairs)) for kind, pairs in each.items() if not by_symmetry(pairs).all()}


def _coverage(pairs: Pairs) -> dict[str, Any]:
    assert pairs.bar is not None
    return {
        "within_one": float(np.mean(np.abs(pairs.errors) <= pairs.bar)),
        "within_two": float(np.mean(np.abs(pairs.errors) <= 2 * pairs.bar)),
        "bins": [bin._asdict() for bin in reliability(pairs)],
    }


def coverage_line(kind: str, coverage: dict[str, Any]) -> str:
    """Return a sentence for a row of `coverage_table`."""
    one, two = (f"{100 * coverage[name]:.0f} %" for name in ("within_one", "within_two"))
    return f"{kind} errors: {one} are within one bar, {two} within two (68 and 95 % in a normal distribution)"


def reliability(pairs: Pairs) -> list[Bin]:
    """Sort predictions by their bars and divide them into bins of equal numbers: at most BINS, of at least LEAST."""
    assert pairs.bar is not None
    order = np.argsort(pairs.bar)
    parts = np.array_split(order, max(1, min(BINS, len(order) // LEAST)))
    rms = [[float(np.sqrt(np.mean(x[part] ** 2))) for x in (pairs.bar, pairs.errors)] for part in parts]
    return [Bin(bar, error, len(part)) for (bar, error), part in zip(rms, parts, strict=True)]


def save_reliability(path: Path, comparison: Comparison) -> None:
    """Plot the RMS error against the bar, for bins of bars, with the line where both are equal.

    Raises
    ------
    Error
        The file cannot be written, or its name has no ending that matplotlib knows.
    """
    units = {"energy": ("energy (meV/atom)", 1e3), "force": ("force component (eV/Å)", 1.0)}
    barred = _barred(comparison)
    figure, axes = panels(len(barred), square=True)
    for (kind, pairs), ax in zip(barred.items(), axes, strict=True):
        name, factor = units[kind]
        bars, errors = factor * np.array([bin[:2] for bin in reliability(pairs)]).T
        limits = 0.7 * min(bars.min(), errors.min()), 1.4 * max(bars.max(), errors.max())
        ax.plot(limits, limits, color="black", linewidth=0.7)
        ax.plot(bars, errors, "o-", color=COLORS[0])
        ax.set(xlabel=f"error bar of {name}", ylabel=f"RMS error of {name}", xscale="log", yscale="log")
        ax.set(xlim=limits, ylim=limits)
        for axis in (ax.xaxis, ax.yaxis):
            plain_log_ticks(axis)
    save_figure(figure, path)
