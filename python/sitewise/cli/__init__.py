"""The command line. Results go to stdout, messages and progress to stderr."""

import sys

from ..streams import status_of
from . import formats, mapping, training, using
from .app import app, command

COMMANDS = (
    training.train,
    training.grow,
    training.learning_curve,
    training.posterior,
    using.evaluate,
    using.predict,
    using.compare_energies,
    using.features,
    using.validate,
    mapping.diagnose,
    mapping.reproduce,
    formats.info,
    formats.convert,
    formats.lammps,
)
for function in COMMANDS:
    command(function)


def main() -> None:
    """Run the command that the arguments of the process name, and exit."""
    sys.exit(status_of(app))
