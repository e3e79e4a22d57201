"""Predictions for files of structures, written one structure after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._core import Error
from .dataset import Dataset
from .ensemble import SPREADS, load_potential
from .extxyz import write_extxyz
from .files import atomic
from .metrics import evaluate_all
from .potential import Device
from .progress import Reporter
from .readers import XYZ


def write_predictions(
    potential: Path,
    data: Sequence[Path],
    output: Path,
    cflength: float,
    cfenergy: float,
    reporter: Reporter,
    device: Device = "cpu",
    options: Mapping[str, Any] | None = None,
) -> None:
    """Writes the structures as extended XYZ with energy, forces, stress (where periodic in three directions)
    and, for each atom, `energies` (eV) and `extrapolation` (number of functions outside the training range), for an
    ensemble also its spreads. Other data of the structures are kept, labels that were read are not. `options` are
    further keywords of `Dataset.read`."""
    _require_name(output)
    loaded = load_potential(potential, cflength, cfenergy, device, reporter)
    structures = Dataset.read(data, require_labels=False, reporter=reporter, mixed_labels=True, **(options or {}))
    with atomic(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        for structure, result in zip(structures, evaluate_all(loaded, structures, "predicting", reporter), strict=True):
            atoms = structure.atoms.copy()
            atoms.arrays["extrapolation"] = result.extrapolation
            for name in SPREADS:
                spread = getattr(result, name, None)
                if spread is not None:
                    (atoms.info if isinstance(spread, float) else atoms.arrays)[name] = spread
            values = {name: getattr(result, name) for name in ("energy", "energies", "forces", "stress")}
            write_extxyz(file, atoms, {name: value for name, value in values.items() if value is not None})


def _require_name(output: Path) -> None:
    """Raises Error for a name by which ASE reads another format than extended XYZ."""
    from ase.io.formats import UnknownFileTypeError, filetype, get_compression, ioformats

    try:
        kind = get_compression(str(output))[1] or filetype(str(output), read=False)
    except UnknownFileTypeError:
        return
    if kind not in XYZ and (kind in ioformats or get_compression(str(output))[1]):
        raise Error(f"{output}: has the name of the format {kind}, but predict writes extended XYZ: name it .xyz")


def write_features(
    potential: Path,
    data: Sequence[Path],
    output: Path,
    cflength: float,
    cfenergy: float,
    reporter: Reporter,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Writes features, atomic energies, atomic numbers and the first atom of each structure as NPZ; `options` are
    further keywords of `Dataset.read`."""
    loaded = load_potential(potential, cflength, cfenergy, reporter=reporter)
    structures = Dataset.read(data, require_labels=False, reporter=reporter, mixed_labels=True, **(options or {}))
    results = list(evaluate_all(loaded, structures, "evaluating", reporter))
    with atomic(output) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            features=np.concatenate([r.features for r in results]),
            energies=np.concatenate([r.energies for r in results]),
            numbers=np.concatenate([s.atoms.numbers for s in structures]),
            offset=np.cumsum([0, *(len(s.atoms) for s in structures)]),
        )
