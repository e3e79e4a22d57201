"""Commands of the user."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from .._core import Error
from ..text import printable


def run_command(command: str, folder: Path, *paths: Path) -> None:
    """Run a command in a folder, with some paths as its last arguments.

    Raises
    ------
    Error
        It cannot be run, or its exit status is not 0.
    """
    words = [*shlex.split(command), *(str(path.absolute()) for path in paths)]
    try:
        done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise Error(f"{command}: cannot be run: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = f": {printable(said[-1], 400)}" if said else ""
        raise Error(f"{command}: ends with status {done.returncode}{why}")
