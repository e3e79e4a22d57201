"""The steps of DFT outputs: which of them converged, and which a machine-learned force field of VASP made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from .._core import Error

OUTCAR_END = "FREE ENERGIE OF THE ION-ELECTRON SYSTEM"
OUTCAR_REST = 4  # lines after it that belong to the step
ITERATION = re.compile(r"Iteration\s+\d+\(\s*(\d+)\)")
NELM = re.compile(r"\bNELM\s*=\s*(\d+)")
ML_BEGIN = ("ML FORCE on cell", "TOTAL-FORCE (eV/Angst) (ML)")
ML_END = "ML energy  without entropy"
ML_WORDS = (("ML FREE ENERGIE", "FREE ENERGIE"), ("energy ML TOTEN", "energy   TOTEN"), ("ML energy", "energy"))

CALCULATION = re.compile(r"<calculation>(.*?)(</calculation>|\Z)", re.DOTALL)
XML_ENERGY = re.compile(r"<energy>.*?</energy>", re.DOTALL)
XML_NELM = re.compile(r'name="NELM"[^>]*>\s*(\d+)')
XML_ML = re.compile(r'name="ML_LMLFF"[^>]*>\s*T')

QE_BEGIN = ("Program PWSCF", "ATOMIC_POSITIONS")
QE_RESULT = (
    "!    total energy",
    "Forces acting on atoms",
    "total   stress",
    "Magnetic moment per site",
    "End of self-consistent calculation",
    "End of band structure calculation",
)
SHOWN = 5  # most numbers of steps in a message


@dataclass(frozen=True, slots=True)
class Step:
    """A complete step of an output."""

    converged: bool = True
    learned: bool = False


# The steps of an output. If it has results of a force field, also the function that writes a copy that ASE can read,
# with (True) or without the steps of the force field.
Found = tuple[list[Step], Callable[[Path, Path, bool], None] | None]


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of an output that are read.

    Attributes
    ----------
    file
        The file for ASE to read: the output, or a copy that ASE can read.
    total
        Number of complete steps in the output.
    numbers
        Numbers of the structures in that file, counted from 0 in the output.
    chosen
        Numbers of the structures that are wanted.
    warnings
        Sentences about the others.
    """

    file: str
    total: int
    numbers: list[int]
    chosen: list[int]
    warnings: list[str]


def choose_steps(path: str, plain: str, kind: str, folder: Path, unconverged: bool, learned: bool) -> Steps:
    """Choose the steps of an output that are read.

    Parameters
    ----------
    path, plain
        The file as the user names it, and the file to read.
    kind
        One of OUTPUTS.
    folder
        Folder for a temporary copy.
    unconverged, learned
        Whether to keep steps whose electrons did not converge, or that a machine-learned force field made.

    Raises
    ------
    Error
        If there are steps, but none is left.
    """
    steps, without_ml = OUTPUTS[kind](Path(plain))
    by_force_field = [n for n, step in enumerate(steps) if step.learned]
    failed = [n for n, step in enumerate(steps) if not step.converged]
    out = set() if unconverged else set(failed)
    out |= set() if learned else set(by_force_field)
    warnings = [
        f"{path}: {len(numbers)} of {len(steps)} steps {what} and are {'kept' if kept else 'left out'} "
        f"(structure{'s' if len(numbers) > 1 else ''} {_listed(numbers)})"
        for numbers, kept, what in (
            (failed, unconverged, "did not converge"),
            (by_force_field, learned, "are of VASP's machine-learned force field"),
        )
        if numbers
    ]
    if steps and len(out) == len(steps):
        raise Error(f"{'; '.join(warnings)}: no structure remains")
    chosen = [n for n in range(len(steps)) if n not in out]
    if without_ml is None:
        return Steps(plain, len(steps), list(range(len(steps))), chosen, warnings)
    copy = folder / Path(plain).name
    without_ml(Path(plain), copy, learned)
    return Steps(
        str(copy), len(steps), [n for n, step in enumerate(steps) if learned or not step.learned], chosen, warnings
    )


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:SHOWN])) + (", ..." if len(numbers) > SHOWN else "")


def _outcar_lines(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield the lines of an OUTCAR, and whether they belong to a block of results of the force field."""
    inside = False
    for line in lines:
        inside = inside or any(words in line for words in ML_BEGIN)
        yield line, inside
        inside = inside and ML_END not in line


class _OutcarSteps:
    """A collector of the steps of an OUTCAR. An ab initio step, too, has results of the force field before its own."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.most = self.iteration = self.rest = 0
        self.reached: bool | None = None
        self.seen = False  # whether there is a force field
        self.learned = False  # whether results of the force field wait for those of the electrons

    def learn(self, line: str) -> None:
        """Process a line of the force field's results."""
        if ML_END in line:
            self.finish()
            self.seen = self.learned = True

    def finish(self) -> None:
        """Add a step for results of the force field that wait, as no electronic step followed."""
        if self.learned:
            self.steps.append(Step(learned=True))
        self.learned = False

    def add(self, line: str) -> None:
        """Process any other line."""
        if self.rest:
            self.rest -= 1
            if not self.rest:
                self.steps.append(Step(self.converged))
                self.reached = None
        if found := ITERATION.search(line):
            self.iteration, self.learned = int(found.group(1)), False
        elif "aborting loop" in line:
            self.reached = "not reached" not in line
        elif found := NELM.search(line):
            self.most = int(found.group(1))
        elif OUTCAR_END in line:
            self.rest = OUTCAR_REST

    @property
    def converged(self) -> bool:
        return self.reached if self.reached is not None else not 0 < self.most <= self.iteration


def _outcar_steps(path: Path) -> Found:
    found = _OutcarSteps()
    with path.open(encoding="utf-8", errors="replace") as file:
        for line, learned in _outcar_lines(file):
            (found.learn if learned else found.add)(line)
    found.finish()
    return found.steps, _outcar_without_ml if found.seen else None


def _outcar_without_ml(path: Path, copy: Path, keep: bool) -> None:
    """Copy an OUTCAR without the force field's results, or with those of its own steps as if they were ab initio."""
    with path.open(encoding="utf-8", errors="replace") as file, copy.open("w", encoding="utf-8") as written:
        block: list[str] = []
        waiting: list[str] = []
        begun = False
        for line, learned in chain(_outcar_lines(file), [("", True)]):
            if learned:
                block.append(line)
                if ML_END not in line and line:
                    continue
                if waiting and keep:
                    written.writelines(waiting if begun else ["  Iteration      0(   0)\n", *waiting])
                    begun = True
                waiting, block = [_as_ab_initio(each) for each in block], []
                continue
            if ITERATION.search(line):
                begun, waiting = True, []
            written.write(line)


def _as_ab_initio(line: str) -> str:
    for learned, computed in ML_WORDS:
        line = line.replace(learned, computed)
    return line


def _vasprun_steps(path: Path) -> Found:
    text = path.read_text(encoding="latin-1")
    most = max(map(int, XML_NELM.findall(text)), default=0)
    learning = XML_ML.search(text) is not None
    steps = []
    for found in CALCULATION.finditer(text):
        electronic, (_, _, rest) = found.group(1).count("<scstep>"), found.group(1).rpartition("</scstep>")
        if found.group(2) or "<energy>" in rest:
            steps.append(Step(not 0 < most <= electronic, learning and not electronic))
    return steps, _vasprun_without_ml if learning else None


def _vasprun_without_ml(path: Path, copy: Path, keep: bool) -> None:
    """Copy a vasprun.xml without the force field's steps, or with an electronic step in each, which ASE needs."""

    def changed(found: re.Match[str]) -> str:
        energies = XML_ENERGY.findall(found.group(1))
        if "<scstep>" in found.group(1) or not found.group(2):
            return found.group(0)
        return (
            f"<calculation><scstep>{energies[-1]}</scstep>{found.group(1)}</calculation>" if keep and energies else ""
        )

    copy.write_text(CALCULATION.sub(changed, path.read_text(encoding="latin-1")), encoding="latin-1")


def _espresso_steps(path: Path) -> Found:
    """List the structures with results, as ASE counts them."""
    steps: list[Step] = []
    converged = whole = False
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if any(words in line for words in QE_BEGIN):
                steps += [Step(converged)] if whole else []
                converged, whole = True, False
            converged = converged and "convergence NOT achieved" not in line
            whole = whole or any(words in line for words in QE_RESULT)
    return [*steps, Step(converged)] if whole else steps, None


OUTPUTS: dict[str, Callable[[Path], Found]] = {
    "vasp-out": _outcar_steps,
    "vasp-xml": _vasprun_steps,
    "espresso-out": _espresso_steps,
}
