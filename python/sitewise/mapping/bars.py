"""Error bars of the energies of structures in eV, whether they are open at an accuracy, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .._core import Error
from .energy_process import EnergyProcess
from .gspace import Placed

ACCURACY = 0.010  # eV/atom
FAR = 0.25  # part of a bar that is left if all atomic energies of the data were known, from which on it extrapolates
TIMES_RMSE = 10.0  # that of total energies, which they are right compared with an error above
Cause = Literal["mapping", "extrapolation", "data"]
ErrorCause = Literal["mapping", "extrapolation", "fit"]


@dataclass(frozen=True, slots=True)
class Bar:
    """Error bar of a structure, one standard deviation.

    Attributes
    ----------
    energy
        Of its energy, eV/atom.
    cause
        Why the energy is open; None if its bar is not above the accuracy. It is "extrapolation" if knowing all atomic
        energies of the data would leave FAR of the bar, and above the accuracy. Else it is "mapping" if ten times as
        many data of the same kinds would leave it open, and "data" if they would not.
    """

    energy: float
    cause: Cause | None


def error_bars(process: EnergyProcess, structures: Placed, accuracy: float) -> list[Bar]:
    """Return the error bar of each structure.

    Parameters
    ----------
    process
        Atomic energies as the data determine them.
    structures
        Atoms in G space.
    accuracy
        eV/atom.

    Raises
    ------
    Error
        For an accuracy that is not positive.
    """
    if not accuracy > 0:
        raise Error(f"the accuracy is {accuracy} eV/atom, expected a positive number")
    energies, more, known = process.possible_deviations(structures)
    rows = zip(energies.tolist(), known.tolist(), more.tolist(), strict=True)
    return [Bar(bar, _cause(accuracy, bar, *others)) for bar, *others in rows]


def bars_of_atoms(process: EnergyProcess, structures: Placed) -> list[list[float]]:
    """Return the error bar of each atomic energy of each structure, eV."""
    return structures.split(process.deviations(structures.single()))


def cause_of_error(
    error: float, rmse: float | None, bar: Bar | None, far: bool, accuracy: float = ACCURACY
) -> ErrorCause | None:
    """Return why an energy per atom is wrong; None if it is not, or if nothing is known about it.

    The reason is that of an open bar, "mapping" or "extrapolation", if the error is not above the bar, or if total
    energies are right compared with it. Otherwise it is "fit", or "extrapolation" far from the data if total energies
    are right.

    Parameters
    ----------
    error
        Error of the energy, eV/atom.
    rmse
        RMSE of the total energies of the data, eV/atom; None without any.
    bar
        Error bar of the energy at this accuracy; None without energies.
    far
        Whether its environments are farther from those of the data than these are from each other.
    accuracy
        Smaller errors are none, eV/atom.
    """
    if bar is None or rmse is None or not abs(error) > accuracy:
        return None
    right = abs(error) > TIMES_RMSE * rmse
    if bar.cause in ("mapping", "extrapolation") and (right or abs(error) <= bar.energy):
        return bar.cause
    return "extrapolation" if far and right else "fit"


def causes_at_crystals(
    deltas: Iterable[float],
    rmse: float | None,
    bars: Iterable[Bar | None],
    far: Sequence[bool],
    elements: Sequence[int],
    accuracy: float = ACCURACY,
) -> list[ErrorCause | None]:
    """Return why the energy of each crystal is wrong; None where it is not.

    A right energy near the data shows that the mapping is right. Crystals of the same element that are far from the
    data are then wrong by extrapolation.

    Parameters
    ----------
    deltas, rmse, bars, far, accuracy
        As in `cause_of_error`, for each crystal.
    elements
        Element of the atoms of each crystal.
    """
    each = list(zip(deltas, bars, far, elements, strict=True))
    right = {element for delta, _, away, element in each if not away and abs(delta) <= accuracy}
    found = [cause_of_error(delta, rmse, bar, away, accuracy) for delta, bar, away, _ in each]
    return [
        "extrapolation" if cause == "mapping" and away and element in right else cause
        for cause, (_, _, away, element) in zip(found, each, strict=True)
    ]


def _cause(accuracy: float, bar: float, known: float, more: float) -> Cause | None:
    if bar <= accuracy:
        return None
    if known > max(accuracy, FAR * bar):
        return "extrapolation"
    return "mapping" if more > accuracy else "data"
