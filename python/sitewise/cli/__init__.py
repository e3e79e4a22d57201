"""The command line. Results go to stdout, messages and progress to stderr."""

import sys

from ..streams import status_of
from . import formats, mapping, training, using
from .app import app

__all__ = ["app", "formats", "main", "mapping", "training", "using"]


def main() -> None:
    """Run the command that the arguments of the process name, and exit."""
    sys.exit(status_of(app))
