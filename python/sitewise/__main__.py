"""The command `sitewise`. Its imports take a second or two, in which a signal must not end in a traceback."""

import os
import signal
from types import FrameType

from .launch import keep_blas_from_other_ranks


def main() -> None:
    """Run the command line; also the entry point of `python -m sitewise`."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _leave)
    keep_blas_from_other_ranks()
    from .cli import main as run

    run()


def _leave(signum: int, _frame: FrameType | None) -> None:
    """Exit at once: no work has begun, and an exception could be caught inside an import."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + signum)


if __name__ == "__main__":
    main()
