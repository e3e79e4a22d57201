"""One HTML file that shows a diagnosis without another file or the network: words, pictures, structures in 3-D."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_text
from ..structures import Floats
from ..text import MESSAGE, PATH, for_html, for_script, printable
from .diagnosis import Diagnosis
from .judgement import Target
from .plots import on_plane, save_diagnosis, types
from .verdict import meV, percent, verdict

ATOMS = 6_000  # of the structures that can be turned, at most
ROWS = 20  # of a table
TITLES = {
    "dendrogram": "Dendrogram: which environments belong together, and r_g, where the two last big clusters meet",
    "merges": "Merge history, and how r_g depends on what counts as a big cluster",
    "barcode": "Barcode: how many combinations of the clusters' energies total energies leave free, at each cut",
    "map": "G space: each point is an atom",
    "atomic_energies": "Atomic energies by cluster",
    "invariants": "Crystals whose atoms are all equivalent: atomic energy and E/N",
}
STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 1200px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em } h2 { font-size: 1.15em; margin-top: 2em } img { max-width: 100%; height: auto }
table { border-collapse: collapse } td, th { padding: .15em .8em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } li { margin: .2em 0 }
.viewer { display: flex; flex-wrap: wrap; gap: 10px } .viewer > div { flex: 1; min-width: 420px }
#structure { height: 540px } #map { height: 500px }
"""

# The browser loads nothing from elsewhere, and runs only the scripts with these hashes.
POLICY = (
    "default-src 'none'; script-src {scripts} 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:; connect-src data: blob:"
)


def save_report(folder: Path, diagnosis: Diagnosis) -> Path:
    """Write all pictures and `report.html` into a folder, and return the report's path.

    If the package chemiscope is installed, the report shows the structures with the least known atoms, up to ATOMS
    atoms, in three dimensions (G. Fraux et al., J. Open Source Softw. 5 (51), 2117 (2020)).
    """
    pictures = save_diagnosis(folder, diagnosis)
    body = [
        "<h1>What the data determine of the atomic energies</h1>",
        _list(verdict(diagnosis)),
        "<h2>Structures</h2>",
        _viewer(diagnosis),
    ]
    for path in pictures:
        image = base64.b64encode(path.read_bytes()).decode()
        title = for_html(TITLES[path.stem], MESSAGE)
        body.append(f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{image}">')
    body += _tables(diagnosis)
    source = "atomic energy mapping after D. Yoo et al., Phys. Rev. Materials 3, 093802 (2019)"
    body.append(f"<p>sitewise {version('sitewise')}; {source}.</p>")
    path = folder / "report.html"
    content = "\n".join(body)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_policy(content)}">'
    head = f"<meta charset='utf-8'>{policy}<title>sitewise diagnose</title><style>{STYLE}</style>"
    write_text(path, f"<!DOCTYPE html>\n<html lang='en'><head>{head}</head><body>\n{content}\n</body></html>\n")
    return path


def _policy(content: str) -> str:
    """Return what a browser may do, with the hashes of the scripts."""
    scripts = re.findall(r"<script>(.*?)</script>", content, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return POLICY.format(scripts=" ".join(f"'sha256-{digest}'" for digest in digests))


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{for_html(line, MESSAGE)}</li>' for line in lines)}</ul>"


def _tables(diagnosis: Diagnosis) -> list[str]:
    judgement, accuracy = diagnosis.judgement, diagnosis.accuracy
    tables = []
    if judgement.targets:
        tables.append(_target_table(judgement.targets))
    if judgement.candidates:
        rows = [(c.name, percent(c.gain), percent(c.unknown)) for c in judgement.candidates]
        head = ("structure, in the order in which to add them", "expected gain", "open part of an atom")
        tables.append(_table("Candidates to add", head, rows))
    if accuracy and accuracy.invariants:
        points = sorted(accuracy.invariants, key=lambda point: (point.extrapolation, -abs(point.delta)))
        rows = [(p.name, f"{1e3 * p.delta:+.1f}", "yes" if p.extrapolation else "") for p in points]
        tables.append(_table("Invariant points", ("crystal", "atomic energy - E/N (meV)", "extrapolation"), rows))
    return tables


def _target_table(targets: Sequence[Target]) -> str:
    """Return the table of error bars or, without labels, of the open parts of variances."""
    if targets[0].bar is None:
        ranked = sorted(targets, key=lambda target: -target.unknown_energy)
        rows = [(t.name, percent(t.unknown_energy), percent(t.null_fraction)) for t in ranked]
        return _table("Targets", ("structure", "open part of its energy", "by clusters"), rows)
    head = ("structure", "error bar (meV/atom)", "least known atom (meV)", "open because of")
    ranked = sorted(targets, key=lambda target: -(target.bar or 0))
    bars = [(t.name, meV(t.bar or 0), meV(max(t.bar_atoms or (0,))), str(t.cause or "")) for t in ranked]
    return _table("Targets", head, bars)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{for_html(x, PATH)}</td>' for x in row)}</tr>" for row in rows[:ROWS])
    more = f"<p>and {len(rows) - ROWS} more</p>" if len(rows) > ROWS else ""
    names = "".join(f"<th>{for_html(name)}</th>" for name in head)
    return f"<h2>{for_html(title)}</h2><table><tr>{names}</tr>{cells}</table>{more}"


def _viewer(diagnosis: Diagnosis) -> str:
    """Return the map of atoms and a structure to turn, or a sentence if chemiscope is not installed."""
    try:
        dataset = _dataset(diagnosis)
    except ImportError:
        return "<p>Structures in 3-D need the package chemiscope: <code>pip install 'sitewise[report]'</code></p>"
    library = resources.files("chemiscope").joinpath("sphinx/static/chemiscope.min.js").read_text(encoding="utf-8")
    names = ("meta", "map", "structure", "info")
    config = for_script({name: name for name in names})
    return f"""<p>The structures with the least known atoms. Click an atom in the map, turn its structure with the
mouse; the menus change what colours them.</p>
<div class="viewer"><div><div id="meta"></div><div id="map"></div></div>
<div><div id="structure"></div><div id="info"></div></div></div>
<script>{_in_script(library)}</script>
<script>
Chemiscope.DefaultVisualizer.load({config}, {for_script(dataset)}, new Chemiscope.Warnings()).then(
    (viewer) => {{ window.viewer = viewer; document.body.dataset.viewer = "ready"; }},
    (error) => {{ document.body.dataset.viewer = "failed: " + error; }});
</script>"""


def _in_script(text: str) -> str:
    """Escape text so that it does not end its script element."""
    return re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE)


def _dataset(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the input of chemiscope, with the structures of the least known atoms first."""
    import chemiscope

    placed, known = diagnosis.placed, diagnosis.determinability.of_atoms
    starts = np.concatenate([[0], np.cumsum([len(s.atoms) for s in diagnosis.data])])
    least = [min(own) for own in diagnosis.determinability.determinability]
    order = np.argsort(least, kind="stable")
    sizes = np.diff(starts)[order]
    chosen = order[: max(1, int((np.cumsum(sizes) <= ATOMS).sum()))]
    atoms = np.concatenate([np.arange(starts[s], starts[s + 1]) for s in chosen])
    places = np.zeros((len(known), 2))
    for e in placed.elements:
        places[placed.rows[e]] = on_plane(placed.points[e])
    kinds = types(diagnosis)
    values: dict[str, Any] = {
        "PC 1": places[atoms, 0],
        "PC 2": places[atoms, 1],
        "determinability": known[atoms],
        "cluster": np.array(diagnosis.partition.names)[diagnosis.labels[atoms]],
        "structure type": np.array([_name(kinds[s]) for s in placed.structure[atoms]]),
    }
    properties = {name: {"target": "atom", "values": found} for name, found in values.items()}
    colour = "determinability"
    if diagnosis.energies is not None:
        colour = "atomic energy above the lowest"
        properties[colour] = {"target": "atom", "values": _above_lowest(diagnosis)[atoms], "units": "eV"}
    structures = [diagnosis.data[int(s)].atoms for s in chosen]
    return dict(
        chemiscope.create_input(
            structures=[s.__class__(s.numbers, s.positions, cell=s.cell, pbc=s.pbc) for s in structures],
            properties=properties,
            environments=[(i, k, diagnosis.functions.cutoff) for i, s in enumerate(structures) for k in range(len(s))],
            metadata={"name": "sitewise diagnose"},
            settings=chemiscope.quick_settings(
                x="PC 1",
                y="PC 2",
                map_color="determinability",
                structure_color=colour,
                target="atom",
                structure_settings={"supercell": [1, 1, 1], "unitCell": True, "environments": {"activated": False}},
            ),
        )
    )


def _name(text: str) -> str:
    """Escape a name for the viewer, which may show it as markup."""
    return printable(text).translate({ord("<"): "‹", ord(">"): "›", ord("&"): "+"})


def _above_lowest(diagnosis: Diagnosis) -> Floats:
    """Return atomic energies above the lowest of the element, eV: absolute energies hide the differences."""
    assert diagnosis.energies is not None
    found: Floats = diagnosis.energies.copy()
    for e in diagnosis.placed.elements:
        found[diagnosis.placed.rows[e]] -= found[diagnosis.placed.rows[e]].min()
    return found
