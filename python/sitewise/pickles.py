"""Pickles of Python objects, for copies and for other processes of this version; they are not a file format."""

from __future__ import annotations

from typing import Any, TypeVar

from . import _core
from ._core import Error

VERSION = _core.info()["version"]

T = TypeVar("T")


def pickled(kind: type[T], values: dict[str, Any]) -> tuple[Any, ...]:
    """Return what `__reduce__` must return for an object with these attributes."""
    return restored, (VERSION, kind, values)


def restored(version: str, kind: type[T], values: dict[str, Any]) -> T:
    """Make the object again; raise Error if another version made the pickle, as the extension does."""
    if version != VERSION:
        raise Error(f"a pickle of sitewise {version} cannot be read by sitewise {VERSION}")
    made = kind.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)  # works for frozen classes too
    return made
