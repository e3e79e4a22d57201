"""Structures in three dimensions, beside a map of their atoms, by the package chemiscope."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from ..io.dataset import Dataset
from ..structures import Floats, Structure
from ..text import for_script, printable
from .diagnosis import Diagnosis
from .gspace import Placed
from .plots import least_open, on_plane, types

ATOMS = 6_000  # of the structures that can be turned, at most
OPEN = "log10 of the open part of the energy's variance"


def viewer(diagnosis: Diagnosis) -> str:
    """Return the map of atoms and a structure to turn, or a sentence if chemiscope is not installed."""
    try:
        dataset = _dataset(diagnosis)
    except ImportError:
        return "<p>Structures in 3-D need the package chemiscope: <code>pip install 'sitewise[report]'</code></p>"
    library = resources.files("chemiscope").joinpath("sphinx/static/chemiscope.min.js").read_text(encoding="utf-8")
    names = ("meta", "map", "structure", "info")
    config = for_script({name: name for name in names})
    first = "targets, then the structures" if diagnosis.targets else "structures"
    return f"""<p>The {first} with the least known atoms; yellow is open. Click an atom in the map, and turn its
structure with the mouse. The menus choose what the colours show.</p>
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
    """Return the input of chemiscope: targets, then the structures of the least known atoms."""
    import chemiscope

    shown, least = _shown(diagnosis), least_open(diagnosis)
    known = np.concatenate([part.known for part in shown])
    colors = {"property": OPEN, "min": np.log10(least), "max": 0.0, "palette": "viridis"}
    structures = [structure.atoms for part in shown for structure in part.structures]
    values: dict[str, Any] = {
        "PC 1": np.concatenate([part.places[:, 0] for part in shown]),
        "PC 2": np.concatenate([part.places[:, 1] for part in shown]),
        OPEN: np.log10(np.clip(1 - known, least, 1)),
        "element": np.concatenate([atoms.get_chemical_symbols() for atoms in structures]),
        "cluster": np.concatenate([part.clusters for part in shown]),
        "structure type": np.concatenate([part.kinds for part in shown]),
    }
    properties = {name: {"target": "atom", "values": found} for name, found in values.items()}
    energies = [part.energies for part in shown if part.energies is not None]
    if len(energies) == len(shown):
        above = {"target": "atom", "values": np.concatenate(energies), "units": "eV"}
        properties["atomic energy above the lowest"] = above
    return dict(
        chemiscope.create_input(
            structures=[s.__class__(s.numbers, s.positions, cell=s.cell, pbc=s.pbc) for s in structures],
            properties=properties,
            environments=[(i, k, diagnosis.functions.cutoff) for i, s in enumerate(structures) for k in range(len(s))],
            metadata={"name": "sitewise diagnose"},
            settings=chemiscope.quick_settings(
                x="PC 1",
                y="PC 2",
                symbol="element" if len(diagnosis.placed.elements) > 1 else "structure type",
                target="atom",
                map_settings={"color": colors},
                structure_settings={
                    "supercell": [1, 1, 1],
                    "unitCell": True,
                    "environments": {"activated": False},
                    "color": colors,
                },
            ),
        )
    )


class Shown(NamedTuple):
    """Structures in the viewer, and for each of their atoms: place in the map, determinability, names, energy (eV)."""

    structures: list[Structure]
    places: Floats
    known: Floats
    clusters: list[str]
    kinds: list[str]
    energies: Floats | None


def _shown(diagnosis: Diagnosis) -> list[Shown]:
    """Return targets, then the structures of the least known atoms: ATOMS atoms, half of them of targets at most."""
    wanted, parts, room = diagnosis.targets, [], ATOMS
    if wanted is not None:
        placed = wanted.embedding.placed
        names = ["target"] * placed.n_atoms
        parts.append(
            _chosen(diagnosis, wanted.embedding.data, placed, wanted.known, names, names, wanted.energies, room // 2)
        )
        room -= len(parts[0].known)
    placed, kinds = diagnosis.placed, [_safe(kind) for kind in types(diagnosis)]
    clusters = [diagnosis.partition.names[k] for k in diagnosis.labels]
    of_atoms = [kinds[s] for s in placed.structure]
    known = diagnosis.determinability.of_atoms
    return [*parts, _chosen(diagnosis, diagnosis.data, placed, known, clusters, of_atoms, diagnosis.energies, room)]


def _chosen(
    diagnosis: Diagnosis,
    data: Dataset,
    placed: Placed,
    known: Floats,
    clusters: Sequence[str],
    kinds: Sequence[str],
    energies: Floats | None,
    room: int,
) -> Shown:
    """Return the structures with the least known atoms, as many as have `room` atoms but at least one."""
    least = [min(own) for own in placed.split(known)]
    sizes = np.bincount(placed.structure, minlength=placed.n_structures)
    order = np.argsort(least, kind="stable")
    chosen = order[: max(1, int((np.cumsum(sizes[order]) <= room).sum()))]
    starts = np.cumsum(sizes) - sizes
    atoms = np.concatenate([np.arange(starts[s], starts[s] + sizes[s]) for s in chosen])
    places = np.zeros((placed.n_atoms, 2))
    for e in placed.elements:
        places[placed.rows[e]] = on_plane(placed.points[e], diagnosis.placed.points[e])
    return Shown(
        [data[int(s)] for s in chosen],
        places[atoms],
        known[atoms],
        [clusters[k] for k in atoms],
        [kinds[k] for k in atoms],
        None if energies is None else _above_lowest(diagnosis, energies, placed)[atoms],
    )


def _safe(text: str) -> str:
    """Escape a name for the viewer, which may show it as markup."""
    return printable(text).translate({ord("<"): "‹", ord(">"): "›", ord("&"): "+"})


def _above_lowest(diagnosis: Diagnosis, energies: Floats, placed: Placed) -> Floats:
    """Return atomic energies above the lowest of the element in the data, eV: absolute ones hide the differences."""
    assert diagnosis.energies is not None
    found: Floats = energies.copy()
    for e in placed.elements:
        found[placed.rows[e]] -= diagnosis.energies[diagnosis.placed.rows[e]].min()
    return found
