"""The state of a training run, on disk and back."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ._core import Error
from .files import atomic
from .structures import Floats

MEMORY = "memory."


@dataclass(eq=False)
class State:
    """All that a run knows at an iteration.

    Attributes
    ----------
    theta
        Parameters [n].
    memory
        Arrays of the optimiser.
    best_theta, best_loss, best_iteration
        Those of the lowest loss at a log point, of the held-out data where there are any.
    iteration
        Number of finished iterations.
    stopped
        Whether the run ended early.
    cpu_seconds, wall_seconds
        Spent so far, by all processes of the run.
    log
        Rows of `log.csv`.
    """

    theta: Floats
    memory: dict[str, Floats]
    best_theta: Floats
    best_loss: float = np.inf
    best_iteration: int = 0
    iteration: int = 0
    stopped: bool = False
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    log: list[list[float]] = field(default_factory=list)

    @classmethod
    def start(cls, theta: Floats, memory: dict[str, Floats]) -> State:
        return cls(theta.copy(), memory, theta.copy())

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Writes the state and what identifies the run; arrays only, no pickle."""
        values = {**vars(self), "log": np.array(self.log, dtype=np.float64)}
        values |= {MEMORY + name: array for name, array in values.pop("memory").items()}
        with atomic(path) as temporary:
            np.savez(temporary, identity=np.array(json.dumps(identity)), **values)

    @classmethod
    def load(cls, path: Path, identity: dict[str, Any]) -> State:
        """Reads a state.

        Raises
        ------
        Error
            If the file is damaged or from a run with another identity; names the differences.
        """
        try:
            # numpy leaves a file open that it opened itself and cannot read.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                values = {name: arrays[name] for name in arrays.files}
            found = json.loads(str(values.pop("identity")))
            log = values.pop("log").tolist()
            memory = {n.removeprefix(MEMORY): values.pop(n) for n in list(values) if n.startswith(MEMORY)}
            state = cls(**{n: v.item() if v.ndim == 0 else v for n, v in values.items()}, memory=memory, log=log)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise Error(f"{path}: is not a checkpoint of this version of sitewise: {error}") from None
        changed = sorted(key for key in {*found, *identity} if found.get(key) != identity.get(key))
        if changed:
            what = "; ".join(f"{key} was {found.get(key)}, is {identity.get(key)}" for key in changed)
            raise Error(f"{path.parent}: cannot be resumed, it holds another run: {what}")
        return state
