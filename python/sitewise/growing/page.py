"""Table, picture and page of a growth."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..figures import COLORS, panels, plain_log_ticks, save_figure
from ..pages import write_page
from ..text import MESSAGE, PATH, for_html, for_picture, printable

if TYPE_CHECKING:
    from .grow import Round

PICTURE, PAGE = "growth.png", "report.html"
SHOWN = 6  # targets with a line of their own
COLUMNS = (
    "round",
    "labels",
    "largest bar\nmeV/atom",
    "worst target",
    "fresh\nerror",
    "meV/atom\nbar",
    "fresh\nerror",
    "eV/Å\nbar",
    "trajectories",
)


def rows(rounds: Sequence[Round]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each round, in the order of COLUMNS."""
    for r in rounds:
        fresh: tuple[str, ...] = ("", "", "", "")
        if r.fresh is not None:
            f = r.fresh
            numbers = 1e3 * f.energy_rmse, 1e3 * f.energy_bar, f.force_rmse, f.force_bar
            fresh = tuple(f"{x:.3g}" for x in numbers)
        ends = ", ".join(f"{count} {end}" for end, count in (r.trajectories or {}).items())
        yield str(r.number), str(r.labels), f"{1e3 * r.bars[r.worst]:.3g}", r.worst, *fresh, ends


def lines(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield the table as lines of text."""
    head = [[part[k] if k < len(part) else "" for part in (name.split("\n") for name in COLUMNS)] for k in range(2)]
    cells = [*head, *([printable(cell, PATH) for cell in row] for row in rows(rounds))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    yield from ("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def save_page(folder: Path, rounds: Sequence[Round], accuracy: float, sentence: str) -> Path:
    """Write `growth.png` and `report.html` into a folder, and return the page's path."""
    _draw(folder / PICTURE, rounds, accuracy)
    image = base64.b64encode((folder / PICTURE).read_bytes()).decode()
    head = "".join(f"<th>{for_html(name.replace(chr(10), ' '))}</th>" for name in COLUMNS)
    body = [
        "<h1>Growth of a potential</h1>",
        f"<p>{for_html(sentence, MESSAGE)}</p>",
        f'<img alt="error bars and errors against labels" src="data:image/png;base64,{image}">',
        f'<div class="scroll"><table><tr>{head}</tr>',
        *(f"<tr>{''.join(f'<td>{for_html(cell)}</td>' for cell in row)}</tr>" for row in rows(rounds)),
        "</table></div>",
        "<p>The bar of a target is the larger of two: the one that the labels leave, and the one of the potential. "
        "The latter is enlarged if the fresh labels of the round before had larger errors than bars. Fresh labels are "
        "those that a round asks for; its potential is not trained on them. A trajectory ends at a bar beyond its "
        "threshold, after its steps, or where atoms come too close.</p>",
        "<h2>Targets after the last round</h2>",
        "<table><tr><th>target</th><th>bar meV/atom</th></tr>",
        *(
            f"<tr><td>{for_html(name, PATH)}</td><td>{1e3 * bar:.3g}</td></tr>"
            for name, bar in sorted(rounds[-1].bars.items(), key=lambda item: -item[1])
        ),
        "</table>",
    ]
    write_page(folder / PAGE, "sitewise grow", body)
    return folder / PAGE


def _draw(path: Path, rounds: Sequence[Round], accuracy: float) -> None:
    from matplotlib.ticker import MaxNLocator

    figure, (targets, energies, forces) = panels(3)
    labels = [r.labels for r in rounds]
    worst = sorted(rounds[-1].bars, key=lambda name: -rounds[-1].bars[name])
    for k, name in enumerate(worst):
        shown = len(worst) <= SHOWN
        color = COLORS[k % len(COLORS)] if shown else "#999999"
        label = for_picture(name) if shown else ("targets" if k == 0 else None)
        targets.plot(labels, [1e3 * r.bars[name] for r in rounds], "o-", ms=3, lw=1, color=color, label=label)
    targets.axhline(1e3 * accuracy, color="#222222", ls="--", lw=1, label="accuracy")
    targets.set(xlabel="labels", ylabel="error bar of a target (meV/atom)", yscale="log", title="Targets")
    fresh = [(r.labels, r.fresh) for r in rounds if r.fresh is not None]
    for axes, factor, kind, unit in ((energies, 1e3, "energy", "meV/atom"), (forces, 1.0, "force", "eV/Å")):
        for name, style, color in (("rmse", "o-", COLORS[0]), ("bar", "s--", COLORS[1])):
            values = [factor * getattr(f, f"{kind}_{name}") for _, f in fresh]
            label = "error" if name == "rmse" else "bar"
            axes.plot([n for n, _ in fresh], values, style, ms=4, color=color, label=label)
        axes.set(xlabel="labels", ylabel=f"RMS ({unit})", title=f"Fresh labels: {kind}")
        if fresh:
            axes.set_yscale("log")
            axes.legend(frameon=False)
    for axes in (targets, energies, forces) if fresh else (targets,):
        plain_log_ticks(axes.yaxis)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    targets.legend(frameon=False, fontsize="small")
    save_figure(figure, path)
