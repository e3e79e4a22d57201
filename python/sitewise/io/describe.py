"""The lines that `sitewise info` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import _core
from .._core import Error
from ..ensemble import Ensemble, load_potential
from ..potential import Potential
from ..progress import Reporter
from ..symmetry import SymmetryFunctions
from ..text import PATH, printable
from ..units import Units
from .dataset import Dataset
from .labels import LABELS

LONGEST_TABLE = 100  # functions
SHOWN_KEYS = 20


def describe(
    path: Path | None, cflength: float, cfenergy: float, options: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """Yield lines about a potential (a directory), a file of structures, or this build.

    Parameters
    ----------
    path
        The directory or file; None for the build.
    cflength, cfenergy
        As in `Potential.load`.
    options
        Further keywords of `Dataset.read`.

    Raises
    ------
    Error
        If there is no such file or directory, and as `load_potential` and `Dataset.read`.
    """
    if path is None:
        yield from _build()
    elif path.is_dir():
        yield from _potential(path, cflength, cfenergy)
    elif path.exists():
        yield from _data(path, options or {})
    else:
        raise Error(f"{path}: no such file or directory")


def _build() -> Iterator[str]:
    package = Path(_core.__file__).parent  # also where find_package(sitewise) finds the C++ library
    facts = {**_core.info(), "threads": str(_core.get_threads()), "cmake_prefix": str(package)}
    for name, value in facts.items():
        yield f"{name:16s} {value}"


def _potential(path: Path, cflength: float, cfenergy: float) -> Iterator[str]:
    loaded = load_potential(path, cflength, cfenergy, reporter=Reporter(quiet=True))
    yield f"{printable(path, PATH)}: {loaded!r}"
    members = loaded.members if isinstance(loaded, Ensemble) else (loaded,)
    potential = members[0]
    yield from (f"assumed: {what}" for what in dict.fromkeys(text for m in members for text in m.core.assumed))
    scaling = potential.core.scaling
    yield f"scaling {scaling.type} to [{scaling.smin:g}, {scaling.smax:g}]"
    for element, network, energy in zip(
        potential.elements, potential.core.networks, potential.core.atom_energies, strict=True
    ):
        nodes = "-".join(map(str, network.nodes))
        yield f"{element}: network {nodes}, activations {network.activations}, atomic offset {energy:.6g} eV"
    yield from _baseline(potential)
    if (path.parent / "training.toml").exists():
        yield f"trained by sitewise, see {printable(path.parent / 'training.toml', PATH)}"
    yield ""
    yield from _functions(potential.functions)


def _baseline(potential: Potential) -> Iterator[str]:
    baseline = potential.core.baseline
    if baseline is None:
        return
    if baseline.zbl is not None:
        yield "repulsion of nuclei (ZBL), switched off from {:g} to {:g} Angstrom".format(*baseline.zbl)
    for (a, b), table in baseline.tables.items():
        r = table.distances
        pair = f"{potential.elements[a]}-{potential.elements[b]}"
        yield f"pair potential {pair}: a table of {len(r)} distances from {r[0]:g} to {r[-1]:g} Angstrom"


def _functions(functions: SymmetryFunctions) -> Iterator[str]:
    """Yield a table of the functions or, if it is long, how many of each type an element has."""
    if len(functions) <= LONGEST_TABLE:
        yield str(functions)
        return
    yield repr(functions)
    for element in functions.elements:
        types = Counter(f.type for f in functions.of(element))
        yield f"  {element}: " + ", ".join(f"{count} of type {kind}" for kind, count in sorted(types.items()))
    yield "input.nn lists them all"


def _keys(data: Dataset) -> Iterator[str]:
    """Yield the names of what structures and atoms have beside labels and positions."""
    of_structures = Counter(str(name) for s in data for name in s.atoms.info)
    of_atoms = Counter(name for s in data for name in s.atoms.arrays if name not in ("numbers", "positions"))
    for whose, names in (("structures", of_structures), ("atoms", of_atoms)):
        if names:
            shown = ", ".join(printable(name) for name, _ in names.most_common(SHOWN_KEYS))
            more = f" and {len(names) - SHOWN_KEYS} more" if len(names) > SHOWN_KEYS else ""
            yield f"other values of {whose}: {shown}{more}"


def _data(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    data = Dataset.read(path, require_labels=False, reporter=Reporter(quiet=True), mixed_labels=True, **options)
    sizes = [len(s.atoms) for s in data]
    units = Units.of(*(options.get(name, 1.0) for name in ("length_unit", "energy_unit")))
    yield f"{printable(path, PATH)}: {data.summary()}{data.sources()}, in {units}"
    yield from data.unused_labels()
    yield from _keys(data)
    yield f"elements {' '.join(data.elements)}; {min(sizes)} to {max(sizes)} atoms"
    periodic = Counter(int(s.atoms.pbc.sum()) for s in data)
    yield "periodic in " + ", ".join(f"{n} directions: {count}" for n, count in sorted(periodic.items()))
    if data.groups != [""]:
        for group in data.groups:
            members = Dataset(s for s in data if s.group == group)
            labels = ", ".join(f"{members.count(label)} {label}" for label in LABELS)
            yield f"  {printable(group) or '(no group)'}: {len(members)} structures, {members.n_atoms} atoms; {labels}"
