"""The public names of the package, from their docstrings."""

import inspect

import sitewise


def markdown() -> str:
    names = [name for name in sitewise.__all__ if not name.startswith("_")]
    return "\n".join(["```{eval-rst}", *(directive(name) for name in names), "```"])


def directive(name: str) -> str:
    value = getattr(sitewise, name)
    if not inspect.isclass(value):
        return f".. autofunction:: sitewise.{name}\n"
    if issubclass(value, Exception):
        return f".. autoexception:: sitewise.{name}\n"
    return f".. autoclass:: sitewise.{name}\n   :members:\n"
