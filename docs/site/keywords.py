"""The keywords of input.nn, from the table that the reader uses."""

from itertools import groupby

from sitewise import _core


def markdown() -> str:
    lines = ["| status | keywords | reason |", "|---|---|---|"]
    for (status, reason), rows in groupby(_core.keywords(), key=lambda row: row[1:]):
        names = ", ".join(f"`{name}`" for name, *_ in rows)
        lines.append(f"| {status} | {names} | {reason} |")
    return "\n".join(lines)
