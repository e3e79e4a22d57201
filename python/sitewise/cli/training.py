"""Commands that make potentials."""

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
    DeviceName,
    EnergyUnit,
    KeepLearned,
    KeepUnconverged,
    LengthUnit,
    MixedLabels,
    PotentialPath,
    Quiet,
    reading,
)
from .tables import print_errors

Recipe = Literal["default", "yoo2019-adam", "yoo2019-lbfgs", "seed-adam", "seed-lbfgs"]


def train(
    run: Annotated[Path, typer.Argument(metavar="RUN.toml", help="Data, functions, network and training.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default the name of RUN.toml without its ending.")
    ] = None,
    recipe: Annotated[
        Recipe | None, typer.Option(help="Optimiser and its settings, in place of the recipe in RUN.toml.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    start: Annotated[
        Path | None, typer.Option("--from", help="Potential whose weights the run starts from, as [start] in RUN.toml.")
    ] = None,
    device: DeviceName = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train a potential. `mpirun -n K sitewise train RUN.toml` divides the structures among K processes."""
    from ..config import Config
    from ..ranks import all_ranks
    from ..training.run import train as train_potential

    out = out or Path(run.stem)
    with all_ranks() as ranks:
        config = Config.load(run, recipe)
        if start is not None:
            config = config.started_from(start)
        train_potential(config, out, resume, Reporter(quiet), ranks=ranks, device=device)
    errors = json.loads((out / "errors.json").read_text(encoding="utf-8"))
    print_errors({name: errors[name] for name in ("train", "validation", "test") if name in errors})
    print(
        f"{errors['cpu_seconds']:.0f} s CPU, {errors['wall_seconds']:.0f} s, "
        f"{errors['peak_memory_mb']:.0f} MB; results in {printable(out, PATH)}"
    )


def grow(
    settings: Annotated[Path, typer.Argument(metavar="GROW.toml", help="Oracle, starts, targets and budget.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default the name of GROW.toml without its ending.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Grow a potential from a few labelled structures, or none, until its error bars on the targets are small enough.

    Each round trains, explores by molecular dynamics, chooses structures by the error bars of the targets, and has them
    labelled. The command continues an interrupted growth.
    """
    from ..growing.grow import grow as grow_potential
    from ..growing.page import PAGE, lines

    out = out or Path(settings.stem)
    grown = grow_potential(settings, out, Reporter(quiet))
    for line in lines(grown.rounds) if grown.rounds else ():
        print(line)
    print(printable_lines(f"ended: {grown.sentence}"))
    if grown.potential is not None:
        print(f"potential in {printable(out / 'potential', PATH)}, page {printable(out / PAGE, PATH)}")


def learning_curve(
    run: Annotated[Path, typer.Argument(metavar="RUN.toml", help="Data, functions, network and training.")],
    sizes: Annotated[str, typer.Option(help="Numbers of training structures, separated by commas.")],
    seeds: Annotated[int, typer.Option(min=1, help="Random choices of the structures for each size.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default the name of RUN.toml with -curve.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; by default as many as threads.")] = None,
    quiet: Quiet = False,
) -> None:
    """Measure test errors against the number of training structures, as CSV and picture.

    The command continues an interrupted run.
    """
    from .._core import get_threads
    from ..config import Config
    from ..training.learning_curve import COLUMNS
    from ..training.learning_curve import learning_curve as make
    from ..training.plots import SHOWN

    try:
        numbers = sorted({int(size) for size in sizes.split(",")})
    except ValueError:
        raise Error(f"--sizes: expected whole numbers separated by commas, found {sizes!r}") from None
    out = out or Path(f"{run.stem}-curve")
    rows = make(Config.load(run), out, numbers, seeds, jobs or get_threads(), Reporter(quiet))
    units, factors = ["", ""], []
    for name in COLUMNS[2:]:
        shown = SHOWN[name.removesuffix("_rmse")]
        units.append(shown.unit)
        factors.append(shown.factor)
    for line in (COLUMNS, units):
        print("  ".join(f"{name:>11}" for name in line))
    for row in rows:
        errors = (f"{error * factor:11.4g}" for error, factor in zip(row[2:], factors, strict=True))
        print("  ".join([f"{row[0]:11.0f}", f"{row[1]:11.0f}", *errors]))


def posterior(
    potential: PotentialPath,
    data: Annotated[list[Path], typer.Argument(help="Files with the structures that it was trained on.")],
    test: Annotated[
        list[Path] | None, typer.Option(help="Held-out structures, whose errors scale the bars; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draws.")] = 0,
    cflength: CfLength = 1.0,
    cfenergy: CfEnergy = 1.0,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    keep_unconverged: KeepUnconverged = False,
    keep_machine_learned: KeepLearned = False,
    mixed_labels: MixedLabels = False,
    quiet: Quiet = False,
) -> None:
    """Store a posterior distribution of the weights with a potential, from which error bars are computed.

    `sitewise train` does the same at its end. This command is for potentials of other programs and of earlier runs.
    """
    from ..io.dataset import Dataset
    from ..posterior import FILE
    from ..potential import Potential
    from ..symmetry import doubt_cutoff
    from ..training.posterior import posterior_of

    reporter = Reporter(quiet)
    loaded = Potential.load(potential, cflength, cfenergy)
    doubt_cutoff(loaded.functions, potential, cflength, reporter)
    options = reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    options["mixed_labels"] = mixed_labels
    train, held_out = (
        Dataset.read(paths, reporter=reporter, **options) if paths else Dataset([]) for paths in (data, test)
    )
    folder = loaded.folder or potential  # that of a run has the potential in it
    posterior_of(loaded, train, held_out, seed, reporter).save(folder)
    print(f"{printable(folder / FILE, PATH)}: {(folder / FILE).stat().st_size / 1e6:.1f} MB")
