"""Tables that commands print."""

from __future__ import annotations

import sys
from typing import Any

from ..text import for_table


def print_errors(tables: dict[str, dict[str, Any]]) -> None:
    """Print a table of errors, with a row for each set and for each of its groups."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from ..training.plots import SHOWN

    rows: list[tuple[str, dict[str, Any]]] = []
    for name, table in tables.items():
        groups = table.get("groups", {})
        rows.append((name, table))
        if len(groups) > 1:
            rows += [(f"  {group}", of_group) for group, of_group in groups.items()]
    kinds = [kind for kind in SHOWN if any(f"{kind}_rmse" in table for _, table in rows)]
    drawn = Table(box=SIMPLE, pad_edge=False)
    drawn.add_column("")
    for name in ("structures", "atoms"):
        drawn.add_column(name, justify="right")
    for kind in kinds:
        for measure in ("RMSE", "MAE"):
            drawn.add_column(f"{kind} {measure}\n{SHOWN[kind].unit}", justify="right")
    for name, table in rows:
        errors = [
            f"{table[key] * SHOWN[kind].factor:.3g}" if (key := f"{kind}_{measure}") in table else "-"
            for kind in kinds
            for measure in ("rmse", "mae")
        ]
        drawn.add_row(for_table(name), str(table["n_structures"]), str(table["n_atoms"]), *errors)
    # Without a terminal, the table is not cut at a terminal's width.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(drawn)
