"""Velocities, time step and barostat of molecular dynamics with ASE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from ase.md.nptberendsen import NPTBerendsen

STEP = {True: 0.5, False: 1.0}  # fs, with and without hydrogen
THERMOSTAT, BAROSTAT = 100.0, 300.0  # fs
COMPRESSIBILITY = 1e-6  # 1/bar, between those of hard and soft solids


def time_step(atoms: Atoms) -> float:
    """Return a time step that suits the elements, fs."""
    return STEP["H" in atoms.get_chemical_symbols()]


def set_thermal(atoms: Atoms, kelvin: float, rng: np.random.Generator) -> None:
    """Give atoms random velocities of a temperature, without drift."""
    from ase.units import kB

    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(kB * kelvin * masses) * rng.normal(size=(len(atoms), 3))
    if len(atoms) > 1:
        momenta -= masses * momenta.sum(axis=0) / masses.sum()
    atoms.set_momenta(momenta)


def at_pressure(atoms: Atoms, step: float, kelvin: float, pressure: float = 0.0) -> NPTBerendsen:
    """Return Berendsen dynamics at a temperature (K) and a pressure (eV/Angstrom^3), with a time step in fs."""
    from ase.md.nptberendsen import NPTBerendsen
    from ase.units import bar, fs

    return NPTBerendsen(
        atoms,
        step * fs,
        temperature_K=kelvin,
        pressure_au=pressure,
        taut=THERMOSTAT * fs,
        taup=BAROSTAT * fs,
        compressibility_au=COMPRESSIBILITY / bar,
    )
