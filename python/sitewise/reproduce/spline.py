"""A function of one variable learnt from sums of its values: the supplement's section C and Fig. S4.

The environment of an atom of a dimer is the distance r alone, so its energy is a function f(r). A structure is five
dimers far from each other. Its energy is twice the sum of five f(r). The network learns f from such energies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..figures import COLORS, panels, save_figure
from ..io.dataset import Dataset
from ..structures import Floats, Structure
from ..symmetry import SymmetryFunctions
from .fitting import fit, shifted_functions
from .frame import Check, Folder, Outcome
from .pictures import draw_against_size

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

SHORTEST, LONGEST, CUTOFF = 2.0, 7.0, 8.0  # Angstrom
KNOTS = (0.0, 1.2, -0.6, 0.9, -1.1, 0.3, 1.0, -0.4)  # f at equal distances, eV
SUMMANDS = 5
GRID = np.linspace(SHORTEST, LONGEST, 251)
SHOWN = (1, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Settings:
    """Numbers of structures, number of seeds for each, and iterations."""

    sizes: tuple[int, ...] = (1, 2, 5, 10, 15, 20, 30, 50, 75, 100)
    seeds: int = 8
    iterations: int = 800


def run(settings: Settings, folder: Folder) -> Outcome:
    """Learn f from more and more sums, by networks of several seeds."""
    f = spline()
    truth = f(GRID)
    curves: dict[int, Floats] = {}
    with folder.reporter.task("sums of five", len(settings.sizes) * settings.seeds, lines=True) as advance:

        def learn(size: int) -> list[list[float]]:
            found = [predicted(f, size, seed, settings.iterations).tolist() for seed in range(settings.seeds)]
            advance(settings.seeds, note=f"N = {size}")
            return found

        for size in settings.sizes:
            curves[size] = np.array(folder.part(f"sums-{size}", partial(learn, size)))
    errors = {n: np.sqrt(((c - truth) ** 2).mean(axis=1)) / truth.std() for n, c in curves.items()}
    draw_curves(folder, truth, curves, errors)
    draw_errors(folder, errors)
    rows = [(n, *(float(x) for x in (np.median(e), e.min(), e.max()))) for n, e in errors.items()]
    return Outcome(("N", "median RMSE/std", "lowest", "highest"), rows, checks(errors))


def spline() -> CubicSpline:
    """Return f(r), eV."""
    from scipy.interpolate import CubicSpline

    return CubicSpline(np.linspace(SHORTEST, LONGEST, len(KNOTS)), KNOTS, bc_type="natural")


def predicted(f: CubicSpline, size: int, seed: int, iterations: int) -> Floats:
    """Return f on GRID as learnt from `size` sums; a smaller set is part of a larger one of the same seed."""
    distances = np.random.default_rng(seed).uniform(SHORTEST, LONGEST, (size, SUMMANDS))
    data = Dataset(dimers(row, f) for row in distances)
    grid = dimers(GRID, f)
    potential = fit(data, Dataset([grid]), radial_functions(), seed, iterations)
    return potential.evaluate(grid.atoms).energies[::2]


def radial_functions() -> SymmetryFunctions:
    """Return the eight inputs."""
    return shifted_functions(SHORTEST, LONGEST, CUTOFF)


def dimers(distances: Floats, f: CubicSpline) -> Structure:
    """Return dimers side by side, beyond each other's cutoff, with their energy."""
    from ase import Atoms

    positions = np.zeros((len(distances), 2, 3))
    positions[:, 1, 0] = distances
    positions[:, :, 1] = 2 * CUTOFF * np.arange(len(distances))[:, None]
    atoms = Atoms(f"Si{2 * len(distances)}", positions.reshape(-1, 3))
    return Structure(atoms, float(2 * f(distances).sum()), None, None, "", "dimers")


def checks(errors: dict[int, Floats]) -> list[Check]:
    """Check, for the sizes that were learnt, that too few sums do not determine f and a hundred do."""
    wanted = {
        5: ("the best seed", 0, {"above": 0.3}),
        20: ("the median seed", 0.5, {"below": 0.1}),
        100: ("the worst seed", 1, {"below": 0.02}),
    }
    return [
        Check(f"RMSE/std of {which} at N = {n}", float(np.quantile(errors[n], quantile)), **bounds)
        for n, (which, quantile, bounds) in wanted.items()
        if n in errors
    ]


def draw_curves(folder: Folder, truth: Floats, curves: dict[int, Floats], errors: dict[int, Floats]) -> None:
    """Draw `spline.png`: a panel for each N, as Fig. S4."""
    shown = [n for n in SHOWN if n in curves]
    columns = min(3, len(shown))
    figure, axes = panels(columns, rows=-(-len(shown) // columns))
    for n, ax in zip(shown, axes, strict=False):
        middle = int(np.argsort(errors[n])[len(errors[n]) // 2])
        for seed, curve in enumerate(curves[n]):
            if seed != middle:
                ax.plot(GRID, curve, color=COLORS[0], linewidth=0.6, alpha=0.35)
        ax.plot(GRID, curves[n][middle], color=COLORS[0], linewidth=1.8, label="network, median seed")
        ax.plot([], color=COLORS[0], linewidth=0.6, alpha=0.6, label="other seeds")
        ax.plot(GRID, truth, "--", color="black", linewidth=1.3, label="f(r)")
        ax.set(xlabel="r (Å)", ylabel="f (eV)", ylim=(1.6 * truth.min(), 1.6 * truth.max()))
        ax.set_title(f"N = {n}: RMSE/std {np.median(errors[n]):.2g}", fontsize="medium")
    axes[0].legend(frameon=False, fontsize="small", loc="upper right")
    save_figure(figure, folder.path / "spline.png")


def draw_errors(folder: Folder, errors: dict[int, Floats]) -> None:
    """Draw `errors.png`: RMSE/std of each seed against N."""
    figure, (ax,) = panels(1)
    draw_against_size(ax, errors, "number of sums, N", "RMSE of f / standard deviation of f")
    save_figure(figure, folder.path / "errors.png")
