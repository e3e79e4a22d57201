"""Training of a potential: from a RUN.toml to a folder with potential, errors, log and pictures.

The state of a run is a function of the iteration alone: the batches of an epoch are a permutation seeded by
(seed, epoch). So a run that is killed and resumed gives the numbers of the uninterrupted one, bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import Error
from ..config import OLD_NAMES, Config
from ..ensemble import Ensemble
from ..evaluation.comparison import Comparison
from ..files import run_folder
from ..io.dataset import Dataset
from ..potential import Device, Potential
from ..progress import Advance, Reporter
from ..ranks import Ranks
from ..signals import Interrupted, Stop, stop_signals
from ..structures import Floats
from .baseline import with_baseline
from .checkpoint import State
from .data import given_data
from .disagreement import set_apart
from .inputs import Inputs, OnLog, make_inputs
from .log import log_interval, write_log
from .mean_with_fit import mean_with_fit, share_of_fit
from .monitoring import AdHocWatch
from .optimizers import Objective, Optimizer, make_optimizer, silent_line_searches
from .parameters import parameters_of
from .posterior import WIDEST, make_posterior
from .prepared import NOTHING, Losses, PreparedData
from .random_streams import Stream, random_numbers
from .results import Results, compare_with_labels, error_tables, provenance, write_results
from .seconds import Seconds, Stopwatch
from .student import student_inputs

if TYPE_CHECKING:
    from ase import Atoms

CHECKPOINT = "checkpoint.npz"
OUTPUTS = (CHECKPOINT, "potential", "training.toml", "log.csv", "errors.json", "outliers.csv")
CHECKPOINT_SECONDS = 60.0  # between two checkpoints, where log points are rarer
DIVERGED = 1e6  # times the lowest logged loss


def train(
    config: Config | str | Path | Dataset | Sequence[Atoms],
    out: str | Path,
    resume: bool = False,
    reporter: Reporter | None = None,
    data: tuple[Dataset, Dataset] | None = None,
    ranks: Ranks | None = None,
    device: Device = "cpu",
    test: Dataset | Sequence[Atoms] | float | None = None,
    on_log: OnLog | None = None,
    **settings: Any,
) -> Potential | Ensemble:
    """Train a potential, from a RUN.toml or from structures in memory.

    The loss is the mean over structures of (dE/N)^2, plus force_weight times the mean over components of dF^2,
    plus stress_weight times that of dS^2 (eV, Angstrom), plus l2 times the sum of squares of all weight
    matrices. The optimiser that the configuration names minimises it.

    Parameters
    ----------
    config
        A configuration or the path of a RUN.toml; or structures, with `test` and `settings`.
    out
        Folder for `potential/`, `training.toml`, `log.csv`, `errors.json`, pictures and `checkpoint.npz`.
    resume
        Go on from the checkpoint in `out`, or begin where there is none yet.
    reporter
        Reports the progress; by default it writes to stderr.
    data
        Training and test data, in place of those that the configuration names.
    ranks
        The ranks that share the structures, from `sitewise.ranks.all_ranks`; this process alone if not given.
    device
        "cpu" or "cuda", which computes the loss, its gradient and the Gauss-Newton matrix of the preconditioner;
        neighbour lists, features and the inverse of that matrix come from the processor.
    test
        Held-out structures, or the fraction of the structures to hold out, 0.1 if not given; for structures in memory.
    on_log
        Called at each log point with the columns of `log.csv` by their names, and "replica". Replicas that run at the
        same time call it from their threads.
    settings
        Keys of RUN.toml for structures in memory, see `Config.of`.

    Returns
    -------
    Potential or Ensemble
        As loaded from `out/potential`; an Ensemble with `replicas` in the configuration, whose runs are in
        `out/replica-0` and so on. With `student` a Potential, and the same of the ensemble is in `out/ensemble`.

    Raises
    ------
    Error
        For bad input, for an `out` that another process works in, or that holds a run when `resume` is false, when
        configuration or data are not those of the run to resume, and when the loss is no longer finite.
    Interrupted
        On Ctrl-C or SIGTERM, after a checkpoint.
    """
    out, reporter = Path(out), reporter or Reporter()
    if isinstance(config, (Dataset, Sequence)) and not isinstance(config, str):
        if data is not None:
            raise Error("data: the structures are given already; `test` holds out some of them")
        given = 0.1 if test is None else test
        held_out = given if isinstance(given, (Dataset, float, int)) else Dataset(given)
        fraction = 0.0 if isinstance(held_out, Dataset) else held_out
        structures, config = Dataset(config), Config.of(fraction, **settings)
        data = given_data(structures, held_out, random_numbers(config.training.seed, Stream.SPLIT), reporter)
    elif settings or test is not None:
        names = [*settings, *(["test"] if test is not None else [])]
        raise Error(f"{', '.join(names)}: settings are for structures in memory; a RUN.toml has its own")
    if not isinstance(config, Config):
        config = Config.load(config)
    with run_folder(out, reporter), stop_signals() as stop:
        if not resume and any((out / name).exists() for name in (*OUTPUTS, "replica-0", "ensemble")):
            raise Error(f"{out}: holds a run already; continue with --resume or choose another folder")
        inputs = replace(make_inputs(config, reporter, data, ranks, device), on_log=on_log)
        if not config.training.student:
            return train_replicas(inputs, out, stop, resume)
        ensemble = train_replicas(inputs, out / "ensemble", stop, resume)
        assert isinstance(ensemble, Ensemble)
        return train_student(inputs, ensemble, out, stop, resume)


def train_replicas(inputs: Inputs, out: Path, stop: Stop, resume: bool) -> Potential | Ensemble:
    """Train the replicas and, unless there is only one, write their ensemble; see `train`."""
    out.mkdir(exist_ok=True)
    replicas = range(inputs.config.training.replicas)
    folders = [out] if len(replicas) == 1 else [out / f"replica-{r}" for r in replicas]
    runs = [begin_run(inputs, folder, stop, r, resume) for r, folder in enumerate(folders)]
    optimize_all(inputs, runs, stop)
    trained = [run.trained for run in runs]
    if len(runs) > 1:
        trained = set_apart(inputs, runs[0].potential, trained)
    potentials = [run.finish(inputs, theta, replica=run.replica) for run, theta in zip(runs, trained, strict=True)]
    return potentials[0] if len(runs) == 1 else finish_ensemble(inputs, out, runs)


def train_student(inputs: Inputs, ensemble: Ensemble, out: Path, stop: Stop, resume: bool) -> Potential:
    """Train one network on the energies and forces of an ensemble; its results are those on the data of `inputs`."""
    lessons = student_inputs(inputs, ensemble)
    teachers = len(ensemble.members)
    run = begin_run(lessons, out, stop, teachers, resume)
    optimize_all(lessons, [run], stop)
    return run.finish(inputs, run.trained, student_of=teachers)


def begin_run(inputs: Inputs, out: Path, stop: Stop, replica: int = 0, resume: bool = False) -> Run:
    """Return a run at its first state: that of its checkpoint if there is one to resume, otherwise a random one.

    Parameters
    ----------
    inputs
        What the run starts from.
    out
        Folder of the run; it is made where there is none.
    stop
        Keeps a signal until it is met, after an iteration.
    replica
        Its number in an ensemble; a replica has the random numbers of a run with a seed higher by as much.
    resume
        See `train`.

    Raises
    ------
    Error
        The checkpoint is damaged or that of another run.
    """
    settings = inputs.config.training
    random = partial(random_numbers, settings.seed + replica)
    potential = _copied(inputs.potential)
    objective = Objective(inputs.train, potential, inputs.parameters, settings)
    optimizer = make_optimizer(objective, random, inputs.iterations)
    out.mkdir(exist_ok=True)
    if resume and (out / CHECKPOINT).exists():
        state = _resumed(inputs, out / CHECKPOINT, replica, optimizer)
    else:
        theta = inputs.parameters.initial(random(Stream.WEIGHTS)) if inputs.first is None else inputs.first
        state = State.start(theta, optimizer.start(theta))
    stopwatch = Stopwatch(inputs.ranks, Seconds(state.wall_seconds, state.cpu_seconds), inputs.began, inputs.at_once)
    watch = AdHocWatch(inputs.monitor, -(-inputs.iterations // log_interval(inputs.iterations)), inputs.reporter)
    return Run(inputs, out, stop, replica, potential, optimizer, state, stopwatch, watch)


def _resumed(inputs: Inputs, checkpoint: Path, replica: int, optimizer: Optimizer) -> State:
    state = State.load(checkpoint, identity(inputs, replica))
    if state.iteration > inputs.iterations:
        raise Error(
            f"{checkpoint.parent}: is at iteration {state.iteration} already, beyond the {inputs.iterations} that are "
            "asked for"
        )
    state.require(checkpoint, inputs.parameters.size, optimizer.dimensions, len(inputs.columns))
    inputs.reporter.say(f"resumed at iteration {state.iteration} of {inputs.iterations}")
    return state


def identity(inputs: Inputs, replica: int) -> dict[str, Any]:
    """Return what must be equal to resume a run: settings that change numbers, and data.

    A finished run continues with more iterations, so their number is not part of it.
    """
    tables = inputs.config.tables()
    recipe = inputs.config.training.recipe
    tables["training"]["recipe"] = OLD_NAMES.get(recipe, recipe)
    del tables["data"], tables["invariants"], tables["training"]["memory_budget"], tables["training"]["replicas"]
    del tables["training"]["posterior"], tables["baseline"]["pair_tables"]
    for length in ("iterations", "epochs"):
        tables["training"].pop(length, None)
    flat = {f"[{table}] {key}": value for table, keys in tables.items() for key, value in keys.items()}
    functions = hashlib.sha256(str(inputs.functions).encode()).hexdigest()
    return {**flat, "replica": replica, **inputs.hashes, "symmetry functions": functions}


def _copied(potential: _core.Potential) -> _core.Potential:
    """Return the same potential, on the same device, with weights of its own."""
    networks, offsets = potential.networks, potential.atom_energies
    copy = _core.Potential(potential.elements, potential.functions, potential.scaling, networks, offsets)
    copy.device = potential.device
    return copy


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One training run. What changes in its course are `state`, `stopwatch`, `watch` and the weights of `potential`.

    Attributes
    ----------
    inputs, out, stop, replica
        See `begin_run`.
    potential
        The potential that is trained; its weights are those last looked at.
    optimizer
        Iterates.
    state
        Parameters, memory of the optimiser and log, at the last iteration.
    stopwatch
        Measures what the run has spent.
    watch
        Warns of an ad hoc mapping.
    """

    inputs: Inputs
    out: Path
    stop: Stop
    replica: int
    potential: _core.Potential
    optimizer: Optimizer
    state: State
    stopwatch: Stopwatch
    watch: AdHocWatch

    def optimize(self, advance: Advance) -> None:
        """Iterate to the end, an early stop or a signal; save checkpoints on the way."""
        state, total = self.state, self.inputs.iterations
        while state.iteration < total and not state.stopped:
            self.iterate()
            if state.iteration % log_interval(total) == 0 or state.iteration == total:
                self._log(advance)
                self.save()
            advance()
            if self.stopwatch.wall() > state.wall_seconds + CHECKPOINT_SECONDS:
                self.save()
            if self.stop.signum is not None:
                self.save()
                at = f"iteration {state.iteration} of {total}"
                raise Interrupted(f"stopped at {at}; continue with --resume", self.stop.signum)

    def iterate(self) -> None:
        """Do one iteration."""
        state = self.state
        step = self.optimizer.step(state.theta, state.memory, state.iteration)
        if not np.isfinite(step.loss):
            self._end_diverged(step.loss)
        state.theta = step.theta
        state.iteration += 1

    def save(self) -> None:
        """Save a checkpoint."""
        self.state.wall_seconds, self.state.cpu_seconds = self.stopwatch.wall(), self.stopwatch.cpu()
        self.state.save(self.out / CHECKPOINT, identity(self.inputs, self.replica))

    @property
    def trained(self) -> Floats:
        """Parameters at the end or, with an early stop, those with the lowest loss."""
        return self.state.best_theta if self.inputs.config.training.early_stop else self.state.theta

    def finish(self, inputs: Inputs, theta: Floats, **origin: int) -> Potential:
        """Write potential and results; the errors are those of the potential as it was written.

        Parameters
        ----------
        inputs
            The settings and data that the results are about: those of the run or, for a student, of its teachers.
        theta
            The parameters of the potential.
        origin
            How the potential was made, beside the number of iterations.
        """
        state = self.state
        result, share = self._result(theta)
        self._save_potential(result)
        potential = Potential.load(self.out / "potential")
        comparisons = compare_with_labels(inputs, potential)
        self._save_posterior(inputs, result, comparisons)
        self.save()
        errors = error_tables(inputs, comparisons, Seconds(state.wall_seconds, state.cpu_seconds))
        if inputs.monitor:
            deltas = inputs.monitor.deltas(potential.core)
            causes = inputs.monitor.causes(deltas, errors["train"].get("energy_rmse"))
            errors["invariants"] = inputs.monitor.table(deltas, causes)
            inputs.reporter.say(inputs.monitor.summary(deltas, causes))
        made = {"iterations": state.iteration, **origin, **share}
        write_results(inputs, self.out, Results(comparisons, errors, made, state.log))
        return potential

    # ---- log points

    def _log(self, advance: Advance) -> None:
        """Log the errors at this point, report the ones of held-out data if there are any, and judge by them."""
        inputs, state, settings = self.inputs, self.state, self.inputs.config.training
        self._set_weights(state.theta)
        train = self._losses(inputs.train, inputs.logged.train)
        held_out = {name: self._losses(data, getattr(inputs.logged, name)) for name, data in inputs.held_out.items()}
        test = held_out.get("test", NOTHING)
        deltas = inputs.monitor.deltas(self.potential) if inputs.monitor else []
        size = len(inputs.train.data)
        epoch = state.iteration * settings.batch(size) / size
        state.log.append(
            [
                state.iteration,
                epoch,
                self._rate(),
                *train,
                *test,
                self.stopwatch.wall(),
                *held_out.get("validation", ()),
                *deltas,
            ]
        )
        write_log(self.out / "log.csv", inputs.columns, state.log)
        if inputs.on_log is not None:
            inputs.on_log(dict(zip(inputs.columns, state.log[-1], strict=True)) | {"replica": self.replica})
        shown = next(iter(held_out.values()), train)
        note = inputs.monitor.note(deltas) if inputs.monitor else ""
        advance(0, note=f"{1e3 * shown.energy_rmse:.2f} meV/atom {shown.force_rmse:.3f} eV/Å{note}")
        self.watch.look(np.array(state.log)[:, len(inputs.columns_of_errors) :], train.energy_rmse)
        self._judge(shown.loss)

    def _judge(self, loss: float) -> None:
        """Keep the parameters of the lowest loss; end a run that diverges or no longer gets better."""
        state, patience = self.state, self.inputs.config.training.early_stop
        if loss < state.best_loss:
            state.best_loss, state.best_iteration, state.best_theta = loss, state.iteration, state.theta
        if not loss <= DIVERGED * state.best_loss:
            self._end_diverged(loss)
        if patience and state.iteration - state.best_iteration >= patience:
            state.stopped = True
            judge = next(iter(self.inputs.held_out), "training")
            self.inputs.reporter.say(
                f"stopped at iteration {state.iteration}: no better {judge} loss since iteration {state.best_iteration}"
            )

    def _end_diverged(self, loss: float) -> None:
        """Save the best potential so far and raise Error, which names what went wrong where."""
        state, rate = self.state, self._rate()
        at = f"iteration {state.iteration}" + (f" (learning rate {rate:.3g})" if np.isfinite(rate) else "")
        worst = f", worst is {self._worst_structure()}" if np.all(np.isfinite(state.theta)) else ""
        kept = ""
        if np.isfinite(state.best_loss):
            self._save_potential(self._result(state.best_theta)[0])
            kept = f"; the best potential, of iteration {state.best_iteration}, is in {self.out / 'potential'}"
        raise Error(f"the loss is {loss:.3g} at {at}, a lower learning_rate may help{worst}{kept}")

    def _worst_structure(self) -> str:
        """Return the source of the training structure with the largest loss."""
        train = self.inputs.train
        self._set_weights(self.state.theta)
        each = [self._losses(train, [i]).loss for i in range(len(train.data))]
        return train.data[int(np.argmax(np.nan_to_num(each, nan=np.inf)))].source

    def _rate(self) -> float:
        return self.inputs.config.training.rate(self.state.iteration / self.inputs.iterations)

    def _losses(self, data: PreparedData, structures: Sequence[int]) -> Losses:
        return data.losses(self.potential, structures, self.inputs.config.training)

    def _set_weights(self, theta: Floats) -> None:
        self.potential.weights = self.inputs.parameters.weights(theta)

    def _save_posterior(self, inputs: Inputs, potential: _core.Potential, comparisons: dict[str, Comparison]) -> None:
        """Save the posterior of the weights of the potential with it, if it is wanted and not too large; that of a
        student is of the data that its teachers learnt from."""
        settings = inputs.config.training
        parameters = self.inputs.parameters.whole
        if potential is not self.potential:
            parameters = parameters_of(potential, parameters.transforms)
        if settings.posterior and parameters.size <= WIDEST:
            objective = Objective(inputs.train, potential, parameters, settings)
            rng = random_numbers(settings.seed + self.replica, Stream.POSTERIOR)
            posterior = make_posterior(objective, inputs.held_out, comparisons, rng, inputs.reporter)
            if posterior is not None:
                posterior.save(self.out / "potential")

    def _result(self, theta: Floats) -> tuple[_core.Potential, dict[str, float]]:
        """Return the potential with these parameters, or its mean with the linear fit, and the share of the fit."""
        inputs = self.inputs
        self._set_weights(theta)
        if inputs.fit is None:
            return self.potential, {}
        objective = Objective(inputs.train, self.potential, inputs.parameters, inputs.config.training)
        share = share_of_fit(objective, inputs.fit, inputs.baseline, inputs.reporter)
        inputs.reporter.say(f"the potential is {1 - share:.2f} times the network plus {share:.2f} times a linear fit")
        potential = mean_with_fit(self.potential, inputs.fit, share) if share else self.potential
        return potential, {"share_of_linear_fit": share}

    def _save_potential(self, potential: _core.Potential) -> None:
        comments = provenance(self.inputs, self.state.iteration)
        with_baseline(potential, self.inputs.baseline).save(self.out / "potential", comments=comments)


def optimize_all(inputs: Inputs, runs: Sequence[Run], stop: Stop) -> None:
    """Optimise all replicas: at the same time, each in a thread of its own that has its part of the threads of the
    kernels, or one after the other, see `Inputs.at_once`."""
    iterations, done = inputs.iterations * len(runs), sum(run.state.iteration for run in runs)
    lock = Lock()
    with stop.deferred(), silent_line_searches(), inputs.reporter.task("training", iterations, done, True) as advance:

        def report(n: int = 1, note: str | None = None) -> None:
            with lock:
                advance(n, note)

        if inputs.at_once == 1:
            for run in runs:
                if run is not runs[0]:
                    run.stopwatch.restart()
                run.optimize(report)
            return
        threads = max(1, _core.get_threads() // inputs.at_once)
        with ThreadPoolExecutor(len(runs), initializer=_core.set_threads, initargs=(threads,)) as pool:
            for future in [pool.submit(run.optimize, report) for run in runs]:
                future.result()


def finish_ensemble(inputs: Inputs, out: Path, runs: Sequence[Run]) -> Ensemble:
    """Write the potential of all replicas and its results."""
    members = [Potential.load(run.out / "potential") for run in runs]
    Ensemble(members).save(out / "potential", provenance(inputs, runs[0].state.iteration))
    ensemble = Ensemble.load(out / "potential")
    comparisons = compare_with_labels(inputs, ensemble)
    wall = sum(run.state.wall_seconds for run in runs) / inputs.at_once
    spent = Seconds(wall, sum(run.state.cpu_seconds for run in runs))
    errors = error_tables(inputs, comparisons, spent)
    write_results(inputs, out, Results(comparisons, errors, {"replicas": len(runs)}, log=[]))
    return ensemble
