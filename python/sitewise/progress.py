"""Messages and progress of a command: bars on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from .streams import to_stderr
from .text import printable

LINE_EVERY = 30.0  # seconds between lines if there is no terminal


class Advance(Protocol):
    """A function that reports `n` more steps as done, and the note to show beside the bar."""

    def __call__(self, n: int = 1, note: str | None = None) -> None: ...


class Reporter:
    """Messages and progress on stderr.

    Parameters
    ----------
    quiet
        Print only warnings.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Print one line, unless quiet."""
        if not self.quiet:
            to_stderr(text)

    def warn(self, text: str) -> None:
        """Print one line of warning, even if quiet."""
        to_stderr(f"warning: {text}")

    @contextmanager
    def task(self, title: str, total: int | None, done: int = 0, lines: bool = False) -> Iterator[Advance]:
        """Report the progress of a task with a known or unknown number of steps.

        Parameters
        ----------
        title
            Name of the task.
        total
            Number of steps, None if unknown.
        done
            Number of steps done before.
        lines
            Whether the task takes long enough for an occasional line if there is no terminal.
        """
        if self.quiet:
            yield lambda n=1, note=None: None
        elif sys.stderr.isatty():
            with self._bar(title, total, done) as advance:
                yield advance
        else:
            yield _Lines(title, total, done) if lines else lambda n=1, note=None: None

    @contextmanager
    def _bar(self, title: str, total: int | None, done: int) -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:.4g}/s" if task.speed else "")

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(printable(title), total=total, completed=done, note="")

            def advance(n: int = 1, note: str | None = None) -> None:
                progress.update(task, advance=n)
                if note is not None:
                    progress.update(task, note=printable(note))

            yield advance


class Silent(Reporter):
    """A reporter that prints nothing, for work whose messages another reporter prints."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def warn(self, text: str) -> None:
        """Print nothing."""


class _Lines:
    """A progress report that prints a line at most every LINE_EVERY seconds."""

    def __init__(self, title: str, total: int | None, done: int) -> None:
        self.title, self.total, self.done, self.first = title, total, done, done
        self.note = ""
        self.start = self.last = time.monotonic()

    def __call__(self, n: int = 1, note: str | None = None) -> None:
        self.done += n
        self.note = self.note if note is None else note
        now = time.monotonic()
        if now - self.last >= LINE_EVERY:
            self.last = now
            to_stderr(self._line(now))

    def _line(self, now: float) -> str:
        rate = (self.done - self.first) / (now - self.start)
        of = "" if self.total is None else f"/{self.total}"
        left = "" if self.total is None or not rate else f", {max(self.total - self.done, 0) / rate:.0f} s left"
        return f"{self.title} {self.done}{of}, {rate:.4g}/s{left}  {self.note}".rstrip()
