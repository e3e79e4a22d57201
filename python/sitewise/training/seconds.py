"""Seconds that a run spends."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from ..ranks import Ranks


class Seconds(NamedTuple):
    """Seconds of the clock, and of the CPU of all ranks together."""

    wall: float
    cpu: float

    @classmethod
    def now(cls, ranks: Ranks) -> Seconds:
        """Read the clocks; they have no common zero, only differences have a meaning."""
        return cls(time.monotonic(), ranks.usage().cpu_seconds)


@dataclass(eq=False)
class Stopwatch:
    """Measures what a run has spent, its earlier parts included.

    Attributes
    ----------
    ranks
        The ranks of the run.
    spent
        Seconds of the parts before this one.
    began
        The clocks at the beginning of this part.
    at_once
        Number of replicas that run at the same time and share the CPU seconds.
    """

    ranks: Ranks
    spent: Seconds
    began: Seconds
    at_once: int

    def wall(self) -> float:
        return self.spent.wall + time.monotonic() - self.began.wall

    def cpu(self) -> float:
        return self.spent.cpu + (self.ranks.usage().cpu_seconds - self.began.cpu) / self.at_once

    def restart(self) -> None:
        """Begin this part now."""
        self.began = Seconds.now(self.ranks)
