"""The log of a run: errors at some of its iterations, in `log.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files import csv_text, write_text
from .prepared import Losses

LOG_POINTS = 100  # of a run, at most
VALIDATION_COLUMNS = tuple(f"validation_{name}" for name in Losses._fields)
LOG_COLUMNS = (
    *("iteration", "epoch", "learning_rate"),
    *Losses._fields,
    *(f"test_{name}" for name in Losses._fields),
    "seconds",
)


def log_interval(iterations: int) -> int:
    """Return the number of iterations from a log point to the next."""
    return -(-iterations // LOG_POINTS)


def write_log(path: Path, columns: Sequence[str], log: Sequence[Sequence[float]]) -> None:
    """Write the rows of the log; what is not known is left empty."""
    rows = [[int(row[0]), *(f"{x:.6g}" if np.isfinite(x) else "" for x in row[1:])] for row in log]
    write_text(path, csv_text(columns, rows))
