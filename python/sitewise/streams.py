"""Standard output and error that may be closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from .text import printable_lines

BROKEN_PIPE = 128 + 13  # exit status of a program that SIGPIPE ends


def to_stderr(text: str) -> None:
    """Print lines on stderr; continue if nothing can be written there."""
    with suppress(OSError):
        print(printable_lines(text), file=sys.stderr, flush=True)


def status_of(run: Callable[[], object]) -> int:
    """Run a function and return the exit status: its own, or that of results that cannot be written."""
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if sys.stdout is None:  # checked before hours of work whose results would be lost
        to_stderr("error: standard output is closed, results would be lost; >/dev/null if they are not needed")
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):  # the terminal may lack letters of names in files
        sys.stdout.reconfigure(errors="backslashreplace")
    status = 0
    try:
        try:
            run()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
    except BrokenPipeError:
        status = BROKEN_PIPE
    except OSError as error:
        if status == 0:  # otherwise an error was already reported
            to_stderr(f"error: standard output: {error.strerror}")
        status = status or 2
    for stream in (sys.stdout, sys.stderr):
        _finish(stream)
    return status


def _finish(stream: TextIO) -> None:
    """Drop what cannot be written; otherwise Python would complain when it exits."""
    try:
        stream.flush()
    except OSError:
        os.dup2(_nowhere().fileno(), stream.fileno())


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
