"""Measure all properties of some crystals by a potential, with error bars, and by a reference."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._core import Error
from ..io.dataset import Dataset
from ..mapping.lattices import primitive, symmetry
from ..potential import Potential
from ..progress import Reporter
from ..structures import Structure
from ..text import printable
from .properties import PROPERTIES, Measured, Property, relaxed

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator

Result = TypeVar("Result")
DRAWS = 8  # of the posterior of the weights
LITTLE = 1e-3  # part of a deviation by which weights are changed, since bars are those of linearised networks


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A property of a crystal.

    Attributes
    ----------
    title
        Name of the property.
    found
        Results of the potential.
    bars
        Standard deviation of each value that has one.
    reference
        Results of the reference; None without one, and for trajectories.
    """

    title: str
    found: Measured
    bars: dict[str, float]
    reference: Measured | None


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """All properties of a crystal.

    Attributes
    ----------
    name
        Formula and space group.
    source
        File and place of the crystal.
    findings
        The properties.
    """

    name: str
    source: str
    findings: list[Finding]

    def to_json(self) -> dict[str, Any]:
        """Return the crystal as it is written to JSON."""
        return {"name": self.name, "source": self.source, "properties": [_json(finding) for finding in self.findings]}


def validate(
    potential: Potential, crystals: Dataset, reference: BaseCalculator | None, reporter: Reporter
) -> list[Validated]:
    """Measure the properties of some crystals.

    Parameters
    ----------
    potential
        The potential. Values have error bars if it has a posterior of its weights.
    crystals
        Crystals in any cell; they are relaxed.
    reference
        A calculator of ASE to compare with, or None.
    reporter
        Reports the progress.

    Raises
    ------
    Error
        A structure is not periodic in three directions, or a relaxation does not end.
    """
    for structure in crystals:
        if not np.all(structure.atoms.pbc):
            raise Error(f"{structure.source}: is not a crystal, expected one that is periodic in three directions")
    draws = _draws(potential)
    with reporter.task("properties", len(crystals) * sum(each.share for each in PROPERTIES), lines=True) as advance:
        found = []
        for structure in crystals:
            with structure.named():
                found.append(_of_crystal(structure, potential, draws, reference, advance))
    return found


def _of_crystal(
    structure: Structure,
    potential: Potential,
    draws: Sequence[BaseCalculator],
    reference: BaseCalculator | None,
    advance: Any,
) -> Validated:
    cell = primitive(structure.atoms, 0.01) or structure.atoms
    calculator = potential.calculator(warn_every=0)
    own = relaxed(cell, calculator, cell=True)
    other = None if reference is None else _by_reference(lambda: relaxed(cell, reference, cell=True))
    findings = []
    for each in PROPERTIES:
        findings.append(_finding(each, own, calculator, draws, other, reference))
        advance(each.share)
    return Validated(f"{own.get_chemical_formula()}, {symmetry(own)[0]}", structure.source, findings)


def _finding(
    each: Property,
    crystal: Atoms,
    calculator: BaseCalculator,
    draws: Sequence[BaseCalculator],
    other: Atoms | None,
    reference: BaseCalculator | None,
) -> Finding:
    try:
        structures = each.structures(crystal, calculator)
        found = each.measure(structures, calculator)
        drawn = [each.measure(structures, draw) for draw in draws] if each.has_bars else []
    except ImportError as error:
        return Finding(each.title, Measured(notes=[f"needs the package {error.name}"]), {}, None)
    except Error as error:  # a relaxation does not end, and the other properties are still worth knowing
        return Finding(each.title, Measured(notes=[str(error)]), {}, None)
    bars = {name: _deviation([one.values.get(name) for one in drawn], value) for name, value in found.values.items()}
    compared = None
    if reference is not None and other is not None and each.has_bars:
        try:
            compared = _by_reference(lambda: each.measure(each.structures(other, reference), reference))
        except Error as error:  # the potential's own results are still worth knowing
            found.notes.append(str(error))
    return Finding(each.title, found, {name: bar for name, bar in bars.items() if bar is not None}, compared)


def _by_reference(compute: Callable[[], Result]) -> Result:
    """Return a result; raise Error if the calculator of another code fails."""
    try:
        return compute()
    except Error as error:
        raise Error(f"reference: {error}") from None
    except Exception as error:  # whatever another code raises
        raise Error(f"the reference fails: {type(error).__name__}: {printable(error)}") from error


def _deviation(drawn: Sequence[float | None], value: float) -> float | None:
    """Return the root mean square change by deviations of the weights; None without a posterior."""
    differences = [(one - value) / LITTLE for one in drawn if one is not None]
    return float(np.sqrt(np.mean(np.square(differences)))) if differences else None


def _draws(potential: Potential) -> list[BaseCalculator]:
    """Return calculators of potentials whose weights are changed by LITTLE times a draw of the posterior; none without
    a posterior."""
    posterior = potential.posterior
    if posterior is None:
        return []
    calculators: list[BaseCalculator] = []
    for k, draw in enumerate(posterior.draws[:DRAWS]):
        core = copy.copy(potential.core)
        # The posterior's mean lies `shift` from the weights, on either side as likely as not.
        core.weights = posterior.weights + LITTLE * (draw + (-1) ** k * posterior.shift)
        calculators.append(Potential(core).calculator(warn_every=0))
    return calculators


def _json(finding: Finding) -> dict[str, Any]:
    def written(measured: Measured | None) -> dict[str, Any] | None:
        if measured is None:
            return None
        curves = {name: {"x": x.tolist(), "y": y.tolist()} for name, (x, y) in measured.curves.items()}
        return {"values": measured.values, "curves": curves, "notes": measured.notes}

    return {
        "title": finding.title,
        "potential": written(finding.found),
        "bars": finding.bars,
        "reference": written(finding.reference),
    }
