"""Pictures: learning curves, error distributions, correlation with the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..evaluation.comparison import Comparison, Pairs
from ..figures import COLORS, panels, plain_log_ticks, save_figure
from ..structures import Floats
from ..text import for_picture
from .monitoring import COLUMN, OUTSIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Shown(NamedTuple):
    """How pictures show a kind of label: its name, its unit, and how many of that make an eV or Angstrom unit."""

    name: str
    unit: str
    factor: float


SHOWN = {
    "energy": Shown("energy", "meV/atom", 1e3),
    "force": Shown("force component", "eV/Å", 1.0),
    "stress": Shown("stress component", "meV/Å³", 1e3),
}
GROUPS = 20  # groups of their own colour
MAX_POINTS = 20_000  # of one series in a scatter plot; more only make the file larger
MAX_VALUES = 1_000_000  # whose quantile limits the axis of a histogram


def save_pictures(
    folder: Path, columns: Sequence[str], log: Sequence[Sequence[float]], comparisons: Mapping[str, Comparison]
) -> None:
    """Save `learning_curves.png`, `error_distributions.png` and `correlation.png` of a training run.

    Parameters
    ----------
    folder
        Folder of the pictures.
    columns, log
        Names and rows of `log.csv`; without rows there is no learning curve.
    comparisons
        "train" and, where there are held-out data, "test".
    """
    table = dict(zip(columns, np.array(log, dtype=np.float64).reshape(-1, len(columns)).T, strict=True))
    if log:
        save_learning_curves(folder / "learning_curves.png", table)
    save_distributions(folder / "error_distributions.png", comparisons)
    save_correlation(folder / "correlation.png", comparisons)


def save_size_curve(path: Path, rows: Floats) -> None:
    """Plot the test RMSE against the number of training structures: a point for each run, a line through the means.

    Parameters
    ----------
    path
        The picture.
    rows
        Size, seed, and RMSE of energy, force and stress in eV and Angstrom [runs, 5]; NaN where there is none.
    """
    kinds = [k for k in range(len(SHOWN)) if np.isfinite(rows[:, 2 + k]).any()]
    figure, axes = panels(len(kinds))
    sizes = np.unique(rows[:, 0])
    for k, ax in zip(kinds, axes, strict=True):
        name, unit, factor = list(SHOWN.values())[k]
        errors = rows[:, 2 + k] * factor
        ax.plot(rows[:, 0], errors, "o", color=COLORS[0], alpha=0.4, label="runs")
        ax.plot(sizes, [errors[rows[:, 0] == n].mean() for n in sizes], color=COLORS[0], label="mean", linewidth=1.3)
        ax.set(xlabel="training structures", ylabel=f"{name} RMSE ({unit})", xscale="log", yscale="log")
        ax.set_xticks(sizes, [f"{n:.0f}" for n in sizes])
        ax.minorticks_off()
        plain_log_ticks(ax.yaxis)
        ax.legend(frameon=False)
    save_figure(figure, path)


def save_learning_curves(path: Path, table: Mapping[str, Floats]) -> None:
    """Plot the columns of `log.csv` against the iteration: RMSE of energy, forces and stress and, where there are
    invariant points, the errors of their atomic energies."""
    kinds = [kind for kind in SHOWN if np.isfinite(table[f"{kind}_rmse"]).any()]
    points = [name for name in table if name.startswith(COLUMN)]
    figure, axes = panels(len(kinds) + bool(points))
    if points:
        _invariant_panel(axes[-1], table, points)
    for kind, ax in zip(kinds, axes, strict=False):
        name, unit, factor = SHOWN[kind]
        for series, prefix, color in (
            *(("training", "", COLORS[0]), ("test", "test_", COLORS[1])),
            *((("validation", "validation_", COLORS[2]),) if "validation_loss" in table else ()),
        ):
            values = table[f"{prefix}{kind}_rmse"] * factor
            if np.isfinite(values).any():
                ax.plot(table["iteration"], values, color=color, label=series, linewidth=1.3)
        ax.set(xlabel="iteration", ylabel=f"{name} RMSE ({unit})")
        if any((table[f"{prefix}{kind}_rmse"] > 0).any() for prefix in ("", "test_")):
            ax.set_yscale("log")
            plain_log_ticks(ax.yaxis)
        ax.legend(frameon=False)
    save_figure(figure, path)


def _invariant_panel(ax: Axes, table: Mapping[str, Floats], points: Sequence[str]) -> None:
    """Plot a line for each invariant point, and the RMS over those that count."""
    counted = [name for name in points if not name.endswith(OUTSIDE)]
    styles = {"within the training data": (counted, COLORS[0], "-"), "extrapolation": (points, COLORS[6], ":")}
    drawn: set[str] = set()
    for label, (names, color, line) in styles.items():
        new = [name for name in names if name not in drawn]
        for name in new:
            values = 1e3 * np.abs(table[name])
            text = label if name == new[0] else None
            ax.plot(table["iteration"], values, line, color=color, linewidth=0.8, alpha=0.4, label=text)
        drawn |= set(new)
    if counted:
        rms = 1e3 * np.sqrt(np.mean([table[name] ** 2 for name in counted], axis=0))
        ax.plot(table["iteration"], rms, color=COLORS[1], linewidth=1.8, label=f"RMS of {len(counted)}")
    ax.set(xlabel="iteration", ylabel="|atomic energy - E/N| of crystals (meV)", yscale="log")
    ax.set_ylim(bottom=max(ax.get_ylim()[0], 0.1))  # where a line crosses zero it has no lower end
    plain_log_ticks(ax.yaxis)
    ax.legend(edgecolor="none", framealpha=0.8)  # over the lines


def save_distributions(path: Path, comparisons: Mapping[str, Comparison]) -> None:
    """Plot histograms of predicted minus reference."""
    kinds = _kinds(comparisons)
    figure, axes = panels(len(kinds))
    for kind, ax in zip(kinds, axes, strict=True):
        name, unit, factor = SHOWN[kind]
        series = {label: getattr(c, kind) for label, c in comparisons.items()}
        some = [factor * np.abs(_thinned(pairs, MAX_VALUES).errors) for pairs in series.values()]
        limit = 1.05 * max(np.quantile(errors, 0.999) for errors in some if errors.size) or 1.0
        bins = np.linspace(-limit, limit, 61 if kind == "force" else 31).tolist()
        for (label, pairs), color in zip(series.items(), COLORS, strict=False):
            found = comparisons[label].totals(kind).summary()
            if found is None:
                continue
            counts = np.sum([np.histogram(factor * block.errors, bins)[0] for block in pairs.blocks()], axis=0)
            text = f"{label}: {pairs.reference.size} values, RMSE {factor * found.rmse:.3g} {unit}"
            style = {"histtype": "stepfilled", "alpha": 0.35} if color == COLORS[0] else {"histtype": "step"}
            ax.hist(bins[:-1], bins, weights=counts, density=True, color=color, linewidth=1.4, label=text, **style)
        ax.set(xlabel=f"{name} error ({unit})", ylabel=f"density (1/({unit}))", xlim=(-limit, limit))
        ax.set_yscale("log" if kind == "force" else "linear")  # forces have tails worth seeing
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.22), fontsize="small")
    save_figure(figure, path)


def save_correlation(path: Path, comparisons: Mapping[str, Comparison]) -> None:
    """Plot predicted against reference. A single comparison is coloured by group, several by name; the points are drawn
    in random order, so that no colour covers another.

    Raises
    ------
    Error
        The file cannot be written, or its name has no ending that matplotlib knows.
    """
    kinds = _kinds(comparisons)
    figure, axes = panels(len(kinds), square=True)
    for kind, ax in zip(kinds, axes, strict=True):
        name, unit, _ = SHOWN[kind]
        unit, factor = ("eV/atom", 1.0) if kind == "energy" else (unit, SHOWN[kind].factor)
        size = 6 if kind == "energy" else 2.5
        parts, colors = [], []
        for (label, pairs, rows), color in zip(_series(comparisons, kind), _repeat(COLORS), strict=False):
            shown = _thinned(pairs, MAX_POINTS, rows)
            if not shown.reference.size:
                continue
            parts.append(np.stack([shown.reference, shown.predicted]) * factor)
            colors += [color] * shown.reference.size
            ax.plot([], [], ".", color=color, markersize=size, label=label, alpha=0.6)
        points = np.hstack(parts)
        order = np.random.default_rng(0).permutation(len(colors))
        x, y = points[:, order]
        ax.scatter(x, y, s=(size / 2) ** 2, c=[colors[k] for k in order], alpha=0.6, linewidths=0)
        low, high = points.min(), points.max()
        margin = 0.04 * (high - low) or 0.1
        limits = (low - margin, high + margin)
        ax.plot(limits, limits, color="black", linewidth=0.7, zorder=0)
        ax.set(xlabel=f"reference {name} ({unit})", ylabel=f"predicted {name} ({unit})", xlim=limits, ylim=limits)
        ax.set_aspect("equal")
        ax.ticklabel_format(useOffset=False)
        ax.locator_params(axis="x", nbins=5)
        ax.text(0.97, 0.03, _rmse_text(comparisons, kind), transform=ax.transAxes, ha="right", va="bottom", fontsize=8)
        ax.legend(frameon=False, fontsize="small", markerscale=1.5)
    save_figure(figure, path)


def _kinds(comparisons: Mapping[str, Comparison]) -> list[str]:
    """Return the kinds of labels that any of the data have."""
    return [k for k in SHOWN if any(getattr(c, k).reference.size for c in comparisons.values())]


def _series(comparisons: Mapping[str, Comparison], kind: str) -> list[tuple[str, Pairs, Sequence[int] | None]]:
    """Return name, data and structures (None: all) of what is drawn in one colour each."""
    if len(comparisons) > 1:
        return [(name, getattr(c, kind), None) for name, c in comparisons.items()]
    ((name, comparison),) = comparisons.items()
    pairs: Pairs = getattr(comparison, kind)
    groups = comparison.data.groups
    if groups == [""]:
        return [(name, pairs, None)]
    places: dict[str, list[int]] = {}
    for i, facts in enumerate(comparison.data.facts()):
        named = facts.group in groups[:GROUPS]
        name = for_picture(facts.group) or "(no group)"
        places.setdefault(name if named else f"{len(groups) - GROUPS} more", []).append(i)
    return [(name, pairs, rows) for name, rows in places.items()]


def _rmse_text(comparisons: Mapping[str, Comparison], kind: str) -> str:
    _, unit, factor = SHOWN[kind]
    lines = []
    for name, comparison in comparisons.items():
        found = comparison.totals(kind).summary()
        if found:
            lines.append(f"{name}: RMSE {factor * found.rmse:.3g}, MAE {factor * found.mae:.3g} {unit}")
    return "\n".join(lines)


def _thinned(pairs: Pairs, most: int, structures: Sequence[int] | None = None) -> Pairs:
    """Return every n-th row of some structures, or of all, at most `most`."""
    if structures is None:
        return pairs.where(slice(None, None, max(1, -(-pairs.reference.size // most))))
    wanted = np.zeros(int(pairs.structure.max(initial=0)) + 1, dtype=bool)
    wanted[[i for i in structures if i < len(wanted)]] = True
    step = max(1, -(-sum(np.count_nonzero(wanted[block.structure]) for block in pairs.blocks()) // most))
    parts, passed = [pairs.where(slice(0))], 0
    for block in pairs.blocks():
        rows = np.flatnonzero(wanted[block.structure])
        parts.append(block.where(rows[-passed % step :: step]))
        passed += len(rows)
    return Pairs(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("reference", "predicted", "structure"))
    )


def _repeat(colors: Sequence[str], times: int = 20) -> list[str]:
    return list(colors) * times
