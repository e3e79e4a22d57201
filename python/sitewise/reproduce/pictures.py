"""Pictures of the experiments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def panels(rows: int, columns: int, width: float = 4.0, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """Equal panels, row by row; sizes of one in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=150)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]


def save(figure: Figure, path: Path) -> None:
    """Writes a picture whole."""
    with atomic(path) as temporary:
        figure.savefig(temporary)
