"""The state of a training run, and its file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._core import Error
from ..files import atomic
from ..structures import Floats
from ..text import PATH, printable

MEMORY = "memory."
MOST_ARRAYS = 30


@dataclass(eq=False)
class State:
    """The state of a run at an iteration.

    Attributes
    ----------
    theta
        Parameters [n].
    memory
        Arrays of the optimiser.
    best_theta, best_loss, best_iteration
        Parameters, loss and iteration of the log point with the lowest loss, of held-out data where there are any.
    iteration
        Number of finished iterations.
    stopped
        Whether the run ended early.
    cpu_seconds, wall_seconds
        Time spent so far, by all processes of the run.
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
        """Return the state before the first iteration."""
        return cls(theta.copy(), memory, theta.copy())

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Write the state and what identifies the run; arrays only, no pickle."""
        values = {**vars(self), "log": np.array(self.log, dtype=np.float64)}
        values |= {MEMORY + name: array for name, array in values.pop("memory").items()}
        with atomic(path) as temporary:
            np.savez(temporary, identity=np.array(json.dumps(identity)), **values)

    @classmethod
    def load(cls, path: Path, identity: dict[str, Any]) -> State:
        """Read a state.

        Raises
        ------
        Error
            The file is damaged, or from a run with another identity; names the differences.
        """
        try:
            values = _arrays(path)
            found = dict(json.loads(str(values.pop("identity"))))
            log = values.pop("log").tolist()
            memory = {n.removeprefix(MEMORY): values.pop(n) for n in list(values) if n.startswith(MEMORY)}
            state = cls(**{n: v.item() if v.ndim == 0 else v for n, v in values.items()}, memory=memory, log=log)
            state._check_kinds()
        except Exception as error:  # zipfile and numpy raise whatever they stumble on
            reason = printable(error, PATH) or type(error).__name__
            raise Error(f"{path}: is not a checkpoint of this version of sitewise: {reason}") from None
        same = {key for key in found if key in identity and found[key] == identity[key]}
        changed = sorted({*found, *identity} - same)
        if changed:
            what = (f"{key} was {found.get(key)}, is {identity.get(key)}" for key in changed)
            raise Error(f"{path.parent}: cannot be resumed, it holds another run: {'; '.join(map(printable, what))}")
        return state

    def require(self, path: Path, size: int, dimensions: Mapping[str, int], columns: int) -> None:
        """Check that the state in a file has `size` parameters, a memory of the optimiser with these dimensions, and a
        log of so many columns.

        Raises
        ------
        Error
            It has not.
        """
        shapes = {name: (array.ndim, array.shape[-1:]) for name, array in self.memory.items()}
        expected = {name: (count, (size,) if count else ()) for name, count in dimensions.items()}
        tables = {array.shape for array in self.memory.values() if array.ndim > 1}
        fits = self.theta.size == self.best_theta.size == size and shapes == expected and len(tables) <= 1
        if not fits or any(len(row) != columns for row in self.log):
            raise Error(f"{path}: is not a checkpoint of this version of sitewise: its arrays have other shapes")

    def _check_kinds(self) -> None:
        """Raise ValueError where something is not what `save` wrote."""
        vectors = (self.theta, self.best_theta)
        whole = all(vector.ndim == 1 and np.isfinite(vector).all() for vector in vectors)
        numbers = all(array.dtype == np.float64 for array in (*vectors, *self.memory.values()))
        rows = all(isinstance(row, list) and all(isinstance(x, float) for x in row) for row in self.log)
        counts = all(type(count) is int and count >= 0 for count in (self.iteration, self.best_iteration))
        seconds = all(isinstance(x, float) for x in (self.best_loss, self.cpu_seconds, self.wall_seconds))
        if not (whole and numbers and rows and counts and seconds and isinstance(self.stopped, bool)):
            raise ValueError("its arrays have other types")


def _arrays(path: Path) -> dict[str, Any]:
    """Read the arrays of a file. They are not compressed, so none is larger than the file."""
    with path.open("rb") as file:  # numpy leaves a file open that it opened itself and cannot read
        with zipfile.ZipFile(file) as members:
            names = [member.filename for member in members.infolist()]
            if any(member.compress_type != zipfile.ZIP_STORED for member in members.infolist()):
                raise ValueError("it is compressed")
        if len(set(names)) != len(names) or len(names) > MOST_ARRAYS:
            raise ValueError("it has too many arrays")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
