"""Predictions for files of structures, written to files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from .._core import Error
from ..ensemble import SPREADS, Ensemble
from ..files import atomic
from ..io.dataset import Dataset
from ..io.extxyz import write_extxyz
from ..io.readers import XYZ
from ..potential import Evaluation, Potential
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Floats, Structure
from .comparison import evaluate_all


def write_predictions(
    potential: Potential | Ensemble,
    data: Dataset,
    output: Path,
    reporter: Reporter,
    bars: bool = False,
    ranks: Ranks | None = None,
) -> None:
    """Write the structures as extended XYZ with energy, forces, and stress if they are periodic in three directions.

    Several ranks share the structures. Each atom has `energies` (eV) and `extrapolation` (see `Evaluation`). For an
    ensemble the spreads are added, with `bars` the error bars `energy_bar`, `energies_bar` and `forces_bar`. Other data
    of the structures are kept; labels that were read are not.

    Raises
    ------
    Error
        If a structure cannot be evaluated or the file cannot be written.
    """
    with atomic(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        for text in evaluate_all(potential, data, "predicting", reporter, _as_extxyz, bars, ranks):
            file.write(text)


def _as_extxyz(structure: Structure, result: Evaluation) -> str:
    atoms = structure.atoms.copy()
    atoms.arrays["extrapolation"] = result.extrapolation
    for name, value in _uncertainties(result):
        (atoms.info if isinstance(value, float) else atoms.arrays)[name] = value
    values = {name: getattr(result, name) for name in ("energy", "energies", "forces", "stress")}
    text = io.StringIO()
    write_extxyz(text, atoms, {name: value for name, value in values.items() if value is not None})
    return text.getvalue()


def _uncertainties(result: Evaluation) -> Iterator[tuple[str, float | Floats]]:
    """Yield the names and values of spreads or bars, whichever there are."""
    for name in SPREADS:
        if hasattr(result, name):
            yield name, getattr(result, name)
    if result.bars is not None:
        for field in fields(result.bars):
            yield f"{field.name}_bar", getattr(result.bars, field.name)


def require_xyz_name(output: Path) -> None:
    """Raise Error for a name that ASE takes for another format than extended XYZ."""
    from ase.io.formats import UnknownFileTypeError, filetype, get_compression, ioformats

    compression = get_compression(str(output))[1]
    try:
        kind = compression or filetype(str(output), read=False)
    except UnknownFileTypeError:
        return
    if compression or (kind in ioformats and kind not in XYZ):
        raise Error(f"{output}: has the name of the format {kind}, but predict writes extended XYZ: name it .xyz")


def write_features(potential: Potential | Ensemble, data: Dataset, output: Path, reporter: Reporter) -> None:
    """Write features, atomic energies, atomic numbers and the first atom of each structure as NPZ.

    Raises
    ------
    Error
        If a structure cannot be evaluated or the file cannot be written.
    """
    results = list(evaluate_all(potential, data, "evaluating", reporter, _features))
    with atomic(output) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            features=np.concatenate([features for features, _ in results]),
            energies=np.concatenate([energies for _, energies in results]),
            numbers=np.concatenate([s.atoms.numbers for s in data]),
            offset=np.cumsum([0, *(len(s.atoms) for s in data)]),
        )


def _features(_: Structure, result: Evaluation) -> tuple[Floats, Floats]:
    return result.features, result.energies
