"""Ctrl-C and SIGTERM, met where stopping loses nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Work that was stopped by the signal `signum`; the message says what is kept."""

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message, signum)
        self.signum = signum

    def __str__(self) -> str:
        return str(self.args[0])


class Stop:
    """What a signal does: it raises Interrupted, or inside of `deferred` only becomes a request."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.raised: int | None = None
        self._deferring = False

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        if not self._deferring or self.signum is not None:  # the second Ctrl-C does not wait
            self.raised = signum
            raise Interrupted("interrupted", signum)
        self.signum = signum

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """In this block a first signal waits until `signum` is looked at."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """SIGINT and SIGTERM are given to a Stop while the block runs in the main thread."""
    stop = Stop()
    before: dict[int, Any] = {}
    try:
        for signum in STOPPING:
            before[signum] = signal.signal(signum, stop)
    except ValueError:  # not the main thread: signals stay as they are
        before = {}
    try:
        yield stop
    except Exception:
        if stop.raised is None:
            raise
        # An import that is interrupted, or a reader of ASE, turns the interruption into an exception of its own.
        raise Interrupted("interrupted", stop.raised) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
