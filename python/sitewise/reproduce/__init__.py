"""The experiments of D. Yoo et al., Phys. Rev. Materials 3, 093802 (2019), and its supplement, repeated.

Each is a module with a frozen dataclass `Settings` and a function `run(settings, folder)` that computes, draws and
returns an `Outcome`: a table, and checks of the expected numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from .._core import Error
from ..files import run_folder
from ..progress import Reporter
from ..signals import Interrupted, stop_signals
from . import ad_hoc, alloy, clustering, consequences, elements, growth, known_energies, molecule, silicon, size, spline
from .frame import Check, Folder, Outcome
from .sampled import Sampling

__all__ = ["EXPERIMENTS", "Check", "Experiment", "Folder", "Outcome", "reproduce"]


Labels = Literal["pbe", "stillinger-weber"]


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment, its settings, and its quick settings, which take a minute or two at most.

    `sampled` and `quick_sampled` are settings with labels of Stillinger and Weber, if there is a choice.
    """

    title: str
    run: Callable[[Any, Folder], Outcome]
    full: Any
    quick: Any
    sampled: Any = None
    quick_sampled: Any = None

    def settings(self, labels: Labels | None, quick: bool) -> Any:
        """Return the settings with these labels; raise Error if there is no choice."""
        if labels is not None and self.sampled is None:
            choice = [name for name, other in EXPERIMENTS.items() if other.sampled is not None]
            raise Error(f"this experiment has labels of one kind only, --labels is for {' and '.join(choice)}")
        if labels == "stillinger-weber":
            return self.quick_sampled if quick else self.sampled
        return self.quick if quick else self.full


SLABS = {
    "one-thickness": ("slabs of 6 layers",),
    "two-thicknesses": ("slabs of 6 layers", "slabs of 8 layers"),
    "with-crystals": ("slabs of 6 layers", "crystals"),
}
QUICK_GROWTH: dict[str, Any] = {
    "sizes": (20, 30),
    "iterations": 60,
    "members": 2,
    "steps": 60,
    "melting": 300,
    "fresh": 3,
}
CLUSTERS = {"clusters": ("clusters",), "with-crystals": ("clusters", "crystals")}

EXPERIMENTS = {
    "spline": Experiment(
        "a function of one variable learnt from sums of its values (Fig. S4)",
        spline.run,
        spline.Settings(),
        spline.Settings(sizes=(1, 5, 10, 20, 50, 100), seeds=3),
    ),
    "ad-hoc": Experiment(
        "slabs of silicon whose totals are right and whose crystal is wrong, and what mends it",
        ad_hoc.run,
        ad_hoc.Settings(),
        ad_hoc.Settings(seeds=2, iterations=120),
    ),
    "consequences": Experiment(
        "surface energies and melting of silicon with right and wrong mapping",
        consequences.run,
        consequences.Settings(),
        consequences.Settings(seeds=1, iterations=120, steps=6000),
    ),
    "alloy": Experiment(
        "copper and gold: energies of other compositions from one composition, and from several",
        alloy.run,
        elements.Settings(28),
        elements.Settings(28, seeds=1, iterations=120),
    ),
    "molecule": Experiment(
        "hydrogen and oxygen: energies of molecules and of reactions from water, and from a fixed stoichiometry",
        molecule.run,
        elements.Settings(60),
        elements.Settings(60, seeds=1, iterations=120),
    ),
    "known-energies": Experiment(
        "a network finds a teacher's atomic energies from totals where these are unique",
        known_energies.run,
        known_energies.Settings(),
        known_energies.Settings(sizes=(10, 30, 100)),
    ),
    "grow": Experiment(
        "potentials that grow from ten crystals of silicon: what to label next, at equal numbers of labels",
        growth.run,
        growth.Settings(preset="accurate"),
        growth.Settings(repetitions=1, preset="accurate", **QUICK_GROWTH),
    ),
    "grow-alloy": Experiment(
        "potentials that grow from ten crystals of copper and gold to the alloys",
        growth.run,
        growth.Settings("copper-gold", sizes=(20, 30), iterations=120, fresh=5),
        growth.Settings("copper-gold", repetitions=1, **QUICK_GROWTH),
    ),
    "si-crystal": Experiment(
        "crystals of silicon: errors, E(V), strained crystals (Figs. S1, S2)",
        silicon.run,
        silicon.Settings({"crystals": ("crystals",)}, "seed-adam", 100_000),
        silicon.Settings({"crystals": ("crystals",)}, "seed-adam", 10_000, seeds=1),
    ),
    "si-slab": Experiment(
        "slabs of silicon alone, with a second thickness and with crystals (Figs. S1, S2)",
        silicon.run,
        silicon.Settings(SLABS, "seed-adam", 100_000),
        silicon.Settings(SLABS, "seed-adam", 10_000, seeds=1),
    ),
    "si-nanocluster": Experiment(
        "clusters of silicon alone and with crystals (Figs. S1, S2)",
        silicon.run,
        silicon.Settings(CLUSTERS, "seed-lbfgs", 800),
        silicon.Settings(CLUSTERS, "seed-lbfgs", 200, seeds=1),
        silicon.Settings(CLUSTERS, "seed-lbfgs", 800, seeds=1, sampled=Sampling(16, 52)),
        silicon.Settings(CLUSTERS, "seed-lbfgs", 150, seeds=1, sampled=Sampling(2, 20)),
    ),
    "size": Experiment(
        "errors against the number of training structures (Fig. S3)",
        size.run,
        size.Settings(),
        size.Settings(sizes=(5, 20, 102), seeds=1, iterations=10_000),
        size.Settings((5, 20, 70, 175, 350, 700), seeds=1, iterations=100_000, sampled=Sampling(20, 35)),
        size.Settings((2, 10, 100), seeds=1, iterations=5_000, sampled=Sampling(5, 20)),
    ),
    "clustering": Experiment(
        "single-linkage clustering step by step to r_g (Fig. S5)",
        clustering.run,
        clustering.Settings(),
        clustering.Settings(every=4),
    ),
}


def reproduce(
    name: str, out: Path, quick: bool = False, reporter: Reporter | None = None, labels: Labels | None = None
) -> Outcome:
    """Run an experiment, or continue an interrupted one.

    Parameters
    ----------
    name
        Key of EXPERIMENTS.
    out
        Folder for the pictures, `result.json` and the finished parts.
    quick
        Whether to take the quick settings.
    reporter
        Receives the progress; by default it writes to stderr.
    labels
        Labels of the structures; by default those of the experiment, or PBE.

    Raises
    ------
    Error
        If there is no such experiment, it has no choice of labels, or `out` holds another one.
    Interrupted
        On Ctrl-C or SIGTERM.
    """
    if name not in EXPERIMENTS:
        raise Error(f"there is no experiment {name}, expected {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[name]
    settings = experiment.settings(labels, quick)
    reporter = reporter or Reporter()
    with run_folder(out, reporter):
        folder = Folder(out, {"experiment": name, **asdict(settings)}, reporter)
        try:
            with stop_signals():
                outcome = experiment.run(settings, folder)
        except Interrupted as stop:
            raise Interrupted(f"interrupted; the same command continues from what is in {out}", stop.signum) from None
        folder.finish(name, experiment.title, settings, outcome)
    return outcome
