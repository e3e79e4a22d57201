"""How far a potential is from reference data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .._core import Error
from ..ensemble import Ensemble
from ..io.dataset import Dataset, Structure
from ..potential import Evaluation, Potential
from ..progress import Reporter
from ..structures import Floats, Ints
from .label_units import suspicions

KINDS = {"energy": "eV/atom", "force": "eV/Angstrom", "stress": "eV/Angstrom^3"}

# A structure is an outlier where its error is so many times the median of its group, or of all in small groups. That
# counts as no less than a part of the median of all but rounding errors, as perfect crystals have in their forces.
OUTLYING, SMALL_GROUP, LEAST_OF_ALL = 6.0, 8, 0.1
ROUNDING = 1e-9  # errors that tell nothing
TOGETHER = 20_000  # atoms that a device works on at a time
Outlier: TypeAlias = tuple[str, str, str, float, float]
OUTLIER_COLUMNS = ("structure", "group", "kind", "rms_error", "times_median")


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Labels and predictions of one kind, a row each; `structure` says where a row comes from."""

    reference: Floats
    predicted: Floats
    structure: Ints

    @property
    def errors(self) -> Floats:
        """Predicted - reference."""
        return self.predicted - self.reference

    def of(self, structures: Iterable[int]) -> Pairs:
        """The rows of some of the structures."""
        rows = np.isin(self.structure, list(structures))
        return Pairs(self.reference[rows], self.predicted[rows], self.structure[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Labels and predictions of a data set: energies per atom (eV/atom), force components (eV/Angstrom) and
    stress components (eV/Angstrom^3)."""

    data: Dataset
    energy: Pairs
    force: Pairs
    stress: Pairs

    def errors(self) -> dict[str, Any]:
        """The table of `errors.json`: for each kind of label that exists its `_rmse`, `_mae` and `_max`,
        `n_structures`, `n_atoms`, and the same for each group under `groups` where the data have groups; under
        `suspicious_labels` what `suspicions` finds, if anything."""
        table = self._errors_of(range(len(self.data)))
        suspicious = suspicions(self)
        if suspicious:
            table["suspicious_labels"] = suspicious
        groups = self.data.groups
        if groups != [""]:
            members = {g: [i for i, s in enumerate(self.data) if s.group == g] for g in groups}
            table["groups"] = {g or "(none)": self._errors_of(rows) for g, rows in members.items()}
        return table

    def outliers(self) -> list[Outlier]:
        """Rows of OUTLIER_COLUMNS, the worst first: structures whose RMS error of a kind is more than OUTLYING times
        the median over the structures of their group. Such labels are often not converged, or of another unit."""
        rows: list[Outlier] = []
        groups = np.array([s.group for s in self.data], dtype=object)
        for kind in KINDS:
            errors = self._by_structure(kind)
            real = errors[errors > ROUNDING]
            least = LEAST_OF_ALL * float(np.median(real)) if real.size else ROUNDING
            for i in np.flatnonzero(np.isfinite(errors)):
                group = groups == groups[i]
                alike = errors[group] if np.isfinite(errors[group]).sum() >= SMALL_GROUP else errors
                times = errors[i] / max(float(np.nanmedian(alike)), least)
                if times > OUTLYING:
                    structure = self.data[int(i)]
                    rows.append((structure.source, structure.group, kind, float(errors[i]), float(times)))
        return sorted(rows, key=lambda row: -row[-1])

    def _by_structure(self, kind: str) -> Floats:
        """RMS error of each structure, NaN without label."""
        pairs: Pairs = getattr(self, kind)
        size = len(self.data)
        count = np.bincount(pairs.structure, minlength=size)
        squares = np.bincount(pairs.structure, weights=pairs.errors**2, minlength=size)
        mean: Floats = np.divide(squares, count, out=np.full(size, np.nan), where=count > 0)
        return np.sqrt(mean)

    def _errors_of(self, structures: Iterable[int]) -> dict[str, Any]:
        chosen = list(structures)
        table: dict[str, Any] = {
            "n_structures": len(chosen),
            "n_atoms": sum(len(self.data[i].atoms) for i in chosen),
        }
        for kind in KINDS:
            errors = np.abs(getattr(self, kind).of(chosen).errors)
            if errors.size:
                table[f"{kind}_rmse"] = float(np.sqrt(np.mean(errors**2)))
                table[f"{kind}_mae"] = float(np.mean(errors))
                table[f"{kind}_max"] = float(np.max(errors))
        return table


def evaluate_all(
    potential: Potential | Ensemble, data: Dataset, title: str, reporter: Reporter
) -> Iterator[Evaluation]:
    """Evaluates one structure after the other, or on a device many together; an Error names file and structure."""
    with reporter.task(title, len(data)) as advance:
        for part in _parts(potential, data):
            for result in _evaluate_part(potential, part):
                yield result
                advance()


def _parts(potential: Potential | Ensemble, data: Dataset) -> Iterator[list[Structure]]:
    """Structures to evaluate together: enough atoms to fill a device, on the processor one at a time."""
    at_most = TOGETHER if isinstance(potential, Potential) and potential.device == "cuda" else 0
    part: list[Structure] = []
    atoms = 0
    for structure in data:
        if part and atoms + len(structure.atoms) > at_most:
            yield part
            part, atoms = [], 0
        part.append(structure)
        atoms += len(structure.atoms)
    if part:
        yield part


def _evaluate_part(potential: Potential | Ensemble, part: list[Structure]) -> Iterator[Evaluation]:
    if isinstance(potential, Potential) and len(part) > 1:
        try:
            return iter(potential.evaluate_many([structure.atoms for structure in part]))
        except Error:
            pass  # one by one, to tell which
    return _one_by_one(potential, part)


def _one_by_one(potential: Potential | Ensemble, part: list[Structure]) -> Iterator[Evaluation]:
    for structure in part:
        with structure.named():
            result = potential.evaluate(structure.atoms)
        yield result


def compare(potential: Potential | Ensemble, data: Dataset, title: str, reporter: Reporter) -> Comparison:
    """Predictions beside the labels of a data set."""
    rows: dict[str, list[tuple[Floats, Floats, int]]] = {kind: [] for kind in KINDS}
    results = evaluate_all(potential, data, title, reporter)
    for number, (structure, result) in enumerate(zip(data, results, strict=True)):
        n = len(structure.atoms)
        if structure.energy is not None:
            rows["energy"].append((np.array([structure.energy / n]), np.array([result.energy / n]), number))
        if structure.forces is not None:
            rows["force"].append((structure.forces.ravel(), result.forces.ravel(), number))
        if structure.stress is not None and result.stress is not None:
            rows["stress"].append((structure.stress, result.stress, number))
    return Comparison(data, **{kind: _pairs(of_kind) for kind, of_kind in rows.items()})


def _pairs(rows: list[tuple[Floats, Floats, int]]) -> Pairs:
    none = (np.empty(0), np.empty(0), 0)
    reference, predicted, numbers = zip(none, *rows, strict=True)
    structure = np.repeat(np.array(numbers, dtype=np.int32), [len(r) for r in reference])
    return Pairs(np.concatenate(reference), np.concatenate(predicted), structure)
