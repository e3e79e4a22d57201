"""The commands, from the application that runs them."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from sitewise.cli import app


def markdown() -> str:
    group = typer.main.get_command(app)
    with group.make_context("sitewise", ["info"]) as parent:
        return "\n".join(line for name, command in group.commands.items() for line in section(name, command, parent))


def section(name: str, command: Any, parent: Any) -> Iterator[str]:
    context = command.context_class(command, parent=parent, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ").strip()
    yield from ["", f"## sitewise {name}", "", "```text", usage, "```", "", inspect.cleandoc(command.help), ""]
    yield from ["| argument or option | meaning |", "|---|---|"]
    for parameter in command.get_params(context):
        names, meaning = parameter.get_help_record(context) or ("", "")
        if meaning and "--help" not in names:
            yield f"| `{plain(names)}` | {plain(meaning).replace('[', '&#91;')} |"


def plain(text: str) -> str:
    """A cell of a table; types without Python's notation."""
    return re.sub(r"list\[(\w+)\]", r"\1", text).replace(" range>", ">").replace("|", r"\|").strip()
