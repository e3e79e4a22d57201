"""Sphinx builds the site from the repository's Markdown pages, which link to each other by their paths, and from pages
under docs/reference whose contents the modules beside this file make."""

import importlib
import json
import shutil
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent))

from sitewise import __version__
from sitewise.config import Config

project = "sitewise"
release = __version__
copyright = "the sitewise developers"
html_title = f"sitewise {release}"

root_doc = "README"  # the front page here as on a host of the repository
include_patterns = ["*.md", "docs/*.md", "docs/*/*.md", "examples/README.md", "examples/*/README.md"]
include_patterns += ["benchmarks/*.md", "fuzz/*.md", "tests/mutation/*.md"]
exclude_patterns = [".*", "build", "dist"]
# Tables of contents, which are not part of the pages on a host of the repository: captions and pages.
USE = ["docs/get-started", "docs/how-to", "docs/atomic-energy-mapping", "docs/explanation", "docs/checks"]
REFERENCE = ["docs/reference", *(f"docs/reference/{name}" for name in ("command-line", "run-toml", "grow-toml", "*"))]
DEVELOPMENT = [
    "CONTRIBUTING",
    "docs/development/architecture",
    "docs/development/*",
    "benchmarks/*",
    "fuzz/*",
    "tests/mutation/*",
    "CHANGELOG",
]
EXAMPLES = ["train-and-use", "mapping", "lammps", "md-cpp", "from-other-codes", "si-dft"]
TREES = {
    root_doc: {
        "Use": USE,
        "Examples": ["examples/README"],
        "Reference": REFERENCE,
        "Development": DEVELOPMENT,
    },
    "examples/README": {"": [f"{name}/README" for name in EXAMPLES]},
}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a page may begin below the first level
default_role = "code"  # `name` in docstrings and in comments of headers

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False

html_theme = "furo"
html_copy_source = False


class Generated(SphinxDirective):
    """The Markdown that `markdown()` of a module beside this file returns."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        self.env.note_dependency(module.__file__)
        return self.parse_text_to_nodes(module.markdown(), allow_section_headings=True)


def add_trees(_app: Sphinx, docname: str, source: list[str]) -> None:
    for caption, pages in TREES.get(docname, {}).items():
        options = [":hidden:", ":glob:", f":caption: {caption}" if caption else ""]
        source[0] += "\n".join(["\n\n```{toctree}", *options, "", *pages, "```\n"])


def finish(app: Sphinx, failure: Exception | None) -> None:
    if failure is None and app.builder.format == "html":
        shutil.copy(app.outdir / f"{root_doc}.html", app.outdir / "index.html")
        schema = json.dumps(Config.model_json_schema(), indent=1, ensure_ascii=False)
        (app.outdir / "run.schema.json").write_text(schema, encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.add_directive("generated", Generated)
    app.connect("source-read", add_trees)
    app.connect("build-finished", finish)
