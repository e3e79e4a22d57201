"""Ctrl-C and SIGTERM, handled at points where stopping loses nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """An interruption by the signal `signum`; the message says what is kept."""

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message, signum)
        self.signum = signum

    def __str__(self) -> str:
        return str(self.args[0])


class Stop:
    """A signal handler that raises Interrupted, or inside `deferred` only records the request."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.raised: int | None = None
        self._deferring = False

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        if not self._deferring or self.signum is not None:  # a second Ctrl-C does not wait
            self.raised = signum
            raise Interrupted("interrupted", signum)
        self.signum = signum

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a first signal in this block wait until the block reads `signum`."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Pass SIGINT and SIGTERM to a Stop while the block runs in the main thread."""
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
        # An interrupted import, or a reader of ASE, turns the interruption into another exception.
        raise Interrupted("interrupted", stop.raised) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
