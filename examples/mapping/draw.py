"""Draw the atomic energies of the crystals, which are known: all atoms are equivalent, so each has E/N."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from ase.io import read

from sitewise import Potential

points = sorted(read("crystals.xyz", ":"), key=lambda atoms: atoms.get_volume())
volumes = [atoms.get_volume() / len(atoms) for atoms in points]
known = np.array([atoms.get_potential_energy() / len(atoms) for atoms in points])

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(volumes, known, "k-o", fillstyle="none", label="DFT")
for run, style in (("slabs", "C3s"), ("slabs-and-bulk", "C0s")):
    potential = Potential.load(f"{run}/potential")
    energies = np.array([potential.evaluate(atoms).energies.mean() for atoms in points])
    axes.plot(volumes, energies, style, markersize=4, label=f"trained on {run.replace('-', ' ')}")
    print(f"{run}: atomic energies wrong by {1000 * np.abs(energies - known).mean():.0f} meV on average")
axes.set(xlabel="volume (Å³/atom)", ylabel="atomic energy (eV)")
axes.legend()
figure.savefig("atomic_energies.png", dpi=120)
