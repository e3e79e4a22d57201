"""The tables of RUN.toml, from the model that checks it."""

import json
from collections.abc import Iterator
from typing import Any

from sitewise.config import RECIPES, Config

SCHEMA = Config.model_json_schema()


def markdown() -> str:
    return "\n".join([*tables("", SCHEMA, SCHEMA["$defs"]), *recipes()])


def tables(path: str, schema: dict[str, Any], models: dict[str, Any]) -> Iterator[str]:
    """A section for each table below this one."""
    for name, value in schema["properties"].items():
        if "$ref" in value:
            below = models[value["$ref"].rpartition("/")[2]]
            yield from ["", f"## [{path}{name}]", "", below["description"], "", "| key | type | default | meaning |"]
            yield "|---|---|---|---|"
            yield from (row(*item) for item in below["properties"].items() if "$ref" not in item[1])
            yield from tables(f"{path}{name}.", below, models)


def row(key: str, value: dict[str, Any]) -> str:
    default = value.get("default")
    shown = "" if default is None else f"`{json.dumps(default)}`"
    return f"| `{key}` | {kind(value)} | {shown} | {' '.join(value['description'].split())} |"


def kind(value: dict[str, Any]) -> str:
    """A type in words."""
    if "anyOf" in value:
        return " or ".join(kind(item) for item in value["anyOf"] if item["type"] != "null")
    if "enum" in value:
        return ", ".join(f'`"{item}"`' for item in value["enum"])
    if value["type"] == "array":
        return f"list of {kind(value['items'])}s"
    if value["type"] == "object":
        return f"table of {kind(value['additionalProperties'])}s"
    return str(value["type"])


def recipes() -> Iterator[str]:
    keys = [key for key in SCHEMA["$defs"]["Training"]["properties"] if key in RECIPES["default"]]
    cells = {"recipe": [f"`{key}`" for key in keys], "---": ["---"] * len(keys)}
    cells |= {f"`{name}`": [f"`{json.dumps(values[key])}`" for key in keys] for name, values in RECIPES.items()}
    yield from ["", "## Recipes", ""]
    yield from (f"| {' | '.join([head, *row])} |" for head, row in cells.items())
