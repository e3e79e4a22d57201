"""Builds the site into a folder, by default build/site. Warnings are errors, and so are links within the site that lead
nowhere, anchors included.

    python docs/site/build.py [FOLDER]
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.cmd.build import main as sphinx_build

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Page(HTMLParser):
    """The links of a page, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.add(value)
            elif value and name in ("id", "name"):
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            missing = not target.exists() or (target in pages and parts.fragment not in pages[target].anchors)
            if not parts.scheme and missing:
                broken.append(f"{path.relative_to(site)}: {link}")
    return sorted(broken)


def main(site: Path) -> int:
    if status := sphinx_build(["-q", "-E", "-W", "--keep-going", "-c", str(HERE), str(ROOT), str(site)]):
        return status
    broken = broken_links(site)
    print("\n".join(f"broken link in {link}" for link in broken) or f"the site is in {site}")
    return len(broken) > 0


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:] or [ROOT / "build" / "site"]).resolve()))
