"""Conversion of potentials and structures from one format to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core import Error
from ..ensemble import Ensemble, load_potential
from ..files import atomic, write_text
from ..progress import Reporter, Silent
from ..structures import Structure
from ..symmetry import SymmetryFunctions
from ..text import printable
from ..units import Units
from .cp2k import write_cp2k
from .dataset import Dataset
from .extxyz import write_extxyz
from .hdf5 import SUFFIXES, write_hdf5
from .kept import Kept
from .labels import LABELS
from .lammps_data import write_lammps_data
from .runner import is_runner, write_runner
from .simple_nn import read_params, read_potential, write_params, write_potential

if TYPE_CHECKING:
    from ase import Atoms


class Format(str, Enum):
    """A format that `convert` writes."""

    n2p2 = "n2p2"  # a potential's directory, in eV and Angstrom
    cp2k = "cp2k"  # the same for CP2K, in Hartree and Bohr
    simple_nn = "simple-nn"  # a potential_saved
    params = "params"  # a folder with a params_XX for each element
    runner = "runner"  # structures as input.data
    lammps = "lammps"  # one structure as LAMMPS data file
    hdf5 = "hdf5"  # structures as HDF5, as MACE prepares them
    ase = "ase"  # structures in the format that the name implies for ASE


BY_NAME = {".data": Format.runner, ".lmp": Format.lammps, **dict.fromkeys(SUFFIXES, Format.hdf5)}


def convert(
    sources: Sequence[Path],
    output: Path,
    to: Format | None,
    cflength: float,
    cfenergy: float,
    reporter: Reporter,
    index: int | None = None,
    options: Mapping[str, Any] | None = None,
    labelled_only: bool = False,
) -> None:
    """Convert a potential or structures.

    Parameters
    ----------
    sources
        - A potential: a directory of n2p2, an ensemble of them, which is merged into one, or a `potential_saved` of
          SIMPLE-NN.
        - Symmetry functions: SIMPLE-NN's `params_XX` of all elements in the order of their indices, which become an
          `input.nn` to train with.
        - Files of structures: RuNNer's `input.data`, HDF5, or any format that ASE reads.
    output
        The file or directory to write.
    to
        The format of the output. The default is n2p2 for a potential. For structures it is runner if the name ends in
        .data, lammps if it ends in .lmp, hdf5 if it ends in .h5 or .hdf5, else ase.
    cflength, cfenergy
        1 Angstrom and 1 eV in the units of n2p2's or RuNNer's side.
    reporter
        Reports the progress.
    index
        Convert only this structure, counted from 0 over all files, or from -1 backwards; all of them if not given.
    options
        Further keywords of `Dataset.read`. Units among them are those of the files that are read; for RuNNer's files
        use cflength and cfenergy instead.
    labelled_only
        Whether to leave out structures without energy or without forces.

    Raises
    ------
    Error
        If something cannot be read, or cannot be expressed in the other format, with its name.
    """
    options = options or {}
    if len(sources) == 1 and (sources[0].is_dir() or _is_simple_nn(sources[0])):
        _convert_potential(sources[0], output, to or Format.n2p2, cflength, cfenergy, reporter)
        return
    if all(source.name.startswith("params_") for source in sources):
        if to not in (None, Format.n2p2):
            raise Error(f"{sources[0]}: holds symmetry functions, which cannot be written as {to.value}")
        write_text(output, _input_text(read_params(sources)))
        return
    to = to or BY_NAME.get(output.suffix, Format.ase)
    structures = _structures(sources, Units(1 / cflength, 1 / cfenergy), options, reporter)
    if index is not None:
        structures = [_chosen(structures, index)]
    if labelled_only:
        structures = _labelled_ones(structures, reporter)
    if to is Format.runner:
        _say_what_is_lost(structures, output, reporter)
        write_runner(structures, output, cflength, cfenergy)
    elif to is Format.lammps:
        if len(structures) != 1:
            raise Error(f"{output}: a LAMMPS data file holds one structure, found {len(structures)}; choose by --index")
        write_lammps_data(structures[0], output)
    elif to is Format.hdf5:
        lost = write_hdf5(structures, output)
        if lost:
            reporter.warn(f"{output}: HDF5 holds numbers and text alone, not {printable(', '.join(lost), 200)}")
    elif to is Format.ase:
        _write_ase(structures, output)
        _say_what_ase_lost(structures, output, reporter)
    else:
        raise Error(f"{sources[0]}: holds structures, which cannot be written as {to.value}")


def _is_simple_nn(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(9) == b"ELEM_LIST"
    except OSError as error:
        raise Error(f"{path}: cannot be read: {error.strerror}") from None


def _convert_potential(
    source: Path, output: Path, to: Format, cflength: float, cfenergy: float, reporter: Reporter
) -> None:
    if source.is_dir():
        potential = load_potential(source, cflength, cfenergy, reporter=reporter)
    else:
        potential = read_potential(source)
    if isinstance(potential, Ensemble):
        reporter.say(f"the networks of {len(potential.members)} potentials are side by side in one, their mean")
        potential = potential.merged()
    if to is Format.n2p2:
        potential.save(output, f"converted from {source}")
    elif to is Format.cp2k:
        write_cp2k(potential, output, f"converted from {source}")
    elif to is Format.simple_nn:
        write_potential(potential, output)
    elif to is Format.params:
        write_params(potential.functions, output)
    else:
        raise Error(f"{source}: is a potential, which cannot be written as {to.value}")


def _input_text(functions: SymmetryFunctions) -> str:
    """Return an input.nn with only elements, cutoff type and functions."""
    head = (
        f"number_of_elements {len(functions.elements)}",
        f"elements {' '.join(functions.elements)}",
        f"cutoff_type {functions.core.cutoff_type}",
    )
    return "\n".join(head) + "\n" + functions.core.lines(functions.elements)


def _structures(
    sources: Sequence[Path], units: Units, options: Mapping[str, Any], reporter: Reporter
) -> Sequence[Structure]:
    """Read structures from files; `units` are those of RuNNer's files unless the options give others."""
    structures = Kept()
    for source in sources:
        own = options
        if is_runner(source) and units != Units():
            if any(name in options for name in ("length_unit", "energy_unit")):
                raise Error(
                    f"{source}: --cflength and --cfenergy give its units, leave out --length-unit and --energy-unit"
                )
            own = {**options, "length_unit": units.length, "energy_unit": units.energy}
        for structure in Dataset.read(source, require_labels=False, reporter=reporter, **own):
            structures.append(structure)
    return structures


def _chosen(structures: Sequence[Structure], index: int) -> Structure:
    if not -len(structures) <= index < len(structures):
        raise Error(f"--index is {index}, but there are {len(structures)} structures, counted from 0")
    return structures[index]


def _labelled_ones(structures: Sequence[Structure], reporter: Reporter) -> Sequence[Structure]:
    """Return the structures that have energy and forces."""
    kept = Kept(s for s in structures if s.energy is not None and s.forces is not None)
    if not kept:
        raise Error(f"--labelled-only leaves nothing: none of {len(structures)} structures has energy and forces")
    reporter.say(
        f"{len(structures) - len(kept)} structures without energy or forces are left out, {len(kept)} are kept"
    )
    return kept


def _say_what_is_lost(structures: Sequence[Structure], output: Path, reporter: Reporter) -> None:
    """Report what input.data cannot hold."""
    if all(not _known(s) for s in structures):
        reporter.say(f"{output}: no structure has labels, so the file can be used to predict, but not to train")
    stresses = sum(s.stress is not None for s in structures)
    if stresses:
        reporter.warn(f"{output}: holds no stresses, which {stresses} of {len(structures)} structures have")
    if any(s.group for s in structures):
        reporter.say(f"{output}: holds no groups; their names are in the comments, where sitewise reads them")


def _say_what_ase_lost(structures: Sequence[Structure], output: Path, reporter: Reporter) -> None:
    """Read what ASE has written, and report which labels and groups are missing."""
    try:
        written = Dataset.read(str(output), require_labels=False, mixed_labels=True, reporter=Silent())
    except Error as error:
        reporter.warn(f"what was written cannot be read again: {error}")
        return
    lost = [
        name
        for name in (*LABELS, "group")
        if sum(_has(s, name) for s in written) < sum(_has(s, name) for s in structures)
    ]
    if lost:
        reporter.warn(f"{output}: this format does not keep the {', '.join(lost)}")


def _has(structure: Structure, name: str) -> bool:
    return bool(structure.group) if name == "group" else getattr(structure, name) is not None


def _write_ase(structures: Iterable[Structure], output: Path) -> None:
    from ase.io import write
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats, open_with_compression

    try:
        kind = filetype(str(output), read=False)
    except UnknownFileTypeError:
        kind = ""
    if kind not in ioformats:
        raise Error(f"{output}: ASE writes no format with this name, choose another such as .xyz")
    with atomic(output) as temporary:
        try:
            if kind == "extxyz":
                with open_with_compression(str(temporary), "wt") as file:
                    for structure in structures:
                        write_extxyz(file, structure.atoms, _known(structure))
            else:
                write(temporary, [_labelled(structure) for structure in structures], format=kind)
        except Error:
            raise
        except Exception as error:  # ASE's writers raise exceptions of any kind
            raise Error(f"{output}: cannot be written by ASE: {error or type(error).__name__}") from None


def _known(structure: Structure) -> dict[str, Any]:
    """Return the labels that are known."""
    labels = {name: getattr(structure, name) for name in LABELS}
    return {name: value for name, value in labels.items() if value is not None}


def _labelled(structure: Structure) -> Atoms:
    """Return a structure with its labels, for ASE's writers."""
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms: Atoms = structure.atoms.copy()
    known = _known(structure)
    atoms.calc = SinglePointCalculator(atoms, **known) if known else None
    return atoms
