"""What all figures share: colours, panels, ticks, and files that are written whole."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._core import Error
from .files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")  # Okabe and Ito
WIDTH, HEIGHT, DOTS = 4.6, 3.8, 150  # of a panel, inches, and dots per inch
NARROW = 3.0  # ratio of the ends of an axis up to which its ticks are linear


def panels(count: int, rows: int = 1, square: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels in each row, and the panels row by row."""
    # Without pyplot, which would look for a screen and keep all figures.
    from matplotlib.figure import Figure

    size = (WIDTH * count, (WIDTH if square else HEIGHT) * rows)
    figure = Figure(figsize=size, layout="constrained", dpi=DOTS)
    return figure, [figure.add_subplot(rows, count, i + 1) for i in range(rows * count)]


def tiles(count: int, rows: int = 1, square: bool = False) -> tuple[Figure, list[Axes]]:
    """As `panels`, but each panel fills a tile of its own, so that `cut` can divide the picture."""
    from matplotlib.figure import Figure

    size = (WIDTH * count, (WIDTH if square else HEIGHT) * rows)
    figure = Figure(figsize=size, layout="constrained", dpi=DOTS)
    parts = figure.subfigures(rows, count, squeeze=False)
    return figure, [part.add_subplot() for part in parts.ravel()]


def cut(path: Path) -> list[bytes]:
    """Return the tiles of a picture as PNG, row by row; those without ink are left out."""
    from PIL import Image

    found = []
    with Image.open(path) as picture:
        width = round(WIDTH * DOTS)
        height = next(h for h in (width, round(HEIGHT * DOTS)) if picture.height % h == 0)
        for top in range(0, picture.height, height):
            for left in range(0, picture.width, width):
                tile = picture.crop((left, top, left + width, top + height))
                if tile.convert("L").getextrema() != (255, 255):
                    data = BytesIO()
                    tile.save(data, "PNG")
                    found.append(data.getvalue())
    return found


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
        warnings.filterwarnings("ignore", "Creating legend")  # its place is looked for longer on a busy machine
        engine = figure.get_layout_engine()
        if engine is not None:  # savefig would draw everything once more for the layout
            engine.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(temporary)
