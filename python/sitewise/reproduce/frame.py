"""Common parts of the experiments: a folder that keeps finished parts, checks of numbers, and the result."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .._core import Error
from ..files import write_text
from ..progress import Reporter

RESULT, SETTINGS = "result.json", "settings.json"


@dataclass(frozen=True, slots=True)
class Check:
    """A number that must lie between two bounds and equal neither; NaN fails.

    Attributes
    ----------
    name
        Meaning of the number, with its unit.
    found
        The number.
    above, below
        The bounds.
    """

    name: str
    found: float
    above: float = -np.inf
    below: float = np.inf

    @property
    def passed(self) -> bool:
        return bool(self.above < self.found < self.below)

    def line(self) -> str:
        """Return the check as it is printed."""
        bounds = [f"{name} {x:g}" for name, x in (("above", self.above), ("below", self.below)) if np.isfinite(x)]
        return f"{'pass' if self.passed else 'FAIL'}  {self.name}: {self.found:.3g}, expected {' and '.join(bounds)}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an experiment.

    Attributes
    ----------
    columns, rows
        Table that is printed at the end.
    checks
        Numbers with their expected bounds.
    values
        More numbers for `result.json`.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    checks: Sequence[Check]
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def lines(self) -> list[str]:
        """Return table and checks as they are printed."""
        cells = [[str(name) for name in self.columns], *([_cell(x) for x in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in cells]
        return [*table, "", *(check.line() for check in self.checks)]


class Folder:
    """Folder of an experiment's results, which also keeps the finished parts of an interrupted one.

    Parameters
    ----------
    path
        The folder; it is made if it does not exist.
    identity
        Name and settings of the experiment.
    reporter
        Receives the progress.

    Raises
    ------
    Error
        If the folder cannot be made or holds another experiment, or this one with other settings.
    """

    def __init__(self, path: Path, identity: dict[str, Any], reporter: Reporter) -> None:
        self.path, self.reporter = path, reporter
        self._start, self._earlier = _cpu_seconds(), 0.0
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Error(f"{path}: cannot be made: {error.strerror}") from None
        known, text = path / SETTINGS, json.dumps(identity, indent=2) + "\n"
        if known.exists() and known.read_text(encoding="utf-8") != text:
            raise Error(f"{path}: holds another experiment or other settings of it, choose another folder by --out")
        write_text(known, text)

    def part(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the JSON value of `make`, or read it from `NAME.json` if the part is finished."""
        file = self.path / f"{name}.json"
        if file.exists():
            self._earlier += _read(file)["cpu_seconds"]
        else:
            before = _cpu_seconds()
            content = {"content": make(), "cpu_seconds": round(_cpu_seconds() - before, 2)}
            write_text(file, json.dumps(content) + "\n")
        return _read(file)["content"]

    def finish(self, name: str, title: str, settings: Any, outcome: Outcome) -> None:
        """Write `result.json`."""
        result = {
            "experiment": name,
            "title": title,
            "sitewise": version("sitewise"),
            "settings": asdict(settings),
            "cpu_seconds": round(self._earlier + _cpu_seconds() - self._start, 2),
            "passed": outcome.passed,
            "checks": [{**_finite(asdict(check)), "passed": check.passed} for check in outcome.checks],
            "table": [dict(zip(outcome.columns, row, strict=True)) for row in outcome.rows],
            "pictures": sorted(str(p.relative_to(self.path)) for p in self.path.rglob("*.png")),
            **outcome.values,
        }
        write_text(self.path / RESULT, json.dumps(result, indent=2) + "\n")


def _read(file: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kept["content"], kept["cpu_seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Error(f"{file}: is damaged, remove it and it will be made again") from None
    return kept


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out infinite bounds, which JSON cannot represent."""
    return {key: x for key, x in values.items() if isinstance(x, str) or np.isfinite(x) or key == "found"}


def _cell(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, float) else str(x)


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of those that it waited for."""
    return sum(os.times()[:4])
