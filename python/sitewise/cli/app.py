"""The program `sitewise`: what all of its commands share.

A mistake of the user ends with one sentence and exit status 2, an interruption with 130 (128 + signal).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .._core import Error
from ..signals import Interrupted, stop_signals
from ..streams import BROKEN_PIPE, to_stderr

app = typer.Typer(
    help="Train, run and test Behler-Parrinello neural network potentials.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(function: Callable[..., None]) -> None:
    """Add to `app` a command that reports failures without a traceback."""

    @functools.wraps(function)
    def reported(*args: Any, **kwargs: Any) -> None:
        try:
            with stop_signals():
                function(*args, **kwargs)
        except Error as error:
            _fail(str(error), 2)
        except Interrupted as stop:
            _fail(str(stop), 128 + stop.signum)
        except KeyboardInterrupt:
            _fail("interrupted", 130)
        except BrokenPipeError:  # nobody reads the results any more
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:
            _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error), 2)
        except MemoryError:
            _fail("not enough memory; a smaller memory_budget or fewer structures need less", 2)

    app.command()(reported)


def _print_version(asked: bool) -> None:
    if asked:
        from .. import __version__

        print(f"sitewise {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, run and test Behler-Parrinello neural network potentials."""


def _fail(message: str, status: int) -> None:
    to_stderr(message if status != 2 else f"error: {message}")
    raise typer.Exit(status)
