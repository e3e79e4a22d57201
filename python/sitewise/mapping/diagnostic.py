"""The base of all diagnostics, and their form in the JSON file."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any


class Diagnostic:
    """Base of the results of a diagnosis: frozen dataclasses whose fields are keys of the JSON file, in this order.

    A field that defaults to None is left out where it is None; None in any other field is null.

    A new diagnostic touches three places: its own module, with a subclass of this one and the function that computes
    it; a field of `Diagnosis` and the call in `diagnose`; the sentence in `verdict`. The JSON file follows.
    """

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as dictionaries, lists, numbers and strings."""
        found: dict[str, Any] = _plain(self)
        return found


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        pairs = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: _plain(x) for field, x in pairs if x is not None or field.default is not None}
    if isinstance(value, dict):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(x) for x in value]
    return value
