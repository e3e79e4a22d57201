"""Grow a potential: train, explore, choose and label in rounds, until error bars of the targets are small enough.

Each round has a folder of its own, in which each step leaves a file that appears whole or not at all. All random
numbers follow from seed and round, and each step reads what the step before it wrote. So a growth that is killed at any
moment and started again ends with the same files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from .._core import Error
from ..ensemble import Ensemble
from ..ensemble import load_potential as load
from ..files import folder_beside, make_folder, remove_leftovers, run_folder, write_text
from ..io.dataset import Dataset
from ..io.extxyz import write_structures
from ..potential import Potential
from ..progress import Reporter, Silent
from ..structures import Floats, Structure
from ..text import PATH, printable
from ..training.run import train
from ..training.settled import hidden_width
from .choice import Known, at_random, held_out, most_uncertain, new_ones
from .explore import bars_of, explored, explored_by_command, first_copies
from .oracles import Waiting, labelled
from .page import save_page
from .settings import GrowConfig

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator

SETTINGS, SUMMARY, POTENTIAL, FIRST = "settings.json", "grown.json", "potential", "first"
UNLIKE, TIMES = 0.3, 5.0  # eV/atom, and error bars, beyond which all errors of labels of another method are
ALIKE = 0.2  # part of such errors that their elements may leave unexplained
MAY_CHANGE = {"explore": ("max_atoms",), "budget": ("labels", "rounds", "hours")}
AGAIN = 2.0  # times as many labels, from which on a potential starts anew
CHOICE = 4  # times a batch, the number of structures that a round chooses from, if trajectories give as many
End = Literal["determined", "labels", "rounds", "hours", "nothing new", "waiting"]
ENDINGS: dict[End, str] = {
    "determined": "the error bars of all targets are below the accuracy",
    "labels": "the budget of labels is spent",
    "rounds": "the budget of rounds is spent",
    "hours": "the budget of hours is spent",
    "nothing new": "the trajectories find no structure that is not labelled already",
    "waiting": "labels are missing",
}


@dataclass(frozen=True, slots=True)
class Fresh:
    """Errors of a round's potential for structures that were labelled after its training.

    Attributes
    ----------
    structures
        Their number.
    energy_rmse, energy_bar
        Error and error bar of their energies, RMS in eV/atom.
    force_rmse, force_bar
        Of the components of their forces, RMS in eV/Angstrom.
    covered
        Part of the energies, then of the force components, within one error bar.
    """

    structures: int
    energy_rmse: float
    energy_bar: float
    force_rmse: float
    force_bar: float
    covered: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Round:
    """A round, as its `round.json` has it.

    Attributes
    ----------
    number
        From 0.
    labels
        Structures that its potential was trained on or scaled by.
    bars
        Error bar of each target, eV/atom: the larger of the one that the labels leave and the one of the potential.
        The latter is multiplied by error over bar of the last fresh labels if these errors were larger.
    worst
        Name of the target with the largest bar.
    fresh
        Errors on the labels that followed; None in the last round.
    trajectories
        Numbers of trajectories by how they ended; None in the last round.
    seconds
        Wall time of the round; after an interruption, of its last part.
    """

    number: int
    labels: int
    bars: dict[str, float]
    worst: str
    fresh: Fresh | None
    trajectories: dict[str, int] | None
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """A growth.

    Attributes
    ----------
    potential
        The last potential, or ensemble; None if the first labels are still missing.
    rounds
        All rounds.
    ended
        Why it ended, a key of ENDINGS.
    sentence
        The same in words.
    """

    potential: Potential | Ensemble | None
    rounds: list[Round]
    ended: End
    sentence: str


def grow(
    config: GrowConfig | str | Path,
    out: str | Path,
    reporter: Reporter | None = None,
    oracle: BaseCalculator | None = None,
) -> Grown:
    """Grow a potential, or continue a growth that was interrupted or whose budget is larger now.

    Parameters
    ----------
    config
        A configuration or the path of a GROW.toml.
    out
        Folder for the rounds, `grown.json`, `report.html` and `potential`, a link to the last one.
    reporter
        Reports the progress; by default it writes to stderr.
    oracle
        A calculator of ASE that labels, in place of the oracle of the configuration.

    Raises
    ------
    Error
        For bad input, an oracle that fails, or an `out` with another growth.
    Interrupted
        On Ctrl-C or SIGTERM; the same call continues.
    """
    config = config if isinstance(config, GrowConfig) else GrowConfig.load(config)
    out, reporter = Path(out), reporter or Reporter()
    with run_folder(out, reporter):
        _require_same(config, out)
        growth = _Growth(config, out, reporter, oracle)
        try:
            ended, waits = growth.run(), ""
        except Waiting as waiting:
            ended, waits = "waiting", f": {waiting}"
        return growth.finish(ended, ENDINGS[ended] + waits)


def _require_same(config: GrowConfig, out: Path) -> None:
    """Write the settings that may not change in the course of a growth, or raise Error if other ones are there."""
    tables = config.from_folder(out.absolute()).model_dump(mode="json", exclude_none=True)
    for table, keys in MAY_CHANGE.items():
        for key in keys:
            tables[table].pop(key, None)
    path, text = out / SETTINGS, json.dumps(tables, indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(name for name in {*before, *tables} if before.get(name) != tables.get(name))
        raise Error(
            f"{out}: holds a growth with other settings ({', '.join(f'[{name}]' for name in changed)}); only "
            "max_atoms of [explore] and labels, rounds and hours of [budget] may change, choose another folder"
        )
    write_text(path, text)


def enlargement(fresh: Fresh | None) -> float:
    """Return the factor of the error bars of a round: error over bar of the fresh labels before it, if above 1.

    No training saw these labels; the few that are held out say little about the size of the bars. Bars are never made
    smaller: fresh labels are few, too.
    """
    return float(np.maximum(1.0, fresh.energy_rmse / fresh.energy_bar)) if fresh and fresh.energy_bar else 1.0


def of_another_method(errors: Floats, bars: Floats, fresh: Dataset) -> bool:
    """Return whether fresh labels are of another method than the data: all errors are large, and alike.

    They are alike if a difference for each element explains them. The errors of structures far from the data are large,
    too, but scattered. If there are no more structures than differences, these explain any errors, so nothing follows.

    Parameters
    ----------
    errors, bars
        Of the energy of each structure [s], eV/atom.
    fresh
        The structures.
    """
    if np.abs(errors).min() <= max(UNLIKE, TIMES * float(bars.max())):
        return False
    fractions = np.array([[np.mean(s.atoms.symbols == symbol) for symbol in fresh.elements] for s in fresh])
    differences, _, rank, _ = np.linalg.lstsq(fractions, errors, rcond=None)
    free = len(errors) - rank
    scattered = errors - fractions @ differences
    return bool(free and np.mean(errors**2) * ALIKE**2 > np.sum(scattered**2) / free)


class _Growth:
    """A growth in its folder. Only `rounds`, `asked` and the files change in its course."""

    def __init__(self, config: GrowConfig, out: Path, reporter: Reporter, oracle: BaseCalculator | None) -> None:
        self.config, self.out, self.reporter, self.oracle = config, out, reporter, oracle
        self.starts = _read(config.explore.starts, "[explore] starts")
        aims = config.targets.data
        self.targets = _read(aims, "[targets] data") if aims else self.starts
        names = [Path(s.source).name for s in self.targets]
        self.names = names if len(set(names)) == len(names) else [s.source for s in self.targets]
        self.seed = config.training.seed
        self.rounds: list[Round] = []
        self.asked: list[Structure] = []  # for labels; an oracle may have failed at some

    def run(self) -> End:
        """Grow until the growth ends, and return why."""
        data = self._first()
        self._require_elements(data)
        given, spent, previous = len(data) if self.config.data else 0, 0.0, None
        while True:
            step = _Round(self, len(self.rounds), data, previous)
            ended = step.judged_ended(len(data) - given, spent)
            fresh = None if ended else step.grow(len(data) - given)
            done = step.round(fresh)
            self.rounds.append(done)
            self._report(done)
            if ended or fresh is None:
                return ended or "nothing new"
            self._save_page("It continues.")
            spent += done.seconds
            data, previous = Dataset([*data, *fresh]), step

    def finish(self, ended: End, sentence: str) -> Grown:
        """Write summary, page and the link to the last potential, and return the growth."""
        last = Path(f"round-{self.rounds[-1].number}", "run", "potential") if self.rounds else None
        summary = {
            "ended": ended,
            "sentence": sentence,
            "accuracy": self.config.targets.accuracy,
            "potential": str(last) if last else None,
            "rounds": [asdict(each) for each in self.rounds],
        }
        write_text(self.out / SUMMARY, json.dumps(summary, indent=2) + "\n")
        if last is None:
            return Grown(None, self.rounds, ended, sentence)
        self._save_page(f"It ended because {sentence}.")
        _link(self.out / POTENTIAL, last)
        return Grown(load(self.out / POTENTIAL), self.rounds, ended, sentence)

    def _save_page(self, sentence: str) -> None:
        save_page(self.out, self.rounds, self.config.targets.accuracy, sentence)

    def _first(self) -> Dataset:
        """Return the labelled structures to begin with."""
        config = self.config
        if config.data is not None:
            found = Dataset.read(config.data.train, reporter=self.reporter, **config.data.reading())
            bad = next((s for s in found if s.energy is None), None)
            if bad is not None:
                raise Error(f"{bad.source}: has no energy, but each structure to begin with needs one")
            return found
        folder = self.out / FIRST
        make_folder(folder)
        file = folder / "chosen.xyz"
        if not file.exists():
            write_structures(file, first_copies(self._small_starts(), config.budget.first, self.seed))
        return self.label(folder)

    def _small_starts(self) -> list[Structure]:
        """Return the starts that are small enough to be labelled."""
        most = self.config.explore.max_atoms
        small = [s for s in self.starts if most is None or len(s.atoms) <= most]
        if not small:
            raise Error(
                f"[explore] max_atoms is {most}, but all starts have more atoms; without [data], copies of starts are "
                "labelled to begin with, so one must be small enough"
            )
        return small

    def label(self, folder: Path) -> Dataset:
        """Label a folder's `chosen.xyz`, as its `labels.xyz`."""
        remove_leftovers(folder)
        path, chosen = folder / "labels.xyz", _read([folder / "chosen.xyz"], "chosen.xyz")
        self.asked += chosen
        if not path.exists():
            write_structures(path, labelled(self.config.oracle, self.oracle, chosen, folder, self.reporter))
        return Dataset.read(path, reporter=Silent())

    def _require_elements(self, data: Dataset) -> None:
        for s in [*self.starts, *self.targets]:
            unknown = sorted(set(s.atoms.get_chemical_symbols()) - set(data.elements))
            if unknown:
                raise Error(
                    f"{s.source}: has {', '.join(unknown)}, which no labelled structure to begin with has; without "
                    "[data] these are copies of the starts"
                )

    def _report(self, done: Round) -> None:
        fresh = ""
        if done.fresh:
            f = done.fresh
            fresh = (
                f"; fresh labels: {1e3 * f.energy_rmse:.1f} meV/atom (bar {1e3 * f.energy_bar:.1f}), "
                f"{f.force_rmse:.3f} eV/Å (bar {f.force_bar:.3f})"
            )
        self.reporter.say(
            f"round {done.number}: {done.labels} labels, largest error bar of a target "
            f"{1e3 * done.bars[done.worst]:.1f} meV/atom ({printable(done.worst, PATH)}){fresh}"
        )


class _Round:
    """A round: its folder, its data, and what is computed once."""

    def __init__(self, growth: _Growth, number: int, data: Dataset, previous: _Round | None) -> None:
        self.growth, self.number, self.data, self.previous = growth, number, data, previous
        self.folder = growth.out / f"round-{number}"
        make_folder(self.folder)
        remove_leftovers(self.folder)
        self.began = time.monotonic() - self._spent_before()
        self._trajectories: dict[str, int] | None = None

    # ---- train

    @cached_property
    def model(self) -> Potential | Ensemble:
        """The potential of this round."""
        run = self.folder / "run"
        if not (self.folder / "targets.json").exists():
            self._train(run)
        return load(run / "potential")

    def _train(self, run: Path) -> None:
        growth, out = self.growth, held_out(self.data, self.growth.config.held_out, self.growth.seed)
        rest = [s for k, s in enumerate(self.data) if k not in set(out)]
        train_file, test_file = self.folder / "data.xyz", self.folder / "test.xyz"
        write_structures(train_file, [self._clean(s) for s in rest])
        if out:
            write_structures(test_file, [self._clean(self.data[k]) for k in out])
        config = growth.config.run(train_file, test_file if out else None, self.start)
        growth.reporter.say(f"round {self.number}: training on {len(rest)} structures, {len(out)} held out")
        train(config, run, resume=True, reporter=growth.reporter)

    @cached_property
    def start(self) -> Path | None:
        """The last potential, whose weights this one starts from; None if it starts anew.

        Functions, their number and the size of the network follow the data. They stay until the labels are AGAIN times
        as many as when they were chosen.
        """
        before = self.previous
        if before is None or not isinstance(before.model, Potential) or len(self.data) >= AGAIN * before.chosen:
            return None
        nodes = before.model.core.networks[0].nodes[1:-1]
        same = list(before.model.elements) == self.data.elements
        wanted = self.growth.config.network.hidden or [hidden_width(self.data)] * 2
        return before.folder / "run" / "potential" if same and nodes == wanted else None

    @cached_property
    def chosen(self) -> int:
        """Number of labels when functions and network were chosen."""
        return self.previous.chosen if self.start is not None and self.previous else len(self.data)

    def _clean(self, s: Structure) -> Structure:
        """Return the structure with its labels alone, and the weights that are named."""
        from ase import Atoms

        settings, atoms = self.growth.config.training, s.atoms
        bare = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        if settings.structure_weights and settings.structure_weights in atoms.info:
            bare.info[settings.structure_weights] = atoms.info[settings.structure_weights]
        if settings.atom_weights and settings.atom_weights in atoms.arrays:
            bare.set_array(settings.atom_weights, atoms.arrays[settings.atom_weights])
        return Structure(bare, s.energy, s.forces, s.stress, s.group, s.source)

    # ---- judge

    @cached_property
    def known(self) -> Known:
        """What the labels determine."""
        growth = self.growth
        return Known.of(self.data, growth.targets, self.model.functions)

    @cached_property
    def bars(self) -> Floats:
        """The error bar of each target, eV/atom."""
        path = self.folder / "targets.json"
        if not path.exists():
            aims = self.growth.targets
            own = self.factor * np.array([bars_of(self.model, s.atoms).energy / len(s.atoms) for s in aims])
            rows = [
                {"target": name, "labels": float(f"{a:.6g}"), "potential": float(f"{b:.6g}")}
                for name, a, b in zip(self.growth.names, self.known.bars(), own, strict=True)
            ]
            write_text(path, json.dumps(rows, indent=1) + "\n")
        rows = json.loads(path.read_text(encoding="utf-8"))
        return np.array([np.maximum(row["labels"], row["potential"]) for row in rows])  # NaN stays NaN

    @property
    def factor(self) -> float:
        """Factor of the potential's bars, by the last fresh labels."""
        return enlargement(self.growth.rounds[-1].fresh if self.growth.rounds else None)

    def judged_ended(self, spent: int, seconds: float) -> End | None:
        """Return why the growth ends with this round's potential; None if it continues."""
        budget = self.growth.config.budget
        if (self.bars <= self.growth.config.targets.accuracy).all():
            return "determined"
        if spent >= budget.labels:
            return "labels"
        if self.number + 1 >= budget.rounds:
            return "rounds"
        if budget.hours is not None and seconds + self.seconds >= 3600 * budget.hours:
            return "hours"
        return None

    # ---- explore, choose, label

    def grow(self, spent: int) -> Dataset | None:
        """Return the labels of structures that this round chooses; None if it finds none that are new."""
        growth, budget = self.growth, self.growth.config.budget
        count = min(budget.batch, budget.labels - spent)
        candidates = self._candidates()
        chosen = self.folder / "chosen.xyz"
        if not chosen.exists():
            new = new_ones(candidates, [*self.data, *growth.asked])
            if not new:
                return None
            write_structures(chosen, [new[k] for k in self._chosen(Dataset(new), count)])
        return growth.label(self.folder)

    def _candidates(self) -> Dataset:
        path = self.folder / "candidates.xyz"
        if not path.exists():
            write_structures(path, self._explored())
        frames = _read([path], path.name)
        ends = [str(s.atoms.info["ended"]) for s in frames if "ended" in s.atoms.info]
        self._trajectories = {end: ends.count(end) for end in sorted(set(ends))}
        return frames

    def _explored(self) -> list[Structure]:
        growth, table = self.growth, self.growth.config.explore
        if table.command:
            potential, out = self.folder / "run" / POTENTIAL, self.folder / "explored"
            where = Path(growth.config.oracle.folder)
            return explored_by_command(self.model, potential, table, where, out, growth.reporter)
        enough = CHOICE * growth.config.budget.batch
        return explored(self.model, growth.starts, table, enough, growth.seed, self.number, growth.reporter)

    def _chosen(self, candidates: Dataset, count: int) -> Sequence[int]:
        growth = self.growth
        if growth.config.budget.choose == "bars":
            return most_uncertain(candidates, count)
        if growth.config.budget.choose == "random":
            return at_random(candidates, count, growth.seed, self.number)
        return self.known.best(candidates, count, growth.config.targets.accuracy, growth.reporter)

    # ---- report

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def _spent_before(self) -> float:
        """Return the seconds of a round that was the last one; a round that led to another is only read again."""
        path = self.folder / "round.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"fresh": True}
        return 0.0 if kept["fresh"] is not None else float(kept["seconds"])

    def round(self, fresh: Dataset | None) -> Round:
        """Return the finished round, as `round.json`."""
        path = self.folder / "round.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if (kept["fresh"] is None) == (fresh is None):
                errors = kept.pop("fresh")
                return Round(**kept, fresh=errors and Fresh(**errors))
        names = self.growth.names
        found = Round(
            number=self.number,
            labels=len(self.data),
            bars=dict(zip(names, self.bars.tolist(), strict=True)),
            worst=names[int(np.argmax(self.bars))],
            fresh=None if fresh is None else self._errors(fresh),
            trajectories=self._trajectories,
            seconds=round(self.seconds, 1),
        )
        write_text(path, json.dumps(asdict(found), indent=1) + "\n")
        return found

    def _errors(self, fresh: Dataset) -> Fresh:
        energies, forces = [], []
        for s in fresh:
            assert s.energy is not None
            assert s.forces is not None
            own, found = bars_of(self.model, s.atoms), self.model.evaluate(s.atoms)
            energies.append([(found.energy - s.energy) / len(s.atoms), own.energy / len(s.atoms)])
            forces.append(np.stack([(found.forces - s.forces).ravel(), own.forces.ravel()]))
        of_energies, of_forces = np.array(energies).T, np.concatenate(forces, axis=1)
        if of_another_method(of_energies[0], of_energies[1], fresh):
            least = float(np.abs(of_energies[0]).min())
            raise Error(
                f"{self.folder / 'labels.xyz'}: all energies differ by {least:.3g} eV/atom or more from those of the "
                "potential: is the oracle's method that of the data to begin with, with the same energies of free "
                "atoms?"
            )
        rms = [float(f"{np.sqrt(np.mean(row**2)):.6g}") for row in (*of_energies, *of_forces)]
        error, bar, force_error, force_bar = rms
        covered = [float(np.mean(np.abs(errors) <= bars)) for errors, bars in (of_energies, of_forces)]
        return Fresh(len(fresh), error, bar, force_error, force_bar, (covered[0], covered[1]))


def _link(path: Path, target: Path) -> None:
    """Make a link, or let it point elsewhere."""
    with folder_beside(path) as folder:
        made = folder / path.name
        made.symlink_to(target)
        made.replace(path)


def _read(files: Sequence[str | Path], what: str) -> Dataset:
    found = Dataset.read(list(files), require_labels=False, mixed_labels=True, reporter=Silent())
    if not len(found):
        raise Error(f"{what}: has no structure")
    return found
