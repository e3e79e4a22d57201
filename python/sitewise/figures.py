"""What all figures share: colours, panels, ticks, and files that are written whole."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._core import Error
from .files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")  # Okabe and Ito
NARROW = 3.0  # ratio of the ends of an axis up to which its ticks are linear


def panels(count: int, rows: int = 1, square: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels in each row, and the panels row by row."""
    # Without pyplot, which would look for a screen and keep all figures.
    from matplotlib.figure import Figure

    size = (4.6 * count, (4.6 if square else 3.8) * rows)
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    return figure, [figure.add_subplot(rows, count, i + 1) for i in range(rows * count)]


def plain_log_ticks(axis: Axis) -> None:
    """Put ticks at 10, 20, 50 instead of powers of ten, or linear ones if the axis spans less than NARROW."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    low, high = sorted(axis.get_data_interval())
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if high > NARROW * low else MaxNLocator(5))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; raise Error if the ending is not a kind of picture."""
    known: dict[str, Any] = figure.canvas.get_supported_filetypes()
    if path.suffix.lower().lstrip(".") not in known:
        raise Error(f"{path}: is no kind of picture that is known, expected {', '.join(sorted(known))}")
    with warnings.catch_warnings(), atomic(path) as temporary:
        warnings.filterwarnings("ignore", "Glyph")  # the font may lack letters of names
        engine = figure.get_layout_engine()
        if engine is not None:  # savefig would draw everything once more for the layout
            engine.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(temporary)
