"""Training of a potential: from a RUN.toml to a folder with potential, errors, log and pictures.

The state of a run is a function of the iteration alone: the batches of an epoch are a permutation seeded by
(seed, epoch). So a run that is killed and resumed gives the numbers of the uninterrupted one, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from .. import _core
from .._core import Error
from ..config import Config
from ..ensemble import Ensemble
from ..evaluation.comparison import KINDS, Comparison, compare
from ..evaluation.errors import OUTLIER_COLUMNS, error_table, outliers
from ..features.selection import choose_functions, unselected_functions, useless_functions
from ..files import csv_text, run_folder, write_text
from ..io.dataset import Dataset
from ..mapping.gdf import gdf_weights
from ..potential import Device, Potential
from ..progress import Advance, Reporter
from ..ranks import Ranks
from ..signals import Interrupted, Stop, stop_signals
from ..structures import Floats
from ..text import PATH, printable
from . import optimizers
from .checkpoint import State
from .consistency import inconsistencies
from .monitoring import Monitor, make_monitor
from .optimizers import silent_line_searches
from .parameters import Parameters, atomic_offsets, initial_potential
from .preparation import LOSSES, PreparedData, check_labels, read_data

CHECKPOINT = "checkpoint.npz"
SHOWN_OUTLIERS = 5
OUTPUTS = (CHECKPOINT, "potential", "training.toml", "log.csv", "errors.json", "outliers.csv")

LOG_POINTS = 100
# Errors at log points are those of at most this many structures, always the same ones.
LOGGED_TRAIN, LOGGED_TEST = 50, 1000
CHECKPOINT_SECONDS = 60.0  # between two checkpoints, where log points are rarer

# What random numbers are for: streams of one seed.
SPLIT, WEIGHTS, BATCHES, LOGGED, CURVATURE = range(5)
STREAMS = {optimizers.BATCHES: BATCHES, optimizers.CURVATURE: CURVATURE}

DIVERGED = 1e6  # times the lowest logged loss

LOG_COLUMNS = ("iteration", "epoch", "learning_rate", *LOSSES, *(f"test_{name}" for name in LOSSES), "seconds")


def train(
    config: Config | str | Path,
    out: str | Path,
    resume: bool = False,
    reporter: Reporter | None = None,
    data: tuple[Dataset, Dataset] | None = None,
    ranks: Ranks | None = None,
    device: Device = "cpu",
) -> Potential | Ensemble:
    """Trains a potential.

    The loss is the mean over structures of (dE/N)^2, plus force_weight times the mean over components of dF^2,
    plus stress_weight times that of dS^2 (eV, Angstrom), plus l2 times the sum of squares of all weight
    matrices, minimised by the optimiser that the configuration names.

    Parameters
    ----------
    config
        A configuration or the path of a RUN.toml.
    out
        Folder for `potential/`, `training.toml`, `log.csv`, `errors.json`, pictures and `checkpoint.npz`.
    resume
        Goes on from the checkpoint in `out`, or begins where there is none yet.
    reporter
        Told of the progress; by default it writes to stderr.
    data
        Training and test data, in place of those that the configuration names.
    ranks
        Among which the structures are shared, from `sitewise.ranks.all_ranks`; this process alone if not given.
    device
        Where the loss and its gradient are computed, "cpu" or "cuda"; neighbour lists, features and the Gauss-Newton
        matrix of the preconditioner come from the processor.

    Returns
    -------
    Potential or Ensemble
        As loaded from `out/potential`; an Ensemble with `replicas` in the configuration, whose runs are in
        `out/replica-0` and so on.

    Raises
    ------
    Error
        For bad input, for an `out` that another process works in, or that holds a run when `resume` is false, when
        configuration or data are not those of the run to resume, and when the loss is no longer finite.
    Interrupted
        On Ctrl-C or SIGTERM, after a checkpoint.
    """
    out, reporter = Path(out), reporter or Reporter()
    if not isinstance(config, Config):
        config = Config.load(config)
    with run_folder(out, reporter), stop_signals() as stop:
        if not resume and any((out / name).exists() for name in (*OUTPUTS, "replica-0")):
            raise Error(f"{out}: holds a run already; go on with --resume or choose another folder")
        inputs = Inputs(config, reporter, data, ranks, device)
        replicas = range(config.training.replicas)
        folders = [out] if len(replicas) == 1 else [out / f"replica-{r}" for r in replicas]
        runs = [Run(inputs, folder, stop, r) for r, folder in enumerate(folders)]
        for run in runs:
            run.start(resume)
        optimize_all(inputs, runs, stop)
        potentials = [run.finish() for run in runs]
        return potentials[0] if len(runs) == 1 else finish_ensemble(inputs, out, runs)


class Inputs:
    """What the replicas of a run share: the data with their features and derivatives, and the first potential.

    Parameters
    ----------
    config, reporter, data, ranks, device
        See `train`.
    """

    def __init__(
        self,
        config: Config,
        reporter: Reporter,
        data: tuple[Dataset, Dataset] | None = None,
        ranks: Ranks | None = None,
        device: Device = "cpu",
    ) -> None:
        self.config, self.reporter, self.ranks = config, reporter, ranks or Ranks()
        self.began = time.monotonic(), self.ranks.usage()[0]
        settings, table = config.training, config.symmetry_functions
        train_data, test_data = data or read_data(config.data, self.rng(SPLIT), reporter)
        check_labels(train_data, settings, reporter)
        self.inconsistencies = inconsistencies(train_data)
        for found in self.inconsistencies:
            reporter.warn(found["sentence"])
        self._check_groups([*train_data.groups, *test_data.groups])
        self.functions = choose_functions(table, train_data.elements, self.reporter)
        budget = round(settings.memory_budget * 1e9)
        cache = Path(config.data.cache) if config.data.cache else None
        # The derivatives of a pool are not needed, and may be larger than the memory.
        first = (budget, cache) if table.select is None else (0, None)
        self.train = self._prepared(train_data, first[0], "training structures", first[1])
        self._drop_functions(table.select, budget, cache)
        left = budget - self.train.prepared.cached_bytes
        self.test = self._prepared(test_data, left, "test structures", cache)
        self.train.weigh(settings.weight, self._gdf_weights() if settings.gdf else None)
        self.test.weigh(settings.weight)
        offsets = atomic_offsets(train_data, self.functions.elements)
        self.potential = initial_potential(self.functions, table.scaling, config.network, self.train.prepared, offsets)
        self.potential.device = device
        self.parameters = Parameters(self.potential, self.train.prepared, table.whiten)
        self.hashes = {"training data": train_data.hash(), "test data": test_data.hash()}
        self.logged = [self._subset(len(train_data), LOGGED_TRAIN), self._subset(len(test_data), LOGGED_TEST)]
        self.monitor = self._monitor()

    def rng(self, stream: int, *numbers: int, replica: int = 0) -> np.random.Generator:
        """Random numbers for a purpose; a replica's are those of a run with as much higher a seed."""
        return np.random.default_rng([self.config.training.seed + replica, stream, *numbers])

    def compare(self, potential: Potential | Ensemble) -> dict[str, Comparison]:
        """With the labels of both sets."""
        comparisons = {"train": compare(potential, self.train.data, "training errors", self.reporter)}
        if len(self.test.data):
            comparisons["test"] = compare(potential, self.test.data, "test errors", self.reporter)
        return comparisons

    def _prepared(self, data: Dataset, budget: int, what: str, cache: Path | None) -> PreparedData:
        return PreparedData(data, self.functions, budget, self.reporter, what, cache, self.ranks)

    def _monitor(self) -> Monitor | None:
        """Of the invariant points that the configuration asks for."""
        wanted = self.config.invariants.data
        if wanted == []:
            return None
        given = None
        if wanted != "auto":
            reading = self.config.data.reading()
            # Such crystals may have energies alone, and nothing else is asked of them.
            reading["keys"] = {label: key for label, key in reading["keys"].items() if label == "energy"}
            given = Dataset.read(wanted, reporter=self.reporter, **reading)
            self.hashes["invariant points"] = given.hash()
        data = Dataset([*self.train.data, *self.test.data])
        return make_monitor(given, data, self.functions, self.train.prepared, self.reporter)

    def _drop_functions(self, select: int | None, budget: int, cache: Path | None) -> None:
        """Goes on without functions that tell nothing, and with `select` of the others where it is given."""
        every, prepared = self.functions, self.train.prepared
        reasons = useless_functions(prepared, every)
        for (element, place), reason in reasons.items():
            self.reporter.say(f"function {place + 1} of {element} is dropped, it {reason}")
        dropped = set(reasons)
        if select is not None:
            dropped = unselected_functions(prepared, every, select, dropped)
        self.functions = every.without(dropped)
        for e, element in enumerate(every.elements if select is not None else ()):
            self.reporter.say(
                f"{self.functions.core.count(e)} of {every.core.count(e)} functions of {element} are chosen"
            )
        if dropped or select is not None:
            data, what = self.train.data, "training structures again"
            del prepared, self.train  # both sets of derivatives would be twice the budget
            self.train = self._prepared(data, budget, what, cache)

    def _gdf_weights(self) -> list[Floats]:
        data, prepared = self.train.data, self.train.prepared
        return gdf_weights(data, prepared, self.functions, self.config.training.gdf_width, self.reporter)

    def _check_groups(self, groups: Sequence[str]) -> None:
        unknown = set(self.config.training.group_weights) - set(groups)
        if unknown:
            raise Error(
                f"[training] group_weights: no structure has the group {printable(', '.join(sorted(unknown)), PATH)}, "
                f"there are {printable(', '.join(dict.fromkeys(groups)), PATH)}"
            )

    def _subset(self, size: int, at_most: int) -> list[int]:
        """Structures that log points look at."""
        return sorted(self.rng(LOGGED, at_most).permutation(size)[:at_most].tolist())


class Run:
    """One training run: optimises, writes the results.

    Parameters
    ----------
    inputs
        What it starts from.
    out
        See `train`.
    stop
        Signals wait in it while iterating.
    replica
        Its number in an ensemble.
    """

    def __init__(self, inputs: Inputs, out: Path, stop: Stop, replica: int = 0) -> None:
        self.inputs, self.config, self.reporter = inputs, inputs.config, inputs.reporter
        self.out, self.stop, self.replica = out, stop, replica
        self.began, self.at_once = inputs.began, 1
        self.train_data, self.test_data = inputs.train, inputs.test
        self.potential, self.parameters = copied(inputs.potential), inputs.parameters
        self.monitor, self.warned = inputs.monitor, False
        self.columns = (*LOG_COLUMNS, *(self.monitor.columns if self.monitor else ()))
        settings, data = inputs.config.training, self.train_data.data
        self.total = settings.total_iterations(len(data))
        objective = optimizers.Objective(data, self.train_data.prepared, self.potential, self.parameters, settings)
        self.optimizer = optimizers.make_optimizer(objective, lambda use, n: self._rng(STREAMS[use], n), self.total)

    def start(self, resume: bool) -> None:
        """Sets the first state: random, or that of the checkpoint."""
        self.out.mkdir(exist_ok=True)
        checkpoint = self.out / CHECKPOINT
        if resume and checkpoint.exists():
            self.state = State.load(checkpoint, self._identity())
            size, dimensions = self.parameters.size, self.optimizer.dimensions
            self.state.require(checkpoint, size, dimensions, len(self.columns))
            self.reporter.say(f"resumed at iteration {self.state.iteration} of {self.total}")
        else:
            theta = self.parameters.initial(self._rng(WEIGHTS))
            self.state = State.start(theta, self.optimizer.start(theta))
        self.spent = (self.state.wall_seconds, self.state.cpu_seconds)

    def optimize(self, advance: Advance) -> None:
        """Iterates to the end, an early stop or a signal; checkpoints on the way."""
        state, every = self.state, -(-self.total // LOG_POINTS)
        while state.iteration < self.total and not state.stopped:
            self._iterate()
            if state.iteration % every == 0 or state.iteration == self.total:
                self._log(advance)
                self._save()
            advance()
            if self._wall_seconds() > state.wall_seconds + CHECKPOINT_SECONDS:
                self._save()
            if self.stop.signum is not None:
                self._save()
                at = f"iteration {state.iteration} of {self.total}"
                raise Interrupted(f"stopped at {at}; go on with --resume", self.stop.signum)

    def finish(self) -> Potential:
        """Writes potential, errors, settings and pictures, from the potential as it was written."""
        from .plots import save_pictures

        state = self.state
        theta = state.best_theta if self.config.training.early_stop else state.theta
        self.potential.weights = self.parameters.weights(theta)
        folder = self.out / "potential"
        Potential(self.potential).save(folder, comments=self.provenance())
        potential = Potential.load(folder)
        comparisons = self.inputs.compare(potential)
        self._save()
        errors = all_errors(self.inputs, comparisons, state.wall_seconds, state.cpu_seconds)
        if self.monitor:
            errors["invariants"] = self.monitor.table(potential.core)
            self.reporter.say(self.monitor.summary(self.monitor.deltas(potential.core)))
        result = {"iterations": state.iteration, "replica": self.replica}
        write_results(self.inputs, self.out, comparisons, errors, result)
        save_pictures(self.out, self.columns, state.log, comparisons)
        write_text(self.out / "errors.json", json.dumps(errors, indent=2) + "\n")  # the last: the run is complete
        return potential

    # ---- iteration

    def _rng(self, stream: int, *numbers: int) -> np.random.Generator:
        return self.inputs.rng(stream, *numbers, replica=self.replica)

    def _iterate(self) -> None:
        state = self.state
        theta, loss = self.optimizer.step(state.theta, state.memory, state.iteration)
        if not np.isfinite(loss):
            self._diverged(loss)
        state.theta = theta
        state.iteration += 1

    def _diverged(self, loss: float) -> None:
        """Saves the best potential so far and ends the run, naming what went wrong where."""
        state, settings = self.state, self.config.training
        advice = "a lower learning_rate may help"
        rate = settings.rate(state.iteration / self.total)
        at = f"iteration {state.iteration}" + (f" (learning rate {rate:.3g})" if np.isfinite(rate) else "")
        worst = ""
        if np.all(np.isfinite(state.theta)):
            self.potential.weights = self.parameters.weights(state.theta)
            each = [self._losses(self.train_data, [i])[0] for i in range(len(self.train_data.data))]
            worst = f", worst is {self.train_data.data[int(np.argmax(np.nan_to_num(each, nan=np.inf)))].source}"
        kept = ""
        if np.isfinite(state.best_loss):
            self.potential.weights = self.parameters.weights(state.best_theta)
            Potential(self.potential).save(self.out / "potential", comments=self.provenance())
            kept = f"; the best potential, of iteration {state.best_iteration}, is in {self.out / 'potential'}"
        raise Error(f"the loss is {loss:.3g} at {at}, {advice}{worst}{kept}")

    def _log(self, advance: Advance) -> None:
        """Errors at this point, into `log.csv`; decides on an early stop."""
        state, settings = self.state, self.config.training
        self.potential.weights = self.parameters.weights(state.theta)
        train = self._losses(self.train_data, self.inputs.logged[0])
        test = self._losses(self.test_data, self.inputs.logged[1])
        epoch = state.iteration * settings.batch(len(self.train_data.data)) / len(self.train_data.data)
        rate = settings.rate(state.iteration / self.total)
        deltas = self.monitor.deltas(self.potential) if self.monitor else []
        state.log.append([state.iteration, epoch, rate, *train, *test, self._wall_seconds(), *deltas])
        rows = [[int(row[0]), *(f"{x:.6g}" if np.isfinite(x) else "" for x in row[1:])] for row in state.log]
        write_text(self.out / "log.csv", csv_text(self.columns, rows))
        shown = test if len(self.test_data.data) else train
        tested = self.monitor.note(deltas) if self.monitor else ""
        advance(0, note=f"{1e3 * shown[1]:.2f} meV/atom {shown[2]:.3f} eV/Å{tested}")
        self._warn(train[1])
        if shown[0] < state.best_loss:
            state.best_loss, state.best_iteration, state.best_theta = shown[0], state.iteration, state.theta
        if not shown[0] <= DIVERGED * state.best_loss:
            self._diverged(shown[0])
        if settings.early_stop and state.iteration - state.best_iteration >= settings.early_stop:
            state.stopped = True
            self.reporter.say(
                f"stopped at iteration {state.iteration}: no better test loss since iteration {state.best_iteration}"
            )

    def _warn(self, rmse: float) -> None:
        """Once in the second half of the run, if the mapping is ad hoc; `rmse` is that of the energies, eV/atom."""
        points = -(-self.total // -(-self.total // LOG_POINTS))
        if self.monitor is None or self.warned or 2 * len(self.state.log) < points:
            return
        log = np.array(self.state.log)[:, len(LOG_COLUMNS) :]
        warning = self.monitor.warning(log, rmse, max(1, round(points / 5)))
        if warning:
            self.warned = True
            self.reporter.warn(warning)

    def _losses(self, of: PreparedData, structures: Sequence[int]) -> list[float]:
        """The columns LOSSES."""
        settings = self.config.training
        return of.losses(self.potential, structures, settings.force_weight, settings.stress_weight)

    # ---- results

    def _wall_seconds(self) -> float:
        """Of this run, earlier parts included."""
        return self.spent[0] + time.monotonic() - self.began[0]

    def _save(self) -> None:
        cpu = self.inputs.ranks.usage()[0] - self.began[1]
        self.state.wall_seconds, self.state.cpu_seconds = self._wall_seconds(), self.spent[1] + cpu / self.at_once
        self.state.save(self.out / CHECKPOINT, self._identity())

    def _identity(self) -> dict[str, Any]:
        """What must be equal to resume: settings that change numbers, and data."""
        tables = self.config.tables()
        del tables["data"], tables["invariants"], tables["training"]["memory_budget"], tables["training"]["replicas"]
        flat = {f"[{table}] {key}": value for table, keys in tables.items() for key, value in keys.items()}
        functions = hashlib.sha256(str(self.inputs.functions).encode()).hexdigest()
        return {**flat, "replica": self.replica, **self.inputs.hashes, "symmetry functions": functions}

    def provenance(self) -> str:
        return "\n".join(
            [
                f"Trained by sitewise {version('sitewise')}: {self.train_data.data.summary()}.",
                f"Data sha256 {self.inputs.hashes['training data']}, seed {self.config.training.seed}, "
                f"{self.state.iteration} iterations; training.toml has the settings.",
            ]
        )


def optimize_all(inputs: Inputs, runs: Sequence[Run], stop: Stop) -> None:
    """Replicas run at the same time, each in a thread of its own, and share the threads of the kernels. Where ranks
    share the structures, or on a device, all work on one replica after the other."""
    at_once = len(runs) if inputs.ranks.size == 1 and inputs.potential.device == "cpu" else 1
    iterations, done = sum(run.total for run in runs), sum(run.state.iteration for run in runs)
    lock = Lock()
    with stop.deferred(), silent_line_searches(), inputs.reporter.task("training", iterations, done, True) as advance:

        def told(n: int = 1, note: str | None = None) -> None:
            with lock:
                advance(n, note)

        for run in runs:
            run.at_once = at_once
        if at_once == 1:
            for run in runs:
                if run is not runs[0]:
                    run.began = time.monotonic(), inputs.ranks.usage()[0]
                run.optimize(told)
            return
        threads = max(1, _core.get_threads() // at_once)
        with ThreadPoolExecutor(at_once, initializer=_core.set_threads, initargs=(threads,)) as pool:
            for future in [pool.submit(run.optimize, told) for run in runs]:
                future.result()


def copied(potential: _core.Potential) -> _core.Potential:
    """The same, on the same device, with weights of its own."""
    networks, offsets = potential.networks, potential.atom_energies
    copy = _core.Potential(potential.elements, potential.functions, potential.scaling, networks, offsets)
    copy.device = potential.device
    return copy


def finish_ensemble(inputs: Inputs, out: Path, runs: Sequence[Run]) -> Ensemble:
    """Writes the potential of all replicas and its errors."""
    from .plots import save_pictures

    Ensemble([Potential.load(run.out / "potential") for run in runs]).save(out / "potential", runs[0].provenance())
    ensemble = Ensemble.load(out / "potential")
    comparisons = inputs.compare(ensemble)
    wall = sum(run.state.wall_seconds / run.at_once for run in runs)
    errors = all_errors(inputs, comparisons, wall, sum(run.state.cpu_seconds for run in runs))
    write_results(inputs, out, comparisons, errors, {"replicas": len(runs)})
    save_pictures(out, LOG_COLUMNS, [], comparisons)
    write_text(out / "errors.json", json.dumps(errors, indent=2) + "\n")
    return ensemble


def all_errors(inputs: Inputs, comparisons: dict[str, Comparison], wall: float, cpu: float) -> dict[str, Any]:
    """The content of `errors.json`; seconds of the clock, and of CPU of all ranks."""
    peak = inputs.ranks.usage()[1]
    used = {"cpu_seconds": round(cpu, 2), "wall_seconds": round(wall, 2), "peak_memory_mb": round(peak, 1)}
    errors = {name: error_table(c) for name, c in comparisons.items()}
    if inputs.inconsistencies:
        errors["train"]["suspicious_labels"] = inputs.inconsistencies + errors["train"].get("suspicious_labels", [])
    return {**errors, **used}


def write_results(
    inputs: Inputs, out: Path, comparisons: dict[str, Comparison], errors: dict[str, Any], result: dict[str, Any]
) -> None:
    """`training.toml`, the settings in full and where the potential comes from, and `outliers.csv`."""
    import tomli_w

    made = {
        "sitewise": version("sitewise"),
        **result,
        "training_data": inputs.train.data.summary(),
        "training_data_sha256": inputs.hashes["training data"],
        "test_data": inputs.test.data.summary(),
        "test_data_sha256": inputs.hashes["test data"],
        "errors": {name: _without_groups(errors[name]) for name in ("train", "test") if name in errors},
    }
    for sentence in dict.fromkeys(
        found["sentence"] for name in comparisons for found in errors[name].get("suspicious_labels", [])
    ):
        inputs.reporter.warn(sentence)
    write_text(out / "training.toml", tomli_w.dumps({**inputs.config.tables(), "result": made}))
    rows = [(name, *row) for name, comparison in comparisons.items() for row in outliers(comparison)]
    write_text(out / "outliers.csv", csv_text(("set", *OUTLIER_COLUMNS), rows))
    for name, source, _, kind, error, times in rows[:SHOWN_OUTLIERS]:
        inputs.reporter.say(
            f"outlier in {name}: {source}, {kind} error {error:.3g} {KINDS[kind]}, {times:.0f} x typical"
        )
    if len(rows) > SHOWN_OUTLIERS:
        inputs.reporter.say(f"{len(rows) - SHOWN_OUTLIERS} more outliers in {out / 'outliers.csv'}")


def _without_groups(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in ("groups", "suspicious_labels")}
