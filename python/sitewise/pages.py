"""Simple pages of results: one HTML file that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from .files import write_text

STYLE = """
body { font: 16px/1.5 sans-serif; color: #222; max-width: 1100px; margin: 1em auto; padding: 0 1em }
table { border-collapse: collapse }
td, th { padding: .15em .8em .15em 0; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } .scroll { overflow-x: auto } img { max-width: 100%; height: auto }
.note { color: #b04000 }
"""


def write_page(path: Path, title: str, body: Sequence[str]) -> None:
    """Write a page from lines of HTML; the browser loads nothing from elsewhere and runs no script."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{title}</title><style>{STYLE}</style>"
    )
    content = "\n".join([*body, f"<p>sitewise {version('sitewise')}</p>"])
    write_text(path, f"<!DOCTYPE html>\n<html lang='en'><head>{head}</head><body>\n{content}\n</body></html>\n")
