"""The types of symmetry functions and their columns in input.nn, from the table that the reader uses."""

from sitewise import _core


def markdown() -> str:
    types = ["| type | kind | columns |", "|---|---|---|"]
    for kind in _core.function_types():
        words = ["weighted"] * kind.weighted + ["compact"] * kind.compact + [kind.shape]
        types.append(f"| {kind.number} | {' '.join(words)} | `{' '.join(kind.columns)}` |")
    columns = ["| column | meaning |", "|---|---|"]
    columns += [f"| `{name}` | {meaning} |" for name, meaning in _core.function_columns()]
    return "\n".join([*types, "", *columns])
