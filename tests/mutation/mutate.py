"""Bugs planted one after the other, and whether the tests notice. See README.md beside this file.

mutate.py planted [NAME...]                           those of planted.toml
mutate.py random [FILE...] [--count N] [--seed S]     small changes of the files of targets.toml
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "wheel"  # of the editable install
STATE = ROOT / "build" / "mutation"  # results, and the file that has a bug just now
TIMEOUT = 600  # seconds of the tests of a bug; those that hang notice it
COMPILED = {".cpp", ".hpp", ".h", ".cu", ".cuh"}

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
    (r"(?<= if )([^:]+)(?=:$| else )", r"not (\1)"),
]


@dataclass(frozen=True)
class Bug:
    """`old` in a file, from character `at` on, becomes `new`; `tests` are arguments of pytest."""

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
    """Bugs of planted.toml; one whose text does not stand in its file once is said and passed over."""
    for entry in load("planted.toml")["bug"]:
        if names and entry["name"] not in names:
            continue
        text, old = (ROOT / entry["file"]).read_text(), entry["old"].strip("\n")
        if text.count(old) != 1:
            print(f"stale: {entry['name']}: {entry['file']} has its text {text.count(old)} times", flush=True)
            continue
        yield Bug(**entry | {"old": old, "new": entry["new"].strip("\n"), "at": text.index(old)})


def by_chance(files: list[str], count: int, seed: int) -> list[Bug]:
    """`count` changes of each file."""
    targets = load("targets.toml")["tests"]
    chosen = []
    for file in files or targets:
        found = sorted(changes(ROOT / file))
        chance = random.Random(f"{seed} {file}")
        for at, old, new in sorted(chance.sample(found, min(count, len(found)))):
            line = (ROOT / file).read_text().count("\n", 0, at) + 1
            chosen.append(Bug(f"{file}:{line}: {old.strip()} -> {new.strip()}", file, old, new, targets[file], at))
    return chosen


def changes(path: Path) -> Iterator[tuple[int, str, str]]:
    """Place, text and changed text."""
    code = masked(path)
    for a, b in BOTH_WAYS:
        for old, new in ((a, b), (b, a)):
            pattern = rf"\b{re.escape(old)}" if old[0].isalpha() else re.escape(old)
            yield from ((m.start(), old, new) for m in re.finditer(pattern, code))
    for pattern, new in ONE_WAY:
        yield from ((m.start(), m[0], m.expand(new)) for m in re.finditer(pattern, code, re.MULTILINE))
    for m in re.finditer(r"(?<![\w.])\d+(?![\w.]|\.\d)", code):
        yield m.start(), m[0], str(int(m[0]) + 1)
    for m in re.finditer(r"(?<=\d)e(-?)(?=\d)", code):
        yield m.start(), m[0], "e" if m[1] else "e-"
    nothing, end = (";", r";$") if path.suffix in COMPILED else ("pass", r"[^(,\[{]$")
    for m in re.finditer(rf"(?<=    )[\w.\[\]>-]+( [+*/|-]?= |\()[^\n]*{end}", code, re.MULTILINE):
        if m[0].count("(") == m[0].count(")") and not m[0].startswith(("if(", "return")):
            yield m.start(), m[0], nothing


def masked(path: Path) -> str:
    """The code with blanks for what comments and strings hold."""
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
    """ "survived", or how the bug was noticed: "failed", "hung", "not built"."""
    path = ROOT / bug.file
    kept = STATE / "original"
    kept.write_text(json.dumps({"file": bug.file, "text": path.read_text()}))
    try:
        path.write_text(bug.planted())
        if path.suffix in COMPILED and not built():
            return "not built"
        return tested(bug.tests)
    finally:
        restore()


def restore() -> None:
    """Takes out the bug that is in, also one that a killed run has left."""
    kept = STATE / "original"
    if kept.exists():
        original = json.loads(kept.read_text())
        (ROOT / original["file"]).write_text(original["text"])
        kept.unlink()


def built() -> bool:
    """Builds the extension and puts it where Python finds it."""
    site = sysconfig.get_path("purelib")
    commands = [["--build", str(BUILD)], ["--install", str(BUILD), "--prefix", site]]
    cmake = shutil.which("cmake", path=sysconfig.get_path("scripts")) or "cmake"
    return all(subprocess.run([cmake, *words], capture_output=True).returncode == 0 for words in commands)


def tested(tests: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *shlex.split(tests)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return "hung"
    finally:
        process.kill()
    if process.returncode in (4, 5):
        raise SystemExit(f"pytest finds no test in: {tests}\n{output[-1000:]}")
    return "survived" if process.returncode == 0 else "failed"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["planted", "random"])
    parser.add_argument("names", nargs="*", help="of bugs or of files, by default all")
    parser.add_argument("--count", type=int, default=5, help="of random changes of a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="also those that have a result")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    STATE.mkdir(parents=True, exist_ok=True)
    restore()
    bugs = (
        by_hand(options.names) if options.kind == "planted" else by_chance(options.names, options.count, options.seed)
    )
    results = STATE / f"{options.kind}.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    known = {row["name"]: row for row in map(json.loads, lines)}
    said = []
    for bug in bugs:
        if options.again or bug.name not in known:
            known[bug.name] = asdict(bug) | {"result": noticed(bug)}
            with results.open("a") as file:
                file.write(json.dumps(known[bug.name]) + "\n")
        said.append(known[bug.name]["result"])
        print(f"{said[-1]:9s} {bug.name}", flush=True)
    print(f"{said.count('survived')} of {len(said)} survived")


if __name__ == "__main__":
    main()
