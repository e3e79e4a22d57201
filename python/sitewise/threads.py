"""The number of threads of the library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ._core import get_threads, set_threads


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread in this block: small structures cost less than the start of other threads."""
    threads = get_threads()
    set_threads(1)
    try:
        yield
    finally:
        set_threads(threads)
