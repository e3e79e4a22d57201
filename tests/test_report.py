"""`sitewise diagnose --out`: pictures, and one HTML file that opens without anything else."""

import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from matplotlib.image import imread

from checks import random_potential, rattled, silicon_frames, silicon_potential, structures
from sitewise import Dataset, Potential
from sitewise.figures import cut, save_figure, tiles
from sitewise.mapping import plots as mapping_plots
from sitewise.mapping import report, viewer
from sitewise.mapping.diagnosis import diagnose, functions_of
from sitewise.mapping.plots import on_plane, save_diagnosis
from sitewise.mapping.verdict import Verdict
from sitewise.progress import Reporter
from sitewise.structures import Structure

pytestmark = pytest.mark.slow

QUIET = Reporter(quiet=True)
PICTURES = {"dendrogram", "merges", "barcode", "map", "atomic_energies", "invariants"}

# Groups whose names would run a script: in the data of the viewer, and where it shows them.
EVIL = ("</SCRIPT><script>window.hit = 1</script>", "<img src=x onerror='window.hit = 2'>")
CRYSTALS = "<img src=x onerror='window.hit = 3'>.xyz"  # whose name stands in tables

# Waits for the viewer, turns the structure as a mouse does and tells whether the picture of it changed, whether a
# script of a name ran, and how many parts are wider than a narrow screen.
TURN = """
<script nonce="turn">
const canvases = (root) => [...root.querySelectorAll("*")].flatMap(
    (node) => [...(node.tagName === "CANVAS" ? [node] : []), ...(node.shadowRoot ? canvases(node.shadowRoot) : [])]);
const wait = (time) => new Promise((done) => setTimeout(done, time));
(async () => {
    while (!document.body.dataset.viewer) await wait(200);
    await wait(3000);
    const canvas = canvases(document.getElementById("structure"))[0];
    const before = canvas.toDataURL();
    const box = canvas.getBoundingClientRect();
    const mouse = (type, dx) => canvas.dispatchEvent(new MouseEvent(type, {bubbles: true, cancelable: true, button: 0,
        buttons: 1, clientX: box.x + 100 + dx, clientY: box.y + 100, pageX: box.x + 100 + dx, pageY: box.y + 100}));
    mouse("mousedown", 0); mouse("mousemove", 40); mouse("mousemove", 90); mouse("mouseup", 90);
    await wait(2000);
    document.body.dataset.turned = String(canvas.toDataURL() !== before);
    document.body.dataset.hit = String(window.hit);
    document.body.dataset.size = canvas.width + "x" + canvas.height;
    document.documentElement.style.width = "380px";
    document.body.style.maxWidth = "348px";
    await wait(2000);
    const wide = [...document.body.querySelectorAll("h1, h2, h3, p, li, dd, img, .scroll, .viewer > div")].filter(
        (node) => node.getBoundingClientRect().right > 381).map((node) => node.outerHTML.slice(0, 80));
    document.body.dataset.wide = String(wide.length);
})();
</script>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make the command's output for slabs and crystals of silicon with a potential."""
    path = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    frames = silicon_frames(6)
    for layers in (4, 6):
        slab = bulk("Si", "diamond", a=5.43, cubic=True) * (1, 1, layers // 2)
        slab.center(vacuum=6, axis=2)
        slab.positions += rng.normal(0, 0.05, slab.positions.shape)
        slab.info["config_type"] = EVIL[len(frames) % 2]
        frames.append(slab)
    perfect = []
    for a in np.linspace(5.3, 5.6, 5):
        atoms = bulk("Si", "diamond", a=a)
        atoms.info["REF_energy"] = -10.0 + 3 * (a - 5.43) ** 2
        atoms.info["kind"] = EVIL[0] + "$\\bad{$"
        perfect.append(atoms)
    write(path / "data.xyz", frames)
    write(path / CRYSTALS, perfect)
    Potential(silicon_potential()).save(path / "potential")
    arguments = (
        *("data.xyz", "--potential", "potential", "--candidates", CRYSTALS),
        *("--target", CRYSTALS, "--suggest", "add.xyz", "--out", "out", "-q"),
    )
    command = [sys.executable, "-m", "sitewise", "diagnose", *arguments]
    run = subprocess.run(command, cwd=path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return path / "out"


def test_pictures_are_drawn(folder):
    assert {path.stem for path in folder.glob("*.png")} == PICTURES
    for path in folder.glob("*.png"):
        image = imread(path)
        assert image[..., :3].std() > 0.03, path  # not blank


def elements(text):
    """Return names and attributes as a browser parses a page: </SCRIPT> may be in capital letters."""
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.feed(text)
    return found


def test_report_needs_no_other_file(folder):
    text = (folder / "report.html").read_text()
    found = elements(text)
    sources = [values["src"] for _, values in found if "src" in values]
    assert len(sources) == tiles_of(folder)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    links, anchors = ({values[name] for _, values in found if name in values} for name in ("href", "id"))
    assert {"#term-error-bar", "#term-open", "#term-g-space", "#term-r_g"} <= links <= {f"#{name}" for name in anchors}


def test_the_next_action_names_the_file(folder):
    text = (folder / "report.html").read_text()
    section = text[text.index("<h2>What to do next") : text.index("<h2>The model")]
    assert "structures that are written to add.xyz, and add them to the data" in section
    named = [int(k) for k in re.findall(r"<td>add.xyz, structure (\d+) \(Si", section)]
    assert named == list(range(len(named)))
    assert len(named) <= len(read(folder.parent / "add.xyz", ":"))
    left = [float(part) for part in re.findall(r"\)</td><td>([\d.e+-]+) %</td>", section)]
    assert left[: len(named)] == sorted(left[: len(named)], reverse=True)


def tiles_of(folder):
    return sum(len(cut(path)) for path in folder.glob("*.png"))


def test_the_answer_comes_first_and_the_method_last(folder):
    text = (folder / "report.html").read_text()
    parts = (
        *("<h1>Can these", 'class="answer', "<h2>Targets", "<h2>What to do next", "<h2>The model", "<h2>Structures"),
        *("Where the targets lie", "<h2>How this was found", "<h3>Dendrogram", "<h3>Merge", "<h3>Barcode", "<h2>Terms"),
    )
    places = [text.find(part) for part in parts]
    assert min(places) > 0
    assert places == sorted(places)
    assert "<meta name='viewport' content='width=device-width" in text


def test_names_are_no_part_of_the_page(folder):
    text = (folder / "report.html").read_text()
    found = elements(text)
    assert all(f"window.hit = {k}" in text for k in (1, 2, 3))
    assert sum(tag == "img" for tag, _ in found) == tiles_of(folder)
    assert sum(tag == "script" for tag, _ in found) == text.count("<script>") <= 2
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)


def test_structures_turn_in_a_browser_without_network(folder, tmp_path):
    pytest.importorskip("chemiscope", reason="the package chemiscope is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium or google-chrome is installed")
    text = (folder / "report.html").read_text()
    (tmp_path / "turn.html").write_text(
        text.replace("script-src ", "script-src 'nonce-turn' ", 1).replace("</body>", TURN + "</body>")
    )
    command = [
        *(browser, "--headless", "--no-sandbox", "--enable-unsafe-swiftshader", "--window-size=1250,2000"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--virtual-time-budget=30000", "--dump-dom", f"file://{tmp_path / 'turn.html'}"),
    ]
    environment = os.environ | {"HOME": str(tmp_path)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    body = re.search(r"<body[^>]*>", run.stdout)
    assert body, run.stderr
    assert 'data-viewer="ready"' in body[0], body[0]
    assert 'data-turned="true"' in body[0], body[0]
    assert 'data-hit="undefined"' in body[0], body[0]
    assert 'data-wide="0"' in body[0], body[0]


def test_two_elements_and_no_potential(tmp_path):
    rng = np.random.default_rng(0)
    salts = [bulk("NaCl", "rocksalt", a=a, cubic=True) for a in (5.4, 5.6, 5.8)]
    for atoms in salts:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    write(tmp_path / "salt.xyz", salts)
    data = Dataset.read(tmp_path / "salt.xyz", require_labels=False, reporter=QUIET)
    diagnosis = diagnose(data, functions_of(None, None, data), reporter=QUIET)
    drawn = {path.stem for path in save_diagnosis(tmp_path, diagnosis)}
    assert {"dendrogram", "merges", "map"} <= drawn <= PICTURES - {"atomic_energies", "invariants"}
    assert imread(tmp_path / "dendrogram.png").shape[1] == 2 * 690


def test_identical_atoms_are_drawn(tmp_path):
    write(tmp_path / "one.xyz", bulk("Si", "diamond", a=5.43, cubic=True))
    data = Dataset.read(tmp_path / "one.xyz", require_labels=False, reporter=QUIET)
    diagnosis = diagnose(data, functions_of(None, None, data), reporter=QUIET)
    assert {path.stem for path in save_diagnosis(tmp_path, diagnosis)} == {"dendrogram", "merges", "map"}


def test_principal_components_on_a_plane():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 5)) * np.array([3.0, 2.0, 0.1, 0.1, 0.0])
    found = on_plane(points)
    assert found.std(axis=0) == pytest.approx([3, 2], rel=0.2)
    np.testing.assert_allclose(np.abs(found[:, 0]), np.abs(points[:, 0] - points[:, 0].mean()), atol=0.5)
    assert on_plane(points[:, :1]).shape == (200, 2)


@pytest.fixture(scope="module")
def two_crystals():
    """Make a diagnosis of two elements with two invariant points of each sign."""
    core = random_potential()
    potential = Potential(core)
    mixed = structures()["mixed"]
    frames = [Structure(rattled(mixed, 0.05, seed), None, None, None, "", f"m{seed}") for seed in range(6)]
    points = []
    for symbol, a, wrong in (("Si", 2.6, 0.1), ("Si", 2.7, -0.4), ("Si", 2.8, 0.2), ("O", 2.6, 0.3)):
        atoms = bulk(symbol, "sc", a=a)
        energy = potential.evaluate(atoms).energies[0] - wrong
        points.append(Structure(atoms, energy, None, None, "", f"{symbol} {a}"))
    return diagnose(Dataset([*frames, *points]), potential.functions, potential, reporter=QUIET)


def test_invariant_points_in_the_picture(two_crystals, tmp_path, monkeypatch):
    """In E(V) crosses are E/N of the data, circles the predictions of the potential."""
    kept = []
    monkeypatch.setattr(mapping_plots, "save_figure", lambda figure, path: kept.append(figure))
    assert mapping_plots.save_invariants(tmp_path / "a.png", two_crystals)
    energies, deltas = kept[0].axes[:2]

    def points(ax, marker):
        drawn = [line.get_xydata() for line in ax.lines if line.get_marker() == marker and len(line.get_xydata())]
        return np.array(sorted(map(tuple, np.concatenate(drawn))))

    crystals = [s for s in two_crystals.data if len(s.atoms) == 1]
    volumes = [s.atoms.cell.volume for s in crystals]
    potential = Potential(random_potential())
    own = [potential.evaluate(s.atoms).energies[0] for s in crystals]
    expected = np.array(sorted(zip(volumes, own, strict=True)))
    np.testing.assert_allclose(points(energies, "o"), expected, rtol=1e-9)
    given = np.array(sorted((s.atoms.cell.volume, s.energy) for s in crystals))
    np.testing.assert_allclose(points(energies, "x"), given, rtol=1e-9)
    assert sorted(points(deltas, "o")[:, 1]) == pytest.approx([-400, 100, 200, 300])


def test_invariant_points_in_the_report(two_crystals):
    """The worst comes first, whatever its sign."""
    parts = report._model(two_crystals, Verdict.of(two_crystals))
    (table,) = (part for part in parts if part.startswith('<div class="scroll">') and "E/N (meV)" in part)
    rows = re.findall(r"<td>([^<]*)</td><td>([-+][\d.]+)</td>.*?<td>(yes|no)</td></tr>", table)
    counted = [float(delta) for _, delta, tests in rows if tests == "yes"]
    assert len(rows) == 4
    assert [abs(delta) for delta in counted] == sorted(map(abs, counted), reverse=True)


def test_energies_in_the_report_are_above_the_lowest_of_the_element(two_crystals):
    found = viewer._above_lowest(two_crystals, two_crystals.energies, two_crystals.placed)
    for e in (0, 1):
        mine = two_crystals.placed.rows[e]
        own = two_crystals.energies[mine]
        np.testing.assert_allclose(found[mine], own - own.min(), atol=1e-12)


def test_one_colour_for_one_openness(two_crystals, tmp_path, monkeypatch):
    """Yellow is open in the map and in the viewer, on one scale, and targets are in both."""
    pytest.importorskip("chemiscope", reason="the package chemiscope is not installed")
    data = Dataset(two_crystals.data[:6])
    target = Dataset(two_crystals.data[6:])
    potential = Potential(random_potential())
    found = diagnose(data, potential.functions, potential, target=target, reporter=QUIET)
    kept = []
    monkeypatch.setattr(mapping_plots, "save_figure", lambda figure, path: kept.append(figure))
    assert mapping_plots.save_map(tmp_path / "a.png", found)
    axes = [ax for part in kept[0].subfigs for ax in part.axes if ax.get_title() == "Si: open part"]
    (points,) = axes[0].collections
    shown = viewer._dataset(found)
    assert (points.cmap.name, points.norm.vmin, points.norm.vmax) == ("viridis", 10 ** colours(shown)["min"], 1)
    e = found.functions.elements.index("Si")
    rows = found.placed.rows[e]
    np.testing.assert_allclose(
        np.sort(points.get_array()), np.sort(1 - found.determinability.of_atoms[rows]), rtol=1e-9
    )
    (stars,) = (line for line in axes[0].lines if line.get_label() == "targets")
    assert len(stars.get_xdata()) == 3
    logs = np.array(shown["properties"][viewer.OPEN]["values"])
    assert len(logs) == found.placed.n_atoms + 4
    np.testing.assert_allclose(
        logs[:4],
        np.log10(np.clip(1 - found.targets.known, points.norm.vmin, 1))[np.argsort(found.targets.known, kind="stable")],
    )


def colours(shown):
    """Return the colours of the viewer, which map and structure share."""
    of_map, of_structure = shown["settings"]["map"]["color"], shown["settings"]["structure"][0]["color"]
    assert of_map == of_structure
    assert (of_map["palette"], of_map["max"]) == ("viridis", 0)
    return of_map


def test_tiles_are_cut_where_panels_end(tmp_path):
    """Each tile has the ink of one panel; empty ones are left out."""
    figure, axes = tiles(2, rows=2)
    axes[3].remove()
    save_figure(figure, tmp_path / "a.png")
    assert [imread(io.BytesIO(tile)).shape[:2] for tile in cut(tmp_path / "a.png")] == [(570, 690)] * 3


def test_rows_of_targets(two_crystals):
    """The largest bar is the longest, and each has formula, cause and a link to its explanation."""
    data, potential = Dataset(two_crystals.data[:6]), Potential(random_potential())
    labelled = [replace(s, energy=potential.evaluate(s.atoms).energy) for s in data]
    target = Dataset(two_crystals.data[6:])
    found = diagnose(Dataset(labelled), potential.functions, target=target, reporter=QUIET)
    table = report._target_table(found, found.judgement.targets)
    widths = [float(width) for width in re.findall(r"width:([\d.]+)em", table)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == report.BAR
    assert "Si 2.7 (Si)" in table
    opened = [t for t in found.judgement.targets if t.open]
    assert len(re.findall(r'<tr class="open">', table)) == len(opened) > 0
    assert f'<a href="#term-{opened[0].cause}">{opened[0].cause}</a>' in table
