"""Relax diamond silicon, and compare its energy at other volumes with DFT points that were not trained on."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.optimize import BFGS

from sitewise import Potential

potential = Potential.load("run/potential")

# As a calculator of ASE
crystal = bulk("Si", "diamond", a=5.6)
crystal.calc = potential.calculator()
BFGS(FrechetCellFilter(crystal), logfile=None).run(fmax=1e-3)
print(f"lattice constant {(4 * crystal.get_volume()) ** (1 / 3):.3f} Angstrom")

# By itself: one evaluation gives energy, atomic energies, forces, stress and extrapolation
points = [atoms for atoms in read("../si-dft/invariants.xyz.xz", ":") if atoms.info["kind"] == "diamond_EV"]
volumes = np.array([atoms.get_volume() / len(atoms) for atoms in points])
known = np.array([atoms.get_potential_energy() / len(atoms) for atoms in points])
results = [potential.evaluate(atoms) for atoms in points]
predicted = np.array([result.energy / len(result.energies) for result in results])
outside = np.array([result.extrapolation.any() for result in results])
print(f"RMSE {1000 * np.sqrt(np.mean((predicted - known)[~outside] ** 2)):.1f} meV/atom, {sum(~outside)} points")
print(f"{sum(outside)} of {len(points)} points are outside the training range")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
order = volumes.argsort()
axes.plot(volumes[order], known[order], "k-o", fillstyle="none", label="DFT")
axes.plot(volumes[~outside], predicted[~outside], "C0s", markersize=4, label="potential")
axes.plot(volumes[outside], predicted[outside], "C3x", label="potential, outside the training range")
axes.set(xlabel="volume (Å³/atom)", ylabel="energy (eV/atom)")
axes.legend()
figure.savefig("volumes.png", dpi=120)
