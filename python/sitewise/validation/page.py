"""Pictures and a page of validated crystals."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..figures import COLORS, panels, save_figure
from ..pages import write_page
from ..text import MESSAGE, for_html
from .validate import Finding, Validated

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {
    "Equation of state": ("volume (Å³/atom)", "energy above the lowest (eV/atom)"),
    "Phonons": ("wave vector", "frequency (THz)"),
    "Dimers": ("distance (Å)", "energy (eV)"),
}
DEEP, HIGH = -8.0, 30.0  # eV, of a dimer's energy that is shown


def save_page(folder: Path, crystals: Sequence[Validated]) -> Path:
    """Write `validation.html` and the pictures into a folder, and return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    body = ["<h1>Properties by the potential</h1>"]
    for number, crystal in enumerate(crystals):
        picture = folder / f"crystal-{number}.png"
        _draw(picture, crystal)
        image = base64.b64encode(picture.read_bytes()).decode()
        body.append(f"<h2>{for_html(crystal.name)}</h2><p>{for_html(crystal.source, MESSAGE)}</p>")
        body += [f'<div class="scroll">{_table(crystal)}</div>', *_notes(crystal)]
        body.append(f'<img alt="curves" src="data:image/png;base64,{image}">')
    path = folder / "validation.html"
    write_page(path, "sitewise validate", body)
    return path


def lines(crystals: Sequence[Validated]) -> Iterator[str]:
    """Yield the results as lines of text."""
    for crystal in crystals:
        yield f"{crystal.name} ({crystal.source})"
        for finding in crystal.findings:
            for name, value in finding.found.values.items():
                bar = f" ± {finding.bars[name]:.2g}" if name in finding.bars else ""
                reference = _reference(finding, name)
                yield f"  {finding.title}: {name} {value:.4g}{bar}" + (f", reference {reference}" if reference else "")
            yield from (f"  {finding.title}: {note}" for note in finding.found.notes)


def _reference(finding: Finding, name: str) -> str:
    value = None if finding.reference is None else finding.reference.values.get(name)
    return "" if value is None else f"{value:.4g}"


def _table(crystal: Validated) -> str:
    rows = [
        "".join(
            f"<td>{for_html(cell)}</td>"
            for cell in (
                f"{finding.title}: {name}",
                f"{value:.4g}",
                f"{finding.bars[name]:.2g}" if name in finding.bars else "",
                _reference(finding, name),
            )
        )
        for finding in crystal.findings
        for name, value in finding.found.values.items()
    ]
    head = "".join(f"<th>{name}</th>" for name in ("property", "potential", "error bar", "reference"))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _notes(crystal: Validated) -> Iterator[str]:
    for finding in crystal.findings:
        for note in finding.found.notes:
            yield f'<p class="note">{for_html(finding.title)}: {for_html(note, MESSAGE)}</p>'


def _draw(path: Path, crystal: Validated) -> None:
    shown = [finding for finding in crystal.findings if finding.found.curves]
    figure, axes = panels(3, 2)
    place = iter(axes)
    for finding in shown:
        if finding.title == "Molecular dynamics":
            _draw_dynamics(finding, next(place), next(place))
        else:
            _draw_curves(finding, next(place))
    for unused in place:
        unused.set_axis_off()
    save_figure(figure, path)


def _draw_curves(finding: Finding, axes: Axes) -> None:
    phonons = finding.title == "Phonons"
    for k, (name, (x, y)) in enumerate(finding.found.curves.items()):
        color = COLORS[0 if phonons else k % len(COLORS)]
        axes.plot(x, y, color=color, label=("potential" if k == 0 else None) if phonons else name)
    if finding.reference is not None:
        for k, (x, y) in enumerate(finding.reference.curves.values()):
            axes.plot(x, y, "--", color="#222222", lw=1, label="reference" if k == 0 else None)
    axes.set_xlabel(AXES[finding.title][0])
    axes.set_ylabel(AXES[finding.title][1])
    if finding.title == "Dimers":
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, DEEP), min(high, HIGH))
    for place, _ in finding.found.marks:
        axes.axvline(place, color="#cccccc", lw=0.8, zorder=0)
    if finding.found.marks:
        axes.set_xticks(*zip(*((place, name.replace("G", "Γ")) for place, name in finding.found.marks), strict=True))
    axes.set_title(finding.title)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(frameon=False)


def _draw_dynamics(finding: Finding, drift: Axes, volume: Axes) -> None:
    for axes, name, label, title in (
        (drift, "energy", "energy above the first (meV/atom)", "Constant energy, 300 K"),
        (volume, "volume", "volume (Å³/atom)", "Constant pressure, 300 K"),
    ):
        axes.plot(*finding.found.curves[name], color=COLORS[0])
        axes.set_xlabel("time (ps)")
        axes.set_ylabel(label)
        axes.set_title(title)
