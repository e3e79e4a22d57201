"""One HTML file that shows a diagnosis without another file or the network: the answer first, then why."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from ..figures import cut
from ..files import write_text
from ..text import MESSAGE, PATH, for_html
from .accuracy import InvariantPoint
from .captions import TERMS, TITLES, captions, sentence
from .diagnosis import Diagnosis
from .judgement import Candidate, Target
from .plots import save_diagnosis
from .verdict import Verdict, described, meV, percent, titled
from .viewer import viewer

ROWS = 20  # of a table
LITTLE = 0.01  # part of what is open that structures left out of a table would remove together
BAR = 6.0  # width of the largest error bar, in letters
METHOD = ("dendrogram", "merges", "barcode")  # pictures of how it was found
DOCS = "atomic energy mapping in sitewise's documentation (docs/atomic-energy-mapping.md)"

COMMON = ("mapping", "data", "fit")  # terms that text also uses in their usual sense
STYLE = """
body { font: 16px/1.5 sans-serif; color: #222; max-width: 1200px; margin: 1em auto; padding: 0 1em }
h1 { font-size: 1.5em; margin: .5em 0 } h2 { font-size: 1.2em; margin: 2em 0 .5em }
h3 { font-size: 1em; margin: 1.5em 0 .3em }
p, li, dd { max-width: 50em; overflow-wrap: anywhere } li { margin: .2em 0 }
.answer { font-size: 1.15em; padding: .6em .9em; border-left: 6px solid #d55e00; background: #fdf1e8 }
.answer.good { border-color: #009e73; background: #e9f6f1 } .answer.none { border-color: #999; background: #f3f3f3 }
.scroll { overflow-x: auto } table { border-collapse: collapse; margin-bottom: .8em }
td, th { padding: .15em .8em .15em 0; text-align: right; border-bottom: 1px solid #ddd }
th { vertical-align: bottom; font-weight: 600 } td:first-child, th:first-child { text-align: left }
.size { display: inline-block; width: 6em; text-align: left } .size span { display: inline-block; height: .7em }
.size span { background: #009e73; min-width: 1px } .open .size span { background: #d55e00 }
.tiles { display: flex; flex-wrap: wrap; gap: 10px } .tiles img { width: 100%; max-width: 575px; height: auto }
.viewer { display: flex; flex-wrap: wrap; gap: 10px } .viewer > div { flex: 1 1 420px; min-width: 0; max-width: 100% }
#structure, #map { height: min(520px, 90vw) } #meta, #info { overflow-x: auto }
dt { font-weight: 600; margin-top: .5em } dd { margin-left: 1em } a { color: #0060a0 } code { overflow-wrap: anywhere }
"""

# The browser loads nothing from elsewhere, and runs only the scripts with these hashes.
POLICY = (
    "default-src 'none'; script-src {scripts} 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:; connect-src data: blob:"
)


def save_report(folder: Path, diagnosis: Diagnosis) -> Path:
    """Write all pictures and `report.html` into a folder, and return the report's path.

    If the package chemiscope is installed, the report shows targets and the structures with the least known atoms, up
    to ATOMS atoms, in three dimensions (G. Fraux et al., J. Open Source Softw. 5 (51), 2117 (2020)).
    """
    pictures = {path.stem: path for path in save_diagnosis(folder, diagnosis)}
    found, shows = Verdict.of(diagnosis), captions(diagnosis)
    body = [
        "<h1>Can these atomic energies be trusted?</h1>",
        *_answer(diagnosis, found),
        *_targets(diagnosis),
        *_next(diagnosis, found),
        *_model(diagnosis, found),
        "<h2>Structures</h2>",
        viewer(diagnosis),
        *(_picture(pictures[name], shows[name]) for name in TITLES if name in pictures and name not in METHOD),
        "<h2>How this was found</h2>",
        _list(found.details),
        *(_picture(pictures[name], shows[name]) for name in METHOD if name in pictures),
        _terms(),
        f"<p>sitewise {version('sitewise')}; atomic energy mapping after D. Yoo et al., Phys. Rev. Materials 3, 093802 "
        f"(2019). {DOCS[0].upper()}{DOCS[1:]} explains what each number can show, and what it cannot.</p>",
    ]
    path = folder / "report.html"
    content = "\n".join(body)
    head = "".join(
        (
            "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>",
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(content)}">',
            f"<title>sitewise diagnose</title><style>{STYLE}</style>",
        )
    )
    write_text(path, f"<!DOCTYPE html>\n<html lang='en'><head>{head}</head><body>\n{content}\n</body></html>\n")
    return path


def _policy(content: str) -> str:
    """Return what a browser may do, with the hashes of the scripts."""
    scripts = re.findall(r"<script>(.*?)</script>", content, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return POLICY.format(scripts=" ".join(f"'sha256-{digest}'" for digest in digests))


def _answer(diagnosis: Diagnosis, found: Verdict) -> list[str]:
    """Return the sentences that answer the question, in the colour of the answer."""
    targets = diagnosis.judgement.targets
    bad = len(found.answer) > 1 or any(target.open for target in targets or ())
    kind = "" if bad else " good" if targets else " none"
    return [f'<p class="answer{kind}">{_linked(sentence(line))}</p>' for line in found.answer]


def _targets(diagnosis: Diagnosis) -> list[str]:
    targets = diagnosis.judgement.targets
    if not targets:
        return []
    table = _unlabelled_table if targets[0].bar is None else _target_table
    return ["<h2>Targets</h2>", table(diagnosis, targets)]


def _target_table(diagnosis: Diagnosis, targets: Sequence[Target]) -> str:
    """Return the table of error bars, the largest first, each with a bar whose length is to scale."""
    ranked = sorted(targets, key=lambda target: -(target.bar or 0))
    largest = max(ranked[0].bar or 0, diagnosis.judgement.accuracy)
    errors = {error.name: error for error in diagnosis.accuracy.target_errors} if diagnosis.accuracy else {}
    rows = []
    for target in ranked[:ROWS]:
        width = BAR * (target.bar or 0) / largest
        bar = f'{meV(target.bar or 0)} <span class="size"><span style="width:{width:.2f}em"></span></span>'
        error = errors.get(target.name)
        cells = [_name(diagnosis, target.name), bar, _cause(target.cause, "determined"), _largest(target)]
        cells += [] if not errors else ["", ""] if error is None else [f"{1e3 * error.error:+.1f}", _cause(error.cause)]
        rows.append(_row(cells, "open" if target.open else ""))
    limit = f"open above {meV(diagnosis.judgement.accuracy)}"
    head = ["structure", f"error bar (meV/atom), {limit}", "cause", "largest bar of its atoms (meV)"]
    head += ["error of the model (meV/atom)", "cause"] if errors else []
    return _table(head, rows, len(ranked))


def _largest(target: Target) -> str:
    return meV(max(target.bar_atoms or (0,)))


def _unlabelled_table(diagnosis: Diagnosis, targets: Sequence[Target]) -> str:
    """Return the table of the open parts of variances."""
    ranked = sorted(targets, key=lambda target: -target.unknown_energy)
    cells = [(_name(diagnosis, t.name), percent(t.unknown_energy), percent(t.null_fraction)) for t in ranked]
    return _table(("structure", "open part of its energy", "free by clusters"), map(_row, cells[:ROWS]), len(cells))


def _next(diagnosis: Diagnosis, found: Verdict) -> list[str]:
    """Return what to do next, with suggestions and candidates and what is reached with each and those before it."""
    judgement = diagnosis.judgement
    if judgement.targets is not None and not judgement.undetermined_targets:
        actions = found.actions or ["nothing has to be added for these targets"]
        return ["<h2>What to do next</h2>", _list(actions)]
    parts = ["<h2>What to do next</h2>"]
    if judgement.suggestions:
        file = judgement.suggestions[0].name.rpartition(", structure ")[0]
        where = f"that are written to {file}" if file else "in the files that are named below"
        parts.append(_list([f"calculate energies and forces of the structures {where}, and add them to the data"]))
        parts.append(_additions(diagnosis, "structures that were made, those to add first", judgement.suggestions))
    if judgement.candidates:
        parts.append(_additions(diagnosis, "candidates, those to add first", judgement.candidates))
    if not judgement.candidates and not judgement.suggestions:
        parts.append(_list(found.actions))
    return parts


def _additions(diagnosis: Diagnosis, title: str, ranked: Sequence[Candidate]) -> str:
    """Return a table of structures to add; those at its end that would change little are left out."""
    useful = 1 + next(k for k, row in enumerate(ranked) if row.left < ranked[-1].left + LITTLE)
    head = [title, "left of what is open, in total"]
    bars = ranked[0].mends is not None
    rows = []
    for row in ranked[:useful]:
        cells = [for_html(described(diagnosis, row), PATH), percent(row.left)]
        if row.mends is not None:
            cells += [f"{meV(row.mends.before)} to {meV(row.mends.after)}", _name(diagnosis, row.mends.name)]
        rows.append(_row(cells))
    head += ["error bar (meV/atom)", "of the target"] if bars else []
    return _table(head, rows[:ROWS], len(ranked))


def _model(diagnosis: Diagnosis, found: Verdict) -> list[str]:
    accuracy = diagnosis.accuracy
    if accuracy is None:
        return []
    parts = ["<h2>The model</h2>", _list(found.model)]
    if accuracy.invariants:
        points = sorted(accuracy.invariants, key=lambda point: (not point.counts, -abs(point.delta)))
        rows = [_row(_invariant_cells(diagnosis, point)) for point in points[:ROWS]]
        head = ("invariant point", "atomic energy - E/N (meV)", "error bar (meV)", "cause", "tests the mapping")
        parts.append(_table(head, rows, len(points)))
    if diagnosis.partition.undetermined_offsets:
        clusters = accuracy.split.clusters
        cells = [(for_html(c.name), f"{1e3 * c.determined:+.1f}", f"{1e3 * c.undetermined:+.1f}") for c in clusters]
        titles = ("mean energy of a cluster, less its element's", "determined part (meV)", "free part (meV)")
        parts.append(_table(titles, map(_row, cells[:ROWS]), len(cells)))
    return parts


def _invariant_cells(diagnosis: Diagnosis, point: InvariantPoint) -> tuple[str, ...]:
    bar = "" if point.bar is None else meV(point.bar)
    tests = "yes" if point.counts else "no"
    return _name(diagnosis, point.name), f"{1e3 * point.delta:+.1f}", bar, _cause(point.cause), tests


def _cause(cause: str | None, without: str = "") -> str:
    """Return a cause as a link to its explanation."""
    return f'<a href="#{_anchor(cause)}">{cause}</a>' if cause else without


def _table(head: Sequence[str], rows: Iterable[str], total: int) -> str:
    """Return a table of at most ROWS rows, which scrolls on a narrow screen."""
    names = "".join(f"<th>{_linked(name)}</th>" for name in head)
    shown = list(rows)
    more = f"<p>and {total - len(shown)} more</p>" if total > len(shown) else ""
    return f'<div class="scroll"><table><tr>{names}</tr>{"".join(shown)}</table></div>{more}'


def _row(cells: Iterable[str], kind: str = "") -> str:
    return f'<tr class="{kind}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _name(diagnosis: Diagnosis, name: str) -> str:
    return for_html(titled(diagnosis, name), PATH)


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_linked(sentence(line))}</li>' for line in lines)}</ul>"


def _linked(line: str) -> str:
    """Return a line as HTML whose first mention of each term is a link to its explanation."""
    text = for_html(line, MESSAGE)
    words = "|".join(sorted((re.escape(term) for term in TERMS if term not in COMMON), key=len, reverse=True))
    seen: set[str] = set()

    def link(match: re.Match[str]) -> str:
        term = next(term for term in TERMS if term.lower() == match[1].lower())
        if term in seen:
            return match[0]
        seen.add(term)
        return f'<a href="#{_anchor(term)}">{match[0]}</a>'

    return re.sub(rf"(?<![\w./&-])({words})s?(?![\w./-])", link, text, flags=re.IGNORECASE)


def _anchor(term: str) -> str:
    return "term-" + term.replace(" ", "-").lower()


def _terms() -> str:
    terms = "".join(
        f'<dt id="{_anchor(term)}">{for_html(term)}</dt><dd>{for_html(text, MESSAGE)}</dd>'
        for term, text in TERMS.items()
    )
    return f"<h2>Terms</h2><dl>{terms}</dl>"


def _picture(path: Path, shows: str) -> str:
    """Return a picture in tiles, which stand below each other on a narrow screen, with what it shows."""
    title = for_html(TITLES[path.stem], MESSAGE)
    images = (f"data:image/png;base64,{base64.b64encode(tile).decode()}" for tile in cut(path))
    tiles = "".join(f'<img alt="{title}" src="{image}">' for image in images)
    return f'<h3>{title}</h3><p>{_linked(shows)}</p><div class="tiles">{tiles}</div>'
