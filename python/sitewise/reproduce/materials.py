"""Materials that potentials are grown for, with fast models as oracles: silicon, and alloys of copper and gold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dynamics import set_thermal
from ..growing.explore import FRICTION, bare
from ..growing.oracles import labelled_by
from ..mapping.models import load_calculator
from ..structures import Structure

if TYPE_CHECKING:
    from ase import Atoms

SILICON = 5.431  # Angstrom
COPPER, GOLD = 3.61, 4.08  # Angstrom
STEP = 2.0  # fs


@dataclass(frozen=True)
class Material:
    """What a potential is grown for.

    Attributes
    ----------
    oracle
        MODULE:NAME of a calculator of ASE.
    kelvin
        The kinds of targets, and the temperature of each in K.
    melt
        The kind that is melted.
    melting
        Temperature in K at which it is melted.
    perfect
        Makes the crystals whose copies are labelled to begin with.
    solid
        Makes the perfect cell of a kind, a small one or a large one.
    """

    oracle: str
    kelvin: Mapping[str, float]
    melt: str
    melting: float
    perfect: Callable[[], list[Atoms]]
    solid: Callable[[str, bool], Atoms]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds of targets."""
        return tuple(self.kelvin)

    def labelled(self, atoms: Atoms, kind: str) -> Structure:
        """Return a structure with the oracle's labels."""
        return labelled_by(load_calculator(self.oracle), Structure(atoms, None, None, None, kind, kind))

    def cell(self, kind: str, small: bool, seed: Sequence[int], steps: int) -> Atoms:
        """Return a cell of a kind, melted in so many steps if it is the melt; large ones are for targets and tests."""
        atoms = self.solid(kind, small)
        if kind == self.melt:
            atoms = self.trajectory(atoms, [self.melting, self.melting, self.kelvin[kind]], steps // 3, seed)[-1]
        return atoms

    def trajectory(self, atoms: Atoms, kelvins: Sequence[float], steps: int, seed: Sequence[int]) -> list[Atoms]:
        """Return the structures after so many steps at each temperature, by the oracle."""
        from ase.md.langevin import Langevin
        from ase.units import fs

        rng, moving, found = np.random.default_rng(seed), atoms.copy(), []
        moving.calc = load_calculator(self.oracle)
        set_thermal(moving, kelvins[0], rng)
        dynamics = Langevin(moving, STEP * fs, temperature_K=kelvins[0], friction=FRICTION / fs, fixcm=False, rng=rng)
        for kelvin in kelvins:
            dynamics.set_temperature(temperature_K=kelvin)
            dynamics.run(steps)
            found.append(bare(moving))
        return found


def _crystal() -> list[Atoms]:
    from ase.build import bulk

    return [bulk("Si", "diamond", a=SILICON, cubic=True)]


def _silicon(kind: str, small: bool) -> Atoms:
    from ase.build import diamond100, diamond111

    if kind in ("(001)", "(111)"):
        make: Any = diamond100 if kind == "(001)" else diamond111
        slab = make("Si", (2, 2, 4 if small else 8), a=SILICON, vacuum=6.0)
        slab.pbc = True
        return bare(slab)
    atoms: Atoms = _crystal()[0].repeat((2, 1, 1) if small else (2, 2, 2))
    if kind == "vacancy":
        del atoms[3]
    return atoms


def _pure() -> list[Atoms]:
    from ase.build import bulk

    return [bulk(symbol, "fcc", a=a, cubic=True) for symbol, a in (("Cu", COPPER), ("Au", GOLD))]


def _alloy(kind: str, small: bool) -> Atoms:
    """Return an ordered alloy of four sites in the cubic cell, or a random one of equal parts."""
    from ase.build import bulk

    gold = {"Cu3Au": [0], "CuAu": [0, 3], "CuAu3": [1, 2, 3]}.get(kind, [])
    part = len(gold) / 4 or 0.5
    atoms: Atoms = bulk("Cu", "fcc", a=COPPER + (GOLD - COPPER) * part, cubic=True)
    atoms.symbols[gold] = "Au"
    atoms = atoms.repeat((2, 2, 1) if small else (2, 2, 2))
    if not gold:
        atoms.symbols[np.random.default_rng(len(atoms)).permutation(len(atoms))[: len(atoms) // 2]] = "Au"
    return atoms


MATERIALS = {
    "silicon": Material(
        "sitewise.reproduce.stillinger_weber:StillingerWeber",
        {"crystal": 600.0, "(001)": 600.0, "(111)": 600.0, "vacancy": 600.0, "melt": 2200.0},
        "melt",
        4000.0,
        _crystal,
        _silicon,
    ),
    "copper-gold": Material(
        "ase.calculators.emt:EMT",
        {"Cu3Au": 600.0, "CuAu": 600.0, "CuAu3": 600.0, "random": 600.0, "melt": 1600.0},
        "melt",
        3500.0,
        _pure,
        _alloy,
    ),
}
