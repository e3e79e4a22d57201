"""Runs are safe from each other and from the machine: locks, leftovers, files that change in use, signals, streams."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.io import write

from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential, SymmetryFunctions, _core, files, train
from sitewise.config import Config
from sitewise.features.cache import content_key
from sitewise.features.source import FeatureSource
from sitewise.files import LOCK, atomic, run_folder, write_text
from sitewise.progress import Reporter
from sitewise.reproduce import reproduce
from sitewise.signals import Interrupted, Stop, stop_signals
from sitewise.training.checkpoint import State
from sitewise.training.inputs import make_inputs
from sitewise.training.learning_curve import learning_curve
from sitewise.training.run import begin_run, identity

pytestmark = pytest.mark.slow

QUIET = Reporter(quiet=True)
COMMAND = [sys.executable, "-m", "sitewise"]
RUN = """
[data]
train = "data.xyz"
test = 0.25
{data}
[symmetry_functions]
preset = "auto"
cutoff = 5.0
[network]
hidden = [4]
[training]
optimizer = "adam"
iterations = {iterations}
force_weight = 0.3
{training}
"""

# Holds the lock of a folder until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from sitewise.files import run_folder
from sitewise.progress import Reporter
with run_folder(Path(sys.argv[1]), Reporter()):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a folder with training data and a RUN.toml."""
    write(tmp_path / "data.xyz", silicon_frames(8))
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_run(folder, iterations=3, data="", training=""):
    (folder / "run.toml").write_text(RUN.format(iterations=iterations, data=data, training=training))


@contextlib.contextmanager
def held(path):
    """Make another process work in the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


# ---- one run in a folder


@pytest.mark.parametrize("command", ["train", "resume", "learning-curve", "reproduce"])
def test_a_folder_is_one_runs_at_a_time(folder, command):
    out = folder / "out"
    begin = {
        "train": lambda: train("run.toml", out, reporter=QUIET),
        "resume": lambda: train("run.toml", out, resume=True, reporter=QUIET),
        "learning-curve": lambda: learning_curve(Config.load("run.toml"), out, [3], 1, 1, QUIET),
        "reproduce": lambda: reproduce("spline", out, quick=True, reporter=QUIET),
    }[command]
    with held(out) as process:
        before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        with pytest.raises(Error, match=f"out: process {process.pid} on .* works in this folder"):
            begin()
        assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    if command in ("train", "resume"):  # the kernel has released what was killed
        begin()
        assert not (out / LOCK).exists()


def test_the_second_of_two_runs_ends_and_the_first_does_not_notice(folder):
    write_run(folder, iterations=200)
    command = [*COMMAND, "train", "run.toml", "--out", "out", "--quiet"]
    lock = folder / "out" / LOCK
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        while not (lock.exists() and lock.stat().st_size):  # locked first, then written
            assert first.poll() is None
            time.sleep(0.01)
        for resume in (False, True):
            with pytest.raises(Error, match=f"out: process {first.pid} on .* works in this folder"):
                train("run.toml", folder / "out", resume=resume, reporter=QUIET)
        assert first.wait(120) == 0
    train("run.toml", folder / "alone", reporter=QUIET)
    weights = [Potential.load(folder / name / "potential").core.weights for name in ("out", "alone")]
    assert np.array_equal(*weights)


def test_a_thread_of_the_same_process_is_kept_out(tmp_path):
    with (
        run_folder(tmp_path, QUIET),
        pytest.raises(Error, match=f"process {os.getpid()} on "),
        run_folder(tmp_path, QUIET),
    ):
        pass


@pytest.mark.parametrize("content", ["", "\x1b[31m process 1 on here", "process 1 on <script>", "x" * 10_000])
def test_a_holder_that_does_not_say_its_name(tmp_path, content):
    with held(tmp_path / "out"):
        (tmp_path / "out" / LOCK).write_text(content)
        with (
            pytest.raises(Error, match="out: another process works in this folder"),
            run_folder(tmp_path / "out", QUIET),
        ):
            pass


def test_the_lock_is_no_link_to_elsewhere(tmp_path):
    (tmp_path / "precious").write_text("content")
    (tmp_path / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(Error, match="cannot be written"), run_folder(tmp_path, QUIET):
        pass
    assert (tmp_path / "precious").read_text() == "content"


def test_a_lock_that_is_removed_while_it_is_taken(tmp_path, monkeypatch):
    """The previous run removes it, when it ends between the opening of its file and the lock: that file locks nobody
    out."""
    lock, ended = files._try_lock, []

    def late(handle):
        if not ended:
            ended.append((tmp_path / LOCK).unlink())
        return lock(handle)

    monkeypatch.setattr(files, "_try_lock", late)
    with run_folder(tmp_path, QUIET):
        assert (tmp_path / LOCK).exists()
        with pytest.raises(Error, match="works in this folder"), run_folder(tmp_path, QUIET):
            pass


def test_without_locks_a_run_warns(tmp_path, monkeypatch, capsys):
    def unsupported(handle, flags):
        raise OSError(files.NO_LOCKS[0], "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    (tmp_path / ".a.sitewise-00000000.txt").write_text("")
    with run_folder(tmp_path, QUIET):
        assert (tmp_path / ".a.sitewise-00000000.txt").exists()  # whose it is cannot be known
    assert "its file system has no locks" in capsys.readouterr().err


# ---- what killed runs leave


def test_leftovers_of_killed_runs_are_removed(folder):
    out, cache = folder / "out", folder / "kept"
    write_run(folder, data='cache = "kept"')
    for place in (out, out / "potential", out / "replica-0" / "potential", cache):
        place.mkdir(parents=True, exist_ok=True)
        (place / ".checkpoint.sitewise-a_b0c1d2.npz").write_text("half")
        (place / ".input.nn.sitewise-0000ab12").write_text("half")
        (place / ".notes.20240101.npz").write_text("the user's")
        (place / "input.sitewise-00000000.nn").write_text("the user's")
    (out / ".potential.sitewise-12345678").mkdir()
    (out / ".potential.sitewise-12345678" / "input.nn").write_text("half")
    train("run.toml", out, resume=True, reporter=QUIET)
    left = {path.name for path in folder.rglob("*") if ".sitewise" in path.name}
    assert left == {"input.sitewise-00000000.nn"}
    assert len(list(folder.rglob(".notes.20240101.npz"))) == 4


WRITE_SLOWLY = """
import sys, time
from sitewise.files import atomic
with atomic(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    time.sleep(60)
"""


def test_only_a_dead_process_leaves_leftovers(tmp_path):
    command = [sys.executable, "-c", WRITE_SLOWLY, str(tmp_path / "a.features")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        temporary = Path(process.stdout.readline().rstrip())
        files.remove_leftovers(tmp_path)
        assert temporary.exists()
        process.kill()
    assert temporary.exists()
    files.remove_leftovers(tmp_path)
    assert not temporary.exists()


def test_killed_while_saving_a_potential(tmp_path):
    """At each of many moments, the folder has a complete potential or none after the next start."""
    Potential(silicon_potential()).save(tmp_path / "source")
    code = (
        "import sys; from sitewise import Potential; p = Potential.load(sys.argv[1])\n"
        "print('begin', flush=True)\nwhile True: p.save(sys.argv[2])"
    )
    for delay in (0.003, 0.01, 0.02):
        command = [sys.executable, "-c", code, str(tmp_path / "source"), str(tmp_path / "out" / "potential")]
        (tmp_path / "out").mkdir(exist_ok=True)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
    with run_folder(tmp_path / "out", QUIET):
        pass
    names = {path.name for path in (tmp_path / "out").rglob("*")}
    if names:  # otherwise each was killed before the first was whole
        Potential.load(tmp_path / "out" / "potential")
        assert names == {"potential", "input.nn", "scaling.data", "weights.014.data"}


# ---- files are on the disk, and go where they are sent


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(os.fstat(handle).st_ino), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append("named"), replace(path, to))[1])
    write_text(tmp_path / "a.txt", "content")
    assert done == [(tmp_path / "a.txt").stat().st_ino, "named"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.txt").symlink_to(tmp_path / "disk" / "a.txt")
    write_text(tmp_path / "a.txt", "content")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "disk" / "a.txt").read_text() == "content"


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True) as process:
        write_text(tmp_path / "pipe", "content")
        assert process.stdout.read() == "content"
    assert (tmp_path / "pipe").is_fifo()


def test_a_device_is_not_replaced():
    with pytest.raises(Error, match="/dev/full: cannot be written: No space left on device"):
        write_text("/dev/full", "content")
    assert Path("/dev/full").is_char_device()


def test_full_disk_while_writing(tmp_path):
    def full():
        with atomic(tmp_path / "a.npz"):
            raise OSError(28, "No space left on device")

    with pytest.raises(Error, match=r"a\.npz: cannot be written: No space left on device"):
        full()
    assert not list(tmp_path.iterdir())


# ---- a cache that changes while it is used


FUNCTIONS = SymmetryFunctions.preset("auto", ["Si"], 5.0)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def rewrite(path):
    """Rewrite a file with the same length."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    with path.open("r+b") as file:
        file.write(content)


def extend(path):
    with path.open("ab") as file:
        file.write(b"0")


@pytest.mark.parametrize("damage", [truncate, empty, rewrite, extend])
def test_a_cache_that_changes_in_use_is_noticed(folder, damage):
    """Truncation of a mapped file would end the process with SIGBUS."""
    write_run(folder, data='cache = "kept"', training="memory_budget = 0.0")
    inputs = make_inputs(Config.load("run.toml"), QUIET)
    run = begin_run(inputs, folder / "out", Stop())
    run.iterate()
    for path in (folder / "kept").iterdir():
        damage(path)
    with pytest.raises(Error, match=r"\.features: was changed or cut short while it was in use"):
        run.iterate()
    with pytest.raises(Error, match=r"\.features: was changed or cut short"):
        inputs.train.prepared.derivatives(len(inputs.train.data) - 1)
    make_inputs(Config.load("run.toml"), QUIET)  # computed anew


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_a_cache_that_is_replaced_or_removed_is_used_as_it_was(tmp_path, change):
    data = Dataset.read(frames_in(tmp_path), reporter=QUIET)
    prepared = FeatureSource(0, tmp_path / "kept").prepare_here(data, FUNCTIONS)
    before = [prepared.derivatives(i) for i in range(len(prepared))]
    (path,) = (tmp_path / "kept").iterdir()
    if change == "replaced":
        write_text(path, "other")
    else:
        path.unlink()
    assert all(np.array_equal(prepared.derivatives(i), before[i]) for i in range(len(prepared)))


def frames_in(folder):
    write(folder / "frames.xyz", silicon_frames(4))
    return folder / "frames.xyz"


@pytest.mark.parametrize("what", ["instruction_set", "alpha", "cutoff_type"])
def test_key_of_a_cache_has_all_that_changes_numbers(tmp_path, monkeypatch, what):
    data = Dataset.read(frames_in(tmp_path), reporter=QUIET)
    rows = "symfunction_short Si 2 Si 0.1 0.0 5.0\n"
    keys = []
    for cutoff in ("cutoff_type 1", {"alpha": "cutoff_type 1 0.5", "cutoff_type": "cutoff_type 2"}.get(what)):
        if cutoff is None:
            monkeypatch.setattr(_core, "info", lambda: {"instruction_set": "another"})
            cutoff = "cutoff_type 1"
        (tmp_path / "input.nn").write_text(f"number_of_elements 1\nelements Si\n{cutoff}\n{rows}")
        keys.append(content_key(data, SymmetryFunctions.from_input(tmp_path / "input.nn")))
    assert keys[0] != keys[1]


# ---- the identity of a run


def run_of(folder, resume=False, **settings):
    """Make a run that has its first state."""
    write_run(folder, **settings)
    return begin_run(make_inputs(Config.load("run.toml"), QUIET), folder / "out", Stop(), resume=resume)


def test_what_changes_numbers_is_part_of_a_runs_identity(folder):
    run_of(folder).save()
    run_of(folder, resume=True, data='cache = "kept"', training="memory_budget = 0.1")
    for setting in ("l2 = 0.01", "stress_weight = 2.0", "seed = 1", "batch_size = 3"):
        with pytest.raises(Error, match=rf"it holds another run: .*\[training\] {setting.split()[0]} was"):
            run_of(folder, resume=True, training=setting)


def test_a_recipe_may_change_its_name(folder):
    recipe = 'recipe = "{}-adam"'
    run_of(folder, training=recipe.format("seed")).save()
    run_of(folder, resume=True, training=recipe.format("yoo2019")).save()
    run_of(folder, resume=True, training=recipe.format("seed"))


def test_every_setting_is_part_of_a_runs_identity(folder):
    """Settings that do not change the course of a run are the exception."""
    run = run_of(folder)
    for table in ("symmetry_functions", "network", "training"):
        expected = {f"[{table}] {key}" for key in run.inputs.config.tables()[table]}
        others = {f"[training] {key}" for key in ("memory_budget", "replicas", "posterior", "iterations")}
        assert expected - set(identity(run.inputs, run.replica)) <= others


@pytest.mark.parametrize("other", [{"a": 1, "b": None, "c": None}, {"a": 1}, {"a": 2, "b": None}])
def test_a_checkpoint_of_another_run_is_refused(tmp_path, other):
    State.start(np.arange(3.0), {}).save(tmp_path / "c.npz", other)
    with pytest.raises(Error, match="cannot be resumed, it holds another run"):
        State.load(tmp_path / "c.npz", {"a": 1, "b": None})


CHANGES = {
    "more memory": {"memory.more": np.zeros(2)},
    "unknown": {"unknown": np.zeros(2)},
    "other size": {"theta": np.zeros(3)},
    "other size in memory": {"memory.mean": np.zeros(3)},
    "whole numbers": {"best_theta": np.zeros(2, dtype=int)},
    "no number": {"iteration": np.array("three")},
    "no table": {"log": np.array(1.0)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_with_other_arrays_is_refused(tmp_path, change):
    path = tmp_path / "c.npz"
    State.start(np.arange(2.0), {"mean": np.zeros(2)}).save(path, {})
    with np.load(path) as arrays:
        content = dict(arrays)

    def load(arrays):
        np.savez(path, **arrays)
        State.load(path, {}).require(path, 2, {"mean": 1}, 0)

    load(content)
    with pytest.raises(Error, match=r"c.npz: is not a checkpoint of this"):
        load(content | change)
    del content["memory.mean"]
    with pytest.raises(Error, match=r"c.npz: is not a checkpoint of this"):
        load(content)


# ---- signals and streams of the command line


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.2, 0.6])
def test_a_signal_amid_the_imports(folder, signum, delay):
    write_run(folder, iterations=10**7)
    command = [*COMMAND, "train", "run.toml", "--out", "out", "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(delay)
        process.send_signal(signum)
        out, told = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + signum, "")
    assert len(told.splitlines()) == 1
    assert told.startswith(("interrupted", "stopped at iteration"))


def test_a_signal_ends_every_command_without_leftovers(folder):
    """The signal comes while the command waits for a pipe that nobody reads."""
    os.mkfifo(folder / "pipe.xyz")
    command = [*COMMAND, "convert", "data.xyz", "-o", "pipe.xyz", "--quiet"]
    for signum in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": "."}) as process:
            time.sleep(1.5)
            process.send_signal(signum)
            _, told = process.communicate(timeout=60)
        assert (process.returncode, told) == (128 + signum, "interrupted\n")
    assert {path.name for path in folder.iterdir()} == {"data.xyz", "run.toml", "pipe.xyz"}


def test_an_interruption_that_a_library_turns_into_an_error_stays_one():
    def broken_off():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:  # as an import does
            raise ImportError("cannot load module more than once per process") from None

    with pytest.raises(Interrupted, match="interrupted") as caught, stop_signals():
        broken_off()
    assert caught.value.signum == signal.SIGTERM
    with pytest.raises(ValueError, match="another"), stop_signals():
        raise ValueError("another")


def test_ctrl_c_ends_a_learning_curve_with_one_sentence(folder):
    """All its processes receive the signal, as from a terminal."""
    write_run(folder, iterations=10**7)
    command = [*COMMAND, "learning-curve", "run.toml", "--sizes", "3,4", "--seeds", "2", "--jobs", "2", "--quiet"]
    for ready in (folder / "run-curve", folder / "run-curve" / "3-0" / LOCK):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            while not ready.exists():
                assert process.poll() is None
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGINT)
            _, told = process.communicate(timeout=60)
        assert process.returncode == 130
        assert told == "interrupted; the same command continues from what is in run-curve\n"


def shell(line):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)


SITEWISE = f"{sys.executable} -m sitewise"


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (f"{SITEWISE} info >/dev/full", 2, "error: "),
        (f"PYTHONUNBUFFERED=1 {SITEWISE} info >/dev/full", 2, "error: "),
        (f"{SITEWISE} --help >/dev/full", 2, "error: "),
        (f"{SITEWISE} info >&-", 2, "error: standard output is closed"),
        (f"{SITEWISE} info | head -c 0; exit ${{PIPESTATUS[0]}}", 141, ""),
        (f"{SITEWISE} info 2>&-", 0, ""),
        (f"{SITEWISE} info 2>/dev/full", 0, ""),
        (f"{SITEWISE} info none 2>/dev/full", 2, ""),
        (f"{SITEWISE} info none 2>&-", 2, ""),
        (f"{SITEWISE} info --none 2>/dev/full", 2, ""),
        (f"{SITEWISE} train run.toml --out out 2>/dev/full", 0, ""),
        (f"{SITEWISE} train run.toml --out out 2>&-", 0, ""),
        (f"{SITEWISE} train run.toml --out out --quiet >/dev/full", 2, "error: "),
    ],
)
def test_streams_that_are_closed_or_full(folder, line, status, told):
    result = shell(line)
    assert (result.returncode, result.stderr[: len(told)]) == (status, told), result
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 1
    assert "error" not in result.stdout
    if "/dev/full" in line and told:
        assert result.stderr.endswith("No space left on device\n")
