"""How right the estimates of the remaining time are that a command shows.

    python benchmarks/estimates.py COMMAND [ARGUMENT]...    # as for sitewise

Runs a command of sitewise in this process, with its output, and prints a row for each task whose progress it reports:
steps, seconds, and the total time that was estimated after a tenth of this time, over the time that it took. An
estimate divides the steps by those done so far, as the lines of progress do. "inf": no step was done by then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import ClassVar, NamedTuple
from unittest.mock import patch

# isort: split
import common  # before numpy

# isort: split
from sitewise import progress
from sitewise.progress import Advance, Reporter
from sitewise.streams import status_of

SHORT = 0.2  # seconds; nobody reads the estimate of a shorter task


class Task(NamedTuple):
    """A task of known length: its title, its steps, and the moments at which so many were done, in seconds."""

    title: str
    total: int
    moments: list[tuple[float, int]]

    @property
    def seconds(self) -> float:
        """From its first to its last moment."""
        return self.moments[-1][0] - self.moments[0][0]

    def estimate(self, part: float = 0.1) -> float:
        """Estimated over true time, after a part of the true time."""
        begin, first = self.moments[0]
        now = begin + part * self.seconds
        done = next((a[1] for a, b in pairwise(self.moments) if a[0] <= now < b[0]), self.total) - first
        return part * (self.total - first) / done if done else float("inf")


class Recorder(Reporter):
    """Keeps the moments of all tasks."""

    tasks: ClassVar[list[Task]] = []  # of all reporters of the process

    @contextmanager
    def task(self, title: str, total: int | None, done: int = 0, lines: bool = False) -> Iterator[Advance]:
        """As that of `Reporter`."""
        moments = [(time.perf_counter(), done)]

        def advance(n: int = 1, note: str | None = None) -> None:
            if n:
                moments.append((time.perf_counter(), moments[-1][1] + n))

        yield advance
        moments.append((time.perf_counter(), moments[-1][1]))
        if total:
            Recorder.tasks.append(Task(title, total, moments))


def main() -> None:
    """Run the command and print the table."""
    begin = time.perf_counter()
    with patch.object(progress, "Reporter", Recorder):
        from sitewise.cli import app  # its commands take the class when they are imported
    status = status_of(app)
    whole = time.perf_counter() - begin
    rows = [
        [task.title[:60], str(task.total), f"{task.seconds:.1f}", f"{task.estimate():.2f}", f"{task.estimate(0.5):.2f}"]
        for task in Recorder.tasks
        if task.seconds > SHORT
    ]
    rows.append(["the whole command", "", f"{whole:.1f}", "", ""])
    common.print_table("Estimated over true time", ["", "steps", "s", "after a tenth", "after half"], rows)
    sys.exit(status)


if __name__ == "__main__":
    main()
