"""A mutation fuzz of the Python readers: the outcome of each input is a result of finite numbers, or one Error.

    python fuzz/mutate_readers.py --inputs 100000 --seed 1

Inputs are small valid files, made here, with bytes flipped, lines doubled, dropped or cut, numbers replaced by nasty
ones, and parts of two files joined. What is found is kept in a folder, to be read again with --again FILE. Memory is
bounded, and so is the time of each input.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import test_vasp
from checks import silicon_frames, silicon_potential
from sitewise import Dataset, Error, Potential
from sitewise.config import Config
from sitewise.features.cache import Sizes, read_features, write_features
from sitewise.io.simple_nn import read_params, read_potential, write_params, write_potential
from sitewise.posterior import Posterior
from sitewise.progress import Silent
from sitewise.symmetry import SymmetryFunctions
from sitewise.text import printable_lines
from sitewise.training.checkpoint import State

SECONDS = 2.0  # of CPU for an input
MEMORY = 3 << 30  # bytes of address space beyond that of the start
LONGEST = 2000  # characters of an Error
SIZES = Sizes(structures=2, atoms=16, width=5)  # of the feature cache

NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
NASTY = [
    *(b"0", b"-1", b"1e9", b"1000000000", b"99999999999999999999", b"1e308", b"-1e308", b"1e-320", b"nan", b"inf"),
    *(b"-0", b"1_0", b"0x10", b"1d5", b"", b"2147483648", b"-2147483649", b"\xd9\xa3", b"9" * 5000, b"1e999"),
]
WORDS = [
    *(b"\x00", b"\xff", b"\x1b[31m", b"[" * 3000, b"{" * 3000, b"\n", b"\r\n", b"\t", b'"', b"=", b",", b"#", b"</x>"),
    *(b"Si", b"X", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"_JSON [", b"T", b"x" * 3000, b"end\nbegin\n", b"../../../etc"),
]


class TooLong(BaseException):
    """An input took longer than SECONDS; no `except Exception` of a library takes it for its own."""


@dataclass(frozen=True)
class Reader:
    """Files of a folder and what reads them; `changed` are those that are mutated."""

    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """An outcome that is neither a result nor an Error."""

    reader: str
    what: str
    file: Path


def _frames() -> list[Any]:
    frames = silicon_frames(2)
    for atoms in frames:
        atoms.info["note"] = "a b"
    return frames


def _make_data(name: str, ase_format: str | None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        frames = _frames()
        if name in test_vasp.FILES:
            for atoms in frames:
                labels = atoms.calc.results
                atoms.symbols[6:] = "O"
                atoms.calc = SinglePointCalculator(atoms, **labels)
            (folder / name).write_text(test_vasp.FILES[name][0](frames))
        elif name == "input.data":
            rows = [f"atom {x} {y} {z} Si 0.0 0.0 0.1 0.2 0.3" for x, y, z in frames[0].positions]
            cell = [f"lattice {x} {y} {z}" for x, y, z in frames[0].cell.array]
            lines = ["begin", "comment two", *cell, *rows, "energy -1.5", "charge 0.0", "end"]
            (folder / name).write_text("\n".join(lines * 2) + "\n")
        elif name == "dump.lammpstrj":
            rows = [f"{i} Si {x} {y} {z} 0.1 0.2 0.3" for i, (x, y, z) in enumerate(frames[0].positions, 1)]
            head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n8\nITEM: BOX BOUNDS pp pp pp\n0 5.4\n0 5.4\n0 5.4\n"
            text = head + "ITEM: ATOMS id element x y z fx fy fz\n" + "\n".join(rows) + "\n"
            (folder / name).write_text(text * 2)
        else:
            single = ase_format in ("vasp", "lammps-data", "cif", "gen", "cube")
            options = {"masses": True} if ase_format == "lammps-data" else {}
            write(folder / name, frames[0] if single else frames, format=ase_format, **options)

    return make


def _read_data(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        data = Dataset.read(folder / name, require_labels=False, reporter=Silent())
        for s in data:
            values = [s.atoms.positions, s.atoms.cell.array, s.energy or 0.0, s.forces, s.stress]
            assert all(value is None or np.isfinite(value).all() for value in values), "numbers are not finite"
        assert data.summary().isprintable()
        return data

    return read


def _make_config(folder: Path) -> None:
    (folder / "run.toml").write_text(
        '[data]\ntrain = ["a.xyz", "b/*.xyz"]\ntest = 0.1\nlength_unit = "Bohr"\n[data.keys]\nenergy = "E"\n'
        '[symmetry_functions]\npreset = "fast"\ncutoff = 5.0\n[network]\nhidden = [20, 20]\nactivation = "tanh"\n'
        '[training]\nrecipe = "seed-adam"\nepochs = 10\nbatch_size = 4\nlearning_rate = [0.01, 1e-4]\nl2 = 1e-6\n'
        'group_weights = { "a b" = 2.0 }\nseed = 3\nreplicas = 2\nstudent = true\n[invariants]\ndata = "auto"\n'
    )


def _make_checkpoint(folder: Path) -> None:
    memory = {"value": np.array(0.5), "slope": np.ones(3), "steps": np.zeros((2, 3))}
    state = State.start(np.arange(3.0), memory)
    state.log = [[1.0, np.nan]]
    state.save(folder / "checkpoint.npz", {"a": 1})


def _read_checkpoint(folder: Path) -> State:
    path = folder / "checkpoint.npz"
    state = State.load(path, {"a": 1})
    state.require(path, 3, {"value": 0, "slope": 1, "steps": 2}, 2)
    assert np.isfinite(state.theta).all(), "numbers are not finite"
    return state


def _make_cache(folder: Path) -> None:
    derivatives = np.linspace(-1, 1, 100).astype(np.float32)
    write_features(folder / "cache", SIZES, ((np.ones((8, 5)), derivatives) for _ in range(2)))


def _make_params(folder: Path) -> None:
    write_params(SymmetryFunctions.preset("simple-nn", ["Si", "O"]), folder)


def _make_posterior(folder: Path) -> None:
    potential = Potential(silicon_potential())
    potential.save(folder)
    weights = potential.core.weights
    Posterior(weights, 0.1 * weights, np.outer([0.1, -0.2], weights), 1.5).save(folder)


def _read_potential(folder: Path) -> Any:
    return _computed(Potential.load(folder / "potential"))


def _computed(potential: Potential) -> Any:
    """What a potential finds for two atoms."""
    from ase import Atoms

    atoms = Atoms([potential.elements[0]] * 2, positions=[[0, 0, 0], [0, 0, 2.2]])
    found = potential.evaluate(atoms, bars=potential.posterior is not None)
    assert np.isfinite(found.energies).all() or not np.isfinite(found.energy), "an energy hides what is not finite"
    return found


DATA = {
    **{"data.xyz": "extxyz", "plain.xyz": "xyz", "data.json": "json", "data.traj": "traj", "data.db": "db"},
    **{"POSCAR": "vasp", "XDATCAR": "vasp-xdatcar", "x.cif": "cif", "x.lammps-data": "lammps-data", "x.gen": "gen"},
    **{"input.data": None, "dump.lammpstrj": None, "OUTCAR": None, "vasprun.xml": None, "x.cube": "cube"},
}
FILES_OF_A_POTENTIAL = ("input.nn", "scaling.data", "weights.014.data")
READERS = {
    **{name: Reader(_make_data(name, kind), _read_data(name), (name,)) for name, kind in DATA.items()},
    "run.toml": Reader(_make_config, lambda folder: Config.load(folder / "run.toml"), ("run.toml",)),
    "checkpoint": Reader(_make_checkpoint, _read_checkpoint, ("checkpoint.npz",)),
    "cache": Reader(_make_cache, lambda folder: read_features(folder / "cache", SIZES, Silent()), ("cache",)),
    "simple-nn": Reader(
        lambda folder: write_potential(Potential(silicon_potential()), folder / "potential_saved"),
        lambda folder: _computed(read_potential(folder / "potential_saved")),
        ("potential_saved",),
    ),
    "params": Reader(
        _make_params, lambda folder: read_params([folder / "params_O", folder / "params_Si"]), ("params_Si",)
    ),
    "posterior": Reader(_make_posterior, lambda folder: _computed(Potential.load(folder)).bars, ("posterior.data",)),
    "potential": Reader(
        lambda folder: Potential(silicon_potential()).save(folder / "potential"),
        _read_potential,
        tuple(f"potential/{name}" for name in FILES_OF_A_POTENTIAL),
    ),
}


def mutated(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """The content with a few changes; parts of the other may come in."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        content = rng.choice(MUTATORS)(content, other, rng)
    return content


def _flip(content: bytes, _: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]


def _truncate(content: bytes, _: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _number(content: bytes, _: bytes, rng: random.Random) -> bytes:
    found = list(NUMBER.finditer(content))
    if not found:
        return content
    chosen = rng.choice(found[:40] if rng.random() < 0.5 else found)  # heads matter most
    return content[: chosen.start()] + rng.choice(NASTY) + content[chosen.end() :]


def _word(content: bytes, _: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(WORDS) + content[place:]


def _lines(content: bytes, other: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    changes = [
        lambda: lines[:place] + [lines[place]] * rng.choice((2, 3, 50)) + lines[place + 1 :],
        lambda: lines[:place] + lines[place + 1 :],
        lambda: [*lines[:place], rng.choice(other.split(b"\n")), *lines[place:]],
        lambda: lines[:place] + lines[place : place + 1] + lines[:place],
        lambda: [*lines[:place], b" ".join(rng.sample(lines[place].split(), len(lines[place].split())))],
    ]
    return b"\n".join(rng.choice(changes)())


def _splice(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


MUTATORS = (_flip, _flip, _truncate, _number, _number, _number, _word, _lines, _lines, _splice)


def fuzz(inputs: int, seed: int, readers: list[str], kept: Path) -> tuple[Counter[str], list[Finding]]:
    """Reads mutated inputs, the same for the same seed; what is found is written to a folder."""
    counts: Counter[str] = Counter()
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory() as scratch, _bounded():
        seeds = {name: _seed(Path(scratch) / f"seed-{name}", READERS[name]) for name in readers}
        everything = [content for files in seeds.values() for content in files.values()]
        for number in range(inputs):
            rng = random.Random(f"{seed} {number}")
            name = readers[number % len(readers)]
            reader, folder = READERS[name], Path(scratch) / f"seed-{name}"
            file = rng.choice(reader.changed)
            content = mutated(seeds[name][file], rng.choice(everything), rng)
            (folder / file).write_bytes(content)
            (kept / "last").write_bytes(content)  # which is left where the process dies
            outcome = _outcome(reader, folder)
            (folder / file).write_bytes(seeds[name][file])
            counts[f"{name}: {outcome[:5] if outcome in ('Error', 'result') else 'finding'}"] += 1
            if outcome not in ("Error", "result"):
                found = kept / f"{name}-{seed}-{number}-{file.replace('/', '-')}"
                found.write_bytes(content)
                findings.append(Finding(name, outcome, found))
            if number % 1000 == 999:
                print(f"{number + 1} inputs, {len(findings)} findings", file=sys.stderr, flush=True)
    return counts, findings


def _seed(folder: Path, reader: Reader) -> dict[str, bytes]:
    """Makes the files of a reader, which it must be able to read."""
    folder.mkdir()
    reader.make(folder)
    reader.read(folder)
    return {file: (folder / file).read_bytes() for file in reader.changed}


def _outcome(reader: Reader, folder: Path) -> str:
    """ "result", "Error", or what went wrong."""
    before = set(folder.rglob("*"))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        reader.read(folder)
        outcome = "result"
    except Error as error:
        text = str(error)
        outcome = "Error" if printable_lines(text) == text and len(text) < LONGEST else f"message {text[:500]!r}"
    except TooLong:
        outcome = "took too long:\n" + traceback.format_exc()
    except BaseException:
        outcome = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    left = set(folder.rglob("*")) - before
    for path in left:
        path.unlink()
    return f"left {sorted(left)}" if left else outcome


class _bounded:
    """Bounds the memory, and interrupts what takes too long."""

    def __enter__(self) -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        self.limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, self.limits[1]))
        self.handler = signal.signal(signal.SIGPROF, self._stop)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGPROF, self.handler)
        resource.setrlimit(resource.RLIMIT_AS, self.limits)

    @staticmethod
    def _stop(_signum: int, _frame: FrameType | None) -> None:
        raise TooLong


def _again(file: Path) -> str:
    """The outcome of one kept input."""
    name = next(name for name in READERS if file.name.startswith(f"{name}-"))
    with tempfile.TemporaryDirectory() as scratch, _bounded():
        folder = Path(scratch) / "seed"
        _seed(folder, READERS[name])
        target = next(f for f in READERS[name].changed if file.name.endswith(f.replace("/", "-")))
        shutil.copy(file, folder / target)
        return _outcome(READERS[name], folder)


def _kinds(findings: list[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """Findings by reader and last line of what was found."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        lines = finding.what.strip().splitlines()
        kinds.setdefault(f"{finding.reader}: {lines[-1][:150]}", []).append(finding)
    yield from sorted(kinds.items(), key=lambda item: -len(item[1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for what is found")
    parser.add_argument("--again", type=Path, help="read a kept file again")
    options = parser.parse_args()
    warnings.simplefilter("error", RuntimeWarning)  # numpy's, which a user would see between our sentences
    if options.again:
        print(_again(options.again))
        return 0
    options.keep.mkdir(parents=True, exist_ok=True)
    counts, findings = fuzz(options.inputs, options.seed, options.readers, options.keep)
    print(json.dumps(dict(sorted(counts.items())), indent=1))
    for kind, members in _kinds(findings):
        print(f"{len(members)} x {kind}\n{members[0].what}\n    in {members[0].file}\n")
    print(f"{sum(counts.values())} inputs, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
