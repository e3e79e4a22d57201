"""Bugs planted one after the other, and whether the tests notice. See README.md beside this file.

mutate.py planted [NAME...]                           those of planted.toml
mutate.py random [FILE...] [--count N] [--seed S]     small changes of the files of targets.toml
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import io
import json
import multiprocessing
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "wheel"  # of the editable install
CPP_BUILD = ROOT / "build" / "cpp"  # of the C++ tests
STATE = ROOT / "build" / "mutation"  # results, and the file that has a bug just now
TIMEOUT = 600  # seconds of the tests of a bug; those that hang notice it
COMPILED = {".cpp", ".hpp", ".h", ".cu", ".cuh"}

# Several runs on one machine do not wait actively for their threads.
QUIET = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
ALIKE = ("ase.build", "ase.io", "matplotlib.figure", "pydantic", "scipy.optimize", "scipy.cluster.hierarchy", "typer")

BOTH_WAYS = [
    (" < ", " <= "),
    (" > ", " >= "),
    (" == ", " != "),
    (" + ", " - "),
    (" * ", " / "),
    (" += ", " -= "),
    (" && ", " || "),
    (" and ", " or "),
    ("True", "False"),
    ("true", "false"),
    ("min(", "max("),
    ("argmin", "argmax"),
    ("continue", "break"),
]
ONE_WAY = [
    (r"\bnot (?!in\b)", ""),
    (r"(?<=\()!(?=[\w(])", ""),
    (r"std::abs|std::fabs|np\.abs|\babs(?=\()", ""),
    (r"(?<=\w\()([\w.]+), ([\w.]+)(?=\))", r"\2, \1"),  # arguments
    (r"(?<= if )([^:\n]+)(?=:$| else )", r"not (\1)"),
    (r"(?<=\de)-(?=\d)", ""),  # of an exponent
]


@dataclass(frozen=True)
class Bug:
    """A bug: `old` in a file, from character `at` on, becomes `new`.

    `tests` are arguments of pytest, or "program" and its arguments.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    at: int

    def planted(self) -> str:
        text = (ROOT / self.file).read_text()
        return text[: self.at] + self.new + text[self.at + len(self.old) :]


def load(name: str) -> dict[str, Any]:
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    return dict(tomllib.loads((HERE / name).read_text()))


def by_hand(names: list[str]) -> Iterator[Bug]:
    """Yield the bugs of planted.toml; report and skip a bug whose text is not in its file once."""
    for entry in load("planted.toml")["bug"]:
        if names and entry["name"] not in names:
            continue
        text, old = (ROOT / entry["file"]).read_text(), entry["old"].strip("\n")
        if text.count(old) != 1:
            print(f"stale: {entry['name']}: {entry['file']} has its text {text.count(old)} times", flush=True)
            continue
        yield Bug(**entry | {"old": old, "new": entry["new"].strip("\n"), "at": text.index(old)})


def by_chance(files: list[str], count: int, seed: int) -> list[Bug]:
    """Choose `count` changes of each file."""
    targets = load("targets.toml")["tests"]
    chosen = []
    for file in files or targets:
        found = sorted(changes(ROOT / file))
        chance = random.Random(f"{seed} {file}")
        for at, old, new in sorted(chance.sample(found, min(count, len(found)))):
            before = (ROOT / file).read_text()[:at].split("\n")
            place = f"{file}:{len(before)}:{len(before[-1]) + 1}"
            chosen.append(Bug(f"{place}: {old.strip()} -> {new.strip()}", file, old, new, targets[file], at))
    return chosen


def changes(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield place, text and changed text."""
    text, code = path.read_text(), masked(path)
    nothing, end = (";", r";$") if path.suffix in COMPILED else ("pass", r"[^(,\[{]$")
    statement = rf"(?<=    )[\w.\[\]>-]+( [+*/|-]?= |\()[^\n]*{end}"
    for pattern, new in [*operators(), *ONE_WAY, (statement, nothing)]:
        for m in re.finditer(pattern, code, re.MULTILINE):
            if pattern == statement and (m[0].count("(") != m[0].count(")") or m[0].startswith("return")):
                continue
            old, changed = text[m.start() : m.end()], filled(new, m, text)
            if old != changed:
                yield m.start(), old, changed
    for m in re.finditer(r"(?<![\w.])\d+(?![\w.]|\.\d)", code):
        yield m.start(), m[0], str(int(m[0]) + 1)


def operators() -> Iterator[tuple[str, str]]:
    for a, b in BOTH_WAYS:
        for old, new in ((a, b), (b, a)):
            yield (rf"\b{re.escape(old)}" if old[0].isalpha() else re.escape(old)), new


def filled(new: str, found: re.Match[str], text: str) -> str:
    """Return `new` with the text of the groups that it names."""
    return re.sub(r"\\(\d)", lambda m: text[slice(*found.span(int(m[1])))], new)


def masked(path: Path) -> str:
    """Return the code with blanks in place of the contents of comments and strings."""
    text = path.read_text()
    if path.suffix in COMPILED:
        quiet = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|^\s*#[^\n]*|template <[^\n]*'
        return re.sub(quiet, blank, text, flags=re.DOTALL | re.MULTILINE)
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            a, b = (starts[row - 1] + column for row, column in (token.start, token.end))
            text = text[:a] + re.sub(r"[^\n]", "~", text[a:b]) + text[b:]
    return text


def blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", "~", found[0])


def noticed(bug: Bug) -> str:
    """Return "survived", or how the bug was noticed: "failed", "hung", "not built"."""
    path = ROOT / bug.file
    (STATE / "original").write_text(json.dumps({"file": bug.file, "text": path.read_text()}))
    try:
        path.write_text(bug.planted())
        return result_of(bug)
    finally:
        restore()


def require_sound(bug: Bug) -> None:
    """Exit if the tests of a bug fail without it: they would seem to notice everything."""
    found = result_of(bug)
    if found != "survived":
        raise SystemExit(f"without a bug it is {found}: {bug.tests}")


def result_of(bug: Bug) -> str:
    """Return the result of a bug's tests for the code as it is."""
    kind, _, words = bug.tests.partition(" ")
    if kind == "program":
        return tested_in_cpp(*shlex.split(words))
    return tested(bug.tests) if built() else "not built"  # also without the last bug, where that was in C++


def restore() -> None:
    """Remove the bug that is planted, also one that a killed run has left."""
    kept = STATE / "original"
    if kept.exists():
        original = json.loads(kept.read_text())
        (ROOT / original["file"]).write_text(original["text"])
        kept.unlink()


def cmake(*words: str) -> bool:
    found = shutil.which("cmake", path=sysconfig.get_path("scripts")) or "cmake"
    return subprocess.run([found, *words], capture_output=True).returncode == 0


def built() -> bool:
    """Build the extension and put it where Python finds it."""
    return cmake("--build", str(BUILD)) and cmake("--install", str(BUILD), "--prefix", sysconfig.get_path("purelib"))


def tested_in_cpp(name: str, *options: str) -> str:
    """Return the result of a C++ test, with the CUDA kernels executed on the processor. Nothing else is built."""
    if not CPP_BUILD.exists():
        eigen = ";".join(f"{path}/cmeel.prefix" for path in sys.path)
        cmake("-S", str(ROOT), "-B", str(CPP_BUILD), "-DSITEWISE_CUDA=HOST", f"-DCMAKE_PREFIX_PATH={eigen}")
    if not cmake("--build", str(CPP_BUILD), "--target", name):
        return "not built"
    try:
        ended = subprocess.run([CPP_BUILD / "cpp" / "tests" / name, *options], capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return "hung"
    return "survived" if ended.returncode == 0 else "failed"


def tested(tests: str) -> str:
    """Return the result of pytest, in a process that has already imported the other packages."""
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(shlex.split(tests),))
    process.start()
    process.join(TIMEOUT)
    if process.exitcode is None:
        process.kill()
        return "hung"
    if process.exitcode in (4, 5):
        raise SystemExit(f"pytest finds no test in: {tests}")
    return "survived" if process.exitcode == 0 else "failed"


def run_tests(words: list[str]) -> None:
    output = os.open(STATE / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(ROOT)
    raise SystemExit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *words])))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["planted", "random"])
    parser.add_argument("names", nargs="*", help="of bugs or of files, by default all")
    parser.add_argument("--count", type=int, default=5, help="of random changes of a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="also those that have a result")
    return parser.parse_intermixed_args()


def main() -> None:
    options = arguments()
    os.environ.update(QUIET)
    for name in ALIKE:
        importlib.import_module(name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one run at a time in a working tree
        restore()
        names = options.names
        bugs = by_hand(names) if options.kind == "planted" else by_chance(names, options.count, options.seed)
        said = list(outcomes(bugs, STATE / f"{options.kind}.jsonl", options.again))
    print(f"{said.count('survived')} of {len(said)} survived")


def outcomes(bugs: Iterable[Bug], results: Path, again: bool) -> Iterator[str]:
    """Yield one outcome after another, from the file of results if it is known."""
    lines = results.read_text().splitlines() if results.exists() else []
    known = {row["name"]: row for row in map(json.loads, lines)}
    sound = set()
    for bug in bugs:
        if again or bug.name not in known:
            if bug.tests not in sound:
                require_sound(bug)
                sound.add(bug.tests)
            known[bug.name] = asdict(bug) | {"result": noticed(bug)}
            with results.open("a") as file:
                file.write(json.dumps(known[bug.name]) + "\n")
        outcome = known[bug.name]["result"]
        print(f"{outcome:9s} {bug.name}", flush=True)
        yield outcome


if __name__ == "__main__":
    main()
