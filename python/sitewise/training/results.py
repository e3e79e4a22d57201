"""What a training run writes at its end, beside the potential."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..ensemble import Ensemble
from ..evaluation.comparison import Comparison, compare
from ..evaluation.errors import OUTLIER_COLUMNS, error_table, outliers
from ..files import csv_text, write_text
from ..potential import Potential
from ..symmetry import only_here
from .baseline import in_lammps
from .inputs import Inputs
from .seconds import Seconds

SHOWN_OUTLIERS = 5
WITHOUT_BASELINE = (
    "Other programs than sitewise leave out the pair potentials (baseline_zbl, baseline_table). These lines of LAMMPS "
    "add them:"
)


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """Results of a run, or of all its replicas together.

    Attributes
    ----------
    comparisons
        Predictions and labels: "train" and, where there are such data, "validation" and "test".
    errors
        Content of `errors.json`.
    origin
        How the potential was made: iterations and number of the replica, the same and number of a student's teachers,
        or number of replicas; and the share of a linear fit, if there is one.
    log
        Rows of `log.csv`.
    """

    comparisons: dict[str, Comparison]
    errors: dict[str, Any]
    origin: Mapping[str, float]
    log: Sequence[Sequence[float]]


def provenance(inputs: Inputs, iterations: int) -> str:
    """Return lines that say where a potential comes from, and how LAMMPS's `hdnnp` adds its pair potentials if `hdnnp`
    has its functions."""
    functions, pairs = inputs.functions, inputs.baseline
    lines = [
        f"Trained by sitewise {version('sitewise')}: {inputs.train.data.summary()}.",
        f"Data sha256 {inputs.hashes['training data']}, seed {inputs.config.training.seed}, "
        f"{iterations} iterations; training.toml has the settings.",
    ]
    if pairs and not only_here(functions):
        lines += [WITHOUT_BASELINE, *in_lammps(functions.elements, functions.cutoff, pairs)]
    return "\n".join(lines)


def compare_with_labels(inputs: Inputs, potential: Potential | Ensemble) -> dict[str, Comparison]:
    """Compare a potential with the labels of the training data and, where there are any, of the held-out data."""
    reporter, ranks = inputs.reporter, inputs.ranks
    comparisons = {"train": compare(potential, inputs.train.data, "training errors", reporter, ranks=ranks)}
    for name, held_out in sorted(inputs.held_out.items()):  # test has the same colour in all pictures
        comparisons[name] = compare(potential, held_out.data, f"{name} errors", reporter, ranks=ranks)
    return comparisons


def error_tables(inputs: Inputs, comparisons: dict[str, Comparison], spent: Seconds) -> dict[str, Any]:
    """Return the content of `errors.json`."""
    errors = {name: error_table(c) for name, c in comparisons.items()}
    if inputs.suspicious:
        errors["train"]["suspicious_labels"] = inputs.suspicious + errors["train"].get("suspicious_labels", [])
    return {
        **errors,
        "cpu_seconds": round(spent.cpu, 2),
        "wall_seconds": round(spent.wall, 2),
        "peak_memory_mb": round(inputs.ranks.usage().peak_memory, 1),
    }


def write_results(inputs: Inputs, out: Path, results: Results) -> None:
    """Write `training.toml`, `outliers.csv`, pictures and, as the last file of a complete run, `errors.json`."""
    from .plots import save_pictures

    _warn_of_labels(inputs, results)
    _write_settings(inputs, out / "training.toml", results)
    _write_outliers(inputs, out / "outliers.csv", results.comparisons)
    save_pictures(out, inputs.columns, results.log, results.comparisons)
    write_text(out / "errors.json", json.dumps(results.errors, indent=2) + "\n")


def _warn_of_labels(inputs: Inputs, results: Results) -> None:
    suspicious = [found for name in results.comparisons for found in results.errors[name].get("suspicious_labels", [])]
    for sentence in dict.fromkeys(found["sentence"] for found in suspicious):
        inputs.reporter.warn(sentence)


def _write_settings(inputs: Inputs, path: Path, results: Results) -> None:
    """Write the settings in full and where the potential comes from."""
    import tomli_w

    result = {
        "sitewise": version("sitewise"),
        **results.origin,
        "training_data": inputs.train.data.summary(),
        "training_data_sha256": inputs.hashes["training data"],
        "test_data": inputs.test.data.summary(),
        "test_data_sha256": inputs.hashes["test data"],
        **_of_validation(inputs),
        "errors": {name: _without_groups(results.errors[name]) for name in results.comparisons},
    }
    tables = inputs.config.from_folder(path.parent).tables()
    write_text(path, tomli_w.dumps({**tables, "result": result}))


def _of_validation(inputs: Inputs) -> dict[str, str]:
    data = inputs.validation.data
    if not len(data):
        return {}
    return {"validation_data": data.summary(), "validation_data_sha256": inputs.hashes["validation data"]}


def _without_groups(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in ("groups", "suspicious_labels")}


def _write_outliers(inputs: Inputs, path: Path, comparisons: dict[str, Comparison]) -> None:
    """Write the outliers, and report the first of them."""
    from .plots import SHOWN

    rows = [(name, *row) for name, comparison in comparisons.items() for row in outliers(comparison)]
    write_text(path, csv_text(("set", *OUTLIER_COLUMNS), rows))
    for name, source, _, kind, error, times in rows[:SHOWN_OUTLIERS]:
        shown = f"{error * SHOWN[kind].factor:.3g} {SHOWN[kind].unit}"
        inputs.reporter.say(f"outlier in {name}: {source}, {kind} error {shown}, {times:.0f} x usual")
    if len(rows) > SHOWN_OUTLIERS:
        inputs.reporter.say(f"{len(rows) - SHOWN_OUTLIERS} more outliers in {path}")
