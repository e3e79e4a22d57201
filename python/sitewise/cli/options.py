"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

PotentialPath = Annotated[
    Path, typer.Argument(help="Directory with input.nn, scaling.data and weights.ZZZ.data, or with an ensemble.")
]
DataPaths = Annotated[list[Path], typer.Argument(help="Files with structures, in any format that ASE reads.")]
CfLength = Annotated[
    float, typer.Option(help="1 Angstrom in the potential's unit of length (1.8897261328 for Bohr), as in LAMMPS.")
]
CfEnergy = Annotated[
    float, typer.Option(help="1 eV in the potential's unit of energy (0.0367493254 for Hartree), as in LAMMPS.")
]
EnergyKey = Annotated[str | None, typer.Option(help="Name of the energy in the files.")]
ForcesKey = Annotated[str | None, typer.Option(help="Name of the forces in the files.")]
StressKey = Annotated[str | None, typer.Option(help="Name of the stress in the files.")]
VirialKey = Annotated[
    str | None, typer.Option(help="Name of the virial (eV, minus stress times volume), in place of a stress.")
]
StressUnit = Annotated[
    str | None, typer.Option(help="Unit of stress in the files: eV/Angstrom^3 (default), GPa or kbar.")
]
MixedLabels = Annotated[
    bool,
    typer.Option("--mixed-labels", help="Allow a label from different sources in different structures."),
]
LengthUnit = Annotated[
    str | None,
    typer.Option(help="Unit of length in files that do not state it: Angstrom (default) or Bohr."),
]
EnergyUnit = Annotated[
    str | None,
    typer.Option(
        help="Unit of energy in files that do not state it: eV (default), Hartree, Rydberg, kcal/mol or kJ/mol."
    ),
]
KeepUnconverged = Annotated[
    bool, typer.Option("--keep-unconverged", help="Keep steps of DFT outputs that did not converge.")
]
KeepLearned = Annotated[
    bool, typer.Option("--keep-machine-learned", help="Keep steps that VASP's machine-learned force field made.")
]
DeviceName = Annotated[Literal["cpu", "cuda"], typer.Option("--device", help="Where to compute.")]
WithBars = Annotated[
    bool, typer.Option("--bars", help="Also compute error bars, from the posterior that is stored with the potential.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results, warnings and errors.")]


def reading(
    length_unit: str | None, energy_unit: str | None, keep_unconverged: bool, keep_machine_learned: bool
) -> dict[str, Any]:
    """Return the keywords of `Dataset.read` that are given."""
    options = {
        "length_unit": length_unit,
        "energy_unit": energy_unit,
        "keep_unconverged": keep_unconverged,
        "keep_machine_learned": keep_machine_learned,
    }
    return {name: value for name, value in options.items() if value}
