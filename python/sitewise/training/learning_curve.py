"""Test errors against the number of training structures."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from .. import _core
from .._core import Error
from ..config import Config
from ..files import csv_text, run_folder, write_text
from ..io.dataset import Dataset
from ..progress import Reporter, Silent
from ..signals import STOPPING, Interrupted
from .data import read_data
from .plots import save_size_curve
from .random_streams import Stream, random_numbers
from .run import train

KINDS = ("energy_rmse", "force_rmse", "stress_rmse")
COLUMNS = ("size", "seed", *KINDS)


def learning_curve(
    config: Config, out: Path, sizes: Sequence[int], seeds: int, jobs: int, reporter: Reporter
) -> list[list[float]]:
    """Train on each of `sizes` structures with `seeds` choices of them, and test always on the same structures.

    Parameters
    ----------
    config
        Configuration of the runs; its seed is that of the first choice and of the test structures.
    out
        Folder for `learning_curve.csv`, `learning_curve.png` and the runs, `SIZE-SEED/`. Finished runs are not
        repeated; interrupted runs continue.
    sizes
        Numbers of training structures. Smaller sets are parts of larger ones of the same seed.
    seeds
        Number of choices.
    jobs
        Processes of one thread each.
    reporter
        Reports the progress.

    Returns
    -------
    list of list of float
        Rows of COLUMNS, errors in eV/atom, eV/Angstrom, eV/Angstrom^3, NaN where there is none.

    Raises
    ------
    Error
        The training data have fewer structures than a size, or there are no test data; and see `train`.
    """
    with _resumable(out), run_folder(out, reporter):
        _check_sizes(config, sizes, reporter)
        rows = sorted(_rows(config, out, [(size, seed) for size in sizes for seed in range(seeds)], jobs, reporter))
        lines = [[int(row[0]), int(row[1]), *(f"{x:.6g}" if np.isfinite(x) else "" for x in row[2:])] for row in rows]
        write_text(out / "learning_curve.csv", csv_text(COLUMNS, lines))
        save_size_curve(out / "learning_curve.png", np.array(rows))
    return rows


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Make an interruption in this block say how to continue."""
    try:
        yield
    except Interrupted as stop:
        raise Interrupted(f"interrupted; the same command continues from what is in {out}", stop.signum) from None


def _read_data(config: Config, reporter: Reporter) -> tuple[Dataset, Dataset]:
    return read_data(config.data, random_numbers(config.training.seed, Stream.SPLIT), reporter)


def _check_sizes(config: Config, sizes: Sequence[int], reporter: Reporter) -> None:
    data, test = _read_data(config, reporter)
    if not len(test):
        raise Error("[data] test: a learning curve needs test data")
    for size in sizes:
        if not 1 <= size <= len(data):
            raise Error(f"a learning curve with {size} structures needs as many, there are {len(data)} to train on")


def _rows(
    config: Config, out: Path, tasks: Sequence[tuple[int, int]], jobs: int, reporter: Reporter
) -> list[list[float]]:
    """Do the runs (size, seed) and return their rows, in the order in which they end."""
    rows = []
    before = multiprocessing.active_children()
    with _single_threads(), reporter.task("learning curve", len(tasks), lines=True) as advance:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:
            with _blocked_signals():
                futures = [pool.submit(_one, config, out / f"{size}-{seed}", size, seed) for size, seed in tasks]
            try:
                for future in as_completed(futures):
                    rows.append(future.result())
                    advance(note=f"{rows[-1][0]:.0f} structures")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in multiprocessing.active_children():
                    if process not in before:
                        process.terminate()  # after a checkpoint
                raise
    return rows


def _one(config: Config, out: Path, size: int, seed: int) -> list[float]:
    """Do one run, and return its row."""
    quiet = Silent()
    data, test = _read_data(config, quiet)
    order = random_numbers(config.training.seed + seed, Stream.SUBSET).permutation(len(data))
    training = config.training.model_copy(update={"seed": config.training.seed + seed, "posterior": False})
    chosen = data.chosen(sorted(order[:size].tolist()))
    try:
        train(config.model_copy(update={"training": training}), out, resume=True, reporter=quiet, data=(chosen, test))
    except Interrupted as stop:
        os._exit(128 + stop.signum)  # the parent reports it
    errors: dict[str, Any] = json.loads((out / "errors.json").read_text(encoding="utf-8"))["test"]
    return [float(size), float(seed), *(float(errors.get(kind, np.nan)) for kind in KINDS)]


def _begin() -> None:
    """Prepare a process. It has one thread, and ends with the command, so that it never writes beside a resumed one."""
    _core.set_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    Thread(target=end_with, args=(parent,), daemon=True).start()
    for signum in STOPPING:
        signal.signal(signum, lambda signum, _: os._exit(128 + signum))  # outside of `train`
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """Keep signals from the processes that are started in this block, until `_begin`."""
    resource_tracker.ensure_running()  # which unblocks them when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _single_threads() -> Iterator[None]:
    """Let processes that are started in this block use one thread, also in numpy's libraries."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
