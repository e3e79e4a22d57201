"""Growth of a potential from ten rattled crystals, with a fast model as the oracle.

Each round chooses labels by the error bars of the targets, at random, or by the spread of a committee. Then potentials
are trained alike on equal numbers of labels, and tested on fresh structures of the targets. The module `materials` has
the materials and their oracles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..config import Config
from ..evaluation.comparison import compare
from ..figures import COLORS, panels, plain_log_ticks, save_figure
from ..files import make_folder
from ..growing.explore import first_copies
from ..growing.grow import Round, enlargement, grow
from ..growing.settings import GrowConfig
from ..io.dataset import Dataset
from ..io.extxyz import write_structures
from ..potential import Potential
from ..progress import Silent
from ..structures import Structure
from ..training.run import train
from .frame import Check, Folder, Outcome
from .materials import MATERIALS, STEP

if TYPE_CHECKING:
    from ase import Atoms

SUMS = ("mean", "all", "force", "covered")  # the mean over kinds is geometric, as in the ranking
CHOICES = ("targets", "random", "committee")
NAMES = {"targets": "what targets need", "random": "random", "committee": "spread of a committee"}
ENOUGH = 3  # repetitions
LOWERED = 0.5  # part of the first error that may be left
ACCURACY = 0.001  # eV/atom, which the melt does not reach
FIRST = 10  # structures to begin with
SEED = 20  # of the first repetition; the method was chosen with smaller ones


@dataclass(frozen=True)
class Settings:
    """Material, repetitions, numbers of labels at which errors are compared, structures of rounds and tests, and the
    preset of all potentials."""

    material: Literal["silicon", "copper-gold"] = "silicon"
    repetitions: int = 5
    sizes: tuple[int, ...] = (30, 50)
    batch: int = 10
    iterations: int = 240
    members: int = 3
    steps: int = 200
    melting: int = 900
    fresh: int = 10
    preset: Literal["standard", "accurate"] = "standard"


def run(settings: Settings, folder: Folder) -> Outcome:
    """Grow by each choice, and test."""
    repetitions = [
        {choice: grown(folder, settings, choice, seed) for choice in CHOICES}
        for seed in range(SEED, SEED + settings.repetitions)
    ]
    found = {choice: [each[choice] for each in repetitions] for choice in CHOICES}
    draw(folder, settings, found)
    kinds = MATERIALS[settings.material].kinds
    measures = (*kinds, "mean", "RMS")
    columns = ("choice", "labels", *(f"{name} meV/atom" for name in measures), "eV/Å", "covered")
    rows = [
        (
            choice,
            size,
            *_medians(found[choice], size, kinds),
            *_medians(found[choice], size, SUMS),
        )
        for size in settings.sizes
        for choice in CHOICES
    ]
    return Outcome(columns, rows, checks(settings, found), {"repetitions": found})


def checks(settings: Settings, found: dict[str, list[dict[str, Any]]]) -> list[Check]:
    """Return what a growth must reach: lower errors than before and, of enough repetitions, the goals."""
    lowered = float(np.max([row["errors"][-1] / row["errors"][0] for row in found["targets"]]))
    learns = Check("error (RMS) after the growth over that before it, worst repetition", lowered, below=LOWERED)
    return [learns, *(goals(settings, found) if settings.repetitions >= ENOUGH else ())]


def goals(settings: Settings, found: dict[str, list[dict[str, Any]]]) -> list[Check]:
    """Return the goals for errors against other choices, and for the coverage of error bars."""
    last = str(settings.sizes[-1])

    def ratio(measure: str, other: str) -> float:
        pairs = zip(found["targets"], found[other], strict=True)
        return float(np.median([mine[last][measure] / theirs[last][measure] for mine, theirs in pairs]))

    others = (("random", "a random choice", 0.5), ("committee", "a committee's choice", 0.8))
    names = (("mean", "geometric mean over kinds"), ("all", "RMS"))
    covered = float(np.median([row["covered"][-1] for row in found["targets"]]))
    return [
        *(
            Check(f"error ({name}) over that of {whose}, {last} labels", ratio(measure, other), 0.0, goal)
            for measure, name in names
            for other, whose, goal in others
        ),
        Check("part of fresh energies within one error bar of the growth", covered, 0.5, 0.95),
    ]


def _medians(rows: Sequence[dict[str, Any]], size: int, names: Sequence[str]) -> list[float]:
    return [float(np.median([row[str(size)][name] for row in rows])) for name in names]


# ---- structures


def make_structures(settings: Settings, folder: Folder, seed: int) -> Path:
    """Write starts, targets, tests, and the structures to begin with of a repetition, and return their folder."""
    material, out = MATERIALS[settings.material], folder.path / f"repetition-{seed}"

    def cell(kind: str, small: bool, stream: int) -> Atoms:
        return material.cell(kind, small, (seed, stream), settings.melting)

    def make() -> None:
        make_folder(out)
        starts = [_structure(cell(kind, True, 0), kind) for kind in material.kinds]
        targets = [_structure(cell(kind, False, 1), kind) for kind in material.kinds]
        test = [
            material.labelled(atoms, kind)
            for kind, kelvin in material.kelvin.items()
            for atoms in material.trajectory(cell(kind, False, 2), [kelvin] * settings.fresh, 100, (seed, 3))
        ]
        perfect = [_structure(atoms, "crystal") for atoms in material.perfect()]
        first = [material.labelled(s.atoms, s.group) for s in first_copies(perfect, FIRST, seed)]
        for name, structures in (("starts", starts), ("targets", targets), ("test", test), ("first", first)):
            write_structures(out / f"{name}.xyz", structures)

    folder.part(f"structures-{seed}", make)
    return out


def _structure(atoms: Atoms, kind: str) -> Structure:
    return Structure(atoms, None, None, None, kind, kind)


# ---- growth


def grown(folder: Folder, settings: Settings, choice: str, seed: int) -> dict[str, Any]:
    """Grow by a choice, and return the errors at each number of labels, and the bars of each round."""
    path = make_structures(settings, folder, seed)

    def make() -> dict[str, Any]:
        out = path / choice
        folder.reporter.say(f"growing by {choice}, repetition {seed - SEED + 1} of {settings.repetitions}")
        rounds = grow(config(path, settings, choice, seed), out, Silent()).rounds
        result: dict[str, Any] = {
            "labels": [r.labels for r in rounds],
            "bars": [max(r.bars.values()) for r in rounds],
        }
        if choice == "targets":
            own = [_errors(path, *_of_round(out, rounds, r.number)) for r in rounds]
            result["errors"], result["covered"] = ([each[name] for each in own] for name in ("all", "covered"))
        for r in rounds:
            if r.labels in settings.sizes:
                potential = _trained(out, r.number, settings, seed)
                result[str(r.labels)] = _errors(path, potential)
        return result

    found: dict[str, Any] = folder.part(f"result-{choice}-{seed}", make)
    return found


def _of_round(out: Path, rounds: Sequence[Round], number: int) -> tuple[Potential, float]:
    """Return the potential of a round of a growth, and the factor of its bars."""
    factor = enlargement(rounds[number - 1].fresh if number else None)
    return Potential.load(out / f"round-{number}" / "run" / "potential"), factor


def config(path: Path, settings: Settings, choice: str, seed: int) -> GrowConfig:
    """Return the settings of a growth."""
    committee = choice == "committee"
    return GrowConfig.parse(
        {
            "data": {"train": "first.xyz"},
            "oracle": {"calculator": MATERIALS[settings.material].oracle},
            "explore": {
                "starts": "starts.xyz",
                "temperatures": [300.0, 2500.0],
                "steps": settings.steps,
                "timestep": STEP,
                "every": 10,
                "force_bar": 2.0,
                "atom_bar": 1.0,
            },
            "targets": {"data": "targets.xyz", "accuracy": ACCURACY},
            "budget": {
                "labels": settings.sizes[-1] - FIRST,
                "batch": settings.batch,
                "choose": "bars" if committee else choice,
            },
            "symmetry_functions": {"preset": settings.preset},
            "training": {
                "seed": seed,
                "iterations": settings.iterations,
                "replicas": settings.members if committee else 1,
                "posterior": not committee,
            },
        }
    ).relative_to(path)


def _trained(out: Path, number: int, settings: Settings, seed: int) -> Potential:
    """Return a potential that is trained on the labels of a round, with the same settings for all choices."""
    files = [out / f"round-{number}" / name for name in ("data.xyz", "test.xyz")]
    tables = {
        "data": {"train": str(files[0]), "test": str(files[1])},
        "symmetry_functions": {"preset": settings.preset},
        "training": {"iterations": settings.iterations, "seed": seed},
        "invariants": {"data": []},
    }
    found = train(Config.parse(tables), out / f"trained-{number}", resume=True, reporter=Silent())
    assert isinstance(found, Potential)
    return found


def _errors(path: Path, potential: Potential, factor: float = 1.0) -> dict[str, float]:
    """Return RMSE of energies by kind and of all (meV/atom), RMSE of forces, and the part within so many error bars."""
    data = Dataset.read(path / "test.xyz", reporter=Silent())
    found = compare(potential, data, "testing", Silent(), bars=True)
    errors, bars, groups = 1e3 * found.energy.errors, found.energy.bar, np.array([s.group for s in data])
    assert bars is not None
    rmse = {kind: float(np.sqrt(np.mean(errors[groups == kind] ** 2))) for kind in data.groups}
    return {
        **rmse,
        "mean": float(np.exp(np.mean(np.log(list(rmse.values()))))),
        "all": float(np.sqrt(np.mean(errors**2))),
        "force": float(np.sqrt(np.mean(found.force.errors**2))),
        "covered": float(np.mean(np.abs(errors) <= 1e3 * factor * bars)),
    }


# ---- pictures


def draw(folder: Folder, settings: Settings, found: dict[str, list[dict[str, Any]]]) -> None:
    """Draw the errors by each choice against labels, and the bars of the targets against the errors."""
    figure, (errors, done) = panels(2)
    for k, choice in enumerate(CHOICES):
        values = np.array([[row[str(size)]["mean"] for size in settings.sizes] for row in found[choice]])
        for row in values:
            errors.plot(settings.sizes, row, "o", ms=3, color=COLORS[k], alpha=0.5)
        errors.plot(settings.sizes, np.median(values, axis=0), color=COLORS[k], label=NAMES[choice])
    errors.set(
        xlabel="labels", ylabel="RMSE of fresh energies (meV/atom)", yscale="log", title="Equal numbers of labels"
    )
    for k, row in enumerate(found["targets"]):
        label = ("largest bar of a target", "error of fresh energies") if k == 0 else (None, None)
        done.plot(row["labels"], 1e3 * np.array(row["bars"]), "s--", ms=3, lw=1, color=COLORS[1], label=label[0])
        done.plot(row["labels"], row["errors"], "o-", ms=3, lw=1, color=COLORS[0], label=label[1])
    done.set(xlabel="labels", ylabel="meV/atom", yscale="log", title="Growth by what targets need")
    errors.set_xticks(settings.sizes)
    for axes in (errors, done):
        plain_log_ticks(axes.yaxis)
        axes.legend(frameon=False)
    save_figure(figure, folder.path / "growth.png")
