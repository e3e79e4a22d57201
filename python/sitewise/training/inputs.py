"""What a training run starts from: data with features, the first potential, its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from ..config import Config, Training
from ..features.selection import choose_functions, unselected_functions, useless_functions
from ..features.source import FeatureSource
from ..features.training_set import TrainingSet
from ..io.dataset import Dataset
from ..mapping.gdf import gdf_weights
from ..potential import Device, Potential
from ..presets import closest_distances
from ..progress import Reporter
from ..ranks import Ranks
from ..structures import Floats
from ..symmetry import SymmetryFunctions, only_here
from .baseline import (
    atom_energies,
    digest_of_tables,
    make_baseline,
    require_covered,
    settled_baseline,
    without_baseline,
)
from .best_functions import best_functions
from .cutoffs import settled_cutoff
from .data import check_data, read_data, split_validation, stress_is_doubtful
from .free_atoms import moved_to_free_atoms, with_free_atoms
from .linear_fits import linear_fits
from .log import LOG_COLUMNS, VALIDATION_COLUMNS
from .monitoring import Monitor, make_monitor
from .parameters import Parameters, first_parameters, initial_potential
from .prepared import PreparedData
from .random_streams import Stream, random_numbers
from .seconds import Seconds
from .settled import chosen_by_fits, settled
from .warm_start import frozen, read_start, require_same, widened
from .weights import digest_of_weights

OnLog = Callable[[dict[str, float]], None]
LOGGED_TRAIN, LOGGED_TEST = 50, 1000  # structures that log points look at, always the same ones


class Logged(NamedTuple):
    """Structures that log points look at."""

    train: list[int]
    test: list[int]
    validation: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What the replicas of a run share.

    Attributes
    ----------
    config
        See `train`, with a value for each setting that follows from the data.
    reporter, ranks
        See `train`.
    began
        The clocks at the beginning.
    baseline
        What the networks are added to; None if there is nothing.
    suspicious
        Labels of the training data that do not agree with each other, see `inconsistencies`.
    functions
        The symmetry functions that are left.
    train, test, validation
        The data with their features and derivatives; there may be no validation data.
    fit
        The linear fit that the trained potential is averaged with; None without.
    potential
        The potential before training; its weights are 0.
    parameters
        Coordinates of the optimiser.
    first
        Their values at the start, of the potential that the run starts from; None if they are random.
    hashes
        SHA-256 of each data set by its name.
    logged
        Structures that log points look at.
    monitor
        Follows the invariant points; None without any.
    on_log
        See `train`.
    """

    config: Config
    reporter: Reporter
    ranks: Ranks
    began: Seconds
    baseline: _core.Baseline | None
    suspicious: list[dict[str, Any]]
    functions: SymmetryFunctions
    train: PreparedData
    test: PreparedData
    validation: PreparedData
    fit: _core.Potential | None
    potential: _core.Potential
    parameters: Parameters
    first: Floats | None
    hashes: dict[str, str]
    logged: Logged
    monitor: Monitor | None
    on_log: OnLog | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `log.csv`."""
        return (*self.columns_of_errors, *(self.monitor.columns if self.monitor else ()))

    @property
    def columns_of_errors(self) -> tuple[str, ...]:
        """Names of the columns of `log.csv` before those of the invariant points."""
        return (*LOG_COLUMNS, *(VALIDATION_COLUMNS if len(self.validation.data) else ()))

    @property
    def held_out(self) -> dict[str, PreparedData]:
        """Held-out data by their names, first those that judge a run."""
        sets = {"validation": self.validation, "test": self.test}
        return {name: data for name, data in sets.items() if len(data.data)}

    @property
    def iterations(self) -> int:
        """Length of a run."""
        return self.config.training.total_iterations(len(self.train.data))

    @property
    def at_once(self) -> int:
        """Return how many replicas run at the same time: all of them, or one if ranks share the structures or a device
        computes."""
        return self.config.training.replicas if self.ranks.size == 1 and self.potential.device == "cpu" else 1


def make_inputs(
    config: Config,
    reporter: Reporter,
    data: tuple[Dataset, Dataset] | None = None,
    ranks: Ranks | None = None,
    device: Device = "cpu",
) -> Inputs:
    """Read and check the data, compute their features, and make the first potential.

    Parameters
    ----------
    config, reporter, data, ranks, device
        See `train`.

    Raises
    ------
    Error
        For bad input, see `train`.
    """
    ranks = ranks or Ranks()
    began = Seconds.now(ranks)
    chance = random_numbers(config.training.seed, Stream.SPLIT)
    train_data, test_data = data or read_data(config.data, chance, reporter, ranks)
    train_data, validation_data = split_validation(config.data, train_data, test_data, chance, reporter)
    suspicious = check_data(train_data, test_data, config.training, reporter)
    start = read_start(config.start, reporter) if config.start.potential else None
    if start is not None:
        config = require_same(config, start, train_data)
    config = settled_baseline(config, train_data, reporter)
    baseline = make_baseline(config.baseline, train_data.elements) if start is None else start.core.baseline
    left_to_learn = without_baseline(train_data, baseline, ranks)
    config = settled(config, left_to_learn, reporter, stress_is_doubtful(train_data, suspicious))
    if start is None:
        config = settled_cutoff(config, left_to_learn, reporter, baseline.cutoff if baseline else 0.0)
    settings = config.training
    source = feature_source(config, reporter, ranks)
    functions, train = _prepare_to_train(config, train_data, left_to_learn, source, start)
    left = replace(source, budget=source.budget - train.prepared.memory.used)
    test = PreparedData(
        test_data, left.prepare(without_baseline(test_data, baseline, ranks), functions, "test structures")
    )
    weigh_to_train(train, functions, settings, reporter, ranks)
    test.weigh(settings)
    left = replace(left, budget=left.budget - test.prepared.memory.used)
    unseen = without_baseline(validation_data, baseline, ranks)
    validation = PreparedData(validation_data, left.prepare(unseen, functions, "validation structures"))
    validation.weigh(settings)
    _report_recomputed([each.prepared for each in (train, test, validation)], settings, reporter)
    closest = closest_distances(train_data, functions.elements, functions.cutoff, ranks)
    require_covered(baseline, functions, closest)
    potential, parameters, first = _to_train(config, start, train, left_to_learn, functions, closest, reporter)
    potential.device = device
    points = _invariant_points(config, reporter)
    return Inputs(
        config=config,
        reporter=reporter,
        ranks=ranks,
        began=began,
        baseline=baseline,
        suspicious=suspicious,
        functions=functions,
        train=train,
        test=test,
        validation=validation,
        fit=_fit(config, train, functions, left_to_learn),
        potential=potential,
        parameters=parameters,
        first=first,
        hashes=_hashes(train_data, test_data, validation_data, points, settings, baseline),
        logged=Logged(
            _subset(settings.seed, len(train_data), LOGGED_TRAIN),
            _subset(settings.seed, len(test_data), LOGGED_TEST),
            _subset(settings.seed, len(validation_data), LOGGED_TEST),
        ),
        monitor=_monitor(config, points, train, test_data, functions, baseline, reporter, ranks),
    )


def _fit(
    config: Config,
    train: PreparedData,
    functions: SymmetryFunctions,
    left_to_learn: Dataset,
) -> _core.Potential | None:
    """Return the linear fit of a run whose functions are chosen by such fits, if it can be a node of its network and
    atoms need not have exact energies."""
    averaged = (
        config.start.potential is None
        and chosen_by_fits(config.symmetry_functions, left_to_learn)
        and config.network.activation == "tanh"
        and not config.baseline.exact_atom_energies
    )
    if not averaged:
        return None
    return linear_fits(train, functions, config.training).fitted()


def _to_train(
    config: Config,
    start: Potential | None,
    train: PreparedData,
    left_to_learn: Dataset,
    functions: SymmetryFunctions,
    closest: Floats,
    reporter: Reporter,
) -> tuple[_core.Potential, Parameters, Floats | None]:
    """Return the potential that is trained, its parameters and, if it is to start from another, their first values."""
    table, exact = config.symmetry_functions, config.baseline.exact_atom_energies
    first = None
    if start is None:
        offsets = atom_energies(config.baseline, left_to_learn, functions.elements, reporter)
        potential = initial_potential(functions, table.scaling, config.network, train.prepared, offsets, closest)
        parameters = first_parameters(potential, train.prepared, table.whiten)
    else:
        potential = widened(start, train.prepared, closest)
        if exact:
            offsets = atom_energies(config.baseline, left_to_learn, functions.elements, reporter)
            potential = moved_to_free_atoms(potential, offsets, str(config.start.potential), reporter)
        everything = first_parameters(potential, train.prepared, table.whiten, dropped=-np.inf)
        theta = everything.of_weights(potential.weights)
        parameters, first = frozen(everything, theta, config.start.frozen, potential.networks)
    return potential, with_free_atoms(parameters, potential) if exact else parameters, first


def feature_source(config: Config, reporter: Reporter, ranks: Ranks) -> FeatureSource:
    """Return where the features of a run come from."""
    cache = Path(config.data.cache) if config.data.cache else None
    return FeatureSource(round(config.training.memory_budget * 1e9), cache, reporter, ranks)


def _report_recomputed(sets: Sequence[TrainingSet], settings: Training, reporter: Reporter) -> None:
    """Report derivatives beyond the memory budget, which every iteration computes again."""
    used, cached, recomputed, spilled = (sum(kind) for kind in zip(*(each.memory for each in sets), strict=True))
    if recomputed:
        part, enough = 100 * recomputed / (cached + recomputed), _rounded_up(used + recomputed + spilled)
        reporter.say(
            f"{part:.0f} % of the derivatives are beyond memory_budget ({settings.memory_budget:g} GB) and "
            f"recomputed at each use, which is about three times slower; memory_budget = {enough:g} would hold all, "
            'and cache = "FOLDER" in [data] keeps them on disk'
        )


def _rounded_up(size: int) -> float:
    """Return a number of bytes in GB, of two digits."""
    digits = 1 - math.floor(math.log10(size / 1e9))
    return float(round(math.ceil(size / 1e9 * 10.0**digits) / 10.0**digits, digits))


def _prepare_to_train(
    config: Config, data: Dataset, left_to_learn: Dataset, source: FeatureSource, start: Potential | None
) -> tuple[SymmetryFunctions, PreparedData]:
    """Prepare training structures, with their labels less the baseline, and with the functions that the configuration
    asks for and that carry information, or those of the potential to start from."""
    table = config.symmetry_functions
    by_fits = start is None and chosen_by_fits(table, left_to_learn)
    select = None if by_fits else table.select
    if start is not None:
        pool = start.functions
    elif by_fits:
        pool = best_functions(config, left_to_learn, source.reporter)
    else:
        pool = choose_functions(table, data, source.reporter, source.ranks)
    if only_here(pool):
        source.reporter.say("n2p2, RuNNer and pair_style hdnnp cannot read this potential: it has types 33 to 35")
    # The derivatives of a pool are not needed, and may be larger than the memory.
    first = source if select is None else replace(source, budget=0, cache=None)
    prepared = first.prepare(left_to_learn, pool, "training structures")
    if start is not None:
        return pool, PreparedData(data, prepared)
    functions = _chosen_functions(select, pool, prepared, source.reporter)
    if len(functions) == len(pool) and select is None:
        return functions, PreparedData(data, prepared)
    del prepared  # both sets of derivatives would be twice the budget
    return functions, PreparedData(data, source.prepare(left_to_learn, functions, "training structures again"))


def weigh_to_train(
    train: PreparedData, functions: SymmetryFunctions, settings: Training, reporter: Reporter, ranks: Ranks
) -> None:
    """Set the weights in the loss that the settings ask for."""
    gdf = None
    if settings.gdf:
        gdf = gdf_weights(train.data, train.prepared, functions, settings.gdf_width, reporter, ranks)
    train.weigh(settings, gdf)


def _chosen_functions(
    select: int | None, pool: SymmetryFunctions, prepared: TrainingSet, reporter: Reporter
) -> SymmetryFunctions:
    """Leave out functions without information and, where `select` is given, all but so many of the others."""
    reasons = useless_functions(prepared, pool)
    for (element, place), reason in reasons.items():
        reporter.say(f"function {place + 1} of {element} is dropped, it {reason}")
    if select is None:
        return pool.without(set(reasons))
    functions = pool.without(unselected_functions(prepared, pool, select, set(reasons)))
    for e, element in enumerate(pool.elements):
        reporter.say(f"{functions.core.count(e)} of {pool.core.count(e)} functions of {element} are chosen")
    return functions


def _invariant_points(config: Config, reporter: Reporter) -> Dataset | None:
    """Read the invariant points of the files that the configuration names; None if it names none."""
    files = config.invariants.data
    if files == "auto" or not files:
        return None
    reading = config.data.reading()
    # Such crystals may have energies alone, and nothing else is asked of them.
    reading["keys"] = {label: key for label, key in reading["keys"].items() if label == "energy"}
    return Dataset.read(files, reporter=reporter, **reading)


def _hashes(
    train: Dataset,
    test: Dataset,
    validation: Dataset,
    points: Dataset | None,
    settings: Training,
    baseline: _core.Baseline | None,
) -> dict[str, str]:
    hashes = {"training data": train.hash(), "test data": test.hash()}
    if len(validation):
        hashes["validation data"] = validation.hash()
    if settings.structure_weights or settings.atom_weights:
        hashes["weights"] = digest_of_weights(train, settings)
    if baseline is not None and baseline.tables:
        hashes["pair tables"] = digest_of_tables(baseline)
    return hashes if points is None else {**hashes, "invariant points": points.hash()}


def _monitor(
    config: Config,
    points: Dataset | None,
    train: PreparedData,
    test: Dataset,
    functions: SymmetryFunctions,
    baseline: _core.Baseline | None,
    reporter: Reporter,
    ranks: Ranks,
) -> Monitor | None:
    if config.invariants.data == []:
        return None
    learnt, held_out = (without_baseline(each, baseline, ranks) for each in (train.data, test))
    points = None if points is None else without_baseline(points, baseline)
    return make_monitor(points, learnt, held_out, functions, train.prepared, reporter, ranks)


def _subset(seed: int, size: int, at_most: int) -> list[int]:
    return sorted(random_numbers(seed, Stream.LOGGED, at_most).permutation(size)[:at_most].tolist())
