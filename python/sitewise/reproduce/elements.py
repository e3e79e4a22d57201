"""Training sets of several elements: error bars of targets before training, and errors and bars after it.

If all structures have one composition, a shift of all energies of one element by a constant shifts all total energies
alike. It cancels in every change that conserves the atoms of each element, such as a reaction or mixing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures import COLORS, plain_log_ticks
from ..io.dataset import Dataset
from ..mapping.counts import determine
from ..mapping.diagnosis import diagnose, functions_of
from ..potential import Potential
from ..progress import Silent
from ..structures import Floats, Structure
from .frame import Check, Folder, Outcome
from .runs import networks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 0.1  # meV or meV/atom; smaller errors are drawn here
Change = Mapping[str, float]  # number of structures of each target that appear; negative if they vanish


@dataclass(frozen=True)
class Settings:
    """Structures of each training set, number of networks for each, and iterations."""

    structures: int
    seeds: int = 3
    iterations: int = 240


@dataclass(frozen=True, slots=True)
class Problem:
    """Targets by name, and changes between them by name, with the unit in which their energies are given."""

    targets: Mapping[str, Structure]
    changes: Mapping[str, Change]

    def coefficients(self) -> Floats:
        """Return the changes as rows [changes, targets]; the energy of a change is the sum of those of its targets."""
        return np.array([[change.get(name, 0.0) for name in self.targets] for change in self.changes.values()])

    def sizes(self) -> Floats:
        """Return the number of atoms of each target."""
        return np.array([len(s.atoms) for s in self.targets.values()], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Results of one training set.

    Attributes
    ----------
    nullity
        Number of combinations of the elements' energies that change no total energy.
    before
        Error bar of each target before training, meV/atom.
    causes
        Why a target is open, or None.
    totals
        Test RMSE of each network, meV/atom.
    errors, bars
        Errors and bars of each network at each target [networks, targets], meV/atom.
    changes, change_bars
        Errors and bars of the changes [networks, changes], meV.
    """

    nullity: int
    before: Floats
    causes: list[str | None]
    totals: Floats
    errors: Floats
    bars: Floats
    changes: Floats
    change_bars: Floats

    def rms(self) -> Floats:
        """Return the RMS error of all networks at each target, meV/atom."""
        return np.asarray(np.sqrt((self.errors**2).mean(axis=0)))

    def rms_changes(self) -> Floats:
        """Return the RMS error of all networks for each change, meV."""
        return np.asarray(np.sqrt((self.changes**2).mean(axis=0)))

    def to_json(self, problem: Problem) -> dict[str, Any]:
        """Return the numbers for `result.json`."""
        rows = zip(problem.targets, self.before, self.causes, self.errors.T, self.bars.T, strict=True)
        changes = zip(problem.changes, self.changes.T, self.change_bars.T, strict=True)
        return {
            "composition_nullity": self.nullity,
            "targets": {
                name: {"bar_before": float(b), "cause": cause, "errors": e.tolist(), "bars_after": after.tolist()}
                for name, b, cause, e, after in rows
            },
            "changes": {name: {"errors": e.tolist(), "bars_after": after.tolist()} for name, e, after in changes},
        }


def findings(
    folder: Folder,
    sets: Mapping[str, tuple[Sequence[Structure], Sequence[Structure]]],
    problem: Problem,
    settings: Settings,
) -> dict[str, Finding]:
    """Return the finding of each training set; `sets` has training and test structures by name."""
    return {name: _finding(folder, name, each, problem, settings) for name, each in sets.items()}


def outcome(found: Mapping[str, Finding], problem: Problem, checks: list[Check]) -> Outcome:
    """Return the outcome of an experiment: its table, checks and numbers."""
    values = {name: f.to_json(problem) for name, f in found.items()}
    return Outcome(COLUMNS, rows_of(found, problem), checks, values)


def _finding(
    folder: Folder,
    name: str,
    sets: tuple[Sequence[Structure], Sequence[Structure]],
    problem: Problem,
    settings: Settings,
) -> Finding:
    """Diagnose a training set, train networks on it, and compare them with the labels of the targets.

    Parameters
    ----------
    folder
        Folder of the experiment.
    name
        Name of the training set.
    sets
        Training and test structures.
    problem
        The targets, with labels, and the changes.
    settings
        Number of networks, and iterations of each.
    """
    data = Dataset(sets[0])
    before = folder.part(f"diagnosis-{name}", partial(_before, data, problem))
    found = networks(folder, name, *sets, settings.seeds, settings.iterations)
    atoms = [s.atoms for s in problem.targets.values()]
    sizes, rows = problem.sizes(), problem.coefficients()
    truth = np.array([s.energy for s in problem.targets.values()])
    errors = np.array([[p.evaluate(a).energy for a in atoms] for p, _ in found]) - truth
    covariances = np.array([_covariance(p, atoms) for p, _ in found])
    variances = np.einsum("ntt->nt", covariances)
    changes = np.einsum("ct,ntu,cu->nc", rows, covariances, rows)
    return Finding(
        nullity=before["nullity"],
        before=np.array(before["bars"]),
        causes=before["causes"],
        totals=np.array([1e3 * e["test"]["energy_rmse"] for _, e in found]),
        errors=1e3 * errors / sizes,
        bars=1e3 * np.sqrt(variances) / sizes,
        changes=1e3 * errors @ rows.T,
        change_bars=1e3 * np.sqrt(np.maximum(changes, 0.0)),
    )


def _covariance(potential: Potential, atoms: Sequence[Any]) -> Floats:
    return potential.energy_covariance(atoms)


def _before(data: Dataset, problem: Problem) -> dict[str, Any]:
    """Return the nullity of the compositions, and bars (meV/atom) and causes of the targets."""
    counts = np.array([[s.atoms.symbols.count(e) for e in data.elements] for s in data], dtype=np.float64)
    wanted = Dataset(problem.targets.values())
    found = diagnose(data, functions_of(None, None, data), target=wanted, reporter=Silent()).judgement.targets or []
    bars = [1e3 * t.bar for t in found if t.bar is not None]
    return {"nullity": determine(counts).nullity, "bars": bars, "causes": [t.cause for t in found]}


# ---- table and picture


COLUMNS = ("training set", "free", "of", "bar before", "cause", "RMS error", "bar after", "unit")


def rows_of(found: Mapping[str, Finding], problem: Problem) -> list[tuple[Any, ...]]:
    """Return the rows of COLUMNS for all targets and changes."""
    rows: list[tuple[Any, ...]] = []
    for name, f in found.items():
        own = zip(problem.targets, f.before, f.causes, f.rms(), np.median(f.bars, axis=0), strict=True)
        rows += [
            (name, f.nullity, of, float(before), cause or "-", float(rms), float(after), "meV/atom")
            for of, before, cause, rms, after in own
        ]
        changes = zip(problem.changes, f.rms_changes(), np.median(f.change_bars, axis=0), strict=True)
        rows += [(name, f.nullity, of, "-", "-", float(rms), float(after), "meV") for of, rms, after in changes]
    return rows


def draw_targets(ax: Axes, found: Mapping[str, Finding], names: Sequence[str]) -> None:
    """Draw for each target the errors of all networks, and the bars before training and after it, meV/atom."""
    before = {name: f.before for name, f in found.items()}
    _draw(ax, {n: f.errors for n, f in found.items()}, {n: f.bars for n, f in found.items()}, names, before)
    ax.set(ylabel="error, or bar, of the energy (meV/atom)")


def draw_legend(figure: Figure, targets: Axes) -> None:
    """Put the legend of `draw_targets` above all panels."""
    figure.legend(*targets.get_legend_handles_labels(), frameon=False, ncols=5, loc="outside upper center")


def draw_changes(ax: Axes, found: Mapping[str, Finding], names: Sequence[str]) -> None:
    """Draw for each change the errors of all networks, and the bars after training, meV."""
    _draw(ax, {n: f.changes for n, f in found.items()}, {n: f.change_bars for n, f in found.items()}, names, {})
    ax.set(ylabel="error, or bar, of the change (meV)")


def _draw(
    ax: Axes,
    errors: Mapping[str, Floats],
    bars: Mapping[str, Floats],
    names: Sequence[str],
    before: Mapping[str, Floats],
) -> None:
    places, width = np.arange(len(names)), 0.8 / len(errors)
    for k, (name, found) in enumerate(errors.items()):
        x, color = places + width * (k + 0.5) - 0.4, COLORS[k]
        for seed, row in enumerate(np.maximum(np.abs(found), LEAST)):
            ax.plot(x, row, "o", color=color, markersize=4, alpha=0.7, label=None if seed else name.replace("-", " "))
        ax.plot(x, np.median(bars[name], axis=0), "_", color=color, markersize=14, markeredgewidth=2.0)
        if name in before:
            ax.plot(x, before[name], "x", color=color, markersize=7)
    marks = [("_", "bar after training"), *([("x", "bar before training")] if before else [])]
    for mark, text in marks:
        ax.plot([], [], mark, color="black", markersize=8, label=text)
    ax.set(yscale="log", xlim=(-0.6, len(names) - 0.4))
    plain_log_ticks(ax.yaxis)
    ax.set_xticks(places, [name.replace(" -> ", "\n→ ") for name in names])
    for place in places[1:]:
        ax.axvline(place - 0.5, color="#cccccc", linewidth=0.7)
