"""Labels in another unit or with another sign than the predictions: the slope between them is a known factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scratch import release
from ..structures import Floats
from ..units import BOHR, ENERGIES, GPA, HARTREE, KJ_PER_MOL
from .comparison import BLOCK, Comparison, Pairs

if TYPE_CHECKING:
    from ..io.dataset import Dataset

KCAL_PER_MOL = ENERGIES["kcal/mol"]
LARGEST_STRESS = 40.0  # eV per atom, after multiplication by the volume; carbon at 1000 GPa is below
ROUNDING = 1e-10  # of the largest value; values that vary less carry no information

# Sizes, in eV and Angstrom, of the units that labels may be in.
UNITS: dict[str, dict[str, float]] = {
    "energy": {unit: size for unit, size in ENERGIES.items() if unit != "eV"},
    "force": {
        "Hartree/Bohr": HARTREE / BOHR,
        "Rydberg/Bohr": HARTREE / BOHR / 2,
        "Hartree/Angstrom": HARTREE,
        "Rydberg/Angstrom": HARTREE / 2,
        "eV/Bohr": 1 / BOHR,
        "kcal/mol/Angstrom": KCAL_PER_MOL,
        "kJ/mol/Angstrom": KJ_PER_MOL,
        "kJ/mol/nm": KJ_PER_MOL / 10,
    },
    "stress": {
        "GPa": GPA,
        "kbar": GPA / 10,
        "MPa": GPA / 1000,
        "bar": GPA / 10_000,
        "Hartree/Bohr^3": HARTREE / BOHR**3,
    },
}
OPTIONS = {"energy": "energy_unit", "force": "energy_unit and length_unit", "stress": "stress_unit"}

COMPONENTS = {"energy": 1, "force": 3, "stress": 6}
LEAST_FREEDOM = {"energy": 5, "force": 9, "stress": 12}  # degrees of freedom: values less fitted parameters
NEAR_ONE = 3.0  # a bad potential may have factors up to this one, so both bounds are tighter
# Least correlation, and largest relative difference of the slope from a factor
CLOSE, FAR, SIGN = (0.98, 0.05), (0.97, 0.06), (0.9, 0.3)


@dataclass(frozen=True, slots=True)
class _Factor:
    """What the labels may be times the predictions: `size`, after multiplication of the labels by `scale`."""

    size: float
    name: str
    remedy: str
    scale: Floats | None = None  # for each value

    def fits(self, slope: float, correlation: float) -> bool:
        near = 1 / NEAR_ONE < abs(self.size) < NEAR_ONE
        least, difference = SIGN if self.size == -1 else CLOSE if near else FAR
        return abs(correlation) > least and self.off(slope) < difference

    def off(self, slope: float) -> float:
        return abs(slope / self.size - 1)


def suspicions(comparison: Comparison) -> list[dict[str, Any]]:
    """Find the kinds of labels that are a known factor times the predictions.

    Returns
    -------
    list
        For each such kind its name `kind`, `factor` in words, `slope` of labels against predictions (without their
        means; for energies without what the composition explains), `correlation`, and a `sentence` for the user.
    """
    found = (_suspicion(comparison, kind) for kind in UNITS)
    return [each for each in found if each is not None]


def implausible_stress(data: Dataset) -> str | None:
    """Return a sentence if stresses times the volume per atom are far too large, else None.

    A potential that is trained on stresses in another unit follows them, so a slope shows nothing afterwards.
    """
    if not data.count("stress"):
        return None
    each = [np.abs(s.stress).max() * s.atoms.cell.volume / len(s.atoms) for s in data if s.stress is not None]
    typical = float(np.median(each))
    if not typical > LARGEST_STRESS:
        return None
    return (
        f"the stresses of the data are {typical:.0f} eV per atom if multiplied by the volume: are they in GPa or kbar "
        "(stress_unit), or virials (the key virial)?"
    )


def _suspicion(comparison: Comparison, kind: str) -> dict[str, Any] | None:
    pairs: Pairs = getattr(comparison, kind)
    if not len(pairs.reference):
        return None
    known = _shared(comparison, kind)
    rank = 1 if known is None else int(np.linalg.matrix_rank(known))
    if len(pairs.reference) - rank * COMPONENTS[kind] < LEAST_FREEDOM[kind]:
        return None
    found = []
    components = COMPONENTS[kind]
    plain = _line(known, components, pairs.reference, pairs.predicted)
    for factor in (*_units(kind), *_volumes(comparison, kind)):
        correlation, slope = (
            plain if factor.scale is None else _line(known, components, pairs.reference * factor.scale, pairs.predicted)
        )
        if factor.fits(slope, correlation):
            found.append((factor.off(slope), factor, slope, correlation))
    if not found:
        return None
    _, factor, slope, correlation = min(found, key=lambda each: each[0])
    sentence = _sentence(kind, factor, correlation)
    return {"kind": kind, "factor": factor.name, "slope": slope, "correlation": correlation, "sentence": sentence}


def _units(kind: str) -> Iterator[_Factor]:
    yield _Factor(-1.0, "-1", "their sign is wrong, or that of labels that the potential was trained on")
    option = f"{OPTIONS[kind]} of the data"
    for sign in (1.0, -1.0):
        also = "" if sign > 0 else " and of the wrong sign"
        for unit, size in UNITS[kind].items():
            yield _Factor(sign / size, f"{sign / size:.5g}", f"they seem to be in {unit}{also}; set {option}")
            remedy = f"another unit seems to be read as {unit}{also}, in {option} or in the potential"
            yield _Factor(sign * size, f"{sign * size:.5g}", remedy)


def _volumes(comparison: Comparison, kind: str) -> Iterator[_Factor]:
    """Yield the factors that differ from structure to structure."""
    owners = getattr(comparison, kind).structure
    if kind == "stress":
        volume = np.array([float(s.atoms.cell.volume) for s in comparison.data])[owners]
        for sign, also in ((-1.0, ""), (1.0, ", of the opposite sign")):
            name = "-volume" if sign < 0 else "volume"
            yield _Factor(sign, name, f"they seem to be virials (eV), to be named by the key virial{also}", 1 / volume)
            yield _Factor(sign, f"1/({name})", f"they seem to be divided by the volume once too often{also}", volume)
    if kind == "energy" and len({facts.atoms for facts in comparison.data.facts()}) > 1:
        atoms = np.array([float(len(s.atoms)) for s in comparison.data])[owners]
        yield _Factor(
            1.0, "1/atoms", "they seem to be energies per atom, but energies of whole structures are expected", atoms
        )


def _line(known: Floats | None, components: int, labels: Floats, predicted: Floats) -> tuple[float, float]:
    """Return correlation and slope of labels against predictions, both without what `known` explains, or without the
    mean of each component if that is None.

    Both are 0 if nothing is left.
    """
    both = [values.reshape(-1, components) for values in (labels, predicted)]
    if known is None:
        fits: list[Floats] = [sum(rows[part].sum(axis=0) for part in _parts(rows)) / len(rows) for rows in both]
    else:
        fits = [known @ np.linalg.lstsq(known, rows, rcond=1e-8)[0] for rows in both]
    products, largest = np.zeros((2, 2)), np.zeros(2)
    for part in _parts(*both):
        left = [rows[part] - (fit if known is None else fit[part]) for rows, fit in zip(both, fits, strict=True)]
        products += [[np.vdot(one, other) for other in left] for one in left]
        largest = np.maximum(largest, [np.abs(rows[part]).max() for rows in both])
    sizes = np.sqrt(products.diagonal() / labels.size)
    if not np.all(sizes > ROUNDING * largest):
        return 0.0, 0.0
    correlation = float(products[0, 1] / labels.size / sizes.prod())
    return correlation, float(np.sign(correlation) * sizes[0] / sizes[1])


def _parts(*columns: Floats) -> Iterator[slice]:
    """Yield parts of columns of equal length, which are not all in memory."""
    for first in range(0, len(columns[0]), BLOCK):
        yield slice(first, first + BLOCK)
        for column in columns:
            release(column)


def _shared(comparison: Comparison, kind: str) -> Floats | None:
    """Return what labels and predictions share without information: for energies the composition, in columns with a row
    per energy; None for the components of forces and stresses, which share a constant."""
    pairs: Pairs = getattr(comparison, kind)
    if kind != "energy":
        return None
    symbols = comparison.data.elements
    rows = [[s.atoms.symbols.count(e) / len(s.atoms) for e in symbols] for s in comparison.data]
    return np.array(rows)[pairs.structure]


def _sentence(kind: str, factor: _Factor, correlation: float) -> str:
    labels = {"energy": "energies", "force": "forces", "stress": "stresses"}[kind]
    return (
        f"the {labels} of the data are {factor.name} times the predictions (correlation {abs(correlation):.2f}): "
        f"{factor.remedy}"
    )
