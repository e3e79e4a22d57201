"""Training and test data of a run: read, split and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Error
from ..config import Data, Training
from ..evaluation.label_units import implausible_stress
from ..io.dataset import Dataset
from ..io.labels import by_source, require_one_source
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import by_atomic_number
from ..text import PATH, printable
from .consistency import inconsistencies
from .weights import require_weights

if TYPE_CHECKING:
    from ase import Atoms


def read_data(
    table: Data, rng: np.random.Generator, reporter: Reporter, ranks: Ranks | None = None
) -> tuple[Dataset, Dataset]:
    """Read training and test data; `rng` chooses what is held out, and ranks share the work.

    Raises
    ------
    Error
        A file is bad, the test data have an element that no training structure has, or their labels have another
        source.
    """
    everything = Dataset.read(table.train, reporter=reporter, ranks=ranks, **table.reading())
    if isinstance(table.test, list):
        test = Dataset.read(table.test, reporter=reporter, ranks=ranks, **table.reading())
        return _with_test(everything, test, table.mixed_labels, reporter)
    return _divided(everything, table.test, rng, reporter)


def given_data(
    everything: Dataset, test: Dataset | float, rng: np.random.Generator, reporter: Reporter
) -> tuple[Dataset, Dataset]:
    """Return training and test data of structures in memory, as `read_data`.

    Raises
    ------
    Error
        There are no labels, and as `read_data`.
    """
    everything.require_labels()
    if isinstance(test, Dataset):
        return _with_test(everything, test, False, reporter)
    require_one_source(everything.counts_by_source(), "the structures to train on")
    return _divided(everything, test, rng, reporter)


def split_validation(
    table: Data, train: Dataset, test: Dataset, rng: np.random.Generator, reporter: Reporter
) -> tuple[Dataset, Dataset]:
    """Return what is left to train on, and the validation data: files, or a part of the training data; none if not
    asked for.

    Raises
    ------
    Error
        As `read_data`.
    """
    given = table.validation
    if isinstance(given, list):
        validation = Dataset.read(given, reporter=reporter, **table.reading())
        _check_held_out(train, validation, "validation", table.mixed_labels, reporter)
    elif given == 0:
        return train, Dataset([])
    else:
        train, validation = _parts(train, given, "for validation", rng, reporter)
    _warn_of_shared(validation, test, reporter)
    return train, validation


def _with_test(everything: Dataset, test: Dataset, mixed: bool, reporter: Reporter) -> tuple[Dataset, Dataset]:
    _check_held_out(everything, test, "test", mixed, reporter)
    return everything, test


def _check_held_out(train: Dataset, held_out: Dataset, name: str, mixed: bool, reporter: Reporter) -> None:
    unknown = set(held_out.elements) - set(train.elements)
    if unknown:
        raise Error(f"[data] {name} has {', '.join(sorted(unknown))}, which no training structure has")
    if not mixed:
        both = chain(train.facts(), held_out.facts())
        require_one_source(by_source(dict(facts.sources) for facts in both), f"[data] train and {name}")
    _warn_of_shared(train, held_out, reporter, name)


def _divided(
    everything: Dataset, fraction: float, rng: np.random.Generator, reporter: Reporter
) -> tuple[Dataset, Dataset]:
    if fraction == 0:
        return everything, Dataset([])
    return _parts(everything, fraction, "held out", rng, reporter)


def _parts(
    everything: Dataset, fraction: float, purpose: str, rng: np.random.Generator, reporter: Reporter
) -> tuple[Dataset, Dataset]:
    train, test = everything.split(fraction, rng)
    reporter.say(f"{len(train)} structures to train on, {len(test)} {purpose}")
    missing = set(everything.elements) - set(train.elements)
    if missing:
        raise Error(f"no structure with {', '.join(sorted(missing))} is left to train on, choose another seed")
    _warn_of_shared(train, test, reporter)
    return train, test


def _warn_of_shared(known: Dataset, held_out: Dataset, reporter: Reporter, name: str = "test") -> None:
    """Warn of held-out structures that are trained on, since their errors show nothing about others."""
    coordinates = {_coordinates(s.atoms) for s in known}
    shared = [s.source for s in held_out if _coordinates(s.atoms) in coordinates]
    if shared:
        reporter.warn(
            f"{len(shared)} of {len(held_out)} {name} structures are also trained on, which makes {name} errors too "
            f"small; the first is {shared[0]}"
        )


def _coordinates(atoms: Atoms) -> bytes:
    """Return what two structures have in common only if they are the same."""
    digest = hashlib.sha256(repr(len(atoms)).encode())
    for x in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc):
        digest.update(np.asarray(x).tobytes())
    return digest.digest()


def check_data(train: Dataset, test: Dataset, settings: Training, reporter: Reporter) -> list[dict[str, Any]]:
    """Check labels and groups, and return what `inconsistencies` finds in the training data.

    Raises
    ------
    Error
        A weight is given for a label that no training structure has, or for a group that no structure has.
    """
    check_labels(train, settings, reporter)
    require_weights(train, settings)
    suspicious = inconsistencies(train)
    for found in suspicious:
        reporter.warn(found["sentence"])
    _check_groups(settings, [*train.groups, *test.groups])
    return suspicious


def _check_groups(settings: Training, groups: Sequence[str]) -> None:
    unknown = set(settings.group_weights) - set(groups)
    if unknown:
        raise Error(
            f"[training] group_weights: no structure has the group {printable(', '.join(sorted(unknown)), PATH)}, "
            f"there are {printable(', '.join(dict.fromkeys(groups)), PATH)}"
        )


def stress_is_doubtful(data: Dataset, suspicious: Sequence[dict[str, Any]]) -> bool:
    """Test whether a check of the labels has warned of the stresses; `suspicious` is what `check_data` returned."""
    return implausible_stress(data) is not None or any(found["kind"] == "stress" for found in suspicious)


def check_labels(data: Dataset, settings: Training, reporter: Reporter) -> None:
    """Report what the training structures do not have.

    Raises
    ------
    Error
        A weight is given for a label that no structure has.
    """
    hint = "".join(f"; {sentence}" for sentence in data.unused_labels())
    for weight, label in (("force_weight", "forces"), ("stress_weight", "stress")):
        value = getattr(settings, weight)
        if not value or data.count(label):
            continue
        lack = f"no training structure has {'a stress' if label == 'stress' else label}"
        if weight in settings.model_fields_set:
            raise Error(f"[training] {weight} is {value:g}, but {lack}{hint}")
        reporter.say(f"{lack}: only the other labels count")
    if data.count("stress") and settings.stress_weight == 0:
        reporter.say(f"{data.count('stress')} stresses are not trained on: stress_weight is 0")
    stress = implausible_stress(data)
    if stress:
        reporter.warn(stress)
    if not data.count("energy"):
        reporter.warn(f"no training structure has an energy: only differences of energies will have a meaning{hint}")
        return
    known = {facts.elements for facts in data.facts() if "energy" in facts.labels}
    unknown = set(data.elements).difference(*known)
    if unknown:
        names = ", ".join(by_atomic_number(sorted(unknown)))
        reporter.warn(f"no structure with {names} has an energy: total energies of structures with it are arbitrary")
