"""Training runs inside an experiment, and files of generated structures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..config import Config
from ..io.extxyz import write_structures
from ..potential import Potential
from ..structures import Structure
from ..training.run import train
from .frame import Folder


def trained(folder: Folder, name: str, config: Config) -> tuple[Potential, dict[str, Any]]:
    """Return the potential of a run in the folder `name`, and its `errors.json`; an interrupted run continues."""
    out = folder.path / name

    def run() -> Any:
        folder.reporter.say(f"training {name}")
        train(config, out, resume=True, reporter=folder.reporter)
        return json.loads((out / "errors.json").read_text(encoding="utf-8"))

    errors = folder.part(f"errors-{name}", run)
    return Potential.load(out / "potential"), errors


def networks(
    folder: Folder, name: str, data: Sequence[Structure], test: Sequence[Structure], seeds: int, iterations: int
) -> list[tuple[Potential, dict[str, Any]]]:
    """Write training and test set to `NAME.xyz` and `NAME-test.xyz`, and return what `trained` does for each seed."""
    files = {"train": f"{name}.xyz", "test": f"{name}-test.xyz"}
    for file, structures in zip(files.values(), (data, test), strict=True):
        write_structures(folder.path / file, structures)
    tables = [{"data": files, "training": {"iterations": iterations, "seed": seed}} for seed in range(seeds)]
    configs = [Config.parse(table).relative_to(folder.path) for table in tables]
    return [trained(folder, f"{name}-{seed}", config) for seed, config in enumerate(configs)]
