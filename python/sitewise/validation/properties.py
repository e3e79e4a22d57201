"""Properties of a crystal by a calculator of ASE, each in two parts: its structures, and a measurement of them.

Error bars are differences between measurements of the same structures by the potential and by potentials with slightly
different weights. A measurement therefore does not relax anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .._core import Error
from ..dynamics import at_pressure, set_thermal, time_step
from ..mapping.lattices import conventional, face_distances
from ..structures import Floats

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator

FORCE, STEPS = 0.005, 400  # largest force at the end of a relaxation, eV/Angstrom, and its most steps
VOLUMES = np.linspace(0.9, 1.1, 11)  # of the relaxed one
STRAIN = 0.005
WIDTH, MOST = 10.0, 300  # least width (Angstrom) and most atoms of a supercell
VACUUM = 12.0  # Angstrom between surfaces
FACES = ((1, 0, 0), (1, 1, 0), (1, 1, 1))
SHORTEST, LONGEST, SPACING = 0.3, 6.0, 0.05  # Angstrom, of dimers
WALL, FOOT = 50.0, 5.0  # eV, least height at the shortest distance, and height above which the wall has to rise
DISPLACED, PHONON_WIDTH = 0.01, 8.0  # Angstrom
TEMPERATURE = 300.0  # K
NVE_STEPS, NPT_STEPS = 2_000, 3_000


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Results of a measurement.

    Attributes
    ----------
    values
        Numbers by their names, which have units in brackets.
    curves
        Pairs of arrays x, y by their names.
    notes
        Sentences about unusual results.
    marks
        Places on the x axis and their names.
    """

    values: dict[str, float] = field(default_factory=dict)
    curves: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)


class Property(ABC):
    """A property of a crystal.

    Attributes
    ----------
    title
        Heading of its results.
    has_bars
        Whether measurements by draws of the weights give error bars. Trajectories give none, since they are chaotic.
    share
        Time that it takes, about, in any unit: of the progress that is reported.
    """

    title: ClassVar[str]
    has_bars: ClassVar[bool] = True
    share: ClassVar[int] = 1

    @abstractmethod
    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> Any:
        """Return the structures that are measured, made of a relaxed primitive cell and relaxed with a calculator."""

    @abstractmethod
    def measure(self, structures: Any, calculator: BaseCalculator) -> Measured:
        """Measure the structures with a calculator."""


def relaxed(atoms: Atoms, calculator: BaseCalculator, cell: bool = False) -> Atoms:
    """Return a copy with relaxed positions and, if asked for, a relaxed cell.

    Raises
    ------
    Error
        Forces are still above FORCE after STEPS steps.
    """
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    copy: Atoms = atoms.copy()
    copy.calc = calculator
    optimizer = FIRE(FrechetCellFilter(copy) if cell else copy, logfile=None)
    if not optimizer.run(fmax=FORCE, steps=STEPS):
        what = f"{atoms.get_chemical_formula()} with {len(atoms)} atoms"
        raise Error(f"{what}: forces are above {FORCE:g} eV/Angstrom after {STEPS} steps of relaxation")
    return copy


def energy(atoms: Atoms, calculator: BaseCalculator) -> float:
    """Return the energy of a structure, eV."""
    copy = atoms.copy()
    copy.calc = calculator
    return float(copy.get_potential_energy())


def stress(atoms: Atoms, calculator: BaseCalculator) -> Floats:
    """Return the stress of a structure [6], eV/Angstrom^3."""
    copy = atoms.copy()
    copy.calc = calculator
    return np.asarray(copy.get_stress())


def supercell(crystal: Atoms, width: float, most: int = MOST) -> Atoms:
    """Return the repetition of a cell that is at least `width` Angstrom wide in each direction, or less wide with at
    most `most` atoms."""
    lengths = face_distances(crystal)
    repeat = np.maximum(1, np.ceil(width / lengths)).astype(int)
    while repeat.prod() * len(crystal) > most and repeat.max() > 1:
        repeat[int(np.argmax(np.where(repeat > 1, repeat * lengths, 0.0)))] -= 1
    found: Atoms = crystal * tuple(repeat.tolist())
    return found


class EquationOfState(Property):
    """E(V) of scaled cells, with a fit of F. Birch, Phys. Rev. 71, 809 (1947)."""

    title = "Equation of state"

    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> list[Atoms]:
        found = []
        for factor in VOLUMES:
            scaled = crystal.copy()
            scaled.set_cell(crystal.cell * factor ** (1 / 3), scale_atoms=True)
            found.append(scaled)
        return found

    def measure(self, structures: list[Atoms], calculator: BaseCalculator) -> Measured:
        from ase.eos import EquationOfState as Fit
        from ase.units import GPa

        n = len(structures[0])
        volumes = np.array([atoms.cell.volume / n for atoms in structures])
        energies = np.array([energy(atoms, calculator) / n for atoms in structures])
        curves = {"E(V)": (volumes, energies - energies.min())}
        try:
            volume, _, modulus = Fit(volumes, energies, eos="birchmurnaghan").fit()
        except (RuntimeError, ValueError):  # no minimum
            return Measured(curves=curves, notes=["E(V) has no minimum within 10 % of the relaxed volume"])
        values = {"volume (Å³/atom)": float(volume), "bulk modulus (GPa)": float(modulus / GPa)}
        return Measured(values, curves)


class ElasticConstants(Property):
    """Elastic constants from stresses of strained cells with relaxed atoms."""

    title = "Elastic constants"

    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> list[Atoms]:
        cell = relaxed(conventional(crystal), calculator, cell=True)
        return [relaxed(self._strained(cell, k, sign), calculator) for k in range(6) for sign in (1, -1)]

    def measure(self, structures: list[Atoms], calculator: BaseCalculator) -> Measured:
        from ase.units import GPa

        stresses = np.array([stress(atoms, calculator) for atoms in structures]).reshape(6, 2, 6)
        C = (stresses[:, 0] - stresses[:, 1]) / (2 * STRAIN) / GPa
        C = (C + C.T) / 2
        shown: Sequence[tuple[int, int]] = ((1, 1), (2, 2), (3, 3), (1, 2), (1, 3), (2, 3), (4, 4), (5, 5), (6, 6))
        cubic = np.ptp(np.diag(C)[:3]) < 0.02 * abs(C[0, 0]) and np.ptp(np.diag(C)[3:]) < 0.02 * abs(C[0, 0])
        if cubic:
            shown = ((1, 1), (1, 2), (4, 4))
        values = {f"C{i}{j} (GPa)": float(C[i - 1, j - 1]) for i, j in shown}
        soft = float(np.linalg.eigvalsh(C)[0])
        return Measured(values, notes=[] if soft > 0 else [f"the crystal is elastically unstable ({soft:.3g} GPa)"])

    @staticmethod
    def _strained(crystal: Atoms, k: int, sign: int) -> Atoms:
        """Return a cell with component k of Voigt's strain."""
        strain = np.zeros((3, 3))
        i, j = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))[k]
        strain[i, j] += sign * STRAIN / 2
        strain[j, i] += sign * STRAIN / 2
        cell: Atoms = crystal.copy()
        cell.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return cell


class Phonons(Property):
    """Phonon frequencies along the usual path, by phonopy."""

    title = "Phonons"
    share = 10

    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> tuple[Any, Atoms]:
        import phonopy
        from phonopy.structure.atoms import PhonopyAtoms

        repeat = np.array(supercell(crystal, PHONON_WIDTH).cell.array @ np.linalg.inv(crystal.cell.array)).round()
        cell = PhonopyAtoms(crystal.get_chemical_symbols(), positions=crystal.positions, cell=crystal.cell.array)
        made = phonopy.Phonopy(cell, repeat.astype(int), primitive_matrix=np.eye(3), log_level=0)
        made.generate_displacements(distance=DISPLACED)
        return made, crystal

    def measure(self, structures: tuple[Any, Atoms], calculator: BaseCalculator) -> Measured:
        from ase import Atoms

        made, crystal = structures
        forces = []
        for displaced in made.supercells_with_displacements:
            atoms = Atoms(displaced.symbols, positions=displaced.positions, cell=displaced.cell, pbc=True)
            atoms.calc = calculator
            forces.append(atoms.get_forces())
        made.forces = forces
        made.produce_force_constants()
        path = crystal.cell.bandpath(npoints=100)
        made.run_band_structure([path.kpts])
        frequencies = np.asarray(made.band_structure.frequencies[0])
        x, places, names = path.get_linear_kpoint_axis()
        marks = list(zip(places.tolist(), names, strict=True))
        curves = {f"branch {k + 1}": (np.asarray(x), frequencies[:, k]) for k in range(frequencies.shape[1])}
        values = {"highest frequency (THz)": float(frequencies.max())}
        lowest = float(frequencies.min())
        notes = [f"a phonon is unstable: {lowest:.2f} THz"] if lowest < -0.1 else []
        return Measured(values, curves, notes, marks)


class Vacancy(Property):
    """Formation energy of a vacancy in an element."""

    title = "Vacancy"

    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> tuple[Atoms, Atoms] | None:
        if len(set(crystal.symbols)) > 1:
            return None
        perfect = supercell(conventional(crystal), WIDTH)
        broken = perfect.copy()
        del broken[0]
        return perfect, relaxed(broken, calculator)

    def measure(self, structures: tuple[Atoms, Atoms] | None, calculator: BaseCalculator) -> Measured:
        if structures is None:
            return Measured(notes=["vacancies of compounds depend on chemical potentials and are left out"])
        perfect, broken = structures
        part = len(broken) / len(perfect)
        found = energy(broken, calculator) - part * energy(perfect, calculator)
        return Measured({"formation energy (eV)": found})


class Surfaces(Property):
    """Energies of relaxed surfaces of low indices."""

    title = "Surfaces"
    share = 2

    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> tuple[Atoms, dict[str, Atoms]]:
        from ase.build import surface

        cell, slabs = conventional(crystal), {}
        for face in FACES:
            one = surface(cell, face, 1, vacuum=VACUUM / 2, periodic=True)
            layers = int(np.ceil(WIDTH / max(one.cell.lengths()[2] - VACUUM, 1.5)))
            slab = surface(cell, face, layers, vacuum=VACUUM / 2, periodic=True)
            if len(slab) <= MOST:
                slabs["".join(map(str, face))] = relaxed(slab, calculator)
        return crystal, slabs

    def measure(self, structures: tuple[Atoms, dict[str, Atoms]], calculator: BaseCalculator) -> Measured:
        from ase.units import _e

        crystal, slabs = structures
        each = energy(crystal, calculator) / len(crystal)
        values = {}
        for face, slab in slabs.items():
            area = float(np.linalg.norm(np.cross(slab.cell[0], slab.cell[1])))
            gamma = (energy(slab, calculator) - len(slab) * each) / (2 * area)
            values[f"({face}) (J/m²)"] = gamma * _e * 1e20
        return Measured(values)


class Dimers(Property):
    """Energies of two isolated atoms, down to short distances."""

    title = "Dimers"
    share = 4

    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> dict[str, list[Atoms]]:
        from ase import Atoms

        distances = np.arange(SHORTEST, LONGEST, SPACING)
        return {
            f"{a}-{b}": [Atoms([a, b], positions=[[0, 0, 0], [0, 0, r]]) for r in distances]
            for a, b in combinations_with_replacement(sorted(set(crystal.get_chemical_symbols())), 2)
        }

    def measure(self, structures: dict[str, list[Atoms]], calculator: BaseCalculator) -> Measured:
        curves, notes = {}, []
        for name, pairs in structures.items():
            distances = np.array([atoms.positions[1, 2] for atoms in pairs])
            energies = np.array([energy(atoms, calculator) for atoms in pairs])
            curves[name] = (distances, energies - energies[-1])
            above = energies - energies[-1]
            low = int(np.argmax(above < FOOT))
            if above[0] < WALL or np.any(np.diff(above[: low + 1]) > 0) or np.any(above[low:] > FOOT):
                notes.append(
                    f"{name}: no smooth wall down to {SHORTEST:g} Å, where the energy is {above[0]:.3g} eV above "
                    "that of free atoms; [baseline] zbl in RUN.toml makes one"
                )
        return Measured(curves=curves, notes=notes)


class Dynamics(Property):
    """Drift of the energy at constant energy, and volume at constant pressure."""

    title = "Molecular dynamics"
    has_bars = False
    share = 100

    def structures(self, crystal: Atoms, calculator: BaseCalculator) -> Atoms:
        return supercell(conventional(crystal), WIDTH, MOST // 2)

    def measure(self, structures: Atoms, calculator: BaseCalculator) -> Measured:
        drift, energies = self._drift(structures, calculator)
        volumes = self._volumes(structures, calculator)
        values = {
            "drift at constant energy (meV/atom/ps)": drift,
            "volume at 300 K (Å³/atom)": float(volumes[1][len(volumes[1]) // 2 :].mean()),
        }
        return Measured(values, {"energy": energies, "volume": volumes})

    @staticmethod
    def _thermal(crystal: Atoms, calculator: BaseCalculator) -> tuple[Atoms, float]:
        """Return a copy with velocities of twice the temperature, and the time step (fs); half of the kinetic energy
        becomes potential energy."""
        atoms = crystal.copy()
        atoms.calc = calculator
        set_thermal(atoms, 2 * TEMPERATURE, np.random.default_rng(0))
        return atoms, time_step(atoms)

    def _drift(self, crystal: Atoms, calculator: BaseCalculator) -> tuple[float, tuple[Floats, Floats]]:
        """Return the slope of the energy, meV/atom/ps, and the energies (meV/atom) against the time (ps)."""
        from ase.md.verlet import VelocityVerlet
        from ase.units import fs

        atoms, step = self._thermal(crystal, calculator)
        energies: list[float] = []
        dynamics = VelocityVerlet(atoms, timestep=step * fs)
        dynamics.attach(lambda: energies.append(atoms.get_total_energy() / len(atoms)), interval=10)
        dynamics.run(NVE_STEPS)
        times = np.arange(len(energies)) * 10 * step / 1000
        above = 1000 * (np.array(energies) - energies[0])
        return float(np.polyfit(times, above, 1)[0]), (times, above)

    def _volumes(self, crystal: Atoms, calculator: BaseCalculator) -> tuple[Floats, Floats]:
        """Return the volume (cubic Angstrom per atom) against the time (ps), at 300 K without pressure."""
        atoms, step = self._thermal(crystal, calculator)
        volumes: list[float] = []
        dynamics = at_pressure(atoms, step, TEMPERATURE)
        dynamics.attach(lambda: volumes.append(atoms.get_volume() / len(atoms)), interval=10)
        dynamics.run(NPT_STEPS)
        return np.arange(len(volumes)) * 10 * step / 1000, np.array(volumes)


PROPERTIES: Sequence[Property] = (
    EquationOfState(),
    ElasticConstants(),
    Phonons(),
    Vacancy(),
    Surfaces(),
    Dimers(),
    Dynamics(),
)
