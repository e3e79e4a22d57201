"""Commands that compute with a potential."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .._core import Error
from ..progress import Reporter
from ..text import PATH, printable, printable_lines
from .options import (
    CfEnergy,
    CfLength,
    DataPaths,
    DeviceName,
    EnergyKey,
    EnergyUnit,
    ForcesKey,
    KeepLearned,
    KeepUnconverged,
    LengthUnit,
    MixedLabels,
    PotentialPath,
    Quiet,
    StressKey,
    StressUnit,
    VirialKey,
    WithBars,
    reading,
)
from .tables import print_errors


def evaluate(
    potential: PotentialPath,
    data: DataPaths,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the errors to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw predictions against labels into this file.")] = None,
    bars: WithBars = False,
    reliability: Annotated[
        Path | None, typer.Option(help="With --bars, draw the errors found against the bars into this file.")
    ] = None,
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    keep_unconverged: KeepUnconverged = False,
    keep_machine_learned: KeepLearned = False,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    virial_key: VirialKey = None,
    stress_unit: StressUnit = None,
    mixed_labels: MixedLabels = False,
    device: DeviceName = "cpu",
    quiet: Quiet = False,
) -> None:
    """Compare a potential with labelled structures, in total and by group.

    With `--bars` the command prints which part of the errors is within one and two error bars.
    """
    from ..ensemble import load_potential
    from ..evaluation.comparison import compare
    from ..evaluation.coverage import coverage_line, coverage_table, save_reliability
    from ..evaluation.errors import error_table
    from ..files import write_text
    from ..io.dataset import Dataset
    from ..ranks import all_ranks
    from ..training.plots import save_correlation

    keys = {"energy": energy_key, "forces": forces_key, "stress": stress_key, "virial": virial_key}
    given = {label: key for label, key in keys.items() if key is not None}
    options = reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    options |= {"stress_unit": stress_unit, "mixed_labels": mixed_labels}
    reporter = Reporter(quiet)
    with all_ranks() as ranks:
        if reliability and not bars:
            raise Error("--reliability needs --bars")
        loaded = load_potential(potential, cflength, cfenergy, device, reporter)
        structures = Dataset.read(data, keys=given, reporter=reporter, ranks=ranks, **options)
        comparison = compare(loaded, structures, "evaluating", reporter, bars, ranks)
    errors = error_table(comparison)
    coverage = coverage_table(comparison)
    if coverage:
        errors["coverage"] = coverage
    for found in errors.get("suspicious_labels", []):
        reporter.warn(found["sentence"])
    print_errors({"data": errors})
    for kind, row in coverage.items():
        print(coverage_line(kind, row))
    if json_file:
        write_text(json_file, json.dumps(errors, indent=2) + "\n")
    if reliability:
        save_reliability(reliability, comparison)
    if plot:
        save_correlation(plot, {"data": comparison})


def predict(
    potential: PotentialPath,
    data: DataPaths,
    output: Annotated[Path, typer.Option("--output", "-o", help="Extended XYZ to write.")],
    bars: WithBars = False,
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    keep_unconverged: KeepUnconverged = False,
    keep_machine_learned: KeepLearned = False,
    device: DeviceName = "cpu",
    quiet: Quiet = False,
) -> None:
    """Predict energy, forces, stress, atomic energies and extrapolation of structures, as extended XYZ.

    `energies` are the atomic energies (eV); `extrapolation` is the number of symmetry functions of each atom outside
    the range of the training set. `--bars` adds the error bars `energy_bar`, `energies_bar` (eV) and `forces_bar`
    (eV/Angstrom).
    """
    from ..ensemble import load_potential
    from ..evaluation.predictions import require_xyz_name, write_predictions
    from ..io.dataset import Dataset
    from ..ranks import all_ranks

    reporter = Reporter(quiet)
    options = reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    with all_ranks() as ranks:
        require_xyz_name(output)
        loaded = load_potential(potential, cflength, cfenergy, device, reporter)
        structures = Dataset.read(
            data, require_labels=False, mixed_labels=True, reporter=reporter, ranks=ranks, **options
        )
        write_predictions(loaded, structures, output, reporter, bars, ranks)


def compare_energies(
    potential: PotentialPath,
    data: DataPaths,
    per_atom: Annotated[bool, typer.Option("--per-atom", help="Compare energies per atom.")] = False,
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    quiet: Quiet = False,
) -> None:
    """Print the energies of structures and their differences from the first one, with error bars.

    Errors of like structures are alike and cancel: a difference may be far better known than the energies.
    """
    from ..evaluation.differences import energy_differences
    from ..io.dataset import Dataset
    from ..potential import Potential

    loaded = Potential.load(potential, cflength, cfenergy)
    options = reading(length_unit, energy_unit, False, False)
    structures = Dataset.read(data, require_labels=False, mixed_labels=True, reporter=Reporter(quiet), **options)
    unit = "eV/atom" if per_atom else "eV"
    print(f"{'energy':>14} {'bar':>10} {'difference':>12} {'bar':>10}  {unit}")
    for row in energy_differences(loaded, structures, per_atom):
        numbers = f"{row.energy:14.6f} {row.bar:10.6f} {row.difference:12.6f} {row.difference_bar:10.6f}"
        print(f"{numbers}  {printable(row.name)}")


def features(
    potential: PotentialPath,
    data: DataPaths,
    output: Annotated[Path, typer.Option("--output", "-o", help="NPZ file to write.")],
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    keep_unconverged: KeepUnconverged = False,
    keep_machine_learned: KeepLearned = False,
    quiet: Quiet = False,
) -> None:
    """Compute scaled symmetry functions and atomic energies of structures, as an NPZ file.

    The arrays are features [atoms, functions] (NaN behind the last function of an element), energies [atoms] in eV,
    numbers [atoms] (atomic numbers) and offset [structures + 1]. The atoms of structure s are offset[s] to offset[s+1].
    """
    from ..ensemble import load_potential
    from ..evaluation.predictions import write_features
    from ..io.dataset import Dataset

    reporter = Reporter(quiet)
    loaded = load_potential(potential, cflength, cfenergy, reporter=reporter)
    options = reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    structures = Dataset.read(data, require_labels=False, mixed_labels=True, reporter=reporter, **options)
    write_features(loaded, structures, output, reporter)


def validate(
    potential: PotentialPath,
    crystals: DataPaths,
    reference: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="Calculator of ASE to compare with."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for validation.html, pictures and validation.json.")] = Path(
        "validation"
    ),
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    quiet: Quiet = False,
) -> None:
    """Compute properties of crystals by a potential, with error bars, and compare them with a reference.

    For each crystal: E(V), elastic constants, phonons (with phonopy), vacancy and surface energies, dimers down to the
    core, drift at constant energy, and a short run at constant pressure.
    """
    from ..files import write_text
    from ..io.dataset import Dataset
    from ..mapping.models import load_calculator
    from ..potential import Potential
    from ..symmetry import doubt_cutoff
    from ..validation.page import lines, save_page
    from ..validation.validate import validate as measure

    reporter = Reporter(quiet)
    loaded = Potential.load(potential, cflength, cfenergy)
    doubt_cutoff(loaded.functions, potential, cflength, reporter)
    options = reading(length_unit, energy_unit, False, False)
    structures = Dataset.read(crystals, require_labels=False, mixed_labels=True, reporter=reporter, **options)
    found = measure(loaded, structures, load_calculator(reference) if reference else None, reporter)
    for line in lines(found):
        print(printable_lines(line))
    page = save_page(out, found)
    write_text(out / "validation.json", json.dumps([crystal.to_json() for crystal in found], indent=2) + "\n")
    print(f"page: {printable(page, PATH)}")
