"""Commands on the mapping of atomic energies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from .._core import Error
from ..progress import Reporter
from ..text import PATH, printable, printable_lines
from .options import (
    CfEnergy,
    CfLength,
    DataPaths,
    EnergyUnit,
    KeepLearned,
    KeepUnconverged,
    LengthUnit,
    MixedLabels,
    Quiet,
    reading,
)


def diagnose(
    data: DataPaths,
    potential: Annotated[
        str | None,
        typer.Option(
            help="Model to test: directory of a potential, MODULE:NAME of an ASE calculator with `energies` (or what "
            "makes it), or name of a column of atomic energies."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="RUN.toml with the symmetry functions.")] = None,
    target: Annotated[
        list[Path] | None, typer.Option(help="Structures that the potential is made for; may be repeated.")
    ] = None,
    candidates: Annotated[
        list[Path] | None, typer.Option(help="Structures that may be added to the data, to rank; may be repeated.")
    ] = None,
    suggest: Annotated[
        Path | None,
        typer.Option(
            help="Make structures that would help, the best first, and write them to this file (.xyz: all, .poscar or "
            ".inp of CP2K: one each) or folder (all of these)."
        ),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(help="Another model to compare with, named as for --potential.")
    ] = None,
    n_big: Annotated[
        int | None,
        typer.Option(min=1, help="Least number of atoms of a big cluster; by default 1/20 of each element's atoms."),
    ] = None,
    accuracy: Annotated[
        str,
        typer.Option(help='Error bar per atom up to which a target is determined: "5 meV", or a number of eV.'),
    ] = "10 meV",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the diagnosis to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for pictures and report.html.")] = None,
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    keep_unconverged: KeepUnconverged = False,
    keep_machine_learned: KeepLearned = False,
    mixed_labels: MixedLabels = False,
    quiet: Quiet = False,
) -> None:
    """Test what the data determine of the atomic energies, and how well a potential maps them."""
    from ..files import write_text
    from ..io.dataset import Dataset
    from ..mapping import diagnosis
    from ..mapping.models import PotentialModel, load_model
    from ..mapping.suggestion_files import files_of, write_suggestions
    from ..mapping.verdict import verdict
    from ..ranks import all_ranks
    from ..symmetry import doubt_cutoff
    from ..units import Units, energy

    reporter = Reporter(quiet)
    with all_ranks() as ranks:
        limit = energy(accuracy, "--accuracy")
        if suggest:
            files_of(suggest, 0)  # refuses an unknown suffix before the work
        if compare and not potential:
            raise Error("--compare needs --potential")
        unit = Units.of("Angstrom", energy_unit or "eV").energy
        loaded = [load_model(given, cflength, cfenergy, unit) if given else None for given in (potential, compare)]
        for model in loaded:
            if isinstance(model, PotentialModel):
                doubt_cutoff(model.potential.functions, model.name, cflength, reporter)
        own = loaded[0].potential if isinstance(loaded[0], PotentialModel) else None
        if own and config:
            raise Error("--config and a potential exclude each other: it has symmetry functions of its own")
        options = reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
        options["mixed_labels"] = mixed_labels
        structures = Dataset.read(data, require_labels=False, reporter=reporter, ranks=ranks, **options)
        added, wanted = (
            Dataset.read(paths, require_labels=False, reporter=reporter, ranks=ranks, **options) if paths else None
            for paths in (candidates, target)
        )
        functions = diagnosis.functions_of(own, config, structures, reporter)
        found = diagnosis.diagnose(
            structures, functions, loaded[0], added, wanted, loaded[1], n_big, reporter, limit, suggest, ranks
        )
    if suggest and found.suggested:
        write_suggestions(suggest, found.suggested)
    for line in verdict(found):
        print(printable_lines(line))
    if json_file:
        write_text(json_file, json.dumps(found.to_json(), indent=2) + "\n")
    if out:
        from ..mapping.report import save_report

        out.mkdir(parents=True, exist_ok=True)
        print(printable_lines(f"pictures and {save_report(out, found)}"))


def reproduce(
    name: Annotated[str | None, typer.Argument(help="Name of the experiment; without it, list all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run a smaller version, of a few minutes at most.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default reproduce-NAME[-LABELS][-quick].")
    ] = None,
    labels: Annotated[
        Literal["pbe", "stillinger-weber"] | None,
        typer.Option(
            help="Labels: PBE (default), or Stillinger-Weber for as many and as large structures as the paper's."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Repeat an experiment of the paper on atomic energy mapping.

    The command continues an interrupted run. It ends with a table, pictures and `result.json`. The exit status is 1 if
    a number is out of its bounds.
    """
    from ..reproduce import EXPERIMENTS
    from ..reproduce import reproduce as do

    if name is None:
        for each, experiment in EXPERIMENTS.items():
            print(f"{each:15} {experiment.title}")
        return
    out = out or Path("-".join(["reproduce", name, *([labels] if labels else []), *(["quick"] if quick else [])]))
    outcome = do(name, out, quick, Reporter(quiet), labels)
    print("\n".join([*outcome.lines(), "", f"results in {printable(out, PATH)}"]))
    if not outcome.passed:
        raise typer.Exit(1)
