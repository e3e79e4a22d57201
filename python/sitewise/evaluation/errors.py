"""The table of errors of predictions, and the structures with outlying errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..structures import Floats
from .comparison import KINDS, Comparison, Totals
from .label_units import suspicions

# A structure is an outlier if its error is more than OUTLYING times the error that COMMON of the others in its group do
# not exceed, or of all others if the group has fewer than SMALL_GROUP. That counts as at least LEAST_OF_ALL times the
# median of all errors beyond rounding: perfect crystals have only rounding errors in their forces. See "Outliers" in
# docs/development/tried.md.
OUTLYING, COMMON, SMALL_GROUP, LEAST_OF_ALL = 4.0, 0.9, 8, 0.1
ROUNDING = 1e-9  # smaller errors are rounding
Outlier: TypeAlias = tuple[str, str, str, float, float]
OUTLIER_COLUMNS = ("structure", "group", "kind", "rms_error", "times_usual")


def error_table(comparison: Comparison) -> dict[str, Any]:
    """Return the table of `errors.json`.

    For each kind of label that exists the table has `_rmse`, `_mae` and `_max` (eV/atom, eV/Angstrom, eV/Angstrom^3).
    It also has `n_structures` and `n_atoms`. If the data have groups, `groups` has the same for each group. If
    `suspicions` finds something, it is under `suspicious_labels`.
    """
    totals = {kind: comparison.totals(kind) for kind in KINDS}
    table = _errors_of(comparison, totals, range(len(comparison.data)))
    suspicious = suspicions(comparison)
    if suspicious:
        table["suspicious_labels"] = suspicious
    groups = comparison.data.groups
    if groups != [""]:
        members: dict[str, list[int]] = {g: [] for g in groups}
        for i, facts in enumerate(comparison.data.facts()):
            members[facts.group].append(i)
        table["groups"] = {g or "(none)": _errors_of(comparison, totals, rows) for g, rows in members.items()}
    return table


def outliers(comparison: Comparison) -> list[Outlier]:
    """List the structures with outlying errors, the worst first, as rows of OUTLIER_COLUMNS.

    Their RMS error of a kind is more than OUTLYING times what is usual in their group, see `_usual`. Such labels are
    often not converged, or in another unit.
    """
    rows: list[Outlier] = []
    for kind in KINDS:
        errors = _by_structure(comparison, kind)
        times = errors / _usual(errors, [facts.group for facts in comparison.data.facts()])
        for i in np.flatnonzero(times > OUTLYING).tolist():
            structure = comparison.data[i]
            rows.append((structure.source, structure.group, kind, float(errors[i]), float(times[i])))
    return sorted(rows, key=lambda row: -row[-1])


def _usual(errors: Floats, groups: Sequence[str]) -> Floats:
    """Return the error that COMMON of the other structures of each one's group do not exceed [n].

    The quantile leaves out the largest error. For every error above the quantile that is the quantile of the others.
    """
    known = np.isfinite(errors)
    real = errors[known & (errors > ROUNDING)]
    least = LEAST_OF_ALL * float(np.median(real)) if real.size else ROUNDING
    usual = np.full(len(errors), _quantile_of_others(errors[known]))
    for group in set(groups):
        mine = np.array([other == group for other in groups])
        if np.count_nonzero(known & mine) >= SMALL_GROUP:
            usual[mine] = _quantile_of_others(errors[known & mine])
    return np.asarray(np.maximum(usual, least))


def _quantile_of_others(errors: Floats) -> float:
    others = np.sort(errors)[:-1]
    return float(np.quantile(others, COMMON)) if len(others) >= SMALL_GROUP - 1 else np.inf


def _by_structure(comparison: Comparison, kind: str) -> Floats:
    """Return the RMS error of each structure, NaN for one without label."""
    totals = comparison.totals(kind)
    mean: Floats = np.full(len(comparison.data), np.nan)
    known = totals.number > 0
    mean[known] = totals.squares[known] / totals.number[known]
    return np.sqrt(mean)


def _errors_of(comparison: Comparison, totals: Mapping[str, Totals], structures: Iterable[int]) -> dict[str, Any]:
    chosen = list(structures)
    atoms = [facts.atoms for facts in comparison.data.facts()]
    table: dict[str, Any] = {
        "n_structures": len(chosen),
        "n_atoms": sum(atoms[i] for i in chosen),
    }
    for kind in KINDS:
        found = totals[kind].summary(chosen)
        if found:
            table |= {f"{kind}_{name}": value for name, value in found._asdict().items()}
    return table
