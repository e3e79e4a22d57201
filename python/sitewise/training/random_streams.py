"""Random numbers of a run: streams of one seed."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for; each purpose has a stream of its own."""

    SPLIT = 0
    WEIGHTS = 1
    BATCHES = 2
    LOGGED = 3
    CURVATURE = 4
    POSTERIOR = 5
    COPIES = 6  # of structures that a student learns from
    OFFSETS = 7  # of atomic energies that replicas are pulled to
    EXPLORATION = 8  # velocities of a growth's trajectories
    CHOICE = 9  # of structures to label at random
    HELD_OUT = 10  # of the labels of a growth
    SUBSET = 100  # of the structures of a learning curve


def random_numbers(seed: int, stream: Stream, *numbers: int) -> np.random.Generator:
    """Return the random numbers of a purpose, at the same numbers (as epoch or iteration) always the same ones."""
    return np.random.default_rng([seed, stream, *numbers])
