"""The tables of GROW.toml that RUN.toml does not have, from the model that checks it."""

from run_toml import tables

from sitewise.config import Config
from sitewise.growing.settings import GrowConfig

SCHEMA = GrowConfig.model_json_schema()


def markdown() -> str:
    own = {name: value for name, value in SCHEMA["properties"].items() if name not in Config.model_fields}
    return "\n".join(tables("", {"properties": own}, SCHEMA["$defs"]))
